// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The counters against a naive model: one plain number for each page.

use dmasan_engine::{
    addr::{Pfn, Span},
    check::Intent,
    counts::{Counts, Memory},
    geometry::Geometry,
    model::Array,
};
use proptest::prelude::*;
use std::collections::HashMap;

/// Sections of 256 pages, so that ranges of a few hundred pages meet every level and several sections.
type Machine = Array<12, 8>;
const GEOMETRY: Geometry = Machine::GEOMETRY;
const PAGE: u64 = 4096;
/// Section 2 is a hole.
const SECTIONS: [u64; 4] = [0, 1, 3, 4];
const PAGES: u64 = 5 * 256;

#[derive(Clone, Debug)]
enum Op {
    /// Map, or unmap, `pages` pages from `first`, cut into pieces of at most `piece` pages.
    Change {
        up: bool,
        first: u64,
        pages: u64,
        piece: u64,
        /// Through the way for whole pages.
        whole: bool,
    },
    /// Check pages as an alloc or free would.
    Check { first: u64, pages: u64 },
}

fn range() -> impl Strategy<Value = (u64, u64)> {
    let edge = prop_oneof![0..PAGES, (0..20u64).prop_map(|block| block * 16)];
    edge.prop_flat_map(|first| {
        let sizes = prop_oneof![
            Just(1u64),
            Just(16),
            Just(64),
            Just(256),
            Just(512),
            1..600u64
        ];
        (
            Just(first),
            sizes.prop_map(move |pages| pages.min(PAGES - first).max(1)),
        )
    })
    .prop_map(|(first, pages)| (first.min(PAGES - 1), pages))
}

fn op() -> impl Strategy<Value = Op> {
    let piece = prop_oneof![Just(1u64), Just(7), Just(16), Just(10_000)];
    prop_oneof![
        3 => (any::<bool>(), range(), piece, any::<bool>())
            .prop_map(|(up, (first, pages), piece, whole)| Op::Change { up, first, pages, piece, whole }),
        1 => range().prop_map(|(first, pages)| Op::Check { first, pages }),
    ]
}

