// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan run` and `dmasan demo` without a guest: what is refused at once, and what a dry run prints.

use std::fs;
use std::process::{Command, Output, Stdio};

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn dmasan(args: &[&str]) -> Ran {
    // A cache of its own: nothing is there, and nothing of the user's is read.
    let cache = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmasan"));
    command.args(args).stdin(Stdio::null());
    command
        .env("XDG_CACHE_HOME", cache.path())
        .env("DMASAN_ENV", "root");
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes).replace(cache.path().to_str().unwrap(), "[CACHE]")
    };
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: text(&stdout),
        stderr: text(&stderr),
    }
}

fn refused(args: &[&str]) -> String {
    let ran = dmasan(args);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    ran.stderr
}

#[test]
fn an_unknown_device_is_told_with_all_known_ones() {
    let stderr = refused(&["run", "--device", "nvm"]);
    assert!(stderr.contains("unknown device `nvm`"), "{stderr}");
    assert!(
        stderr.contains("did you mean `nvme`? devices are: ahci, e1000e, edu, nvme"),
        "{stderr}"
    );
}

#[test]
fn an_unknown_flavor_is_told_with_all_known_ones() {
    let stderr = refused(&["run", "--flavor", "go"]);
    assert!(
        stderr.contains("'go'") && stderr.contains("rust, c, none"),
        "{stderr}"
    );
}

#[test]
fn a_folder_without_kbuild_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("mydriver");
    fs::create_dir(&folder).unwrap();
    let stderr = refused(&["run", "--module", folder.to_str().unwrap()]);
    assert!(
        stderr.contains("mydriver` has neither a Kbuild nor a Makefile"),
        "{stderr}"
    );
    assert!(stderr.contains("obj-m := mydriver.o"), "{stderr}");
}

#[test]
fn what_is_no_module_is_named() {
    let stderr = refused(&["run", "--module", "/no/such:bug=1"]);
    assert!(
        stderr.contains("there is no module at `/no/such`"),
        "{stderr}"
    );
    let stderr = refused(&["run", "--module", "Cargo.toml"]);
    assert!(stderr.contains("`Cargo.toml` is not a module"), "{stderr}");
}

#[test]
fn a_parameter_that_the_module_does_not_have_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ko = dir.path().join("mydrv.ko");
    fs::write(&ko, "\x7fELF\0vermagic=7.3\0parmtype=mode:charp\0").unwrap();
    let request = |params: &str| format!("{}:{params}", ko.display());
    let stderr = refused(&["run", "--module", &request("mod=leak")]);
    assert!(
        stderr.contains("the module mydrv has no parameter `mod`"),
        "{stderr}"
    );
    assert!(
        stderr.contains("did you mean `mode`? its parameters are: mode"),
        "{stderr}"
    );
    let stderr = refused(&["run", "--module", &request("")]);
    assert!(
        stderr.contains("is no parameter for the module"),
        "{stderr}"
    );
}

#[test]
fn a_missing_script_is_named() {
    let stderr = refused(&["run", "--script", "/no/script.sh"]);
    assert!(
        stderr.contains("there is no script `/no/script.sh`"),
        "{stderr}"
    );
    let stderr = refused(&["run", "--script", "/tmp"]);
    assert!(stderr.contains("`/tmp` is not a regular file"), "{stderr}");
}

#[test]
fn results_that_cannot_be_written_are_told_before_the_run() {
    for option in ["--json", "--html", "--keep-log"] {
        for file in ["/no/such/folder/file", "/"] {
            let stderr = refused(&["run", option, file]);
            assert!(
                stderr.contains(&format!("cannot write a file `{file}`")),
                "{stderr}"
            );
        }
    }
}

#[test]
fn a_timeout_of_nothing_or_of_ages_is_refused() {
    for seconds in ["0", "86401", "18446744073709551615"] {
        let stderr = refused(&["run", "--timeout", seconds]);
        assert!(stderr.contains("1..=86400"), "{stderr}");
    }
}

/// The lines of a dry run that are about modules and guests, with what differs from run to run taken out.
fn guest_lines(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let program = ["# ", "mkdir ", "make -C ", "qemu-system-x86_64 "];
        let found = program
            .iter()
            .filter_map(|p| line.find(p).map(|at| &line[at..]))
            .next();
        let about = |l: &&str| {
            ["modules/", "runs/", "scenarios"]
                .iter()
                .any(|t| l.contains(t))
        };
        lines.extend(found.filter(about).map(hide));
    }
    lines.join("\n")
}

