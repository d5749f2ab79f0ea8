// SPDX-License-Identifier: GPL-2.0-only
//! A domain that was freed with mappings: its ranges are read as the engine writes them, whole, cut or damaged.

use dmasan_engine::report::{
    Class, DomainFacts, LeakedRange, DOMAIN_FREED, RULER, STILL_MAPPED, TITLE,
};
use dmasan_report::text::{self, Style};
use dmasan_report::{json, parse, CutBy, Finding, MappedRange, Origin};
use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;

/// A report as the kernel writes it.
fn lines(facts: &DomainFacts<'_>, ranges: &[LeakedRange]) -> Vec<String> {
    let mut lines = vec![
        RULER.to_owned(),
        format!(
            "{TITLE}{} in iommu_deinit_device+0x47/0x1e0",
            Class::DomainLeak.name()
        ),
        facts.to_string(),
        String::new(),
        STILL_MAPPED.to_owned(),
    ];
    lines.extend(ranges.iter().map(LeakedRange::to_string));
    lines.extend([
        String::new(),
        DOMAIN_FREED.to_owned(),
        " iommu_deinit_device+0x47/0x1e0".to_owned(),
        " device_del+0x2c9/0x3f0".to_owned(),
        String::new(),
        "CPU: 0 UID: 0 PID: 74 Comm: sh Not tainted 7.3.4 #1 PREEMPTLAZY".to_owned(),
        "Hardware name: QEMU Standard PC (Q35 + ICH9, 2009)".to_owned(),
        RULER.to_owned(),
    ]);
    lines
}

fn log(lines: &[String]) -> String {
    let with_time = |(number, line)| format!("[    5.{number:06}] {line}\n");
    lines.iter().enumerate().map(with_time).collect()
}

fn findings(lines: &[String]) -> Vec<Finding> {
    parse(log(lines).as_bytes()).map_or(Vec::new(), |report| report.findings)
}

fn read(range: &LeakedRange) -> MappedRange {
    let LeakedRange { iova, phys, size } = *range;
    MappedRange { iova, phys, size }
}

const FACTS: DomainFacts<'static> = DomainFacts {
    pages: 3,
    ranges: 2,
    cpu: 0,
    comm: "sh",
    pid: 74,
};

const RANGES: [LeakedRange; 2] = [
    LeakedRange {
        iova: 0xffff_e000,
        phys: 0x3b3_c000,
        size: 0x2000,
    },
    LeakedRange {
        iova: 0xffff_9000,
        phys: 0x3b5_0000,
        size: 0x1000,
    },
];

/// A report with these lines in place of those that list the ranges.
fn with_ranges(text: &str) -> Finding {
    let mut lines = lines(&FACTS, &RANGES);
    lines.splice(5..7, text.lines().map(str::to_owned));
    let mut findings = findings(&lines);
    assert_eq!(findings.len(), 1);
    findings.remove(0)
}

prop_compose! {
    fn range()(iova in any::<u64>(), phys in any::<u64>(), size in 1..u64::MAX) -> LeakedRange {
        let size = size.min(u64::MAX - iova.max(phys)).max(1);
        LeakedRange { iova, phys, size }
    }
}

proptest! {
    #[test]
    fn what_the_engine_writes_is_read_back(
        ranges in vec(range(), 0..9), pages in any::<u64>(), count in any::<u32>(), comm in "\\PC{1,15}",
    ) {
        let facts = DomainFacts { pages, ranges: count, comm: &comm, ..FACTS };
        let lines = lines(&facts, &ranges);
        let report = parse(log(&lines).as_bytes()).unwrap();
        prop_assert_eq!(report.findings.len(), 1);
        let finding = &report.findings[0];
        prop_assert!(!finding.truncated);
        prop_assert_eq!(finding.class.as_str(), Class::DomainLeak.name());
        prop_assert_eq!(&finding.ranges, &ranges.iter().map(read).collect::<Vec<_>>());
        prop_assert_eq!(finding.facts.number("pages"), Some(pages));
        prop_assert_eq!(finding.facts.number("ranges"), Some(count.into()));
        prop_assert!(finding.facts.value("task").unwrap().ends_with("/74"));
        prop_assert_eq!(finding.facts.len(), 4);
        prop_assert_eq!(format!("{}:", finding.stacks[0].title), DOMAIN_FREED);
        prop_assert_eq!(finding.stacks[0].frames.len(), 2);
        prop_assert_eq!(&finding.raw, &lines);
        prop_assert_eq!(json::from_str(&json::to_string(&report)), Ok(report));
    }

    #[test]
    fn damaged_ranges_are_survived(damaged in vec("( ?\\[(iova|phys|size)=(0x)?[0-9a-f]{0,18}\\]?){0,4}", 0..12)) {
        let finding = with_ranges(&damaged.join("\n"));
        prop_assert!(!finding.truncated);
        prop_assert_eq!(finding.facts.value("pages"), Some("3"));
        prop_assert_eq!(finding.stacks[0].frames.len(), 2);
        for range in &finding.ranges {
            let MappedRange { iova, phys, size } = *range;
            prop_assert!(iova.checked_add(size - 1).is_some() && phys.checked_add(size - 1).is_some());
        }
    }
}

/// Up to where a report goes, so many of its ranges there are.
#[test]
fn a_report_cut_anywhere_keeps_what_there_is() {
    let lines = lines(&FACTS, &RANGES);
    for end in 2..lines.len() {
        let found = findings(&lines[..end]);
        assert_eq!(found.len(), 1, "{end} lines");
        let (finding, ranges) = (&found[0], end.saturating_sub(5).min(2));
        assert_eq!(finding.class.as_str(), "domain-leak");
        assert_eq!(finding.cut.unwrap().by, CutBy::LogEnd);
        let expected: Vec<_> = RANGES[..ranges].iter().map(read).collect();
        assert_eq!(finding.ranges, expected, "{end} lines");
    }
}

