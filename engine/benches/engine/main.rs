// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the engine costs natively: against a counter for each page and a loop over them, alone and with two threads,
//! and what the place of the counters does to checks.
//!
//! Names are `group/function/size`; `dmasan bench engine` makes tables of them. Spans are hot in the caches, except in
//! the groups about layout.

mod layout;
mod memory;
mod threads;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use dmasan_engine::addr::Pfn;

use memory::{span, Engine, PerPage, SIZES};

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_millis(1500));
    group
}

/// Both subjects, each with the pages `first..` of every size.
fn both(
    c: &mut Criterion,
    name: &str,
    first: u64,
    engine: impl Fn(&Engine, u64, u64),
    per_page: impl Fn(&PerPage, u64, u64),
) {
    let (ours, naive) = (Engine::new(), PerPage::new());
    let mut group = group(c, name);
    for (size, pages) in SIZES {
        group.bench_function(BenchmarkId::new("engine", size), |b| {
            b.iter(|| engine(&ours, black_box(first), black_box(pages)));
        });
        group.bench_function(BenchmarkId::new("per_page", size), |b| {
            b.iter(|| per_page(&naive, black_box(first), black_box(pages)));
        });
    }
    group.finish();
}

fn map(c: &mut Criterion) {
    let ours = |e: &Engine, first, pages| {
        e.map_pages(first, pages);
    };
    both(c, "map", 0, ours, PerPage::map);
    // A page further, ends of all sizes have to be tiled.
    both(c, "map-unaligned", 1, ours, PerPage::map);
    // The way for parts of pages, with whole ones.
    let spans = |e: &Engine, first, pages| {
        e.map(&span(first, pages));
    };
    both(c, "map-span", 0, spans, PerPage::map);
}

fn unmap(c: &mut Criterion) {
    let ours = |e: &Engine, first, pages| {
        e.unmap_pages(first, pages);
    };
    both(c, "unmap", 0, ours, PerPage::unmap);
}

fn check(c: &mut Criterion) {
    let ours = |e: &Engine, first, pages| {
        black_box(match pages {
            1 => e.is_page_clean(Pfn(first)),
            _ => e.is_clean(Pfn(first), pages),
        });
    };
    let naive = |p: &PerPage, first, pages| {
        black_box(p.is_clean(first, pages));
    };
    both(c, "check", 0, ours, naive);
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    for bench in [
        map,
        unmap,
        check,
        threads::apart,
        threads::together,
        layout::random,
        layout::in_order,
    ] {
        bench(&mut c);
    }
    c.final_summary();
}
