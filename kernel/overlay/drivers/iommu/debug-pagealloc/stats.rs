// SPDX-License-Identifier: GPL-2.0-only

//! What the sanitizer did, and what it could not do: `/sys/kernel/debug/dmasan/stats`.
//!
//! What an ordinary map, unmap or check adds to is per CPU, and in the shim.

use crate::{
    engine::{counts::Totals, primitive::Long},
    origin,
    sections::{Sections, GEOMETRY},
    COUNTS,
    DIRECT, //
};
use kernel::{bindings, debugfs::Dir, fmt, prelude::*};

/// Counters of rare events.
pub(crate) struct Stats {
    /// Reports printed.
    pub(crate) findings: Long,
    /// Events that belong to the report before and were not printed again.
    pub(crate) continued: Long,
    /// Bugs that had been reported before, by class, site and site of the map.
    pub(crate) repeated: Long,
    /// Findings of other drivers than the one that was asked for.
    pub(crate) filtered: Long,
    /// Events that could not be reported because another report was being printed for too long, or
    /// by the same task.
    pub(crate) turned_away: Long,
    /// Pages that a map covered and that have no counters: MMIO, offline memory.
    pub(crate) skipped: Long,
    /// Ranges whose last byte is beyond the last address.
    pub(crate) bad_ranges: Long,
    /// Unmaps that removed more than they were asked for.
    pub(crate) over_unmaps: Long,
    /// Unmaps that removed less than they were asked for.
    pub(crate) short_unmaps: Long,
    /// Parts of unmaps that were not mapped, as far as could be told.
    pub(crate) untranslated: Long,
    /// Maps that failed, and were taken back.
    pub(crate) failed_maps: Long,
    /// Domains of their own that drivers freed with something mapped in them.
    pub(crate) freed_mapped: Long,
    /// Unmaps that did not wait for their invalidation, as there was no room.
    pub(crate) not_waited: Long,
}

/// The counters of this boot.
pub(crate) static STATS: Stats = Stats {
    findings: Long::new(0),
    continued: Long::new(0),
    repeated: Long::new(0),
    filtered: Long::new(0),
    turned_away: Long::new(0),
    skipped: Long::new(0),
    bad_ranges: Long::new(0),
    over_unmaps: Long::new(0),
    short_unmaps: Long::new(0),
    untranslated: Long::new(0),
    failed_maps: Long::new(0),
    freed_mapped: Long::new(0),
    not_waited: Long::new(0),
};

/// What the counters of one section take.
const COUNTER_BYTES: i64 = (GEOMETRY.section_words() * size_of::<u32>()) as i64;

impl Stats {
    /// Counts, and the first time prints, a range that cannot be.
    #[cold]
    pub(crate) fn bad_range(&self, start: u64, size: usize) {
        if self.bad_ranges.load() == 0 {
            pr_warn!("range {start:#x}+{size:#x} passes the last address, not counted\n");
        }
        self.bad_ranges.add(1);
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut totals = Totals::default();
        let mut sections = 0;
        for section in (0..Sections.end()).filter_map(|number| COUNTS.section_totals(number)) {
            totals.add(&section);
            sections += 1;
            // SAFETY: Reading a file, nothing is locked.
            unsafe { bindings::iommu_debug_resched() };
        }
        let (direct_ranges, direct_pages) = DIRECT.totals();
        // SAFETY: Any context.
        let traffic = unsafe { bindings::iommu_debug_traffic_sum() };
        let rows: [(&str, i64); 27] = [
            ("maps", traffic.maps as i64),
            ("mapped_bytes", traffic.mapped as i64),
            ("unmaps", traffic.unmaps as i64),
            ("unmapped_bytes", traffic.unmapped as i64),
            ("checks", traffic.checks as i64),
            ("findings", self.findings.load() as i64),
            ("findings_continued", self.continued.load() as i64),
            ("findings_repeated", self.repeated.load() as i64),
            ("findings_filtered", self.filtered.load() as i64),
            ("findings_turned_away", self.turned_away.load() as i64),
            ("pages_mapped", totals.mapped as i64),
            ("pages_negative", totals.negative as i64),
            ("pages_reported", totals.reported as i64),
            ("sum_of_counts", totals.units),
            ("direct_ranges", direct_ranges as i64),
            ("direct_pages", direct_pages as i64),
            ("direct_ranges_widened", DIRECT.widened() as i64),
            ("skipped_no_page", self.skipped.load() as i64),
            ("bad_ranges", self.bad_ranges.load() as i64),
            ("failed_maps", self.failed_maps.load() as i64),
            ("over_unmaps", self.over_unmaps.load() as i64),
            ("short_unmaps", self.short_unmaps.load() as i64),
            ("untranslated_unmaps", self.untranslated.load() as i64),
            ("domains_freed_mapped", self.freed_mapped.load() as i64),
            ("stale_not_waited", self.not_waited.load() as i64),
            ("sections", sections),
            ("counter_bytes", sections * COUNTER_BYTES),
        ];
        let origin = origin::get().map(|origin| origin.stats());
        let rows = Iterator::chain(rows.into_iter(), origin.into_iter().flatten());
        for (name, value) in rows {
            writeln!(f, "{name}: {value}")?;
        }
        Ok(())
    }
}

/// Creates the debugfs file, for good.
pub(crate) fn publish() -> Result {
    let dir = Dir::new(c"dmasan");
    let file = KBox::pin_init(
        dir.read_callback_file(c"stats", (), &|(): &(), f: &mut fmt::Formatter<'_>| {
            STATS.show(f)
        }),
        GFP_KERNEL,
    )?;
    // The file is there as long as the kernel is.
    core::mem::forget(file);
    core::mem::forget(dir);
    Ok(())
}
