// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What makes two reports one, seen from outside.

use dmasan_engine::addr::Pfn;
use dmasan_engine::check::Hit;
use dmasan_engine::gate::{hash_stack, Gate, Site};
use std::collections::HashSet;

const HIT: Hit = Hit {
    mapped: 1,
    first: Pfn(0),
    last: Pfn(0),
    count: 1,
};

#[test]
fn stacks_are_told_apart_by_each_frame_and_by_their_order() {
    let stacks: [&[u64]; 9] = [
        &[],
        &[0],
        &[1],
        &[4],
        &[1, 4],
        &[4, 1],
        &[0, 0],
        &[1 << 63],
        &[0, 1 << 63],
    ];
    let hashes: HashSet<u64> = stacks
        .iter()
        .map(|stack| hash_stack(stack.iter().copied()))
        .collect();
    assert_eq!(hashes.len(), stacks.len());
    let again = hash_stack([4, 1].into_iter());
    assert!(hashes.contains(&again), "the same stack is the same");
}

#[test]
fn the_first_report_of_an_idle_task_continues_nothing() {
    let gate = Gate::new();
    let held = gate.enter(1).unwrap();
    let idle = Site { pid: 0, stack: 0 };
    assert!(!held.continues(idle, &HIT, |_| true, |_| true));
    held.remember(idle, &HIT);
    assert!(held.continues(idle, &HIT, |_| true, |_| true));
}

#[test]
fn a_hit_in_between_takes_nothing_off_the_report() {
    let hit = |pfn| Hit {
        first: Pfn(pfn),
        last: Pfn(pfn),
        ..HIT
    };
    let gate = Gate::new();
    let held = gate.enter(1).unwrap();
    let site = Site { pid: 1, stack: 1 };
    held.remember(site, &hit(10));
    assert!(held.continues(site, &hit(20), |_| true, |_| true));
    assert!(held.continues(site, &hit(15), |_| true, |_| false));
    // Beside either end there is no gap.
    assert!(held.continues(site, &hit(21), |_| true, |_| false));
    assert!(held.continues(site, &hit(9), |_| true, |_| false));
}
