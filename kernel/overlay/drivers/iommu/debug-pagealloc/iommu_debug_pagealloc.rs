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
//! sleeps; no lock is taken in map and unmap, nor in a check that finds nothing.

mod boot;
mod engine;
mod page_ext;
mod report;
mod stats;

use core::cmp::Ordering;
use engine::{
    addr::{Pfn, Span},
    check::Intent,
    counts::Counts,
    direct::Ranges,
    report::Event, //
};
use kernel::{bindings, prelude::*};
use page_ext::{PageExt, GEOMETRY};
use stats::STATS;

/// What the messages of this crate begin with.
const __LOG_PREFIX: &[u8] = b"iommu: debug-pagealloc\0";

/// The mapping counts of all pages.
static COUNTS: Counts<PageExt> = Counts::new(PageExt, GEOMETRY);

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

/// `size` bytes at `phys` have been mapped in `domain`.
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
    if let Some(span) = unsafe { span(domain, phys, size) } {
        let skipped = COUNTS.map(&span);
        if skipped != 0 {
            STATS.skipped.add(skipped);
        }
    }
}

/// An unmap of `size` bytes at `iova` has been asked for.
///
/// Counts go down when the page table code reports what it cleared ([`__iommu_debug_unmapped`]), so
/// all there is to do is to look at the request.
///
/// # Safety
///
/// None; the arguments are only looked at. Unsafe because all exported functions are.
#[export]
pub unsafe extern "C" fn __iommu_debug_unmap_begin(
    _domain: *mut bindings::iommu_domain,
    iova: usize,
    size: usize,
) {
    if size != 0 && iova.checked_add(size - 1).is_none() {
        STATS.bad_range(iova as u64, size);
    }
}

/// The unmap is done, `unmapped` bytes of `size` were removed.
///
/// # Safety
///
/// None; the arguments are only looked at. Unsafe because all exported functions are.
#[export]
pub unsafe extern "C" fn __iommu_debug_unmap_end(
    _domain: *mut bindings::iommu_domain,
    _iova: usize,
    size: usize,
    unmapped: usize,
) {
    match unmapped.cmp(&size) {
        Ordering::Greater => STATS.over_unmaps.add(1),
        Ordering::Less => STATS.short_unmaps.add(1),
        Ordering::Equal => {}
    }
}

/// The entries that mapped `size` bytes at `phys` in `domain` have been cleared.
///
/// # Safety
///
/// `domain` points to a valid domain.
#[export]
pub unsafe extern "C" fn __iommu_debug_unmapped(
    domain: *mut bindings::iommu_domain,
    phys: bindings::phys_addr_t,
    size: usize,
) {
    // SAFETY: By the function's requirement.
    if let Some(span) = unsafe { span(domain, phys, size) } {
        COUNTS.unmap(&span);
    }
}

/// Stands for the address of what is not mapped.
const NOT_MAPPED: u64 = u64::MAX;

/// Looks up what the next of `size` bytes at `iova` are mapped to, as far as `state` has room,
/// unless it is known already. Returns for how many bytes it is known.
///
/// For page table drivers that do not report what they clear. Takes one translation for each
/// granule; none is looked up twice, also if the driver unmaps less at once.
///
/// # Safety
///
/// - `domain` points to a valid domain that can translate.
/// - `state` points to a state that nobody else uses; its `size` is 0 at the start of an unmap.
#[export]
pub unsafe extern "C" fn __iommu_debug_unmap_ahead(
    domain: *mut bindings::iommu_domain,
    iova: usize,
    size: usize,
    state: *mut bindings::iommu_debug_unmap,
) -> usize {
    // SAFETY: By the function's requirement.
    let state = unsafe { &mut *state };
    if state.size == 0 {
        // SAFETY: By the function's requirement.
        unsafe { look_ahead(domain, iova as u64, size, state) };
    }
    state.size.min(size)
}

/// Fills `state` with what the bytes at `iova` are mapped to.
///
/// # Safety
///
/// `domain` points to a valid domain that can translate.
unsafe fn look_ahead(
    domain: *mut bindings::iommu_domain,
    iova: u64,
    size: usize,
    state: &mut bindings::iommu_debug_unmap,
) {
    // SAFETY: By the function's requirement.
    let granule = unsafe { granule(domain) };
    (state.first, state.end) = (0, 0);
    while state.size < size {
        let at = iova.wrapping_add(state.size as u64);
        // SAFETY: By the function's requirement.
        let phys = unsafe { translate(domain, at, granule) }.unwrap_or(NOT_MAPPED);
        let last = state.run.get_mut((state.end as usize).wrapping_sub(1));
        match last.filter(|run| phys == follows(run.phys, run.size)) {
            Some(run) => run.size += granule as usize,
            None => {
                let Some(run) = state.run.get_mut(state.end as usize) else {
                    return;
                };
                (run.phys, run.size) = (phys, granule as usize);
                state.end += 1;
            }
        }
        state.size += granule as usize;
    }
}

