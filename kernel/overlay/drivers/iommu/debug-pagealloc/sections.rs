// SPDX-License-Identifier: GPL-2.0-only

//! The counters' home: one array for each memory section, and the table that finds them.
//!
//! Not page_ext, although it is made for data of pages: page_ext is freed when memory goes offline,
//! and comes back zeroed. A page may be mapped all the while, if its mapping was leaked; its count
//! would be gone, and the unmap that comes late would make a negative one. These arrays stay. Being
//! never freed they need no lock and no RCU, and they hold the counters of neighbouring pages side
//! by side.

use crate::{
    engine::{
        counts::{Memory, Section},
        geometry::Geometry, //
    },
    primitive::{Long, Pointer, Word}, //
};
use kernel::{bindings, ffi::c_ulong, prelude::*};

/// The shape of this kernel's memory.
pub(crate) const GEOMETRY: Geometry =
    Geometry::new(bindings::PAGE_SHIFT, bindings::PFN_SECTION_SHIFT);

const GROUP_SECTIONS: usize = 1 << GEOMETRY.group_sections_order();

/// The counters of one section; zeroes are valid.
type Counters = [Word; GEOMETRY.section_words()];

/// Sections that have one counter more in common.
struct Group {
    word: Word,
    /// How many of the sections have no counters.
    missing: Long,
    sections: [Pointer<Counters>; GROUP_SECTIONS],
}

/// All groups, by number.
struct Table {
    groups: KVec<Pointer<Group>>,
}

/// The table in use, null before the first one. No table, group or counter is ever freed, so a
/// reader needs nothing to keep them alive.
static TABLE: Pointer<Table> = Pointer::null();

/// The counters of all sections.
pub(crate) struct Sections;

impl Memory for Sections {
    const GEOMETRY: Geometry = GEOMETRY;

    #[inline(always)]
    fn section(&self, number: u64) -> Option<Section<'_>> {
        let group = group(number as usize / GROUP_SECTIONS)?;
        let words = group
            .sections
            .get(number as usize % GROUP_SECTIONS)?
            .get()?;
        Some(Section {
            words,
            group: &group.word,
        })
    }

    #[inline(always)]
    fn group(&self, number: u64) -> Option<&Word> {
        let group = group(number as usize)?;
        (group.missing.peek() == 0).then_some(&group.word)
    }
}

#[inline(always)]
fn group(number: usize) -> Option<&'static Group> {
    TABLE.get()?.groups.get(number)?.get()
}

impl Sections {
    /// One more than the largest number of a section that may have counters.
    pub(crate) fn end(&self) -> u64 {
        TABLE
            .get()
            .map_or(0, |table| (table.groups.len() * GROUP_SECTIONS) as u64)
    }

    /// Gives the sections that the pages `first..end` lie in counters.
    ///
    /// Returns how many pages may remain without. Sleeps; calls exclude each other.
    pub(crate) fn add_pages(&self, first: usize, end: usize) -> usize {
        let order = GEOMETRY.section_order();
        let last = end.saturating_sub(1) >> order;
        let missing = (first >> order..=last).filter(|&number| add(number).is_err());
        missing.count() << order
    }

    /// Gives all memory that there is at boot counters; returns how many pages remain without.
    ///
    /// Sleeps; called once, before there is hotplug.
    pub(crate) fn add_present(&self) -> usize {
        // SAFETY: Only hotplug changes it.
        let highest = unsafe { bindings::__highest_present_section_nr };
        // SAFETY: Any number is allowed.
        let present = |number: &usize| unsafe { bindings::iommu_debug_present(*number as c_ulong) };
        let missing = (0..=highest)
            .filter(present)
            .filter(|&number| add(number).is_err());
        missing.count() << GEOMETRY.section_order()
    }
}

/// Gives section `number` counters, unless it has some. Sleeps; calls exclude each other.
fn add(number: usize) -> Result {
    let group = add_group(number / GROUP_SECTIONS)?;
    let section = group.sections.get(number % GROUP_SECTIONS).ok_or(EINVAL)?;
    if section.get().is_some() {
        return Ok(());
    }
    // SAFETY: May sleep here.
    let counters =
        unsafe { bindings::iommu_debug_alloc_counters(number as c_ulong, size_of::<Counters>()) };
    // SAFETY: It is null, or points to zeroed memory of this size, aligned to pages, which is ours
    // for good; zeroes are valid counters, and all access is atomic.
    section.set(unsafe { counters.cast::<Counters>().as_ref() }.ok_or(ENOMEM)?);
    // After that, as a release: who sees that none is missing, sees them all.
    group.missing.store(group.missing.load() - 1);
    Ok(())
}

/// Group `number`, which is made if there is none. Sleeps; calls exclude each other.
fn add_group(number: usize) -> Result<&'static Group> {
    if let Some(group) = group(number) {
        return Ok(group);
    }
    grow(number.checked_add(1).ok_or(ENOMEM)?)?;
    let place = TABLE.get().and_then(|table| table.groups.get(number));
    let new = Group {
        word: Word::new(0),
        missing: Long::new(GROUP_SECTIONS as u64),
        sections: [const { Pointer::null() }; GROUP_SECTIONS],
    };
    let group: &Group = KBox::leak(KBox::new(new, GFP_KERNEL)?);
    place.ok_or(ENOMEM)?.set(group);
    Ok(group)
}

/// Makes room for the groups below `end`. Sleeps; calls exclude each other.
fn grow(end: usize) -> Result {
    let old = TABLE.get();
    if old.is_some_and(|table| end <= table.groups.len()) {
        return Ok(());
    }
    // Hotplug adds one after the other: leave room, for what is outgrown is lost.
    let end = end.checked_next_power_of_two().ok_or(ENOMEM)?;
    let mut groups = KVec::with_capacity(end, GFP_KERNEL)?;
    for number in 0..end {
        groups.push(Pointer::to(group(number)), GFP_KERNEL)?;
    }
    TABLE.set(KBox::leak(KBox::new(Table { groups }, GFP_KERNEL)?));
    Ok(())
}
