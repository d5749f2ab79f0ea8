// SPDX-License-Identifier: GPL-2.0-only
//! One log per situation: what is found in it, and what it looks like.

use dmasan_report::text::{self, Style};
use dmasan_report::{
    json, junit, parse, sarif, BootState, CutBy, Finding, MappedRange, Origin, Report, TroubleKind,
};
use rstest::rstest;
use std::path::PathBuf;

fn log(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(format!("{name}.log"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn report(name: &str) -> Report {
    parse(&log(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A finding in short: `class symbol step`, and by what it is cut.
fn short(finding: &Finding) -> String {
    let symbol = finding
        .site
        .as_ref()
        .map_or("-", |site| site.symbol.as_str());
    let step = finding.step.map_or("-".to_owned(), |step| step.to_string());
    let cut = finding.cut.map_or(String::new(), |cut| {
        format!(" cut:{:?}:{}", cut.by, cut.line)
    });
    assert_eq!(finding.truncated, finding.cut.is_some());
    format!("{} {symbol} {step}{cut}", finding.class.as_str())
}

/// A function of a driver in Rust, as the kernel prints it.
macro_rules! rust_name {
    () => {
        "_RNvMs0_NtCsb5MLIFMWygY_6kernel6driverINtB5_12RegistrationINtNtB7_3pci7AdapterNtCs7sIOx0AEYid_5rusty\
         5RustyEE20post_unbind_callbackB1f_"
    };
}

#[rstest]
#[case::clean("clean", &[])]
#[case::one("finding", &["free-while-mapped edu_leak 1"])]
#[case::steps("two-steps", &["free-while-mapped edu_leak 1", "free-while-mapped edu_inner 3"])]
#[case::page_owner("page-owner", &["free-while-mapped edu_leak 1"])]
#[case::two_cpus("two-cpus", &["free-while-mapped edu_leak 1", "free-while-mapped edu_leak 1"])]
#[case::two_contexts("interleaved", &["free-while-mapped edu_leak 1", "free-while-mapped edu_leak 1"])]
#[case::lines_of_others("foreign-lines", &["free-while-mapped edu_leak 1"])]
#[case::panic_inside("panic", &["free-while-mapped edu_leak 1 cut:Panic:20"])]
#[case::panic_after("panic-on-warn", &["free-while-mapped edu_leak 1"])]
#[case::log_ends("truncated", &["free-while-mapped edu_leak 1 cut:LogEnd:18"])]
#[case::next_report("next-report", &["free-while-mapped edu_leak 1 cut:NextReport:20", "free-while-mapped edu_inner 1"])]
#[case::reboot("reboot", &["free-while-mapped edu_leak 1 cut:Reboot:19", "free-while-mapped edu_leak 1"])]
#[case::log_begins("begins-inside", &["unknown - - cut:LogStart:1"])]
#[case::syslog("journal", &["free-while-mapped edu_leak 1"])]
#[case::iso("journal-iso", &["free-while-mapped edu_leak 1"])]
#[case::serial("serial", &["free-while-mapped edu_leak 1"])]
#[case::loglevel("dmesg-raw", &["free-while-mapped edu_leak 1", "free-while-mapped edu_inner 3"])]
#[case::demo("demo", &["free-while-mapped edu_free_early 1"])]
#[case::rust("run-rust", &[
    concat!("free-while-mapped ", rust_name!(), " 2"),
    concat!("free-while-mapped ", rust_name!(), " 4"),
])]
#[case::kunit("kunit", &["free-while-mapped test_free_while_mapped -", "free-while-mapped test_free_while_mapped -", "free-while-mapped test_free_with_inner_page_mapped -", "free-while-mapped test_free_page_by_page -", "alloc-while-mapped get_back -", "count-imbalance expect_imbalance -", "free-while-mapped expect_imbalance -", "count-imbalance expect_imbalance -", "free-while-mapped test_direct_region -", "free-while-mapped leak_2m -", "free-while-mapped case_order3 -", "free-while-mapped case_twice -"])]
#[case::domain("domain-leak", &["domain-leak iommu_deinit_device 1", "domain-leak __iommu_group_set_domain_internal 5"])]
// The two are made by hand: with what no kernel wrote yet, such as an access whose very byte is known, and a report that a panic cuts.
#[case::mapped_at("mapped-at", &["object-free-while-mapped edu_leak 1", "unbind-leak edu_remove 2", "bad-unmap edu_twice 3", "dma-after-unmap edu_late 4"])]
#[case::mapped_at_panic("mapped-at-panic", &["dma-after-unmap edu_late 1 cut:Panic:27"])]
#[case::origin("origin", &["object-free-while-mapped case_object -", "free-while-mapped misuse -", "object-free-while-mapped misuse -", "object-free-while-mapped __rcu_free_sheaf_prepare -", "object-free-while-mapped skb_release_data -", "free-while-mapped case_owned_page -", "free-while-mapped case_owned_sg -", "unbind-leak device_unbind_cleanup -"])]
#[case::classes("classes", &["free-while-mapped case_owned_page 1", "object-free-while-mapped case_object 3", "alloc-while-mapped get_pages_in 5", "object-alloc-while-mapped get_object 7", "unbind-leak device_unbind_cleanup 9", "bad-unmap unmap_like 11", "dma-after-unmap case_late_freed 13", "domain-leak iommu_deinit_device 15", "stale-iotlb case_iotlb_fast 17"])]
#[case::off("off", &[])]
#[case::passthrough("passthrough", &[])]
#[case::new_class("unknown-class", &["slab-free-while-mapped edu_free -"])]
#[case::reference_clean("reference-clean", &[])]
#[case::reference_page_owner("reference-page-owner", &["page-leak edu_leak 2", "page-leak tlb_next_batch 2"])]
#[case::reference_panic("reference-panic", &["page-leak edu_leak 1 cut:Panic:85"])]
#[case::oops("oops", &[])]
fn findings(#[case] name: &str, #[case] expected: &[&str]) {
    let report = report(name);
    let found: Vec<_> = report.findings.iter().map(short).collect();
    assert_eq!(found, expected);
    assert_eq!(
        report.truncated,
        expected.iter().any(|line| line.contains("cut:"))
    );
    assert_eq!(
        json::from_str(&json::to_string(&report)).as_ref(),
        Ok(&report)
    );
}

#[rstest]
#[case("empty", "the log is empty")]
#[case("garbage", "none of the 16 lines is a kernel message")]
#[case("not-kernel", "none of the 4 lines is a kernel message")]
fn not_a_log(#[case] name: &str, #[case] reason: &str) {
    let error = parse(&log(name)).unwrap_err().to_string();
    assert!(error.starts_with(reason), "{error}");
    assert!(error.contains("expected the output of dmesg"), "{error}");
}

#[rstest]
#[case("finding")]
#[case("demo")]
#[case("run-rust")]
#[case("two-steps")]
#[case("clean")]
#[case("panic")]
#[case("interleaved")]
#[case("page-owner")]
#[case("domain-leak")]
#[case("mapped-at")]
#[case("mapped-at-panic")]
#[case("unknown-class")]
#[case("reference-page-owner")]
#[case("reference-panic")]
#[case("oops")]
#[case("off")]
#[case("passthrough")]
#[case("reboot")]
fn text_form(#[case] name: &str) {
    insta::assert_snapshot!(
        format!("text-{name}"),
        text::to_string(&report(name), Style::default())
    );
}

#[rstest]
#[case("finding")]
#[case("page-owner")]
#[case("panic")]
#[case("domain-leak")]
#[case("mapped-at-panic")]
#[case("unknown-class")]
#[case("reference-page-owner")]
fn json_form(#[case] name: &str) {
    insta::assert_snapshot!(format!("json-{name}"), json::to_string(&report(name)));
}

#[rstest]
#[case("clean")]
#[case("two-steps")]
#[case("mapped-at")]
#[case("mapped-at-panic")]
#[case("unknown-class")]
fn sarif_form(#[case] name: &str) {
    insta::assert_snapshot!(format!("sarif-{name}"), sarif::to_string(&report(name)));
}

#[rstest]
#[case("clean")]
#[case("mapped-at")]
#[case("mapped-at-panic")]
#[case("reboot")]
#[case("unknown-class")]
#[case("oops")]
#[case("off")]
fn junit_form(#[case] name: &str) {
    insta::assert_snapshot!(format!("junit-{name}"), junit::to_string(&report(name)));
}

#[test]
fn the_same_log_in_other_clothes_says_the_same() {
    let bare = |name: &str| {
        let mut findings = report(name).findings;
        findings
            .iter_mut()
            .for_each(|finding| (finding.line, finding.time_us) = (0, None));
        findings
    };
    assert_eq!(bare("dmesg-raw"), bare("two-steps"));
    assert_eq!(bare("journal-iso"), bare("page-owner"));
    assert_eq!(bare("journal"), bare("page-owner"));
}

#[test]
fn what_loggers_say_of_others_is_not_the_kernels() {
    let report = report("journal");
    let raw = &report.findings[0].raw;
    assert!(raw
        .iter()
        .all(|line| !line.contains("systemd") && !line.contains("made_up")));
    assert_eq!(report.kernel_lines + 3, report.lines);
}

/// A real report, from which lines are cut at the log's begin: what is left is a finding if it has a heading of ours.
#[test]
fn remains_of_a_report_are_a_finding() {
    let log = String::from_utf8(log("page-owner")).unwrap();
    let lines: Vec<_> = log.lines().collect();
    let at = |text: &str| lines.iter().position(|line| line.ends_with(text)).unwrap();
    let (title, owner, end) = (at("[edu_dma]"), at("page owner:"), at("====="));
    let end = lines[end + 1..]
        .iter()
        .position(|line| line.ends_with("===="))
        .unwrap()
        + end
        + 1;
    assert!(title < owner && owner < end);
    for first in title + 1..end {
        let report = parse(lines[first..].join("\n").as_bytes()).unwrap();
        let found: Vec<_> = report
            .findings
            .iter()
            .map(|f| (f.class.as_str(), f.cut.unwrap().by))
            .collect();
        let expected: &[_] = if first <= owner {
            &[("unknown", CutBy::LogStart)]
        } else {
            &[]
        };
        assert_eq!(found, expected, "from line {first}");
        if let Some(finding) = report.findings.first() {
            assert_eq!(finding.origin, Origin::Dmasan);
            assert!(finding.page_owner.as_ref().unwrap().freed.is_some());
            assert_eq!(finding.raw.last().map(|line| line.len()), Some(66));
        }
        // Nor if the end is missing, too: nothing is left by which it can be told.
        let report = parse(lines[first.max(at("freed at:"))..end].join("\n").as_bytes()).unwrap();
        assert_eq!(report.findings, [], "from line {first}");
    }
}

#[rstest]
#[case::kfence_end(
    " kfence_test+0x1/0x2\n\nfreed by task 71 on cpu 0 at 5.1s:\n f+0x1/0x2\n\n\
     CPU: 0 UID: 0 PID: 71 Comm: x Not tainted 7.3.4 #1\nHardware name: QEMU\nRULER"
)]
#[case::kasan_end(
    "Freed by task 71:\n f+0x1/0x2\n\npage_owner tracks the page as allocated\n\
     page last allocated via order 0, migratetype Unmovable, pid 75, tgid 75 (x), ts 1\n f+0x1/0x2\n\n\
     CPU: 0 UID: 0 PID: 71 Comm: x Not tainted 7.3.4 #1\nMemory state around the buggy address:\nRULER"
)]
#[case::bad_page(
    "page dumped because: nonzero mapcount\npage_owner tracks the page as freed\n\
     page last free pid 1 tgid 1 ts 1 stack trace:\n f+0x1/0x2\nModules linked in: x\n\
     CPU: 0 UID: 0 PID: 71 Comm: x Not tainted 7.3.4 #1\nCall Trace:\n f+0x1/0x2"
)]
#[case::no_stack("freed at:\nCPU: 0 UID: 0 PID: 71 Comm: x Not tainted 7.3.4 #1\nRULER")]
#[case::line_of_others(
    "freed at:\n f+0x1/0x2\nx: attached\nCPU: 0 UID: 0 PID: 71 Comm: x Not tainted 7.3.4 #1\nRULER"
)]
#[case::no_process("freed at:\n f+0x1/0x2\n\nRULER")]
#[case::long_ruler(
    "freed at:\n f+0x1/0x2\n\nCPU: 0 UID: 0 PID: 71 Comm: x Not tainted 7.3.4 #1\nRULER="
)]
#[case::not_at_the_begin(
    "RULER\nfreed at:\n f+0x1/0x2\n\nCPU: 0 UID: 0 PID: 71 Comm: x Not tainted 7.3.4 #1\nRULER"
)]
#[case::boot(
    "Linux version 7.3.4 (x)\nfreed at:\n f+0x1/0x2\n\nCPU: 0 UID: 0 PID: 71 Comm: x Not tainted 7.3.4 #1\nRULER"
)]
fn what_others_print_is_no_remains(#[case] log: &str) {
    let lines = log.replace("RULER", &"=".repeat(66));
    let log: String = lines
        .lines()
        .map(|line| format!("[    5.000000] {line}\n"))
        .collect();
    assert_eq!(parse(log.as_bytes()).unwrap().findings, []);
}

