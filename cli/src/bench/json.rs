// SPDX-License-Identifier: GPL-2.0-only
//! Results for programs.

use serde_json::{json, Map, Value};

use crate::args::Switch;
use crate::bench::interval::Interval;
use crate::bench::measure::Measured;
use crate::bench::rows::Row;
use crate::kernel::Flavor;

/// Changes when a program that reads results would have to.
pub const SCHEMA: &str = "dmasan-bench-1";

/// All figures of a benchmark.
pub fn to_string(what: &str, measured: &Measured, rows: &[Row], exact: bool) -> String {
    let settings = measured.settings.iter().zip(&measured.releases);
    let settings = settings.map(|(setting, release)| {
        json!({
            "name": setting.to_string(),
            "flavor": setting.flavor.name(),
            // Without the option in the kernel there is no parameter.
            "param": matches!(setting.flavor, Flavor::Rust | Flavor::C).then(|| param(setting.param)),
            "release": release,
        })
    });
    let value = json!({
        "schema": SCHEMA,
        "bench": what,
        "mode": if exact { "exact" } else { "wall-clock" },
        "unit": if exact { "instructions" } else { "ns" },
        "repeats": measured.repeats,
        "complete": measured.failed.is_none(),
        "settings": settings.collect::<Vec<_>>(),
        "rows": rows.iter().map(|r| row(measured, r)).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text + "\n"
}

/// Numbers for what they always were.
fn param(param: Switch) -> Value {
    match param {
        Switch::Off => json!(0),
        Switch::On => json!(1),
        Switch::Origin => json!("origin"),
    }
}

fn row(measured: &Measured, row: &Row) -> Value {
    let mut values = Map::new();
    for (column, setting) in measured.settings.iter().enumerate() {
        let figures = measured.figures[column].iter();
        let figures: Vec<_> = figures.map(|f| f.get(&row.name)).collect();
        let Some(value) = measured.value(column, &row.name) else {
            continue;
        };
        let ratio = measured.ratio(column, &row.name);
        values.insert(
            setting.to_string(),
            json!({
                "value": value.median,
                "ratio": ratio.map(|r| r.median),
                "ratio_min": ratio.map(|r| r.min),
                "ratio_max": ratio.map(|r| r.max),
                "ratio_interval": ratio.and_then(|r| r.interval).map(interval),
                "added": measured.added(column, &row.name).map(|a| a.median),
                "repeats": figures,
            }),
        );
    }
    json!({
        "name": row.name,
        "section": row.section,
        "label": row.label,
        "values": values,
    })
}

fn interval(interval: Interval) -> Value {
    json!({
        "low": interval.low,
        "high": interval.high,
        "confidence": interval.confidence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::tests::measured;
    use crate::bench::rows;
    use crate::bench::setting::Setting;

    #[test]
    fn what_is_missing_is_absent_not_zero() {
        let settings = Setting::all(&[Flavor::None, Flavor::C], &[Switch::On]);
        let list: &[Option<f64>] = &[Some(100.0), None];
        let full: &[Option<f64>] = &[Some(100.0), Some(150.0)];
        let m = measured(
            &settings,
            &[("dma_map/4K", &[list]), ("dma_unmap/4K", &[full])],
        );
        let rows = rows::of_map(&[1], &[], true).unwrap();
        let value: Value = serde_json::from_str(&to_string("map", &m, &rows, true)).unwrap();
        assert_eq!(value["schema"], SCHEMA);
        assert_eq!(value["settings"][0]["param"], Value::Null);
        assert_eq!(value["settings"][1]["param"], 1);
        let map = &value["rows"][0]["values"];
        assert!(map.get("c, 1").is_none());
        assert_eq!(map["none"]["value"], 100.0);
        let unmap = &value["rows"][1]["values"]["c, 1"];
        assert_eq!(
            (&unmap["ratio"], &unmap["added"]),
            (&json!(1.5), &json!(50.0))
        );
        assert_eq!(unmap["repeats"][0]["calls"], 3);
    }
    #[test]
    fn enough_repeats_have_an_interval() {
        let settings = Setting::all(&[Flavor::None, Flavor::C], &[Switch::On]);
        let lists = [1.5, 1.25, 2.0, 1.75, 3.0, 1.125].map(|r| [Some(100.0), Some(100.0 * r)]);
        let lists: Vec<&[Option<f64>]> = lists.iter().map(|l| &l[..]).collect();
        let m = measured(
            &settings,
            &[("dma_map/4K", &lists), ("dma_unmap/4K", &lists[..5])],
        );
        let rows = rows::of_map(&[1], &[], false).unwrap();
        assert!(rows.is_empty(), "by the clock there are no single calls");
        let rows = rows::of_map(&[1], &[], true).unwrap();
        let value: Value = serde_json::from_str(&to_string("map", &m, &rows, false)).unwrap();
        let interval = |row: usize| &value["rows"][row]["values"]["c, 1"]["ratio_interval"];
        assert_eq!(
            interval(0),
            &json!({ "low": 1.125, "high": 3.0, "confidence": 0.96875 })
        );
        assert_eq!(interval(1), &Value::Null);
    }
}
