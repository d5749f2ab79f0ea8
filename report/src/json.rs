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
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(SCHEMA) => {}
        Some(version) => {
            return Err(format!(
                "schema {version}; this version reads schema {SCHEMA}"
            ))
        }
        None => return Err("no `schema`: not a report of dmasan".to_owned()),
    }
    serde_json::from_value(value).map_err(|e| format!("not a report: {e}"))
}
