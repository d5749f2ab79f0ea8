// SPDX-License-Identifier: GPL-2.0-only
//! What a driver's guest has left, as a result: silence, or what there was instead.

use std::time::Duration;

use dmasan_report::Finding;

use crate::boot;
use crate::cell::{Cell, CellResult, Outcome};
use crate::drivers::file::Driver;
use crate::error::{Error, Exit};
use crate::guest::{Action, Plan};
use crate::kernel::Flavor;
use crate::run::count;
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
    /// How much the sanitizer has found that nobody knew.
    pub findings: usize,
    /// How much it has found of bugs that are known.
    pub known: usize,
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
            known: 0,
            left: None,
            took: Duration::ZERO,
        }
    }

    /// The same for the matrix.
    pub fn result(&self) -> CellResult {
        let group = self.group.as_deref().unwrap_or("?");
        let mut detail = format!("{group}, {} MiB", self.moved >> 20);
        if self.known > 0 {
            detail.push_str(&format!(", {} of known bugs", count(self.known, "finding")));
        }
        CellResult {
            detail: (self.outcome == Outcome::Passed).then_some(detail),
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
    // A driver that is part of the kernel has to be taken from the device first: that is not its own doing.
    let first = plan.steps().next().map(|s| &s.action);
    let taken = u32::from(first == Some(&Action::Phase("unbind".to_owned())));
    let around = outcome.answers.counts_around(|step| step > taken);
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
    let mut wrong = said(driver, &mut ran, plan, outcome);
    if let (Some((before, after)), Flavor::Rust) = (around, ran.cell.flavor) {
        let leaves = ran.known > 0 && driver.known.iter().any(|k| k.leaves);
        let as_known = leaves && after.sum > before.sum;
        if after.sum != before.sum && !as_known {
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
fn said(driver: &Driver, ran: &mut Ran, plan: &Plan, outcome: &boot::Outcome) -> Vec<String> {
    let Ok(report) = &outcome.report else {
        return vec!["the log was not understood".to_owned()];
    };
    let is_known = |f: &&Finding| driver.known.iter().any(|k| k.is(f));
    let (known, new): (Vec<_>, Vec<_>) = report.findings.iter().partition(is_known);
    (ran.known, ran.findings) = (known.len(), new.len());
    let during = |step: Option<u32>| match step.and_then(|n| plan.step(n)) {
        Some(step) => step.text.clone(),
        None => "outside of the steps".to_owned(),
    };
    let findings = new.into_iter().map(|f| (f.step, &f.title));
    let warnings = report.warnings.iter().map(|w| (w.step, &w.text));
    let warnings = warnings.filter(|(step, text)| !is_of_lost_disk(&during(*step), text));
    let all = findings.chain(warnings);
    let mut wrong: Vec<String> = all.map(|(s, t)| format!("{}: {t}", during(s))).collect();
    for (number, rc) in outcome.answers.results.iter().filter(|(_, rc)| *rc != 0) {
        let said = outcome.answers.output_of(*number);
        let why = said.iter().rev().find_map(|l| l.strip_prefix("FAILED: "));
        let why = why.map(|w| format!(": {w}")).unwrap_or_default();
        wrong.push(format!("{}: rc={rc}{why}", during(Some(*number))));
    }
    wrong
}

/// What the block layer warns of when a disk goes in the middle of a write: `docs/found.md`.
fn is_of_lost_disk(during: &str, warning: &str) -> bool {
    matches!(during, "yank" | "reset") && warning.contains(" at blkdev_writeback_range+")
}

fn sentence(error: &Error) -> String {
    match Outcome::not_run(error) {
        Outcome::NotRun(text) => text,
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::End;
    use crate::cell::Kind;
    use crate::console::Answers;
    use crate::drivers::plan;
    use crate::machine::Model;
    use std::path::Path;

    /// A guest that has run the phases of a driver: `answers` are said in its second step, `log` as well.
    fn ran(answers: &[&str], log: &str) -> Ran {
        ran_with("nvme", answers, log)
    }

    fn ran_with(name: &str, answers: &[&str], log: &str) -> Ran {
        let driver = Driver::find(&[name.to_owned()]).unwrap().remove(0);
        let model = <&Model>::default();
        let machine = driver.machine(model, false);
        let plan = plan::plan(&driver, &machine, &[], Path::new("/s"));
        let mut all = Answers::default();
        // The driver was there before the first step, which takes it away.
        let said = ["counts 1 54 0", "counts 1 10 0", "counts 2 10 0", "begin 2"];
        let said = said.iter().chain(answers);
        said.chain(&["done"]).for_each(|l| all.take(l));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let text = format!("[    0.000000] Linux version 7.3.4 (x)\n{log}");
        std::fs::write(&path, &text).unwrap();
        let outcome = boot::Outcome {
            end: End::Done,
            answers: all,
            report: dmasan_report::parse(text.as_bytes()),
            log: path,
            last_lines: Vec::new(),
            took: Duration::from_secs(3),
        };
        judge(
            &driver,
            Cell::new(Kind::Driver, "nvme", model),
            &plan,
            &outcome,
        )
    }

    const GOOD: [&str; 5] = [
        "| dmasan: group DMA",
        "| dmasan: moved 20000000",
        "| dmasan: moved 20000000",
        "step 2 rc=0",
        "counts 10 10 0",
    ];

    fn why(ran: &Ran) -> String {
        ran.outcome.why()
    }

    #[test]
    fn silence_and_enough_bytes_pass() {
        let ran = ran(&GOOD, "");
        assert_eq!(
            (ran.outcome.clone(), ran.exit),
            (Outcome::Passed, Exit::Clean)
        );
        assert_eq!((ran.moved, ran.left), (40_000_000, Some(0)));
        assert_eq!(ran.result().detail.as_deref(), Some("DMA, 38 MiB"));
    }

    #[test]
    fn each_thing_that_is_wrong_fails() {
        let with = |index: usize, line: &'static str| {
            let mut answers = GOOD;
            answers[index] = line;
            ran(&answers, "")
        };
        let few = with(1, "| dmasan: moved 1");
        assert!(
            why(&few).contains("19 MiB were moved, 32 are wanted"),
            "{}",
            why(&few)
        );
        let left = with(4, "counts 10 12 1");
        assert_eq!((left.exit, left.left), (Exit::Finding, Some(2)));
        assert!(why(&left).contains("add up to 12"), "{}", why(&left));
        assert!(
            why(&left).contains("1 pages have a negative count"),
            "{}",
            why(&left)
        );
        let failed = with(3, "step 2 rc=1");
        assert_eq!(failed.exit, Exit::Failed);
        assert!(
            why(&failed).contains("`bind` failed (rc=1)"),
            "{}",
            why(&failed)
        );
    }

    #[test]
    fn what_the_kernel_says_fails_and_names_the_step() {
        let warning = "[    1.0] dmasan: step 77 2 begin bind\n\
                       [    1.000001][    T1] WARNING: drivers/x.c:1 at f+0x1/0x2, CPU#0: sh/1\n";
        let ran = ran(&GOOD, &warning.replace("1.0]", "1.000000]"));
        assert_eq!(ran.exit, Exit::Finding);
        assert!(
            why(&ran).contains("WARNING: drivers/x.c:1"),
            "{}",
            why(&ran)
        );
    }

    /// A page that is freed while it is mapped, by a function of a driver.
    fn finding(class: &str, driver: &str) -> String {
        let ruler = "=".repeat(66);
        let text = format!(
            "{ruler}\nBUG: DMASAN: {class} in skb_release_data+0x1/0x2\n[size=0x100]\n\nfreed at:\n \
             napi_consume_skb+0x1/0x2\n {driver}+0x1/0x2 [igb]\n\n{ruler}"
        );
        let prefix = "[    1.000000][    T1] ";
        format!("{prefix}{}\n", text.replace('\n', &format!("\n{prefix}")))
    }

    #[test]
    fn a_known_bug_hides_no_other() {
        let known = finding("object-free-while-mapped", "igb_poll");
        let ran = ran_with("igb", &GOOD, &known);
        assert_eq!(
            (ran.outcome.clone(), ran.known, ran.findings),
            (Outcome::Passed, 1, 0)
        );
        let detail = ran.result().detail.unwrap();
        assert!(detail.ends_with(", 1 finding of known bugs"), "{detail}");
        for other in [
            finding("bad-unmap", "igb_poll"),
            finding("object-free-while-mapped", "igb_open"),
        ] {
            // Later: the same at the same time would be the same.
            let log = known.clone() + &other.replace("1.000000", "2.000000");
            let ran = ran_with("igb", &GOOD, &log);
            assert_eq!((ran.exit, ran.known, ran.findings), (Exit::Finding, 1, 1));
        }
        // In another driver it is not known.
        assert_eq!(ran_with("e1000", &GOOD, &known).exit, Exit::Finding);
        // The compiler may split functions.
        for name in ["igb_poll.cold", "igb_poll.part.0"] {
            let split = finding("object-free-while-mapped", name);
            assert_eq!(ran_with("igb", &GOOD, &split).known, 1, "{name}");
        }
    }

    #[test]
    fn a_step_that_fails_beside_a_known_bug_says_why() {
        let known = finding("object-free-while-mapped", "igb_poll");
        let mut answers = vec!["| FAILED: eth0 has no link", "| more"];
        answers.extend(GOOD);
        answers[5] = "step 2 rc=1";
        let ran = ran_with("igb", &answers, &known);
        assert_eq!(ran.exit, Exit::Finding);
        assert!(
            why(&ran).contains("bind: rc=1: eth0 has no link"),
            "{}",
            why(&ran)
        );
    }

    #[test]
    fn what_a_known_bug_leaves_mapped_is_no_news() {
        let mut more = GOOD;
        more[4] = "counts 10 12 0";
        let mut fewer = GOOD;
        fewer[4] = "counts 10 9 0";
        let known = finding("unbind-leak", "virtscsi_kick_event.isra.0");
        for (driver, answers, log, exit) in [
            ("virtio-scsi", &more, known.as_str(), Exit::Clean),
            // The bug was not seen, so something else has left it; nor does it unmap what was there before.
            ("virtio-scsi", &more, "", Exit::Finding),
            ("virtio-scsi", &fewer, &known, Exit::Finding),
            // Its bug leaves nothing.
            (
                "igb",
                &more,
                &finding("object-free-while-mapped", "igb_poll"),
                Exit::Finding,
            ),
        ] {
            let ran = ran_with(driver, answers, log);
            assert_eq!(ran.exit, exit, "{driver}: {:?}", ran.outcome);
        }
    }

    #[test]
    fn a_known_bug_is_known_by_its_places() {
        let there = finding("free-while-mapped", "tcp_ack.isra.0");
        let there = there.replace("skb_release_data", "__pskb_trim_head");
        for (log, known) in [
            (there.clone(), 1),
            (there.replace("tcp_ack.isra.0", "tcp_ack_more"), 0),
            (there.replace("__pskb_trim_head", "kfree"), 0),
        ] {
            let ran = ran_with("igb", &GOOD, &log);
            assert_eq!((ran.known, ran.findings), (known, 1 - known), "{log}");
        }
    }

    #[test]
    fn a_disk_that_goes_while_it_is_written_to_is_warned_of() {
        let warning =
            "WARNING: block/fops.c:534 at blkdev_writeback_range+0xa8/0xd0, CPU#0: dd/267";
        assert!(is_of_lost_disk("yank", warning) && is_of_lost_disk("reset", warning));
        assert!(!is_of_lost_disk("rebind", warning));
        assert!(!is_of_lost_disk(
            "yank",
            "WARNING: mm/slub.c:1 at kfree+0x1/0x2"
        ));
    }
}
