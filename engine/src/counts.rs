// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How often each page is mapped.
//!
//! The count of a page is the sum of one counter per level: its own, and those of the blocks (64
//! pages, 4096 pages, the section) that it lies in. Mapping a range adds to the counters of the
//! largest aligned blocks that tile it, unmapping subtracts likewise. The two tilings need not
//! agree: 512 pages mapped one by one leave +1 in 512 page counters, and their unmap as one range
//! leaves -1 in eight block counters; the sum per page is 0 again. Single counters may drift
//! without bound this way, so all arithmetic wraps, and the sum is exact modulo 2^31.
//!
//! # No false positives
//!
//! All accesses are relaxed, and a check reads its four counters one after the other. That is
//! enough: what touches a counter of page P is the map or unmap of a range that contains all of the
//! block, P included. If nobody has P mapped while it is checked, then no add to any of its
//! counters is under way; those of earlier mappings are complete and visible, because their unmap
//! happened before the owner freed P, and the free before the check. So the four loads add up to 0.
//! If somebody does have P mapped, the sum may be off while another mapping of P comes or goes:
//! that is the race in which a mapped page can be missed.

use super::addr::{Pfn, Span};
use super::check::{self, Hit, Intent};
use super::geometry::{Block, Geometry, LEVELS};
use super::primitive::{Long, Word};

/// What is kept for one page: 8 bytes.
///
/// The counters of the upper levels live with the first pages of their block: that of level L with
/// page `base + L`. Blocks are at least 64 pages and aligned, so no two of them meet in one place.
#[repr(C)]
pub struct Slot {
    page: Counter,
    block: Counter,
}

impl Slot {
    /// A page that is not mapped.
    pub const fn new() -> Slot {
        Slot {
            page: Counter(Word::new(0)),
            block: Counter(Word::new(0)),
        }
    }
}

impl Default for Slot {
    fn default() -> Self {
        Slot::new()
    }
}

/// A wrapping counter in the upper 31 bits; bit 0 is the page's "reported" mark.
#[repr(transparent)]
struct Counter(Word);

/// Bit 0 of a page's counter: a finding about this page was reported and its count was not 0 since.
const REPORTED: u32 = 1;

impl Counter {
    #[inline(always)]
    fn add(&self, units: u32) {
        // Shifted left, so that no carry reaches the mark and none is taken from it.
        self.0.add(units << 1);
    }

    #[inline(always)]
    fn raw(&self) -> u32 {
        self.0.load()
    }

    /// Sets the mark; says whether it was clear.
    fn mark(&self) -> bool {
        loop {
            let old = self.raw();
            if old & REPORTED != 0 {
                return false;
            }
            if self.0.exchange(old, old | REPORTED) {
                return true;
            }
        }
    }

    /// Clears the mark; says whether it was set.
    fn unmark(&self) -> bool {
        loop {
            let old = self.raw();
            if old & REPORTED == 0 {
                return false;
            }
            if self.0.exchange(old, old & !REPORTED) {
                return true;
            }
        }
    }
}

/// The counters of one memory section.
pub trait Section {
    /// The slot of the page with this index; `index` is less than [`Geometry::section_pages`].
    fn slot(&self, index: usize) -> &Slot;
}

/// Where the counters are.
pub trait Memory {
    /// Access to one section; what keeps it alive, if anything needs to, is held meanwhile.
    type Section<'a>: Section
    where
        Self: 'a;

    /// The counters of section `number` (pfn divided by the pages of a section), or `None` where
    /// there are none: no memory, MMIO, offline, or beyond the last section.
    fn section(&self, number: u64) -> Option<Self::Section<'_>>;
}

/// The mapping counts of all memory.
pub struct Counts<M> {
    memory: M,
    geometry: Geometry,
    /// How many pages carry the "reported" mark: 0 unless there were findings, and then unmapping
    /// has nothing to look for.
    marked: Long,
}

/// What could be said about one page from one look at its counters.
pub(super) struct Look {
    /// Mapping count; negative after an unmap too many.
    pub(super) count: i32,
    /// A finding was reported since the count was last 0.
    pub(super) reported: bool,
}

impl<M: Memory> Counts<M> {
    /// Counts kept in `memory`, which has the shape `geometry`.
    pub const fn new(memory: M, geometry: Geometry) -> Counts<M> {
        Counts {
            memory,
            geometry,
            marked: Long::new(0),
        }
    }

