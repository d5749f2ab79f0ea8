// SPDX-License-Identifier: GPL-2.0-only
//! Gives reports their source lines, and tells how to get them.

use std::path::{Path, PathBuf};

use dmasan_report::{Finding, Report};
use dmasan_symbolize::{Reason, Summary, Symbols};

use crate::args::SymbolArgs;
use crate::error::{Error, Result};
use crate::exec::Exec;
use crate::guest::Plan;
use crate::kernel::Kernel;
use crate::run::count;

/// Where a log is read without the files that it takes.
const HOW: &str =
    "note: for source lines add --vmlinux FILE and, for each module, --module FILE (both with debug information)";

/// Where a guest's kernel lacks them.
const HOW_IN_RUN: &str =
    "note: this kernel has no debug information: for source lines give --config a file with \
                          CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y";

/// Fills in what the files that the user named tell. What is not as good as it could be is told.
pub fn of_log(exec: &Exec, report: &mut Report, args: &SymbolArgs) -> Result<Option<&'static str>> {
    if args.vmlinux.is_none() && args.module.is_empty() {
        return Ok(has_frames(report).then_some(HOW));
    }
    let summary = Symbols::open(args.vmlinux.as_deref(), &args.module)
        .and_then(|symbols| symbols.apply(report, args.force_symbols))
        .map_err(|e| Error::usage(e.to_string()).help(e.advice()))?;
    notes(&summary).iter().for_each(|note| exec.ui.note(note));
    Ok(None)
}

/// Fills in what the files of a guest tell. They are of its build, but may lack debug information.
pub fn of_run(
    exec: &Exec,
    report: &mut Report,
    kernel: &Kernel,
    plan: &Plan,
) -> Option<&'static str> {
    if !has_frames(report) {
        return None;
    }
    // A ready .ko may have been stripped; the others are still good for something.
    let usable = |module: &&Path| Symbols::open(None, &[module.to_path_buf()]).is_ok();
    let modules = plan.modules().into_iter().filter(usable);
    let modules: Vec<PathBuf> = modules.map(Path::to_owned).collect();
    let symbols = Symbols::open(Some(&kernel.vmlinux), &modules);
    match symbols.and_then(|symbols| symbols.apply(report, false)) {
        Err(e) if e.reason == Reason::NoDebugInfo => return Some(HOW_IN_RUN),
        Err(e) => exec.ui.warn(&format!("no source lines: {e}")),
        Ok(_) => {}
    }
    None
}

fn has_frames(report: &Report) -> bool {
    let frames = |finding: &Finding| finding.frames().next().is_some();
    report.findings.iter().any(frames)
}

fn notes(summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    if summary.missed > 0 {
        notes.push(format!(
            "note: {} without source line: not in these files, or not for certain",
            count(summary.missed, "frame")
        ));
    }
    if summary.other_kernel > 0 {
        notes.push(format!(
            "note: {} of another kernel: without source lines",
            count(summary.other_kernel, "finding")
        ));
    }
    notes
}
