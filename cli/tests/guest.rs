// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan run` with real guests: what goes well, and every way in which a guest can fail.
//!
//! Guests run one after the other. What is missing (kernel, QEMU) makes the tests fail, never pass.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

mod common;
use common::{interrupt, one_guest};

/// The tool, once what it needs for guests is there. Making that takes minutes the first time, so it is shown.
fn dmasan(args: &[&str]) -> Command {
    static SETUP: Once = Once::new();
    let tool = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dmasan"));
        command.args(args).stdin(Stdio::null());
        command
    };
    SETUP.call_once(|| {
        let build = tool(&["kernel", "build"]).stdout(Stdio::null()).status();
        assert!(build.unwrap().success(), "no kernel to boot");
    });
    tool(args)
}

/// Runs to the end; the output is shown if the test fails.
fn run(args: &[&str]) -> (i32, String, String) {
    let _one = one_guest();
    let Output {
        status,
        stdout,
        stderr,
    } = dmasan(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    println!("dmasan {}: {status}\n{stdout}\n{stderr}", args.join(" "));
    (status.code().unwrap_or(-1), stdout, stderr)
}

fn project(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    path.canonicalize().unwrap().display().to_string()
}

fn data(name: &str) -> String {
    project(&format!("cli/tests/data/{name}"))
}

fn edu(bug: u8) -> String {
    format!("{}:bug={bug}", project("scenarios/modules/edu_dma"))
}

/// A script in a file of its own, deleted at the end of the test.
fn script(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("script.sh");
    fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

fn run_script(text: &str, more: &[&str]) -> (i32, String, String) {
    let (_dir, path) = script(text);
    run(&[&["run", "--script", &path], more].concat())
}

#[test]
fn a_guest_that_only_boots_is_clean() {
    let (code, stdout, _) = run(&["run"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("no findings"));
}

#[test]
fn a_file_that_is_not_written_hides_no_finding() {
    let dir = tempfile::tempdir().unwrap();
    let html = dir.path().join("out.html").display().to_string();
    let files = ["--json", "/dev/full", "--html", &html];
    let bug = edu(1);
    let (code, stdout, stderr) =
        run(&[&["run", "--device", "edu", "--module", &bug], &files[..]].concat());
    assert_eq!(code, 69);
    assert!(stdout.contains("BUG: DMASAN: free-while-mapped in edu_free_early"));
    assert!(stderr.contains("cannot write /dev/full"));
    assert!(fs::read_to_string(html).unwrap().contains("edu_free_early"));
}

#[test]
fn a_finding_is_1_and_goes_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (json, log) = (file("out.json"), file("out.log"));
    let (bug, fixed) = (edu(1), edu(0));
    let (code, stdout, _) = run(&[
        "run",
        "--device",
        "edu",
        "--module",
        &bug,
        "--module",
        &fixed,
        "--json",
        &json,
        "--keep-log",
        &log,
    ]);
    assert_eq!(code, 1);
    assert!(stdout.contains("BUG: DMASAN: free-while-mapped in edu_free_early"));
    let json = dmasan_report::json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(json.findings.len(), 1);
    assert_eq!(json.findings[0].step, Some(1));
    let texts: Vec<&str> = json.steps.iter().map(|s| s.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "edu_dma bug=1",
            "unload edu_dma bug=1",
            "edu_dma bug=0",
            "unload edu_dma bug=0"
        ]
    );
    assert!(fs::read_to_string(log).unwrap().contains("BUG: DMASAN"));
}

#[test]
fn the_scripts_output_is_shown_and_the_environment_is_usable() {
    let text = "uname -r; ls /sys/kernel/debug/dmasan/stats; test -w /tmp; echo last";
    let (code, stdout, _) = run_script(text, &[]);
    assert_eq!(code, 0);
    assert!(stdout.contains("/sys/kernel/debug/dmasan/stats") && stdout.contains("last"));
}

#[test]
fn a_failing_script_is_69_but_findings_are_worth_more() {
    let (code, _, stderr) = run_script("echo why; exit 3", &[]);
    assert_eq!(code, 69);
    assert!(stderr.contains("the script failed (rc=3)") && stderr.contains("why"));
    let (code, stdout, _) = run_script("exit 3", &["--device", "edu", "--module", &edu(1)]);
    assert_eq!(code, 1);
    assert!(stdout.contains("(exit 3)"));
}

#[test]
fn a_panic_is_69_and_earlier_findings_are_shown() {
    let more = ["--device", "edu", "--module", &edu(1)];
    let (code, stdout, stderr) = run_script("echo c >/proc/sysrq-trigger; sleep 60", &more);
    assert_eq!(code, 69);
    assert!(stdout.contains("BUG: DMASAN: free-while-mapped"));
    assert!(stderr.contains("the guest's kernel failed in step `script script.sh`"));
    assert!(stderr.contains("sysrq triggered crash"));
}

#[test]
fn a_guest_that_hangs_is_69() {
    let begun = Instant::now();
    let (code, _, stderr) = run_script("while :; do :; done", &["--timeout", "60"]);
    assert_eq!(code, 69);
    assert!(stderr.contains("gave no answer in step `script script.sh` within 60 s"));
    assert!(begun.elapsed() < Duration::from_secs(200));
}

#[test]
fn a_guest_that_powers_off_early_is_69() {
    let (code, _, stderr) = run_script("reboot -f; sleep 60", &[]);
    assert_eq!(code, 69);
    assert!(stderr.contains("powered off early in step `script script.sh`"));
}

#[test]
fn a_module_that_does_not_compile_is_69() {
    let (code, _, stderr) = run(&["run", "--module", &data("broken_module")]);
    assert_eq!(code, 69);
    assert!(stderr.contains("module broken_module does not compile"));
    assert!(stderr.contains("no_such_variable"));
}

#[test]
fn a_module_that_does_not_load_is_69() {
    let (code, _, stderr) = run(&["run", "--module", &data("refusing_module")]);
    assert_eq!(code, 69);
    assert!(stderr.contains("module does not load: refusing_module"));
    assert!(stderr.contains("'refusing_module.ko': No such device"));
    // Its init is called once: twice would give one bug two findings.
    assert_eq!(stderr.matches("not today").count(), 1);
}

#[test]
fn a_module_in_rust_loads_and_its_folder_is_not_written_to() {
    let names = |dir: &str| -> Vec<PathBuf> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        names.sort();
        names
    };
    let folder = data("rust_module");
    let before = names(&folder);
    let log = tempfile::NamedTempFile::new().unwrap();
    let (code, _, _) = run(&[
        "run",
        "--module",
        &folder,
        "--keep-log",
        log.path().to_str().unwrap(),
    ]);
    assert_eq!(code, 0);
    let log = fs::read_to_string(log.path()).unwrap();
    assert!(log.contains("rust_module: loaded") && log.contains("rust_module: unloaded"));
    assert_eq!(names(&folder), before);
}

