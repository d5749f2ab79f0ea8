// SPDX-License-Identifier: GPL-2.0-only

//! What has been unmapped, but which an IOMMU may still have cached (`iommu.debug_stale_iotlb=1`).
//!
//! Mappings of the DMA API wait here until the IOMMU has been told to forget them: in strict mode
//! that happens before the unmap returns, in lazy mode some milliseconds later. Of unmaps through
//! the IOMMU API, the counts wait ([`PENDING`]), until iommu_iotlb_sync().
//!
//! If there is no room, something does not wait, and a free that comes too early is missed.

use crate::{
    count_down,
    engine::bag::Bag,
    locked::{Locked, PENDING_LOCK, STALE_LOCK},
    record::Id,
    stats::STATS, //
};
use kernel::{bindings, prelude::*};

/// Mappings that can wait.
const ROOM: usize = 4096;

#[derive(Clone, Copy, Default)]
struct Waiting {
    id: Id,
    device: u32,
    dma: u64,
    /// When it was unmapped, in ns of the monotonic clock.
    since: u64,
}

/// Mappings that wait.
pub(crate) struct Stale(Locked<Bag<KVVec<Waiting>>>);

impl Stale {
    /// None yet.
    pub(crate) fn new() -> Result<Stale> {
        let slots = KVVec::from_elem(Waiting::default(), ROOM, GFP_KERNEL)?;
        // SAFETY: Nothing else uses this lock, and there is one `Stale`.
        Ok(Stale(unsafe { Locked::new(STALE_LOCK, Bag::new(slots)) }))
    }

    /// Lets a mapping, which is unmapped at `since`, wait, if there is room.
    pub(crate) fn keep(&self, id: Id, device: u32, dma: u64, since: u64) -> Result {
        let waiting = Waiting {
            id,
            device,
            dma,
            since,
        };
        self.0.with(|bag| bag.push(waiting)).map_err(|_| {
            STATS.not_waited.add(1);
            ENOMEM
        })
    }

    /// Takes out a mapping that was unmapped before `begun`, and whose device and address `is_one`
    /// says yes to.
    pub(crate) fn take(
        &self,
        begun: u64,
        is_one: impl Fn(u32, u64) -> bool,
    ) -> Option<(Id, u32, u64)> {
        let is_it = |w: &Waiting| w.since <= begun && is_one(w.device, w.dma);
        let taken = self.0.with(|bag| bag.take(is_it))?;
        Some((taken.id, taken.device, taken.dma))
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.0.with(|bag| bag.iter().count())
    }
}

#[derive(Clone, Copy)]
struct Run {
    /// Addresses that serve as names.
    gather: usize,
    domain: usize,
    phys: u64,
    size: usize,
}

const NO_RUN: Run = Run {
    gather: 0,
    domain: 0,
    phys: 0,
    size: 0,
};

/// Memory that unmaps have left, and that is counted down when they are invalidated.
static PENDING: Locked<Bag<Slots>> = {
    let bag = Bag::new(Slots([NO_RUN; 256]));
    // SAFETY: Nothing else uses this lock.
    unsafe { Locked::new(PENDING_LOCK, bag) }
};

struct Slots([Run; 256]);

impl core::ops::Deref for Slots {
    type Target = [Run];

    fn deref(&self) -> &[Run] {
        &self.0
    }
}

impl core::ops::DerefMut for Slots {
    fn deref_mut(&mut self) -> &mut [Run] {
        &mut self.0
    }
}

/// Lets the count of `run`, which an unmap has cleared, wait for its invalidation. Counts it down
/// if there is no room, or if the unmap is one that leaves the invalidation to others, by design.
///
/// # Safety
///
/// `state.domain` points to a valid domain, `state.gather` to the gather of the unmap.
pub(crate) unsafe fn postpone(
    state: &bindings::iommu_debug_cleared,
    run: bindings::iommu_debug_run,
) {
    let (domain, phys, size) = (state.domain, run.phys, run.size);
    if size == 0 {
        return;
    }
    let waiting = Run {
        gather: state.gather as usize,
        domain: domain as usize,
        phys,
        size,
    };
    // SAFETY: By the function's requirement.
    let is_lazy = unsafe { (*state.gather).queued };
    if is_lazy {
        // SAFETY: By the function's requirement.
        unsafe { count_down(domain, phys, size) };
    } else if PENDING.with(|bag| bag.push(waiting)).is_err() {
        STATS.not_waited.add(1);
        // SAFETY: By the function's requirement.
        unsafe { count_down(domain, phys, size) };
    }
}

/// Whether any of these bytes has been unmapped and waits.
pub(crate) fn is_pending(phys: u64, size: u64) -> bool {
    let last = phys.saturating_add(size.max(1) - 1);
    PENDING.with(|bag| {
        let mut runs = bag.iter();
        runs.any(|run| run.phys <= last && phys <= run.phys.saturating_add(run.size as u64 - 1))
    })
}

/// The IOMMU has forgotten what `gather` has unmapped from `domain`; null: everything of it.
///
/// # Safety
///
/// `domain` points to a valid domain.
#[export]
pub(crate) unsafe extern "C" fn __iommu_debug_synced(
    domain: *mut bindings::iommu_domain,
    gather: *const bindings::iommu_iotlb_gather,
) {
    let is_it = |run: &Run| {
        run.domain == domain as usize && (gather.is_null() || run.gather == gather as usize)
    };
    while let Some(run) = PENDING.with(|bag| bag.take(is_it)) {
        // SAFETY: By the function's requirement.
        unsafe { count_down(domain, run.phys, run.size) };
    }
}
