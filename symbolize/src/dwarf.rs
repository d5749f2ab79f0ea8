// SPDX-License-Identifier: GPL-2.0-only
//! The debug information of a file: from an address to functions, files and lines.

use std::borrow::Cow;
use std::io::Read;

use addr2line::Context;
use dmasan_report::SourceLine;
use flate2::read::ZlibDecoder;
use gimli::{DwarfSections, EndianSlice, RunTimeEndian, SectionId};
use object::{CompressedData, CompressionFormat};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use object::{RelocationKind, RelocationTarget};

use crate::elf::Elf;
use crate::error::{Error, Reason};
use crate::path::{tidy, Roots};

/// The largest section that is unpacked: the kernels of distributions stay below one GiB.
const MAX_UNPACKED: u64 = 4 << 30;
/// Deeper inlining is damage.
const MAX_INLINED: usize = 64;
/// Names and paths are cut there.
const MAX_NAME: usize = 1024;

type Reader<'a> = EndianSlice<'a, RunTimeEndian>;

/// The sections, unpacked and relocated.
pub(crate) struct Sections<'a> {
    sections: DwarfSections<Cow<'a, [u8]>>,
    endian: RunTimeEndian,
}

impl<'a> Sections<'a> {
    pub(crate) fn load(elf: &Elf<'a>) -> Result<Sections<'a>, Error> {
        Ok(Sections {
            sections: DwarfSections::load(|id| section(elf, id))?,
            endian: match elf.file.is_little_endian() {
                true => RunTimeEndian::Little,
                false => RunTimeEndian::Big,
            },
        })
    }
}

fn section<'a>(elf: &Elf<'a>, id: SectionId) -> Result<Cow<'a, [u8]>, Error> {
    let damaged = |e| Error::damaged(elf.path, format_args!("{}: {e}", id.name()));
    let Some(section) = elf.file.section_by_name(id.name()) else {
        return Ok(Cow::Borrowed(&[]));
    };
    let packed = section.compressed_data().map_err(damaged)?;
    if packed.uncompressed_size > MAX_UNPACKED {
        let what = format!("{} is too large", id.name());
        return Err(Error::damaged(elf.path, what));
    }
    let mut data = unpack(&packed).map_err(|e| match e {
        Packing::Zlib => Error::damaged(elf.path, format_args!("{} cannot be unpacked", id.name())),
        Packing::Unknown => {
            let what =
                "its debug information is packed in a way not known here; unpack it with `objcopy \
                        --decompress-debug-sections`";
            Error::new(Reason::Malformed, elf.path, what)
        }
    })?;
    if elf.is_relocatable() {
        relocate(elf, &section, &mut data);
    }
    Ok(data)
}

/// Why a section cannot be unpacked.
enum Packing {
    /// It is damaged.
    Zlib,
    /// CONFIG_DEBUG_INFO_COMPRESSED_ZSTD, or something newer.
    Unknown,
}

/// The bytes of a section. Memory grows with what really comes out, not with what the file promises.
fn unpack<'a>(packed: &CompressedData<'a>) -> Result<Cow<'a, [u8]>, Packing> {
    match packed.format {
        CompressionFormat::None => return Ok(Cow::Borrowed(packed.data)),
        CompressionFormat::Zlib => {}
        _ => return Err(Packing::Unknown),
    }
    let mut bytes = Vec::new();
    let mut unpacked = ZlibDecoder::new(packed.data).take(packed.uncompressed_size);
    match unpacked.read_to_end(&mut bytes) {
        Ok(size) if size as u64 == packed.uncompressed_size => Ok(Cow::Owned(bytes)),
        _ => Err(Packing::Zlib),
    }
}

/// Does what the linker has not done: writes addresses where the section has none yet. Debug sections of the
/// architectures with an IOMMU driver need only absolute ones; what else there is stays unresolved.
fn relocate(elf: &Elf<'_>, section: &object::Section<'_, '_>, data: &mut Cow<'_, [u8]>) {
    for (offset, relocation) in section.relocations() {
        if relocation.kind() != RelocationKind::Absolute {
            continue;
        }
        let target = match relocation.target() {
            RelocationTarget::Symbol(index) => {
                let symbol = elf.file.symbol_by_index(index);
                symbol.ok().and_then(|symbol| {
                    let base = elf.base(symbol.section_index()?);
                    Some(base.wrapping_add(symbol.address()))
                })
            }
            RelocationTarget::Section(index) => Some(elf.base(index)),
            _ => None,
        };
        let bytes = usize::from(relocation.size() / 8);
        let place = usize::try_from(offset).ok();
        let place = place.and_then(|at| Some(at..at.checked_add(bytes)?));
        let (Some(target), Some(place), 4 | 8) = (target, place, bytes) else {
            continue;
        };
        let Some(place) = data.to_mut().get_mut(place) else {
            continue;
        };
        let value = target.wrapping_add_signed(relocation.addend());
        match elf.file.is_little_endian() {
            true => place.copy_from_slice(&value.to_le_bytes()[..bytes]),
            false => place.copy_from_slice(&value.to_be_bytes()[8 - bytes..]),
        }
    }
}

/// Looks addresses up.
pub(crate) struct Lines<'a>(Context<Reader<'a>>);

impl<'a> Lines<'a> {
    pub(crate) fn new(elf: &Elf<'_>, sections: &'a Sections<'_>) -> Result<Lines<'a>, Error> {
        let endian = sections.endian;
        let dwarf = sections
            .sections
            .borrow(|bytes| EndianSlice::new(bytes, endian));
        let context = Context::from_dwarf(dwarf)
            .map_err(|e| Error::damaged(elf.path, format_args!("its debug information: {e}")))?;
        Ok(Lines(context))
    }

    /// The functions at an address, the innermost first, and their lines. Empty if nothing is known; `name` is that of
    /// the function which is really there, for code without (assembly).
    pub(crate) fn at(&self, address: u64, name: &str, roots: &Roots) -> Vec<SourceLine> {
        let mut lines = Vec::new();
        let Ok(mut frames) = self.0.find_frames(address).skip_all_loads() else {
            return lines;
        };
        while let Ok(Some(frame)) = frames.next() {
            let function = frame.function.as_ref().and_then(|f| f.raw_name().ok());
            let location = frame.location.as_ref();
            let file = location.and_then(|location| location.file);
            lines.push(SourceLine {
                function: function.map_or_else(|| name.to_owned(), |name| clip(&name)),
                file: file.map(|file| clip(&tidy(file, roots))),
                line: location.and_then(|l| l.line).filter(|line| *line > 0),
            });
            if lines.len() == MAX_INLINED {
                break;
            }
        }
        // A function without a line says no more than the log did.
        if lines.iter().all(|line| line.file.is_none()) {
            lines.clear();
        }
        lines
    }

    /// The file that has the function at an address, as the debug information spells it.
    pub(crate) fn file(&self, address: u64) -> Option<String> {
        let location = self.0.find_location(address).ok()??;
        location.file.map(str::to_owned)
    }
}

fn clip(text: &str) -> String {
    text.chars().take(MAX_NAME).collect()
}
