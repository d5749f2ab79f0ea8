// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Live DMA mappings by the memory they reach: who mapped it.
//!
//! Two structures answer "is any of these bytes mapped?". The [`Filter`] says "no" after two loads,
//! and is never wrong then. Otherwise the [`Place`]s of the mappings are looked through: they are
//! filed by the block of memory that they begin in, where a block is at least as large as the
//! mapping. So those that reach into a range begin in its blocks, or in the one before.

use super::primitive::Word;

/// Multiplies by 2^64 / the golden ratio: the upper bits of the product depend on all of `hash`.
pub const fn mix(hash: u64) -> u64 {
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The sizes of blocks: 4K, 32K, 256K, ..., 8G, and all there is.
const CLASSES: usize = 9;
const SMALLEST: u32 = 12;
const STEP: u32 = 3;

/// Where a mapping is, in physical memory; a range of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The first byte.
    pub phys: u64,
    /// Number of bytes, at least 1.
    pub size: u64,
    /// What it belongs to, in the caller's terms.
    pub id: u64,
}

impl Place {
    /// The last byte; an impossible range ends with the address space.
    pub fn last(&self) -> u64 {
        self.phys.saturating_add(self.size.max(1) - 1)
    }

    /// Whether any byte of `first..=last` is in it.
    pub fn overlaps(&self, first: u64, last: u64) -> bool {
        self.phys <= last && first <= self.last()
    }

    /// What it is filed under.
    pub fn key(&self) -> Key {
        let class = class(self.size);
        Key {
            class,
            block: block(class, self.phys),
        }
    }
}

/// What a [`Place`] is filed under: a block of memory of one of the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    class: usize,
    block: u64,
}

impl Key {
    /// The number of its size, below [`Population::CLASSES`].
    pub fn class(self) -> usize {
        self.class
    }

    /// A number to hash by.
    pub fn hash(self) -> u64 {
        // Block numbers have at most 52 bits.
        self.block << 4 | self.class as u64
    }
}

fn class(size: u64) -> usize {
    let order = 64 - size.max(1).wrapping_sub(1).leading_zeros();
    (order.saturating_sub(SMALLEST).div_ceil(STEP) as usize).min(CLASSES - 1)
}

fn block(class: usize, address: u64) -> u64 {
    if class == CLASSES - 1 {
        0
    } else {
        address >> (SMALLEST + STEP * class as u32)
    }
}

/// How many places there are of each class, so that empty ones are not looked through.
pub struct Population([Word; CLASSES]);

impl Population {
    /// Number of classes.
    pub const CLASSES: usize = CLASSES;

    /// None yet.
    #[allow(clippy::new_without_default)] // The atomics have no default either.
    pub const fn new() -> Population {
        Population([const { Word::new(0) }; CLASSES])
    }

    /// Counts a place in, before it is filed.
    pub fn add(&self, key: Key) {
        self.change(key, 1);
    }

    /// Counts a place out, after it is gone.
    pub fn remove(&self, key: Key) {
        self.change(key, 1u32.wrapping_neg());
    }

    fn change(&self, key: Key, by: u32) {
        if let Some(word) = self.0.get(key.class) {
            word.add(by);
        }
    }

    /// Every key that a place which overlaps `first..=last` may be filed under.
    pub fn keys(&self, first: u64, last: u64) -> impl Iterator<Item = Key> + '_ {
        let live = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, word)| word.load() != 0);
        live.flat_map(move |(class, _)| {
            let begin = block(class, first).saturating_sub(1);
            (begin..=block(class, last)).map(move |block| Key { class, block })
        })
    }
}

/// Counters, hashed by page: how many mappings reach there.
pub struct Filter<'a> {
    pages: &'a [Word],
    huge: &'a Word,
}

/// Mappings of more bytes are not counted by page, but together.
const HUGE: u64 = 4 << 20;

impl<'a> Filter<'a> {
    /// Logarithm of the bytes that a counter is for: 4K, which need not be the size of pages.
    pub const SHIFT: u32 = 12;

    /// A filter of these counters, which all have to be 0. The number of `pages` has to be a power
    /// of two, and at least one for each page of the largest mapping that is counted by page. The
    /// more there are, the fewer pages share one.
    pub const fn new(pages: &'a [Word], huge: &'a Word) -> Filter<'a> {
        Filter { pages, huge }
    }

    /// `size` bytes at `address` get mapped.
    pub fn add(&self, address: u64, size: u64) {
        self.change(address, size, 1);
    }

    /// They are no longer.
    pub fn remove(&self, address: u64, size: u64) {
        self.change(address, size, 1u32.wrapping_neg());
    }

    fn change(&self, address: u64, size: u64, by: u32) {
        if size > HUGE {
            self.huge.add(by);
            return;
        }
        self.counters(address, size).for_each(|word| word.add(by));
    }

    /// Whether any of `size` bytes at `address` may be mapped; if not, none is.
    pub fn may_be_mapped(&self, address: u64, size: u64) -> bool {
        self.huge.load() != 0 || self.counters(address, size).any(|word| word.load() != 0)
    }

    /// The counters of these bytes, each once.
    fn counters(&self, address: u64, size: u64) -> impl Iterator<Item = &Word> {
        let last = address.saturating_add(size.max(1) - 1);
        let first = address >> Self::SHIFT;
        let more = (last >> Self::SHIFT) - first;
        let mask = self.pages.len().wrapping_sub(1);
        (0..=more.min(mask as u64))
            .filter_map(move |i| self.pages.get(first.wrapping_add(i) as usize & mask))
    }
}
