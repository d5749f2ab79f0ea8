// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Records of live mappings against a plain list: what is found, and what the filter lets through.

use dmasan_engine::chains::{Chains, Node};
use dmasan_engine::origin::{Filter, Place, Population};
use dmasan_engine::primitive::Word;
use proptest::collection::vec;
use proptest::prelude::*;

type Places = Chains<Vec<u32>, Vec<Node<Place>>>;

struct Records {
    places: Places,
    population: Population,
    pages: Vec<Word>,
    huge: Word,
}

impl Records {
    fn new(capacity: usize) -> Records {
        let words = |n| (0..n).map(|_| Word::new(0)).collect();
        Records {
            places: Chains::new(vec![0; capacity], vec![Node::default(); capacity]),
            population: Population::new(),
            pages: words(2048),
            huge: Word::new(0),
        }
    }

    fn filter(&self) -> Filter<'_> {
        Filter::new(&self.pages, &self.huge)
    }

    fn add(&mut self, place: Place) -> bool {
        let key = place.key();
        self.population.add(key);
        if self.places.insert(key.hash(), place).is_none() {
            self.population.remove(key);
            return false;
        }
        self.filter().add(place.phys, place.size);
        true
    }

    fn remove(&mut self, place: Place) {
        let key = place.key();
        let taken = self.places.take(key.hash(), |&p| p == place);
        assert_eq!(*taken.unwrap().1, place);
        self.population.remove(key);
        self.filter().remove(place.phys, place.size);
    }

    fn overlapping(&self, first: u64, last: u64) -> Vec<u64> {
        let mut found: Vec<_> = self
            .population
            .keys(first, last)
            .flat_map(|key| {
                let chain = self.places.entries(key.hash());
                // Others that share the chain come up under their own key.
                chain.filter(move |(_, place)| place.key() == key)
            })
            .filter(|(_, place)| place.overlaps(first, last))
            .map(|(_, place)| place.id)
            .collect();
        found.sort_unstable();
        found
    }
}

fn range() -> impl Strategy<Value = (u64, u64)> {
    let size = prop_oneof![
        1u64..5000,
        (0u32..24).prop_map(|order| 1 << order),
        (12u32..34, -2i64..3).prop_map(|(order, by)| (1u64 << order).wrapping_add_signed(by)),
        Just(1 << 36),
    ];
    let address = prop_oneof![
        0u64..0x10_0000,
        0u64..0x4000_0000,
        Just(u64::MAX - 0x1000),
        (12u32..34).prop_map(|order| 1 << order),
    ];
    (address, size)
}

proptest! {
    #[test]
    fn whatever_overlaps_is_found(
        steps in vec((range(), any::<Option<prop::sample::Index>>(), range()), 1..60),
    ) {
        let mut records = Records::new(32);
        let mut list: Vec<Place> = Vec::new();
        for (id, ((phys, size), remove, (asked, length))) in steps.into_iter().enumerate() {
            if let (Some(index), false) = (remove, list.is_empty()) {
                records.remove(list.swap_remove(index.index(list.len())));
            } else {
                let place = Place { phys, size, id: id as u64 };
                let is_in = records.add(place);
                prop_assert_eq!(is_in, list.len() < 32, "full at its capacity, not before");
                if is_in {
                    list.push(place);
                }
            }
            prop_assert_eq!(records.places.len(), list.len());
            // As a free would ask: at most 4M, or the walk over 4K blocks is long.
            let last = asked.saturating_add(length.min(4 << 20) - 1);
            let mut expected: Vec<_> =
                list.iter().filter(|p| p.overlaps(asked, last)).map(|p| p.id).collect();
            expected.sort_unstable();
            let hit = records.filter().may_be_mapped(asked, last - asked + 1);
            prop_assert!(hit || expected.is_empty(), "the filter hides a mapping");
            prop_assert_eq!(records.overlapping(asked, last), expected);
        }
        for place in list {
            records.remove(place);
        }
        prop_assert!(records.pages.iter().chain([&records.huge]).all(|word| word.load() == 0));
        prop_assert!(records.places.is_empty() && records.overlapping(0, u64::MAX >> 30).is_empty());
        prop_assert!(records.population.keys(0, u64::MAX).next().is_none(), "nothing is looked through");
    }
}

#[test]
fn both_ends_of_a_place_are_in_it_and_what_is_beside_is_not() {
    let place = |phys, size| Place { phys, size, id: 1 };
    let object = place(0x5040, 0x100);
    assert_eq!(object.last(), 0x513f);
    assert!(object.overlaps(0x5000, 0x5040) && !object.overlaps(0x5000, 0x503f));
    assert!(object.overlaps(0x513f, 0x6000) && !object.overlaps(0x5140, 0x6000));
    assert!(object.overlaps(0x5080, 0x5080) && object.overlaps(0, u64::MAX));
    // What cannot be: no bytes, and more than there are.
    assert_eq!(place(0x5040, 0).last(), 0x5040);
    assert_eq!(place(u64::MAX - 1, 0x100).last(), u64::MAX);
}

