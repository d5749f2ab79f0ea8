// SPDX-License-Identifier: GPL-2.0-only
//! Stacks get the lines that the debug information has, of the right build only, and no file breaks anything.

mod objects;

use dmasan_report::{parse, Report, SourceLine};
use dmasan_symbolize::{Reason, Symbols};
use objects::{size_of_unpacked, symbol_size, Built, BANNER, RELEASE};
use std::fs;
use std::path::Path;

/// A log of one finding with these frames.
fn log(banner: Option<&str>, frames: &[String]) -> Report {
    let banner = banner.map_or(String::new(), |text| format!("[    0.000000] {text}\n"));
    let stack: String = frames
        .iter()
        .map(|f| format!("[    5.100000] {f}\n"))
        .collect();
    let rule = "=".repeat(66);
    let log = format!(
        "{banner}[    5.100000] {rule}\n[    5.100000] BUG: DMASAN: free-while-mapped in {}\n[    5.100000] [pfn=0x33e8] [pages=1]\n\
         [    5.100000] \n[    5.100000] freed at:\n{stack}[    5.100000] {rule}\n",
        frames[0].trim()
    );
    let report = parse(log.as_bytes()).unwrap();
    assert_eq!(
        report.findings[0].stacks[0].frames.len(),
        frames.len(),
        "{log}"
    );
    report
}

/// A frame for each byte of a function but the first: one of them is behind the call.
fn all_of(file: &Path, symbol: &str, module: &str) -> Vec<String> {
    let size = symbol_size(file, symbol);
    assert!(size > 4, "{symbol} has {size} bytes");
    let frame = |offset| format!(" {symbol}+{offset:#x}/{size:#x}{module}");
    (1..=size).map(frame).collect()
}

/// The source lines of each frame, `function file:line` each.
fn sources(report: &Report) -> Vec<Vec<String>> {
    let show = |line: &SourceLine| {
        let (file, number) = (line.file.as_deref().unwrap_or("?"), line.line.unwrap_or(0));
        format!("{} {file}:{number}", line.function)
    };
    let frames = report.findings[0].frames();
    frames
        .map(|f| f.source.iter().map(show).collect())
        .collect()
}

fn kernel_only(built: &Built) -> Symbols {
    Symbols::open(Some(&built.vmlinux), &[]).unwrap()
}

#[test]
fn a_frame_of_the_kernel_gets_its_line_and_who_was_inlined() {
    let built = Built::new();
    let frames = all_of(&built.vmlinux, "outer", "");
    let mut report = log(Some(BANNER), &frames);
    let summary = kernel_only(&built).apply(&mut report, false).unwrap();
    assert_eq!(summary.missed, 0);
    assert_eq!(summary.resolved, frames.len());
    let sources = sources(&report);
    let call = [
        format!("inner init/main.c:{}", built.line("CALL")),
        format!("outer init/main.c:{}", built.line("INLINED")),
    ];
    assert!(sources.iter().any(|s| *s == call), "{sources:#?}\n{call:?}");
    // Every frame ends in its own function.
    assert!(
        sources
            .iter()
            .all(|s| s.last().unwrap().starts_with("outer init/main.c:")),
        "{sources:#?}"
    );
}

#[test]
fn a_function_that_was_not_entered_yet_has_its_own_first_line() {
    let built = Built::new();
    // Nobody returns to the first byte: what is before it is another function's.
    let mut report = log(Some(BANNER), &[" behind+0x0/0x10".to_owned()]);
    kernel_only(&built).apply(&mut report, false).unwrap();
    let line = format!("behind entry.S:{}", built.line("BEHIND"));
    assert_eq!(sources(&report), [[line]]);
}

#[test]
fn frames_of_a_module_are_told_apart_by_section() {
    let built = Built::new();
    let modules = [built.module.clone()];
    let symbols = Symbols::open(None, &modules).unwrap();
    for (function, mark) in [("edu_leak", "LEAK"), ("edu_init", "INIT")] {
        let frames = all_of(&built.module, function, " [edu_dma]");
        let mut report = log(Some(BANNER), &frames);
        symbols.apply(&mut report, false).unwrap();
        let call = format!("{function} edu_dma.c:{}", built.line(mark));
        let sources = sources(&report);
        assert!(
            sources.iter().flatten().any(|s| *s == call),
            "{sources:#?}\n{call}"
        );
        let all = sources.iter().flatten();
        assert!(
            all.clone().count() > 0 && all.clone().all(|s| s.starts_with(function)),
            "{sources:#?}"
        );
    }
}

