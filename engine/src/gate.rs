// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One report at a time, and the pages that belong to the one before.

use super::addr::Pfn;
use super::check::Hit;
use super::primitive::{relax, Long};

/// How often a second reporter looks whether the first is done before it gives up.
const PATIENCE: u32 = 1 << 18;

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

impl Site {
    /// The process id plus 1, which is never 0.
    fn id(self) -> u64 {
        (self.pid as u64).wrapping_add(1)
    }
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
    /// A mapping of 2M whose pages are freed one by one is one bug and 512 frees. They have the
    /// same task and the same call stack; both ends of what was reported so far are still mapped,
    /// and marked as reported (`is_reported`); and so far as pages lie between that and the hit,
    /// all of them are mapped (`is_mapped`). If the mapping ended in between, the marks are gone:
    /// then it is another bug.
    pub fn continues(
        &self,
        site: Site,
        hit: &Hit,
        is_reported: impl Fn(Pfn) -> bool,
        is_mapped: impl Fn(Pfn) -> bool,
    ) -> bool {
        let last = &self.0.last;
        if last.pid.load() != site.id() || last.stack.load() != site.stack {
            return false;
        }
        let (first, end) = (last.first.load(), last.last.load());
        if !is_reported(Pfn(first)) || !is_reported(Pfn(end)) {
            return false;
        }
        let mut gap = if hit.first.0 > end {
            end + 1..hit.first.0
        } else {
            hit.last.0 + 1..first
        };
        if gap.end.saturating_sub(gap.start) > REACH || !gap.all(|pfn| is_mapped(Pfn(pfn))) {
            return false;
        }
        last.first.store(first.min(hit.first.0));
        last.last.store(end.max(hit.last.0));
        true
    }

    /// Remembers the report that is printed now.
    pub fn remember(&self, site: Site, hit: &Hit) {
        let last = &self.0.last;
        last.pid.store(site.id());
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

    const YES: fn(Pfn) -> bool = |_| true;
    const NO: fn(Pfn) -> bool = |_| false;

    #[test]
    fn neighbours_from_the_same_place_continue_the_report() {
        let gate = Gate::new();
        let held = gate.enter(7).unwrap();
        assert!(
            !held.continues(SITE, &hit(10, 10), YES, YES),
            "nothing was reported yet"
        );
        held.remember(SITE, &hit(10, 10));
        assert!(held.continues(SITE, &hit(11, 11), YES, NO));
        assert!(held.continues(SITE, &hit(9, 9), YES, NO));
        assert!(held.continues(SITE, &hit(20, 20), YES, YES), "with a gap");
        assert!(held.continues(SITE, &hit(15, 15), YES, NO), "in the gap");
        let hole = |pfn: Pfn| pfn.0 != 25;
        assert!(!held.continues(SITE, &hit(30, 30), YES, hole));
        assert!(held.continues(SITE, &hit(24, 24), YES, hole));
        assert!(!held.continues(Site { pid: 8, ..SITE }, &hit(25, 25), YES, YES));
        assert!(!held.continues(Site { stack: 1, ..SITE }, &hit(25, 25), YES, YES));
        assert!(!held.continues(SITE, &hit(24 + 2 * REACH, 24 + 2 * REACH), YES, YES));
    }

    #[test]
    fn what_was_unmapped_in_between_is_another_bug() {
        let gate = Gate::new();
        let held = gate.enter(7).unwrap();
        held.remember(SITE, &hit(10, 20));
        // The whole range was mapped anew: nothing of it is marked.
        assert!(!held.continues(SITE, &hit(10, 20), NO, YES));
        assert!(!held.continues(SITE, &hit(15, 15), NO, YES));
        // One end was.
        assert!(!held.continues(SITE, &hit(10, 10), |pfn| pfn.0 != 10, YES));
    }
}