    /// The shape of memory.
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Counts a mapping of `span`. Returns how many pages have no counters and were skipped.
    pub fn map(&self, span: &Span) -> u64 {
        self.add(span, |units| units)
    }

    /// Takes a mapping of `span` back. Returns how many pages have no counters and were skipped.
    pub fn unmap(&self, span: &Span) -> u64 {
        self.add(span, u32::wrapping_neg)
    }

    /// Adds to the count of one page, past all bookkeeping: for tests of an imbalance.
    pub fn adjust(&self, pfn: Pfn, units: i32) {
        self.with_slot(pfn, |slot| slot.page.add(units as u32));
    }

    /// Whether a page is mapped (or out of balance), and that was reported.
    pub fn is_reported(&self, pfn: Pfn) -> bool {
        self.look(pfn)
            .is_some_and(|look| look.reported && look.count != 0)
    }

    /// The mapping count of one page, in granules; `None` if it has no counter.
    pub fn count(&self, pfn: Pfn) -> Option<i32> {
        self.look(pfn).map(|look| look.count)
    }

    /// True if none of the `pages` pages from `first` is mapped, reported or out of balance, as far
    /// as there are counters. The fast path of every check: loads only.
    #[inline]
    pub fn is_clean(&self, first: Pfn, pages: u64) -> bool {
        let mut dirty = 0;
        self.each_chunk(first, pages, |section, from, to| {
            let above = self.above(section, from);
            for index in from..=to {
                dirty |= section.slot(index).page.raw().wrapping_add(above);
            }
        });
        dirty == 0
    }

    /// Looks closer at pages that are not clean. See [`check::inspect`].
    pub fn inspect(&self, first: Pfn, pages: u64, intent: &Intent<'_>) -> Option<Hit> {
        check::inspect(self, first, pages, intent)
    }

    /// Marks the pages that [`Self::inspect`] would report as reported; returns how many are new.
    pub fn mark_reported(&self, first: Pfn, pages: u64, intent: &Intent<'_>) -> u64 {
        let mut new = 0;
        for pfn in (first.0..).take(pages as usize).map(Pfn) {
            let judged = intent.judge(pfn, || self.look(pfn));
            let is_finding = judged.is_some_and(|(_, is_finding)| is_finding);
            if is_finding && self.with_slot(pfn, |slot| slot.page.mark()) == Some(true) {
                self.marked.add(1);
                new += 1;
            }
        }
        new
    }

    /// Sums up the pages of section `number`: how many are mapped, the sum of their counts, and how
    /// many are out of balance. `None` if the section has no counters.
    pub fn section_totals(&self, number: u64) -> Option<Totals> {
        let section = self.memory.section(number)?;
        let mut totals = Totals::default();
        for index in 0..self.geometry.section_pages() {
            let raw = section
                .slot(index)
                .page
                .raw()
                .wrapping_add(self.above(&section, index));
            let count = count_of(raw);
            totals.mapped += u64::from(count > 0);
            totals.units += i64::from(count);
            totals.negative += u64::from(count < 0);
            totals.reported += u64::from(raw & REPORTED);
        }
        Some(totals)
    }

    pub(super) fn look(&self, pfn: Pfn) -> Option<Look> {
        let section = self
            .memory
            .section(pfn.0 >> self.geometry.section_order())?;
        let index = self.index(pfn);
        let raw = section
            .slot(index)
            .page
            .raw()
            .wrapping_add(self.above(&section, index));
        Some(Look {
            count: count_of(raw),
            reported: raw & REPORTED != 0,
        })
    }

    /// Clears the mark of a page whose count is 0 again.
    pub(super) fn forget_report(&self, pfn: Pfn) {
        if self.with_slot(pfn, |slot| slot.page.unmark()) == Some(true) {
            self.marked.add(u64::MAX);
        }
    }

    #[cold]
    fn forget_reports(&self, span: &Span) {
        for segment in span.segments() {
            let pages = (segment.last.0 - segment.first.0).saturating_add(1);
            self.each_chunk(segment.first, pages, |section, from, to| {
                let above = self.above(section, from);
                for index in from..=to {
                    let counter = &section.slot(index).page;
                    // A count of 0, and the mark.
                    if counter.raw().wrapping_add(above) == REPORTED && counter.unmark() {
                        self.marked.add(u64::MAX);
                    }
                }
            });
        }
    }

