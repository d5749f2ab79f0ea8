// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan bench`: what is refused, what a dry run prints, and small benchmarks in real guests.
//!
//! Guests run one after the other. What is missing (kernel, QEMU) makes the tests fail, never pass.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

mod common;
use common::{interrupt, one_guest, stderr_lines};

/// The kernel that guests boot: the one that the other tests build first, too.
const FLAVOR: &str = "rust";

fn dmasan(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmasan"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs to the end; the output is shown if the test fails.
fn run(mut command: Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    println!("{command:?}: {status}\n{stdout}\n{stderr}");
    (status.code().unwrap_or(-1), stdout, stderr)
}

/// A command with a cache of its own, where nothing is.
fn refused(args: &[&str]) -> String {
    let cache = tempfile::tempdir().unwrap();
    let mut command = dmasan(args);
    command.env("XDG_CACHE_HOME", cache.path());
    let (code, stdout, stderr) = run(command);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
    stderr
}

#[test]
fn unknown_names_are_told_with_all_known_ones() {
    let stderr = refused(&["bench", "map", "--flavors", "none,go"]);
    assert!(stderr.contains("rust, c, none"), "{stderr}");
    let stderr = refused(&["bench", "map", "--pages", "1,3"]);
    assert!(
        stderr.contains("16 (64K)") && stderr.contains("262144 (1G)"),
        "{stderr}"
    );
    let stderr = refused(&["bench", "alloc", "--orders", "11"]);
    assert!(stderr.contains("orders are 0 to 10"), "{stderr}");
    let stderr = refused(&["bench", "map", "--param", "2"]);
    assert!(stderr.contains("0, 1 or origin is wanted"), "{stderr}");
    for test in ["foo", "dma/0K"] {
        let stderr = refused(&["bench", "budget", test, "iommu_unmap"]);
        assert!(stderr.contains("tests are: dma/SIZE, "), "{stderr}");
    }
}

#[test]
fn threads_need_the_clock() {
    let stderr = refused(&["bench", "map", "--threads", "1,4"]);
    assert!(stderr.contains("--wall-clock"), "{stderr}");
    let stderr = refused(&["bench", "map", "--exact", "--wall-clock"]);
    assert!(stderr.contains("cannot be used with"), "{stderr}");
}

#[test]
fn results_that_cannot_be_written_are_told_before() {
    for option in ["--json", "--svg"] {
        for bench in ["map", "alloc", "engine"] {
            let stderr = refused(&["bench", bench, option, "/no/such/folder/file"]);
            assert!(stderr.contains("cannot write a file"), "{stderr}");
        }
    }
}

#[test]
fn a_dry_run_shows_how_instructions_are_counted() {
    let cache = tempfile::tempdir().unwrap();
    let mut command = dmasan(&[
        "--dry-run",
        "--env",
        "root",
        "bench",
        "map",
        "--flavors",
        "c",
    ]);
    command.env("XDG_CACHE_HOME", cache.path());
    let (code, stdout, _) = run(command);
    assert_eq!(code, 0);
    let guests: Vec<&str> = stdout
        .lines()
        .filter(|l| l.contains("qemu-system-x86_64 "))
        .collect();
    // Two parameters, and for each our module and the kernel's benchmark.
    assert_eq!(guests.len(), 4, "{stdout}");
    for (guest, shift) in guests.iter().zip([0, 4, 0, 4]) {
        let icount = format!("-icount shift={shift},sleep=off ");
        assert!(guest.contains(&icount), "{guest}");
        assert!(guest.contains(" -smp 1 "), "{guest}");
        assert!(guest.contains("page_owner=off tsc=reliable"), "{guest}");
    }
    assert!(stdout.contains("gcc -O2 -static"), "{stdout}");
    assert!(!stdout.contains("| map"), "a table of nothing: {stdout}");
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The figures of a row, one for each repeat.
fn figures(results: &Value, row: &str, setting: &str) -> Vec<f64> {
    let rows = results["rows"].as_array().unwrap();
    let row = rows.iter().find(|r| r["name"] == row).expect(row);
    let repeats = row["values"][setting]["repeats"].as_array().unwrap();
    repeats
        .iter()
        .map(|f| f["value"].as_f64().unwrap())
        .collect()
}

/// One small cell from one end to the other: boots, loads the module, runs the kernel's benchmark, twice.
#[test]
fn two_exact_runs_agree() {
    let _one = one_guest();
    let dir = tempfile::tempdir().unwrap();
    let (json, svg) = (dir.path().join("r.json"), dir.path().join("r.svg"));
    let files = [&json, &svg].map(|p| p.to_str().unwrap());
    let args = [
        "bench",
        "map",
        "--flavors",
        FLAVOR,
        "--param",
        "1",
        "--pages",
        "1",
    ];
    let more = [
        "--repeat", "2", "--fresh", "--json", files[0], "--svg", files[1],
    ];
    let (code, stdout, stderr) = run(dmasan(&[&args[..], &more[..]].concat()));
    assert_eq!(code, 0, "{stderr}");
    let results = read(&json);
    assert_eq!(results["complete"], true);
    for row in [
        "dma_map/4K",
        "dma_unmap/4K",
        "kernel_map/1/1",
        "kernel_unmap/1/1",
    ] {
        let figures = figures(&results, row, &format!("{FLAVOR}, 1"));
        assert_eq!(figures.len(), 2);
        let (least, most) = (figures[0].min(figures[1]), figures[0].max(figures[1]));
        // A page is mapped in some hundreds of instructions, not in some ten, and not in a million.
        assert!(least > 200.0 && most < 20_000.0, "{row}: {figures:?}");
        // The kernel's benchmark rounds: 100 ns are 6.25 instructions.
        let apart = if row.starts_with("kernel") {
            12.5
        } else {
            least / 1000.0
        };
        assert!(most - least <= apart, "{row}: {figures:?}");
    }
    assert!(stdout.contains("| map 4K "), "{stdout}");
    assert!(fs::read_to_string(&svg).unwrap().ends_with("</svg>\n"));
}

/// `dmasan run --exact` tells how many instructions a module took, here the one with the benchmarks.
#[test]
fn a_run_counts_instructions() {
    let _one = one_guest();
    let module = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../scenarios/modules/bench:tests=dma/4K"
    );
    let args = ["run", "--exact", "--flavor", FLAVOR, "--device", "edu"];
    let init = || {
        let (code, stdout, stderr) = run(dmasan(&[&args[..], &["--module", module]].concat()));
        assert_eq!(code, 0, "{stderr}");
        let line = stdout
            .lines()
            .find(|l| l.ends_with("  dmasan_bench tests=dma/4K"));
        let mut words = line.expect("no line for the module").split_whitespace();
        let mut number = || {
            words
                .next()
                .unwrap()
                .replace(',', "")
                .parse::<f64>()
                .unwrap()
        };
        let (whole, init) = (number(), number());
        assert!(init > 100_000.0 && init < whole, "{init} of {whole}");
        init
    };
    let (first, second) = (init(), init());
    // The same but for a timer interrupt with what it wakes: it may fall into the function or not, and is
    // about 20,000 instructions.
    assert!(
        (first - second).abs() <= first / 20.0,
        "{first} and {second}"
    );
}

#[test]
fn the_budget_of_a_call_adds_up() {
    let _one = one_guest();
    let call = ["bench", "budget", "dma/4K", "dma_unmap_page_attrs"];
    let setting = ["--flavors", FLAVOR, "--param", "1"];
    let (code, stdout, stderr) = run(dmasan(&[call, setting].concat()));
    assert_eq!(code, 0, "{stderr}");
    let rows = stdout.lines().filter(|l| l.starts_with("| ")).skip(1);
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let name = cells.next().unwrap().to_owned();
        let number = cells.next().unwrap().replace(',', "");
        (name, number.parse::<u64>().unwrap())
    };
    let mut rows: Vec<_> = rows.map(row).collect();
    let (name, all) = rows.pop().unwrap();
    assert_eq!(name, "all");
    assert_eq!(rows.iter().map(|r| r.1).sum::<u64>(), all);
    assert!((200..20_000).contains(&all), "{all}");
    assert!(rows.iter().any(|r| r.0 == "dma_unmap_page_attrs"));
}