/// The address that continues a run of `size` bytes at `phys`.
fn follows(phys: u64, size: usize) -> u64 {
    match phys {
        NOT_MAPPED => NOT_MAPPED,
        _ => phys.wrapping_add(size as u64),
    }
}

/// The next `unmapped` bytes that were looked up have been unmapped: counts them down.
///
/// If that is more than was looked up, the driver has cleared the rest of its last entry, whose
/// memory is consecutive.
///
/// # Safety
///
/// - `domain` points to a valid domain.
/// - `state` points to a state that nobody else uses.
#[export]
pub unsafe extern "C" fn __iommu_debug_unmap_done(
    domain: *mut bindings::iommu_domain,
    state: *mut bindings::iommu_debug_unmap,
    unmapped: usize,
) {
    // SAFETY: By the function's requirement.
    let state = unsafe { &mut *state };
    let mut left = unmapped;
    let mut phys = NOT_MAPPED;
    while left > 0 && state.first < state.end {
        let Some(run) = state.run.get_mut(state.first as usize) else {
            break;
        };
        let size = left.min(run.size);
        // SAFETY: By the function's requirement.
        unsafe { cleared(domain, run.phys, size) };
        phys = follows(run.phys, size);
        (run.phys, run.size) = (phys, run.size - size);
        if run.size == 0 {
            state.first += 1;
        }
        left -= size;
        state.size = state.size.saturating_sub(size);
    }
    if left > 0 {
        // SAFETY: By the function's requirement.
        unsafe { cleared(domain, phys, left) };
    }
}

/// Counts a cleared part of a run down.
///
/// # Safety
///
/// `domain` points to a valid domain.
unsafe fn cleared(domain: *mut bindings::iommu_domain, phys: u64, size: usize) {
    if phys == NOT_MAPPED {
        STATS.untranslated.add(1);
    // SAFETY: By the function's requirement.
    } else if let Some(span) = unsafe { span(domain, phys, size) } {
        COUNTS.unmap(&span);
    }
}

/// What the granule at `iova` is mapped to.
///
/// A translation of 0 means "not mapped", but memory may well be at address 0: so ask for the
/// second byte, as the IOMMU core does.
///
/// # Safety
///
/// `domain` points to a valid domain that can translate.
unsafe fn translate(domain: *mut bindings::iommu_domain, iova: u64, granule: u64) -> Option<u64> {
    // SAFETY: By the function's requirement.
    match unsafe { bindings::iommu_iova_to_phys(domain, iova | 1) } {
        0 => None,
        phys => Some(phys & !(granule - 1)),
    }
}

/// `size` bytes at `phys` are about to be mapped in `domain` at the same address, on purpose.
///
/// # Safety
///
/// `domain` points to a valid domain.
#[export]
pub unsafe extern "C" fn __iommu_debug_direct_map(
    domain: *mut bindings::iommu_domain,
    phys: bindings::phys_addr_t,
    size: usize,
) {
    if let Some((first, last)) = pages(phys, size) {
        // SAFETY: By the function's requirement.
        let granule = unsafe { granule(domain) };
        // What a page counts at most: its granules, all of them mapped.
        let units = (1u64 << GEOMETRY.page_shift()) >> granule.trailing_zeros();
        DIRECT.insert(domain as u64, first, last, units.max(1) as u32);
    }
}

/// The mapping that was announced by [`__iommu_debug_direct_map`] failed and has been taken back.
///
/// # Safety
///
/// None; the domain's address serves as a name. Unsafe because all exported functions are.
#[export]
pub unsafe extern "C" fn __iommu_debug_direct_unmap(
    domain: *mut bindings::iommu_domain,
    phys: bindings::phys_addr_t,
    size: usize,
) {
    if let Some((first, last)) = pages(phys, size) {
        DIRECT.remove(domain as u64, first, last);
    }
}

