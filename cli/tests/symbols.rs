// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan report --vmlinux`: source lines in every format, and what is said when there can be none.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};

#[expect(dead_code, reason = "the tests of symbolize need more of it")]
#[path = "../../symbolize/tests/objects/mod.rs"]
mod objects;
use objects::{symbol_size, Built, BANNER};

struct Case {
    built: Built,
    dir: tempfile::TempDir,
}

impl Case {
    /// A log whose stack has every address in the module's function and in the kernel's.
    fn new(banner: &str) -> Case {
        let built = Built::new();
        let dir = tempfile::tempdir().unwrap();
        let stack =
            frames(&built.module, "edu_leak", " [edu_dma]") + &frames(&built.vmlinux, "outer", "");
        let rule = "=".repeat(66);
        let log = format!(
            "{banner}\n{rule}\nBUG: DMASAN: free-while-mapped in edu_leak+0x5/0x20 [edu_dma]\n[pfn=0x33e8] [pages=1]\n\
             \nfreed at:\n{stack}{rule}\n"
        );
        let log: String = log
            .lines()
            .map(|l| format!("[    5.100000] {l}\n"))
            .collect();
        fs::write(dir.path().join("log"), log).unwrap();
        Case { built, dir }
    }

    fn report(&self, args: &[&str]) -> assert_cmd::assert::Assert {
        let mut command = Command::cargo_bin("dmasan").unwrap();
        command.arg("report").arg(self.dir.path().join("log"));
        command.args(args).assert()
    }

    fn vmlinux(&self) -> &str {
        self.built.vmlinux.to_str().unwrap()
    }

    fn module(&self) -> &str {
        self.built.module.to_str().unwrap()
    }
}

fn frames(file: &Path, symbol: &str, module: &str) -> String {
    let size = symbol_size(file, symbol);
    let frame = |offset| format!(" {symbol}+{offset:#x}/{size:#x}{module}\n");
    (1..size).map(frame).collect()
}

#[test]
fn text_has_the_line_behind_the_frame() {
    let case = Case::new(BANNER);
    let leak = format!("[edu_dma]  edu/edu_dma.c:{}\n", case.built.line("LEAK"));
    let inlined = format!(
        "\n inner (inlined)  init/main.c:{}\n outer+0x",
        case.built.line("CALL")
    );
    let call = format!("  init/main.c:{}\n", case.built.line("INLINED"));
    case.report(&["--vmlinux", case.vmlinux(), "--module", case.module()])
        .code(1)
        .stdout(contains(leak).and(contains(inlined)).and(contains(call)))
        .stdout(contains("--vmlinux").not())
        .stderr(is_empty());
}

#[test]
fn json_has_the_lines_of_each_frame() {
    let case = Case::new(BANNER);
    let out = case.report(&["--format", "json", "--module", case.module()]);
    let json: serde_json::Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
    let frames = json["findings"][0]["stacks"][0]["frames"]
        .as_array()
        .unwrap();
    let line = serde_json::json!([
        { "function": "edu_leak", "file": "edu_dma.c", "line": case.built.line("LEAK") }
    ]);
    assert!(
        frames.iter().any(|frame| frame["source"] == line),
        "{frames:#?}"
    );
    // Without a vmlinux its frames are as before.
    let of_kernel = frames.iter().filter(|frame| frame["symbol"] == "outer");
    assert!(of_kernel.clone().count() > 0);
    assert!(of_kernel
        .into_iter()
        .all(|frame| frame.get("source").is_none()));
}

#[test]
fn without_files_one_line_says_what_to_give() {
    let case = Case::new(BANNER);
    let out = case.report(&[]).code(1).stderr(is_empty());
    let text = String::from_utf8_lossy(&out.get_output().stdout).into_owned();
    assert_eq!(text.matches("--vmlinux").count(), 1, "{text}");
    assert!(
        text.trim_end()
            .lines()
            .last()
            .unwrap()
            .contains("--vmlinux FILE"),
        "{text}"
    );
    case.report(&["--format", "json"])
        .stdout(contains("--vmlinux").not());
}

