// SPDX-License-Identifier: GPL-2.0-only
//! Reports that tell where memory was mapped: their sections are read whole, cut, damaged and mixed with others' lines.

use dmasan_report::{json, parse, CutBy, Finding, Mapping, Report};
use rstest::rstest;
use std::path::PathBuf;

/// A log that is made by hand, until there are real ones of these classes.
fn made_by_hand() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mapped-at.log");
    std::fs::read_to_string(path).unwrap()
}

fn read(log: &str) -> Report {
    let report = parse(log.as_bytes()).unwrap();
    assert_eq!(
        json::from_str(&json::to_string(&report)).as_ref(),
        Ok(&report)
    );
    report
}

/// The messages of the log's nth report, from ruler to ruler.
fn messages(nth: usize) -> Vec<String> {
    read(&made_by_hand()).findings[nth].raw.clone()
}

fn log(lines: &[impl AsRef<str>]) -> String {
    let with_time =
        |(number, line): (usize, &_)| format!("[    5.{number:06}] {}\n", AsRef::as_ref(line));
    lines.iter().enumerate().map(with_time).collect()
}

fn one(lines: &[impl AsRef<str>]) -> Finding {
    let mut findings = read(&log(lines)).findings;
    assert_eq!(findings.len(), 1);
    findings.remove(0)
}

fn ended(mapping: &Mapping) -> &dmasan_report::Ended {
    mapping.ended.as_ref().unwrap()
}

#[test]
fn a_live_mapping() {
    let finding = read(&made_by_hand()).findings.remove(0);
    let [mapping] = &finding.mappings[..] else {
        panic!("{:?}", finding.mappings)
    };
    let facts: Vec<_> = mapping.facts.iter().collect();
    let expected = [
        ("device", "0000:00:03.0"),
        ("driver", "edu"),
        ("iova", "0xffffe040"),
        ("phys", "0x3b50240"),
        ("size", "1500"),
        ("from", "64"),
        ("dir", "from-device"),
        ("kind", "single"),
        ("cpu", "0"),
        ("task", "insmod/75"),
        ("age_us", "5123"),
    ];
    assert_eq!(facts, expected);
    assert_eq!(mapping.frames.len(), 9);
    assert_eq!(mapping.ended, None);
    assert_eq!(mapping.site().unwrap().offset, Some(0x6b));
    assert_eq!(
        finding.notes,
        ["edu 0000:00:03.0: the device can WRITE 1500 bytes at offset 64"]
    );
    let hint = "unmap 0xffffe040 before the object is freed";
    assert_eq!(finding.hint.as_deref(), Some(hint));
    // What is around it stays what it was.
    assert_eq!(finding.facts.len(), 7);
    assert_eq!(finding.stacks.len(), 1);
    assert_eq!(finding.stacks[0].title, "freed at");
    let owner = finding.page_owner.unwrap();
    assert_eq!(owner.allocated.unwrap().frames.len(), 5);
    assert!(finding.process.is_some() && !finding.truncated);
}

#[test]
fn many_mappings() {
    let finding = read(&made_by_hand()).findings.remove(1);
    let sites: Vec<_> = finding
        .mappings
        .iter()
        .map(|mapping| {
            let site = mapping.site().unwrap();
            (mapping.facts.value("kind").unwrap(), site.symbol.as_str())
        })
        .collect();
    let expected = [
        ("coherent", "edu_probe"),
        ("sg", "edu_probe"),
        ("single", "process_one_work"),
    ];
    assert_eq!(sites, expected);
    assert_eq!(finding.stacks[0].title, "unbound at");
    assert_eq!(finding.facts.value("bytes"), Some("9000"));
    // Facts of a mapping are not the finding's.
    assert_eq!(finding.facts.value("iova"), None);
}

#[test]
fn an_unmap_that_is_the_bug_is_a_stack_and_one_before_it_an_end() {
    let finding = read(&made_by_hand()).findings.remove(2);
    assert_eq!(finding.stacks.len(), 1);
    assert_eq!(finding.stacks[0].title, "unmapped at");
    assert_eq!(finding.stacks[0].frames[1].site.offset, Some(0x7a));
    let [mapping] = &finding.mappings[..] else {
        panic!("{:?}", finding.mappings)
    };
    assert_eq!(mapping.site().unwrap().offset, Some(0x3a));
    assert_eq!(ended(mapping).facts.value("age_us"), Some("107"));
    assert_eq!(ended(mapping).site().unwrap().offset, Some(0x5c));
    assert_eq!(finding.hint, None);
}

