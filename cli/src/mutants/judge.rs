// SPDX-License-Identifier: GPL-2.0-only
//! What a guest's log says of a mutant: caught, missed, or nothing that counts.

use std::collections::BTreeSet;

use dmasan_report::{Finding, Origin, Report};

use crate::boot::{End, Outcome};
use crate::error::Error;
use crate::guest::Plan;
use crate::kernel::Flavor;

use super::column::Column;
use super::file::{Expected, Known};
use super::guest::{MUTANT, TWIN};

/// How a mutant fared in a column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The sanitizer spoke up.
    Caught {
        /// What it calls the bug; in the words of DMA_API_DEBUG where it was that.
        classes: BTreeSet<String>,
        /// Whether the report names the driver, its device, or one of its functions.
        named: bool,
    },
    /// It said nothing.
    Missed,
    /// Nothing is known, for this reason.
    NotRun(String),
}

/// What makes a report one about the driver.
#[derive(Clone, Debug)]
pub struct Marks {
    /// Names of its modules.
    pub modules: Vec<String>,
    /// The address of its device.
    pub device: String,
    /// What is found in the driver as it is.
    pub known: Vec<Known>,
}

impl Marks {
    /// Whether one of the lines names the driver.
    fn name<'a>(&self, mut lines: impl Iterator<Item = &'a str>) -> bool {
        let modules: Vec<String> = self.modules.iter().map(|m| format!("[{m}]")).collect();
        lines.any(|l| l.contains(&self.device) || modules.iter().any(|m| l.contains(m)))
    }

    /// Whether DMA_API_DEBUG complains of this without any bug, too.
    fn know_complaint(&self, line: &str) -> bool {
        self.known.iter().any(|k| k.class == kind(line))
    }

    /// Whether a finding is one that the driver has as it is.
    fn know(&self, finding: &Finding) -> bool {
        let is = |k: &Known| {
            let site = finding.site.as_ref();
            k.class == finding.class.as_str()
                && site.is_some_and(|s| s.symbol.starts_with(&k.symbol))
        };
        self.known.iter().any(is)
    }
}

/// Judges a guest. The driver without the bug has to work and to stay silent; otherwise nothing that is said later counts.
/// Fails if the user has interrupted it.
pub fn judge(
    column: Column,
    plan: &Plan,
    outcome: &Outcome,
    marks: &Marks,
) -> Result<Verdict, Error> {
    if outcome.end == End::Interrupted {
        return Err(Error::interrupted());
    }
    Ok(match &outcome.report {
        Ok(report) => of_report(column, plan, outcome, report, marks),
        Err(why) => Verdict::NotRun(format!("the log was not understood: {why}")),
    })
}

