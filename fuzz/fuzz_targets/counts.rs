// SPDX-License-Identifier: GPL-2.0-only
//! Any sequence of maps, unmaps and checks, in memory of several shapes, against the naive model.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../engine/tests/naive/mod.rs"]
mod naive;
use naive::{Pair, RECORD};

fn run<const SHIFT: u32, const ORDER: u32>(start: u32, steps: &[u8]) {
    // Single counters begin elsewhere, and differ; the counts of pages begin at 0.
    let mut pair = Pair::<SHIFT, ORDER>::new(|at| start.wrapping_mul(at as u32), |_| 0);
    for step in steps.chunks_exact(RECORD) {
        let step = step.try_into().expect("a chunk has that many bytes");
        pair.apply(&Pair::<SHIFT, ORDER>::PLACE.op(step));
    }
    pair.compare();
}

fuzz_target!(|data: &[u8]| {
    let Some((&[shape, a, b, c, d], steps)) = data.split_first_chunk() else {
        return;
    };
    let start = u32::from_le_bytes([a, b, c, d]);
    match shape % 4 {
        0 => run::<12, 5>(start, steps),
        1 => run::<12, 8>(start, steps),
        2 => run::<16, 6>(start, steps),
        _ => run::<14, 0>(start, steps),
    }
});
