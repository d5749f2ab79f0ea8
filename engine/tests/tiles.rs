// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The blocks that a range is counted in: each page in just one, and few enough whatever the range's size.

use dmasan_engine::geometry::{Geometry, LEVELS};
use proptest::prelude::*;

/// The level of a counter, and the pages that it stands for.
fn pages_of(geometry: Geometry, at: usize) -> (usize, std::ops::Range<usize>) {
    let mut levels = (0..LEVELS).rev();
    let level = levels.find(|&level| at >= geometry.level_at(level));
    let level = level.expect("level 0 begins at 0");
    let order = geometry.block_order(level);
    let first = (at - geometry.level_at(level)) << order;
    (level, first..first + (1 << order))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn each_page_is_in_one_block_and_blocks_are_few(
        order in 0..=15u32,
        ends in any::<[prop::sample::Index; 2]>(),
    ) {
        let geometry = Geometry::new(12, order);
        let [a, b] = ends.map(|end| end.index(geometry.section_pages()));
        let (first, last) = (a.min(b), a.max(b));

        let mut next = first;
        let mut blocks = [0; LEVELS];
        geometry.tile(first, last, |run| {
            for at in run.at..run.at + run.len {
                let (level, pages) = pages_of(geometry, at);
                blocks[level] += 1;
                assert_eq!(pages.start, next, "a gap, or a page twice");
                next = pages.end;
            }
        });
        prop_assert_eq!(next, last + 1);
        // At either end less of each level than make up one of the level above; the largest is all of the section.
        for level in 0..LEVELS - 1 {
            let ratio = 1 << (geometry.block_order(level + 1) - geometry.block_order(level));
            prop_assert!(blocks[level] <= 2 * (ratio - 1), "{:?}", blocks);
        }
        prop_assert!(blocks[LEVELS - 1] <= 1);
    }
}