fn of_report(
    column: Column,
    plan: &Plan,
    outcome: &Outcome,
    report: &Report,
    marks: &Marks,
) -> Verdict {
    if let Some(why) = twin(plan, outcome) {
        return Verdict::NotRun(why);
    }
    let mut classes = BTreeSet::new();
    let mut named = false;
    let mut said = |class: &str, names: bool| {
        classes.insert(class.to_owned());
        named |= names;
    };
    if column.flavor() == Flavor::DmaApiDebug {
        let log = std::fs::read(&outcome.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        for (request, line) in complaints(&log, plan) {
            match request {
                _ if marks.know_complaint(&line) => {}
                TWIN => return Verdict::NotRun(format!("a complaint without the bug: {line}")),
                _ => said(kind(&line), marks.name([line.as_str()].into_iter())),
            }
        }
    } else {
        // Where the log has lost lines, what is left of a report of ours looks like one of the reference's.
        let own = |f: &&Finding| column.flavor() != Flavor::Rust || f.origin == Origin::Dmasan;
        for finding in report
            .findings
            .iter()
            .filter(own)
            .filter(|f| !marks.know(f))
        {
            match request_at(report, plan, finding.line) {
                MUTANT => said(finding.class.as_str(), marks.name(lines(finding))),
                _ => {
                    let text = format!("a finding without the bug: {}", finding.title);
                    return Verdict::NotRun(text);
                }
            }
        }
    }
    match (classes.is_empty(), reached(plan, outcome)) {
        (false, _) => Verdict::Caught { classes, named },
        (true, None) => Verdict::Missed,
        (true, Some(why)) => Verdict::NotRun(why),
    }
}

/// The request that a line of the log belongs to: that of the last step before it, as pages may be freed between two steps.
fn request_at(report: &Report, plan: &Plan, line: u64) -> usize {
    let before = report.steps.iter().take_while(|s| s.line <= line);
    let step = before.last().and_then(|s| plan.step(s.index));
    step.map_or(TWIN, |s| s.request)
}

fn lines(finding: &Finding) -> impl Iterator<Item = &str> {
    finding.raw.iter().map(String::as_str)
}

/// Why the driver without the bug was not seen at work.
fn twin(plan: &Plan, outcome: &Outcome) -> Option<String> {
    steps_of(plan, TWIN).find_map(|(number, text)| match outcome.answers.result(number) {
        Some(0) => None,
        Some(rc) => Some(format!(
            "`{text}` failed without the bug (rc={rc}): {}",
            outcome.answers.output_of(number).join("; ")
        )),
        None => Some(format!("the guest did not get to the end of `{text}`")),
    })
}

/// Why the driver with the bug was not seen at work. It may fail, but not to load.
fn reached(plan: &Plan, outcome: &Outcome) -> Option<String> {
    steps_of(plan, MUTANT).find_map(|(number, text)| match outcome.answers.result(number) {
        Some(0) => None,
        Some(rc) => Some(format!(
            "nothing was said, and `{text}` failed with the bug (rc={rc})"
        )),
        None => Some(format!(
            "nothing was said until `{text}`, which did not end"
        )),
    })
}

fn steps_of(plan: &Plan, request: usize) -> impl Iterator<Item = (u32, &str)> {
    let steps = (1..).zip(plan.steps());
    steps
        .filter(move |(_, s)| s.request == request)
        .map(|(n, s)| (n, s.text.as_str()))
}

/// Lines in which CONFIG_DMA_API_DEBUG complains of something, each with its request.
fn complaints(log: &str, plan: &Plan) -> Vec<(usize, String)> {
    let mut current = None;
    let mut found = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("dmasan: step ") {
            let mut words = rest.split(' ').skip(1);
            let number = words.next().and_then(|n| n.parse().ok());
            current = number.and_then(|n| plan.step(n)).map(|s| s.request);
        }
        let Some((_, text)) = line.split_once("DMA-API: ") else {
            continue;
        };
        // What it says of itself, and of two mappings of one cache line, is no complaint of an unmap.
        let complaint = text.contains("device driver") && !text.contains("cacheline");
        if let (true, Some(request)) = (complaint, current) {
            found.push((request, text.to_owned()));
        }
    }
    found
}

/// A complaint of CONFIG_DMA_API_DEBUG in few words.
fn kind(line: &str) -> &'static str {
    const KINDS: [(&str, &str); 7] = [
        ("pending DMA allocations", "pending at unbind"),
        ("different size", "size"),
        ("wrong function", "function"),
        ("different direction", "direction"),
        ("has not allocated", "not mapped"),
        ("failed to check map error", "error not checked"),
        ("sync", "sync"),
    ];
    let found = KINDS.into_iter().find(|(text, _)| line.contains(text));
    found.map_or("other", |(_, kind)| kind)
}

/// How a verdict differs from what is expected.
pub fn difference(expected: &Expected, verdict: &Verdict) -> Option<String> {
    match (expected, verdict) {
        (_, Verdict::NotRun(_)) | (Expected::Chance(_), _) => None,
        (Expected::Missed(_), Verdict::Missed) => None,
        (Expected::Caught(_), Verdict::Missed) => Some("missed".to_owned()),
        (Expected::Missed(_), Verdict::Caught { classes, .. }) => Some(format!(
            "caught ({}), and expected to be missed: mend mutants.toml",
            join(classes)
        )),
        (Expected::Caught(wanted), Verdict::Caught { classes, .. }) => {
            let lacking: Vec<&str> = wanted
                .iter()
                .filter(|c| !classes.contains(*c))
                .map(String::as_str)
                .collect();
            (!lacking.is_empty())
                .then(|| format!("found {}, and not {}", join(classes), lacking.join(", ")))
        }
    }
}

