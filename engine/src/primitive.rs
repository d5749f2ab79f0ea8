// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The atomics that the engine is built from: the kernel's own there, `core`'s here.
//!
//! One place to exchange them, so that a model checker can stand in as well.

#[cfg(kernel)]
use kernel::sync::atomic::{Acquire, Atomic, Full, Relaxed, Release};

/// A 32-bit word shared by all CPUs; every access is relaxed.
#[repr(transparent)]
pub struct Word(
    #[cfg(kernel)] Atomic<u32>,
    #[cfg(not(kernel))] core::sync::atomic::AtomicU32,
);

/// A 64-bit word shared by all CPUs, with acquire loads and release stores.
#[repr(transparent)]
pub struct Long(
    #[cfg(kernel)] Atomic<u64>,
    #[cfg(not(kernel))] core::sync::atomic::AtomicU64,
);

#[cfg(kernel)]
impl Word {
    /// A word that holds `value`.
    pub const fn new(value: u32) -> Word {
        Word(Atomic::new(value))
    }

    /// The value now.
    #[inline(always)]
    pub fn load(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Adds, wrapping.
    #[inline(always)]
    pub fn add(&self, value: u32) {
        self.0.add(value, Relaxed);
    }

    /// Stores `new` if the word holds `old`; says whether it did.
    pub fn exchange(&self, old: u32, new: u32) -> bool {
        self.0.cmpxchg(old, new, Relaxed).is_ok()
    }
}

#[cfg(not(kernel))]
impl Word {
    /// A word that holds `value`.
    pub const fn new(value: u32) -> Word {
        Word(core::sync::atomic::AtomicU32::new(value))
    }

    /// The value now.
    pub fn load(&self) -> u32 {
        self.0.load(core::sync::atomic::Ordering::Relaxed)
    }

    /// Adds, wrapping.
    pub fn add(&self, value: u32) {
        self.0
            .fetch_add(value, core::sync::atomic::Ordering::Relaxed);
    }

    /// Stores `new` if the word holds `old`; says whether it did.
    pub fn exchange(&self, old: u32, new: u32) -> bool {
        use core::sync::atomic::Ordering::Relaxed;
        self.0.compare_exchange(old, new, Relaxed, Relaxed).is_ok()
    }
}

#[cfg(kernel)]
impl Long {
    /// A word that holds `value`.
    pub const fn new(value: u64) -> Long {
        Long(Atomic::new(value))
    }

    /// The value now; what its writer wrote before it is visible afterwards.
    pub fn load(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Stores `value` after everything that was written before.
    pub fn store(&self, value: u64) {
        self.0.store(value, Release);
    }

    /// Adds, wrapping; relaxed.
    pub fn add(&self, value: u64) {
        self.0.add(value, Relaxed);
    }

    /// Stores `new` if the word holds `old`, as a full barrier; says whether it did.
    pub fn exchange(&self, old: u64, new: u64) -> bool {
        self.0.cmpxchg(old, new, Full).is_ok()
    }
}

#[cfg(not(kernel))]
impl Long {
    /// A word that holds `value`.
    pub const fn new(value: u64) -> Long {
        Long(core::sync::atomic::AtomicU64::new(value))
    }

    /// The value now; what its writer wrote before it is visible afterwards.
    pub fn load(&self) -> u64 {
        self.0.load(core::sync::atomic::Ordering::Acquire)
    }

    /// Stores `value` after everything that was written before.
    pub fn store(&self, value: u64) {
        self.0.store(value, core::sync::atomic::Ordering::Release);
    }

    /// Adds, wrapping; relaxed.
    pub fn add(&self, value: u64) {
        self.0
            .fetch_add(value, core::sync::atomic::Ordering::Relaxed);
    }

    /// Stores `new` if the word holds `old`, as a full barrier; says whether it did.
    pub fn exchange(&self, old: u64, new: u64) -> bool {
        use core::sync::atomic::Ordering::{Relaxed, SeqCst};
        self.0.compare_exchange(old, new, SeqCst, Relaxed).is_ok()
    }
}

/// Orders everything before against everything after, on all CPUs.
#[inline]
pub fn full_barrier() {
    #[cfg(kernel)]
    kernel::sync::barrier::smp_mb(kernel::sync::barrier::Full);
    #[cfg(not(kernel))]
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}

/// Tells the CPU that this is a busy-wait loop.
#[inline]
pub fn relax() {
    core::hint::spin_loop();
}