#[test]
fn two_contexts_do_not_mix() {
    let (mixed, mut apart) = (report("interleaved"), report("two-cpus"));
    let callers: Vec<_> = mixed
        .findings
        .iter()
        .map(|f| f.caller.as_deref().unwrap())
        .collect();
    assert_eq!(callers, ["C1", "T78"]);
    apart.findings.reverse();
    for (mixed, apart) in mixed.findings.iter().zip(&apart.findings) {
        assert_eq!((&mixed.raw, &mixed.facts), (&apart.raw, &apart.facts));
        assert_eq!(
            (&mixed.stacks, &mixed.process),
            (&apart.stacks, &apart.process)
        );
    }
}

#[test]
fn lines_of_others_stay_in_the_text_only() {
    let finding = report("foreign-lines").findings.remove(0);
    let plain = report("page-owner").findings.remove(0);
    assert!(finding
        .raw
        .iter()
        .any(|line| line.contains("NIC Link is Down")));
    assert_eq!(
        (finding.stacks, finding.page_owner),
        (plain.stacks, plain.page_owner)
    );
    assert_eq!(
        (finding.facts, finding.process),
        (plain.facts, plain.process)
    );
}

#[test]
fn the_same_lines_again_are_no_second_finding() {
    let (raw, twice) = (
        report("reference-dmesg-raw"),
        report("reference-dmesg-twice"),
    );
    let short = |report: &Report| report.findings.iter().map(short).collect::<Vec<_>>();
    assert_eq!(short(&raw), short(&twice));
    assert_eq!(raw.findings.len(), 7);
    assert_eq!(raw.warnings.len(), twice.warnings.len());
    assert_eq!(raw.steps.len(), 3);
}

