// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The levels of the counters: pages, blocks of pages, memory sections, groups of sections.

/// How many levels of counters in its section cover each page; its group's comes on top.
pub const LEVELS: usize = 5;

/// Binary logarithms of the pages in a block of each level: a page, 16 pages, 512 pages (a leaf of
/// 2M on x86_64), 1024 pages (the most that the page allocator hands out at once), and the section.
const ORDERS: [u32; LEVELS] = [0, 4, 9, 10, u32::MAX];

/// A group is 8 sections: 1G on x86_64, the largest leaf there is.
const GROUP_SECTIONS_ORDER: u32 = 3;

/// The shape of memory: page size, section size, and the block sizes between them.
///
/// A section is the unit in which the kernel has, or has not, a memory map (SPARSEMEM); it is also
/// the unit in which counters exist. Its counters are one array: those of its pages, those of its
/// blocks of 16 pages, of 512, of 1024, and its own. A group has one counter more, which is used
/// once all sections of the group have theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    page_shift: u32,
    section_order: u32,
    /// Where each level begins in a section's array.
    starts: [usize; LEVELS],
}

/// Consecutive blocks of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Where their counters are in the section's array.
    pub at: usize,
    /// How many there are, at least 1.
    pub len: usize,
}

impl Geometry {
    /// Memory of `1 << page_shift` bytes a page and `1 << section_order` pages a section.
    pub const fn new(page_shift: u32, section_order: u32) -> Geometry {
        assert!(section_order < 32 && section_order + page_shift < 64);
        let mut geometry = Geometry {
            page_shift,
            section_order,
            starts: [0; LEVELS],
        };
        let mut level = 1;
        while level < LEVELS {
            let blocks = 1 << (section_order - geometry.block_order(level - 1));
            geometry.starts[level] = geometry.starts[level - 1] + blocks;
            level += 1;
        }
        geometry
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

    /// Binary logarithm of a group's size in sections.
    pub const fn group_sections_order(self) -> u32 {
        GROUP_SECTIONS_ORDER
    }

    /// Binary logarithm of a group's size in pages.
    pub const fn group_order(self) -> u32 {
        self.section_order + GROUP_SECTIONS_ORDER
    }

    /// Counters of a section, of all levels.
    pub const fn section_words(self) -> usize {
        self.level_at(LEVELS - 1) + 1
    }

    /// Binary logarithm of the pages in a block of `level`: 0, 4, 9, 10, the section's.
    #[inline(always)]
    pub const fn block_order(self, level: usize) -> u32 {
        let order = if level < LEVELS {
            ORDERS[level]
        } else {
            u32::MAX
        };
        if order < self.section_order {
            order
        } else {
            self.section_order
        }
    }

    /// Where the counters of `level` begin in the section's array.
    #[inline(always)]
    pub const fn level_at(self, level: usize) -> usize {
        if level < LEVELS {
            self.starts[level]
        } else {
            0
        }
    }

    /// Where the counter of the block of `level` is in which the page `index` of the section lies.
    #[inline(always)]
    pub const fn counter_at(self, level: usize, index: usize) -> usize {
        self.level_at(level) + (index >> self.block_order(level))
    }

    /// Calls `each` with the largest aligned blocks that tile the pages `first..=last` of one
    /// section, blocks of the same level that follow each other together.
    ///
    /// At most 15 + 31 + 1 blocks of the lower levels at either end, and 31 between them, so the
    /// work does not grow with the range.
    #[inline(always)]
    pub fn tile(self, first: usize, last: usize, mut each: impl FnMut(Blocks)) {
        let end = last + 1;
        let mut base = first;
        while base < end {
            let level = self.level_of(base, end - base);
            let order = self.block_order(level);
            let mut len = (end - base) >> order;
            if level < LEVELS - 1 {
                // Up to where a block of the next level may begin.
                let above = self.block_order(level + 1) - order;
                let to_boundary = (1 << above) - ((base >> order) & ((1 << above) - 1));
                len = len.min(to_boundary);
            }
            each(Blocks {
                at: self.counter_at(level, base),
                len,
            });
            base += len << order;
        }
    }

    /// Where the counter of a block is, if the `pages` pages from `first` of a section make up just
    /// one: mostly they do.
    #[inline(always)]
    pub fn block(self, first: usize, pages: u64) -> Option<usize> {
        let mut level = 1;
        while level < LEVELS - 1 {
            let size = 1 << self.block_order(level);
            if pages == size as u64 && first & (size - 1) == 0 {
                return Some(self.counter_at(level, first));
            }
            level += 1;
        }
        None
    }

    /// The level of the largest block that begins at `base` and has at most `pages` pages.
    #[inline(always)]
    fn level_of(self, base: usize, pages: usize) -> usize {
        let mut level = LEVELS - 1;
        while level > 0 {
            let size = 1 << self.block_order(level);
            if base & (size - 1) == 0 && pages >= size {
                break;
            }
            level -= 1;
        }
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: Geometry = Geometry::new(12, 15);

    /// The tiles as (level, index of the block in its level, how many).
    fn tiles(geometry: Geometry, first: usize, last: usize) -> Vec<(usize, usize, usize)> {
        let mut out = Vec::new();
        geometry.tile(first, last, |b| {
            let level = (0..LEVELS)
                .rev()
                .find(|&level| b.at >= geometry.level_at(level))
                .unwrap();
            out.push((level, b.at - geometry.level_at(level), b.len));
        });
        out
    }

    #[test]
    fn whole_blocks_are_one_tile() {
        assert_eq!(tiles(G, 0, 0), [(0, 0, 1)]);
        assert_eq!(tiles(G, 16, 31), [(1, 1, 1)]);
        assert_eq!(tiles(G, 512, 1023), [(2, 1, 1)]);
        assert_eq!(tiles(G, 1024, 3071), [(3, 1, 2)]);
        assert_eq!(tiles(G, 0, 32767), [(4, 0, 1)]);
    }

    #[test]
    fn ends_are_tiled_by_smaller_blocks() {
        assert_eq!(tiles(G, 15, 32), [(0, 15, 1), (1, 1, 1), (0, 32, 1)]);
        assert_eq!(tiles(G, 16, 30), [(0, 16, 15)]);
        let counters: usize = tiles(G, 1, 32767).iter().map(|t| t.2).sum();
        assert_eq!(counters, 15 + 31 + 1 + 31);
    }

    #[test]
    fn small_sections_have_fewer_sizes() {
        assert_eq!(tiles(Geometry::new(16, 6), 0, 63), [(4, 0, 1)]);
        assert_eq!(tiles(Geometry::new(16, 6), 1, 63), [(0, 1, 15), (1, 1, 3)]);
        assert_eq!(tiles(Geometry::new(12, 0), 0, 0), [(4, 0, 1)]);
    }

    #[test]
    fn a_single_block_is_found_at_once() {
        let at = |first, pages| G.block(first, pages);
        assert_eq!(at(16, 16), Some(G.level_at(1) + 1));
        assert_eq!(at(512, 512), Some(G.level_at(2) + 1));
        assert_eq!(at(31 * 1024, 1024), Some(G.level_at(3) + 31));
        // Not aligned; two blocks; nothing.
        assert_eq!(at(8, 16), None);
        assert_eq!(at(512, 1024), None);
        assert_eq!(at(0, 0), None);
    }

    #[test]
    fn the_counters_of_a_section_take_little_more_than_four_bytes_a_page() {
        assert_eq!(G.section_words(), 32768 + 2048 + 64 + 32 + 1);
        assert_eq!(
            Geometry::new(16, 13).section_words(),
            8192 + 512 + 16 + 8 + 1
        );
    }
}
