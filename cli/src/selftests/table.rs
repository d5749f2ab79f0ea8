// SPDX-License-Identifier: GPL-2.0-only
//! What the command prints and writes: a table, what is wrong, and JSON.

use serde::Serialize;

use crate::args::Switch;
use crate::selftests::judge::Judged;
use crate::selftests::suite::Suite;
use crate::selftests::Lab;

/// Version of the JSON; it grows when a field changes its meaning or goes away.
const SCHEMA: u32 = 1;

/// The suites that there are.
pub fn list(suites: &[&Suite]) -> String {
    let width = suites.iter().map(|s| s.name.len()).max().unwrap_or(0);
    let line = |s: &&Suite| format!("{:width$}  {}\n", s.name, s.what);
    suites.iter().map(line).collect()
}

/// The table, and below it what is worth more words.
pub fn text(judged: &[Judged]) -> String {
    let head = [
        "suite", "passed", "failed", "skipped", "findings", "warnings", "seconds", "",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(judged.iter().map(row));
    let width = |column: usize| rows.iter().map(|r| r[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = format!("{:w$}", row[0], w = widths[0]);
        for (cell, w) in row[1..7].iter().zip(&widths[1..]) {
            line.push_str(&format!("  {cell:>w$}"));
        }
        line.push_str(&format!("  {}", row[7]));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for suite in judged {
        text.push_str(&remarks(suite));
    }
    text
}

fn row(j: &Judged) -> [String; 8] {
    [
        j.name.to_owned(),
        j.passed.to_string(),
        j.failed.len().to_string(),
        j.skipped.len().to_string(),
        j.findings.len().to_string(),
        j.warnings.len().to_string(),
        format!("{:.1}", j.seconds),
        verdict(j).to_owned(),
    ]
}

fn verdict(j: &Judged) -> &'static str {
    match (&j.broken, j.wrong.is_empty(), j.known.is_empty()) {
        (Some(_), _, _) => "not all is known",
        (None, false, _) => "worse than without the sanitizer",
        (None, true, false) => "as without the sanitizer",
        (None, true, true) => "ok",
    }
}

fn remarks(j: &Judged) -> String {
    let mut lines = Vec::new();
    lines.extend(j.broken.iter().cloned());
    lines.extend(j.wrong.iter().cloned());
    lines.extend(
        j.known
            .iter()
            .map(|k| format!("{k} (without the sanitizer, too)")),
    );
    lines.extend(
        j.foreign
            .map(|why| format!("{} findings, because {why}", j.findings.len())),
    );
    lines.extend(j.skipped.iter().map(|s| format!("skipped: {s}")));
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|l| format!("  {l}\n")).collect();
    format!("\n{}:\n{lines}", j.name)
}

/// All that is known, for programs.
pub fn json(lab: &Lab, switch: Switch, suites: &[Judged]) -> String {
    #[derive(Serialize)]
    struct All<'a> {
        schema: u32,
        kernel: &'a str,
        machine: &'a str,
        lazy: bool,
        debug_pagealloc: &'a str,
        suites: &'a [Judged],
    }
    let all = All {
        schema: SCHEMA,
        kernel: &lab.kernel.release,
        machine: lab.machine.model.name,
        lazy: lab.machine.lazy,
        debug_pagealloc: switch.value(),
        suites,
    };
    // Plain data, which cannot fail.
    serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"
}