#[test]
fn steps_of_two_runs_in_one_log() {
    let report = report("reboot");
    let nonces: Vec<_> = report
        .findings
        .iter()
        .map(|f| report.step_of(f).unwrap().nonce.as_str())
        .collect();
    assert_eq!(nonces, ["5f3a9c01", "77d0e2ab"]);
}

#[test]
fn the_leak_line_in_ours_is_not_the_references() {
    let report = report("two-steps");
    assert!(report.findings.iter().all(|f| f.origin == Origin::Dmasan));
    assert_eq!(report.in_step(2).count(), 0);
}

#[test]
fn boot_lines() {
    let ours = report("clean").boot.unwrap();
    assert_eq!((ours.state, ours.origin), (BootState::On, Origin::Dmasan));
    let reference = report("reference-clean").boot.unwrap();
    assert_eq!(
        (reference.state, reference.origin),
        (BootState::On, Origin::Reference)
    );
    assert_eq!(report("off").boot, None);
    let nothing = report("passthrough").boot.unwrap();
    assert!(
        nothing.notes[0].ends_with("nothing is tracked"),
        "{nothing:?}"
    );
    assert_eq!(report("reference-clean").kernel.as_deref(), Some("7.3.4"));
}

#[test]
fn as_many_findings_as_the_kernel_counted() {
    let log = String::from_utf8(log("kunit")).unwrap();
    let count = log.lines().find_map(|line| line.strip_prefix("findings: "));
    let report = report("kunit");
    assert_eq!(count.unwrap().trim(), report.findings.len().to_string());
    let alloc = &report.findings[4];
    assert_eq!(alloc.stacks[0].title, "allocated at");
    assert_eq!(
        alloc.page_owner.as_ref().unwrap().state.as_deref(),
        Some("freed")
    );
    assert_eq!(report.findings[7].facts.value("count"), Some("-1073741824"));
}

