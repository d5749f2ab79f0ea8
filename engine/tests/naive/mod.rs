// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A naive model of the counters, run beside them: a plain number and a flag for each page, and a list of ranges.
//!
//! The tests of the engine and its fuzz target share it.

mod op;
pub(crate) use op::{Change, Op, Place, RECORD};

use dmasan_engine::{
    addr::{Pfn, Span},
    check::{Hit, Intent},
    counts::{Counts, Memory, Totals},
    direct::Ranges,
    model::Array,
};
use std::collections::BTreeMap;

/// How many entries the registry of direct regions has here: few, so that it runs out.
const ENTRIES: usize = 3;

/// What is known of one page.
#[derive(Clone, Copy, Default)]
struct Page {
    count: i64,
    reported: bool,
}

impl Page {
    /// What 31 bits hold of the count.
    fn count(self) -> i32 {
        ((self.count as i32) << 1) >> 1
    }
}

/// A range that is mapped on purpose.
struct Meant {
    owner: u64,
    first: u64,
    last: u64,
    units: u64,
}

/// The engine and the model, which have to agree after each step.
pub(crate) struct Pair<const SHIFT: u32, const ORDER: u32> {
    counts: Counts<Array<SHIFT, ORDER>>,
    direct: Ranges<ENTRIES>,
    sections: BTreeMap<u64, Vec<Page>>,
    meant: Vec<Meant>,
    /// What found no entry: from, to, and the sum of the units.
    rest: Option<(u64, u64, u64)>,
}

impl<const SHIFT: u32, const ORDER: u32> Pair<SHIFT, ORDER> {
    /// The shape of memory.
    pub(crate) const PLACE: Place = Place {
        page_shift: SHIFT,
        section_order: ORDER,
    };

    /// Memory with holes; one group of sections is complete. Single counters begin where `start` says, those of
    /// pages so that each count is 0, or what `offset` says of the page's index.
    pub(crate) fn new(start: impl Fn(usize) -> u32, offset: impl Fn(usize) -> i32) -> Self {
        let numbers = Self::PLACE.sections_with_counters();
        // Bit 0 of a page's counter is its mark.
        let counts = Counts::new(Array::with(&numbers, |at| start(at) << 1));
        let mut sections = BTreeMap::new();
        for number in numbers {
            let mut pages = vec![Page::default(); 1 << ORDER];
            for (index, page) in pages.iter_mut().enumerate() {
                let pfn = Pfn((number << ORDER) + index as u64);
                let now = counts.count(pfn).unwrap();
                page.count = i64::from(offset(index));
                counts.adjust(pfn, offset(index).wrapping_sub(now));
            }
            sections.insert(number, pages);
        }
        Pair {
            counts,
            direct: Ranges::new(),
            sections,
            meant: Vec::new(),
            rest: None,
        }
    }

    fn page(&mut self, pfn: u64) -> Option<&mut Page> {
        let index = (pfn & ((1 << ORDER) - 1)) as usize;
        Some(&mut self.sections.get_mut(&(pfn >> ORDER))?[index])
    }

    /// Does one thing on both sides and compares.
    pub(crate) fn apply(&mut self, op: &Op) {
        match *op {
            Op::Change(change) => self.change(change),
            Op::Check { first, pages } => self.check(first, pages),
            Op::Mean {
                owner,
                first,
                pages,
                units,
            } => self.mean(owner, first, first + (pages - 1), units),
            Op::Unmean { owner } => {
                self.direct.remove_all(owner);
                self.meant.retain(|m| m.owner != owner);
            }
        }
    }

    fn change(&mut self, change: Change) {
        let granule = 1u64 << change.granule_shift;
        for (phys, size) in change.pieces() {
            let whole = granule >= 1 << SHIFT && (phys | size) & ((1 << SHIFT) - 1) == 0;
            let skipped = match change.fast && whole {
                true => self.change_pages(phys >> SHIFT, size >> SHIFT, change.up),
                false => self.change_span(phys, size, granule, change.up),
            };
            assert_eq!(skipped, self.change_naively(phys, size, granule, change.up));
        }
    }

    /// The two ways for whole pages, one after the other as in the kernel, or the second one alone.
    fn change_pages(&self, first: u64, pages: u64, up: bool) -> u64 {
        let first = Pfn(first);
        if first.0 & 1 == 0 && self.counts.count_at_once(first, pages, up) {
            return 0;
        }
        self.counts.count_pages(first, pages, up)
    }

