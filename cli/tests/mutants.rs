// SPDX-License-Identifier: GPL-2.0-only
//! Bugs planted in drivers of the kernel's: all patches apply, and some of them are run as a smoke test.
//!
//! All of them are run by `dmasan mutants`, which takes an hour with all sanitizers.

use std::path::Path;
use std::process::Stdio;

use assert_cmd::Command;
use dmasan::args::{jobs_or_default, Switch};
use dmasan::boot::Host;
use dmasan::error::Error;
use dmasan::exec::Exec;
use dmasan::kernel::{self, Flavor, KernelSpec};
use dmasan::machine::Model;
use dmasan::mutants::column::Column;
use dmasan::mutants::file::Mutant;
use dmasan::mutants::judge::Verdict;
use dmasan::mutants::{copy, Lab};
use dmasan::source;
use dmasan::ui::{Color, Ui};
use predicates::str::contains;

mod common;
use common::{interrupt, one_guest, stderr_lines};

fn host() -> Host {
    let exec = Exec::new(Ui::new(0, Color::Never), false);
    Host::prepare(&exec, <&Model>::default()).unwrap_or_else(|e| panic!("{}", full(&e)))
}

fn full(error: &Error) -> String {
    let reason = std::error::Error::source(error).map(|s| format!("\n{s}"));
    format!(
        "{error}{}\n{}",
        reason.unwrap_or_default(),
        error.advice().unwrap_or("")
    )
}

fn dmasan() -> Command {
    Command::cargo_bin("dmasan").unwrap()
}

/// The newest supported kernel may change under the patches.
#[test]
fn all_patches_apply() {
    let host = host();
    let source = source::prepare(&host.exec, &host.env, None).unwrap();
    let dir = tempfile::tempdir_in(host.env.work()).unwrap();
    let mut wrong = Vec::new();
    for mutant in Mutant::all().unwrap() {
        let dir = dir.path().join(mutant.name());
        copy::lay_out(&host.exec, &host.env, &source.tree, &dir, &mutant).unwrap();
        let applied = copy::apply(&host.exec, &host.env, &dir, &mutant);
        wrong.extend(
            applied
                .err()
                .map(|e| format!("{}: {}", mutant.name(), full(&e))),
        );
        let (folder, _) = mutant.folder_and_module();
        assert!(dir.join("src").join(folder).join("Makefile").is_symlink());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_patch_that_does_not_apply_says_so() {
    let host = host();
    let dir = tempfile::tempdir_in(host.env.work()).unwrap();
    let mutant = Mutant::find(&["e100".to_owned()]).unwrap().remove(0);
    let tree = dir.path().join("linux");
    for path in mutant.changes() {
        let file = tree.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "int x;\n").unwrap();
    }
    let copy = dir.path().join("copy");
    copy::lay_out(&host.exec, &host.env, &tree, &copy, &mutant).unwrap();
    let error = copy::apply(&host.exec, &host.env, &copy, &mutant).unwrap_err();
    assert!(full(&error).contains("FAILED"), "{}", full(&error));
}

/// One that the driver meets when it is used, and one that it meets when it stops.
#[test]
fn bugs_are_caught_and_drivers_without_them_are_silent() {
    let _one = one_guest();
    let host = host();
    let model = <&Model>::default();
    let spec = KernelSpec {
        flavor: Flavor::Rust,
        model,
        source: None,
        fragments: Vec::new(),
        extra: &[],
        jobs: jobs_or_default(None),
    };
    let kernel = kernel::build(&host.exec, &host.cache, &host.env, &spec).unwrap();
    let lab = Lab::new(&host, &kernel, model, Column::Origin).unwrap();
    for name in ["e100-tx-length", "e1000-rx-ring-clean"] {
        let mutant = Mutant::find(&[name.to_owned()]).unwrap().remove(0);
        let cell = lab.cell(&mutant).unwrap().unwrap();
        let named = matches!(cell.verdict, Verdict::Caught { named: true, .. });
        assert!(named, "{name}: {cell:?}");
        assert_eq!(cell.difference(&mutant), None, "{name}: {cell:?}");
    }
    assert_eq!(Column::Origin.switch(), Switch::Origin);
}

/// The second guest is on its way: what the first has shown is told, and of the second that it was not run.
#[test]
fn ctrl_c_keeps_what_there_is() {
    let _one = one_guest();
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("r.json");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_dmasan"))
        .args([
            "mutants",
            "--flavors",
            "rust",
            "--debug-pagealloc",
            "origin",
        ])
        .args(["--only", "e100-tx-length", "--only", "e1000-rx-ring-clean"])
        .arg("--json")
        .arg(&json)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = stderr_lines(&mut child);
    let second = lines.any(|l| l.starts_with("Running e1000-rx-ring-clean"));
    assert!(second, "there is no second guest");
    interrupt(&child);
    let said: Vec<String> = lines.collect();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    println!("{stdout}\n{}", said.join("\n"));
    assert_eq!(output.status.code(), Some(130));
    assert!(stdout.contains("1 of 1"), "{stdout}");
    let results: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let outcomes = [0, 1].map(|n| results["cells"][n]["outcome"].clone());
    assert_eq!(outcomes, ["caught", "not-run"]);
    assert_eq!(results["cells"][1]["why"], "interrupted");
}

#[test]
fn an_unknown_mutant_gets_the_near_ones() {
    dmasan()
        .args(["mutants", "--only", "e1000-rx-ring-clear"])
        .assert()
        .code(2)
        .stderr(contains("unknown mutant `e1000-rx-ring-clear`"))
        .stderr(contains("did you mean `e1000-rx-ring-clean`?"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (args, why) in [
        (
            ["--machine", "none"],
            "nothing is mapped on the machine `none`",
        ),
        (["--flavors", "none"], "there is no sanitizer to look at"),
        (["--json", "/no/such/folder/x"], "cannot write a file"),
    ] {
        dmasan()
            .arg("mutants")
            .args(args)
            .assert()
            .code(2)
            .stderr(contains(why));
    }
}

#[test]
fn the_list_has_all() {
    let all = Mutant::all().unwrap();
    let out = dmasan().args(["mutants", "--list"]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(text.lines().count(), all.len());
    for mutant in &all {
        assert!(text.contains(&mutant.summary), "{text}");
        let patch = format!("../drivers/{}/mutants/{}.patch", mutant.driver, mutant.bug);
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(patch).is_file());
    }
}