/// Replaces keys of cache entries and names of runs.
fn hide(line: &str) -> String {
    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let project = fs::canonicalize(project).unwrap();
    let line = line.replace(project.to_str().unwrap(), "[PROJECT]");
    let mut out = String::new();
    for part in line.split_inclusive('/') {
        let name = part.trim_end_matches('/');
        let hexadecimal = |t: &str| t.len() >= 16 && t.chars().all(|c| c.is_ascii_hexdigit());
        let run = name
            .split_once('-')
            .is_some_and(|(_, nonce)| hexadecimal(nonce));
        let hidden = if run { "[RUN]" } else { "[KEY]" };
        let hide = run || hexadecimal(name);
        out.push_str(&if hide {
            part.replace(name, hidden)
        } else {
            part.to_owned()
        });
    }
    out
}

#[test]
fn a_dry_run_prints_the_commands_of_modules_and_guest() {
    let module = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../scenarios/modules/edu_dma:bug=1"
    );
    let ran = dmasan(&[
        "run",
        "--dry-run",
        "--device",
        "edu",
        "--device",
        "nvme",
        "--module",
        module,
        "--cmdline",
        "a='b c'",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    insta::assert_snapshot!(guest_lines(&ran.stdout));
}

/// What a machine changes: all lines of a dry run that are about its root, its kernel and its guest.
fn machine_lines(name: &str, more: &[&str]) -> String {
    let args = [
        "run",
        "--dry-run",
        "--device",
        "edu",
        "--jobs=2",
        "--machine",
        name,
    ];
    let ran = dmasan(&[args.as_slice(), more].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let about = [
        "# link ",
        "dpkg --add-architecture",
        "apt-get -q ",
        "make O=",
        "qemu-system-x86_64 -",
        "qemu-system-aarch64 -",
    ];
    let mut lines = Vec::new();
    for line in ran.stdout.lines() {
        let config = line.contains("wishes.config: ").then_some(0);
        let found = about.iter().find_map(|start| line.find(start)).or(config);
        lines.extend(found.map(|at| hide(&line[at..])));
    }
    lines.join("\n")
}

#[test]
fn a_dry_run_on_each_machine() {
    for model in dmasan::machine::MACHINES {
        insta::assert_snapshot!(
            format!("machine_{}", model.name),
            machine_lines(model.name, &[])
        );
    }
}

#[test]
fn lazy_is_seen_in_the_dry_run() {
    let lines = machine_lines("virtio-iommu", &["--lazy"]);
    assert!(lines.contains(" iommu.strict=0 "), "{lines}");
    assert!(!lines.contains("iommu.strict=1"), "{lines}");
}

#[test]
fn unknown_machines_are_told_with_the_near_ones_by_every_command() {
    let commands: [&[&str]; 6] = [
        &["run"],
        &["demo"],
        &["kernel", "build"],
        &["bench", "map"],
        &["bench", "alloc"],
        &["bench", "budget", "dma/4K", "dma_map_page_attrs"],
    ];
    for command in commands {
        let stderr = refused(&[command, &["--machine", "smmuv3"]].concat());
        assert!(stderr.contains("unknown machine `smmuv3`"), "{stderr}");
        assert!(
            stderr.contains("did you mean `arm64-smmuv3` or `arm64-smmuv3-16k`"),
            "{stderr}"
        );
        assert!(stderr.contains("machines are: vtd, "), "{stderr}");
    }
}

#[test]
fn what_a_machine_cannot_do_is_refused_with_the_reason() {
    for name in ["none", "passthrough"] {
        let stderr = refused(&["run", "--machine", name, "--lazy"]);
        assert!(
            stderr.contains(&format!(
                "--lazy makes no difference on the machine `{name}`"
            )),
            "{stderr}"
        );
        let stderr = refused(&["demo", "--machine", name]);
        assert!(stderr.contains("nothing to show"), "{stderr}");
    }
    let budget = ["bench", "budget", "dma/4K", "dma_map_page_attrs"];
    let stderr = refused(&[&budget[..], &["--machine", "arm64-smmuv3"]].concat());
    assert!(stderr.contains("registers of x86_64 only"), "{stderr}");
    let stderr = refused(&["run", "--env", "host", "--machine", "arm64-smmuv3"]);
    assert!(stderr.contains("leave out --env host"), "{stderr}");
}

#[test]
fn a_dry_run_of_the_demo() {
    let ran = dmasan(&["demo", "--dry-run"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    insta::assert_snapshot!(guest_lines(&ran.stdout));
}
