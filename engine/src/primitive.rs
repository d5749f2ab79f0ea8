// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The atomics that the engine is built from: those of `core`.
//!
//! In the kernel this module is another one with the same interface, made of the kernel's atomics
//! (`drivers/iommu/debug-pagealloc/primitive.rs`).

use core::sync::atomic::{
    fence, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
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
    core::hint::spin_loop();
}
