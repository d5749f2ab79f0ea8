// SPDX-License-Identifier: GPL-2.0-only
//! A report as JUnit XML, for what shows the results of tests.
//!
//! Each run is a suite, each of its steps a test case. Findings are failures; what keeps a step from being judged (a
//! report that is cut, a kernel that failed, no end, an exit code) is an error. What is outside of all steps is in a
//! suite of its own.

use crate::group::{groups, Group};
use crate::model::{BootState, Finding, Report, Step, TroubleKind};
use crate::text::{headline, place, printable, write_lines};
use quick_xml::events::{BytesDecl, BytesText, Event};
use quick_xml::Writer;
use std::io;

/// Writes a report, indented, with a line end.
pub fn to_string(report: &Report) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Memory takes all that is written to it, and it is text that is written.
    write(&mut writer, &suites(report)).expect("memory can be written");
    let mut text = String::from_utf8(writer.into_inner()).expect("XML of strings is text");
    text.push('\n');
    text
}

/// Name of the suite of what belongs to no step.
const OUTSIDE: &str = "log";

struct Suite {
    name: String,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    /// Why its success means nothing.
    skipped: Option<String>,
    errors: Vec<Problem>,
    failures: Vec<Problem>,
    /// What else the kernel said.
    output: Vec<String>,
}

struct Problem {
    kind: String,
    message: String,
    text: String,
}

impl Case {
    fn named(name: String) -> Case {
        Case {
            name,
            skipped: None,
            errors: Vec::new(),
            failures: Vec::new(),
            output: Vec::new(),
        }
    }

    fn error(&mut self, kind: &str, message: String) {
        self.errors.push(Problem {
            kind: kind.to_owned(),
            message,
            text: String::new(),
        });
    }

    fn finding(&mut self, group: &Group<'_>) {
        let finding = group.first();
        let mut message = headline(finding);
        let count = group.findings().len();
        if count > 1 {
            message.push_str(&format!(" ({count} times)"));
        }
        let mut text = String::new();
        write_lines(&mut text, finding);
        self.failures.push(Problem {
            kind: clean(finding.class.as_str()),
            message,
            text,
        });
        for finding in group.findings() {
            if let Some(cut) = finding.cut {
                let message = format!(
                    "the report at line {} is cut at line {}: {}",
                    finding.line, cut.line, cut.by
                );
                self.error("truncated", message);
            }
        }
    }
}

/// One for each run, and one for what is outside of runs.
fn suites(report: &Report) -> Vec<Suite> {
    let mut suites: Vec<Suite> = Vec::new();
    let mut runs: Vec<&str> = Vec::new();
    for step in &report.steps {
        let case = of_step(report, step);
        match runs.iter().position(|nonce| *nonce == step.nonce) {
            Some(at) => suites[at].cases.push(case),
            None => {
                runs.push(&step.nonce);
                // By its number: nonces differ each time, and a case has to be known again.
                suites.push(Suite {
                    name: format!("run {}", runs.len()),
                    cases: vec![case],
                });
            }
        }
    }
    let cases = outside(report);
    if !cases.is_empty() {
        suites.push(Suite {
            name: OUTSIDE.to_owned(),
            cases,
        });
    }
    suites
}

fn of_step(report: &Report, step: &Step) -> Case {
    let mut case = Case::named(format!("{} {}", step.index, clean(&step.text)));
    let mine = |found: Option<&Step>| found.is_some_and(|found| found.line == step.line);
    let findings = report.findings.iter();
    let findings = findings.filter(|finding| mine(report.step_of(finding)));
    for group in groups(findings) {
        case.finding(&group);
    }
    events(report, Some(step), &mut case);
    if !step.ended {
        case.error(
            "no-end",
            "the log does not show the end of this step".to_owned(),
        );
    }
    match step.rc {
        Some(rc) if rc != 0 => case.error("exit", format!("this step ended with {rc}")),
        _ => {}
    }
    case.skipped = off(report).filter(|_| case.errors.is_empty() && case.failures.is_empty());
    case
}

/// Findings outside of steps, each by itself, and what concerns the log as a whole.
fn outside(report: &Report) -> Vec<Case> {
    let findings = report.findings.iter();
    let findings: Vec<&Finding> = findings.filter(|f| report.step_of(f).is_none()).collect();
    let mut cases: Vec<_> = groups(findings)
        .iter()
        .map(|group| {
            let finding = group.first();
            let mut name = match finding.site {
                Some(_) => headline(finding),
                None => clean(&finding.title),
            };
            if let Some(site) = finding.map_site() {
                name.push_str(&format!(", mapped in {}", place(site)));
            }
            let mut case = Case::named(name);
            case.finding(group);
            case
        })
        .collect();
    let mut log = Case::named("the log".to_owned());
    events(report, None, &mut log);
    if report.left_out > 0 {
        let message = format!(
            "{} more findings, troubles or warnings were left out",
            report.left_out
        );
        log.error("left-out", message);
    }
    let nothing = report.steps.is_empty() && cases.is_empty();
    log.skipped = off(report).filter(|_| log.errors.is_empty());
    if nothing || !log.errors.is_empty() || !log.output.is_empty() {
        cases.push(log);
    }
    cases
}