#[test]
fn another_kernel_is_refused_and_can_be_forced() {
    let case = Case::new(&BANNER.replace("#7", "#8"));
    let expected = contains("another build than the log is of")
        .and(contains("#7"))
        .and(contains("#8"))
        .and(contains("--force-symbols"));
    case.report(&["--vmlinux", case.vmlinux()])
        .code(2)
        .stdout(is_empty())
        .stderr(expected);
    case.report(&["--vmlinux", case.vmlinux(), "--force-symbols"])
        .code(1)
        .stdout(contains("init/main.c:"));
}

#[test]
fn files_that_cannot_help_say_what_to_do() {
    let case = Case::new(BANNER);
    let bare = case.built.kernel_with(&["-g0"], "vmlinux-g0");
    case.report(&["--vmlinux", bare.to_str().unwrap()])
        .code(2)
        .stderr(
            contains("no debug information")
                .and(contains("CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y")),
        );
    case.report(&["--vmlinux", "/no/such/vmlinux"])
        .code(2)
        .stderr(contains("/no/such/vmlinux: cannot read"));
    case.report(&["--module", "Cargo.toml"])
        .code(2)
        .stderr(contains("no ELF file").and(contains(".ko files")));
}

#[test]
fn the_page_has_the_lines_too() {
    let case = Case::new(BANNER);
    let line = case.built.line("LEAK");
    case.report(&[
        "--format",
        "html",
        "--vmlinux",
        case.vmlinux(),
        "--module",
        case.module(),
    ])
    .code(1)
    .stdout(contains(format!(
        "<span class=\"source\">edu/edu_dma.c:{line}</span>"
    )))
    .stdout(contains("<li class=\"inlined\"><code>inner</code> inlined"))
    .stdout(contains("--vmlinux").not());
}

/// Symbolizes as `dmasan run` does. Gives what is to be told, and the frames that have lines, by module.
fn as_run(case: &Case, vmlinux: &Path, module: &Path) -> (Option<&'static str>, usize, usize) {
    let ui = dmasan::ui::Ui::new(0, dmasan::ui::Color::Never);
    let exec = dmasan::exec::Exec::new(ui, false);
    let kernel = dmasan::kernel::Kernel {
        dir: "/none".into(),
        source: "/none".into(),
        image: "/none".into(),
        vmlinux: vmlinux.to_owned(),
        release: objects::RELEASE.to_owned(),
        flavor: dmasan::kernel::Flavor::Rust,
        arch: dmasan::arch::Arch::X86_64,
        key: "none".to_owned(),
    };
    let load = dmasan::guest::Load {
        file: module.to_owned(),
        params: Vec::new(),
        path: "edu".to_owned(),
    };
    let plan = dmasan::guest::Plan::new(&[vec![load]], None);
    let log = fs::read(case.dir.path().join("log")).unwrap();
    let mut report = dmasan_report::parse(&log).unwrap();
    let how = dmasan::symbols::of_run(&exec, &mut report, &kernel, &plan);
    let with_lines = |module: Option<&str>| {
        let frames = report.findings[0].frames();
        let of_module = frames.filter(|frame| frame.site.module.as_deref() == module);
        of_module.filter(|frame| !frame.source.is_empty()).count()
    };
    (how, with_lines(None), with_lines(Some("edu_dma")))
}

#[test]
fn a_run_takes_what_its_own_files_have() {
    let case = Case::new(BANNER);
    let (how, kernel, module) = as_run(&case, &case.built.vmlinux, &case.built.module);
    assert!(
        how.is_none() && kernel > 0 && module > 0,
        "{how:?} {kernel} {module}"
    );
    // A module that cannot help is left out.
    let (how, kernel, module) = as_run(&case, &case.built.vmlinux, Path::new("/no/such.ko"));
    assert!(
        how.is_none() && kernel > 0 && module == 0,
        "{how:?} {kernel} {module}"
    );
    let bare = case.built.kernel_with(&["-g0"], "vmlinux-g0");
    let (how, kernel, module) = as_run(&case, &bare, &case.built.module);
    assert!(how.is_some_and(|how| how.contains("--config")), "{how:?}");
    assert_eq!((kernel, module), (0, 0));
    // The run is not lost by it.
    let (how, kernel, _) = as_run(&case, Path::new("/no/vmlinux"), &case.built.module);
    assert!(how.is_none() && kernel == 0);
}
