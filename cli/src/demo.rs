// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan demo`: the sanitizer at work.

use crate::args::DemoArgs;
use crate::error::{Error, Exit, Result};
use crate::exec::Exec;

/// Runs the command.
pub fn run(_exec: &Exec, _args: &DemoArgs) -> Result<Exit> {
    Err(Error::failed("`dmasan demo` is not built yet"))
}
