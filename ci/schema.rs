// SPDX-License-Identifier: GPL-2.0-only
//! Finds a schema in the sources of a package that is made from it.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The path of `file` in the sources of `package`, which `manifest` has as a dependency of its feature `schema`.
pub fn find(manifest: &str, package: &str, file: &str) -> Result<PathBuf, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").ok_or("this is run by cargo")?;
    let out = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--features", "schema", "--manifest-path", manifest])
        .output()?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into());
    }
    let metadata: Value = serde_json::from_slice(&out.stdout)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages
        .filter(|found| found["name"] == package)
        .find_map(|found| found["manifest_path"].as_str())
        .ok_or_else(|| format!("cargo does not know the package {package}"))?;
    Ok(Path::new(found).with_file_name(file))
}
