// SPDX-License-Identifier: GPL-2.0-only

//! For page table drivers that do not report what they clear: looking it up beforehand.

use crate::{count_down, granule, stats::STATS};
use kernel::{bindings, prelude::*};

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
pub(crate) unsafe extern "C" fn __iommu_debug_unmap_ahead(
    domain: *mut bindings::iommu_domain,
    iova: usize,
    size: usize,
    state: *mut bindings::iommu_debug_ahead,
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
    state: &mut bindings::iommu_debug_ahead,
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
pub(crate) unsafe extern "C" fn __iommu_debug_unmap_done(
    domain: *mut bindings::iommu_domain,
    state: *mut bindings::iommu_debug_ahead,
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
    } else {
        // SAFETY: By the function's requirement.
        unsafe { count_down(domain, phys, size) };
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
pub(crate) unsafe fn translate(
    domain: *mut bindings::iommu_domain,
    iova: u64,
    granule: u64,
) -> Option<u64> {
    // SAFETY: By the function's requirement.
    match unsafe { bindings::iommu_iova_to_phys(domain, iova | 1) } {
        0 => None,
        phys => Some(phys & !(granule - 1)),
    }
}
