// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan report`: exit codes, and what goes where.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use assert_cmd::Command;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};

mod common;

fn log(name: &str) -> String {
    format!(
        "{}/../report/tests/data/{name}.log",
        env!("CARGO_MANIFEST_DIR")
    )
}

fn dmasan() -> Command {
    Command::cargo_bin("dmasan").unwrap()
}

fn report(args: &[&str]) -> assert_cmd::assert::Assert {
    dmasan().arg("report").args(args).assert()
}

#[test]
fn no_finding_is_0() {
    report(&[&log("clean")])
        .code(0)
        .stdout(contains("no findings"))
        .stderr(is_empty());
}

#[test]
fn a_finding_is_1_even_if_cut_or_followed_by_a_panic() {
    for name in [
        "finding",
        "truncated",
        "panic",
        "panic-on-warn",
        "reference-leak",
        "unknown-class",
        "domain-leak",
    ] {
        report(&[&log(name)]).code(1).stderr(is_empty());
    }
    report(&[&log("truncated")])
        .code(1)
        .stdout(contains("[cut at line 18 of the log: the log ends]"));
}

#[test]
fn a_kernel_that_failed_without_a_finding_is_69() {
    report(&[&log("oops")])
        .code(69)
        .stdout(contains("no findings"))
        .stderr(contains("NULL pointer dereference"));
}

#[test]
fn what_is_no_log_is_70() {
    for name in ["empty", "garbage", "not-kernel"] {
        let expected = contains("is not a kernel log").and(contains("dmesg"));
        report(&[&log(name)])
            .code(70)
            .stdout(is_empty())
            .stderr(expected);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_2() {
    report(&["/no/such/log"])
        .code(2)
        .stderr(contains("/no/such/log"));
    report(&["/"]).code(2).stderr(contains("cannot read /"));
    report(&["--format", "xml"]).code(2);
}

#[test]
fn standard_input_and_json() {
    let text = std::fs::read(log("finding")).unwrap();
    for file in [Some("-"), None] {
        let out = dmasan()
            .arg("report")
            .args(file)
            .args(["--format", "json"])
            .write_stdin(text.clone())
            .assert()
            .code(1);
        let json: serde_json::Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
        assert_eq!(json["schema"], 1);
        assert_eq!(json["findings"][0]["class"], "free-while-mapped");
        assert_eq!(json["findings"][0]["facts"]["pfn"], "0x2bb9");
    }
}

#[test]
fn ranges_of_a_domain_in_text_and_json() {
    let row = "domain-leak  iommu_deinit_device+0x47/0x1e0                3 in 2 ranges";
    report(&[&log("domain-leak")]).code(1).stdout(contains(row));
    let out = report(&[&log("domain-leak"), "--format", "json"]).code(1);
    let json: serde_json::Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
    assert_eq!(json["findings"][0]["ranges"][1]["phys"], "0x3b50000");
    assert_eq!(json["findings"][1]["ranges"].as_array().unwrap().len(), 8);
}

/// The exit codes are those of the text.
#[test]
fn formats_for_other_tools() {
    let sarif = |name: &str, code| {
        let out = report(&[&log(name), "--format", "sarif"]).code(code);
        serde_json::from_slice::<serde_json::Value>(&out.get_output().stdout).unwrap()
    };
    let results = sarif("two-steps", 1)["runs"][0]["results"].clone();
    assert_eq!(results.as_array().unwrap().len(), 2);
    assert_eq!(results[0]["ruleId"], "free-while-mapped");
    let clean = sarif("clean", 0);
    assert_eq!(clean["runs"][0]["results"], serde_json::json!([]));

    let junit = |name: &str, code, counts: &str| {
        let begin = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"dmasan\" ";
        report(&[&log(name), "--format", "junit"])
            .code(code)
            .stdout(predicates::str::starts_with(format!("{begin}{counts}>")));
    };
    junit("two-steps", 1, r#"tests="3" failures="2" errors="0""#);
    junit("clean", 0, r#"tests="1" failures="0" errors="0""#);
    junit("panic", 1, r#"tests="1" failures="0" errors="1""#);
    junit("oops", 69, r#"tests="1" failures="0" errors="1""#);
}

#[test]
fn what_repeats_is_one_row() {
    report(&[&log("interleaved")])
        .code(1)
        .stdout(contains(" times)").and(contains("findings in 1 place")));
}

#[test]
fn colour_only_when_asked_for() {
    report(&[&log("finding")]).stdout(contains("\x1b").not());
    report(&[&log("finding"), "--color", "always"]).stdout(contains("\x1b[1;31m"));
}

#[test]
fn html_is_a_page_with_the_same_exit_codes() {
    report(&[&log("mapped-at"), "--format", "html"])
        .code(1)
        .stdout(predicates::str::starts_with("<!DOCTYPE html>"))
        .stdout(contains("<h1 class=\"bad\">4 findings</h1>").and(contains("--vmlinux FILE")))
        .stderr(is_empty());
    report(&[&log("clean"), "--format", "html"])
        .code(0)
        .stdout(contains("<h1 class=\"good\">no findings</h1>").and(contains("--vmlinux").not()));
}

#[test]
fn a_signal_ends_the_wait_for_input() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_dmasan"))
        .arg("report")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than a pipe holds: when it is written, the tool reads.
    stdin.write_all(&vec![b'\n'; 1 << 20]).unwrap();
    // Not SIGINT, which is ignored by whoever a shell has started in the background.
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let status = common::wait_for("the end", Duration::from_secs(60), || {
        child.try_wait().unwrap()
    });
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
}
