// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The concurrent part under a model checker: every interleaving, and every value that a relaxed load may see.
//!
//! Run by `ci/loom.sh`. Each test is a promise of `counts.rs`, `direct.rs` or
//! `gate.rs`, with the fewest threads and pages that can break it.
#![cfg(loom)]

use dmasan_engine::{
    addr::{Pfn, Span},
    check::{Hit, Intent},
    counts::{Counts, Memory},
    direct::{Direct, Ranges},
    gate::{Gate, Site},
    model::Array,
};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::Arc;
use loom::thread;
use std::sync::atomic::AtomicUsize;

/// Sections of 32 pages, blocks of 16, a group of 256: all kinds of counters, as few as there can be.
type Machine = Array<12, 5>;
const BLOCK: u64 = 16;
const SECTION: u64 = 32;
const GROUP: u64 = 256;

/// Counters of a few pages. The checker makes an atomic when it is first used; that has to be in the first thread,
/// before there are others, as it is with memory.
fn counts() -> Arc<Counts<Machine>> {
    let counts = Counts::new(Machine::new(&[0, 1, 2, 3, 4, 5, 6, 7]));
    for pfn in 0..4 {
        assert_eq!(counts.count(Pfn(pfn)), Some(0));
    }
    counts.map(&pages(0, 1));
    counts.unmap(&pages(0, 1));
    Arc::new(counts)
}

fn pages(first: u64, n: u64) -> Span {
    Span::new(first << 12, n << 12, 1 << 12, Machine::GEOMETRY).unwrap()
}

/// The ways for whole pages, as the kernel takes them.
fn count_pages(counts: &Counts<Machine>, first: u64, n: u64, up: bool) {
    if !counts.count_at_once(Pfn(first), n, up) {
        counts.count_pages(Pfn(first), n, up);
    }
}

/// All executions there are: a few seconds for all tests together, so there is no need for a bound.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    loom::model(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    let runs = runs.load(std::sync::atomic::Ordering::Relaxed);
    println!("{runs} executions");
    // A model that has one execution only has nothing concurrent in it.
    assert!(runs > 1);
}

/// Maps of the same page, alone and in larger blocks: none gets lost.
#[test]
fn no_count_is_lost() {
    check(|| {
        let counts = counts();
        let threads = [pages(1, 1), pages(0, BLOCK)].map(|span| {
            let counts = counts.clone();
            thread::spawn(move || counts.map(&span))
        });
        // The way for whole pages.
        count_pages(&counts, 0, 2, true);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(counts.count(Pfn(0)), Some(2));
        assert_eq!(counts.count(Pfn(1)), Some(3));
        assert_eq!(counts.count(Pfn(2)), Some(1));
    });
}

/// Waits for the other thread's word that it has finished with something, which is then seen as it left it.
fn wait_for(ready: &AtomicBool, order: Ordering) {
    while !ready.load(order) {
        thread::yield_now();
    }
}

/// One thread has had the pages mapped, as a block and one by one, and gives page 1 away. While it goes on with the
/// pages beside it, the new owner checks page 1, maps it, unmaps it, and frees it: nothing is found.
fn neighbours(store: Ordering, load: Ordering) {
    let counts = counts();
    let ready = Arc::new(AtomicBool::new(false));
    let other = {
        let (counts, ready) = (counts.clone(), ready.clone());
        thread::spawn(move || {
            for span in [
                pages(0, BLOCK),
                pages(0, SECTION),
                pages(0, GROUP),
                pages(1, 2),
            ] {
                counts.map(&span);
            }
            counts.unmap(&pages(0, GROUP));
            counts.unmap(&pages(0, SECTION));
            counts.unmap(&pages(0, BLOCK));
            counts.unmap(&pages(1, 2));
            ready.store(true, store);
            counts.map(&pages(2, 1));
            counts.map(&pages(0, 1));
            counts.unmap(&pages(0, 1));
        })
    };
    wait_for(&ready, load);
    assert!(counts.is_clean(Pfn(1), 1), "at alloc");
    counts.map(&pages(1, 1));
    counts.unmap(&pages(1, 1));
    assert!(counts.is_clean(Pfn(1), 1), "at free");
    assert_eq!(counts.inspect(Pfn(1), 1, &Intent::NONE), None);
    other.join().unwrap();
    assert_eq!(counts.count(Pfn(2)), Some(1));
}

