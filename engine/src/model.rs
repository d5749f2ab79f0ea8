// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Memory whose counters are ordinary arrays, for tests and for engines outside of a kernel.

#[cfg(not(test))]
extern crate std;

use super::counts::{Memory, Section, Slot};
use super::geometry::Geometry;
use std::{boxed::Box, collections::BTreeMap};

/// Sections of counters; those not named at creation are holes.
pub struct Array {
    sections: BTreeMap<u64, Box<[Slot]>>,
}

impl Array {
    /// Counters for the sections with these numbers.
    pub fn new(geometry: Geometry, sections: &[u64]) -> Array {
        let make = || (0..geometry.section_pages()).map(|_| Slot::new()).collect();
        Array {
            sections: sections.iter().map(|&number| (number, make())).collect(),
        }
    }
}

/// The counters of one section of an [`Array`].
pub struct Slots<'a>(&'a [Slot]);

impl Section for Slots<'_> {
    fn slot(&self, index: usize) -> &Slot {
        &self.0[index]
    }
}

impl Memory for Array {
    type Section<'a> = Slots<'a>;

    fn section(&self, number: u64) -> Option<Slots<'_>> {
        self.sections.get(&number).map(|slots| Slots(slots))
    }
}
