// SPDX-License-Identifier: GPL-2.0-only

//! The atomics that the engine is built from: the kernel's.
//!
//! In user space the engine has a module of the same interface (`engine/src/primitive.rs` there).

use core::ptr::{from_ref, null};
use kernel::sync::{
    atomic::{Acquire, Atomic, Full, Relaxed, Release},
    barrier, //
};

/// A 32-bit word shared by all CPUs; every access is relaxed.
#[repr(transparent)]
pub(crate) struct Word(Atomic<u32>);

impl Word {
    /// A word that holds `value`.
    pub(crate) const fn new(value: u32) -> Word {
        Word(Atomic::new(value))
    }

    /// The value now.
    #[inline(always)]
    pub(crate) fn load(&self) -> u32 {
        // `Atomic::load()` calls a C function, and a check of 512 pages would call it 512 times.
        // SAFETY: The pointer comes from a reference, so it is valid and aligned. This is what C
        // calls READ_ONCE(): one load of a machine word, which the memory model takes for a relaxed
        // atomic load; all other accesses are atomic too.
        unsafe { self.0.as_ptr().read_volatile() }
    }

    /// Adds, wrapping.
    #[inline(always)]
    pub(crate) fn add(&self, value: u32) {
        self.0.add(value, Relaxed);
    }

    /// Stores `new` if the word holds `old`; says whether it did.
    pub(crate) fn exchange(&self, old: u32, new: u32) -> bool {
        self.0.cmpxchg(old, new, Relaxed).is_ok()
    }
}

/// A 64-bit word shared by all CPUs, with acquire loads and release stores.
#[repr(transparent)]
pub(crate) struct Long(Atomic<u64>);

impl Long {
    /// A word that holds `value`.
    pub(crate) const fn new(value: u64) -> Long {
        Long(Atomic::new(value))
    }

    /// The value now; what its writer wrote before it is visible afterwards.
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// The value now; relaxed.
    #[inline(always)]
    pub(crate) fn peek(&self) -> u64 {
        // SAFETY: As in `Word::load()`; the kernel has 64-bit words (`depends on 64BIT`).
        unsafe { self.0.as_ptr().read_volatile() }
    }

    /// Stores `value` after everything that was written before.
    pub(crate) fn store(&self, value: u64) {
        self.0.store(value, Release);
    }

    /// Adds, wrapping; relaxed.
    pub(crate) fn add(&self, value: u64) {
        self.0.add(value, Relaxed);
    }

    /// Stores `new` if the word holds `old`, as a full barrier; says whether it did.
    pub(crate) fn exchange(&self, old: u64, new: u64) -> bool {
        self.0.cmpxchg(old, new, Full).is_ok()
    }
}

/// A pointer to what is never freed; null at first.
#[repr(transparent)]
pub(crate) struct Pointer<T: 'static>(Atomic<*const T>);

impl<T> Pointer<T> {
    /// Points to nothing.
    pub(crate) const fn null() -> Pointer<T> {
        Pointer(Atomic::new(null()))
    }

    /// Points to `target`.
    pub(crate) fn to(target: Option<&'static T>) -> Pointer<T> {
        Pointer(Atomic::new(target.map_or(null(), from_ref)))
    }

    /// What it points to.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: As in `Word::load()`. The address dependency orders what is read through the
        // pointer after it, as with rcu_dereference().
        let target = unsafe { self.0.as_ptr().read_volatile() };
        // SAFETY: It is null, or came from a `&'static T`.
        unsafe { target.as_ref() }
    }

    /// Points it to `target`, after everything that was written to it before.
    pub(crate) fn set(&self, target: &'static T) {
        self.0.store(from_ref(target), Release);
    }
}

/// Orders everything before against everything after, on all CPUs.
#[inline]
pub(crate) fn full_barrier() {
    barrier::smp_mb(barrier::Full);
}

/// Tells the CPU that this is a busy-wait loop.
#[inline]
pub(crate) fn relax() {
    core::hint::spin_loop();
}
