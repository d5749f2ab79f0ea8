// SPDX-License-Identifier: GPL-2.0-only
//! The files that the tool carries inside: kernel overlay, patches, config fragments, engine source, scenarios, drivers.

use include_dir::{include_dir, Dir, File};

use crate::cache::Key;

/// The `kernel/` folder of the project.
pub static KERNEL: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../kernel");
/// The engine's source files.
pub static ENGINE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../engine/src");
/// The `scenarios/` folder of the project.
pub static SCENARIOS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../scenarios");
/// The `drivers/` folder of the project.
pub static DRIVERS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../drivers");

/// All files below a folder, in the order of their paths.
pub fn files<'a>(dir: &'a Dir<'a>) -> Vec<&'a File<'a>> {
    let mut found: Vec<_> = dir.files().collect();
    for sub in dir.dirs() {
        found.extend(files(sub));
    }
    found.sort_by_key(|f| f.path());
    found
}

/// Identity of all that is in a folder.
pub fn key(name: &str, dir: &'static Dir<'static>) -> Key {
    let add =
        |key: Key, file: &File<'_>| key.with(&file.path().display().to_string(), file.contents());
    files(dir).into_iter().fold(Key::new(name), add)
}