/// Classes in one line.
pub fn join(classes: &BTreeSet<String>) -> String {
    let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
    classes.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::error::Exit;
    use crate::guest::{Action, Step};

    fn plan() -> Plan {
        let step = |request| Step {
            action: Action::Phase("use".to_owned()),
            text: "x".to_owned(),
            request,
        };
        Plan {
            work: vec![step(TWIN), step(MUTANT)],
            ..Plan::default()
        }
    }

    fn set(classes: &[&str]) -> BTreeSet<String> {
        classes.iter().map(|c| (*c).to_owned()).collect()
    }

    #[test]
    fn complaints_belong_to_their_step() {
        let log = "\
[    0.1] DMA-API: preallocated 65536 debug entries
[    1.0] dmasan: step 77 1 begin twin use
[    1.1] DMA-API: e1000 0000:00:10.0: device driver maps one cacheline twice
[    1.2] dmasan: step 77 1 end rc=0
[    2.0] dmasan: step 77 2 begin mutant use
[    2.1] DMA-API: e1000 0000:00:10.0: device driver frees DMA memory with different size [device address=0x1]
[    2.2] DMA-API: Mapped at:
";
        let found = complaints(log, &plan());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, kind(&found[0].1)), (MUTANT, "size"));
        let marks = |class: &str| Marks {
            modules: Vec::new(),
            device: String::new(),
            known: vec![Known {
                class: class.to_owned(),
                symbol: String::new(),
                why: String::new(),
            }],
        };
        assert!(marks("size").know_complaint(&found[0].1));
        assert!(!marks("function").know_complaint(&found[0].1));
        let other = "device driver failed to check map error[device address=0x1] [size=192 bytes]";
        assert!(marks("error not checked").know_complaint(other));
    }

    #[test]
    fn an_interrupted_guest_has_no_verdict() {
        let marks = Marks {
            modules: Vec::new(),
            device: String::new(),
            known: Vec::new(),
        };
        let judge = |end| judge(Column::Origin, &plan(), &Outcome::of_log(end, ""), &marks);
        let hung = judge(End::Hang(Duration::ZERO)).unwrap();
        assert!(matches!(hung, Verdict::NotRun(_)), "{hung:?}");
        let error = judge(End::Interrupted).unwrap_err();
        assert_eq!(error.exit(), Exit::Interrupted);
    }

    #[test]
    fn reports_are_about_a_driver_if_they_name_it() {
        let marks = Marks {
            modules: vec!["e1000".to_owned()],
            device: "0000:00:10.0".to_owned(),
            known: Vec::new(),
        };
        let names = |line: &str| marks.name([line].into_iter());
        assert!(names(" e1000_clean+0x1/0x2 [e1000]"));
        assert!(names("[device=0000:00:10.0] [driver=e1000]"));
        assert!(!names(" e1000e_clean+0x1/0x2 [e1000e]"));
        assert!(!names("[device=0000:00:01.0] [task=e1000]"));
    }

    #[test]
    fn differences() {
        let caught = |classes: &[&str]| Verdict::Caught {
            classes: set(classes),
            named: true,
        };
        let wanted =
            |classes: &[&str]| Expected::Caught(classes.iter().map(|c| (*c).to_owned()).collect());
        let missed = Expected::Missed("because".to_owned());
        assert_eq!(difference(&wanted(&["a"]), &caught(&["a", "b"])), None);
        assert_eq!(difference(&missed, &Verdict::Missed), None);
        let text = difference(&wanted(&["a", "c"]), &caught(&["a", "b"])).unwrap();
        assert_eq!(text, "found a, b, and not c");
        assert!(difference(&wanted(&[]), &Verdict::Missed).is_some());
        assert!(difference(&missed, &caught(&["a"]))
            .unwrap()
            .contains("mend mutants.toml"));
        let chance = Expected::Chance("because".to_owned());
        assert_eq!(difference(&chance, &Verdict::Missed), None);
        assert_eq!(difference(&chance, &caught(&["a"])), None);
        // What did not run differs from nothing; the caller counts it.
        assert_eq!(
            difference(&wanted(&["a"]), &Verdict::NotRun(String::new())),
            None
        );
    }
}
