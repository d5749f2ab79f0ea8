// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan report`: prints the findings in a kernel log.
//!
//! Exit codes: 0 no finding; 1 at least one, also if its report is cut; 69 none, but the kernel hit an oops or
//! panicked, so that its silence means nothing; 2 the log cannot be read; 70 it is not a kernel log.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal};
use std::path::Path;

use dmasan_report::text::{self, Style};
use dmasan_report::{html, json, junit, sarif, Options, Report, TroubleKind, Unparseable};

use crate::args::{Format, ReportArgs};
use crate::error::{Error, Exit, Result};
use crate::exec::Exec;
use crate::stdout;
use crate::symbols;
use crate::ui::Color;

/// Runs the command.
pub fn run(exec: &Exec, color: Color, args: &ReportArgs) -> Result<Exit> {
    let mut report = match args.file.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => read(path)?,
        None => read_stdin(exec)?,
    };
    let how = symbols::of_log(exec, &mut report, &args.symbols)?;
    let text = match args.format {
        Format::Json => json::to_string(&report),
        Format::Html => html::to_string(&report, how.as_slice()),
        Format::Sarif => sarif::to_string(&report),
        Format::Junit => junit::to_string(&report),
        Format::Text => {
            let color = color.wanted(io::stdout().is_terminal());
            let style = Style {
                color,
                ..Style::default()
            };
            let how = how.map_or(String::new(), |how| format!("{how}\n"));
            text::to_string(&report, style) + &how
        }
    };
    stdout::print(&text)?;
    outcome(&report)
}

fn read(path: &Path) -> Result<Report> {
    let name = path.display();
    let help =
        "give the path of a kernel log, or `-` to read standard input: `dmesg | dmasan report -`";
    let file = File::open(path)
        .map_err(|e| Error::usage(format!("cannot open {name}: {e}")).help(help))?;
    let read = dmasan_report::parse_reader(BufReader::new(file), Options::default())
        .map_err(|e| Error::usage(format!("cannot read {name}: {e}")).help(help))?;
    read.map_err(|reason| not_a_log(&name.to_string(), &reason))
}

fn read_stdin(exec: &Exec) -> Result<Report> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        exec.ui
            .note("reading a kernel log from standard input; end it with Ctrl-D");
    }
    let read = dmasan_report::parse_reader(stdin.lock(), Options::default())
        .map_err(|e| Error::usage(format!("cannot read standard input: {e}")))?;
    read.map_err(|reason| not_a_log("standard input", &reason))
}

fn not_a_log(name: &str, reason: &Unparseable) -> Error {
    Error::unparseable(format!("{name} is not a kernel log: {reason}")).help(
        "save one with `dmesg > FILE`, `journalctl -k > FILE`, or the serial console's output",
    )
}

fn outcome(report: &Report) -> Result<Exit> {
    if !report.findings.is_empty() {
        return Ok(Exit::Finding);
    }
    match report.worst_trouble() {
        Some(trouble) if trouble.kind >= TroubleKind::Oops => Err(Error::failed(format!(
            "no finding, but the kernel failed (log line {}): {}",
            trouble.line,
            text::printable(&trouble.text)
        ))
        .help("fix that first: what the kernel would have reported afterwards is not known")),
        _ => Ok(Exit::Clean),
    }
}
