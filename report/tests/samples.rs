// SPDX-License-Identifier: GPL-2.0-only
//! What docs/samples.md shows is what a kernel wrote: a report of each class, whole.

use dmasan_report::{parse, Report};
use std::path::PathBuf;

/// Every class that a driver's bug can have.
const CLASSES: [&str; 9] = [
    "alloc-while-mapped",
    "bad-unmap",
    "dma-after-unmap",
    "domain-leak",
    "free-while-mapped",
    "object-alloc-while-mapped",
    "object-free-while-mapped",
    "stale-iotlb",
    "unbind-leak",
];

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn report() -> Report {
    parse(read("tests/data/classes.log").as_bytes()).unwrap()
}

#[test]
fn one_of_each_class_is_shown_in_full() {
    let (docs, report) = (read("../docs/samples.md"), report());
    let mut shown: Vec<&str> = Vec::new();
    for section in docs.split("\n## ").skip(1) {
        let (class, rest) = section.split_once('\n').unwrap();
        let of_class = |f: &&dmasan_report::Finding| f.class.as_str() == class;
        let finding = report.findings.iter().find(of_class);
        let finding = finding.unwrap_or_else(|| panic!("no {class} in classes.log"));
        let lines: Vec<_> = finding.raw.iter().map(|line| line.trim_end()).collect();
        let block = format!("```\n{}\n```\n", lines.join("\n"));
        assert!(
            rest.contains(&block),
            "docs/samples.md shows another {class}"
        );
        shown.push(class);
    }
    shown.sort_unstable();
    assert_eq!(shown, CLASSES);
}

#[test]
fn docs_explain_every_fact() {
    let docs = read("../docs/reports.md");
    let rows = docs.lines().filter_map(|l| l.strip_prefix("| `"));
    let explained: Vec<&str> = rows.filter_map(|r| r.split(" | ").next()).collect();
    for finding in report().findings {
        let mappings = finding.mappings.iter();
        let ends = mappings.clone().filter_map(|m| m.ended.as_ref());
        let all = mappings.map(|m| &m.facts).chain(ends.map(|e| &e.facts));
        for (name, _) in all.chain([&finding.facts]).flat_map(|f| f.iter()) {
            let is = |row: &&str| row.split('`').any(|word| word == name);
            assert!(explained.iter().any(is), "docs/reports.md has no `{name}`");
        }
    }
}

#[test]
fn they_are_whole_and_tell_who() {
    for finding in report().findings {
        let class = finding.class.as_str();
        assert!(!finding.truncated && finding.raw_dropped == 0, "{class}");
        assert!(finding.hint.is_some(), "{class} has no hint");
        // What was mapped through the IOMMU API has no record.
        assert_eq!(
            finding.mappings.is_empty(),
            class == "stale-iotlb",
            "{class}"
        );
        for mapping in &finding.mappings {
            // The driver is gone before its domain.
            let driver = if class == "domain-leak" { "?" } else { "cases" };
            assert_eq!(mapping.facts.value("driver"), Some(driver), "{class}");
            let site = mapping.site().map(|s| s.module.clone());
            assert_eq!(site, Some(Some("cases".to_owned())), "{class}");
        }
        let has_ended = finding.mappings.iter().any(|m| m.ended.is_some());
        let twice = finding.facts.value("error") == Some("twice");
        assert_eq!(has_ended, twice || class == "dma-after-unmap", "{class}");
    }
}