#[test]
fn one_mapped_object_does_not_hit_the_next_page() {
    let mut records = Records::new(4);
    records.add(Place {
        phys: 0x5040,
        size: 0x100,
        id: 1,
    });
    assert!(records.filter().may_be_mapped(0x5800, 64), "the same page");
    assert!(!records.filter().may_be_mapped(0x6000, 64));
    assert_eq!(records.overlapping(0x5800, 0x583f), [] as [u64; 0]);
    assert_eq!(records.overlapping(0x5100, 0x51ff), [1]);
}

#[test]
fn the_best_of_equal_hashes_is_taken() {
    let mut table: Chains<Vec<u32>, Vec<Node<u32>>> =
        Chains::new(vec![0; 2], vec![Node::default(); 3]);
    for value in [5, 9, 7] {
        table.insert(1, value).unwrap();
    }
    assert_eq!(table.insert(1, 1), None);
    assert_eq!(table.take(1, |&v| v == 8), None);
    let best = table.best(1, u32::MAX, |&v| v).unwrap();
    assert_eq!(table.remove(1, best), Some(&9));
    assert_eq!(table.get_mut(best), None, "it was taken out");
    let left: Vec<_> = table.entries(1).map(|(_, &v)| v).collect();
    assert_eq!(left, [7, 5]);
    // Room again, and the slot is used again.
    assert_eq!(table.insert(1, 2), Some(best));
    assert_eq!(table.get_mut(best), Some(&mut 2));
    // More than enough is as good as the best: 2 is the newest.
    let mut asked = 0;
    let enough = |&v: &u32| {
        asked += 1;
        v
    };
    assert_eq!((table.best(1, 2, enough), asked), (Some(best), 1));
    let mut all = Vec::new();
    table.for_each(|&mut v| all.push(v));
    all.sort_unstable();
    assert_eq!(all, [2, 5, 7]);
}

#[test]
fn all_room_is_used_again_however_it_became_free() {
    let mut table: Chains<Vec<u32>, Vec<Node<u64>>> =
        Chains::new(vec![0; 2], vec![Node::default(); 5]);
    for round in 0..3 {
        for n in 0..5 {
            assert!(table.insert(n, n).is_some(), "round {round}: {n} of 5");
        }
        assert_eq!((table.insert(9, 9), table.len()), (None, 5));
        for n in [3, 0, 4, 1, 2] {
            assert_eq!(table.take(n, |&v| v == n).unwrap().1, &n);
        }
        assert!(table.is_empty());
    }
    assert_eq!(table.peak(), 5);
}

#[test]
fn a_value_is_found_and_removed_in_its_own_chain_only() {
    let mut table: Chains<Vec<u32>, Vec<Node<u64>>> =
        Chains::new(vec![0; 64], vec![Node::default(); 8]);
    let slots: Vec<_> = (0..8).map(|n| table.insert(n, n).unwrap()).collect();
    assert_eq!(table.best(3, 1, |&v| u32::from(v == 3)), Some(slots[3]));
    assert_eq!(table.best(3, 1, |_| 0), None);
    assert_eq!(
        (table.find(|&v| v == 7), table.find(|&v| v == 8)),
        (Some(&7), None)
    );
    // Of all hashes below some share no chain with 3.
    let other = (0..8)
        .find(|&n| table.entries(n).all(|(_, &v)| v != 3))
        .unwrap();
    assert_eq!(table.remove(other, slots[3]), None);
    assert_eq!(table.len(), 8);
    assert_eq!(table.remove(3, slots[3]), Some(&3));
    assert_eq!(table.len(), 7);
    assert_eq!(table.find(|&v| v == 3), None);
    assert_eq!(table.remove(4, slots[4]), Some(&4));
    table.insert(9, 9).unwrap();
    assert_eq!(table.peak(), 8, "what there was once");
}

#[test]
fn all_values_are_gone_through_and_changed_where_they_are() {
    let mut table: Chains<Vec<u32>, Vec<Node<u64>>> =
        Chains::new(vec![0; 4], vec![Node::default(); 32]);
    let slots: Vec<_> = (0..32).map(|n| table.insert(n, n).unwrap()).collect();
    let mut all = Vec::new();
    table.for_each(|value| {
        all.push(*value);
        *value += 100;
    });
    all.sort_unstable();
    assert_eq!(all, (0..32).collect::<Vec<_>>());
    for (n, slot) in (0..32).zip(slots) {
        assert_eq!(table.get_mut(slot), Some(&mut (n + 100)));
        let found = |(at, _): &(u32, &u64)| *at == slot;
        assert_eq!(table.entries(n).find(found), Some((slot, &(n + 100))));
    }
    assert_eq!(table.get_mut(32), None);
}

#[test]
fn a_table_without_memory_takes_nothing() {
    let mut table: Chains<Vec<u32>, Vec<Node<u32>>> = Chains::new(vec![], vec![]);
    assert_eq!(table.insert(3, 3), None);
    assert_eq!(table.entries(3).count(), 0);
    assert!(table.is_empty());
}
