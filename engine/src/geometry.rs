// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The levels of the counters: pages, blocks of pages, memory sections.

/// How many levels of counters cover each page.
pub const LEVELS: usize = 4;

/// The shape of memory: page size, section size, and the block sizes between them.
///
/// A section is the unit in which the kernel has, or has not, a memory map (SPARSEMEM); it is also
/// the unit in which counters exist. No block is larger than a section, so a block never lies half
/// in memory that has no counters or loses them to hotplug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    page_shift: u32,
    section_order: u32,
}

/// Pages of a section that one counter stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// 0 for a single page, up to [`LEVELS`]` - 1` for the whole section.
    pub level: usize,
    /// Index within the section of the block's first page; a multiple of the block's size.
    pub base: usize,
}

impl Geometry {
    /// Memory of `1 << page_shift` bytes a page and `1 << section_order` pages a section.
    ///
    /// `section_order` is at least 6: the counters of the upper levels are kept with the first
    /// pages of their block (see [`Block`] and [`super::counts`]), which must exist.
    pub const fn new(page_shift: u32, section_order: u32) -> Geometry {
        assert!(section_order >= 6 && section_order + page_shift < 64);
        Geometry {
            page_shift,
            section_order,
        }
    }

    /// Binary logarithm of the page size in bytes.
    pub const fn page_shift(self) -> u32 {
        self.page_shift
    }

    /// Binary logarithm of a section's size in pages.
    pub const fn section_order(self) -> u32 {
        self.section_order
    }

    /// Pages in a section.
    pub const fn section_pages(self) -> usize {
        1 << self.section_order
    }

    /// Binary logarithm of the pages in a block of `level`: 0, 6, 12, the section.
    pub const fn block_order(self, level: usize) -> u32 {
        let order = match level {
            0 => 0,
            1 => 6,
            2 => 12,
            _ => self.section_order,
        };
        if order < self.section_order {
            order
        } else {
            self.section_order
        }
    }

    /// Calls `each` with the largest aligned blocks that tile the pages `first..=last` of one
    /// section.
    ///
    /// At most 63 blocks of each lower level at either end, so the number of calls does not grow
    /// with the range.
    pub fn tile(self, first: usize, last: usize, mut each: impl FnMut(Block)) {
        let mut base = first;
        loop {
            let mut level = LEVELS - 1;
            let mut rest = 0;
            while level > 0 {
                rest = (1usize << self.block_order(level)) - 1;
                if base & rest == 0 && last - base >= rest {
                    break;
                }
                level -= 1;
                rest = 0;
            }
            each(Block { level, base });
            if last - base <= rest {
                return;
            }
            base += rest + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiles(first: usize, last: usize) -> Vec<(usize, usize)> {
        let mut out = Vec::new();
        Geometry::new(12, 15).tile(first, last, |b| out.push((b.level, b.base)));
        out
    }

    #[test]
    fn whole_blocks_are_one_tile() {
        assert_eq!(tiles(0, 0), [(0, 0)]);
        assert_eq!(tiles(64, 127), [(1, 64)]);
        assert_eq!(tiles(4096, 8191), [(2, 4096)]);
        assert_eq!(tiles(0, 32767), [(3, 0)]);
    }

    #[test]
    fn ends_are_tiled_by_smaller_blocks() {
        assert_eq!(tiles(63, 128), [(0, 63), (1, 64), (0, 128)]);
        assert_eq!(tiles(64, 126).len(), 63);
        assert_eq!(tiles(1, 32767).len(), 63 + 63 + 7);
    }

    #[test]
    fn small_sections_have_fewer_sizes() {
        let mut out = Vec::new();
        Geometry::new(16, 6).tile(0, 63, |b| out.push((b.level, b.base)));
        assert_eq!(out, [(3, 0)]);
    }
}
