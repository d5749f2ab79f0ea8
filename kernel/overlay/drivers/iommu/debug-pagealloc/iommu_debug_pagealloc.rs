// SPDX-License-Identifier: GPL-2.0-only

//! The DMA sanitizer: pages that are allocated or freed while a device can reach them.
//!
//! C headers:
//! [`include/linux/iommu-debug-pagealloc.h`](srctree/include/linux/iommu-debug-pagealloc.h),
//! [`drivers/iommu/iommu-priv.h`](srctree/drivers/iommu/iommu-priv.h)
//!
//! This file has the entry points: the slow paths of the hooks in the IOMMU core, the page table
//! code and the page allocator. The hooks sit behind a static key, so nothing here runs while the
//! sanitizer is off. Each entry point turns its arguments into the engine's types, and the engine
//! (`engine/`, shared with user space) decides.
//!
//! Contract with the callers: any context, interrupts and NMIs included. Nothing here allocates or
//! sleeps; no lock is taken in map and unmap, nor in a check that finds nothing. Who mapped
//! (`origin.rs`) is behind locks; an NMI does not ask.

mod ahead;
mod boot;
mod devices;
mod domain;
mod engine;
mod hooks;
#[cfg(CONFIG_IOMMU_DEBUG_PAGEALLOC_KUNIT_TEST)]
mod kunit;
mod locked;
mod origin;
mod origin_report;
mod primitive;
mod record;
mod report;
mod sections;
mod stale;
mod stats;
mod unmap;
mod unmapped_report;

use engine::{
    addr::{Pfn, Span},
    check::Intent,
    counts::Counts,
    direct::Ranges,
    report::Event, //
};
use kernel::{bindings, prelude::*};
use sections::{Sections, GEOMETRY};
use stats::STATS;

/// What the messages of this crate begin with.
const __LOG_PREFIX: &[u8] = b"iommu: debug-pagealloc\0";

/// The mapping counts of all pages.
static COUNTS: Counts<Sections> = Counts::new(Sections);

/// Direct reserved regions that are mapped; more than a machine has.
static DIRECT: Ranges<64> = Ranges::new();

/// The smallest page of a domain in bytes, which counts are in units of.
///
/// # Safety
///
/// `domain` points to a valid domain.
unsafe fn granule(domain: *const bindings::iommu_domain) -> u64 {
    // SAFETY: By the function's requirement.
    let sizes = unsafe { (*domain).pgsize_bitmap };
    // A domain without page sizes cannot map; then any unit is right.
    1 << sizes.trailing_zeros().min(63)
}

/// The pages of a range that a domain maps; an impossible range is counted as an error and leaves
/// no trace.
///
/// # Safety
///
/// `domain` points to a valid domain.
unsafe fn span(domain: *const bindings::iommu_domain, phys: u64, size: usize) -> Option<Span> {
    if size == 0 {
        return None;
    }
    // SAFETY: By the function's requirement.
    let span = Span::new(phys, size as u64, unsafe { granule(domain) }, GEOMETRY);
    if span.is_none() {
        STATS.bad_range(phys, size);
    }
    span
}

/// Counts `size` bytes at `phys` up or down.
///
/// # Safety
///
/// `domain` points to a valid domain.
#[inline(always)]
unsafe fn count(domain: *const bindings::iommu_domain, phys: u64, size: usize, up: bool) {
    const PAGE_SIZE: u64 = 1 << GEOMETRY.page_shift();
    let (first, pages) = (
        phys >> GEOMETRY.page_shift(),
        size as u64 >> GEOMETRY.page_shift(),
    );
    // SAFETY: By the function's requirement.
    let sizes = unsafe { (*domain).pgsize_bitmap } as u64;
    // Whole pages that count one unit each: the rule.
    let is_whole =
        sizes & (2 * PAGE_SIZE - 1) == PAGE_SIZE && (phys | size as u64) & (PAGE_SIZE - 1) == 0;
    if is_whole && COUNTS.count_at_once(Pfn(first), pages, up) {
        // The calls below are the last thing done, so this path needs no stack.
    } else if is_whole && (first + pages) >> (u64::BITS - GEOMETRY.page_shift()) == 0 {
        count_pages(Pfn(first), pages, up)
    } else {
        // SAFETY: By the function's requirement.
        unsafe { count_parts(domain, phys, size, up) }
    }
}

/// Counts whole pages that do not pass the last address, see [`count`].
#[inline(never)]
fn count_pages(first: Pfn, pages: u64, up: bool) {
    counted(COUNTS.count_pages(first, pages, up), up);
}

