// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The last so many values, in memory of fixed size.

use core::ops::DerefMut;

/// A ring of values: a new one takes the place of the oldest.
#[derive(Debug)]
pub struct Ring<S> {
    slots: S,
    /// Where the next value goes.
    next: usize,
    /// How many slots hold a value.
    len: usize,
}

impl<T, S> Ring<S>
where
    T: Copy + 'static,
    S: DerefMut<Target = [T]>,
{
    /// An empty ring with room for as many values as there are `slots`; none is fine.
    pub fn new(slots: S) -> Ring<S> {
        Ring {
            slots,
            next: 0,
            len: 0,
        }
    }

    /// Puts a value in, to be written to where this says; the oldest goes if there is no more room.
    /// `None`: there never is.
    pub fn push(&mut self) -> Option<&mut T> {
        let room = self.slots.len();
        let slot = self.slots.get_mut(self.next)?;
        self.next += 1;
        self.len = self.len.max(self.next);
        if self.next == room {
            self.next = 0;
        }
        Some(slot)
    }

    /// The values, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let (new, old) = self.slots.split_at(self.next.min(self.slots.len()));
        let old = old.get(..self.len - new.len().min(self.len)).unwrap_or(&[]);
        new.iter().rev().chain(old.iter().rev())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest() {
        for room in 0..5usize {
            let mut ring = Ring::new(vec![0; room]);
            for value in 1..=12usize {
                if let Some(slot) = ring.push() {
                    *slot = value;
                }
                let expected: Vec<_> = (1..=value).rev().take(room).collect();
                assert_eq!(ring.iter().copied().collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn an_empty_one_has_nothing() {
        assert_eq!(Ring::new(vec![7u8; 3]).iter().count(), 0);
    }
}