#[test]
fn frames_of_others_and_of_another_size_stay_as_they_are() {
    let built = Built::new();
    let size = symbol_size(&built.vmlinux, "outer");
    let frames = [
        format!(" outer+0x5/{:#x}", size + 4096),
        format!(" outer+{:#x}/{size:#x}", size + 1),
        " nobody+0x5/0x10".to_owned(),
        // Two functions have this name, and nothing tells which is meant.
        format!(" twice+0x5/{:#x}", symbol_size(&built.vmlinux, "twice")),
        format!(" outer+0x5/{size:#x} [other]"),
    ];
    let mut report = log(Some(BANNER), &frames);
    let summary = kernel_only(&built).apply(&mut report, false).unwrap();
    assert_eq!(sources(&report), vec![Vec::<String>::new(); frames.len()]);
    assert_eq!((summary.resolved, summary.missed), (0, 4));
}

#[test]
fn code_of_an_assembler_has_lines_under_each_of_its_names() {
    let built = Built::new();
    for name in ["bare", "bare_too"] {
        let frames = all_of(&built.vmlinux, name, "");
        let mut report = log(Some(BANNER), &frames);
        let summary = kernel_only(&built).apply(&mut report, false).unwrap();
        assert_eq!((summary.resolved, summary.missed), (frames.len(), 0));
        let sources = sources(&report).concat();
        assert!(
            sources.iter().all(|s| s.contains(" entry.S:")),
            "{sources:#?}"
        );
    }
}

#[test]
fn of_two_functions_with_one_name_the_size_tells_which() {
    let built = Built::new();
    let mut report = log(Some(BANNER), &all_of(&built.vmlinux, "unlike", ""));
    kernel_only(&built).apply(&mut report, false).unwrap();
    let line = format!("unlike other.c:{}", built.line("UNLIKE"));
    let sources = sources(&report);
    assert!(
        sources.iter().flatten().any(|s| *s == line),
        "{sources:#?}\n{line}"
    );
    assert!(
        sources
            .iter()
            .flatten()
            .all(|s| s.starts_with("unlike other.c:")),
        "{sources:#?}"
    );
}

#[test]
fn compressed_debug_information_is_unpacked() {
    let built = Built::new();
    let packed = built.kernel_with(&["-gz=zlib", "-Wl,--build-id"], "vmlinux-gz");
    let frames = all_of(&packed, "outer", "");
    let lines = |vmlinux: &Path| {
        let mut report = log(Some(BANNER), &frames);
        let symbols = Symbols::open(Some(vmlinux), &[]).unwrap();
        symbols.apply(&mut report, false).unwrap();
        sources(&report)
    };
    assert_eq!(lines(&packed), lines(&built.vmlinux));
    assert!(lines(&packed).iter().all(|source| !source.is_empty()));

    // What does not come out whole is an error.
    let refused = |bytes: &[u8]| {
        fs::write(&packed, bytes).unwrap();
        let mut report = log(Some(BANNER), &frames);
        let symbols = Symbols::open(Some(&packed), &[]).unwrap();
        let error = symbols.apply(&mut report, false).unwrap_err();
        assert!(error.to_string().contains("cannot be unpacked"), "{error}");
    };
    let mut bytes = fs::read(&packed).unwrap();
    // One byte more is promised than there is: the size is 8 bytes into the section.
    let mut longer = bytes.clone();
    longer[size_of_unpacked(&bytes)] += 1;
    refused(&longer);
    let begins = bytes
        .windows(2)
        .enumerate()
        .filter(|(_, two)| *two == [0x78, 0x9c] || *two == [0x78, 0x5e]);
    let begins: Vec<usize> = begins.map(|(at, _)| at).collect();
    assert!(!begins.is_empty());
    begins
        .into_iter()
        .for_each(|at| bytes[at + 2..at + 20].fill(0xff));
    refused(&bytes);
}

