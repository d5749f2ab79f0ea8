// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A few values in memory of fixed size, in no order.

use core::ops::DerefMut;

/// Values in no order.
#[derive(Debug)]
pub struct Bag<S> {
    slots: S,
    len: usize,
}

impl<S> Bag<S> {
    /// An empty bag with room for as many values as there are `slots`.
    pub const fn new(slots: S) -> Bag<S> {
        Bag { slots, len: 0 }
    }
}

impl<T, S> Bag<S>
where
    T: Copy + 'static,
    S: DerefMut<Target = [T]>,
{
    /// Puts `value` in; gives it back if there is no room.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        let slot = self.slots.get_mut(self.len).ok_or(value)?;
        *slot = value;
        self.len += 1;
        Ok(())
    }

    /// Takes out a value that `is_it` says yes to; any of them.
    pub fn take(&mut self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        let at = self.iter().position(is_it)?;
        let value = *self.slots.get(at)?;
        let last = *self.slots.get(self.len - 1)?;
        *self.slots.get_mut(at)? = last;
        self.len -= 1;
        Some(value)
    }

    /// The values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().take(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_in_and_out() {
        let mut bag = Bag::new(vec![0; 3]);
        assert_eq!(bag.take(|_| true), None);
        for value in 1..=3 {
            assert_eq!(bag.push(value), Ok(()));
        }
        assert_eq!(bag.push(4), Err(4));
        assert_eq!(bag.take(|&v| v == 1), Some(1));
        assert_eq!(bag.take(|&v| v == 1), None);
        assert_eq!(bag.push(5), Ok(()));
        let mut left: Vec<_> = bag.iter().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [2, 3, 5]);
        while bag.take(|_| true).is_some() {}
        assert_eq!(bag.iter().count(), 0);
    }
}
