// SPDX-License-Identifier: GPL-2.0-only
//! The command line: help, dry runs, and what wrong usage gets. Nothing here needs a network or a build.

use std::fs::{read_dir, read_link, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use assert_cmd::Command;
use nix::sys::signal::{kill, Signal};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, Pid};
use predicates::prelude::*;
use predicates::str::{contains, is_empty};

mod common;
use common::interrupt;

/// The tool with a cache of its own.
fn dmasan(cache: &Path) -> Command {
    let mut command = Command::cargo_bin("dmasan").unwrap();
    command
        .env("XDG_CACHE_HOME", cache)
        .env_remove("DMASAN_ENV");
    command
}

fn run(args: &[&str]) -> assert_cmd::assert::Assert {
    let cache = tempfile::tempdir().unwrap();
    dmasan(cache.path()).args(args).assert()
}

#[test]
fn help_of_every_level() {
    let levels: [(&[&str], &[&str]); 11] = [
        (
            &[],
            &[
                "doctor",
                "demo",
                "kernel",
                "run",
                "report",
                "Exit codes",
                "XDG_CACHE_HOME",
            ],
        ),
        (&["doctor"], &["--json", "installs and changes nothing"]),
        (&["demo"], &["15 minutes", "--jobs"]),
        (&["kernel"], &["build", "patch"]),
        (
            &["kernel", "build"],
            &["--flavor", "rust", "never written to", "--config", "--jobs"],
        ),
        (&["kernel", "patch"], &["--out", "--onto", "git am"]),
        (
            &["run"],
            &[
                "--module",
                "--device",
                "--script",
                "--timeout",
                "--keep-log",
                "--json",
            ],
        ),
        (&["report"], &["--format", "text", "json"]),
        (&["bench"], &["map", "alloc", "engine", "budget"]),
        (
            &["bench", "map"],
            &["--flavors", "--pages", "--wall-clock", "--fresh", "minutes"],
        ),
        (&["bench", "budget"], &["TEST", "FUNCTION", "--param"]),
    ];
    for (command, words) in levels {
        let mut args = command.to_vec();
        args.push("--help");
        let mut assert = run(&args).code(0).stderr(is_empty());
        for word in words.iter().chain(&["--dry-run", "--color", "--verbose"]) {
            assert = assert.stdout(contains(*word));
        }
    }
}

#[test]
fn wrong_usage_is_2_and_names_the_thing() {
    let cases: [(&[&str], &str); 6] = [
        (
            &["kernel", "build", "--flavor", "cobol"],
            "[possible values: rust, c, none, dma-api-debug]",
        ),
        (
            &["kernel", "build", "--jobs", "0"],
            "a number from 1 to 1024",
        ),
        (&["kernel", "patch"], "--out <DIR>|--onto <TREE>"),
        (
            &["kernel", "patch", "--out", "a", "--onto", "b"],
            "cannot be used with",
        ),
        (&["run", "--timeout", "soon"], "soon"),
        (&["frobnicate"], "unrecognized subcommand"),
    ];
    for (args, text) in cases {
        run(args).code(2).stdout(is_empty()).stderr(contains(text));
    }
}

#[test]
fn bad_fragments_and_sources_are_told_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let fragment = dir.path().join("my.config");
    std::fs::write(&fragment, "CONFIG_A=y\nnonsense\n").unwrap();
    let fragment = fragment.to_str().unwrap();
    let build =
        |args: &[&str]| run(&[&["kernel", "build", "--dry-run", "--env", "root"], args].concat());
    build(&["--config", fragment])
        .code(2)
        .stderr(contains("my.config:2: not a line of a kernel config"));
    build(&["--config", "/nonexistent"])
        .code(2)
        .stderr(contains("cannot read the config fragment /nonexistent"));
    build(&["--source", "/nonexistent"])
        .code(2)
        .stderr(contains("--source /nonexistent"));
    build(&["--source", dir.path().to_str().unwrap()])
        .code(2)
        .stderr(contains("is no kernel tree"));
}

#[test]
fn a_machine_on_which_no_driver_runs_is_refused_before_any_work() {
    run(&["drivers", "e1000", "--machine", "arm64-smmuv3"])
        .code(2)
        .stdout(is_empty())
        .stderr(contains("nothing to run on the machine `arm64-smmuv3`"))
        .stderr(contains("e1000: the kernels for arm64 are built without"))
        .stderr(contains("machines for this: vtd, "));
}

#[test]
fn a_kernel_without_patches_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let makefile = "VERSION = 5\nPATCHLEVEL = 4\nSUBLEVEL = 1\nEXTRAVERSION =\n";
    std::fs::write(dir.path().join("Makefile"), makefile).unwrap();
    let tree = dir.path().to_str().unwrap();
    run(&[
        "kernel",
        "build",
        "--dry-run",
        "--env",
        "root",
        "--source",
        tree,
    ])
    .code(2)
    .stderr(contains("is Linux 5.4.1, for which there are no patches"))
    .stderr(contains("supported: Linux 7.3"));
}