#[test]
fn an_ended_mapping_and_what_came_after() {
    let finding = read(&made_by_hand()).findings.remove(3);
    assert_eq!(finding.stacks, []);
    assert_eq!(finding.facts.number("into"), Some(24));
    assert_eq!(
        ended(&finding.mappings[0]).facts.value("task"),
        Some("insmod/90")
    );
    let notes = [
        "edu 0000:00:03.0: the device wrote at byte 24 of a mapping of 1500 bytes that had ended",
        "memory now: slab kmalloc-512",
        "other live mappings of 0000:00:03.0: 17",
    ];
    assert_eq!(finding.notes, notes);
}

#[test]
fn a_device_without_driver() {
    let lines = messages(0).join("\n");
    let lines = lines
        .replace("edu 0000", " 0000")
        .replace("[driver=edu]", "[driver=]");
    let finding = one(&lines.lines().collect::<Vec<_>>());
    let note = " 0000:00:03.0: the device can WRITE 1500 bytes at offset 64";
    assert_eq!(finding.notes, [note.trim_start()]);
    assert_eq!(finding.mappings[0].facts.value("driver"), Some(""));
}

#[test]
fn messages_of_others_are_no_notes() {
    for nth in 0..4 {
        let (mut lines, plain) = (messages(nth), one(&messages(nth)));
        let others = [
            "usb 1-1: new high-speed USB device number 2 using xhci_hcd",
            "e1000e 0000:00:02.0 eth0: NIC Link is Down",
            "nvme 0000:00:04.0: x",
        ];
        let mut at = 3;
        while at < lines.len() - 1 {
            lines.splice(at..at, others.map(str::to_owned));
            at += 4;
        }
        let mixed = one(&lines);
        assert_eq!(mixed.notes, plain.notes);
        assert_eq!(mixed.hint, plain.hint);
        assert_eq!(mixed.stacks, plain.stacks);
        assert_eq!(mixed.facts, plain.facts);
        assert_eq!(mixed.page_owner, plain.page_owner);
        let stacks = |finding: &Finding| {
            let of = |m: &Mapping| (m.frames.clone(), m.ended.clone().map(|e| e.frames));
            finding.mappings.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(stacks(&mixed), stacks(&plain));
    }
}

/// As much of the mappings is read as the log shows, and nothing of what ended it.
#[rstest]
#[case::log_ends("", CutBy::LogEnd)]
#[case::panic(
    "Kernel panic - not syncing: x\nCPU: 1 UID: 0 PID: 9 Comm: y Not tainted 7.3.4 #1\nCall Trace:\n panic+0x1/0x2\n\
     mapped at:\n[device=z]\nhint: z",
    CutBy::Panic
)]
#[case::oops("Oops: 0002 [#1] SMP\nRIP: 0010:f+0x1/0x2\nhint: z", CutBy::Oops)]
#[case::reboot("Linux version 7.3.4 (x)\nhint: z", CutBy::Reboot)]
fn a_report_cut_anywhere_keeps_what_there_is(#[case] after: &str, #[case] by: CutBy) {
    for nth in 0..4 {
        let lines = messages(nth);
        let whole = one(&lines);
        for end in 2..lines.len() {
            let mut cut: Vec<_> = lines[..end].iter().map(String::as_str).collect();
            cut.extend(after.lines());
            let finding = one(&cut);
            assert_eq!(finding.cut.unwrap().by, by);
            assert_eq!(finding.class, whole.class);
            assert!(whole.notes.starts_with(&finding.notes));
            assert!(finding.hint.is_none() || finding.hint == whole.hint);
            let headings = lines[..end].iter().filter(|l| *l == "mapped at:").count();
            assert_eq!(finding.mappings.len(), headings, "{end} lines");
            for (cut, whole) in finding.mappings.iter().zip(&whole.mappings) {
                assert!(whole.frames.starts_with(&cut.frames));
                assert!(cut.facts.is_empty() || cut.facts == whole.facts);
            }
        }
    }
}

/// Where a log begins inside of a report, a heading tells that it is one.
#[test]
fn remains_from_a_heading_on_are_a_finding() {
    for nth in 0..4 {
        let lines = messages(nth);
        let headings = [
            "freed at:",
            "unbound at:",
            "mapped at:",
            "unmapped at:",
            "page owner:",
        ];
        let last = lines.iter().rposition(|l| headings.contains(&l.as_str()));
        for first in 3..lines.len() - 1 {
            let found = read(&log(&lines[first..])).findings;
            if Some(first) > last {
                assert_eq!(found, [], "report {nth}, from line {first}");
                continue;
            }
            assert_eq!(found.len(), 1, "report {nth}, from line {first}");
            assert_eq!(found[0].cut.unwrap().by, CutBy::LogStart);
            let unbound = lines[first..].iter().any(|l| l == "unbound at:");
            let class = if unbound { "unbind-leak" } else { "unknown" };
            assert_eq!(found[0].class.as_str(), class);
            assert_eq!(found[0].facts.len(), 0, "report {nth}, from line {first}");
            // Its end is missing, too: it may be anybody's.
            assert_eq!(read(&log(&lines[first..lines.len() - 1])).findings, []);
        }
    }
}

