// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan run`: boots a kernel, loads modules, reports.

use crate::args::RunArgs;
use crate::error::{Error, Exit, Result};
use crate::exec::Exec;

/// Runs the command.
pub fn run(_exec: &Exec, _args: &RunArgs) -> Result<Exit> {
    Err(Error::failed("`dmasan run` is not built yet"))
}
