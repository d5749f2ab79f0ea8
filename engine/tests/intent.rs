// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Mappings that are meant to stay: what of them is a finding.

use dmasan_engine::{
    addr::{Pfn, Span},
    check::Intent,
    counts::{Counts, Memory},
    direct::{Direct, Mark, Ranges},
    geometry::Geometry,
    model::Array,
};

type Machine = Array<12, 8>;
const GEOMETRY: Geometry = Machine::GEOMETRY;

fn counts() -> Counts<Machine> {
    Counts::new(Machine::new(&[0]))
}

fn pages(first: u64, n: u64) -> Span {
    Span::new(first << 12, n << 12, 1 << 12, GEOMETRY).unwrap()
}

#[test]
fn a_direct_region_is_no_finding_and_a_leak_on_top_of_it_is() {
    let (counts, direct) = (counts(), Ranges::<4>::new());
    let intent = Intent::new(&direct);
    direct.insert(2, Pfn(0), Pfn(15), 1);
    counts.map(&pages(0, 16));
    assert_eq!(counts.inspect(Pfn(0), 16, &intent), None);
    assert_eq!(counts.mark_reported(Pfn(0), 16, &intent), 0);

    counts.map(&pages(3, 1));
    let hit = counts.inspect(Pfn(0), 16, &intent).unwrap();
    assert_eq!((hit.mapped, hit.first, hit.count), (1, Pfn(3), 2));
    assert_eq!(counts.mark_reported(Pfn(0), 16, &intent), 1);
    assert_eq!(counts.inspect(Pfn(0), 16, &intent), None);
}

#[test]
fn a_page_beside_a_direct_region_is_like_any_other() {
    let (counts, direct) = (counts(), Ranges::<4>::new());
    direct.insert(2, Pfn(0), Pfn(15), 1);
    counts.map(&pages(16, 1));
    let hit = counts.inspect(Pfn(8), 16, &Intent::new(&direct)).unwrap();
    assert_eq!((hit.mapped, hit.first), (1, Pfn(16)));
}

#[test]
fn a_count_that_is_too_low_is_a_finding_outside_of_direct_regions_only() {
    let (counts, direct) = (counts(), Ranges::<4>::new());
    let intent = Intent::new(&direct);
    direct.insert(2, Pfn(0), Pfn(0), 1);
    counts.adjust(Pfn(0), -1);
    counts.adjust(Pfn(1), -1);
    let hit = counts.inspect(Pfn(0), 2, &intent).unwrap();
    assert_eq!((hit.mapped, hit.first, hit.count), (1, Pfn(1), -1));
}

#[test]
fn a_freed_domains_region_is_meant_until_it_is_counted_down() {
    let (counts, direct) = (counts(), Ranges::<4>::new());
    let intent = Intent::new(&direct);
    direct.insert(2, Pfn(0), Pfn(15), 1);
    counts.map(&pages(0, 16));
    let orphan = direct.orphan(2);
    assert_eq!(counts.inspect(Pfn(0), 16, &intent), None);
    counts.unmap(&pages(0, 16));
    direct.remove_all(orphan);
    assert!(counts.is_clean(Pfn(0), 16));
    counts.map(&pages(5, 1));
    assert!(counts.inspect(Pfn(0), 16, &intent).is_some());
}

#[test]
fn a_region_is_its_owners_from_the_first_page_to_the_last() {
    let direct = Ranges::<4>::new();
    direct.insert(2, Pfn(8), Pfn(15), 1);
    let owned = |owner| -> Vec<u64> { (0..20).filter(|&p| direct.owns(owner, Pfn(p))).collect() };
    assert_eq!(owned(2), (8..16).collect::<Vec<_>>());
    assert_eq!(owned(4), []);
    // Nobody has the entries that are free.
    assert_eq!(owned(0), []);
    direct.remove(2, Pfn(8), Pfn(14));
    assert!(direct.owns(2, Pfn(8)), "that is another range");
    direct.remove(2, Pfn(8), Pfn(15));
    assert_eq!((owned(2), direct.totals()), (vec![], (0, 0)));
}

#[test]
fn orphans_are_not_taken_for_each_other() {
    let direct = Ranges::<4>::new();
    direct.insert(2, Pfn(0), Pfn(0), 1);
    direct.insert(4, Pfn(1), Pfn(1), 1);
    let (first, second) = (direct.orphan(2), direct.orphan(4));
    assert_ne!(first, second);
    direct.remove_all(first);
    let owned = [0, 1].map(|pfn| direct.owns(second, Pfn(pfn)));
    assert_eq!(owned, [false, true]);
}

/// A registry that is changed whenever it is looked at.
struct Restless(Ranges<1>);

impl Direct for Restless {
    fn begin(&self) -> Mark {
        self.0.begin()
    }

    fn covering(&self, pfn: Pfn, mark: Mark) -> Option<u32> {
        self.0.insert(2, Pfn(7), Pfn(7), 1);
        self.0.covering(pfn, mark)
    }
}

#[test]
fn nothing_is_said_while_the_registry_changes() {
    let counts = counts();
    counts.map(&pages(3, 1));
    let restless = Restless(Ranges::new());
    let changing = Intent::new(&restless);
    assert_eq!(counts.inspect(Pfn(3), 1, &changing), None);
    assert_eq!(counts.mark_reported(Pfn(3), 1, &changing), 0);
    // It is looked at again when it is still.
    assert!(counts
        .inspect(Pfn(3), 1, &Intent::new(&restless.0))
        .is_some());
}