    fn change_span(&self, phys: u64, size: u64, granule: u64, up: bool) -> u64 {
        let span = Span::new(phys, size, granule, Array::<SHIFT, ORDER>::GEOMETRY);
        let span = span.expect("the range ends within the address space");
        match up {
            true => self.counts.map(&span),
            false => self.counts.unmap(&span),
        }
    }

    fn change_naively(&mut self, phys: u64, size: u64, granule: u64, up: bool) -> u64 {
        let last_byte = phys + (size - 1);
        let mut skipped = 0;
        for pfn in phys >> SHIFT..=last_byte >> SHIFT {
            let from = phys.max(pfn << SHIFT);
            let to = last_byte.min((pfn << SHIFT) + ((1 << SHIFT) - 1));
            // The granules that hold some of the page's bytes; a large one counts once for each page.
            let units = (to / granule - from / granule + 1) as i64;
            match self.page(pfn) {
                Some(page) => {
                    page.count += if up { units } else { -units };
                    page.reported &= page.count() != 0;
                }
                None => skipped += 1,
            }
        }
        skipped
    }

    fn covering(&self, pfn: u64) -> u32 {
        let meant = self.meant.iter().map(|m| (m.first, m.last, m.units));
        let covering = meant.chain(self.rest).filter(|m| m.0 <= pfn && pfn <= m.1);
        covering.map(|m| m.2).sum::<u64>() as u32
    }

    fn is_finding(&self, pfn: u64, page: Page) -> bool {
        match self.covering(pfn) {
            0 => page.count() != 0,
            meant => page.count() > 0 && page.count() as u32 > meant,
        }
    }

    /// What an alloc or free does: is it clean, if not look closer, and mark what is to be reported.
    fn check(&mut self, first: u64, pages: u64) {
        let mut clean = true;
        let mut expected: Option<Hit> = None;
        let mut new = 0;
        for pfn in first..=first + (pages - 1) {
            let Some(page) = self.page(pfn).copied() else {
                continue;
            };
            clean &= page.count() == 0 && !page.reported;
            if !self.is_finding(pfn, page) {
                continue;
            }
            new += u64::from(!page.reported);
            let hit = expected.get_or_insert(Hit {
                mapped: 0,
                first: Pfn(pfn),
                last: Pfn(pfn),
                count: page.count(),
            });
            hit.mapped += 1;
            hit.last = Pfn(pfn);
        }

        let intent = Intent::new(&self.direct);
        assert_eq!(self.counts.is_clean(Pfn(first), pages), clean);
        if pages == 1 {
            assert_eq!(self.counts.is_page_clean(Pfn(first)), clean);
        }
        let hit = self.counts.inspect(Pfn(first), pages, &intent);
        assert_eq!(hit, expected.filter(|_| new > 0));
        if hit.is_none() {
            return;
        }
        assert_eq!(
            self.counts.mark_reported(Pfn(first), pages, &intent),
            new,
            "marked"
        );
        for pfn in first..=first + (pages - 1) {
            let Some(page) = self.page(pfn).copied() else {
                continue;
            };
            let reported = page.reported || self.is_finding(pfn, page);
            self.page(pfn).unwrap().reported = reported;
        }
    }

    fn mean(&mut self, owner: u64, first: u64, last: u64, units: u32) {
        self.direct.insert(owner, Pfn(first), Pfn(last), units);
        let units = u64::from(units);
        if self.meant.len() < ENTRIES {
            self.meant.push(Meant {
                owner,
                first,
                last,
                units,
            });
            return;
        }
        let (from, to, sum) = self.rest.unwrap_or((first, last, 0));
        self.rest = Some((from.min(first), to.max(last), sum + units));
    }

    /// Compares every page, and what the engine says of whole sections.
    pub(crate) fn compare(&self) {
        for (&number, pages) in &self.sections {
            let mut totals = Totals::default();
            for (index, page) in pages.iter().enumerate() {
                let pfn = Pfn((number << ORDER) + index as u64);
                assert_eq!(self.counts.count(pfn), Some(page.count()), "{pfn:?}");
                assert_eq!(self.counts.is_reported(pfn), page.reported, "{pfn:?}");
                totals.mapped += u64::from(page.count() > 0);
                totals.units += i64::from(page.count());
                totals.negative += u64::from(page.count() < 0);
                totals.reported += u64::from(page.reported);
            }
            assert_eq!(self.counts.section_totals(number), Some(totals));
        }
    }

    /// All pages there are, as an alloc or free would look at them.
    #[allow(dead_code, reason = "the fuzz target does not ask")]
    pub(crate) fn is_clean(&self) -> bool {
        let is_clean = |&number: &u64| self.counts.is_clean(Pfn(number << ORDER), 1 << ORDER);
        self.sections.keys().all(is_clean)
    }
}