fn has_counters(pfn: u64) -> bool {
    SECTIONS.contains(&(pfn >> GEOMETRY.section_order()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever was mapped and unmapped in whatever pieces, each page's count is the number of maps minus the
    /// number of unmaps, pages without counters are skipped, and a check finds just the pages with a count.
    #[test]
    fn every_count_equals_the_naive_one(ops in proptest::collection::vec(op(), 1..60)) {
        let counts = Counts::new(Machine::new(&SECTIONS));
        let mut naive: HashMap<u64, i32> = HashMap::new();

        for op in ops {
            match op {
                Op::Change { up, first, pages, piece, whole } => {
                    let mut skipped = 0;
                    for start in (first..first + pages).step_by(piece as usize) {
                        let len = piece.min(first + pages - start);
                        let span = Span::new(start * PAGE, len * PAGE, PAGE, GEOMETRY).unwrap();
                        skipped += match (up, whole) {
                            (true, false) => counts.map(&span),
                            (false, false) => counts.unmap(&span),
                            (up, true) if counts.count_at_once(Pfn(start), len, up) => 0,
                            (up, true) => counts.count_pages(Pfn(start), len, up),
                        };
                    }
                    prop_assert_eq!(skipped, (first..first + pages).filter(|&p| !has_counters(p)).count() as u64);
                    for pfn in (first..first + pages).filter(|&p| has_counters(p)) {
                        *naive.entry(pfn).or_default() += if up { 1 } else { -1 };
                    }
                }
                Op::Check { first, pages } => {
                    let expected: Vec<u64> =
                        (first..first + pages).filter(|p| naive.get(p).is_some_and(|&n| n != 0)).collect();
                    prop_assert_eq!(counts.is_clean(Pfn(first), pages), expected.is_empty());
                    let hit = counts.inspect(Pfn(first), pages, &Intent::NONE);
                    prop_assert_eq!(hit.map_or(0, |h| h.mapped), expected.len() as u64);
                    prop_assert_eq!(hit.map(|h| (h.first.0, h.last.0)), expected.first().map(|&f| (f, *expected.last().unwrap())));
                }
            }
        }
        for pfn in 0..PAGES {
            let expected = has_counters(pfn).then(|| naive.get(&pfn).copied().unwrap_or(0));
            prop_assert_eq!(counts.count(Pfn(pfn)), expected);
        }
        let mapped: u64 = SECTIONS.iter().map(|&s| counts.section_totals(s).unwrap().mapped).sum();
        prop_assert_eq!(mapped, naive.values().filter(|&&n| n > 0).count() as u64);
    }

    /// A page is reported once, then again only after its count was 0: against a naive model of just that.
    #[test]
    fn one_bug_is_one_report(steps in proptest::collection::vec((0..3u8, 0..4u64), 1..80)) {
        let counts = Counts::new(Machine::new(&[0]));
        let mut naive = [(0i32, false); 4];
        for (what, pfn) in steps {
            let span = Span::new(pfn * PAGE, PAGE, PAGE, GEOMETRY).unwrap();
            let (count, reported) = &mut naive[pfn as usize];
            match what {
                0 => {
                    counts.map(&span);
                    *count += 1;
                }
                1 => {
                    counts.unmap(&span);
                    *count -= 1;
                }
                _ => {
                    let expected = *count != 0 && !*reported;
                    let hit = counts.inspect(Pfn(pfn), 1, &Intent::NONE);
                    prop_assert_eq!(hit.is_some(), expected);
                    if hit.is_some() {
                        prop_assert_eq!(counts.mark_reported(Pfn(pfn), 1, &Intent::NONE), 1);
                    }
                    *reported |= expected;
                }
            }
            if *count == 0 {
                *reported = false;
            }
        }
    }

    /// Granules smaller than the page: any split of the same granules gives the same counts.
    #[test]
    fn parts_of_a_page_add_up(first in 0..64u64, len in 1..64u64, cut in 0..64u64) {
        let geometry = Geometry::new(16, 8);
        let counts = Counts::new(Array::<16, 8>::new(&[0]));
        let span = |from: u64, n: u64| Span::new(from * PAGE, n * PAGE, PAGE, geometry);
        counts.map(&span(first, len).unwrap());
        for pfn in 0..9 {
            let of_page = (first..first + len).filter(|g| g / 16 == pfn).count();
            prop_assert_eq!(counts.count(Pfn(pfn)), Some(of_page as i32));
        }
        let cut = cut.min(len);
        for part in [span(first, cut), span(first + cut, len - cut)].into_iter().flatten() {
            counts.unmap(&part);
        }
        prop_assert!(counts.is_clean(Pfn(0), 256));
    }
}

/// The counters wrap; the sum of the levels does not care.
#[test]
fn counts_survive_wrap_around_of_single_counters() {
    let counts = Counts::new(Machine::new(&[0]));
    let block = Span::new(0, 64 * PAGE, PAGE, GEOMETRY).unwrap();
    for pfn in 0..64 {
        counts.adjust(Pfn(pfn), i32::MAX / 2);
        counts.adjust(Pfn(pfn), i32::MIN / 2);
        counts.map(&Span::new(pfn * PAGE, PAGE, PAGE, GEOMETRY).unwrap());
    }
    counts.unmap(&block);
    assert_eq!(counts.count(Pfn(5)), Some(-1));
    counts.map(&block);
    assert!(counts.is_clean(Pfn(0), 256) == (counts.count(Pfn(5)) == Some(0)));
}

/// Ranges at both ends of the address space.
#[test]
fn the_ends_of_the_address_space_are_ordinary() {
    let top = u64::MAX >> (12 + 8);
    let counts = Counts::new(Machine::new(&[0, top]));
    let span = Span::new(u64::MAX - (PAGE - 1), PAGE, PAGE, GEOMETRY).unwrap();
    assert_eq!(counts.map(&span), 0);
    assert_eq!(counts.count(Pfn(u64::MAX >> 12)), Some(1));
    assert_eq!(counts.unmap(&span), 0);
    let zero = Span::new(0, PAGE, PAGE, GEOMETRY).unwrap();
    counts.map(&zero);
    assert_eq!(counts.count(Pfn(0)), Some(1));
    assert!(!counts.is_clean(Pfn(0), 1));
}