#[rstest]
#[case::no_facts("mapped at:\n f+0x1/0x2")]
#[case::indented("mapped at:\n [iova=0x1000] [phys=0x1000] [size=0x1000]")]
#[case::nothing("mapped at:\n")]
#[case::no_stack("unbound at:\n")]
#[case::remark_only("hint: x\nmemory now: free")]
#[case::line_of_others("mapped at:\n[device=x]\nx: attached")]
fn what_is_not_as_we_write_it_is_no_remains(#[case] text: &str) {
    let mut lines: Vec<_> = text.lines().collect();
    let ruler = "=".repeat(66);
    lines.extend([
        "",
        "CPU: 0 UID: 0 PID: 74 Comm: sh Not tainted 7.3.4 #1",
        &ruler,
    ]);
    assert_eq!(read(&log(&lines)).findings, []);
}

/// Replaces lines of the fourth report: a mapping that ended.
fn damaged(from: &str, to: &str) -> Finding {
    let text = messages(3).join("\n");
    assert!(text.contains(from));
    let text = text.replacen(from, to, 1);
    one(&text.lines().collect::<Vec<_>>())
}

#[test]
fn damaged_sections_lose_no_more_than_is_damaged() {
    let facts_lost = damaged(
        "[device=0000:00:03.0] [driver=edu] [iova=0xffffa000]",
        "[dev",
    );
    assert!(facts_lost.mappings[0].facts.is_empty());
    assert_eq!(facts_lost.mappings[0].frames.len(), 9);
    assert_eq!(facts_lost.facts.len(), 7);

    let begin_lost = damaged("\nmapped at:\n", "\nmapp");
    assert_eq!(begin_lost.mappings.len(), 1);
    assert_eq!(begin_lost.mappings[0].frames, []);
    assert_eq!(ended(&begin_lost.mappings[0]).frames.len(), 9);
    assert_eq!(begin_lost.stacks, []);

    let end_lost = damaged("\nunmapped at:\n", "\n");
    assert_eq!(end_lost.mappings[0].ended, None);
    assert_eq!(end_lost.facts.value("age_us"), None);

    let twice = damaged("[from=0]", "[from=0] [from=9] [new=x]");
    assert_eq!(twice.mappings[0].facts.value("from"), Some("0"));
    assert_eq!(twice.mappings[0].facts.value("new"), Some("x"));
}

#[test]
fn endless_sections_are_bounded() {
    let mut lines = messages(3);
    let facts = "[k=v] ".repeat(100) + &(0..200).map(|n| format!("[k{n}=v]")).collect::<String>();
    let part = [
        "mapped at:",
        &facts,
        " f+0x1/0x2",
        "unmapped at:",
        "[cpu=1]",
        " g+0x1/0x2",
        "memory now: x",
        "hint: y",
    ];
    let many = (0..200).flat_map(|_| part.map(str::to_owned));
    lines.splice(4..4, many);
    let stack = std::iter::once("mapped at:".to_owned());
    lines.splice(
        3..3,
        stack.chain((0..500).map(|n| format!(" f{n}+0x1/0x2"))),
    );
    let finding = one(&lines);
    assert_eq!(finding.mappings.len(), 64);
    assert_eq!(finding.mappings[0].frames.len(), 128);
    assert!(finding.mappings.iter().all(|m| m.facts.len() <= 64));
    assert_eq!(finding.notes.len(), 16);
    assert_eq!(finding.hint.as_deref(), Some("y"));
    assert_eq!(finding.stacks, []);
    assert_eq!(finding.facts.len(), 7);
}

#[test]
fn the_reference_has_no_such_sections() {
    let lines = [
        "------------[ cut here ]------------",
        "WARNING: x.c:1 at __iommu_debug_check_unmapped+0x1/0x2, CPU#0: a/1",
        "Call Trace:",
        " f+0x1/0x2",
        "hint: x",
        "---[ end trace 0000000000000000 ]---",
        "iommu: Detected page leak!",
    ];
    let finding = one(&lines);
    assert_eq!((finding.hint, finding.mappings.len()), (None, 0));
}

/// What earlier versions wrote has none of these fields, and is of the same schema.
#[test]
fn json_without_the_fields_is_read() {
    let report = parse(b"[    1.000000] BUG: DMASAN: free-while-mapped in f+0x1/0x2\n").unwrap();
    let text = json::to_string(&report);
    let without: String = text
        .lines()
        .filter(|line| {
            let fields = ["\"mappings\": [],", "\"notes\": [],", "\"hint\": null,"];
            !fields.contains(&line.trim())
        })
        .collect();
    assert!(!without.contains("hint"));
    assert_eq!(json::from_str(&without), Ok(report));
}