#[test]
fn ctrl_c_is_no_failure_of_the_debugger() {
    let _one = one_guest();
    let call = ["bench", "budget", "dma/4K", "dma_unmap_page_attrs"];
    let setting = ["--flavors", FLAVOR, "--param", "1"];
    let mut child = dmasan(&[call, setting].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = stderr_lines(&mut child);
    assert!(lines.any(|l| l.contains("instruction by instruction")));
    // The debugger is there by then: the guest takes ten times as long.
    std::thread::sleep(Duration::from_secs(1));
    interrupt(&child);
    let said: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said:?}");
    assert_eq!(said, ["error: interrupted"]);
}

#[test]
fn an_interrupted_benchmark_goes_on_where_it_was() {
    let _one = one_guest();
    let args = ["bench", "alloc", "--flavors", FLAVOR, "--orders", "0"];
    let mut first = dmasan(&[&args[..], &["--fresh"]].concat());
    let mut first = first
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = stderr_lines(&mut first);
    // The first guest has ended, the second is on its way.
    let ended = lines.find(|l| l.contains("(1 of 2") && l.contains("guest ended"));
    assert!(ended.is_some(), "the first guest did not end");
    assert!(
        lines.any(|l| l.contains("(2 of 2")),
        "there is no second guest"
    );
    interrupt(&first);
    let said: Vec<String> = lines.collect();
    let output = first.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    println!("{stdout}\n{}", said.join("\n"));
    assert_eq!(output.status.code(), Some(130));
    assert!(said.iter().any(|l| l.contains("goes on from here")));
    let row = stdout.lines().find(|l| l.starts_with("| order 0"));
    let cells: Vec<&str> = row.unwrap().split('|').map(str::trim).collect();
    assert!(cells[2].parse::<u32>().unwrap() > 100, "{cells:?}");
    assert_eq!(cells[3], "-");

    let (code, stdout, stderr) = run(dmasan(&args));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("(1 of 1"), "{stderr}");
    assert!(
        stderr.contains("4 of the figures were measured by an earlier run"),
        "{stderr}"
    );
    assert!(!stdout.contains("| -"), "{stdout}");
}
