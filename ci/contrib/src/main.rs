// SPDX-License-Identifier: GPL-2.0-only
//! Checks job files: workflows against the schema of workflows, Jobs against the types of the Kubernetes API. Copies of
//! them that are broken on purpose have to be refused.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use jsonschema::Validator;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{json, Value};

#[path = "../../schema.rs"]
mod schema;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let folder = env::args().nth(1).ok_or("usage: FOLDER with job files")?;
    // A package that validates workflows has it.
    let schema = schema::find(MANIFEST, "wrkflw-parser", "src/github-workflow.json")?;
    let schema: Value = serde_json::from_str(&fs::read_to_string(schema)?)?;
    let validator = jsonschema::options().build(&schema)?;
    let (mut workflows, mut jobs) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let told = |e| format!("{}: {e}", path.display());
        if name.starts_with("github-") {
            let file = read(&path)?;
            workflow(&validator, &file).map_err(told)?;
            refuses(&file, WORKFLOW_BROKEN, |f| workflow(&validator, f)).map_err(told)?;
            workflows += 1;
        } else if name.starts_with("kubernetes-") {
            let file = read(&path)?;
            job(&file).map_err(told)?;
            refuses(&file, JOB_BROKEN, job).map_err(told)?;
            jobs += 1;
        }
    }
    if workflows == 0 || jobs == 0 {
        return Err("no workflow, or no Job, was checked".into());
    }
    println!("{workflows} workflows and {jobs} Jobs are as they have to be, and broken copies of them are refused");
    Ok(())
}

fn read(path: &Path) -> Result<Value> {
    Ok(serde_norway::from_str(&fs::read_to_string(path)?)?)
}

fn workflow(validator: &Validator, file: &Value) -> std::result::Result<(), String> {
    let errors = validator.iter_errors(file);
    let errors: Vec<_> = errors
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors.join("\n")),
    }
}

/// The types take what they know and drop the rest: what does not come back was not known.
fn job(file: &Value) -> std::result::Result<(), String> {
    let job: Job = serde_json::from_value(file.clone()).map_err(|e| e.to_string())?;
    let back = serde_json::to_value(&job).map_err(|e| e.to_string())?;
    lost(file, &back, String::new())?;
    // What is required and missing is filled in by the types, with nothing.
    let spec = job.spec.ok_or("it has no spec")?;
    let pod = spec.template.spec.as_ref().ok_or("its pods have no spec")?;
    if pod.containers.is_empty() {
        return Err("its pods have no containers".to_owned());
    }
    if spec.completion_mode.as_deref() == Some("Indexed") {
        shards(&spec, pod)?;
    }
    Ok(())
}

/// As many pods as the command says that there are shards.
fn shards(spec: &JobSpec, pod: &PodSpec) -> std::result::Result<(), String> {
    let envs = pod.containers.iter().flat_map(|c| c.env.iter().flatten());
    let shards = envs
        .filter(|e| e.name == "SHARDS")
        .find_map(|e| e.value.clone());
    match (shards, spec.completions) {
        (Some(shards), Some(n)) if shards == n.to_string() => Ok(()),
        (shards, n) => Err(format!("SHARDS is {shards:?}, and completions is {n:?}")),
    }
}

/// Names the first part of a document that another does not have.
fn lost(file: &Value, back: &Value, at: String) -> std::result::Result<(), String> {
    match (file, back) {
        (Value::Object(file), Value::Object(back)) => file.iter().try_for_each(|(key, value)| {
            let at = format!("{at}/{key}");
            let back = back.get(key).ok_or(format!("{at} is not known"))?;
            lost(value, back, at)
        }),
        (Value::Array(file), Value::Array(back)) if file.len() == back.len() => {
            let pairs = file.iter().zip(back).enumerate();
            pairs
                .map(|(n, (f, b))| lost(f, b, format!("{at}/{n}")))
                .collect()
        }
        (file, back) if file == back => Ok(()),
        (file, back) => Err(format!("{at} is {file}, and understood as {back}")),
    }
}

/// A change that breaks a file: where, and what is put there; nothing: it is taken away.
type Change = (&'static str, &'static str, Option<&'static str>);

const WORKFLOW_BROKEN: &[Change] = &[
    ("", "jobs", None),
    ("", "jbos", Some("{}")),
    ("", "on", Some("\"pusch\"")),
    ("/permissions", "contents", Some("\"raed\"")),
    ("/jobs/*", "runs-on", None),
    ("/jobs/*", "step", Some("[]")),
    ("/jobs/*/steps/0", "uses", Some("7")),
    ("/jobs/*", "timeout-minutes", Some("\"soon\"")),
];

const JOB_BROKEN: &[Change] = &[
    ("", "kind", Some("\"Jbo\"")),
    ("", "apiVersion", Some("\"batch/v2\"")),
    ("/spec", "template", None),
    ("/spec", "completionmode", Some("\"Indexed\"")),
    ("/spec", "completions", Some("\"8\"")),
    ("/spec/template/spec", "containers", None),
    ("/spec/template/spec/containers/0", "comand", Some("[]")),
    (
        "/spec/template/spec/containers/0",
        "volumeMounts",
        Some("{}"),
    ),
];

/// Each change makes the check fail.
fn refuses(
    file: &Value,
    changes: &[Change],
    check: impl Fn(&Value) -> std::result::Result<(), String>,
) -> std::result::Result<(), String> {
    for (place, key, value) in changes {
        let mut broken = file.clone();
        let place = place.replace('*', &first_job(file));
        let object = broken.pointer_mut(&place).and_then(Value::as_object_mut);
        let object = object.ok_or(format!("there is no {place}"))?;
        match value {
            Some(value) => {
                let value = serde_json::from_str(value).unwrap_or(json!(null));
                object.insert((*key).to_owned(), value);
            }
            None => drop(object.remove(*key)),
        }
        if check(&broken).is_ok() {
            return Err(format!("a wrong {place}/{key} is not noticed"));
        }
    }
    Ok(())
}

fn first_job(file: &Value) -> String {
    let jobs = file["jobs"].as_object().into_iter().flatten();
    jobs.map(|(name, _)| name.clone())
        .next()
        .unwrap_or_default()
}