/// Where a log begins inside of a report, its headings tell the class.
#[test]
fn remains_are_known_by_their_headings() {
    let lines = lines(&FACTS, &RANGES);
    let at = |text: &str| lines.iter().position(|line| line == text).unwrap();
    let (mapped, freed) = (at(STILL_MAPPED), at(DOMAIN_FREED));
    for first in 2..lines.len() - 1 {
        let found = findings(&lines[first..]);
        if first > freed {
            assert_eq!(found, [], "from line {first}");
            continue;
        }
        assert_eq!(found.len(), 1, "from line {first}");
        let finding = &found[0];
        let (class, by) = (finding.class.as_str(), finding.cut.unwrap().by);
        assert_eq!((class, by), ("domain-leak", CutBy::LogStart));
        assert_eq!(finding.origin, Origin::Dmasan);
        assert_eq!(finding.ranges.len(), if first > mapped { 0 } else { 2 });
        assert_eq!(finding.stacks[0].frames.len(), 2);
        // Its end is missing, too: it may be anybody's.
        assert_eq!(findings(&lines[first..lines.len() - 1]), []);
    }
}

#[rstest]
#[case::no_range("still mapped:\n\n f+0x1/0x2")]
#[case::damaged("still mapped:\n [iova=0x1000] [phys=x]\n\n f+0x1/0x2")]
#[case::no_stack("domain freed at:\n")]
#[case::ranges_below_a_stack(
    "domain freed at:\n f+0x1/0x2\n [iova=0x1000] [phys=0x1000] [size=0x1000]"
)]
#[case::line_of_others("still mapped:\n [iova=0x1000] [phys=0x1000] [size=0x1000]\nx: attached")]
fn what_is_not_as_we_write_it_is_no_remains(#[case] text: &str) {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.extend(
        [
            "",
            "CPU: 0 UID: 0 PID: 74 Comm: sh Not tainted 7.3.4 #1",
            RULER,
        ]
        .map(str::to_owned),
    );
    assert_eq!(findings(&lines), []);
}

#[rstest]
#[case::none("", 0)]
#[case::damaged_between(
    " [iova=0x1000] [phys=0x2000] [size=0x1000]\n [iova=0x10 [phys=\n [iova=0x3000] [phys=0x4000] [size=0x1000]", 2
)]
#[case::line_of_others(
    " [iova=0x1000] [phys=0x2000] [size=0x1000]\ne1000e eth0: NIC Link is Up\n [iova=0x3000] [phys=0x4000] [size=0x1000]", 2
)]
#[case::terminal(" [iova=0x1000\x07] [phys=0x2000] [size=0x1000]", 0)]
#[case::wide(" [iova=0x１０] [phys=0x2000] [size=0x1000]", 0)]
fn damaged_ranges_are_text_only(#[case] text: &str, #[case] count: usize) {
    let finding = with_ranges(text);
    assert_eq!(finding.ranges.len(), count);
    // What they hold is no fact of the report.
    let keys: Vec<_> = finding.facts.iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["pages", "ranges", "cpu", "task"]);
    let kept = |line: &str| finding.raw.iter().any(|raw| raw == line);
    assert!(text.lines().all(kept));
    assert!(!finding.truncated);
}

#[test]
fn endless_ranges_are_bounded() {
    let finding = with_ranges(&format!("{}\n", RANGES[0]).repeat(5_000));
    assert_eq!(finding.ranges.len(), 64);
    assert!(finding.raw.len() <= 600 && finding.raw_dropped > 4_000);
    assert_eq!(finding.stacks[0].frames.len(), 2);
}

#[rstest]
#[case("[pages=3] [ranges=2]", "3 in 2 ranges")]
#[case("[pages=512] [ranges=1]", "512 in 1 range")]
#[case("[pages=many] [ranges=2]", "-")]
#[case("[pages=3]", "-")]
fn the_table_has_the_number_of_pages(#[case] facts: &str, #[case] expected: &str) {
    let mut lines = lines(&FACTS, &RANGES);
    lines[2] = facts.to_owned();
    let report = parse(log(&lines).as_bytes()).unwrap();
    let table = text::to_string(
        &report,
        Style {
            brief: true,
            ..Style::default()
        },
    );
    let row = table.lines().nth(1).unwrap();
    assert!(row.ends_with(&format!("  {expected}")), "{row}");
    assert!(
        row.contains("domain-leak  iommu_deinit_device+0x47/0x1e0"),
        "{row}"
    );
}

#[test]
fn reports_of_the_reference_have_no_ranges() {
    let lines = [
        "------------[ cut here ]------------",
        "WARNING: x.c:1 at __iommu_debug_check_unmapped+0x1/0x2, CPU#0: a/1",
        &RANGES[0].to_string(),
        "---[ end trace 0000000000000000 ]---",
        "iommu: Detected page leak!",
    ];
    let found = findings(&lines.map(str::to_owned));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].origin, found[0].ranges.len()),
        (Origin::Reference, 0)
    );
}

/// What earlier versions wrote has no `ranges`, and is of the same schema.
#[test]
fn json_without_ranges_is_read() {
    let report = parse(log(&lines(&FACTS, &[])).as_bytes()).unwrap();
    let text = json::to_string(&report);
    let without = text.replace("\"ranges\": [],", "");
    assert_ne!(text, without);
    assert_eq!(json::from_str(&without), Ok(report));
}