/// The file that the last build of a folder has left in the cache.
fn built(folder: &str, file: &str) -> PathBuf {
    let json = dmasan(&["doctor", "--json"]).output().unwrap().stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let what = format!("module {folder}");
    let entries = json["cached"].as_array().unwrap().iter();
    let of = entries.filter(|e| e["what"] == what.as_str() && e["complete"] == true);
    let files = of.map(|e| {
        Path::new(e["path"].as_str().unwrap())
            .join("src")
            .join(file)
    });
    files
        .max_by_key(|f| fs::metadata(f).unwrap().modified().unwrap())
        .unwrap()
}

#[test]
fn a_module_in_a_file_of_another_name_is_unloaded() {
    let (code, _, _) = run(&["run", "--module", &data("rust_module")]);
    assert_eq!(code, 0);
    let dir = tempfile::tempdir().unwrap();
    let (copy, log) = (dir.path().join("my-copy-1.2.ko"), dir.path().join("log"));
    fs::copy(built("rust_module", "rust_module.ko"), &copy).unwrap();
    let (copy, log) = (copy.to_str().unwrap(), log.to_str().unwrap());
    // The second load works only after the first one is undone.
    let (code, stdout, _) = run(&["run", "--module", copy, "--module", copy, "--keep-log", log]);
    assert_eq!(code, 0);
    assert_eq!(stdout.matches("unload rust_module ").count(), 2);
    let log = fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("rust_module: unloaded").count(), 2);
}

