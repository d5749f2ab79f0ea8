// SPDX-License-Identifier: GPL-2.0-only
//! Where one thing ends and another begins: just enough, and just not.

use dmasan_report::{parse, CutBy, Report};
use std::path::PathBuf;

fn log(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.log"));
    std::fs::read_to_string(path).unwrap()
}

fn read(log: &str) -> Report {
    parse(log.as_bytes()).unwrap()
}

/// A report of the reference has no closing mark: it is whole with the stack of the page's last free.
#[test]
fn the_last_stack_ends_a_report_of_the_reference() {
    let log = log("reference-page-owner");
    let lines: Vec<&str> = log.lines().collect();
    let heading = |line: &&str| line.contains("page last free pid");
    let heading = lines.iter().position(heading).unwrap();
    let cut = |end: usize| read(&lines[..end].join("\n")).findings[0].cut;
    for end in heading - 1..=heading + 1 {
        let cut = cut(end).expect("the stack is missing");
        assert_eq!((cut.by, cut.line), (CutBy::LogEnd, end as u64));
    }
    assert_eq!(cut(heading + 2), None);
}
