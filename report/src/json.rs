// SPDX-License-Identifier: GPL-2.0-only
//! A report as JSON; the schema is described in `docs/reports.md`.

use crate::model::{Report, SCHEMA};

/// Writes a report, indented, with a line end.
pub fn to_string(report: &Report) -> String {
    // Every key is a string and no serializer of the model fails.
    let mut text = serde_json::to_string_pretty(report).expect("the model has a JSON form");
    text.push('\n');
    text
}

/// Reads a report that [`to_string`] wrote; of another version of the schema it says so.
pub fn from_str(text: &str) -> Result<Report, String> {
    #[derive(serde::Deserialize)]
    struct Version {
        schema: Option<u32>,
    }
    // The text is read twice, not turned into a `Value` in between: that would sort the facts.
    let version: Version = serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))?;
    match version.schema {
        Some(SCHEMA) => serde_json::from_str(text).map_err(|e| format!("not a report: {e}")),
        Some(other) => Err(format!(
            "schema {other}; this version reads schema {SCHEMA}"
        )),
        None => Err("no `schema`: not a report of dmasan".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::from_str;

    #[test]
    fn what_is_no_report_says_why() {
        assert!(from_str("x").unwrap_err().starts_with("not JSON"));
        assert!(from_str("{}").unwrap_err().starts_with("no `schema`"));
        assert_eq!(
            from_str("{\"schema\": 99}").unwrap_err(),
            "schema 99; this version reads schema 1"
        );
        assert!(from_str("{\"schema\": 1}")
            .unwrap_err()
            .starts_with("not a report"));
    }
}