#[test]
fn another_build_is_refused_unless_forced() {
    let built = Built::new();
    let symbols = kernel_only(&built);
    let frames = all_of(&built.vmlinux, "outer", "");
    let other = BANNER.replace("#7", "#8");
    let mut report = log(Some(&other), &frames);
    let error = symbols.apply(&mut report, false).unwrap_err();
    assert_eq!(error.reason, Reason::OtherBuild);
    let text = error.to_string();
    assert!(
        text.contains("vmlinux") && text.contains("#7") && text.contains("#8"),
        "{text}"
    );
    assert!(error.advice().contains("--force-symbols"));
    assert!(sources(&report).iter().all(Vec::is_empty));
    assert!(symbols.apply(&mut report, true).unwrap().resolved > 0);
}

#[test]
fn a_draft_of_the_first_line_does_not_count() {
    let built = Built::new();
    let drafted = built.kernel_with(&["-DDRAFT"], "vmlinux-draft");
    let symbols = Symbols::open(Some(&drafted), &[]).unwrap();
    let mut report = log(Some(BANNER), &all_of(&drafted, "outer", ""));
    assert!(symbols.apply(&mut report, false).unwrap().resolved > 0);
}

#[test]
fn without_a_first_line_the_release_decides_and_then_nothing() {
    let built = Built::new();
    let symbols = kernel_only(&built);
    let mut report = log(None, &all_of(&built.vmlinux, "outer", ""));
    assert!(symbols.apply(&mut report, false).unwrap().resolved > 0);
    report.kernel = Some(RELEASE.to_owned());
    assert!(symbols.apply(&mut report, false).unwrap().resolved > 0);
    report.kernel = Some("6.1.0".to_owned());
    let error = symbols.apply(&mut report, false).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("kernel release in the log: `6.1.0`"),
        "{error}"
    );
}

#[test]
fn build_ids_decide_where_the_log_has_them() {
    let built = Built::new();
    let id = built.build_id();
    let kernel = kernel_only(&built);
    let frames = all_of(&built.vmlinux, "outer", "");
    let process = |id: &str| {
        let mut report = log(Some(&BANNER.replace("#7", "#8")), &frames);
        report.findings[0].process = Some(dmasan_report::Process {
            cpu: Some(0),
            pid: Some(1),
            comm: None,
            raw: format!("CPU: 0 UID: 0 PID: 1 Comm: x Not tainted {RELEASE} #7 PREEMPT  {id}"),
        });
        report
    };
    assert!(kernel.apply(&mut process(&id), false).unwrap().resolved > 0);
    let error = kernel
        .apply(&mut process(&"ab".repeat(20)), false)
        .unwrap_err();
    assert!(
        error.to_string().contains("build id in the log: `abab"),
        "{error}"
    );

    // A module's is in its frames.
    let module = Symbols::open(None, std::slice::from_ref(&built.module)).unwrap();
    let frames = all_of(
        &built.module,
        "edu_leak",
        &format!(" [edu_dma {}]", "cd".repeat(20)),
    );
    let mut report = log(Some(BANNER), &frames);
    // Compiled without one, the module is compared by its release.
    assert!(module.apply(&mut report, false).unwrap().resolved > 0);
    let linked = Symbols::open(None, &[built.linked_module()]).unwrap();
    let error = linked.apply(&mut report, false).unwrap_err();
    assert!(
        error.to_string().contains("build id in the log: `cdcd"),
        "{error}"
    );
}

#[test]
fn only_findings_of_this_kernel_are_touched() {
    let built = Built::new();
    let frames = all_of(&built.vmlinux, "outer", "");
    let mut report = log(Some(&BANNER.replace("#7", "#8")), &frames);
    let mut second = log(Some(BANNER), &frames);
    second.banners[0].line += 1_000;
    second.findings[0].line += 1_000;
    report.banners.append(&mut second.banners);
    report.findings.append(&mut second.findings);
    let summary = kernel_only(&built).apply(&mut report, false).unwrap();
    assert_eq!(summary.other_kernel, 1);
    assert!(report.findings[0].frames().all(|f| f.source.is_empty()));
    assert!(report.findings[1].frames().any(|f| !f.source.is_empty()));
}

