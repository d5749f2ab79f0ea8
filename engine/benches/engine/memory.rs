// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The subjects: the engine's counters, found the way that the kernel finds them, and a counter for each page.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use dmasan_engine::addr::{Pfn, Span};
use dmasan_engine::counts::{Counts, Memory, Section};
use dmasan_engine::geometry::Geometry;
use dmasan_engine::primitive::Word;

/// What is mapped: names, and numbers of 4K pages.
pub(crate) const SIZES: [(&str, u64); 6] = [
    ("4K", 1),
    ("64K", 16),
    ("1M", 256),
    ("2M", 512),
    ("4M", 1024),
    ("1G", 262_144),
];

/// Pages of 4K, sections of 128M.
pub(crate) const GEOMETRY: Geometry = Geometry::new(12, 15);

/// Enough for two spans of 1G that begin a page behind a group's first one.
const SECTIONS: usize = 24;

/// Pages as the IOMMU maps them.
#[inline]
pub(crate) fn span(first: u64, pages: u64) -> Span {
    Span::new(first << 12, pages << 12, 1 << 12, GEOMETRY).expect("these are below 16 EiB")
}

struct Group {
    word: Word,
    is_complete: bool,
    /// Where the sections' counters begin.
    sections: Vec<Option<usize>>,
}

/// A table of groups that have a table of sections that have counters.
///
/// Those are in one piece, so that they can lie in huge pages, as the kernel's memory does.
pub(crate) struct Flat {
    groups: Vec<Group>,
    words: Vec<Word>,
}

impl Flat {
    /// Counters for the first `sections` sections.
    pub(crate) fn new(sections: usize) -> Flat {
        let in_group = 1 << GEOMETRY.group_sections_order();
        let group = |first: usize| {
            let here = in_group.min(sections - first);
            let at = |n| (n < here).then_some((first + n) * GEOMETRY.section_words());
            Group {
                word: Word::new(0),
                is_complete: here == in_group,
                sections: (0..in_group).map(at).collect(),
            }
        };
        // Written, not only allocated: memory that was never written to is one and the same page of zeroes.
        let words = 0..sections * GEOMETRY.section_words();
        Flat {
            groups: (0..sections).step_by(in_group).map(group).collect(),
            words: words.map(|_| Word::new(black_box(0))).collect(),
        }
    }
}

impl Memory for Flat {
    const GEOMETRY: Geometry = GEOMETRY;

    #[inline(always)]
    fn section(&self, number: u64) -> Option<Section<'_>> {
        let order = GEOMETRY.group_sections_order();
        let group = self.groups.get((number >> order) as usize)?;
        let at = *group.sections.get((number & ((1 << order) - 1)) as usize)?;
        Some(Section {
            words: self.words.get(at?..)?.get(..GEOMETRY.section_words())?,
            group: &group.word,
        })
    }

    #[inline(always)]
    fn group(&self, number: u64) -> Option<&Word> {
        let group = self.groups.get(number as usize)?;
        group.is_complete.then_some(&group.word)
    }
}

/// The engine.
pub(crate) struct Engine(Counts<Flat>);

impl Engine {
    pub(crate) fn new() -> Engine {
        Engine(Counts::new(Flat::new(SECTIONS)))
    }

    /// Whole pages, as the kernel counts them.
    #[inline(always)]
    fn count_pages(&self, first: u64, pages: u64, up: bool) {
        if !self.0.count_at_once(Pfn(first), pages, up) {
            self.0.count_pages(Pfn(first), pages, up);
        }
    }

    #[inline(always)]
    pub(crate) fn map_pages(&self, first: u64, pages: u64) {
        self.count_pages(first, pages, true);
    }

    #[inline(always)]
    pub(crate) fn unmap_pages(&self, first: u64, pages: u64) {
        self.count_pages(first, pages, false);
    }
}

impl std::ops::Deref for Engine {
    type Target = Counts<Flat>;

    fn deref(&self) -> &Counts<Flat> {
        &self.0
    }
}

/// One counter for each page, side by side. Less than what the C reference does for each: it looks up a page_ext.
pub(crate) struct PerPage(Vec<AtomicU32>);

impl PerPage {
    pub(crate) fn new() -> PerPage {
        let pages = SECTIONS << GEOMETRY.section_order();
        PerPage((0..pages).map(|_| AtomicU32::new(black_box(0))).collect())
    }

    fn pages(&self, first: u64, pages: u64) -> &[AtomicU32] {
        &self.0[first as usize..][..pages as usize]
    }

    pub(crate) fn map(&self, first: u64, pages: u64) {
        for page in self.pages(first, pages) {
            page.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn unmap(&self, first: u64, pages: u64) {
        for page in self.pages(first, pages) {
            page.fetch_sub(1, Relaxed);
        }
    }

    pub(crate) fn is_clean(&self, first: u64, pages: u64) -> bool {
        let pages = self.pages(first, pages).iter();
        pages.fold(0, |sum, page| sum | page.load(Relaxed)) == 0
    }
}