    fn add(&self, span: &Span, signed: impl Fn(u32) -> u32) -> u64 {
        let mut skipped = 0;
        for segment in span.segments() {
            let units = signed(segment.units);
            let pages = (segment.last.0 - segment.first.0).saturating_add(1);
            skipped += self.each_part(segment.first, pages, |section, from, to| {
                self.geometry
                    .tile(from, to, |block| counter(section, block).add(units));
            });
        }
        // A count may come back to 0 from either side.
        if self.marked.load() != 0 {
            self.forget_reports(span);
        }
        skipped
    }

    /// The sum of the counters above the page's own, for the block of 64 pages that `index` lies
    /// in.
    #[inline(always)]
    fn above(&self, section: &M::Section<'_>, index: usize) -> u32 {
        let mut sum = 0u32;
        for level in 1..LEVELS {
            let base = index & !((1 << self.geometry.block_order(level)) - 1);
            sum = sum.wrapping_add(counter(section, Block { level, base }).raw());
        }
        sum
    }

    /// Calls `each` with the part of the pages that lies in each section that has counters; returns
    /// how many pages lie elsewhere.
    #[inline]
    fn each_part(
        &self,
        first: Pfn,
        pages: u64,
        mut each: impl FnMut(&M::Section<'_>, usize, usize),
    ) -> u64 {
        let size = self.geometry.section_pages() as u64;
        let mut skipped = 0;
        let mut pfn = first.0;
        let mut left = pages;
        while left > 0 {
            let index = self.index(Pfn(pfn));
            let here = left.min(size - index as u64);
            match self.memory.section(pfn >> self.geometry.section_order()) {
                Some(section) => each(&section, index, index + here as usize - 1),
                None => skipped += here,
            }
            left -= here;
            pfn = pfn.wrapping_add(here);
        }
        skipped
    }

    /// Like [`Self::each_part`], in parts that lie in one block of level 1 each.
    #[inline]
    fn each_chunk(
        &self,
        first: Pfn,
        pages: u64,
        mut each: impl FnMut(&M::Section<'_>, usize, usize),
    ) {
        let mask = (1usize << self.geometry.block_order(1)) - 1;
        self.each_part(first, pages, |section, from, to| {
            let mut from = from;
            while from <= to {
                let end = to.min(from | mask);
                each(section, from, end);
                from = end + 1;
            }
        });
    }

    fn with_slot<R>(&self, pfn: Pfn, then: impl FnOnce(&Slot) -> R) -> Option<R> {
        let section = self
            .memory
            .section(pfn.0 >> self.geometry.section_order())?;
        Some(then(section.slot(self.index(pfn))))
    }

    #[inline(always)]
    fn index(&self, pfn: Pfn) -> usize {
        (pfn.0 & ((1 << self.geometry.section_order()) - 1)) as usize
    }
}

/// Sums over a section, see [`Counts::section_totals`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Pages with a count above 0.
    pub mapped: u64,
    /// The sum of all counts, in granules.
    pub units: i64,
    /// Pages with a count below 0.
    pub negative: u64,
    /// Pages that carry the "reported" mark.
    pub reported: u64,
}

impl Totals {
    /// Adds those of another section.
    pub fn add(&mut self, other: &Totals) {
        self.mapped += other.mapped;
        self.units += other.units;
        self.negative += other.negative;
        self.reported += other.reported;
    }
}

#[inline(always)]
fn counter<S: Section>(section: &S, block: Block) -> &Counter {
    if block.level == 0 {
        &section.slot(block.base).page
    } else {
        &section.slot(block.base + block.level).block
    }
}

/// The signed count in a sum of raw counters.
#[inline(always)]
fn count_of(raw: u32) -> i32 {
    (raw as i32) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_eight_bytes() {
        assert_eq!(core::mem::size_of::<Slot>(), 8);
    }

    #[test]
    fn the_mark_survives_counting_and_wrap_around() {
        let counter = Counter(Word::new(0));
        assert!(counter.mark());
        assert!(!counter.mark());
        counter.add(u32::MAX);
        assert_eq!(count_of(counter.raw()), -1);
        counter.add(1);
        assert_eq!(counter.raw(), REPORTED);
        assert!(counter.unmark());
        assert!(!counter.unmark());
    }
}
