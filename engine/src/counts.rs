// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How often each page is mapped.
//!
//! The count of a page is the sum of one counter per level: its own, and those of the blocks (16,
//! 512, 1024 pages, the section, the group of sections) that it lies in. Mapping a range adds to
//! the counters of the largest aligned blocks that tile it, unmapping subtracts likewise. The two
//! tilings need not agree: 512 pages mapped one by one leave +1 in 512 page counters, and their
//! unmap as one range leaves -1 in one block counter; the sum per page is 0 again. Single counters
//! may drift without bound this way, so all arithmetic wraps, and the sum is exact modulo 2^31.
//!
//! # No false positives
//!
//! All accesses are relaxed, and a check reads its six counters one after the other. That is
//! enough: what touches a counter of page P is the map or unmap of a range that contains all of the
//! block, P included. If nobody has P mapped while it is checked, then no add to any of its
//! counters is under way; those of earlier mappings are complete and visible, because their unmap
//! happened before the owner freed P, and the free before the check. So the six loads add up to 0.
//! If somebody does have P mapped, the sum may be off while another mapping of P comes or goes:
//! that is the race in which a mapped page can be missed.

use super::addr::{Pfn, Segment, Span};
use super::check::{self, Hit, Intent};
use super::geometry::{Geometry, LEVELS};
use super::primitive::{Long, Word};

/// Bit 0 of a page's counter: a finding about this page was reported and its count was not 0 since.
/// All counters are shifted left by one, so that no carry reaches the mark and none is taken from
/// it.
const REPORTED: u32 = 1;

/// The signed count in a sum of counters.
#[inline(always)]
fn count_of(raw: u32) -> i32 {
    (raw as i32) >> 1
}

/// Sets the mark; says whether it was clear.
fn mark(word: &Word) -> bool {
    loop {
        let old = word.load();
        if old & REPORTED != 0 {
            return false;
        }
        if word.exchange(old, old | REPORTED) {
            return true;
        }
    }
}

/// Clears the mark; says whether it was set.
fn unmark(word: &Word) -> bool {
    loop {
        let old = word.load();
        if old & REPORTED == 0 {
            return false;
        }
        if word.exchange(old, old & !REPORTED) {
            return true;
        }
    }
}

/// Where the counters are.
pub trait Memory {
    /// The shape of this memory.
    const GEOMETRY: Geometry;

    /// The counters of section `number` (pfn divided by the pages of a section). `None` where there
    /// are none: no memory, MMIO, or beyond the last section. Once there are counters, they stay.
    fn section(&self, number: u64) -> Option<Section<'_>>;

    /// The counter of group `number`, if all of its sections have counters.
    fn group(&self, number: u64) -> Option<&Word>;
}

/// The counters that the pages of one section have, all 0 in the beginning.
#[derive(Clone, Copy)]
pub struct Section<'a> {
    /// [`Geometry::section_words`] counters.
    pub words: &'a [Word],
    /// The counter of its group, for [`Memory::group`].
    pub group: &'a Word,
}

/// The mapping counts of all memory.
pub struct Counts<M> {
    memory: M,
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
    /// Counts kept in `memory`.
    pub const fn new(memory: M) -> Counts<M> {
        Counts {
            memory,
            marked: Long::new(0),
        }
    }

    /// Counts a mapping of `span`. Returns how many pages have no counters and were skipped.
    pub fn map(&self, span: &Span) -> u64 {
        self.add(span, true)
    }

    /// Takes a mapping of `span` back. Returns how many pages have no counters and were skipped.
    pub fn unmap(&self, span: &Span) -> u64 {
        self.add(span, false)
    }

    /// Counts a mapping of `pages` whole pages from `first`, or takes it back unless `up`. They do
    /// not pass the last address. Returns how many have no counters and were skipped.
    ///
    /// The same as [`Self::map`] and [`Self::unmap`], but it knows that all pages count the same.
    pub fn count_pages(&self, first: Pfn, pages: u64, up: bool) -> u64 {
        let units = signed(1, up);
        let block = M::GEOMETRY.block(index(M::GEOMETRY, first), pages);
        if let (Some(at), Some(section)) = (block, self.section_of(first)) {
            if let (Some(word), 0) = (section.words.get(at), self.marked.peek()) {
                word.add(units << 1);
                return 0;
            }
        }
        self.count_blocks(first, pages, units)
    }

