// SPDX-License-Identifier: GPL-2.0-only
//! Where the functions of a file are. The kernel tells the size of a function as the distance to the next symbol.

use std::collections::HashMap;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

use crate::elf::{is_code, Elf};

/// Where a size differs from the distance to the next symbol since the kernel leaves that symbol out, it is the
/// function's own size and what fills up to the next multiple of this.
const ALIGN: u64 = 64;

struct Symbol {
    address: u64,
    /// Its own size, 0 if the file does not tell.
    size: u64,
    /// Distance to the next symbol; none for the last one of its section.
    room: Option<u64>,
}

impl Symbol {
    /// Whether the kernel can have told this size, with its own symbols between these.
    fn may_have(&self, size: u64) -> bool {
        match self.room {
            Some(_) => {
                self.size > 0 && (self.size..self.size.saturating_add(ALIGN)).contains(&size)
            }
            None => self.size <= size,
        }
    }
}

/// The functions, by name.
pub(crate) struct Table<'a>(HashMap<&'a str, Vec<Symbol>>);

impl<'a> Table<'a> {
    pub(crate) fn new(elf: &'a Elf<'_>) -> Table<'a> {
        let code: HashMap<_, _> = elf
            .file
            .sections()
            .filter(is_code)
            .map(|section| (section.index(), elf.base(section.index())))
            .collect();
        let mut all = Vec::new();
        for symbol in elf.file.symbols() {
            let Some(section) = symbol.section_index() else {
                continue;
            };
            let (Some(base), Ok(name)) = (code.get(&section), symbol.name()) else {
                continue;
            };
            let kind = symbol.kind();
            if is_name(name) && !matches!(kind, SymbolKind::Section | SymbolKind::File) {
                let address = base.wrapping_add(symbol.address());
                all.push((section.0, address, symbol.size(), name));
            }
        }
        all.sort_unstable();
        let mut table: HashMap<&str, Vec<Symbol>> = HashMap::new();
        let mut next = None;
        let mut above: Option<(_, u64)> = None;
        for (section, address, size, name) in all.into_iter().rev() {
            // Several names of one place are as far from the next.
            if above != Some((section, address)) {
                next = above.filter(|(other, _)| *other == section);
                above = Some((section, address));
            }
            let room = next.map(|(_, end)| end - address);
            let symbols = table.entry(name).or_default();
            symbols.push(Symbol {
                address,
                size,
                room,
            });
        }
        Table(table)
    }

    /// The address that a frame means. None if there is no such function, or several: better no line than a wrong one.
    pub(crate) fn address(&self, name: &str, offset: u64, size: u64) -> Option<u64> {
        if offset > size {
            return None;
        }
        let symbols = self.0.get(name)?;
        let exact = symbols.iter().filter(|symbol| symbol.room == Some(size));
        let start = match one(exact) {
            None => one(symbols.iter().filter(|symbol| symbol.may_have(size)))?,
            Some(found) => found,
        };
        start.ok()?.checked_add(offset)
    }

    /// The address of a function of which there is only one.
    pub(crate) fn only(&self, name: &str) -> Option<u64> {
        match self.0.get(name)?.as_slice() {
            [symbol] => Some(symbol.address),
            _ => None,
        }
    }
}

/// The address of these; none if there are none, an error if they are at several.
fn one<'a>(mut symbols: impl Iterator<Item = &'a Symbol>) -> Option<Result<u64, ()>> {
    let first = symbols.next()?.address;
    match symbols.all(|other| other.address == first) {
        true => Some(Ok(first)),
        false => Some(Err(())),
    }
}

/// Marks of assemblers are no names.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('$') && !name.starts_with(".L")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_the_functions_own_and_some_filling() {
        let may_have = |size, room, told| {
            let address = 0;
            let symbol = Symbol {
                address,
                size,
                room,
            };
            symbol.may_have(told)
        };
        let told = |size, room| {
            (0..200)
                .filter(|&told| may_have(size, room, told))
                .collect::<Vec<u64>>()
        };
        assert_eq!(told(10, Some(100)), (10..10 + ALIGN).collect::<Vec<_>>());
        // Without a size of its own there is only the distance to the next one.
        assert!(told(0, Some(100)).is_empty());
        // The last one of its section ends with something that is not in the file.
        assert_eq!(told(10, None), (10..200).collect::<Vec<_>>());
        assert!(may_have(u64::MAX - 1, Some(1), u64::MAX - 1));
    }

    #[test]
    fn marks_of_assemblers_are_no_names() {
        let names = ["f", "_f$1", ".text.f", "$x", "$d.1", ".L12", ""].map(is_name);
        assert_eq!(names, [true, true, true, false, false, false, false]);
    }
}
