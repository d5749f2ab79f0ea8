// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Steps of a test, made out of a few bytes: whatever those are, the step is one that matters.
//!
//! Ranges lie at the ends of the address space, of sections, of groups and of blocks, or beside them.

/// Bytes that make one step.
pub(crate) const RECORD: usize = 8;

/// Where memory is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Binary logarithm of the page size.
    pub(crate) page_shift: u32,
    /// Binary logarithm of a section's pages.
    pub(crate) section_order: u32,
}

/// A map, or an unmap, in one or several calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// It is a map.
    pub(crate) up: bool,
    /// The first byte.
    pub(crate) phys: u64,
    /// How many bytes.
    pub(crate) size: u64,
    /// Binary logarithm of the IOMMU's smallest page.
    pub(crate) granule_shift: u32,
    /// At most so many bytes with one call.
    pub(crate) piece: u64,
    /// By the functions for whole pages, where they can be used.
    pub(crate) fast: bool,
}

impl Change {
    /// The calls.
    pub(crate) fn pieces(self) -> impl Iterator<Item = (u64, u64)> {
        let calls = self.size.div_ceil(self.piece);
        (0..calls).map(move |n| {
            let at = n * self.piece;
            (self.phys + at, self.piece.min(self.size - at))
        })
    }
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Map or unmap.
    Change(Change),
    /// Alloc or free.
    Check { first: u64, pages: u64 },
    /// Register a direct region.
    Mean {
        owner: u64,
        first: u64,
        pages: u64,
        units: u32,
    },
    /// Take the regions of an owner out.
    Unmean { owner: u64 },
}

impl Place {
    fn last_pfn(self) -> u64 {
        u64::MAX >> self.page_shift
    }

    /// Of the first group five sections have counters, of the second all, and there is the last section of all.
    pub(crate) fn sections_with_counters(self) -> Vec<u64> {
        let last = self.last_pfn() >> self.section_order;
        let mut numbers = vec![0, 1, 3, 4, 7];
        numbers.extend(8..16);
        numbers.push(last);
        numbers
    }

    /// Pages of a range, which ends within the address space.
    fn range(self, bytes: &[u8; RECORD]) -> (u64, u64) {
        let section = 1u64 << self.section_order;
        let last = self.last_pfn();
        let last_section = last >> self.section_order;
        let sections = [
            0,
            1,
            2,
            3,
            4,
            7,
            8,
            9,
            15,
            16,
            last_section - 1,
            last_section,
        ];
        let begin = sections[bytes[1] as usize % sections.len()] << self.section_order;
        let beside = [
            0,
            1,
            15,
            16,
            17,
            255,
            256,
            257,
            4096,
            section / 2,
            section - 1,
        ];
        let first = match bytes[2] as usize % (beside.len() + 4) {
            n if n < beside.len() => begin + beside[n] % section,
            n if n == beside.len() => begin.saturating_sub(1),
            n if n == beside.len() + 1 => begin.saturating_sub(16),
            _ => begin + u64::from(bytes[3]) * 37 % section,
        };
        let sizes = [
            1,
            1,
            2,
            15,
            16,
            17,
            256,
            512,
            section,
            section + 1,
            8 * section,
            9 * section,
        ];
        let pages = match bytes[4] as usize % (sizes.len() + 4) {
            n if n < sizes.len() => sizes[n],
            _ => u64::from(bytes[5]) + 1,
        };
        // Of an address space that ends, the last page is one of interest.
        let first = first.min(last);
        (first, pages.min(last - first + 1))
    }

    fn change(self, bytes: &[u8; RECORD], up: bool) -> Change {
        let (first, pages) = self.range(bytes);
        let page = self.page_shift;
        let granules = [page, page, page - 2, page - 4, page + 2, page + 4];
        let granule_shift = granules[bytes[7] as usize % granules.len()];
        let granule = 1u64 << granule_shift;
        // Parts of the first and the last page.
        let in_page = (1u64 << page) / granule.min(1 << page);
        let head = u64::from(bytes[7] / 8) % in_page * granule;
        let mut phys = first << page;
        // One byte less than all of it, where it is all of the address space; it still covers all pages.
        let mut size = pages.saturating_mul(1 << page);
        if head < size {
            phys += head;
            size -= head;
        }
        let tail = u64::from(bytes[6] / 8) % in_page * granule;
        if tail < size {
            size -= tail;
        }
        // No more calls than a test has time for; each begins where a granule does.
        let pieces = [u64::MAX, u64::MAX, 1, 7, 16, 256];
        let piece = pieces[bytes[6] as usize % pieces.len()].max(pages / 1024 + 1);
        let unit = granule.max(1 << page);
        Change {
            up,
            phys,
            size,
            granule_shift,
            piece: piece.saturating_mul(unit),
            fast: bytes[0] >= 128,
        }
    }

    /// The step that these bytes stand for.
    pub(crate) fn op(self, bytes: &[u8; RECORD]) -> Op {
        let (first, pages) = self.range(bytes);
        let owner = 2 + 2 * u64::from(bytes[6] % 3);
        match bytes[0] % 16 {
            0..=5 => Op::Change(self.change(bytes, true)),
            6..=10 => Op::Change(self.change(bytes, false)),
            11..=13 => Op::Check { first, pages },
            14 => Op::Mean {
                owner,
                first,
                pages,
                units: u32::from(bytes[7] % 4) + 1,
            },
            _ => Op::Unmean { owner },
        }
    }
}
