// SPDX-License-Identifier: GPL-2.0-only
//! Rebuilds the crate when a file that it carries inside has changed.

fn main() {
    // `include_dir!` cannot tell cargo about the files on a stable compiler.
    for dir in ["../kernel", "../engine/src", "../scenarios", "../drivers"] {
        println!("cargo:rerun-if-changed={dir}");
    }
}
