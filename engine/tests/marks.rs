// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The mark of a page that was reported: while there is one, each count has more to do, and not a moment longer.

use dmasan_engine::{
    addr::{Pfn, Span},
    check::Intent,
    counts::{Counts, Memory, Totals},
    model::Array,
};

type Machine = Array<12, 8>;

/// Counts with one page mapped, and marked.
fn marked() -> Counts<Machine> {
    let counts = Counts::new(Machine::new(&[0]));
    counts.map(&page());
    assert_eq!(counts.mark_reported(Pfn(3), 1, &Intent::NONE), 1);
    assert!(counts.is_reported(Pfn(3)));
    assert!(!is_quick(&counts), "a mark was forgotten");
    counts
}

fn page() -> Span {
    Span::new(3 << 12, 1 << 12, 1 << 12, Machine::GEOMETRY).unwrap()
}

/// Whether a page is counted with one add: only without marks.
fn is_quick(counts: &Counts<Machine>) -> bool {
    let up = counts.count_at_once(Pfn(9), 1, true);
    assert_eq!(counts.count_at_once(Pfn(9), 1, false), up);
    up
}

#[test]
fn the_unmap_that_brings_the_count_to_0_takes_the_mark() {
    let unmaps: [fn(&Counts<Machine>); 2] = [
        |counts| assert_eq!(counts.unmap(&page()), 0),
        |counts| assert_eq!(counts.count_pages(Pfn(3), 1, false), 0),
    ];
    for unmap in unmaps {
        let counts = marked();
        unmap(&counts);
        assert!(counts.is_page_clean(Pfn(3)) && is_quick(&counts));
    }
}

#[test]
fn the_check_that_meets_a_mark_at_0_takes_it() {
    let counts = marked();
    counts.adjust(Pfn(3), -1);
    assert!(!is_quick(&counts));
    assert!(!counts.is_reported(Pfn(3)), "it is not mapped");
    assert_eq!(counts.inspect(Pfn(3), 1, &Intent::NONE), None);
    assert!(counts.is_page_clean(Pfn(3)) && is_quick(&counts));
}

#[test]
fn totals_add_up() {
    let one = |n| Totals {
        mapped: n,
        units: -(n as i64),
        negative: 2 * n,
        reported: 3 * n,
    };
    let mut sum = one(5);
    sum.add(&one(100));
    assert_eq!(sum, one(105));
    let totals = marked().section_totals(0).unwrap();
    assert_eq!((totals.mapped, totals.units, totals.reported), (1, 1, 1));
}