#[test]
fn ranges_of_a_domain() {
    let report = report("domain-leak");
    let [first, second] = &report.findings[..] else {
        panic!("{:?}", report.findings)
    };
    let range = |iova, phys, size| MappedRange { iova, phys, size };
    let expected = [
        range(0xffff_e000, 0x3b3_c000, 0x2000),
        range(0xffff_9000, 0x3b5_0000, 0x1000),
    ];
    assert_eq!(first.ranges, expected);
    assert_eq!(first.stacks[0].title, "domain freed at");
    // The kernel lists the first of them.
    assert_eq!(second.facts.number("ranges"), Some(12));
    assert_eq!(second.ranges.len(), 8);
    assert_eq!(report.in_step(3).count(), 0);
}

#[test]
fn callers_of_a_run() {
    let finding = report("demo").findings.remove(0);
    assert_eq!(finding.caller.as_deref(), Some("T74"));
    assert!(finding.process.is_some() && finding.raw[0].starts_with("===="));
    let rust = report("run-rust");
    assert_eq!(rust.findings[0].site, rust.findings[1].site);
    assert!(json::to_string(&rust).contains(rust_name!()));
}

#[test]
fn trouble_of_the_kernel() {
    let panic = report("panic");
    assert_eq!(panic.worst_trouble().unwrap().kind, TroubleKind::Panic);
    assert_eq!(panic.findings[0].cut.unwrap().by, CutBy::Panic);
    // The lines of one oops are one trouble.
    let oops = report("oops");
    assert_eq!(
        oops.trouble
            .iter()
            .map(|t| (t.kind, t.step))
            .collect::<Vec<_>>(),
        [(TroubleKind::Oops, Some(1))]
    );
    assert_eq!(oops.steps[0].rc, Some(137));
}

