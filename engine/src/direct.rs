// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The registry of direct reserved mappings: ranges that are mapped 1:1 on purpose.

use super::addr::Pfn;
use super::primitive::{full_barrier, relax, Long};

/// How often a page is mapped on purpose.
pub trait Direct {
    /// A mark to be taken before the count of a page is read.
    fn begin(&self) -> Mark;

    /// The number of units by which registered mappings have `pfn` mapped, to be asked after its
    /// count was read; `None` if the registry was changed since `mark`, so that the two do not
    /// belong together.
    fn covering(&self, pfn: Pfn, mark: Mark) -> Option<u32>;
}

/// A state of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// A fixed number of ranges, each of one owner (a domain).
///
/// Readers never wait: a generation number that is odd while a writer is at work tells them that
/// what they saw is not to be relied on. Writers, which are rare and may sleep, exclude each other
/// by the same number.
///
/// If there is no room, one more entry is widened so that it covers the new range too: then pages
/// between such ranges are never reported, which is a miss, but no false alarm. It stays for good;
/// [`Ranges::widened`] counts how often.
pub struct Ranges<const N: usize> {
    generation: Long,
    entries: [Entry; N],
    /// Covers every range that found no entry of its own.
    rest: Entry,
    widened: Long,
    orphans: Long,
}

struct Entry {
    /// 0 if the entry is free.
    owner: Long,
    first: Long,
    last: Long,
    /// Units that the entry adds to the count of each page.
    units: Long,
}

impl Entry {
    const fn free() -> Entry {
        Entry {
            owner: Long::new(0),
            first: Long::new(0),
            last: Long::new(0),
            units: Long::new(0),
        }
    }

    fn set(&self, owner: u64, first: Pfn, last: Pfn, units: u64) {
        self.first.store(first.0);
        self.last.store(last.0);
        self.units.store(units);
        self.owner.store(owner);
    }
}

impl<const N: usize> Ranges<N> {
    /// An empty registry.
    pub const fn new() -> Ranges<N> {
        Ranges {
            generation: Long::new(0),
            entries: [const { Entry::free() }; N],
            rest: Entry::free(),
            widened: Long::new(0),
            orphans: Long::new(0),
        }
    }

    /// Registers a mapping of `first..=last` by `owner` (even, not 0), which is going to add up to
    /// `units` to the count of each page. To be called before the range is mapped.
    pub fn insert(&self, owner: u64, first: Pfn, last: Pfn, units: u32) {
        let units = u64::from(units);
        self.write(|entries| {
            if let Some(entry) = entries.iter().find(|e| e.owner.load() == 0) {
                entry.set(owner, first, last, units);
                return;
            }
            let rest = &self.rest;
            let (mut from, mut to) = (first.0, last.0);
            if rest.owner.load() != 0 {
                from = from.min(rest.first.load());
                to = to.max(rest.last.load());
            }
            rest.set(
                u64::MAX,
                Pfn(from),
                Pfn(to),
                rest.units.load().wrapping_add(units),
            );
            self.widened.add(1);
        });
        // The range is mapped after this: whoever sees its count sees its entry.
        full_barrier();
    }

    /// Takes out a mapping of `owner` again. To be called after the range was unmapped.
    pub fn remove(&self, owner: u64, first: Pfn, last: Pfn) {
        self.write(|entries| {
            let same = |e: &&Entry| {
                e.owner.load() == owner && e.first.load() == first.0 && e.last.load() == last.0
            };
            if let Some(entry) = entries.iter().find(same) {
                entry.set(0, Pfn(0), Pfn(0), 0);
            }
        });
    }

    /// Calls `each` with the ranges of `owner`, which nobody else changes meanwhile.
    pub fn each(&self, owner: u64, mut each: impl FnMut(Pfn, Pfn)) {
        for entry in self.entries.iter().filter(|e| e.owner.load() == owner) {
            each(Pfn(entry.first.load()), Pfn(entry.last.load()));
        }
    }

    /// Whether `pfn` lies in a range of `owner`.
    pub fn owns(&self, owner: u64, pfn: Pfn) -> bool {
        let mut owned = false;
        if owner != 0 {
            self.each(owner, |first, last| owned |= first <= pfn && pfn <= last);
        }
        owned
    }

    /// Gives the ranges of `owner` another one that nobody else has or will have, and returns it:
    /// the owner's number may be used anew before its ranges are gone. 0 if it has no ranges.
    pub fn orphan(&self, owner: u64) -> u64 {
        if !self.entries.iter().any(|e| e.owner.load() == owner) {
            return 0;
        }
        let mut orphan = 0;
        self.write(|entries| {
            // Odd, and so nobody's address.
            orphan = self.orphans.load().wrapping_mul(2).wrapping_add(1);
            self.orphans.add(1);
            for entry in entries.iter().filter(|e| e.owner.load() == owner) {
                entry.owner.store(orphan);
            }
        });
        orphan
    }

