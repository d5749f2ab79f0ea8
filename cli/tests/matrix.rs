// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan matrix` as a command: what is refused, what is listed, how shards merge, and one cell in a real guest.

use std::path::Path;

use assert_cmd::assert::Assert;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

fn dmasan() -> Command {
    Command::cargo_bin("dmasan").unwrap()
}

/// With a cache of its own, in which nothing is.
fn run(args: &[&str]) -> Assert {
    let cache = tempfile::tempdir().unwrap();
    let mut command = dmasan();
    command.env("XDG_CACHE_HOME", cache.path());
    command.env_remove("DMASAN_ENV");
    command.arg("matrix").args(args).assert()
}

fn stdout(assert: Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

#[test]
fn wrong_usage_is_told_before_any_work() {
    let cases: [(&[&str], &str); 11] = [
        (&["--shard", "5/4"], "the last is 4/4"),
        (&["--shard", "0/4"], "the first is 1/4"),
        (&["--machine", "vdt"], "did you mean `vtd`?"),
        (&["--only", "edu-pgae"], "did you mean `edu-page`?"),
        (&["--only", "["], "no shell pattern"),
        (&["--kind", "senario"], "scenario"),
        (
            &["--only", "kunit", "--machine", "none"],
            "runs on: amd-vi,",
        ),
        (
            &["--only", "kunit", "--json", "/nonexistent/x"],
            "cannot write a file `/nonexistent/x`",
        ),
        (
            &["--only", "kunit", "--json", "/"],
            "cannot write a file `/`",
        ),
        (&["merge"], "<FILE>"),
        (
            &["merge", "/nonexistent.json"],
            "cannot read /nonexistent.json",
        ),
    ];
    for (args, told) in cases {
        run(args).code(2).stderr(contains(told));
    }
}

#[test]
fn shards_of_the_list_are_the_list() {
    let cells = |args: &[&str]| {
        let text = stdout(run(&[&["--list"], args].concat()).code(0));
        let line = |l: &str| {
            l.split(' ')
                .next_back()
                .filter(|c| c.contains('/'))
                .map(str::to_owned)
        };
        let mut cells: Vec<String> = text.lines().filter_map(line).collect();
        cells.sort();
        cells
    };
    let whole = cells(&[]);
    assert!(whole.len() > 150);
    let mut parts: Vec<String> = (1..=3)
        .flat_map(|n| cells(&["--shard", &format!("{n}/3")]))
        .collect();
    parts.sort();
    assert_eq!(parts, whole);
}

#[test]
fn the_list_tells_what_is_not_asked_for() {
    run(&["--list", "--tier", "smoke"])
        .code(0)
        .stdout(contains("boot smoke scenario/edu-page/vtd/rust\n"))
        .stdout(contains(" full ").not())
        .stdout(contains(
            "pairs of a name and a machine that its files do not ask for",
        ));
}

/// Results of one shard of two, as another host would have written them.
fn shard(dir: &Path, index: usize, change: impl Fn(&mut Value)) -> String {
    let cell = |name: &str| serde_json::json!({"kind": "scenario", "name": name, "machine": "vtd", "lazy": false, "flavor": "rust"});
    let names = ["edu-page", "kunit"];
    let mut value = serde_json::json!({
        "schema": "dmasan-matrix/1",
        "dmasan": {"version": "0.1.0", "source": "1234"},
        "kernels": [{"kernel": "rust", "release": "7.3.4", "key": "abcd"}],
        "qemu": {"x86_64": "10.0.2"},
        "selection": {"tier": "full", "only": [], "machines": [], "kinds": [], "cells": 2, "not_asked": {"scenario": 24}},
        "shards": [{"index": index, "count": 2}],
        "begun": "2026-11-23T03:00:00Z",
        "seconds": 10.0,
        "kept": 0,
        "elsewhere": [cell(names[2 - index])],
        "results": [{"cell": cell(names[index - 1]), "outcome": "passed", "seconds": 9.0}],
    });
    change(&mut value);
    let path = dir.join(format!("{index}.json"));
    std::fs::write(&path, value.to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn shards_merge_and_a_missing_one_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = [1, 2].map(|n| shard(dir.path(), n, |_| {}));
    let [json, junit, md] =
        ["all.json", "all.xml", "all.md"].map(|n| dir.path().join(n).display().to_string());
    let outputs = ["--json", &json, "--junit", &junit, "--markdown", &md];
    run(&[&["merge", &two, &one][..], &outputs].concat())
        .code(0)
        .stdout(contains("2 cells: 2 passed, 0 failed, 0 not run"));
    assert!(std::fs::read_to_string(&junit)
        .unwrap()
        .contains("tests=\"2\" failures=\"0\" errors=\"0\""));
    assert!(std::fs::read_to_string(&md)
        .unwrap()
        .contains("2 of 2 shards"));
    // What was merged can be read again.
    run(&["merge", &json]).code(0);

    // What cannot be written does not hide what there is.
    run(&[
        "merge",
        &two,
        &one,
        "--json",
        "/dev/full",
        "--junit",
        &junit,
    ])
    .code(69)
    .stdout(contains("2 cells: 2 passed, 0 failed, 0 not run"))
    .stderr(contains("cannot write /dev/full").and(contains("XDG_CACHE_HOME").not()));

    run(&["merge", &two]).code(69).stdout(contains(
        "NOT RUN scenario/edu-page/vtd/rust\n    no results of shard 1/2\n",
    ));
    run(&["merge", &one, &one])
        .code(2)
        .stderr(contains("shard 1/2 is in both"));
}

#[test]
fn what_does_not_belong_together_does_not_merge() {
    let dir = tempfile::tempdir().unwrap();
    let one = shard(dir.path(), 1, |_| {});
    let cases = [
        (
            "/kernels/0/key",
            "ffff",
            "the key of the kernel (rust) is abcd in one and ffff in the other",
        ),
        (
            "/kernels/0/release",
            "6.12.9",
            "the release of the kernel (rust)",
        ),
        (
            "/dmasan/version",
            "0.2.0",
            "the version of dmasan is 0.1.0 in one and 0.2.0 in the other",
        ),
        (
            "/schema",
            "dmasan-matrix/2",
            "this tool reads `dmasan-matrix/1`",
        ),
    ];
    for (place, value, told) in cases {
        let two = shard(dir.path(), 2, |v| {
            *v.pointer_mut(place).unwrap() = value.into()
        });
        run(&["merge", &one, &two]).code(2).stderr(contains(told));
    }
    let failed = shard(dir.path(), 2, |v| {
        let result = v["results"][0].as_object_mut().unwrap();
        result.insert("outcome".to_owned(), "failed".into());
        result.insert("why".to_owned(), serde_json::json!(["a case failed"]));
    });
    run(&["merge", &one, &failed]).code(1).stdout(contains(
        "FAILED scenario/kunit/vtd/rust\n    a case failed\n",
    ));
}

/// The tables in `docs/matrix.md` are what the tool makes of the results beside it.
#[test]
fn the_page_is_made_from_the_results() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = std::fs::read_to_string(docs.join("matrix.md")).unwrap();
    let marks = page
        .lines()
        .filter_map(|l| l.strip_prefix("<!-- begin ")?.strip_suffix(" -->"));
    let tiers: Vec<&str> = marks.collect();
    assert!(tiers.contains(&"full"), "{tiers:?}");
    for tier in tiers {
        let results = docs.join(format!("matrix-{tier}.json"));
        let merged = dmasan::matrix::merge::read(&[results]).unwrap();
        // What was run again is a part of the full tier.
        let of = if tier == "again" { "full" } else { tier };
        assert_eq!(merged.selection.tier, of);
        let [begin, end] = ["begin", "end"].map(|word| format!("<!-- {word} {tier} -->\n"));
        let part = page
            .split_once(&begin)
            .and_then(|(_, rest)| rest.split_once(&end));
        let (part, _) = part.expect("the page has the marks");
        assert_eq!(
            part,
            dmasan::matrix::markdown::to_string(&merged),
            "run ci/matrix-page.sh"
        );
    }
}

/// Options in `contrib/` are ones that the tool has.
#[test]
fn job_files_use_options_that_there_are() {
    let help = |args: &[&str]| {
        let out = dmasan().args(args).arg("--help").output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let known = [&["matrix"][..], &["matrix", "merge"], &["run"], &["report"]]
        .map(help)
        .join("\n");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib");
    let mut used = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // A command goes on in lines that begin with an option.
        let mut of_ours = false;
        for line in text.lines().map(str::trim) {
            of_ours = line.contains("dmasan matrix ")
                || line.contains("dmasan run ")
                || line.contains("dmasan report ")
                || of_ours && line.starts_with("--");
            let words = line.split(' ').filter(|w| of_ours && w.starts_with("--"));
            for option in words {
                assert!(
                    known.contains(&format!("{option} ")),
                    "{}: {option}",
                    path.display()
                );
                used += 1;
            }
        }
    }
    assert!(used > 20, "{used}");
}

/// A real guest; the second time the result is there already.
#[test]
fn a_cell_is_run_in_a_guest_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("r.json");
    let run = |more: &[&str]| {
        let cell = [
            "matrix",
            "--only",
            "no-iommu",
            "--json",
            json.to_str().unwrap(),
        ];
        let assert = dmasan().args(cell).args(more).assert().code(0);
        let results: Value =
            serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
        (assert, results)
    };
    let (assert, first) = run(&["--fresh"]);
    assert.stderr(contains("[1/1] scenario/no-iommu/none/rust: 1 passed"));
    assert_eq!(first["kept"], 0);
    assert_eq!(first["results"][0]["outcome"], "passed");
    assert!(first["results"][0]["seconds"].as_f64().unwrap() > 1.0);
    let (assert, second) = run(&[]);
    assert.stdout(contains("1 of these results were kept from earlier runs"));
    assert_eq!(second["kept"], 1);
    assert_eq!(second["results"], first["results"]);
    assert_eq!(second["kernels"], first["kernels"]);
}
