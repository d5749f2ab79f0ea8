// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A hash table in memory of fixed size: what is full stays full, and nothing is allocated.
//!
//! The caller supplies the memory and the lock.

use super::origin::mix;
use core::ops::DerefMut;

/// "No node": links are indices plus one, so that zeroed memory is an empty table.
const NONE: u32 = 0;

/// In the link of a node that holds no value any more.
const FREE: u32 = 1 << 31;

/// A value in a [`Chains`], or room for one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Node<T> {
    next: u32,
    value: T,
}

/// Values by hash. Several may have the same hash, and even be equal.
#[derive(Debug)]
pub struct Chains<H, N> {
    heads: H,
    nodes: N,
    /// Nodes that were taken out, linked by `next`.
    free: u32,
    /// How many nodes were ever in use: those behind are free too, and have never been linked.
    fresh: u32,
    len: u32,
    peak: u32,
}

impl<T, H, N> Chains<H, N>
where
    T: Copy + 'static,
    H: DerefMut<Target = [u32]>,
    N: DerefMut<Target = [Node<T>]>,
{
    /// An empty table. All `heads` have to be 0, and there should be about as many as `nodes`; a
    /// table without any takes nothing.
    pub fn new(heads: H, nodes: N) -> Chains<H, N> {
        Chains {
            heads,
            nodes,
            free: NONE,
            fresh: 0,
            len: 0,
            peak: 0,
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// The most values that there ever were.
    pub fn peak(&self) -> usize {
        self.peak as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts `value` in, unless the table is full; tells where it is until it is taken out.
    pub fn insert(&mut self, hash: u64, value: T) -> Option<u32> {
        let bucket = self.bucket(hash)?;
        let head = self.heads.get_mut(bucket)?;
        let slot = if self.free != NONE {
            let slot = self.free - 1;
            self.free = self.nodes.get(slot as usize)?.next & !FREE;
            slot
        } else {
            self.fresh
        };
        let node = self.nodes.get_mut(slot as usize)?;
        node.next = *head;
        node.value = value;
        if slot == self.fresh {
            self.fresh += 1;
        }
        *head = slot + 1;
        self.len += 1;
        self.peak = self.peak.max(self.len);
        Some(slot)
    }

    /// The values with this hash, and others that share their chain; the newest first.
    pub fn entries(&self, hash: u64) -> impl Iterator<Item = (u32, &T)> {
        let head = self.bucket(hash).and_then(|bucket| self.heads.get(bucket));
        self.follow(head.copied().unwrap_or(NONE))
    }

    /// The value that is at `slot`, if it has not been taken out.
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let node = self.nodes.get_mut(slot as usize)?;
        (node.next & FREE == 0).then_some(&mut node.value)
    }

    /// Where the value of the chain is that `rank` likes best; none that it gives 0. It gives
    /// `most` at most: what gets that is not compared with others.
    pub fn best(&self, hash: u64, most: u32, mut rank: impl FnMut(&T) -> u32) -> Option<u32> {
        let mut best = (0, None);
        for (slot, value) in self.entries(hash) {
            let rank = rank(value);
            if rank > best.0 {
                best = (rank, Some(slot));
            }
            if rank >= most {
                break;
            }
        }
        best.1
    }

    /// Takes out a value of the chain that `is_it` says yes to; the newest of them.
    pub fn take(&mut self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<(u32, &T)> {
        let slot = self.best(hash, 1, |value| u32::from(is_it(value)))?;
        Some((slot, self.remove(hash, slot)?))
    }

    /// Takes out the value at `slot`; none if it is not in this chain.
    pub fn remove(&mut self, hash: u64, slot: u32) -> Option<&T> {
        self.unlink(hash, slot)?;
        Some(&self.nodes.get(slot as usize)?.value)
    }

    /// A value that `is_it` says yes to; any of them.
    pub fn find(&self, is_it: impl Fn(&T) -> bool) -> Option<&T> {
        let chains = self.heads.iter().flat_map(|&head| self.follow(head));
        chains.map(|(_, value)| value).find(|value| is_it(value))
    }

    /// Calls `each` with all values.
    pub fn for_each(&mut self, mut each: impl FnMut(&mut T)) {
        for bucket in 0..self.heads.len() {
            let mut link = self.heads.get(bucket).copied().unwrap_or(NONE);
            while let Some(node) = link
                .checked_sub(1)
                .and_then(|slot| self.nodes.get_mut(slot as usize))
            {
                link = node.next;
                each(&mut node.value);
            }
        }
    }

    fn follow(&self, mut link: u32) -> impl Iterator<Item = (u32, &T)> {
        core::iter::from_fn(move || {
            let slot = link.checked_sub(1)?;
            let node = self.nodes.get(slot as usize)?;
            link = node.next;
            Some((slot, &node.value))
        })
    }

    fn unlink(&mut self, hash: u64, slot: u32) -> Option<()> {
        let bucket = self.bucket(hash)?;
        let next = self.nodes.get(slot as usize)?.next;
        let mut link = *self.heads.get(bucket)?;
        if link == slot + 1 {
            *self.heads.get_mut(bucket)? = next;
        } else {
            loop {
                let node = self.nodes.get_mut(link.checked_sub(1)? as usize)?;
                if node.next == slot + 1 {
                    node.next = next;
                    break;
                }
                link = node.next;
            }
        }
        self.nodes.get_mut(slot as usize)?.next = self.free | FREE;
        self.free = slot + 1;
        self.len -= 1;
        Some(())
    }

    fn bucket(&self, hash: u64) -> Option<usize> {
        let mixed = mix(hash) >> 32;
        // An integer of 32 bits times the length, so no division.
        Some(((mixed * self.heads.len() as u64) >> 32) as usize).filter(|_| !self.heads.is_empty())
    }
}