#[test]
fn a_page_that_nobody_maps_is_clean_whatever_its_neighbours_do() {
    check(|| neighbours(Ordering::Release, Ordering::Acquire));
}

/// The same with a page that is given away without any order: what `counts.rs` asks of owners is needed, and the
/// checker does see the old values that a relaxed load may return.
#[test]
#[should_panic(expected = "at alloc")]
fn a_page_given_away_without_order_is_not() {
    check(|| neighbours(Ordering::Relaxed, Ordering::Relaxed));
}

/// Pages mapped one by one by a thread, and unmapped as one by another that they were handed to.
#[test]
fn pages_handed_over_and_unmapped_otherwise_are_clean() {
    check(|| {
        let counts = counts();
        let ready = Arc::new(AtomicBool::new(false));
        let maker = {
            let (counts, ready) = (counts.clone(), ready.clone());
            thread::spawn(move || {
                counts.map(&pages(0, 1));
                counts.map(&pages(1, 1));
                ready.store(true, Ordering::Release);
            })
        };
        wait_for(&ready, Ordering::Acquire);
        counts.unmap(&pages(0, 2));
        assert!(counts.is_clean(Pfn(0), 2));
        maker.join().unwrap();
    });
}

/// A page that is mapped for good is never taken for an unmapped one by a check that races with other mappings of
/// the page as long as those go the same way.
#[test]
fn a_leaked_page_is_found_while_others_map_it_too() {
    check(|| {
        let counts = counts();
        counts.map(&pages(0, 1));
        let other = {
            let counts = counts.clone();
            thread::spawn(move || counts.map(&pages(0, 2)))
        };
        assert!(!counts.is_clean(Pfn(0), 1));
        assert!(counts.inspect(Pfn(0), 1, &Intent::NONE).is_some());
        other.join().unwrap();
    });
}

/// Two CPUs report the same page: it is marked once.
#[test]
fn a_page_is_marked_by_one_only() {
    check(|| {
        let counts = counts();
        counts.map(&pages(0, 1));
        let mark = |counts: &Counts<Machine>| counts.mark_reported(Pfn(0), 1, &Intent::NONE);
        let other = {
            let counts = counts.clone();
            thread::spawn(move || mark(&counts))
        };
        let here = mark(&counts);
        assert_eq!(here + other.join().unwrap(), 1);
        assert!(counts.is_reported(Pfn(0)));
    });
}

/// A page is reported while it is unmapped: the next check finds it clean at the latest, and the next bug with it is
/// reported again.
fn mark_and_unmap(unmap: fn(&Counts<Machine>)) {
    check(move || {
        let counts = counts();
        counts.map(&pages(0, 1));
        let other = {
            let counts = counts.clone();
            thread::spawn(move || unmap(&counts))
        };
        if counts.inspect(Pfn(0), 1, &Intent::NONE).is_some() {
            counts.mark_reported(Pfn(0), 1, &Intent::NONE);
        }
        other.join().unwrap();
        assert_eq!(counts.inspect(Pfn(0), 1, &Intent::NONE), None);
        assert!(counts.is_page_clean(Pfn(0)));
        counts.map(&pages(0, 1));
        assert!(counts.inspect(Pfn(0), 1, &Intent::NONE).is_some());
    });
}

#[test]
fn a_mark_does_not_outlive_the_mapping() {
    mark_and_unmap(|counts| {
        counts.unmap(&pages(0, 1));
    });
}

#[test]
fn a_mark_does_not_outlive_the_mapping_of_whole_pages() {
    mark_and_unmap(|counts| {
        count_pages(counts, 0, 1, false);
    });
}

