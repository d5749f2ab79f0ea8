// SPDX-License-Identifier: GPL-2.0-only
//! What the host itself offers: the tools for building kernels and running guests, and the rights to use them.

use std::path::Path;

use crate::exec::{Cmd, Exec};

/// Packages of a Debian 13 that hold everything needed; also what goes into a root of our own.
pub const PACKAGES: &[&str] = &[
    "bc",
    "bindgen",
    "bison",
    "busybox-static",
    "ca-certificates",
    "ccache",
    "cpio",
    "flex",
    "gcc",
    "kmod",
    "libc6-dev",
    "libclang1-19",
    "libelf-dev",
    "libssl-dev",
    "make",
    "patch",
    "perl",
    "python3-minimal",
    "qemu-system-x86",
    "rust-clippy",
    "rust-src",
    "rustc",
    "rustfmt",
    "xz-utils",
    "zstd",
];

/// A tool as it was found, or not.
#[derive(Clone, Debug)]
pub struct Tool {
    /// What it is called.
    pub name: &'static str,
    /// Its version or place, if it is there.
    pub found: Option<String>,
    /// The oldest version that will do.
    pub needs: &'static str,
    /// Whether it will do.
    pub ok: bool,
}

/// Looks at all tools that are needed to do without a root of our own. Cheap: versions only. Whether the
/// kernel accepts the Rust tools is decided by its own `rustavailable` when it is configured.
pub fn tools(exec: &Exec) -> Vec<Tool> {
    let mut tools = vec![
        versioned(exec, "rustc", "--version", "1.85.0"),
        rust_src(exec),
        versioned(exec, "bindgen", "--version", "0.71.1"),
        versioned(exec, "gcc", "-dumpfullversion", "8.1"),
        versioned(exec, "qemu-system-x86_64", "--version", "8.0"),
    ];
    for name in [
        "make", "flex", "bison", "bc", "cpio", "depmod", "ld", "patch", "perl", "python3", "xz",
    ] {
        let found = which(name);
        tools.push(present(name, found));
    }
    let header = |name, path: &str| present(name, Path::new(path).exists().then(|| path.into()));
    tools.push(header("libelf headers", "/usr/include/gelf.h"));
    tools.push(header("OpenSSL headers", "/usr/include/openssl/ssl.h"));
    tools.push(present("static busybox", static_busybox()));
    tools
}

/// Whether the host can do without a root of our own.
pub fn suffices(tools: &[Tool]) -> bool {
    tools.iter().all(|t| t.ok)
}

fn present(name: &'static str, found: Option<String>) -> Tool {
    Tool {
        name,
        ok: found.is_some(),
        found,
        needs: "",
    }
}

fn versioned(exec: &Exec, name: &'static str, flag: &str, needs: &'static str) -> Tool {
    let text = which(name).and_then(|_| exec.output(&Cmd::new(name).arg(flag).query()).ok());
    let found = text.as_deref().and_then(version).map(str::to_owned);
    let ok = found
        .as_deref()
        .is_some_and(|v| numbers(v) >= numbers(needs));
    Tool {
        name,
        found,
        needs,
        ok,
    }
}

fn rust_src(exec: &Exec) -> Tool {
    let sysroot = Cmd::new("rustc").args(["--print", "sysroot"]).query();
    let root = which("rustc").and_then(|_| exec.output(&sysroot).ok());
    let core = root
        .map(|r| Path::new(r.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs"))
        .filter(|p| p.exists());
    present("rust-src", core.map(|p| p.display().to_string()))
}

/// The first thing in a text that looks like a version.
pub fn version(text: &str) -> Option<&str> {
    text.split(|c: char| c.is_whitespace() || c == '(')
        .map(|w| w.trim_start_matches('v'))
        .find(|w| w.starts_with(|c: char| c.is_ascii_digit()) && w.contains('.'))
        .map(|w| w.trim_end_matches([')', ',']))
}

/// The numbers of a version, for comparing.
pub fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map(|p| {
            let digits = p.find(|c: char| !c.is_ascii_digit()).unwrap_or(p.len());
            p[..digits].parse().unwrap_or(0)
        })
        .collect()
}

/// Where a program is in PATH.
pub fn which(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|p| nix::unistd::access(p, nix::unistd::AccessFlags::X_OK).is_ok() && p.is_file())
        .map(|p| p.display().to_string())
}

/// A busybox that needs no shared libraries, as the guest's only program.
fn static_busybox() -> Option<String> {
    let path = which("busybox")?;
    is_static_elf(&std::fs::read(&path).ok()?).then_some(path)
}

/// Whether a 64-bit little-endian ELF file has no program header of type PT_INTERP.
fn is_static_elf(bytes: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let word = |at: usize, size: usize| -> Option<u64> {
        let raw = bytes.get(at..at + size)?;
        Some(raw.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    };
    let scan = || -> Option<bool> {
        if bytes.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let (offset, size, count) = (word(32, 8)?, word(54, 2)?, word(56, 2)?);
        let types = (0..count).map(|i| word(usize::try_from(offset + i * size).ok()?, 4));
        Some(!types.flatten().any(|t| t == u64::from(PT_INTERP)))
    };
    scan().unwrap_or(false)
}

/// Whether this process is root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether mounts in a namespace of our own are allowed, /proc included.
pub fn can_isolate(exec: &Exec) -> bool {
    let mounts = "mount -t proc proc /proc && mount --rbind /dev /dev";
    let probe = Cmd::new("unshare").args(ISOLATE).args(["sh", "-c", mounts]);
    is_root() && exec.output(&probe.query()).is_ok()
}

/// Options of `unshare` for namespaces in which nothing is left behind, neither processes nor mounts.
pub const ISOLATE: [&str; 7] = [
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--propagation",
    "private",
    "--",
];

/// The command that was typed, to be run as root.
pub fn as_root() -> String {
    let mut words = std::env::args_os();
    let program = std::env::current_exe().ok().map(Into::into);
    let program = words.next().map(|w| program.unwrap_or(w));
    let line = program.into_iter().chain(words);
    let line: Vec<_> = line.map(|w| crate::exec::quote(&w)).collect();
    format!("sudo {}", line.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_and_compared() {
        for (text, want) in [
            ("rustc 1.85.0 (4d91de4e4 2025-02-17)", "1.85.0"),
            ("bindgen 0.71.1", "0.71.1"),
            ("QEMU emulator version 10.0.13 (Debian 1:10)", "10.0.13"),
            ("12.2.0\n", "12.2.0"),
        ] {
            assert_eq!(version(text), Some(want));
        }
        assert_eq!(version("none"), None);
        assert!(numbers("1.100.0") > numbers("1.85.0"));
        assert!(numbers("0.71.1") >= numbers("0.71.1"));
        assert!(numbers("0.66.1") < numbers("0.71.1"));
        assert!(numbers("1.86.0-nightly") > numbers("1.85.0"));
    }

    #[test]
    fn a_dynamic_program_is_not_static() {
        assert!(!is_static_elf(&std::fs::read("/bin/ls").unwrap()));
        assert!(!is_static_elf(b"\x7fELF"));
        assert!(!is_static_elf(b"#!/bin/sh"));
    }
}
