// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan kernel patch`: mails that git takes, and trees that are left as they were.

use std::path::Path;
use std::process::Command as Process;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

fn dmasan() -> Command {
    Command::cargo_bin("dmasan").unwrap()
}

fn git(tree: &Path, args: &[&str]) -> String {
    let out = Process::new("git")
        .arg("-C")
        .arg(tree)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(args)
        .output()
        .unwrap();
    assert!(out.status.success(), "git {args:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

/// A git tree that claims to be Linux 7.3.4 but holds nothing that the patches could apply to.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q", "-b", "work"]);
    git(dir.path(), &["config", "user.name", "t"]);
    git(dir.path(), &["config", "user.email", "t@example.org"]);
    let makefile = "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n";
    std::fs::write(dir.path().join("Makefile"), makefile).unwrap();
    git(dir.path(), &["add", "Makefile"]);
    git(dir.path(), &["commit", "-q", "-m", "base"]);
    dir
}

/// Writes the mails of a series into a folder, and returns their paths.
fn mails(linux: &str, out: &Path) -> Vec<String> {
    let output = dmasan()
        .args(["kernel", "patch", "--linux", linux, "--out"])
        .arg(out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let paths = String::from_utf8(output.stdout).unwrap();
    paths.lines().map(str::to_owned).collect()
}

fn onto(tree: &Path) -> assert_cmd::assert::Assert {
    dmasan()
        .args(["kernel", "patch", "--onto"])
        .arg(tree)
        .assert()
}

#[test]
fn mails_are_numbered_and_the_first_applies_anywhere() {
    let (dir, tree) = (tempfile::tempdir().unwrap(), tree());
    let out = dir.path().join("new");
    let output = dmasan()
        .args(["kernel", "patch", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success());
    let paths = String::from_utf8(output.stdout).unwrap();
    let paths: Vec<_> = paths.lines().collect();
    let total = paths.len();
    assert!(total > 1);
    for (i, path) in paths.iter().enumerate() {
        let text = std::fs::read_to_string(path).unwrap();
        let want = format!("Subject: [PATCH {}/{total}] ", i + 1);
        assert!(text.contains(&want), "{path}");
    }
    git(tree.path(), &["am", "-q", paths[0]]);
    let shim = tree.path().join("drivers/iommu/debug-pagealloc/shim.c");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../kernel/overlay/drivers/iommu/debug-pagealloc/shim.c");
    assert_eq!(std::fs::read(shim).unwrap(), std::fs::read(ours).unwrap());
}

/// A change of the overlay that the series for an old kernel does not know of is noticed here, without that kernel.
#[test]
fn the_overlay_fits_old_kernels() {
    let (dir, tree) = (tempfile::tempdir().unwrap(), tree());
    let paths = mails("6.12", dir.path());
    let fit = paths.iter().find(|p| p.contains("-Fit-the-DMA-sanitizer-"));
    let fit = fit.expect("the patch that fits the overlay is there");
    let folder = "drivers/iommu/debug-pagealloc";
    let text = std::fs::read_to_string(fit).unwrap();
    let changed = text.lines().filter(|l| l.starts_with("+++ "));
    for file in changed.clone() {
        assert!(file.starts_with(&format!("+++ b/{folder}/")), "{file}");
    }
    assert!(changed.count() > 0);
    git(tree.path(), &["am", "-q", &paths[0]]);
    let own = tree.path().join(folder).join("compat.h");
    assert!(
        own.exists(),
        "what only this series has is in its first mail"
    );
    git(tree.path(), &["am", "-q", fit]);
    let makefile = std::fs::read_to_string(own.with_file_name("Makefile")).unwrap();
    assert!(makefile.contains("compat.h"), "{makefile}");
}

#[test]
fn a_tree_gets_the_patches_for_its_version() {
    let tree = tree();
    let makefile = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 107\n";
    std::fs::write(tree.path().join("Makefile"), makefile).unwrap();
    git(tree.path(), &["commit", "-q", "-a", "-m", "old"]);
    // There is nothing in it that they could apply to, but the version is known.
    onto(tree.path())
        .code(69)
        .stderr(contains("were made for Linux 6.12 as Debian ships it"));
}

#[test]
fn a_series_that_there_is_not_is_refused_with_those_that_there_are() {
    dmasan()
        .args(["kernel", "patch", "--out", "x", "--linux", "6.13"])
        .assert()
        .code(2)
        .stderr(contains("there are patches for 7.3 and 6.12"));
    dmasan()
        .args(["kernel", "build", "--source", ".", "--linux", "6.12"])
        .assert()
        .code(2)
        .stderr(contains("cannot be used with"));
}

#[test]
fn all_mails_are_written_also_if_nobody_reads_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let tool = assert_cmd::cargo::cargo_bin("dmasan");
    let count = |name: &str, reader: &str| {
        let line = format!("\"$0\" kernel patch --out {name} {reader}");
        let mut shell = Process::new("bash");
        shell.args(["-c", &line]).arg(&tool).current_dir(dir.path());
        shell.output().unwrap();
        std::fs::read_dir(dir.path().join(name)).unwrap().count()
    };
    assert_eq!(count("full", ">/dev/full"), count("read", ""));
    assert!(count("read2", "") > 1);
}

#[test]
fn a_folder_with_patches_is_not_mixed_up() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("0001-mine.patch"), "").unwrap();
    dmasan()
        .args(["kernel", "patch", "--out"])
        .arg(dir.path())
        .assert()
        .code(2)
        .stderr(contains("0001-mine.patch"));
}

