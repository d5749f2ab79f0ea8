// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Random sequences of maps, unmaps and checks against the naive model, in memory of several shapes.

mod naive;

use naive::{Change, Op, Pair, Place, RECORD};
use proptest::collection::vec;
use proptest::prelude::*;

/// Where single counters begin: at 0, or near one of the values at which 32 bits, or the 31 of a count, wrap.
fn start() -> impl Strategy<Value = u32> {
    let near = prop_oneof![Just(0u32), Just(1 << 30), Just(1 << 31), Just(u32::MAX)];
    (near, -3..3i32).prop_map(|(near, by)| near.wrapping_add_signed(by))
}

/// Starts of several counters, which take turns.
fn starts() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![Just(vec![0]), vec(start(), 1..6)]
}

/// Counts that pages have in the beginning: most 0, some at the ends of what 31 bits hold.
fn offsets() -> impl Strategy<Value = Vec<i32>> {
    const MAX: i32 = (1 << 30) - 1;
    let offset = prop_oneof![8 => Just(0), 1 => MAX - 2..=MAX, 1 => -MAX - 1..=-MAX + 1];
    prop_oneof![3 => Just(vec![0]), 1 => vec(offset, 1..40)]
}

fn ops(place: Place, most: usize) -> impl Strategy<Value = Vec<Op>> {
    vec(
        any::<[u8; RECORD]>().prop_map(move |b| place.op(&b)),
        1..most,
    )
}

fn changes(place: Place) -> impl Strategy<Value = Vec<(Change, u8)>> {
    let change = any::<[u8; RECORD]>().prop_filter_map("a change", move |b| match place.op(&b) {
        Op::Change(change) => Some(change),
        _ => None,
    });
    vec((change, any::<u8>()), 1..20)
}

fn agree<const SHIFT: u32, const ORDER: u32>(starts: &[u32], offsets: &[i32], ops: &[Op]) {
    let mut pair = Pair::<SHIFT, ORDER>::new(
        |at| starts[at % starts.len()],
        |index| offsets[index % offsets.len()],
    );
    pair.compare();
    for op in ops {
        pair.apply(op);
    }
    pair.compare();
}

/// Maps everything, unmaps the same in another order, in other pieces, and checks that nothing is left.
fn balance<const SHIFT: u32, const ORDER: u32>(starts: &[u32], changes: &[(Change, u8)]) {
    let mut pair = Pair::<SHIFT, ORDER>::new(|at| starts[at % starts.len()], |_| 0);
    for (change, _) in changes {
        pair.apply(&Op::Change(Change {
            up: true,
            ..*change
        }));
    }
    pair.compare();
    let mut unmaps = changes.to_vec();
    unmaps.sort_by_key(|(_, order)| *order);
    for (change, how) in unmaps {
        let granule = 1 << change.granule_shift.max(SHIFT);
        let piece = match how % 4 {
            0 => u64::MAX,
            1 => granule * 16,
            _ => change.piece,
        };
        let piece = piece.max(change.size / 1024 / granule * granule + granule);
        pair.apply(&Op::Change(Change {
            up: false,
            piece,
            fast: how >= 128,
            ..change
        }));
    }
    pair.compare();
    assert!(pair.is_clean());
}

macro_rules! shapes {
    ($($name:ident: $shift:literal, $order:literal, $cases:literal;)+) => {$(
        mod $name {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig::with_cases($cases))]

                #[test]
                fn every_step_is_as_the_naive_one(
                    starts in starts(),
                    offsets in offsets(),
                    ops in ops(Pair::<$shift, $order>::PLACE, 60),
                ) {
                    agree::<$shift, $order>(&starts, &offsets, &ops);
                }

                #[test]
                fn what_is_mapped_and_unmapped_otherwise_leaves_nothing(
                    starts in starts(),
                    changes in changes(Pair::<$shift, $order>::PLACE),
                ) {
                    balance::<$shift, $order>(&starts, &changes);
                }
            }
        }
    )+};
}

shapes! {
    // Pages of 4K in small sections: every kind of counter within a thousand pages.
    small_sections: 12, 10, 150;
    // Sections smaller than the blocks of the upper levels, down to one page.
    smaller_sections: 12, 8, 200;
    tiny_sections: 12, 5, 300;
    sections_of_a_page: 12, 0, 300;
    // Large pages: an IOMMU's pages of 4K are parts of them.
    pages_of_16k: 14, 7, 200;
    pages_of_64k: 16, 6, 200;
    // The machines there are: x86_64 and arm64 with 4K, arm64 with 64K.
    real_4k: 12, 15, 12;
    real_64k: 16, 13, 20;
}