    /// Takes out all ranges of `owner`, which are no longer counted.
    pub fn remove_all(&self, owner: u64) {
        if owner == 0 {
            return;
        }
        self.write(|entries| {
            for entry in entries.iter().filter(|e| e.owner.load() == owner) {
                entry.set(0, Pfn(0), Pfn(0), 0);
            }
        });
    }

    /// The number of entries and of pages in them; pages that several entries cover count for each.
    pub fn totals(&self) -> (u64, u64) {
        let used = self
            .entries
            .iter()
            .chain([&self.rest])
            .filter(|e| e.owner.load() != 0);
        used.fold((0, 0), |(n, pages), e| {
            // An entry may be changing: the difference may be nonsense then, but must not trap.
            let pages_here = e.last.load().wrapping_sub(e.first.load()).wrapping_add(1);
            (n + 1, pages.wrapping_add(pages_here))
        })
    }

    /// How many mappings found no entry of their own.
    pub fn widened(&self) -> u64 {
        self.widened.load()
    }

    fn write(&self, change: impl FnOnce(&[Entry; N])) {
        let generation = loop {
            let now = self.generation.load();
            if now & 1 == 0 && self.generation.exchange(now, now + 1) {
                break now;
            }
            relax();
        };
        change(&self.entries);
        self.generation.store(generation + 2);
    }
}

impl<const N: usize> Default for Ranges<N> {
    fn default() -> Self {
        Ranges::new()
    }
}

impl<const N: usize> Direct for Ranges<N> {
    fn begin(&self) -> Mark {
        // The count is read after this: it is not older than the state that the mark stands for.
        let mark = Mark(self.generation.load());
        full_barrier();
        mark
    }

    fn covering(&self, pfn: Pfn, mark: Mark) -> Option<u32> {
        // Pairs with the barrier in insert(): whose count was seen, its entry is seen too.
        full_barrier();
        let mut units = 0u64;
        for entry in self.entries.iter().chain([&self.rest]) {
            let (first, last) = (entry.first.load(), entry.last.load());
            if entry.owner.load() != 0 && first <= pfn.0 && pfn.0 <= last {
                units = units.saturating_add(entry.units.load());
            }
        }
        let settled = mark.0 & 1 == 0 && self.generation.load() == mark.0;
        settled.then_some(units.min(u64::from(u32::MAX)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covering<const N: usize>(ranges: &Ranges<N>, pfn: u64) -> Option<u32> {
        ranges.covering(Pfn(pfn), ranges.begin())
    }

    #[test]
    fn units_are_counted_per_owner() {
        let ranges = Ranges::<4>::new();
        ranges.insert(2, Pfn(0), Pfn(4095), 1);
        ranges.insert(4, Pfn(0), Pfn(15), 16);
        assert_eq!(covering(&ranges, 15), Some(17));
        assert_eq!(covering(&ranges, 16), Some(1));
        assert_eq!(covering(&ranges, 4096), Some(0));
        assert_eq!(ranges.totals(), (2, 4112));
        ranges.remove(2, Pfn(0), Pfn(4095));
        assert_eq!(covering(&ranges, 15), Some(16));
    }

    #[test]
    fn orphans_stay_until_they_are_removed() {
        let ranges = Ranges::<4>::new();
        ranges.insert(2, Pfn(0), Pfn(0), 1);
        ranges.insert(2, Pfn(8), Pfn(9), 1);
        assert_eq!(ranges.orphan(4), 0);
        let orphan = ranges.orphan(2);
        // The next domain has the same address.
        ranges.insert(2, Pfn(0), Pfn(0), 1);
        assert_eq!(covering(&ranges, 0), Some(2));
        ranges.remove_all(orphan);
        assert_eq!(covering(&ranges, 0), Some(1));
        assert_eq!(covering(&ranges, 8), Some(0));
        let mut left = Vec::new();
        ranges.each(2, |first, last| left.push((first, last)));
        assert_eq!(left, [(Pfn(0), Pfn(0))]);
    }

    #[test]
    fn a_full_registry_covers_too_much_rather_than_too_little() {
        let ranges = Ranges::<2>::new();
        ranges.insert(2, Pfn(0), Pfn(0), 1);
        ranges.insert(2, Pfn(10), Pfn(11), 1);
        ranges.insert(4, Pfn(20), Pfn(21), 1);
        ranges.insert(4, Pfn(30), Pfn(31), 1);
        assert_eq!(ranges.widened(), 2);
        assert_eq!(covering(&ranges, 10), Some(1));
        assert_eq!(covering(&ranges, 25), Some(2));
        assert_eq!(covering(&ranges, 32), Some(0));
        assert_eq!(ranges.orphan(4), 0);
    }

    #[test]
    fn a_change_in_between_gives_no_answer() {
        let ranges = Ranges::<2>::new();
        ranges.write(|_| assert_eq!(covering(&ranges, 0), None));
        let mark = ranges.begin();
        assert_eq!(ranges.covering(Pfn(0), mark), Some(0));
        ranges.insert(2, Pfn(7), Pfn(7), 1);
        assert_eq!(ranges.covering(Pfn(0), mark), None);
        assert_eq!(covering(&ranges, 0), Some(0));
    }
}
