// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is a finding: every rule by which a page that is allocated or freed is reported, or is not.

use super::addr::Pfn;
use super::counts::{Counts, Memory};
use super::direct::Direct;

/// Mappings that are meant to stay, whatever happens to the page.
///
/// Firmware asks for some ranges to be mapped 1:1 (RESV_DIRECT: RMRR, IVMD, the 0-16M of an ISA
/// bridge); they may be ordinary memory. A page is a finding only for mappings beyond these.
pub struct Intent<'a>(Option<&'a dyn Direct>);

impl<'a> Intent<'a> {
    /// No such mappings.
    pub const NONE: Intent<'static> = Intent(None);

    /// The mappings registered in `direct`.
    pub fn new(direct: &'a dyn Direct) -> Intent<'a> {
        Intent(Some(direct))
    }

    /// Whether a page with this mapping count is to be reported.
    ///
    /// If the registry is being changed just now, the answer is no: a missed finding is better than
    /// a false one, and the page is looked at again when it is next allocated or freed.
    pub fn is_finding(&self, pfn: Pfn, count: i32) -> bool {
        if count == 0 {
            return false;
        }
        match self.0 {
            None => true,
            Some(direct) => direct
                .covering(pfn)
                .is_some_and(|intended| count < 0 || count as u32 > intended),
        }
    }
}

/// Pages of one alloc or free that are to be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// How many pages of the event are a finding.
    pub mapped: u64,
    /// The first of them.
    pub first: Pfn,
    /// The last of them.
    pub last: Pfn,
    /// The mapping count of the first one; negative after an unmap too many.
    pub count: i32,
}

/// Looks at `pages` pages from `first` that are being allocated or freed.
///
/// `None` if none is a finding, or if all that are have been reported already and stayed mapped
/// since: one bug is one report, not one for each reuse of the page. The mark of a page that was
/// reported and has been unmapped since is cleared, so that the next bug with it is reported again.
pub fn inspect<M: Memory>(
    counts: &Counts<M>,
    first: Pfn,
    pages: u64,
    intent: &Intent<'_>,
) -> Option<Hit> {
    let mut hit: Option<Hit> = None;
    let mut news = false;
    for pfn in (first.0..).take(pages as usize).map(Pfn) {
        let Some(look) = counts.look(pfn) else {
            continue;
        };
        if look.count == 0 {
            if look.reported {
                counts.forget_report(pfn);
            }
            continue;
        }
        if !intent.is_finding(pfn, look.count) {
            continue;
        }
        news |= !look.reported;
        let found = hit.get_or_insert(Hit {
            mapped: 0,
            first: pfn,
            last: pfn,
            count: look.count,
        });
        found.mapped += 1;
        found.last = pfn;
    }
    hit.filter(|_| news)
}
