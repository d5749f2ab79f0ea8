// SPDX-License-Identifier: GPL-2.0-only

//! What an unmap has cleared, collected run by run, and counted down when it is done.
//!
//! The page table code reports each leaf as it clears it. Translating the range beforehand instead
//! would take a walk for each page, and would be wrong whenever the unmap then removes more than it
//! was asked for, or less.

use crate::{count_down, stale::postpone, stats::STATS};
use kernel::{bindings, prelude::*};

/// The unmap is done, but not `size` bytes at `iova` were removed.
///
/// # Safety
///
/// None; the arguments are only looked at. Unsafe because all exported functions are.
#[export]
pub(crate) unsafe extern "C" fn __iommu_debug_unmap_differs(
    iova: usize,
    size: usize,
    unmapped: usize,
) {
    if size != 0 && iova.checked_add(size - 1).is_none() {
        STATS.bad_range(iova as u64, size);
    } else if unmapped > size {
        STATS.over_unmaps.add(1);
    } else {
        STATS.short_unmaps.add(1);
    }
}

/// Entries that mapped `size` bytes at `phys` are being cleared, and do not continue the run that
/// `cleared` was collecting: begins another one.
///
/// The run before is gone already, and is counted down; but if it is not sure yet that the unmap
/// succeeds, it is put aside as long as there is room.
///
/// # Safety
///
/// - `cleared` points to a state that nobody else uses.
/// - Its `domain` points to a valid domain.
#[export]
pub(crate) unsafe extern "C" fn __iommu_debug_cleared(
    cleared: *mut bindings::iommu_debug_cleared,
    phys: bindings::phys_addr_t,
    size: usize,
) {
    // SAFETY: By the function's requirement.
    let state = unsafe { &mut *cleared };
    let last = state.last;
    (state.last.phys, state.last.size) = (phys, size);
    if last.size == 0 {
        return;
    }
    if state.count < state.room {
        if let Some(run) = state.run.get_mut(state.count as usize) {
            *run = last;
            state.count += 1;
            return;
        }
    }
    // SAFETY: Set before the first unmap, and read-only since.
    if unsafe { bindings::iommu_debug_finds_stale } {
        // SAFETY: By the function's requirement.
        unsafe { postpone(state, last) };
    } else {
        // SAFETY: By the function's requirement.
        unsafe { count_down(state.domain, last.phys, last.size) };
    }
}

/// The entries that were collected in `cleared` are gone: counts down what they mapped.
///
/// # Safety
///
/// - `cleared` points to a state that nobody else uses.
/// - Its `domain` points to a valid domain.
#[export]
pub(crate) unsafe extern "C" fn __iommu_debug_count_down(
    cleared: *mut bindings::iommu_debug_cleared,
) {
    // SAFETY: By the function's requirement.
    let state = unsafe { &mut *cleared };
    let last = state.last;
    state.last.size = 0;
    if state.count != 0 {
        // SAFETY: By the function's requirement.
        unsafe { count_put_aside(state, last) };
    } else {
        // SAFETY: By the function's requirement.
        unsafe { count_down(state.domain, last.phys, last.size) };
    }
}

/// Counts down the runs that were put aside, and the last.
///
/// # Safety
///
/// `state.domain` points to a valid domain.
#[cold]
unsafe fn count_put_aside(
    state: &mut bindings::iommu_debug_cleared,
    last: bindings::iommu_debug_run,
) {
    for run in state.run.iter().take(state.count as usize) {
        // SAFETY: By the function's requirement.
        unsafe { count_down(state.domain, run.phys, run.size) };
    }
    state.count = 0;
    // SAFETY: By the function's requirement.
    unsafe { count_down(state.domain, last.phys, last.size) };
}

/// The entries that were collected in `cleared` are gone, but the IOMMU may have them cached:
/// counts down what they mapped when it is told to forget them.
///
/// # Safety
///
/// - `cleared` points to a state that nobody else uses.
/// - Its `domain` points to a valid domain, its `gather` to that of the unmap.
#[export]
pub(crate) unsafe extern "C" fn __iommu_debug_postpone(
    cleared: *mut bindings::iommu_debug_cleared,
) {
    // SAFETY: By the function's requirement.
    let state = unsafe { &mut *cleared };
    let last = core::mem::take(&mut state.last);
    for &run in state.run.iter().take(state.count as usize) {
        // SAFETY: By the function's requirement.
        unsafe { postpone(state, run) };
    }
    state.count = 0;
    // SAFETY: By the function's requirement.
    unsafe { postpone(state, last) };
}
