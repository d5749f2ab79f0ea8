// SPDX-License-Identifier: GPL-2.0-only
//! Running scenarios: which share a boot, the boot, and what was wrong in each.

use std::fs;
use std::time::Duration;

use dmasan_report::{Finding, Report, Warning};

use crate::args::Switch;
use crate::boot::{boot, Guest, Host, Outcome};
use crate::error::{Error, Result};
use crate::guest::{Action, Load, Plan};
use crate::kernel::{Flavor, Kernel};
use crate::ktap;
use crate::machine::Model;
use crate::module;
use crate::qemu;
use crate::scenario::compare::{compare, compare_warnings, outside};
use crate::scenario::{Kunit, Log, Scenario};
use crate::source::series_of;
use crate::verdict;

/// What a guest may take until its first step, on a slow machine.
const BOOTING: u64 = 180;

/// What was wrong with one scenario; nothing if it went as its file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// One sentence each.
    pub wrong: Vec<String>,
}

/// All scenarios among `all` that run in the same boot as `scenario` on a machine, with lazy invalidation or not.
pub fn group<'a>(
    all: &'a [Scenario],
    scenario: &Scenario,
    kernel: &Kernel,
    model: &Model,
    lazy: bool,
) -> Vec<&'a Scenario> {
    let with = all.iter().filter(|s| s.runs(kernel.flavor, model, lazy));
    let with = with.filter(|s| s.fits(series_of(&kernel.release)));
    with.filter(|s| s.shares_boot_with(scenario)).collect()
}

/// Boots one guest on a machine for scenarios that can share it.
pub fn run(
    host: &Host,
    kernel: &Kernel,
    model: &'static Model,
    lazy: bool,
    group: &[&Scenario],
) -> Result<Vec<Judged>> {
    let Some(first) = group.first() else {
        return Ok(Vec::new());
    };
    let (plan, firsts) = plan(host, kernel, group)?;
    let machine = first.machine(model, lazy)?;
    let switch = match first.debug_pagealloc {
        true => Switch::On,
        false => Switch::Off,
    };
    let cmdline = qemu::cmdline(switch, &machine, &first.cmdline);
    let names: Vec<&str> = group.iter().map(|s| s.name.as_str()).collect();
    let guest = Guest {
        what: &format!(
            "scenarios ({}, {}): {}",
            kernel.flavor,
            model.name,
            names.join(", ")
        ),
        kernel,
        machine: &machine,
        cmdline: &cmdline,
        plan: &plan,
        timeout: Duration::from_secs(BOOTING + group.iter().map(|s| s.timeout).sum::<u64>()),
    };
    let Some(outcome) = boot(host, &guest)? else {
        return Ok(Vec::new());
    };
    let judge = |(scenario, first): (&&Scenario, &usize)| Judged {
        name: scenario.name.clone(),
        wrong: judge(scenario, *first, kernel, model, &plan, &outcome),
    };
    Ok(group.iter().zip(&firsts).map(judge).collect())
}

/// The plan of a group, and for each scenario the index of its first request.
fn plan(host: &Host, kernel: &Kernel, group: &[&Scenario]) -> Result<(Plan, Vec<usize>)> {
    let mut loads: Vec<Vec<Load>> = Vec::new();
    let mut firsts = Vec::new();
    for scenario in group {
        firsts.push(loads.len());
        for request in scenario.requests() {
            loads.push(module::prepare(&host.exec, &host.env, kernel, &request)?);
        }
    }
    // Only a scenario that is alone has a script.
    let script = group.iter().find_map(|s| s.script_path());
    let plan = Plan {
        counts: true,
        ..Plan::new(&loads, script.as_deref())
    };
    Ok((plan, firsts))
}

fn judge(
    scenario: &Scenario,
    first: usize,
    kernel: &Kernel,
    model: &Model,
    plan: &Plan,
    outcome: &Outcome,
) -> Vec<String> {
    if let Err(error) = verdict::of(outcome, plan) {
        return vec![sentence(&error)];
    }
    let Ok(report) = &outcome.report else {
        return vec!["the log was not understood".to_owned()];
    };
    let mut wrong = Vec::new();
    for (index, step) in scenario.steps.iter().enumerate() {
        let found = findings_of(report, plan, first + index);
        let warned = warnings_of(report, plan, first + index);
        let mut differences = compare(step, kernel.flavor, &found);
        differences.extend(compare_warnings(step, kernel.flavor, &warned));
        if kernel.flavor == Flavor::Rust && scenario.debug_pagealloc {
            differences.extend(judge_counts(plan, outcome, first + index));
        }
        let name = format!("{} {}", step.module.display(), step.params.join(","));
        wrong.extend(differences.into_iter().map(|d| format!("{name}: {d}")));
    }
    // A script comes after all modules; it has to be silent, and to end well even if modules had findings.
    if scenario.script.is_some() {
        let found = findings_of(report, plan, first + scenario.steps.len());
        wrong.extend(found.iter().map(|f| format!("script: found {}", f.title)));
        wrong.extend(script_result(plan, outcome));
    }
    if scenario.kunit.is_none() {
        wrong.extend(outside(report, kernel.flavor));
    }
    wrong.extend(judge_log(
        scenario,
        kernel.flavor,
        scenario.is_first(model),
        outcome,
    ));
    if !wrong.is_empty() {
        wrong.push(format!("kernel log: {}", outcome.log.display()));
    }
    wrong
}

