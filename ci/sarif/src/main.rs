// SPDX-License-Identifier: GPL-2.0-only
//! Writes each log of a folder as SARIF, and checks that against the schema of the standard.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use dmasan_report::{parse, sarif, Report, SourceLine};
use jsonschema::Validator;
use serde_json::Value;

#[path = "../../schema.rs"]
mod schema;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("usage: FOLDER with logs")?;
    // A package of the standard's types has it.
    let schema = schema::find(MANIFEST, "serde-sarif", "src/schema.json")?;
    let mut schema: Value = serde_json::from_str(&fs::read_to_string(schema)?)?;
    // Its pattern has a bracket too many for a strict validator, and we write no language.
    for name in ["run", "toolComponent"] {
        let place = format!("/definitions/{name}/properties");
        let properties = schema.pointer_mut(&place).and_then(Value::as_object_mut);
        properties.ok_or("no schema of SARIF")?.remove("language");
    }
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)?;

    let mut checked = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "log") {
            continue;
        }
        // Some are no logs, which is what these are for.
        let Ok(mut report) = parse(&fs::read(&path)?) else {
            continue;
        };
        check(&validator, &path, &report)?;
        add_sources(&mut report);
        check(&validator, &path, &report)?;
        refuses(&validator, &report)?;
        checked += 1;
    }
    if checked == 0 {
        return Err("no log was checked".into());
    }
    println!("{checked} logs give valid SARIF, with and without source lines");
    Ok(())
}

fn check(validator: &Validator, path: &Path, report: &Report) -> Result<(), Box<dyn Error>> {
    let log: Value = serde_json::from_str(&sarif::to_string(report))?;
    let errors: Vec<_> = validator
        .iter_errors(&log)
        .map(|error| format!("{}: {}: {error}", path.display(), error.instance_path()))
        .collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors.join("\n").into()),
    }
}

/// As if it had been symbolized, with files whose names are hard to write as an URI.
fn add_sources(report: &mut Report) {
    let files = ["drivers/x.c", "/a b/c:d.c", "größe?.c", "%.c", "a:b"].map(str::to_owned);
    let mut files = files.into_iter().map(Some).chain([None]).cycle();
    for frame in report.findings.iter_mut().flat_map(|f| f.frames_mut()) {
        frame.source.push(SourceLine {
            function: frame.site.symbol.clone(),
            file: files.next().flatten(),
            line: frame.site.offset.map(|offset| (offset % 5) as u32),
        });
    }
}

/// The schema does find what is wrong.
fn refuses(validator: &Validator, report: &Report) -> Result<(), Box<dyn Error>> {
    let log: Value = serde_json::from_str(&sarif::to_string(report))?;
    let wrong: [(&str, Value); 4] = [
        ("/version", "2.0.0".into()),
        ("/runs/0/tool", Value::Null),
        ("/runs/0/invocations/0/executionSuccessful", "yes".into()),
        ("/runs/0/results", serde_json::json!([{ "ruleId": "x" }])),
    ];
    for (place, value) in wrong {
        let mut log = log.clone();
        *log.pointer_mut(place).ok_or(place)? = value;
        if validator.is_valid(&log) {
            return Err(format!("the schema takes a wrong {place}").into());
        }
    }
    Ok(())
}
