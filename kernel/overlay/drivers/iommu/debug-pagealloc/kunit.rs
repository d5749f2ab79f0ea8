// SPDX-License-Identifier: GPL-2.0-only

//! What the KUnit tests look at and turn.

use crate::{engine::addr::Pfn, stats::STATS, COUNTS};
use kernel::prelude::*;

/// The mapping count of a page, for the tests; the smallest number if it has none.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
pub(crate) unsafe extern "C" fn iommu_debug_test_count(pfn: usize) -> i32 {
    COUNTS.count(Pfn(pfn as u64)).unwrap_or(i32::MIN)
}

/// Adds to the mapping count of a page, for the tests.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
pub(crate) unsafe extern "C" fn iommu_debug_test_add(pfn: usize, units: i32) {
    COUNTS.adjust(Pfn(pfn as u64), units);
}

/// How many findings have been reported, for the tests.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
pub(crate) unsafe extern "C" fn iommu_debug_test_findings() -> usize {
    STATS.findings.load() as usize
}