fn sentence(error: &Error) -> String {
    let source = std::error::Error::source(error);
    let reason = source.map(|s| format!("\n{s}")).unwrap_or_default();
    format!("{error}{reason}\n{}", error.advice().unwrap_or(""))
}

/// Whether a step serves a request: a module's loading and its unloading do.
fn serves(plan: &Plan, request: usize, step: Option<u32>) -> bool {
    let step = step.and_then(|n| plan.step(n));
    step.is_some_and(|s| s.request == request)
}

/// Findings of all steps that serve one request.
fn findings_of<'a>(report: &'a Report, plan: &Plan, request: usize) -> Vec<&'a Finding> {
    let findings = report.findings.iter();
    findings.filter(|f| serves(plan, request, f.step)).collect()
}

/// Warnings of all steps that serve one request.
fn warnings_of<'a>(report: &'a Report, plan: &Plan, request: usize) -> Vec<&'a Warning> {
    let warnings = report.warnings.iter();
    warnings.filter(|w| serves(plan, request, w.step)).collect()
}

/// Once a module is gone, as much has to be counted as before it came.
fn judge_counts(plan: &Plan, outcome: &Outcome, request: usize) -> Vec<String> {
    let of_request = |number| serves(plan, request, Some(number));
    let Some((before, after)) = outcome.answers.counts_around(of_request) else {
        return vec!["the guest did not say what is counted".to_owned()];
    };
    let mut wrong = Vec::new();
    if after.sum != before.sum {
        wrong.push(format!(
            "the counts add up to {} after it, {} before",
            after.sum, before.sum
        ));
    }
    if after.negative != before.negative {
        wrong.push(format!(
            "{} pages have a negative count after it, {} before",
            after.negative, before.negative
        ));
    }
    wrong
}

fn script_result(plan: &Plan, outcome: &Outcome) -> Option<String> {
    let mut steps = (1..).zip(plan.steps());
    let (number, _) = steps.find(|(_, s)| s.action == Action::Script)?;
    match outcome.answers.result(number) {
        Some(0) => None,
        Some(rc) => Some(format!("script: rc={rc}")),
        None => Some("script: did not run".to_owned()),
    }
}

/// `first`: the machine is the first of the scenario's, which has all that it needs.
fn judge_log(scenario: &Scenario, flavor: Flavor, first: bool, outcome: &Outcome) -> Vec<String> {
    let bytes = fs::read(&outcome.log).unwrap_or_default();
    let mut log = String::from_utf8_lossy(&bytes).into_owned();
    if let Some(kunit) = &scenario.kunit {
        return judge_kunit(ktap::suite(&log, &kunit.suite), kunit, first);
    }
    for (_, line) in &outcome.answers.output {
        log.push_str(line);
        log.push('\n');
    }
    let mut wrong = judge_texts(&scenario.log, &log);
    if flavor == Flavor::C {
        wrong.extend(judge_texts(&scenario.reference_log, &log));
    }
    wrong
}

fn judge_texts(expected: &Log, log: &str) -> Vec<String> {
    let missing = expected.has.iter().filter(|t| !log.contains(*t));
    let unwanted = expected.lacks.iter().filter(|t| log.contains(*t));
    let missing = missing.map(|t| format!("the log does not say: {t}"));
    missing
        .chain(unwanted.map(|t| format!("the log says: {t}")))
        .collect()
}

fn judge_kunit(suite: Option<ktap::Suite>, kunit: &Kunit, first: bool) -> Vec<String> {
    let Some(suite) = suite else {
        return vec!["the KUnit suite did not run".to_owned()];
    };
    let may = |case: &&String| {
        let name = case.split(' ').next().unwrap_or_default();
        !first && kunit.may_skip.iter().any(|c| c == name)
    };
    let (skipped, missed): (Vec<_>, Vec<_>) = suite.skipped.iter().partition(may);
    let mut wrong: Vec<String> = suite
        .failed
        .iter()
        .map(|c| format!("KUnit: {} failed", c.name))
        .collect();
    wrong.extend(missed.iter().map(|c| format!("KUnit: {c} was skipped")));
    if suite.ok != Some(true) {
        wrong.push("KUnit: the suite did not pass".to_owned());
    }
    let run = suite.passed.len() + skipped.len();
    if suite.planned != Some(run) || run < kunit.at_least {
        wrong.push(format!(
            "KUnit: {run} cases passed, of {:?} planned",
            suite.planned
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_may_be_skipped_only_where_the_file_says_so() {
        let kunit = Kunit {
            suite: "s".into(),
            at_least: 2,
            may_skip: vec!["test_b".into()],
        };
        let suite = |skipped: &str| ktap::Suite {
            passed: vec!["test_a".into()],
            skipped: vec![skipped.to_owned()],
            planned: Some(2),
            ok: Some(true),
            ..ktap::Suite::default()
        };
        let wrong = |skipped, first| judge_kunit(Some(suite(skipped)), &kunit, first);
        assert_eq!(wrong("test_b # SKIP no page", false), Vec::<String>::new());
        assert_eq!(wrong("test_b # SKIP no page", true).len(), 2);
        assert_eq!(wrong("test_bb # SKIP", false).len(), 2);
    }
}
