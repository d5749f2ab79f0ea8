// SPDX-License-Identifier: GPL-2.0-only
//! Building kernels: patched tree, configuration, compilation; each step kept by content.

use std::fmt;
use std::path::PathBuf;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::exec::Exec;
use crate::root::Env;

/// Which sanitizer a kernel has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Flavor {
    /// This project's
    #[default]
    Rust,
    /// The C implementation as the distribution ships it
    C,
    /// None: this project's patches with the option off
    None,
}

impl Flavor {
    /// The name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Flavor::Rust => "rust",
            Flavor::C => "c",
            Flavor::None => "none",
        }
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A built kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Host path of the build folder (`O=`).
    pub dir: PathBuf,
    /// Host path of the source tree it was built from.
    pub source: PathBuf,
    /// The bootable image.
    pub image: PathBuf,
    /// The ELF file with symbols.
    pub vmlinux: PathBuf,
    /// `uname -r`.
    pub release: String,
    /// Which sanitizer it has.
    pub flavor: Flavor,
}

/// What kernel is wanted.
#[derive(Clone, Debug)]
pub struct KernelSpec {
    /// Which sanitizer.
    pub flavor: Flavor,
    /// The user's tree instead of the distribution's source.
    pub source: Option<PathBuf>,
    /// The user's config fragments.
    pub fragments: Vec<PathBuf>,
    /// Parallel jobs.
    pub jobs: usize,
}

/// Builds the kernel unless it is there already.
pub fn build(_exec: &Exec, _cache: &Cache, _env: &Env, _spec: &KernelSpec) -> Result<Kernel> {
    Err(Error::failed("building kernels is not built yet"))
}
