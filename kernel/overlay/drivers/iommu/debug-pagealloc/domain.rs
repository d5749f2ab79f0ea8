// SPDX-License-Identifier: GPL-2.0-only

//! Domains: what they map on purpose, and what they still map when they are freed.

use crate::{ahead::translate, count_down, engine::addr::Pfn, granule, origin, report, span};
use crate::{record::Found, sections::GEOMETRY, stale, stats::STATS, COUNTS, DIRECT};
use kernel::{bindings, prelude::*};

/// `size` bytes at `phys` are about to be mapped in `domain` at the same address, on purpose.
///
/// # Safety
///
/// `domain` points to a valid domain.
#[export]
pub(crate) unsafe extern "C" fn __iommu_debug_direct_map(
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
pub(crate) unsafe extern "C" fn __iommu_debug_direct_unmap(
    domain: *mut bindings::iommu_domain,
    phys: bindings::phys_addr_t,
    size: usize,
) {
    if let Some((first, last)) = pages(phys, size) {
        DIRECT.remove(domain as u64, first, last);
    }
}

/// `domain` is about to be freed: prepares `teardown` to collect what it still maps.
///
/// Its direct regions stay registered until their pages are counted down: by the page table code
/// that reports what it frees, or here.
///
/// # Safety
///
/// - `domain` points to a valid domain; it can still translate if it has direct regions.
/// - `teardown` points to a state that nobody else uses.
#[export]
pub(crate) unsafe extern "C" fn __iommu_debug_domain_free(
    domain: *mut bindings::iommu_domain,
    teardown: *mut bindings::iommu_debug_teardown,
) {
    // SAFETY: By the function's requirement.
    let state = unsafe { &mut *teardown };
    // SAFETY: By the function's requirement.
    let domain_ref = unsafe { &mut *domain };
    if !domain_ref.is_iommupt && !domain_ref.debug_reports {
        DIRECT.each(domain as u64, |first, last| {
            // SAFETY: By the function's requirement.
            unsafe { forget_direct(domain, first, last) }
        });
    }
    // Nobody is left who could invalidate.
    // SAFETY: By the function's requirement.
    unsafe { stale::__iommu_debug_synced(domain, core::ptr::null()) };
    state.domain = domain;
    state.cookie = DIRECT.orphan(domain as u64);
    state.is_dma = domain_ref.type_ & bindings::__IOMMU_DOMAIN_DMA_API != 0;
    (state.pages, state.ranges) = (0, 0);
    // Where the page table code finds it, while the domain is there.
    domain_ref.debug_teardown = teardown;
}

/// `domain`, which is being freed, maps `size` bytes at `phys` to `iova`: counts them down.
///
/// # Safety
///
/// `domain` points to a valid domain.
#[export]
pub(crate) unsafe extern "C" fn __iommu_debug_domain_leaf(
    domain: *mut bindings::iommu_domain,
    iova: usize,
    phys: bindings::phys_addr_t,
    size: usize,
) {
    // SAFETY: By the function's requirement. It is null if the domain was never handed out.
    let state = unsafe { (*domain).debug_teardown.as_mut() };
    // SAFETY: By the function's requirement.
    let is_paging = unsafe { (*domain).type_ } & bindings::__IOMMU_DOMAIN_PAGING != 0;
    // What a domain that is not one for paging maps was not counted.
    let Some(state) = state.filter(|_| is_paging) else {
        return;
    };
    let Some((first, last)) = pages(phys, size) else {
        return;
    };
    // SAFETY: By the function's requirement.
    let Some(span) = (unsafe { span(domain, phys, size) }) else {
        return;
    };
    let leaked = (last.0 - first.0 + 1).saturating_sub(COUNTS.unmap(&span));
    // SAFETY: Any number is allowed.
    let is_memory = || unsafe { bindings::iommu_debug_is_memory(first.0 as usize) };
    // A doorbell for MSIs stays mapped, and may lie in a section that has memory, too.
    if leaked == 0 || DIRECT.owns(state.cookie, first) || !is_memory() {
        return;
    }
    state.pages += leaked;
    let previous = state.range.get_mut((state.ranges as usize).wrapping_sub(1));
    if let Some(range) = previous {
        if range.iova + range.size == iova && range.phys + range.size as u64 == phys {
            range.size += size;
            return;
        }
    }
    if let Some(range) = state.range.get_mut(state.ranges as usize) {
        (range.iova, range.phys, range.size) = (iova, phys, size);
    }
    state.ranges = state.ranges.saturating_add(1);
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
            // SAFETY: By the function's requirement.
            unsafe { count_down(domain, phys, granule as usize) };
        }
        let Some(next) = phys.checked_add(granule) else {
            break;
        };
        phys = next;
    }
}

/// The domain that `teardown` was prepared for is gone.
///
/// What a domain of the DMA API still mapped was leaked by a driver, as its devices have none any
/// more. Who makes a domain of their own may well free it with what is in it: VFIO does, if another
/// of its domains has the same memory.
///
/// # Safety
///
/// `teardown` points to a state that nobody else uses.
#[export]
pub(crate) unsafe extern "C" fn __iommu_debug_domain_freed(
    teardown: *mut bindings::iommu_debug_teardown,
) {
    // SAFETY: By the function's requirement.
    let state = unsafe { &*teardown };
    DIRECT.remove_all(state.cookie);
    let origin = origin::get().filter(|_| state.is_dma);
    let mappers = origin.map(|origin| (origin, origin.end_domain(state.domain)));
    if state.pages == 0 {
        return;
    }
    if !state.is_dma {
        STATS.freed_mapped.add(1);
        return;
    }
    let is_known = |(found, pages): &(Found, u64)| !found.is_new && *pages >= state.pages;
    if mappers.as_ref().is_some_and(|(_, ended)| is_known(ended)) {
        STATS.repeated.add(1);
    } else {
        report::report_domain(state, mappers.map(|(origin, (found, _))| (origin, found)));
    }
}

/// The pages that a byte range touches.
fn pages(phys: u64, size: usize) -> Option<(Pfn, Pfn)> {
    let last = phys.checked_add((size as u64).checked_sub(1)?)?;
    Some((
        Pfn(phys >> GEOMETRY.page_shift()),
        Pfn(last >> GEOMETRY.page_shift()),
    ))
}