/// Pages 0 and 1 are a direct region, and the owner does something with it while page 1 is inspected: never a finding.
fn owner_acts<const N: usize>(region: bool, act: fn(&Counts<Machine>, &Ranges<N>)) {
    check(move || {
        let counts = counts();
        let direct = registry::<N>();
        if region {
            direct.insert(2, Pfn(0), Pfn(1), 1);
            counts.map(&pages(0, 2));
        }
        let owner = {
            let (counts, direct) = (counts.clone(), direct.clone());
            thread::spawn(move || act(&counts, &direct))
        };
        let hit = counts.inspect(Pfn(1), 1, &Intent::new(&*direct));
        assert_eq!(hit, None);
        owner.join().unwrap();
    });
}

#[test]
fn a_direct_region_that_comes_is_no_finding() {
    owner_acts::<1>(false, |counts, direct| {
        direct.insert(2, Pfn(0), Pfn(1), 1);
        counts.map(&pages(0, 2));
    });
}

#[test]
fn a_direct_region_that_goes_is_no_finding() {
    owner_acts::<1>(true, |counts, direct| {
        counts.unmap(&pages(0, 2));
        direct.remove(2, Pfn(0), Pfn(1));
    });
}

/// The domain is freed, whose number may be another one's at once.
#[test]
fn the_region_of_a_domain_that_is_freed_is_no_finding() {
    owner_acts::<1>(true, |counts, direct| {
        let orphan = direct.orphan(2);
        counts.unmap(&pages(0, 2));
        direct.remove_all(orphan);
    });
}

/// Another region comes, the first one goes, and so do mappings that are no region's, but are taken back before the
/// check.
#[test]
fn a_page_of_two_regions_is_no_finding() {
    owner_acts::<2>(true, |counts, direct| {
        direct.insert(4, Pfn(1), Pfn(1), 1);
        counts.map(&pages(1, 1));
        counts.unmap(&pages(0, 2));
        direct.remove(2, Pfn(0), Pfn(1));
    });
}

/// Two owners enter ranges at the same time: both are in.
#[test]
fn registrations_do_not_overwrite_each_other() {
    check(|| {
        let direct = registry::<2>();
        let other = {
            let direct = direct.clone();
            thread::spawn(move || direct.insert(2, Pfn(0), Pfn(1), 1))
        };
        direct.insert(4, Pfn(8), Pfn(8), 1);
        other.join().unwrap();
        assert_eq!(direct.totals(), (2, 3));
        assert_eq!(direct.widened(), 0);
    });
}

/// A registry of some entries, made by the first thread like the counters.
fn registry<const N: usize>() -> Arc<Ranges<N>> {
    let direct = Ranges::new();
    direct.insert(2, Pfn(0), Pfn(1), 1);
    assert_eq!(direct.covering(Pfn(0), direct.begin()), Some(1));
    assert_eq!(direct.orphan(2) % 2, 1);
    direct.remove_all(1);
    Arc::new(direct)
}

const SITE: Site = Site { pid: 9, stack: 1 };

const HIT: Hit = Hit {
    mapped: 1,
    first: Pfn(3),
    last: Pfn(3),
    count: 1,
};

/// One reporter at a time, and each sees what the one before remembered.
#[test]
fn the_gate_lets_one_in_at_a_time() {
    check(|| {
        let gate = Arc::new(Gate::new());
        gate.enter(9).unwrap().remember(SITE, &HIT);
        let inside = Arc::new(UnsafeCell::new(()));
        let enter = |gate: &Gate, inside: &UnsafeCell<()>, task: u64| {
            let site = Site {
                pid: task as i32,
                ..SITE
            };
            let held = gate.enter(task).expect("nobody stays inside for long");
            // The checker panics if another thread is in here too.
            inside.with_mut(|_| held.remember(site, &HIT));
            assert!(gate.enter(task).is_none(), "the holder is turned away");
            let again = held.continues(site, &HIT, |_| true, |_| true);
            assert!(again, "somebody else wrote");
        };
        let other = {
            let (gate, inside) = (gate.clone(), inside.clone());
            thread::spawn(move || enter(&gate, &inside, 1))
        };
        enter(&gate, &inside, 2);
        other.join().unwrap();
    });
}