/// `domain` is about to be freed. Returns a name for its direct regions, which stay registered
/// until their pages are counted down: by the page table code that reports what it clears, or here.
///
/// # Safety
///
/// `domain` points to a valid domain; it can still translate if it has direct regions.
#[export]
pub unsafe extern "C" fn __iommu_debug_domain_free(domain: *mut bindings::iommu_domain) -> u64 {
    // SAFETY: By the function's requirement.
    if !unsafe { (*domain).is_iommupt } {
        DIRECT.each(domain as u64, |first, last| {
            // SAFETY: By the function's requirement.
            unsafe { forget_direct(domain, first, last) }
        });
    }
    DIRECT.orphan(domain as u64)
}

/// Counts down what `domain` still maps of a direct region.
///
/// # Safety
///
/// `domain` points to a valid domain that can translate.
unsafe fn forget_direct(domain: *mut bindings::iommu_domain, first: Pfn, last: Pfn) {
    // SAFETY: By the function's requirement.
    let granule = unsafe { granule(domain) };
    let mut phys = first.0 << GEOMETRY.page_shift();
    let last = (last.0 << GEOMETRY.page_shift()) | ((1 << GEOMETRY.page_shift()) - 1);
    while phys <= last {
        // SAFETY: By the function's requirement.
        if unsafe { translate(domain, phys, granule) } == Some(phys) {
            if let Some(span) = Span::new(phys, granule, granule, GEOMETRY) {
                COUNTS.unmap(&span);
            }
        }
        let Some(next) = phys.checked_add(granule) else {
            break;
        };
        phys = next;
    }
}

/// The domain that [`__iommu_debug_domain_free`] returned `cookie` for is gone.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
pub unsafe extern "C" fn __iommu_debug_domain_freed(cookie: u64) {
    DIRECT.remove_all(cookie);
}

/// The pages that a byte range touches.
fn pages(phys: u64, size: usize) -> Option<(Pfn, Pfn)> {
    let last = phys.checked_add((size as u64).checked_sub(1)?)?;
    Some((
        Pfn(phys >> GEOMETRY.page_shift()),
        Pfn(last >> GEOMETRY.page_shift()),
    ))
}

/// `numpages` pages from `page` on are being allocated.
///
/// # Safety
///
/// `page` points to the `struct page` of the first of `numpages` consecutive pages.
#[export]
pub unsafe extern "C" fn __iommu_debug_check_unmapped(page: *const bindings::page, numpages: i32) {
    // SAFETY: By the function's requirement.
    unsafe { check(page, numpages, Event::Alloc) }
}

/// `numpages` pages from `page` on are being freed.
///
/// # Safety
///
/// `page` points to the `struct page` of the first of `numpages` consecutive pages.
#[export]
pub unsafe extern "C" fn __iommu_debug_check_freed(page: *const bindings::page, numpages: i32) {
    // SAFETY: By the function's requirement.
    unsafe { check(page, numpages, Event::Free) }
}

/// # Safety
///
/// `page` points to the `struct page` of the first of `numpages` consecutive pages.
#[inline(always)]
unsafe fn check(page: *const bindings::page, numpages: i32, event: Event) {
    // SAFETY: By the function's requirement.
    let first = Pfn(unsafe { bindings::iommu_debug_page_to_pfn(page) } as u64);
    let pages = numpages as u64;
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
        // SAFETY: Called in process context, with no locks held.
        unsafe { bindings::iommu_debug_enable() };
    }
}

/// The mapping count of a page, for the tests; the smallest number if it has none.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[cfg(CONFIG_IOMMU_DEBUG_PAGEALLOC_KUNIT_TEST)]
#[export]
pub unsafe extern "C" fn iommu_debug_test_count(pfn: usize) -> i32 {
    COUNTS.count(Pfn(pfn as u64)).unwrap_or(i32::MIN)
}

/// Adds to the mapping count of a page, for the tests.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[cfg(CONFIG_IOMMU_DEBUG_PAGEALLOC_KUNIT_TEST)]
#[export]
pub unsafe extern "C" fn iommu_debug_test_add(pfn: usize, units: i32) {
    COUNTS.adjust(Pfn(pfn as u64), units);
}

/// How many findings have been reported, for the tests.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[cfg(CONFIG_IOMMU_DEBUG_PAGEALLOC_KUNIT_TEST)]
#[export]
pub unsafe extern "C" fn iommu_debug_test_findings() -> usize {
    STATS.findings.load() as usize
}