#[test]
fn files_that_are_no_kernel_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut image = vec![0; 0x300];
    image[0x202..0x206].copy_from_slice(b"HdrS");
    let cases = [
        (file("text", b"hello"), Reason::Malformed, "no ELF file"),
        (file("empty", b""), Reason::Malformed, "no ELF file"),
        (file("bzImage", &image), Reason::Malformed, "bootable image"),
        (
            file("x.ko.xz", b"\xfd7zXZ\0 "),
            Reason::Malformed,
            "unpack it",
        ),
        (
            file("short", b"\x7fELF\x02\x01\x01"),
            Reason::Malformed,
            "damaged",
        ),
        (dir.path().join("none"), Reason::Unreadable, "cannot read"),
        (
            dir.path().to_owned(),
            Reason::Unreadable,
            "not a regular file",
        ),
        ("/dev/zero".into(), Reason::Unreadable, "not a regular file"),
    ];
    for (path, reason, text) in cases {
        for error in [
            Symbols::open(Some(&path), &[]).err().unwrap(),
            Symbols::open(None, std::slice::from_ref(&path))
                .err()
                .unwrap(),
        ] {
            assert_eq!(error.reason, reason, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
    let built = Built::new();
    let error = Symbols::open(Some(&built.module), &[]).err().unwrap();
    assert!(error.to_string().contains("no `linux_banner`"), "{error}");
    let error = Symbols::open(None, std::slice::from_ref(&built.vmlinux))
        .err()
        .unwrap();
    assert!(error.to_string().contains("no vermagic"), "{error}");
    let error = Symbols::open(Some(&built.kernel_with(&["-g0"], "vmlinux-g0")), &[])
        .err()
        .unwrap();
    assert_eq!(error.reason, Reason::NoDebugInfo, "{error}");
    // Half of it is no use: a section of another name is none.
    for section in [".debug_info", ".debug_line"] {
        let mut bytes = fs::read(&built.vmlinux).unwrap();
        let name = format!("\0{section}\0").into_bytes();
        let at = bytes.windows(name.len()).position(|w| w == name).unwrap();
        bytes[at + 2] = b'x';
        let error = Symbols::open(Some(&file("half", &bytes)), &[])
            .err()
            .unwrap();
        assert_eq!(error.reason, Reason::NoDebugInfo, "{section}: {error}");
    }
}

/// A file is cut anywhere, or any of its bytes is another: there is an error or a result, and the result is bounded.
#[test]
fn no_damage_breaks_anything() {
    let built = Built::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged");
    let module = [built.module.clone()];
    for (file, is_kernel) in [(&built.vmlinux, true), (&module[0], false)] {
        let whole = fs::read(file).unwrap();
        let frames = match is_kernel {
            true => all_of(file, "outer", ""),
            false => all_of(file, "edu_leak", " [edu_dma]"),
        };
        let (mut opened, mut applied) = (0, 0);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for round in 0..1500 {
            let mut bytes = whole.clone();
            if round % 5 == 0 {
                bytes.truncate(random(whole.len()));
            } else {
                for _ in 0..1 + random(30) {
                    let at = random(bytes.len());
                    bytes[at] = [0, 0xff, 0x80, bytes[at] ^ 1 << random(8)][random(4)];
                }
            }
            fs::write(&path, &bytes).unwrap();
            let damaged = [path.clone()];
            let symbols = match is_kernel {
                true => Symbols::open(Some(&path), &[]),
                false => Symbols::open(None, &damaged),
            };
            let Ok(symbols) = symbols else { continue };
            opened += 1;
            let mut report = log(None, &frames);
            applied += usize::from(symbols.apply(&mut report, true).is_ok());
        }
        // Both ways were gone.
        assert!(
            opened > 100 && applied > 100 && applied < 1500,
            "{opened} {applied}"
        );
    }
}
