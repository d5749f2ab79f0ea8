// SPDX-License-Identifier: GPL-2.0

//! Atomics: the part of the interface of newer kernels that the DMA sanitizer uses, made of
//! `core`'s.
//!
//! It is for values that only Rust accesses.

use core::cell::UnsafeCell;
use core::sync::atomic::{fence, AtomicPtr, AtomicU32, AtomicU64};

/// What `core` calls an ordering.
type Order = core::sync::atomic::Ordering;

/// An ordering of accesses, as a type.
pub trait Ordering {
    /// What `core` calls it.
    const ORDER: Order;
    /// Whether there are full barriers before and after.
    const IS_FULL: bool = false;
}

/// No ordering.
pub struct Relaxed;

impl Ordering for Relaxed {
    const ORDER: Order = Order::Relaxed;
}

/// For loads: nothing that comes after is done before.
pub struct Acquire;

impl Ordering for Acquire {
    const ORDER: Order = Order::Acquire;
}

/// For stores: nothing that comes before is done after.
pub struct Release;

impl Ordering for Release {
    const ORDER: Order = Order::Release;
}

/// Nothing that comes before is done after, and nothing that comes after is done before.
pub struct Full;

impl Ordering for Full {
    const ORDER: Order = Order::SeqCst;
    const IS_FULL: bool = true;
}

/// A value that all CPUs may access at any time.
#[repr(transparent)]
pub struct Atomic<T>(UnsafeCell<T>);

// SAFETY: All accesses are atomic, and a value may be sent to another CPU.
unsafe impl<T: Value> Sync for Atomic<T> {}
// SAFETY: As above.
unsafe impl<T: Value> Send for Atomic<T> {}

/// What can be in an [`Atomic`].
pub trait Value: Copy {
    /// `core`'s type for it.
    type Word: 'static;

    /// See `core`.
    fn load(word: &Self::Word, order: Order) -> Self;
    /// See `core`.
    fn store(word: &Self::Word, value: Self, order: Order);
    /// `core`'s view of it.
    ///
    /// # Safety
    ///
    /// `at` is valid and aligned, and only accessed atomically.
    unsafe fn word<'a>(at: *mut Self) -> &'a Self::Word;
}

/// A number, which can be added to.
pub trait Number: Value {
    /// See `core`.
    fn add(word: &Self::Word, value: Self, order: Order);
    /// See `core`.
    fn exchange(word: &Self::Word, old: Self, new: Self, order: Order) -> Result<Self, Self>;
}

macro_rules! impl_number {
    ($number:ty, $word:ty) => {
        impl Value for $number {
            type Word = $word;

            #[inline(always)]
            fn load(word: &$word, order: Order) -> Self {
                word.load(order)
            }

            #[inline(always)]
            fn store(word: &$word, value: Self, order: Order) {
                word.store(value, order)
            }

            #[inline(always)]
            unsafe fn word<'a>(at: *mut Self) -> &'a $word {
                // SAFETY: By the function's requirement.
                unsafe { <$word>::from_ptr(at) }
            }
        }

        impl Number for $number {
            #[inline(always)]
            fn add(word: &$word, value: Self, order: Order) {
                word.fetch_add(value, order);
            }

            #[inline(always)]
            fn exchange(word: &$word, old: Self, new: Self, order: Order) -> Result<Self, Self> {
                word.compare_exchange(old, new, order, Order::Relaxed)
            }
        }
    };
}

impl_number!(u32, AtomicU32);
impl_number!(u64, AtomicU64);

impl<T: 'static> Value for *const T {
    type Word = AtomicPtr<T>;

    #[inline(always)]
    fn load(word: &AtomicPtr<T>, order: Order) -> Self {
        word.load(order).cast_const()
    }

    #[inline(always)]
    fn store(word: &AtomicPtr<T>, value: Self, order: Order) {
        word.store(value.cast_mut(), order)
    }

    #[inline(always)]
    unsafe fn word<'a>(at: *mut Self) -> &'a AtomicPtr<T> {
        // SAFETY: By the function's requirement.
        unsafe { AtomicPtr::from_ptr(at.cast()) }
    }
}

impl<T> Atomic<T> {
    /// An atomic that holds `value`.
    pub const fn new(value: T) -> Atomic<T> {
        Atomic(UnsafeCell::new(value))
    }

    /// Where the value is.
    #[inline(always)]
    pub const fn as_ptr(&self) -> *mut T {
        self.0.get()
    }
}

impl<T: Value> Atomic<T> {
    #[inline(always)]
    fn word(&self) -> &T::Word {
        // SAFETY: It comes from a reference, and nothing here accesses it otherwise.
        unsafe { T::word(self.as_ptr()) }
    }

    /// The value now.
    #[inline(always)]
    pub fn load<O: Ordering>(&self, _: O) -> T {
        T::load(self.word(), O::ORDER)
    }

    /// Stores `value`.
    #[inline(always)]
    pub fn store<O: Ordering>(&self, value: T, _: O) {
        T::store(self.word(), value, O::ORDER)
    }
}

impl<T: Number> Atomic<T> {
    /// Adds, wrapping.
    #[inline(always)]
    pub fn add<O: Ordering>(&self, value: T, _: O) {
        T::add(self.word(), value, O::ORDER)
    }

    /// Stores `new` if `old` is there; otherwise says what is.
    #[inline(always)]
    pub fn cmpxchg<O: Ordering>(&self, old: T, new: T, _: O) -> Result<T, T> {
        if O::IS_FULL {
            fence(Order::SeqCst);
        }
        let result = T::exchange(self.word(), old, new, O::ORDER);
        if O::IS_FULL {
            fence(Order::SeqCst);
        }
        result
    }
}
