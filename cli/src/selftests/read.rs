// SPDX-License-Identifier: GPL-2.0-only
//! What a guest left of its suites: results of the tests, findings, warnings, counts.

use std::fs;

use dmasan_report::Report;

use crate::boot::Outcome;
use crate::console::Counts;
use crate::ktap::{self, Failed};
use crate::selftests::script::MARK;
use crate::selftests::suite::{How, Suite};

/// How many lines of the log a failed test shows.
const LINES: usize = 12;

/// One suite, as it went in one guest.
#[derive(Clone, PartialEq, Debug)]
pub struct Ran {
    /// Which.
    pub suite: &'static Suite,
    /// Tests that passed.
    pub passed: Vec<String>,
    /// Tests that failed, with the last lines before that.
    pub failed: Vec<Failed>,
    /// Tests that skipped themselves, with the reason.
    pub skipped: Vec<String>,
    /// Titles of what the sanitizer found meanwhile.
    pub findings: Vec<String>,
    /// Warnings of the kernel meanwhile, and its troubles, without what differs from run to run.
    pub warnings: Vec<String>,
    /// What was counted before and after; none without the sanitizer.
    pub counts: Option<(Counts, Counts)>,
    /// Seconds that it took.
    pub seconds: f64,
    /// Why nothing is known of it, or not all.
    pub broken: Option<String>,
}

/// Reads all suites of a guest.
pub fn all(suites: &[&'static Suite], outcome: &Outcome, report: &Report) -> Vec<Ran> {
    let bytes = fs::read(&outcome.log).unwrap_or_default();
    let log = String::from_utf8_lossy(&bytes);
    let output: Vec<&str> = outcome
        .answers
        .output
        .iter()
        .map(|(_, l)| l.as_str())
        .collect();
    suites
        .iter()
        .map(|s| one(s, &log, &output, report))
        .collect()
}

/// Reads one suite out of a kernel log and of what the guest's script printed.
fn one(suite: &'static Suite, log: &str, output: &[&str], report: &Report) -> Ran {
    let mut ran = Ran::new(suite);
    let lines: Vec<&str> = log.lines().collect();
    let Some(part) = Part::of(suite, &lines) else {
        ran.broken = Some("the guest did not come to it".to_owned());
        return ran;
    };
    if !part.ended {
        ran.broken = Some("the guest did not come to its end".to_owned());
    }
    // Lines have numbers from 1.
    let inside = |line: u64| (part.first + 1..=part.last).contains(&line);
    let findings = report.findings.iter().filter(|f| inside(f.line));
    ran.findings = findings.map(|f| f.title.clone()).collect();
    let warnings = report.warnings.iter().filter(|w| inside(w.line));
    ran.warnings = warnings.map(|w| lasting(&w.text)).collect();
    let trouble = report.trouble.iter().filter(|t| inside(t.line));
    ran.warnings.extend(trouble.map(|t| lasting(&t.text)));
    ran.seconds = part.seconds;
    let text = &lines[part.first as usize..part.last as usize];
    let said = between(suite.name, output);
    ran.counts = said.as_ref().and_then(|s| s.counts);
    match suite.how {
        How::Kunit(names) => ran.kunit(names, &text.join("\n")),
        How::Boot(says) | How::Load(says) => {
            let rc = said.map_or(0, |s| s.rc);
            let well = rc == 0 && text.iter().any(|l| l.contains(says));
            ran.single(well, text);
        }
        How::Benchmark(_) => match said {
            Some(said) => ran.single(said.rc == 0, &said.lines),
            None => ran.broken = Some("the benchmark did not end".to_owned()),
        },
        How::Program(..) => match said {
            Some(said) => ran.take(ktap::program(&said.lines), suite.name),
            None => ran.broken = Some("the program did not end".to_owned()),
        },
    }
    ran
}

impl Ran {
    /// A suite of which nothing is known yet.
    pub fn new(suite: &'static Suite) -> Ran {
        Ran {
            suite,
            passed: Vec::new(),
            failed: Vec::new(),
            skipped: Vec::new(),
            findings: Vec::new(),
            warnings: Vec::new(),
            counts: None,
            seconds: 0.0,
            broken: None,
        }
    }

    fn kunit(&mut self, names: &[&str], text: &str) {
        for name in names {
            match ktap::suite(text, name) {
                Some(suite) => self.take(suite, name),
                None => self.broken = Some(format!("the KUnit suite {name} did not run")),
            }
        }
    }

    fn take(&mut self, suite: ktap::Suite, name: &str) {
        let run = suite.passed.len() + suite.failed.len() + suite.skipped.len();
        if suite.ok.is_none() || suite.planned != Some(run) {
            let planned = suite
                .planned
                .map_or("an unknown number".to_owned(), |n| n.to_string());
            self.broken = Some(format!("{name}: {run} of {planned} tests have a result"));
        }
        self.passed.extend(suite.passed);
        self.failed.extend(suite.failed);
        self.skipped.extend(suite.skipped);
    }

    /// A suite that is one test.
    fn single(&mut self, well: bool, text: &[&str]) {
        let name = self.suite.name.to_owned();
        match well {
            true => self.passed.push(name),
            false => self.failed.push(Failed {
                name,
                lines: last(text.iter().map(|l| (*l).to_owned()).collect()),
            }),
        }
    }

    /// How many tests there were.
    pub fn tests(&self) -> usize {
        self.passed.len() + self.failed.len() + self.skipped.len()
    }
}

/// The last lines of several.
pub fn last(mut lines: Vec<String>) -> Vec<String> {
    lines.split_off(lines.len().saturating_sub(LINES))
}

/// A suite's part of the kernel log: indices of lines, which are numbers of lines less one.
struct Part {
    first: u64,
    last: u64,
    ended: bool,
    seconds: f64,
}

impl Part {
    fn of(suite: &Suite, lines: &[&str]) -> Option<Part> {
        let position = |mark: &str| lines.iter().position(|l| l.contains(mark));
        let (begin, end) = match suite.how {
            How::Boot(_) => (0, position(&format!("{MARK} boot end"))),
            _ => (
                position(&format!("{MARK} {} begin", suite.name))?,
                position(&format!("{MARK} {} end", suite.name)),
            ),
        };
        let last = end.unwrap_or(lines.len());
        let time = |at: usize| lines.get(at).and_then(|l| seconds(l));
        let seconds = match suite.how {
            How::Boot(_) => None,
            _ => time(begin).zip(time(last)).map(|(from, to)| to - from),
        };
        Some(Part {
            first: begin as u64,
            last: last as u64,
            ended: end.is_some(),
            seconds: seconds.unwrap_or(0.0),
        })
    }
}

/// The time stamp of a line of the kernel log.
fn seconds(line: &str) -> Option<f64> {
    let (time, _) = line.strip_prefix('[')?.split_once(']')?;
    time.trim().parse().ok()
}

/// What the guest's script printed between the marks of a suite.
#[derive(Debug, PartialEq)]
struct Said<'a> {
    lines: Vec<&'a str>,
    rc: i32,
    counts: Option<(Counts, Counts)>,
}