    #[inline(never)]
    fn count_blocks(&self, first: Pfn, pages: u64, units: u32) -> u64 {
        let skipped = self.add_pages(first, pages, units);
        // A count may come back to 0 from either side.
        if self.marked.peek() != 0 {
            self.forget_reports(first, pages);
        }
        skipped
    }

    /// [`Self::count_pages`] for one page or one whole group: most calls are, and need one add.
    /// Says whether that was all; if not, nothing was done.
    #[inline(always)]
    pub fn count_at_once(&self, first: Pfn, pages: u64, up: bool) -> bool {
        let group = 1u64 << M::GEOMETRY.group_order();
        let one = match pages {
            1 => self.own(first),
            _ if pages == group && first.0 & (group - 1) == 0 => {
                self.memory.group(first.0 >> M::GEOMETRY.group_order())
            }
            _ => None,
        };
        match one {
            // With marks there is more to do.
            Some(word) if self.marked.peek() == 0 => {
                word.add(signed(1, up) << 1);
                true
            }
            _ => false,
        }
    }

    /// Adds to the count of one page, past all bookkeeping: for tests of an imbalance.
    pub fn adjust(&self, pfn: Pfn, units: i32) {
        if let Some(word) = self.own(pfn) {
            word.add((units as u32) << 1);
        }
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
    pub fn is_clean(&self, first: Pfn, pages: u64) -> bool {
        /// Pages in a block of level 1.
        const BLOCK: usize = 16;
        let mut dirty = 0;
        self.each_block(first, pages, |pages, above| {
            let mut look = |page: &Word| dirty |= page.load().wrapping_add(above);
            // A length that the compiler knows, so that it unrolls the loop.
            match <&[Word; BLOCK]>::try_from(pages) {
                Ok(block) => block.iter().for_each(&mut look),
                Err(_) => pages.iter().for_each(&mut look),
            }
        });
        dirty == 0
    }

    /// [`Self::is_clean`] for one page.
    #[inline(always)]
    pub fn is_page_clean(&self, page: Pfn) -> bool {
        self.raw(page).unwrap_or(0) == 0
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
            if is_finding && self.own(pfn).is_some_and(mark) {
                self.marked.add(1);
                new += 1;
            }
        }
        new
    }

    /// Sums up the pages of section `number`: how many are mapped, the sum of their counts, and how
    /// many are out of balance. `None` if the section has no counters.
    pub fn section_totals(&self, number: u64) -> Option<Totals> {
        self.memory.section(number)?;
        let order = M::GEOMETRY.section_order();
        let mut totals = Totals::default();
        self.each_block(Pfn(number << order), 1 << order, |pages, above| {
            for page in pages {
                let raw = page.load().wrapping_add(above);
                let count = count_of(raw);
                totals.mapped += u64::from(count > 0);
                totals.units += i64::from(count);
                totals.negative += u64::from(count < 0);
                totals.reported += u64::from(raw & REPORTED);
            }
        });
        Some(totals)
    }

    pub(super) fn look(&self, pfn: Pfn) -> Option<Look> {
        let raw = self.raw(pfn)?;
        Some(Look {
            count: count_of(raw),
            reported: raw & REPORTED != 0,
        })
    }

    /// Clears the mark of a page whose count is 0 again.
    pub(super) fn forget_report(&self, pfn: Pfn) {
        if self.own(pfn).is_some_and(unmark) {
            self.marked.add(u64::MAX);
        }
    }

    #[cold]
    fn forget_reports(&self, first: Pfn, pages: u64) {
        self.each_block(first, pages, |pages, above| {
            for page in pages {
                // A count of 0, and the mark.
                if page.load().wrapping_add(above) == REPORTED && unmark(page) {
                    self.marked.add(u64::MAX);
                }
            }
        });
    }

    fn add(&self, span: &Span, up: bool) -> u64 {
        let count = |s: Segment| self.count_blocks(s.first, s.pages(), signed(s.units, up));
        span.segments().map(count).sum()
    }

    /// Adds to the counters of the largest blocks that tile the pages.
    fn add_pages(&self, first: Pfn, pages: u64, units: u32) -> u64 {
        let group = 1 << M::GEOMETRY.group_order();
        let mut skipped = 0;
        let mut first = first.0;
        let mut left = pages;
        while left >= group {
            // Up to where a group begins, then group by group.
            let head = first.wrapping_neg() & (group - 1);
            if head == 0 {
                if let Some(word) = self.memory.group(first >> M::GEOMETRY.group_order()) {
                    word.add(units << 1);
                    first = first.wrapping_add(group);
                    left -= group;
                    continue;
                }
            }
            let here = if head == 0 { group } else { head };
            skipped += self.add_in_sections(Pfn(first), here, units);
            first = first.wrapping_add(here);
            left -= here;
        }
        skipped + self.add_in_sections(Pfn(first), left, units)
    }