#[test]
fn a_dirty_tree_is_refused_by_name() {
    let tree = tree();
    std::fs::write(
        tree.path().join("Makefile"),
        "VERSION = 7\nPATCHLEVEL = 3\n#\n",
    )
    .unwrap();
    onto(tree.path())
        .code(2)
        .stderr(contains("uncommitted changes: Makefile"));
}

#[test]
fn other_versions_are_refused() {
    let tree = tree();
    std::fs::write(
        tree.path().join("Makefile"),
        "VERSION = 4\nPATCHLEVEL = 19\n",
    )
    .unwrap();
    git(tree.path(), &["commit", "-q", "-a", "-m", "old"]);
    onto(tree.path())
        .code(2)
        .stderr(contains("is Linux 4.19.0").and(contains("supported: Linux 7.3")));
}

#[test]
fn an_existing_branch_is_not_overwritten() {
    let tree = tree();
    git(tree.path(), &["branch", "dmasan/7.3.4"]);
    onto(tree.path())
        .code(2)
        .stderr(contains("has a branch dmasan/7.3.4 already"))
        .stderr(contains("help: delete it first: git -C "));
    git(tree.path(), &["checkout", "-q", "dmasan/7.3.4"]);
    onto(tree.path())
        .code(2)
        .stderr(contains("checkout BRANCH && git -C "));
}

#[test]
fn advice_can_be_pasted_into_a_shell() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("my series");
    dmasan()
        .args(["kernel", "patch", "--out"])
        .arg(&out)
        .assert()
        .code(0)
        .stderr(contains(format!("git am '{}'/*.patch", out.display())));
}

#[test]
fn places_where_no_patches_can_be_are_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("afile");
    std::fs::write(&file, "").unwrap();
    for out in [file.to_str().unwrap(), "/proc/1/x"] {
        dmasan()
            .args(["kernel", "patch", "--out", out])
            .assert()
            .code(2)
            .stderr(contains(out).and(contains("help: give --out a folder")));
    }
}

#[test]
fn a_plain_folder_is_no_git_tree() {
    let dir = tempfile::tempdir().unwrap();
    onto(dir.path()).code(2).stderr(contains("is no git tree"));
    onto(Path::new("/nonexistent"))
        .code(2)
        .stderr(contains("/nonexistent is no folder").and(contains("help: ")));
}

#[test]
fn a_series_that_does_not_apply_leaves_no_trace() {
    let tree = tree();
    let before = git(tree.path(), &["rev-parse", "HEAD"]);
    onto(tree.path())
        .code(69)
        .stderr(contains("does not apply").and(contains("nothing was changed")));
    assert_eq!(git(tree.path(), &["rev-parse", "HEAD"]), before);
    assert_eq!(
        git(tree.path(), &["branch", "--format=%(refname:short)"]),
        "work\n"
    );
    assert_eq!(git(tree.path(), &["status", "--porcelain"]), "");
    assert!(!tree.path().join(".git/rebase-apply").exists());
}
