// SPDX-License-Identifier: GPL-2.0-only
//! An ELF file: its bytes, its sections at distinct addresses, and what tells which build it is of.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use object::elf::SHF_EXECINSTR;
use object::read::SectionIndex;
use object::{Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _, SectionFlags};

use crate::error::{Error, Reason};
use crate::identity::Identity;

/// Where the first section of a relocatable file is put: no address is 0, which DWARF has for removed code.
const FIRST: u64 = 0x1_0000;
/// Apart that far, the end of a section is not the begin of the next.
const GAP: u64 = 0x1_0000;
/// A kernel's first line is shorter.
const MAX_BANNER: u64 = 1024;

/// A kernel or a module, read into memory.
pub(crate) struct Object {
    pub(crate) path: PathBuf,
    data: Vec<u8>,
    /// Name of the module; none for the kernel.
    pub(crate) module: Option<String>,
    pub(crate) identity: Identity,
}

impl Object {
    /// Reads a `vmlinux`.
    pub(crate) fn kernel(path: &Path) -> Result<Object, Error> {
        let data = read(path)?;
        let elf = Elf::parse(path, &data)?;
        let Some(banner) = elf.banner() else {
            let what = "this is no vmlinux with symbols: it has no `linux_banner`";
            return Err(Error::new(Reason::Malformed, path, what));
        };
        elf.check_debug_info()?;
        let identity = Identity {
            build_id: elf.build_id(),
            release: banner.split(' ').nth(2).map(str::to_owned),
            banner: Some(banner),
        };
        Ok(Object {
            path: path.to_owned(),
            data,
            module: None,
            identity,
        })
    }

    /// Reads a `.ko`.
    pub(crate) fn module(path: &Path) -> Result<Object, Error> {
        let data = read(path)?;
        let elf = Elf::parse(path, &data)?;
        let Some(vermagic) = elf.modinfo("vermagic") else {
            let what = "this is no kernel module: it has no vermagic";
            return Err(Error::new(Reason::Malformed, path, what));
        };
        elf.check_debug_info()?;
        let stem = || path.file_stem().unwrap_or_default().to_string_lossy();
        let name = elf
            .modinfo("name")
            .unwrap_or_else(|| stem().replace('-', "_"));
        let identity = Identity {
            build_id: elf.build_id(),
            release: vermagic.split(' ').next().map(str::to_owned),
            banner: None,
        };
        Ok(Object {
            path: path.to_owned(),
            data,
            module: Some(name),
            identity,
        })
    }

    /// Its sections and symbols.
    pub(crate) fn elf(&self) -> Result<Elf<'_>, Error> {
        Elf::parse(&self.path, &self.data)
    }
}

/// Regular files only: a device or a pipe may have no end.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |e| Error::new(Reason::Unreadable, path, format_args!("cannot read: {e}"));
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Error::new(Reason::Unreadable, path, "not a regular file"));
    }
    fs::read(path).map_err(unreadable)
}

/// A parsed file.
pub(crate) struct Elf<'a> {
    pub(crate) path: &'a Path,
    pub(crate) file: object::File<'a>,
    /// Where sections are, beyond their own address: those of a relocatable file all begin at 0.
    bases: HashMap<SectionIndex, u64>,
}

impl<'a> Elf<'a> {
    fn parse(path: &'a Path, data: &'a [u8]) -> Result<Elf<'a>, Error> {
        if !data.starts_with(b"\x7fELF") {
            return Err(Error::new(Reason::Malformed, path, not_elf(data)));
        }
        let file = object::File::parse(data).map_err(|e| Error::damaged(path, e))?;
        let mut elf = Elf {
            path,
            file,
            bases: HashMap::new(),
        };
        if elf.is_relocatable() {
            elf.lay_out();
        }
        Ok(elf)
    }

    fn lay_out(&mut self) {
        let mut next = FIRST;
        let code = self.file.sections().filter(|section| is_code(section));
        for section in code {
            self.bases.insert(section.index(), next);
            let end = next.saturating_add(section.size());
            next = (end | (GAP - 1)).saturating_add(1 + GAP);
        }
    }

    pub(crate) fn is_relocatable(&self) -> bool {
        self.file.kind() == ObjectKind::Relocatable
    }

    /// What is to be added to an address in a section.
    pub(crate) fn base(&self, section: SectionIndex) -> u64 {
        self.bases.get(&section).copied().unwrap_or(0)
    }

    fn check_debug_info(&self) -> Result<(), Error> {
        let has = |name| {
            self.file
                .section_by_name(name)
                .is_some_and(|section| section.size() > 0)
        };
        if has(".debug_info") && has(".debug_line") {
            return Ok(());
        }
        let what = "no debug information (DWARF) is in it";
        Err(Error::new(Reason::NoDebugInfo, self.path, what))
    }

    fn build_id(&self) -> Option<String> {
        let id = self.file.build_id().ok()??;
        Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The kernel's first line. The weak one is a draft of it, with neither number nor date.
    fn banner(&self) -> Option<String> {
        let named = |symbol: &object::Symbol<'_, '_>| {
            symbol.name() == Ok("linux_banner") && symbol.is_definition()
        };
        let mut symbols: Vec<_> = self.file.symbols().filter(named).collect();
        symbols.sort_by_key(|symbol| symbol.is_weak());
        let symbol = symbols.first()?;
        let section = self.file.section_by_index(symbol.section_index()?).ok()?;
        let size = symbol.size().clamp(1, MAX_BANNER);
        let bytes = section.data_range(symbol.address(), size).ok()??;
        let text = bytes.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).trim_end().to_owned())
    }

    /// What the module says of itself.
    fn modinfo(&self, key: &str) -> Option<String> {
        let section = self.file.section_by_name(".modinfo")?;
        let entries = section.data().ok()?.split(|byte| *byte == 0);
        let mut values = entries.filter_map(|entry| {
            let rest = entry.strip_prefix(key.as_bytes())?;
            rest.strip_prefix(b"=")
        });
        let value = String::from_utf8_lossy(values.next()?).into_owned();
        Some(value)
    }
}

/// Executable code, even where the file has only its debug information (`objcopy --only-keep-debug`).
pub(crate) fn is_code(section: &object::Section<'_, '_>) -> bool {
    match section.flags() {
        SectionFlags::Elf { sh_flags } => sh_flags & u64::from(SHF_EXECINSTR) != 0,
        _ => false,
    }
}

fn not_elf(data: &[u8]) -> &'static str {
    let compressed: [&[u8]; 3] = [b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\x1f\x8b"];
    if compressed.iter().any(|magic| data.starts_with(magic)) {
        return "this is compressed: unpack it first";
    }
    // The boot sector of a bzImage has the same place for this mark on all versions.
    match data.get(0x202..0x206) {
        Some(b"HdrS") => "this is a bootable image: its `vmlinux` is wanted",
        _ => "this is no ELF file",
    }
}