/// None if the suite did not end.
fn between<'a>(name: &str, output: &[&'a str]) -> Option<Said<'a>> {
    let begin = format!("{MARK} {name} begin");
    let end = format!("{MARK} {name} end rc=");
    let first = output.iter().position(|l| *l == begin)?;
    let length = output[first..].iter().position(|l| l.starts_with(&end))?;
    let words = &output[first + length][end.len()..];
    let (rc, counts) = words.split_once(" counts ").unwrap_or((words, ""));
    let counts: Vec<i64> = counts.split(' ').filter_map(|w| w.parse().ok()).collect();
    let counts = match counts.as_slice() {
        [sum, negative, sum_after, negative_after] => {
            let of = |sum: i64, negative: i64| Counts {
                sum,
                negative: negative as u64,
            };
            Some((of(*sum, *negative), of(*sum_after, *negative_after)))
        }
        _ => None,
    };
    Some(Said {
        lines: output[first + 1..first + length].to_vec(),
        rc: rc.parse().unwrap_or(-1),
        counts,
    })
}

/// A warning without what differs from run to run: the CPU, the task, offsets in functions.
fn lasting(warning: &str) -> String {
    let text = warning.split(", CPU#").next().unwrap_or(warning);
    let text = text.split(" CPU: ").next().unwrap_or(text);
    let words = text.split(' ').filter(|w| !w.is_empty());
    let cut = |w: &str| w.split("+0x").next().unwrap_or(w).to_owned();
    words.map(cut).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_compared_without_what_differs() {
        let text = "WARNING: drivers/iommu/x.c:12 at f+0x1f/0x80, CPU#1: task/77";
        assert_eq!(lasting(text), "WARNING: drivers/iommu/x.c:12 at f");
    }

    const LOG: &str = "\
[    0.000000] Linux version 7.3.4 (dmasan@dmasan) (gcc) #1 SMP
[    0.100000] arm-v7s io-pgtable: self test ok
[    1.900000][   T70] dmasan: selftest boot end
[    2.000000][   T70] dmasan: selftest io-pgtable-arm begin
[    2.100000][   T71]     # Subtest: io-pgtable-arm-test
[    2.100000][   T71]     1..2
[    2.200000][   T71]     ok 1 one
[    2.300000][   T71] WARNING: drivers/iommu/x.c:7 at f+0x1/0x2, CPU#0: x/71
[    2.400000][   T71]     # two: EXPECTATION FAILED at x.c:9
[    2.400000][   T71]     not ok 2 two
[    2.400000][   T71] not ok 1 io-pgtable-arm-test
[    4.500000][   T70] dmasan: selftest io-pgtable-arm end rc=0
[    4.600000][   T70] WARNING: drivers/iommu/x.c:8 at g+0x1/0x2, CPU#0: x/71
";

    fn read(name: &str, log: &str, output: &[&str]) -> Ran {
        let report = dmasan_report::parse(log.as_bytes()).unwrap();
        one(Suite::find(name).unwrap(), log, output, &report)
    }

    #[test]
    fn a_suite_is_what_stands_between_its_marks() {
        let output = [
            "dmasan: selftest io-pgtable-arm begin",
            "dmasan: selftest io-pgtable-arm end rc=0 counts 3 0 3 0",
        ];
        let ran = read("io-pgtable-arm", LOG, &output);
        assert_eq!(
            (ran.passed.as_slice(), ran.tests()),
            (&["one".to_owned()][..], 2)
        );
        assert_eq!(ran.failed[0].name, "two");
        assert!(
            ran.failed[0].lines[1].contains("EXPECTATION FAILED"),
            "{ran:?}"
        );
        assert_eq!(ran.warnings, ["WARNING: drivers/iommu/x.c:7 at f"]);
        assert!((ran.seconds - 2.5).abs() < 1e-6 && ran.counts.is_some());
        assert_eq!(ran.broken, None);
        let boot = read("io-pgtable-arm-v7s", LOG, &output);
        assert_eq!((boot.passed.len(), boot.warnings.len()), (1, 0));
    }

    #[test]
    fn a_log_that_stops_is_noticed() {
        let cut = &LOG[..LOG.find("    # two").unwrap()];
        let ran = read("io-pgtable-arm", cut, &[]);
        assert!(ran.broken.is_some(), "{ran:?}");
        let none = &LOG[..LOG.find("[    1.9").unwrap()];
        let ran = read("io-pgtable-arm", none, &[]);
        assert_eq!(ran.broken.unwrap(), "the guest did not come to it");
        assert!(read("io-pgtable-arm-v7s", none, &[]).broken.is_some());
        let bad = LOG.replace("self test ok", "selftest: test failed");
        let boot = read("io-pgtable-arm-v7s", &bad, &[]);
        assert_eq!(boot.failed.len(), 1);
        assert!(boot.failed[0].lines[1].ends_with("test failed"), "{boot:?}");
    }

    #[test]
    fn a_program_is_what_stands_between_its_marks() {
        let output = [
            "dmasan: selftest a begin",
            "ok 1 x",
            "dmasan: selftest a end rc=3 counts 7 0 8 1",
            "dmasan: selftest b begin",
            "ok 1 y",
        ];
        let said = between("a", &output).unwrap();
        assert_eq!((said.lines.as_slice(), said.rc), (&["ok 1 x"][..], 3));
        let (before, after) = said.counts.unwrap();
        assert_eq!((before.sum, after.sum, after.negative), (7, 8, 1));
        assert_eq!(between("b", &output), None);
        let output = [
            "dmasan: selftest a begin",
            "dmasan: selftest a end rc=0 counts    ",
        ];
        assert_eq!(between("a", &output).unwrap().counts, None);
    }
}
