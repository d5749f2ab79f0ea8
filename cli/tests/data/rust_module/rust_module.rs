// SPDX-License-Identifier: GPL-2.0-only

//! A module in Rust that does nothing but say so.

use kernel::prelude::*;

module! {
    type: RustModule,
    name: "rust_module",
    authors: ["dmasan"],
    description: "A module in Rust that does nothing but say so",
    license: "GPL",
}

struct RustModule;

impl kernel::Module for RustModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("loaded\n");
        Ok(RustModule)
    }
}

impl Drop for RustModule {
    fn drop(&mut self) {
        pr_info!("unloaded\n");
    }
}