/// Counts a range that is not made of whole pages, or may pass the last address, see [`count`].
///
/// # Safety
///
/// `domain` points to a valid domain.
#[cold]
unsafe fn count_parts(domain: *const bindings::iommu_domain, phys: u64, size: usize, up: bool) {
    // SAFETY: By the function's requirement.
    let skipped = match unsafe { span(domain, phys, size) } {
        Some(span) if up => COUNTS.map(&span),
        Some(span) => COUNTS.unmap(&span),
        None => 0,
    };
    counted(skipped, up);
}

/// A map has `skipped` pages that have no counters, and so has the unmap, which is not told again.
#[inline(always)]
fn counted(skipped: u64, up: bool) {
    if up && skipped != 0 {
        STATS.skipped.add(skipped);
    }
}

/// `size` bytes at `phys` are about to be mapped in `domain`: counts them before a device can reach
/// them.
///
/// # Safety
///
/// `domain` points to a valid domain.
#[export]
pub unsafe extern "C" fn __iommu_debug_map(
    domain: *mut bindings::iommu_domain,
    phys: bindings::phys_addr_t,
    size: usize,
) {
    // SAFETY: By the function's requirement.
    unsafe { count(domain, phys, size, true) };
}

/// The map has failed before the `size` bytes at `phys`, which were counted, became reachable.
///
/// # Safety
///
/// `domain` points to a valid domain.
#[export]
pub unsafe extern "C" fn __iommu_debug_map_failed(
    domain: *mut bindings::iommu_domain,
    phys: bindings::phys_addr_t,
    size: usize,
) {
    STATS.failed_maps.add(1);
    // SAFETY: By the function's requirement.
    unsafe { count_down(domain, phys, size) };
}

/// Counts `size` bytes at `phys` down, which `domain` no longer maps.
///
/// # Safety
///
/// `domain` points to a valid domain.
#[inline(always)]
unsafe fn count_down(domain: *const bindings::iommu_domain, phys: u64, size: usize) {
    // SAFETY: By the function's requirement.
    unsafe { count(domain, phys, size, false) }
}

/// `pages` pages from `pfn` on are being allocated.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
pub unsafe extern "C" fn iommu_debug_check_alloc(pfn: usize, pages: u32) {
    check(pfn, pages, Event::Alloc)
}

/// `pages` pages from `pfn` on are being freed.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
pub unsafe extern "C" fn iommu_debug_check_free(pfn: usize, pages: u32) {
    check(pfn, pages, Event::Free)
}

#[inline(always)]
fn check(pfn: usize, pages: u32, event: Event) {
    let first = Pfn(pfn as u64);
    if pages != 1 {
        check_pages(first, u64::from(pages), event);
    } else if !COUNTS.is_page_clean(first) {
        found(first, 1, event);
    }
}

#[inline(never)]
fn check_pages(first: Pfn, pages: u64, event: Event) {
    if !COUNTS.is_clean(first, pages) {
        found(first, pages, event);
    }
}

#[cold]
fn found(first: Pfn, pages: u64, event: Event) {
    let intent = Intent::new(&DIRECT);
    if let Some(hit) = COUNTS.inspect(first, pages, &intent) {
        report::report(first, pages, event, &hit, &intent);
    }
}

/// Called once the IOMMU core comes up, before the first domain exists: counting and checking begin
/// together.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
pub unsafe extern "C" fn iommu_debug_init() {
    // SAFETY: Set while the command line was parsed, and read-only since.
    if unsafe { bindings::iommu_debug_wanted } {
        let missing = Sections.add_present();
        if missing != 0 {
            pr_warn!("no memory for the counters of {missing} pages, which are not tracked\n");
        }
        // SAFETY: Called in process context, once.
        unsafe { bindings::iommu_debug_watch_memory() };
        if let Err(error) = origin::init() {
            pr_warn!("no memory to tell who mapped: {error:?}\n");
        }
        // SAFETY: Called in process context, with no locks held.
        unsafe { bindings::iommu_debug_enable() };
    }
}

/// Memory is going online; calls exclude each other.
///
/// # Safety
///
/// Called in process context. Unsafe because all exported functions are.
#[export]
pub unsafe extern "C" fn iommu_debug_add_pages(first: usize, pages: usize) {
    let missing = Sections.add_pages(first, first.saturating_add(pages));
    if missing != 0 {
        pr_warn!("no memory for the counters of {missing} new pages, which are not tracked\n");
    }
}
