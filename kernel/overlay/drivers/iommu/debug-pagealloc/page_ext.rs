// SPDX-License-Identifier: GPL-2.0-only

//! The counters' home: eight bytes of page_ext for each page.
//!
//! C header: [`include/linux/page_ext.h`](srctree/include/linux/page_ext.h)
//!
//! page_ext comes and goes with a memory section (hotplug), and is freed after an RCU grace period.
//! So a section is looked up, and used, under one RCU read lock. Any context; nothing is allocated.

use crate::engine::{
    counts::{Memory, Section, Slot},
    geometry::Geometry, //
};
use kernel::{bindings, ffi::c_ulong, sync::rcu};

/// The shape of this kernel's memory.
pub(crate) const GEOMETRY: Geometry =
    Geometry::new(bindings::PAGE_SHIFT, bindings::PFN_SECTION_SHIFT);

// The shim reserves a `u64` for each page.
const _: () = assert!(size_of::<Slot>() == size_of::<u64>());

/// The counters in page_ext.
pub(crate) struct PageExt;

/// The counters of one memory section.
///
/// # Invariants
///
/// `slots` points to the slot of the section's first page. The slots of all pages of the section,
/// `stride` bytes apart, stay valid as long as the RCU read lock is held.
pub(crate) struct SectionSlots {
    slots: *const u8,
    stride: usize,
    _rcu: rcu::Guard,
}

impl Memory for PageExt {
    type Section<'a> = SectionSlots;

    #[inline]
    fn section(&self, number: u64) -> Option<SectionSlots> {
        let rcu = rcu::read_lock();
        // SAFETY: The RCU read lock is held; any number is allowed.
        let slots = unsafe { bindings::iommu_debug_section_slots(number as c_ulong) };
        if slots.is_null() {
            return None;
        }
        // SAFETY: Written only before the first page_ext exists.
        let stride = unsafe { bindings::page_ext_size };
        // INVARIANT: page_ext is allocated for whole sections, and freed only after a grace period.
        Some(SectionSlots {
            slots: slots.cast::<u8>().cast_const(),
            stride,
            _rcu: rcu,
        })
    }
}

impl Section for SectionSlots {
    #[inline(always)]
    fn slot(&self, index: usize) -> &Slot {
        // No index leads out of the section.
        let index = index & (GEOMETRY.section_pages() - 1);
        // SAFETY: By the type invariants this is the slot of a page of the section, valid while
        // `self` holds the RCU read lock. It is aligned, as all clients' sizes are multiples of 4.
        // `Slot` consists of atomics, for which zeroes (page_ext's initial state) and every other
        // bit pattern are valid, and nobody else writes these eight bytes.
        unsafe { &*self.slots.add(index * self.stride).cast::<Slot>() }
    }
}

/// One more than the number of the last memory section there has ever been.
pub(crate) fn sections() -> u64 {
    // SAFETY: An aligned word that only ever grows; a stale value is as good.
    unsafe { (&raw const bindings::__highest_present_section_nr).read_volatile() as u64 + 1 }
}