#[test]
fn a_dry_run_prints_everything_and_does_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let args = [
        "kernel",
        "build",
        "--dry-run",
        "--env",
        "root",
        "--jobs",
        "3",
    ];
    dmasan(cache.path())
        .args(args)
        .assert()
        .code(0)
        .stderr(is_empty())
        .stdout(contains("mmdebstrap --mode=root"))
        .stdout(contains("download linux-source-7.3="))
        .stdout(contains("tar -x -J"))
        .stdout(contains("cp -al"))
        .stdout(contains("patch -p1 --batch"))
        .stdout(contains("allnoconfig"))
        .stdout(contains("-j3 bzImage modules"))
        .stdout(contains("build/arch/x86/boot/bzImage\n"));
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn the_c_flavor_is_not_patched() {
    run(&[
        "kernel",
        "build",
        "--dry-run",
        "--env",
        "root",
        "--flavor",
        "c",
    ])
    .code(0)
    .stdout(contains("patch -p1").not())
    .stdout(contains("bzImage modules"));
}

#[test]
fn doctor_looks_only() {
    let cache = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = dmasan(cache.path())
            .arg("doctor")
            .args(args)
            .output()
            .unwrap();
        assert!(matches!(output.status.code(), Some(0 | 2)), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&[]).contains("Nothing is cached yet"));
    let json: serde_json::Value = serde_json::from_str(&run(&["--json"])).unwrap();
    assert!(json["usable"].is_boolean());
    let names: Vec<_> = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["name"])
        .collect();
    assert!(names.iter().any(|n| *n == "disk"), "{names:?}");
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn doctor_tells_that_a_cache_cannot_be_made() {
    dmasan(Path::new("/dev/null"))
        .arg("doctor")
        .assert()
        .code(2)
        .stdout(contains("no folder can be made at /dev/null/dmasan"))
        .stdout(contains("make /dev/null a folder that you can write to"));
}

#[test]
fn mistyped_names_of_what_is_read_are_wrong_usage() {
    let cache = tempfile::tempdir().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    let page = tempfile::NamedTempFile::new().unwrap();
    let page = page.path().to_str().unwrap();
    let missing = format!("{empty}/page.md");
    let place = "has no place for the tables";
    let cases: [(&[&str], &str); 8] = [
        (&["drivers", "--update", &missing], "cannot read"),
        (&["drivers", "--update", page], place),
        (&["mutants", "--update", page], place),
        (&["matrix", "merge", "/no/x"], "cannot read /no/x"),
        (&["drivers", "--from", "/no/x"], "cannot read /no/x"),
        (&["mutants", "--from", "/no/x"], "cannot read /no/x"),
        (
            &["matrix", "--list", "--scenarios", "/no/x"],
            "cannot read /no/x",
        ),
        (
            &["matrix", "--list", "--scenarios", empty],
            "there is no scenario in",
        ),
    ];
    for (args, told) in cases {
        dmasan(cache.path())
            .args(args)
            .assert()
            .code(2)
            .stderr(contains(told))
            .stderr(contains("help: "));
    }
}

#[test]
fn no_colour_in_a_pipe() {
    run(&["doctor"]).stdout(contains("\x1b[").not());
    run(&["--color", "always", "doctor"]).stdout(contains("\x1b["));
}

/// A dry run of `kernel patch`, a table and a dry run of a build, into `out`.
fn into(out: &str) -> Vec<(i32, String)> {
    let cache = tempfile::tempdir().unwrap();
    let tool = assert_cmd::cargo::cargo_bin("dmasan");
    let commands = [
        "doctor",
        "run --dry-run --env root",
        "kernel patch --out /nonexistent/x --dry-run",
    ];
    let run = |command: &&str| {
        let line = format!("\"$0\" {command} {out}");
        let output = std::process::Command::new("bash")
            .args(["-c", &line])
            .arg(&tool)
            .env("XDG_CACHE_HOME", cache.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), stderr)
    };
    commands.iter().map(run).collect()
}

#[test]
fn a_full_standard_output_is_told() {
    for (code, stderr) in into(">/dev/full") {
        assert_eq!(code, 69, "{stderr}");
        assert!(stderr.contains("cannot write to standard output"));
        assert!(!stderr.contains("XDG_CACHE_HOME"), "{stderr}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    // The reader is gone before anything is written.
    for (code, stderr) in into("> >(exec <&-; sleep 0.1) 2>&1; rc=$?; exit $rc") {
        assert!(matches!(code, 0 | 2), "{code} {stderr}");
    }
}

fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    common::wait_for(what, Duration::from_secs(60), look)
}

#[test]
fn a_second_ctrl_c_ends_what_waits_for_input() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("my.config");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    // Somebody who could write holds it open, and does not write.
    let _writer = File::options().read(true).write(true).open(&fifo).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_dmasan"))
        .args(["kernel", "build", "--dry-run", "--env", "root", "--config"])
        .arg(&fifo)
        .env("XDG_CACHE_HOME", dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let open = format!("/proc/{}/fd", child.id());
    wait_for("the wait", || {
        let mut files = read_dir(&open).ok()?.flatten();
        files.find(|f| read_link(f.path()).is_ok_and(|to| to == fifo))
    });
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let status = wait_for("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
}
