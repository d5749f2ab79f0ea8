// SPDX-License-Identifier: GPL-2.0-only
//! What a driver's guest has left, as a result: silence, or what there was instead.

use std::time::Duration;

use crate::boot;
use crate::cell::{Cell, CellResult, Outcome};
use crate::drivers::file::Driver;
use crate::error::{Error, Exit};
use crate::guest::Plan;
use crate::kernel::Flavor;
use crate::verdict;

/// How a driver's run went.
#[derive(Clone, PartialEq, Debug)]
pub struct Ran {
    /// What was run.
    pub cell: Cell,
    /// How it went.
    pub outcome: Outcome,
    /// What this means for the exit code.
    pub exit: Exit,
    /// The type of the device's IOMMU group.
    pub group: Option<String>,
    /// Bytes that the device has moved.
    pub moved: u64,
    /// How much the sanitizer has found.
    pub findings: usize,
    /// How much more is mapped than before, once the driver is gone.
    pub left: Option<i64>,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// One that was not run.
    pub fn not(cell: Cell, outcome: Outcome, exit: Exit) -> Ran {
        Ran {
            cell,
            outcome,
            exit,
            group: None,
            moved: 0,
            findings: 0,
            left: None,
            took: Duration::ZERO,
        }
    }

    /// The same for the matrix.
    pub fn result(&self) -> CellResult {
        let group = self.group.as_deref().unwrap_or("?");
        CellResult {
            detail: (self.outcome == Outcome::Passed)
                .then(|| format!("{group}, {} MiB", self.moved >> 20)),
            ..CellResult::new(
                self.cell.clone(),
                self.outcome.clone(),
                self.took.as_secs_f64(),
            )
        }
    }
}

/// Judges a guest that has run the plan of a driver.
pub fn judge(driver: &Driver, cell: Cell, plan: &Plan, outcome: &boot::Outcome) -> Ran {
    let told = |what: &str| {
        let prefix = format!("dmasan: {what} ");
        let lines = outcome.answers.output.iter();
        let values = lines.filter_map(|(_, l)| l.strip_prefix(&prefix).map(str::to_owned));
        values.collect::<Vec<_>>()
    };
    let moved = told("moved")
        .iter()
        .filter_map(|m| m.parse::<u64>().ok())
        .sum();
    let around = outcome.answers.counts_around(|_| true);
    let left = around.map(|(before, after)| after.sum - before.sum);
    let mut ran = Ran {
        group: told("group").pop(),
        moved,
        left,
        took: outcome.took,
        ..Ran::not(cell, Outcome::Passed, Exit::Clean)
    };
    // A crash says why the rest is missing.
    if let Err(error) = verdict::of(outcome, plan) {
        ran.exit = error.exit();
        ran.outcome = match error.exit() {
            Exit::Interrupted => Outcome::NotRun("interrupted".to_owned()),
            _ => Outcome::Failed(vec![sentence(&error)]),
        };
        return ran;
    }
    let mut wrong = said(&mut ran, plan, outcome);
    if let (Some((before, after)), Flavor::Rust) = (around, ran.cell.flavor) {
        if after.sum != before.sum {
            wrong.push(format!(
                "the counts add up to {} once the driver is gone, {} before",
                after.sum, before.sum
            ));
        }
        if after.negative != before.negative {
            wrong.push(format!("{} pages have a negative count", after.negative));
        }
    }
    if wrong.is_empty() && moved < driver.least_mib << 20 {
        wrong.push(format!(
            "{} MiB were moved, {} are wanted",
            moved >> 20,
            driver.least_mib
        ));
    }
    if !wrong.is_empty() {
        ran.exit = Exit::Finding;
        wrong.push(format!("kernel log: {}", outcome.log.display()));
    }
    ran.outcome = Outcome::judged(wrong);
    ran
}

/// Everything that the kernel has said and should not have, and steps that failed.
fn said(ran: &mut Ran, plan: &Plan, outcome: &boot::Outcome) -> Vec<String> {
    let Ok(report) = &outcome.report else {
        return vec!["the log was not understood".to_owned()];
    };
    ran.findings = report.findings.len();
    let during = |step: Option<u32>| match step.and_then(|n| plan.step(n)) {
        Some(step) => step.text.clone(),
        None => "outside of the steps".to_owned(),
    };
    let findings = report.findings.iter().map(|f| (f.step, &f.title));
    let warnings = report.warnings.iter().map(|w| (w.step, &w.text));
    let all = findings.chain(warnings);
    let mut wrong: Vec<String> = all.map(|(s, t)| format!("{}: {t}", during(s))).collect();
    for (number, rc) in outcome.answers.results.iter().filter(|(_, rc)| *rc != 0) {
        wrong.push(format!("{}: rc={rc}", during(Some(*number))));
    }
    wrong
}

fn sentence(error: &Error) -> String {
    match Outcome::not_run(error) {
        Outcome::NotRun(text) => text,
        _ => error.to_string(),
    }
}
