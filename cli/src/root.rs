// SPDX-License-Identifier: GPL-2.0-only
//! The environment in which kernels are built and guests run.

use std::path::{Path, PathBuf};

use crate::cache::{Cache, Key};
use crate::error::{Error, Result};
use crate::exec::{Cmd, Exec};

/// Where builds and guests run: either the host itself or a Debian root of our own.
#[derive(Clone, Debug)]
pub struct Env {
    work: PathBuf,
    key: Key,
}

impl Env {
    /// Finds or makes the environment.
    pub fn prepare(_exec: &Exec, _cache: &Cache) -> Result<Env> {
        Err(Error::failed("the build environment is not built yet"))
    }

    /// A command that runs inside.
    pub fn cmd(&self, prog: &str) -> Cmd {
        Cmd::new(prog)
    }

    /// Host path of the working area.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The path of a file of the working area as commands inside see it.
    pub fn inside(&self, host: &Path) -> PathBuf {
        host.to_owned()
    }

    /// Identity of the environment's tools.
    pub fn key(&self) -> &Key {
        &self.key
    }
}
