// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Page frame numbers and physical ranges, with checked arithmetic only.

use super::geometry::Geometry;

/// A page frame number: a physical address in units of the CPU's page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Pfn(pub u64);

/// Consecutive pages, each of which a mapping adds the same number of units to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First page.
    pub first: Pfn,
    /// Last page, itself included: a range may end at the top of the address space.
    pub last: Pfn,
    /// What one mapping of these bytes adds to the count of each page, at least 1.
    pub units: u32,
}

impl Segment {
    /// How many pages these are.
    #[inline(always)]
    pub fn pages(&self) -> u64 {
        (self.last.0 - self.first.0).saturating_add(1)
    }
}

/// The pages of a physical byte range, as they are counted.
///
/// A count is in units of the IOMMU's smallest page (`granule`), so that map and unmap agree
/// whatever sizes they were called with. Where the CPU's page is the larger one, a page counts once
/// for each granule of it that is mapped: then the first and the last page of a range may count
/// fewer units than those between. Where the granule is the larger one, each CPU page that it
/// covers counts 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    segments: [Option<Segment>; 3],
}

impl Span {
    /// The pages of `size` bytes at `phys`, counted in units of `granule` bytes (a power of two).
    ///
    /// `None` for an empty range, for one whose last byte is beyond the last address, and for a
    /// granule that is not a power of two. Address 0, and a range that ends at the very last byte,
    /// are like any other.
    pub fn new(phys: u64, size: u64, granule: u64, geometry: Geometry) -> Option<Span> {
        let last_byte = phys.checked_add(size.checked_sub(1)?)?;
        if !granule.is_power_of_two() {
            return None;
        }
        let page_size = 1u64 << geometry.page_shift();
        let first = phys >> geometry.page_shift();
        let last = last_byte >> geometry.page_shift();
        let segment = |first: u64, last: u64, units: u64| {
            // A page holds at most `page_size` granules, so this fits.
            Some(Segment {
                first: Pfn(first),
                last: Pfn(last),
                units: units as u32,
            })
        };

        if granule >= page_size {
            return Some(Span {
                segments: [segment(first, last, 1), None, None],
            });
        }
        // Granules of one page that overlap the bytes `from..=to` of that page.
        let shift = granule.trailing_zeros();
        let units = |from: u64, to: u64| (to >> shift) - (from >> shift) + 1;
        let head = phys & (page_size - 1);
        let tail = last_byte & (page_size - 1);
        if first == last {
            return Some(Span {
                segments: [segment(first, first, units(head, tail)), None, None],
            });
        }
        let whole = page_size >> shift;
        let head_units = units(head, page_size - 1);
        let tail_units = units(0, tail);
        // Whole pages at the ends join the middle, so that the usual range is one segment.
        let from = if head_units == whole {
            first
        } else {
            first + 1
        };
        let to = if tail_units == whole { last } else { last - 1 };
        Some(Span {
            segments: [
                if from == first {
                    None
                } else {
                    segment(first, first, head_units)
                },
                if from > to {
                    None
                } else {
                    segment(from, to, whole)
                },
                if to == last {
                    None
                } else {
                    segment(last, last, tail_units)
                },
            ],
        })
    }

    /// The segments, in ascending order; at most three.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        self.segments.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const G4K: Geometry = Geometry::new(12, 15);
    const G64K: Geometry = Geometry::new(16, 13);

    fn parts(span: Span) -> Vec<(u64, u64, u32)> {
        span.segments()
            .map(|s| (s.first.0, s.last.0, s.units))
            .collect()
    }

    #[test]
    fn ranges_are_tested_by_their_last_byte() {
        let top = u64::MAX - 0xfff;
        assert!(Span::new(top, 0x1000, 0x1000, G4K).is_some());
        assert!(Span::new(top, 0x1001, 0x1000, G4K).is_none());
        assert!(Span::new(0, u64::MAX, 0x1000, G4K).is_some());
        assert!(Span::new(0, 0, 0x1000, G4K).is_none());
        assert!(Span::new(0, 0x1000, 0, G4K).is_none());
        assert!(Span::new(0, 0x1000, 0x1800, G4K).is_none());
    }

    #[test]
    fn address_zero_is_ordinary() {
        assert_eq!(
            parts(Span::new(0, 0x2000, 0x1000, G4K).unwrap()),
            [(0, 1, 1)]
        );
    }

    #[test]
    fn a_granule_larger_than_the_page_counts_every_page() {
        assert_eq!(
            parts(Span::new(0x10000, 0x10000, 0x10000, G4K).unwrap()),
            [(16, 31, 1)]
        );
    }

    #[test]
    fn granules_smaller_than_the_page_add_up() {
        let span = |phys, size| parts(Span::new(phys, size, 0x1000, G64K).unwrap());
        assert_eq!(span(0x10000, 0x1000), [(1, 1, 1)]);
        assert_eq!(span(0x10000, 0x10000), [(1, 1, 16)]);
        assert_eq!(span(0x1f000, 0x2000), [(1, 1, 1), (2, 2, 1)]);
        assert_eq!(span(0x1f000, 0x22000), [(1, 1, 1), (2, 3, 16), (4, 4, 1)]);
        assert_eq!(span(0x10000, 0x21000), [(1, 2, 16), (3, 3, 1)]);
    }
}
