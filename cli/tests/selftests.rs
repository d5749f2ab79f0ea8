// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan selftests`: its command line; and, if asked for, the kernel's own tests in guests.

use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};

fn dmasan() -> Command {
    let mut command = Command::cargo_bin("dmasan").unwrap();
    command.env_remove("DMASAN_ENV").arg("selftests");
    command
}

#[test]
fn suites_are_listed_by_architecture() {
    let list = |machine: &str| dmasan().args(["--list", "--machine", machine]).assert();
    list("vtd")
        .code(0)
        .stdout(contains("\niommufd  "))
        .stdout(contains("arm-smmu-v3").not());
    list("arm64-smmuv3")
        .code(0)
        .stdout(contains("\narm-smmu-v3  "));
}

#[test]
fn a_suite_that_does_not_exist_gets_the_near_ones() {
    dmasan()
        .arg("iomufd")
        .assert()
        .code(2)
        .stdout(is_empty())
        .stderr(contains("unknown selftest `iomufd`"))
        .stderr(contains("did you mean `iommufd`?"));
    dmasan()
        .arg("arm-smmu-v3")
        .assert()
        .code(2)
        .stderr(contains("is on arm64 only"));
    dmasan()
        .args(["--json", "/nonexistent/x", "slub"])
        .assert()
        .code(2)
        .stderr(contains("/nonexistent/x"));
}

#[test]
fn a_dry_run_shows_kernel_programs_and_guest() {
    let cache = tempfile::tempdir().unwrap();
    let args = ["--dry-run", "--env", "root", "slub", "iommufd"];
    dmasan()
        .env("XDG_CACHE_HOME", cache.path())
        .args(args)
        .assert()
        .code(0)
        .stdout(contains(
            "wishes.config: base, x86_64, flavor-rust, selftests\n",
        ))
        .stdout(contains("tools/testing/selftests/iommu/iommufd.c"))
        .stdout(contains("kunit.enable=1 kunit.autorun=0"));
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
}

/// Runs all suites of a machine: nothing is worse with the sanitizer than without.
fn passes(machine: &str, switch: &str) {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("json");
    let args = ["--machine", machine, "--debug-pagealloc", switch, "--json"];
    dmasan().args(args).arg(&json).assert().code(0);
    let names = names(&json);
    for name in ["io-pgtable-arm", "generic-pt-iommu", "iommufd"] {
        assert!(names.iter().any(|n| n == name), "{names:?}");
    }
}

/// The suites of which a test passed.
fn names(json: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(json).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let suites = json["suites"].as_array().unwrap().iter();
    let passed = suites.filter(|s| s["passed"].as_u64() > Some(0));
    passed
        .map(|s| s["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
#[ignore = "its kernel is built for it alone"]
fn counting() {
    passes("vtd", "on");
}

#[test]
#[ignore = "its kernel is built for it alone"]
fn origin() {
    passes("vtd", "origin");
}

#[test]
#[ignore = "its kernel is built for it alone"]
fn arm64() {
    passes("arm64-smmuv3", "on");
}