/// What happened to the kernel in a step, or outside of all.
fn events(report: &Report, step: Option<&Step>, case: &mut Case) {
    // Steps of several runs have the same numbers.
    let is_in = |index: Option<u32>, line: u64| {
        let steps = report.steps.iter().rev();
        let at = index.and_then(|i| steps.clone().find(|s| s.index == i && s.line < line));
        at.map(|at| at.line) == step.map(|step| step.line)
    };
    for trouble in &report.trouble {
        if !is_in(trouble.step, trouble.line) {
            continue;
        }
        let text = clean(&trouble.text);
        let message = format!("log line {}: {text}", trouble.line);
        match trouble.kind {
            TroubleKind::Panic => case.error("panic", message),
            TroubleKind::Oops => case.error("oops", message),
            _ => case.output.push(message),
        }
    }
    for warning in &report.warnings {
        if is_in(warning.step, warning.line) {
            let text = clean(&warning.text);
            case.output
                .push(format!("log line {}: {text}", warning.line));
        }
    }
}

/// Why it means nothing that nothing was found.
fn off(report: &Report) -> Option<String> {
    let Some(boot) = &report.boot else {
        let unknown = "the log does not show that the sanitizer was on";
        return report.findings.is_empty().then(|| unknown.to_owned());
    };
    let notes = boot.notes.iter().map(|note| clean(note));
    (boot.state == BootState::Off).then(|| notes.collect::<Vec<_>>().join("; "))
}

/// Harmless, and without a line end.
fn clean(text: &str) -> String {
    printable(text.trim_end()).into_owned()
}

fn write(writer: &mut Writer<Vec<u8>>, suites: &[Suite]) -> io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let cases = || suites.iter().flat_map(|suite| &suite.cases);
    let counts = counts(cases());
    let attributes = counts
        .iter()
        .map(|(name, count)| (*name, count.as_str()))
        .take(3);
    writer
        .create_element("testsuites")
        .with_attribute(("name", "dmasan"))
        .with_attributes(attributes)
        .write_inner_content(|writer| {
            suites
                .iter()
                .try_for_each(|suite| write_suite(writer, suite))
        })?;
    Ok(())
}

/// Cases by outcome; each case has one.
fn counts<'a>(cases: impl Iterator<Item = &'a Case> + Clone) -> [(&'static str, String); 4] {
    let count = |is: &dyn Fn(&&Case) -> bool| cases.clone().filter(is).count().to_string();
    let error = |case: &&Case| !case.errors.is_empty();
    let failure = |case: &&Case| case.errors.is_empty() && !case.failures.is_empty();
    [
        ("tests", count(&|_| true)),
        ("failures", count(&failure)),
        ("errors", count(&error)),
        ("skipped", count(&|case| case.skipped.is_some())),
    ]
}

fn write_suite(writer: &mut Writer<Vec<u8>>, suite: &Suite) -> io::Result<()> {
    let counts = counts(suite.cases.iter());
    let attributes = counts.iter().map(|(name, count)| (*name, count.as_str()));
    writer
        .create_element("testsuite")
        .with_attribute(("name", suite.name.as_str()))
        .with_attributes(attributes)
        .write_inner_content(|writer| {
            suite
                .cases
                .iter()
                .try_for_each(|case| write_case(writer, suite, case))
        })?;
    Ok(())
}

fn write_case(writer: &mut Writer<Vec<u8>>, suite: &Suite, case: &Case) -> io::Result<()> {
    let class = if suite.name == OUTSIDE {
        "dmasan.log"
    } else {
        "dmasan.step"
    };
    let element = writer
        .create_element("testcase")
        .with_attribute(("classname", class))
        .with_attribute(("name", case.name.as_str()));
    let nothing = case.errors.is_empty() && case.failures.is_empty() && case.output.is_empty();
    if nothing && case.skipped.is_none() {
        element.write_empty()?;
        return Ok(());
    }
    element.write_inner_content(|writer| {
        if let Some(reason) = &case.skipped {
            writer
                .create_element("skipped")
                .with_attribute(("message", reason.as_str()))
                .write_empty()?;
        }
        let errors = case.errors.iter().map(|problem| ("error", problem));
        let failures = case.failures.iter().map(|problem| ("failure", problem));
        for (name, problem) in errors.chain(failures) {
            let element = writer
                .create_element(name)
                .with_attribute(("type", problem.kind.as_str()))
                .with_attribute(("message", problem.message.as_str()));
            match problem.text.as_str() {
                "" => element.write_empty()?,
                text => element.write_text_content(BytesText::new(text))?,
            };
        }
        if !case.output.is_empty() {
            let text = case.output.join("\n");
            writer
                .create_element("system-err")
                .write_text_content(BytesText::new(&text))?;
        }
        Ok(())
    })?;
    Ok(())
}
