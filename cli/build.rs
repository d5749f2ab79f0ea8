// SPDX-License-Identifier: GPL-2.0-only
//! Rebuilds the crate when a file that it carries inside has changed, and gives it an identity of its own source, so that
//! what it judged is known by what judged it.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// `include_dir!` cannot tell cargo about the files on a stable compiler.
const CARRIED: [&str; 4] = ["../kernel", "../engine/src", "../scenarios", "../drivers"];
/// What is compiled. What is carried inside as it is, is added when it runs.
const SOURCE: [&str; 3] = ["src", "../report/src", "../symbolize/src"];

fn main() -> io::Result<()> {
    let mut files = vec![PathBuf::from("../Cargo.lock")];
    for folder in SOURCE {
        list(Path::new(folder), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = std::fs::read(&file)?;
        for part in [file.as_os_str().as_encoded_bytes(), &content] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    let hex: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    println!("cargo:rustc-env=DMASAN_SOURCE={hex}");
    for path in CARRIED.iter().chain(&SOURCE) {
        println!("cargo:rerun-if-changed={path}");
    }
    for path in ["build.rs", "../Cargo.lock"] {
        println!("cargo:rerun-if-changed={path}");
    }
    Ok(())
}

/// Rust files only: test frameworks leave others behind.
fn list(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    Ok(())
}