    #[inline(always)]
    fn add_in_sections(&self, first: Pfn, pages: u64, units: u32) -> u64 {
        self.each_part(first, pages, |section, from, to| {
            M::GEOMETRY.tile(from, to, |blocks| {
                add(section.words, blocks.at, blocks.len, units);
            });
        })
    }

    /// Calls `each` with the counters, and the first and the last page, of the part of the pages
    /// that lies in each section that has counters; returns how many pages lie elsewhere.
    #[inline(always)]
    fn each_part(
        &self,
        first: Pfn,
        pages: u64,
        mut each: impl FnMut(Section<'_>, usize, usize),
    ) -> u64 {
        let mut skipped = 0;
        let mut pfn = first.0;
        let mut left = pages;
        while left > 0 {
            let index = index(M::GEOMETRY, Pfn(pfn));
            let here = left.min((M::GEOMETRY.section_pages() - index) as u64);
            match self.memory.section(pfn >> M::GEOMETRY.section_order()) {
                Some(section) => each(section, index, index + here as usize - 1),
                None => skipped += here,
            }
            left -= here;
            pfn = pfn.wrapping_add(here);
        }
        skipped
    }

    /// Calls `each` with the counters of the pages, and the sum of the counters above them, for the
    /// part of the pages that lies in each block of level 1.
    #[inline(always)]
    fn each_block(&self, first: Pfn, pages: u64, mut each: impl FnMut(&[Word], u32)) {
        let mask = (1usize << M::GEOMETRY.block_order(1)) - 1;
        self.each_part(first, pages, |section, from, to| {
            let mut from = from;
            while from <= to {
                let end = to.min(from | mask);
                if let Some(pages) = section.words.get(from..=end) {
                    each(pages, sum(M::GEOMETRY, section, from, 1));
                }
                from = end + 1;
            }
        });
    }

    /// The sum of a page's counters, with its mark.
    #[inline(always)]
    fn raw(&self, pfn: Pfn) -> Option<u32> {
        let section = self.section_of(pfn)?;
        Some(sum(M::GEOMETRY, section, index(M::GEOMETRY, pfn), 0))
    }

    /// The counters of the section that a page lies in.
    #[inline(always)]
    fn section_of(&self, pfn: Pfn) -> Option<Section<'_>> {
        self.memory.section(pfn.0 >> M::GEOMETRY.section_order())
    }

    /// A page's own counter.
    #[inline(always)]
    fn own(&self, pfn: Pfn) -> Option<&Word> {
        self.section_of(pfn)?.words.get(index(M::GEOMETRY, pfn))
    }
}

/// The index of a page in its section.
#[inline(always)]
fn index(geometry: Geometry, pfn: Pfn) -> usize {
    (pfn.0 & ((1 << geometry.section_order()) - 1)) as usize
}

/// What a map or an unmap adds to a count.
#[inline(always)]
const fn signed(units: u32, up: bool) -> u32 {
    if up {
        units
    } else {
        units.wrapping_neg()
    }
}

/// Adds to `len` counters from `at` on.
#[inline(always)]
fn add(words: &[Word], at: usize, len: usize, units: u32) {
    let Some(words) = words.get(at..).and_then(|rest| rest.get(..len)) else {
        return;
    };
    for word in words {
        word.add(units << 1);
    }
}

/// The sum of the counters of a page from `level` up.
#[inline(always)]
fn sum(geometry: Geometry, section: Section<'_>, index: usize, level: usize) -> u32 {
    let mut sum = section.group.load();
    for level in level..LEVELS {
        // There is one: the compiler can prove it in the kernel, where the array's length is known.
        if let Some(word) = section.words.get(geometry.counter_at(level, index)) {
            sum = sum.wrapping_add(word.load());
        }
    }
    sum
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_survives_counting_and_wrap_around() {
        let words = [Word::new(0)];
        assert!(mark(&words[0]));
        assert!(!mark(&words[0]));
        add(&words, 0, 1, u32::MAX);
        assert_eq!(count_of(words[0].load()), -1);
        add(&words, 0, 1, 1);
        assert_eq!(words[0].load(), REPORTED);
        assert!(unmark(&words[0]));
        assert!(!unmark(&words[0]));
    }
}