#[test]
fn hostile_log_is_bounded_and_harmless() {
    let report = report("hostile");
    let finding = &report.findings[0];
    assert!(finding.raw.len() <= 600 && finding.raw_dropped > 0);
    assert!(finding.stacks[0].frames.len() <= 128);
    assert!(finding.raw.iter().all(|line| line.chars().count() <= 1024));
    assert_eq!(finding.facts.value("a"), Some("b"));
    let text = text::to_string(&report, Style::default());
    assert!(text
        .chars()
        .all(|c| c == '\n' || c == '\t' || !c.is_control() && c != '\u{202e}'));
}

/// What the README shows of the demo: lines of the log in their order, where `...` stands for some of a stack.
#[test]
fn the_sample_of_the_readme_is_true() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("../README.md")).unwrap();
    let log = std::fs::read_to_string(root.join("tests/data/demo.log")).unwrap();
    let blocks: Vec<_> = readme.split("```\n").skip(1).step_by(2).collect();
    let [said, shown] = blocks[..] else {
        panic!("the README has other blocks: {blocks:#?}");
    };
    for block in [said, shown] {
        // Time and caller stand before each line.
        let mut rest = log.lines().map(|line| line.split_once("] ").unwrap().1);
        for line in block.lines().filter(|line| *line != " ...") {
            let found = rest.any(|of_log| of_log.trim_end() == line);
            assert!(found, "README.md shows what is not in demo.log: {line:?}");
        }
    }
    assert!(said.contains("corrupted by the device") && shown.contains("BUG: DMASAN: "));
}

