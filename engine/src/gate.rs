// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One report at a time, and the pages that belong to the one before.

use super::addr::Pfn;
use super::check::Hit;
use super::primitive::{relax, Long};

/// How often a second reporter looks whether the first is done before it gives up.
const PATIENCE: u32 = 1 << 22;

/// How many pages apart two pages may be and still belong to one report.
const REACH: u64 = 4096;

/// Lets one reporter in at a time.
///
/// Reports are printed from within the page allocator, and printing may allocate: a reporter that
/// comes back in is turned away at once. One on another CPU waits, but not for ever. Whoever is
/// turned away has not marked its page as reported, so the bug is reported at the page's next alloc
/// or free.
pub struct Gate {
    holder: Long,
    last: Last,
}

/// The report printed last. Accessed by the holder of the gate only.
struct Last {
    /// Process id plus 1; 0 if nothing was reported yet.
    pid: Long,
    stack: Long,
    first: Long,
    last: Long,
}

/// A number that tells call stacks apart (FNV-1a over the return addresses).
pub fn hash_stack(frames: impl Iterator<Item = u64>) -> u64 {
    frames.fold(0xcbf2_9ce4_8422_2325, |hash, frame| {
        (hash ^ frame).wrapping_mul(0x100_0000_01b3)
    })
}

/// Where a finding was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Process id of the task; 0 for the idle tasks.
    pub pid: i32,
    /// Hash of the call stack.
    pub stack: u64,
}

/// Proof that the gate is held; opens it again when dropped.
pub struct Held<'a>(&'a Gate);

impl Gate {
    /// A gate that nobody holds.
    pub const fn new() -> Gate {
        let last = Last {
            pid: Long::new(0),
            stack: Long::new(0),
            first: Long::new(0),
            last: Long::new(0),
        };
        Gate {
            holder: Long::new(0),
            last,
        }
    }

    /// Enters, on behalf of `task` (not 0); `None` if that task is inside already, or another one
    /// for too long.
    pub fn enter(&self, task: u64) -> Option<Held<'_>> {
        for _ in 0..PATIENCE {
            if self.holder.exchange(0, task) {
                return Some(Held(self));
            }
            if self.holder.load() == task {
                return None;
            }
            relax();
        }
        None
    }
}

impl Default for Gate {
    fn default() -> Self {
        Gate::new()
    }
}

impl Held<'_> {
    /// Whether `hit` is more of what was reported last: then it is to be marked, but not printed.
    ///
    /// A mapping of 2M whose pages are freed one by one is one bug and 512 frees. The frees have
    /// the same task and the same call stack, and every page from the last report's up to the new
    /// one is still mapped and unreported or part of that report (`still_mapped`, asked for each of
    /// them).
    pub fn continues(
        &self,
        site: Site,
        hit: &Hit,
        mut still_mapped: impl FnMut(Pfn) -> bool,
    ) -> bool {
        let last = &self.0.last;
        if last.pid.load() != (site.pid as u64).wrapping_add(1) || last.stack.load() != site.stack {
            return false;
        }
        let (first, end) = (last.first.load(), last.last.load());
        // The nearest page of the last report, and the pages between it and the hit.
        let (from, to) = if hit.first.0 > end {
            (end, hit.first.0 - 1)
        } else if hit.last.0 < first {
            (hit.last.0 + 1, first)
        } else {
            // The same page again: it was unmapped in between, so it is another bug.
            return false;
        };
        if to - from >= REACH || !(from..=to).all(|pfn| still_mapped(Pfn(pfn))) {
            return false;
        }
        last.first.store(first.min(hit.first.0));
        last.last.store(end.max(hit.last.0));
        true
    }

    /// Remembers the report that is printed now.
    pub fn remember(&self, site: Site, hit: &Hit) {
        let last = &self.0.last;
        last.pid.store((site.pid as u64).wrapping_add(1));
        last.stack.store(site.stack);
        last.first.store(hit.first.0);
        last.last.store(hit.last.0);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.holder.store(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Site = Site { pid: 7, stack: 99 };

    fn hit(first: u64, last: u64) -> Hit {
        Hit {
            mapped: last - first + 1,
            first: Pfn(first),
            last: Pfn(last),
            count: 1,
        }
    }

    #[test]
    fn the_holder_is_turned_away_and_comes_in_later() {
        let gate = Gate::new();
        let held = gate.enter(1);
        assert!(held.is_some());
        assert!(gate.enter(1).is_none());
        drop(held);
        assert!(gate.enter(1).is_some());
    }

    #[test]
    fn neighbours_from_the_same_place_continue_the_report() {
        let gate = Gate::new();
        let held = gate.enter(7).unwrap();
        assert!(
            !held.continues(SITE, &hit(10, 10), |_| true),
            "nothing was reported yet"
        );
        held.remember(SITE, &hit(10, 10));
        assert!(held.continues(SITE, &hit(11, 11), |_| true));
        assert!(held.continues(SITE, &hit(9, 9), |_| true));
        assert!(
            held.continues(SITE, &hit(20, 20), |_| true),
            "pages between are mapped too"
        );
        assert!(
            !held.continues(SITE, &hit(30, 30), |pfn| pfn.0 != 25),
            "a page between is not mapped"
        );
        assert!(!held.continues(Site { pid: 8, ..SITE }, &hit(21, 21), |_| true));
        assert!(!held.continues(Site { stack: 1, ..SITE }, &hit(21, 21), |_| true));
    }

    #[test]
    fn the_same_page_again_is_another_bug() {
        let gate = Gate::new();
        let held = gate.enter(7).unwrap();
        held.remember(SITE, &hit(10, 20));
        assert!(!held.continues(SITE, &hit(15, 15), |_| true));
    }
}
