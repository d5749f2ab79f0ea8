// SPDX-License-Identifier: GPL-2.0-only
//! The guest's first and only file system: a gzipped cpio archive with busybox, init, modules and the script.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use cpio::newc::{trailer, Builder};
use flate2::write::GzEncoder;
use flate2::Compression;

use crate::error::{io, Error, Result};
use crate::guest::{guest_path, program_path, Plan, SCRIPT};
use crate::root::Env;

const DIR: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const DATA: u32 = 0o100_644;
const CONSOLE: u32 = 0o020_600;

/// Writes the initramfs of a plan to `path`.
pub fn write(path: &Path, busybox: &Path, plan: &Plan, init: &str) -> Result<()> {
    let file = File::create(path).map_err(io("cannot write", path))?;
    // Loading is what takes time under emulation, not size.
    let gzip = GzEncoder::new(BufWriter::new(file), Compression::fast());
    let archive = Archive { out: gzip, ino: 0 };
    let out = archive.fill(busybox, plan, init).map_err(|e| match e {
        Failed::Read(path, e) => io("cannot read", &path)(e),
        Failed::Write(e) => io("cannot write", path)(e),
    })?;
    // Dropping the buffer would hide a full disk.
    out.into_inner()
        .map_err(|e| io("cannot write", path)(e.into_error()))?;
    Ok(())
}

type Written = std::result::Result<(), Failed>;

enum Failed {
    Read(PathBuf, std::io::Error),
    Write(std::io::Error),
}

impl From<std::io::Error> for Failed {
    fn from(e: std::io::Error) -> Self {
        Failed::Write(e)
    }
}

struct Archive<W: Write> {
    out: W,
    ino: u32,
}

impl<W: Write> Archive<GzEncoder<W>> {
    fn fill(mut self, busybox: &Path, plan: &Plan, init: &str) -> std::result::Result<W, Failed> {
        for dir in ["bin", "dev", "modules", "programs"] {
            self.entry(dir, DIR, &[])?;
        }
        // The kernel opens it for init before anything is mounted.
        let console = self.header("dev/console", CONSOLE);
        let console = console.rdev_major(5).rdev_minor(1);
        console.write(&mut self.out, 0).finish()?;
        self.entry("init", PROGRAM, init.as_bytes())?;
        self.copy("bin/busybox", PROGRAM, busybox)?;
        let modules = plan.modules();
        for (index, file) in modules.iter().enumerate() {
            self.entry(&format!("modules/{index}"), DIR, &[])?;
            self.copy(&guest_path(&modules, file)[1..], DATA, file)?;
        }
        for file in &plan.programs {
            self.copy(&program_path(file)[1..], PROGRAM, file)?;
        }
        if let Some(script) = &plan.script {
            self.copy(&SCRIPT[1..], PROGRAM, script)?;
        }
        trailer(&mut self.out)?;
        Ok(self.out.finish()?)
    }
}

impl<W: Write> Archive<W> {
    fn header(&mut self, name: &str, mode: u32) -> Builder {
        self.ino += 1;
        Builder::new(name).ino(self.ino).mode(mode).nlink(1)
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> Written {
        let size = u32::try_from(content.len()).map_err(|_| {
            let text = format!("{name} is larger than the format allows");
            Failed::Write(std::io::Error::other(text))
        })?;
        let mut entry = self.header(name, mode).write(&mut self.out, size);
        entry.write_all(content)?;
        entry.finish()?;
        Ok(())
    }

    fn copy(&mut self, name: &str, mode: u32, file: &Path) -> Written {
        let content = std::fs::read(file).map_err(|e| Failed::Read(file.to_owned(), e))?;
        self.entry(name, mode, &content)
    }
}

/// Finds the environment's busybox, which has to run without libraries.
pub fn busybox(env: &Env) -> Result<PathBuf> {
    let mut places = env.arch().busybox().iter().map(|p| env.outside(p));
    let Some(found) = places.find(|p| p.is_file()) else {
        return Err(Error::usage("there is no busybox, which guests consist of")
            .help("install it: apt-get install busybox-static"));
    };
    let content = std::fs::read(&found).map_err(io("cannot read", &found))?;
    if has_interpreter(&content) {
        return Err(Error::usage(format!(
            "{} needs libraries, which guests do not have",
            found.display()
        ))
        .help("install the other one: apt-get install busybox-static"));
    }
    Ok(found)
}

/// Whether a 64-bit ELF program asks for a loader, as those with shared libraries do.
fn has_interpreter(elf: &[u8]) -> bool {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, size: usize| {
        let bytes = elf.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b)))
    };
    let header = || Some((number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?));
    let Some((table, size, count)) = header() else {
        return false;
    };
    let entry = |i: u64| usize::try_from(table.checked_add(i * size)?).ok();
    (0..count)
        .filter_map(entry)
        .any(|at| number(at, 4) == Some(PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Load;
    use std::io::Read;

    fn names(path: &Path) -> Vec<(String, u32, Vec<u8>)> {
        let mut bytes = Vec::new();
        let file = File::open(path).unwrap();
        flate2::read::GzDecoder::new(file)
            .read_to_end(&mut bytes)
            .unwrap();
        let mut input = bytes.as_slice();
        let mut found = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(input).unwrap();
            if reader.entry().is_trailer() {
                return found;
            }
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            let entry = reader.entry();
            found.push((entry.name().to_owned(), entry.mode(), content));
            input = reader.finish().unwrap();
        }
    }

    #[test]
    fn holds_what_the_plan_needs() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let load = Load {
            file: file("m.ko", "module"),
            params: Vec::new(),
            path: "m".into(),
        };
        let plan = Plan::new(&[vec![load]], Some(&file("s.sh", "true")));
        let out = dir.path().join("out.gz");
        write(&out, &file("busybox", "bb"), &plan, "#!init").unwrap();
        let found = names(&out);
        let has = |name: &str, mode: u32, content: &str| {
            let entry = (name.to_owned(), mode, content.as_bytes().to_vec());
            assert!(found.contains(&entry), "{name}: {found:?}");
        };
        has("bin", DIR, "");
        has("dev/console", CONSOLE, "");
        has("init", PROGRAM, "#!init");
        has("bin/busybox", PROGRAM, "bb");
        has("modules/0/m.ko", DATA, "module");
        has("script", PROGRAM, "true");
    }

    #[test]
    fn programs_with_libraries_are_told_apart() {
        // A test program of cargo's has shared libraries.
        let me = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(has_interpreter(&me));
        assert!(!has_interpreter(&me[..0x30]) && !has_interpreter(&vec![0xff; 0x1000]));
    }

    #[test]
    fn a_missing_module_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        let error = write(&dir.path().join("o"), &gone, &Plan::default(), "").unwrap_err();
        assert!(error.message().contains(gone.to_str().unwrap()), "{error}");
    }
}