#[test]
fn the_documented_samples_are_true() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reports.md");
    let docs = std::fs::read_to_string(path).unwrap();
    let raw = &report("page-owner").findings[0].raw;
    let sample: String = raw
        .iter()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    assert!(
        docs.contains(&sample),
        "docs/reports.md shows another report than page-owner.log"
    );
    let raw = &report("domain-leak").findings[0].raw;
    let first_frame = raw.iter().position(|l| l.starts_with(" iommu_")).unwrap();
    let sample = raw[..=first_frame].join("\n");
    assert!(
        docs.contains(&format!("```\n{sample}\n```\n")),
        "docs/reports.md shows another report than domain-leak.log"
    );
    let outer = [
        " cases_",
        " pci_device_",
        " really_probe",
        " driver_",
        " __driver_",
        " bus_",
        " do_",
        " init_module",
        " __x64_sys_",
        " entry_",
        "CPU: ",
        "Tainted",
        "Hardware",
        "===",
    ];
    let raw = &report("origin").findings[0].raw;
    let inner = |line: &&String| !outer.iter().any(|begin| line.starts_with(begin));
    let lines: Vec<_> = raw.iter().filter(inner).map(String::as_str).collect();
    let sample = lines.join("\n");
    assert!(
        docs.contains(&format!("```\n{}\n```\n", sample.trim_end())),
        "docs/reports.md shows another report than origin.log"
    );
    let (_, rest) = docs.split_once("\n## JSON\n").unwrap();
    let (_, rest) = rest.split_once("```json\n").unwrap();
    let (sample, _) = rest.split_once("```").unwrap();
    let sample = json::from_str(sample).unwrap();
    assert_eq!(
        sample.findings[0].line,
        report("page-owner").findings[0].line
    );
}

/// What symbolizes a report must reach every stack of it.
#[rstest]
#[case("mapped-at")]
#[case("page-owner")]
#[case("domain-leak")]
fn every_stack_line_is_among_the_frames(#[case] name: &str) {
    for mut finding in report(name).findings {
        let frames: Vec<_> = finding.frames().cloned().collect();
        let is_frame = |line: &&String| line.starts_with(' ') && line.contains("+0x");
        let lines: Vec<_> = finding.raw.iter().filter(is_frame).cloned().collect();
        assert!(lines.len() > 1);
        let raw = |frame: &dmasan_report::Frame| frame.raw.clone();
        assert_eq!(frames.iter().map(raw).collect::<Vec<_>>(), lines);
        let changed: Vec<_> = finding.frames_mut().map(|frame| frame.clone()).collect();
        assert_eq!(changed, frames);
    }
}

#[test]
fn who_mapped_is_read_from_a_real_log() {
    let report = report("origin");
    let mapped: Vec<_> = report
        .findings
        .iter()
        .map(|f| {
            let sites = f.mappings.iter().filter_map(|m| m.frames.first());
            let sites: Vec<_> = sites.map(|frame| frame.site.symbol.as_str()).collect();
            (sites.join(" "), f.hint.is_some(), f.notes.len())
        })
        .collect();
    let of = |index: usize| (mapped[index].0.as_str(), mapped[index].1, mapped[index].2);
    assert_eq!(of(0), ("case_object", true, 2));
    // Two mappings of one page, the later one first.
    assert_eq!(of(5), ("case_owned_page case_owned_page", true, 2));
    // No page or object, so there is no line that says which bytes of it.
    assert_eq!(of(7), ("map_page case_unbound", true, 1));
    assert_eq!(mapped.len(), 8);
    assert!(!report.truncated);
}