#[test]
fn a_driver_that_never_had_a_device_is_told() {
    let note = "the driver of edu_dma was bound to no device";
    let (code, _, stderr) = run(&["run", "--module", &edu(1)]);
    assert_eq!(code, 0);
    assert!(stderr.contains(note), "{stderr}");
    let with = ["--device", "edu", "--module", &edu(0)];
    let (code, _, stderr) = run(&[&["run"], &with[..]].concat());
    assert_eq!(code, 0);
    assert!(!stderr.contains("bound to no device"), "{stderr}");
    // It has a device for a while only.
    let text = "cd /sys/bus/pci/drivers/edu_dma; for d in 0*; do echo $d >unbind || exit 1; done; echo left: 0*";
    let (code, stdout, stderr) = run_script(text, &with);
    assert_eq!(code, 0);
    assert!(stdout.contains("left: 0*"), "{stdout}");
    assert!(!stderr.contains("bound to no device"), "{stderr}");
    // A module without a driver.
    let (code, _, stderr) = run(&["run", "--module", &data("rust_module")]);
    assert_eq!(code, 0);
    assert!(!stderr.contains("bound to no device"), "{stderr}");
}

#[test]
fn a_module_for_another_kernel_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let ko = dir.path().join("old.ko");
    fs::write(&ko, "\x7fELF\0vermagic=2.6.32 SMP mod_unload \0").unwrap();
    let (code, _, stderr) = run(&["run", "--module", ko.to_str().unwrap()]);
    assert_eq!(code, 69);
    assert!(stderr.contains("is made for Linux 2.6.32"));
}

/// The processes whose command line holds `text`.
fn processes_with(text: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|e| fs::read(e.path().join("cmdline")).ok());
    let lines = lines.map(|l| String::from_utf8_lossy(&l).replace('\0', " "));
    lines.filter(|l| l.contains(text)).collect()
}

fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    common::wait_for(what, Duration::from_secs(300), look)
}

#[test]
fn ctrl_c_ends_the_guest_and_leaves_nothing() {
    let _one = one_guest();
    let (dir, script) = script("while :; do sleep 1; done");
    let kept = dir.path().join("kept.log");
    let mut command = dmasan(&["run", "--script", &script, "--keep-log"]);
    let mut child: Child = command
        .arg(&kept)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The folder of the run begins with the process id, and is on QEMU's command line.
    let mark = format!("runs/{}-", child.id());
    wait_for("the guest", || {
        (!processes_with(&mark).is_empty()).then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    let qemu = processes_with(&mark).concat();
    interrupt(&child);
    let begun = Instant::now();
    let status = wait_for("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(20));
    wait_for("the end of QEMU", || {
        processes_with(&mark).is_empty().then_some(())
    });
    assert!(qemu.contains("qemu-system-x86_64"), "{qemu}");
    let mut stderr = String::new();
    child.stderr.unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.contains("the kernel log until then is"), "{stderr}");
    assert!(kept.is_file());
}

/// The build is one of its own (an option that nobody else sets), so that there is something to interrupt.
#[test]
fn ctrl_c_ends_a_kernel_build_which_is_redone_then() {
    let _one = one_guest();
    let dir = tempfile::tempdir().unwrap();
    let fragment = dir.path().join("own.config");
    fs::write(&fragment, "CONFIG_LOCALVERSION=\"-interrupted\"\n").unwrap();
    for round in 0..2 {
        let mut child = dmasan(&["kernel", "build", "-vv", "--config"])
            .arg(&fragment)
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("said")).unwrap())
            .spawn()
            .unwrap();
        let said = || fs::read_to_string(dir.path().join("said")).unwrap();
        wait_for("the compiler", || said().contains("  CC ").then_some(()));
        let begun = Instant::now();
        interrupt(&child);
        let status = wait_for("the end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(130), "{}", said());
        assert!(begun.elapsed() < Duration::from_secs(20));
        let again = said().contains("an earlier run did not finish it; it is made anew");
        assert!(again || round == 0, "{}", said());
        // Its folder, as somebody else may be building, too.
        let said = said();
        let folder = said.split_whitespace().find(|w| w.starts_with("O=/"));
        let folder = folder.expect("make is told where to build");
        wait_for("the end of make", || {
            processes_with(folder).is_empty().then_some(())
        });
    }
}
