// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Two threads that map and unmap: each its own gigabyte, or pages of the same section.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};

use crate::memory::{Engine, PerPage, SIZES};

/// The time that the slower one of two threads takes for `iterations` calls.
fn race(iterations: u64, firsts: [u64; 2], call: impl Fn(u64) + Sync) -> Duration {
    let barrier = Barrier::new(2);
    let run = |first: u64| {
        barrier.wait();
        let begin = Instant::now();
        for _ in 0..iterations {
            call(first);
        }
        begin.elapsed()
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| run(firsts[1]));
        let here = run(firsts[0]);
        here.max(other.join().expect("it does not panic"))
    })
}

/// `firsts` of the spans of this many pages.
fn race_all(c: &mut Criterion, name: &str, firsts: impl Fn(u64) -> [u64; 2]) {
    let (ours, naive) = (Engine::new(), PerPage::new());
    let mut group = crate::group(c, name);
    for (size, pages) in SIZES {
        let firsts = firsts(pages);
        let engine = |first| {
            ours.map_pages(first, pages);
            ours.unmap_pages(first, pages);
        };
        group.bench_function(BenchmarkId::new("engine", size), |b| {
            b.iter_custom(|n| race(n, firsts, engine));
        });
        let per_page = |first| {
            naive.map(first, pages);
            naive.unmap(first, pages);
        };
        group.bench_function(BenchmarkId::new("per_page", size), |b| {
            b.iter_custom(|n| race(n, firsts, per_page));
        });
    }
    group.finish();
}

/// Each thread in a gigabyte of its own.
pub(crate) fn apart(c: &mut Criterion) {
    race_all(c, "map+unmap-2-threads-apart", |_| [0, 1 << 18]);
}

/// Neighbouring spans; those of 1G are the same one.
pub(crate) fn together(c: &mut Criterion) {
    race_all(c, "map+unmap-2-threads-together", |pages| {
        [0, pages % (1 << 18)]
    });
}
