// SPDX-License-Identifier: GPL-2.0-only

//! Data behind a raw spinlock, with interrupts off: maps and unmaps come from interrupts, too.

use core::cell::UnsafeCell;
use kernel::bindings;

/// Numbers of locks, each for one thing: of the tables of mappings, from this on.
pub(crate) const MAPPINGS_LOCK: u32 = 0;
/// The locks of the tables of places, from this on.
pub(crate) const PLACES_LOCK: u32 = 16;
/// The lock of the devices.
pub(crate) const DEVICES_LOCK: u32 = 32;
/// The lock of the bugs that have been reported.
pub(crate) const SEEN_LOCK: u32 = 33;
/// The lock of the stale mappings.
pub(crate) const STALE_LOCK: u32 = 34;
/// The lock of the unmaps that wait for an invalidation.
pub(crate) const PENDING_LOCK: u32 = 35;

const _: () = assert!(PENDING_LOCK < bindings::IOMMU_DEBUG_LOCKS);

/// A value that only one CPU at a time gets to see.
pub(crate) struct Locked<T> {
    lock: u32,
    value: UnsafeCell<T>,
}

// SAFETY: `with()` gives out one reference at a time, to whichever CPU.
unsafe impl<T: Send> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// `value`, behind the lock of this number.
    ///
    /// # Safety
    ///
    /// `lock` is one of the numbers above, and nothing else uses it.
    pub(crate) const unsafe fn new(lock: u32, value: T) -> Locked<T> {
        Locked {
            lock,
            value: UnsafeCell::new(value),
        }
    }

    /// Calls `then` with the value. `then` does nothing that may come here again: it neither
    /// allocates nor prints, and of the locks it takes only those of higher numbers.
    #[inline]
    pub(crate) fn with<R>(&self, then: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: The number is that of a lock, by the requirement of `new()`.
        let flags = unsafe { bindings::iommu_debug_lock(self.lock) };
        // SAFETY: The lock is held, and is that of this value only.
        let result = then(unsafe { &mut *self.value.get() });
        // SAFETY: It was taken above, with these flags.
        unsafe { bindings::iommu_debug_unlock(self.lock, flags) };
        result
    }
}
