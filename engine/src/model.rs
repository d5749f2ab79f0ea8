// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Memory whose counters are ordinary arrays, for tests and for engines outside of a kernel.

#[cfg(not(test))]
extern crate std;

use super::counts::{Memory, Section};
use super::geometry::Geometry;
use super::primitive::Word;
use std::{boxed::Box, collections::BTreeMap};

/// Sections of counters; those not named at creation are holes.
pub struct Array<const PAGE_SHIFT: u32, const SECTION_ORDER: u32> {
    sections: BTreeMap<u64, Box<[Word]>>,
    groups: BTreeMap<u64, Group>,
}

struct Group {
    word: Word,
    sections: u32,
}

impl<const PAGE_SHIFT: u32, const SECTION_ORDER: u32> Array<PAGE_SHIFT, SECTION_ORDER> {
    /// Counters for the sections with these numbers.
    pub fn new(sections: &[u64]) -> Self {
        Array::with(sections, |_| 0)
    }

    /// The same, with counters that start at `start(index in the section's array)`.
    pub fn with(sections: &[u64], start: impl Fn(usize) -> u32) -> Self {
        let mut new = Array {
            sections: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        for &number in sections {
            let words = (0..Self::GEOMETRY.section_words()).map(|at| Word::new(start(at)));
            if new.sections.insert(number, words.collect()).is_none() {
                let group = number >> Self::GEOMETRY.group_sections_order();
                let empty = || Group {
                    word: Word::new(0),
                    sections: 0,
                };
                new.groups.entry(group).or_insert_with(empty).sections += 1;
            }
        }
        new
    }
}

impl<const PAGE_SHIFT: u32, const SECTION_ORDER: u32> Memory for Array<PAGE_SHIFT, SECTION_ORDER> {
    const GEOMETRY: Geometry = Geometry::new(PAGE_SHIFT, SECTION_ORDER);

    fn section(&self, number: u64) -> Option<Section<'_>> {
        Some(Section {
            words: self.sections.get(&number)?,
            group: &self
                .groups
                .get(&(number >> Self::GEOMETRY.group_sections_order()))?
                .word,
        })
    }

    fn group(&self, number: u64) -> Option<&Word> {
        let group = self.groups.get(&number)?;
        let is_complete = group.sections == 1 << Self::GEOMETRY.group_sections_order();
        is_complete.then_some(&group.word)
    }
}
