// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The registry of direct reserved mappings: ranges that are mapped 1:1 on purpose.

use super::addr::Pfn;
use super::primitive::{full_barrier, relax, Long};

/// How often a page is mapped on purpose.
pub trait Direct {
    /// The number of registered mappings that cover `pfn`; `None` if that cannot be told just now.
    fn covering(&self, pfn: Pfn) -> Option<u32>;
}

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
}

struct Entry {
    /// 0 if the entry is free.
    owner: Long,
    first: Long,
    last: Long,
    /// Mappings that the entry stands for; more than one only after it was widened.
    times: Long,
}

impl Entry {
    const fn free() -> Entry {
        Entry {
            owner: Long::new(0),
            first: Long::new(0),
            last: Long::new(0),
            times: Long::new(0),
        }
    }

    fn set(&self, owner: u64, first: Pfn, last: Pfn, times: u64) {
        self.first.store(first.0);
        self.last.store(last.0);
        self.times.store(times);
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
        }
    }

    /// Registers a mapping of `first..=last` by `owner` (not 0). To be called before the range is
    /// mapped.
    pub fn insert(&self, owner: u64, first: Pfn, last: Pfn) {
        self.write(|entries| {
            if let Some(entry) = entries.iter().find(|e| e.owner.load() == 0) {
                entry.set(owner, first, last, 1);
                return;
            }
            let rest = &self.rest;
            let (mut from, mut to) = (first.0, last.0);
            if rest.owner.load() != 0 {
                from = from.min(rest.first.load());
                to = to.max(rest.last.load());
            }
            rest.set(u64::MAX, Pfn(from), Pfn(to), rest.times.load() + 1);
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

    /// One range of `owner`, if it has any.
    pub fn peek(&self, owner: u64) -> Option<(Pfn, Pfn)> {
        let entry = self.entries.iter().find(|e| e.owner.load() == owner)?;
        Some((Pfn(entry.first.load()), Pfn(entry.last.load())))
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
    fn covering(&self, pfn: Pfn) -> Option<u32> {
        // Pairs with the barrier in insert(): the caller has read the counts of the page before.
        full_barrier();
        let generation = self.generation.load();
        if generation & 1 != 0 {
            return None;
        }
        let mut times = 0;
        for entry in self.entries.iter().chain([&self.rest]) {
            if entry.owner.load() != 0 && entry.first.load() <= pfn.0 && pfn.0 <= entry.last.load()
            {
                times += entry.times.load();
            }
        }
        (self.generation.load() == generation).then_some(times as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_counted_per_owner() {
        let ranges = Ranges::<4>::new();
        ranges.insert(1, Pfn(0), Pfn(4095));
        ranges.insert(2, Pfn(0), Pfn(15));
        assert_eq!(ranges.covering(Pfn(15)), Some(2));
        assert_eq!(ranges.covering(Pfn(16)), Some(1));
        assert_eq!(ranges.covering(Pfn(4096)), Some(0));
        assert_eq!(ranges.totals(), (2, 4112));
        assert_eq!(ranges.peek(1), Some((Pfn(0), Pfn(4095))));
        ranges.remove(1, Pfn(0), Pfn(4095));
        assert_eq!(ranges.peek(1), None);
        assert_eq!(ranges.covering(Pfn(15)), Some(1));
    }

    #[test]
    fn a_full_registry_covers_too_much_rather_than_too_little() {
        let ranges = Ranges::<2>::new();
        ranges.insert(1, Pfn(0), Pfn(0));
        ranges.insert(1, Pfn(10), Pfn(11));
        ranges.insert(2, Pfn(20), Pfn(21));
        ranges.insert(2, Pfn(30), Pfn(31));
        assert_eq!(ranges.widened(), 2);
        assert_eq!(ranges.covering(Pfn(10)), Some(1));
        assert_eq!(ranges.covering(Pfn(25)), Some(2));
        assert_eq!(ranges.covering(Pfn(32)), Some(0));
        assert_eq!(ranges.peek(2), None);
    }

    #[test]
    fn a_change_under_way_gives_no_answer() {
        let ranges = Ranges::<2>::new();
        ranges.write(|_| assert_eq!(ranges.covering(Pfn(0)), None));
        assert_eq!(ranges.covering(Pfn(0)), Some(0));
    }
}
