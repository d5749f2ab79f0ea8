// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The atomics that the engine is built from: those of `core`, or of a model checker (`--cfg loom`).
//!
//! In the kernel this module is another one with the same interface, made of the kernel's atomics
//! (`drivers/iommu/debug-pagealloc/primitive.rs`).

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
#[cfg(not(loom))]
use core::sync::atomic::{fence, AtomicU32, AtomicU64};
#[cfg(loom)]
use {
    lazy::{AtomicU32, AtomicU64},
    loom::sync::atomic::fence,
};

/// A 32-bit word shared by all CPUs; every access is relaxed.
#[repr(transparent)]
pub struct Word(AtomicU32);

impl Word {
    /// A word that holds `value`.
    pub const fn new(value: u32) -> Word {
        Word(AtomicU32::new(value))
    }

    /// The value now.
    #[inline(always)]
    pub fn load(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Adds, wrapping.
    #[inline(always)]
    pub fn add(&self, value: u32) {
        self.0.fetch_add(value, Relaxed);
    }

    /// Stores `new` if the word holds `old`; says whether it did.
    pub fn exchange(&self, old: u32, new: u32) -> bool {
        self.0.compare_exchange(old, new, Relaxed, Relaxed).is_ok()
    }
}

/// A 64-bit word shared by all CPUs, with acquire loads and release stores.
#[repr(transparent)]
pub struct Long(AtomicU64);

impl Long {
    /// A word that holds `value`.
    pub const fn new(value: u64) -> Long {
        Long(AtomicU64::new(value))
    }

    /// The value now; what its writer wrote before it is visible afterwards.
    pub fn load(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// The value now; relaxed.
    #[inline(always)]
    pub fn peek(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Stores `value` after everything that was written before.
    pub fn store(&self, value: u64) {
        self.0.store(value, Release);
    }

    /// Adds, wrapping; relaxed.
    pub fn add(&self, value: u64) {
        self.0.fetch_add(value, Relaxed);
    }

    /// Stores `new` if the word holds `old`, as a full barrier; says whether it did.
    pub fn exchange(&self, old: u64, new: u64) -> bool {
        self.0.compare_exchange(old, new, SeqCst, Relaxed).is_ok()
    }
}

/// Orders everything before against everything after, on all CPUs.
#[inline]
pub fn full_barrier() {
    fence(SeqCst);
}

/// Tells the CPU that this is a busy-wait loop.
#[inline]
pub fn relax() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// The model checker's atomics, made when they are first used: they have no `const` constructor.
#[cfg(loom)]
mod lazy {
    extern crate std;
    use core::sync::atomic::Ordering;
    use std::sync::OnceLock;

    macro_rules! lazy {
        ($name:ident, $value:ty) => {
            pub(super) struct $name {
                initial: $value,
                cell: OnceLock<loom::sync::atomic::$name>,
            }

            impl $name {
                pub(super) const fn new(initial: $value) -> $name {
                    let cell = OnceLock::new();
                    $name { initial, cell }
                }

                fn get(&self) -> &loom::sync::atomic::$name {
                    let make = || loom::sync::atomic::$name::new(self.initial);
                    self.cell.get_or_init(make)
                }

                pub(super) fn load(&self, order: Ordering) -> $value {
                    self.get().load(order)
                }

                #[allow(dead_code, reason = "only words of 64 bits are stored to")]
                pub(super) fn store(&self, value: $value, order: Ordering) {
                    self.get().store(value, order);
                }

                pub(super) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    self.get().fetch_add(value, order)
                }

                pub(super) fn compare_exchange(
                    &self,
                    old: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.get().compare_exchange(old, new, success, failure)
                }
            }
        };
    }

    lazy!(AtomicU32, u32);
    lazy!(AtomicU64, u64);
}
