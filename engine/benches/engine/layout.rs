// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Where the counters are: checks of single pages over 16 GiB, in packed arrays and in page_ext.
//!
//! The page_ext here is that of a kernel with page_owner: 88 bytes for each page, of which 8 are ours. The counter of
//! a page's block of level L is with page L of the block. Each check waits for the one before, so that it is its
//! latency that is measured, and pages come at random, or in order.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use criterion::{BenchmarkId, Criterion};
use dmasan_engine::addr::Pfn;
use dmasan_engine::counts::Counts;
use dmasan_engine::geometry::LEVELS;

use crate::memory::{Flat, GEOMETRY};

const SECTIONS: usize = 128;
const PAGES: u64 = (SECTIONS as u64) << GEOMETRY.section_order();
const SIZE: &str = "4K of 16G";

/// Flags, page_owner's 64 bytes, our two counters, padding: in words.
const STRIDE: usize = 22;
/// Where our counters are in it: the page's own, and that of a block.
const OURS: usize = 18;

/// The extension of every page, one after the other.
struct PageExt(Vec<[AtomicU32; STRIDE]>);

impl PageExt {
    fn new() -> PageExt {
        // Written, not only allocated: memory that was never written to is one and the same page of zeroes.
        let page = |_| std::array::from_fn(|_| AtomicU32::new(black_box(0)));
        PageExt((0..PAGES).map(page).collect())
    }

    /// The sum of the page's counter and those of its blocks of these orders.
    #[inline(always)]
    fn count<const N: usize>(&self, pfn: u64, orders: [u32; N]) -> u32 {
        let mut sum = self.0[pfn as usize][OURS].load(Relaxed);
        for (level, order) in orders.into_iter().enumerate() {
            let base = pfn as usize >> order << order;
            let counter = &self.0[base + level + 1][OURS + 1];
            sum = sum.wrapping_add(counter.load(Relaxed));
        }
        sum
    }
}

/// The blocks that packed arrays have: of 16, 512 and 1024 pages, and the section.
fn orders() -> [u32; LEVELS - 1] {
    std::array::from_fn(|level| GEOMETRY.block_order(level + 1))
}

/// Both layouts, with the pages that `next` gives; it is told whether the last one was mapped, which it never is.
fn compare(c: &mut Criterion, name: &str, mut next: impl FnMut(u64, bool) -> u64) {
    let mut pfn = 1;
    let mut group = crate::group(c, name);
    let counts = Counts::new(Flat::new(SECTIONS));
    group.bench_function(BenchmarkId::new("packed", SIZE), |b| {
        b.iter(|| pfn = next(pfn, !counts.is_page_clean(Pfn(pfn % PAGES))));
    });
    drop(counts);

    let page_ext = PageExt::new();
    let orders = orders();
    group.bench_function(BenchmarkId::new("page_ext", SIZE), |b| {
        b.iter(|| pfn = next(pfn, page_ext.count(pfn % PAGES, orders) != 0));
    });
    group.finish();
    black_box(pfn);
}

pub(crate) fn random(c: &mut Criterion) {
    // xorshift64: never 0.
    compare(c, "check-at-random", |pfn, mapped| {
        let mut x = pfn ^ u64::from(mapped);
        x ^= x << 13;
        x ^= x >> 7;
        x ^ (x << 17)
    });
}

pub(crate) fn in_order(c: &mut Criterion) {
    compare(c, "check-in-order", |pfn, mapped| {
        pfn + 1 + u64::from(mapped)
    });
}
