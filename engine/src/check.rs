// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is a finding: every rule by which a page that is allocated or freed is reported, or is not.

use super::addr::Pfn;
use super::counts::{Counts, Look, Memory};
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

    /// Reads the state of one page with `look`, and tells whether the page is to be reported.
    ///
    /// If the registry is changed meanwhile, it is not: a missed finding is better than a false
    /// one, and the page is looked at again when it is next allocated or freed. A page of a
    /// registered range is a finding only if it is mapped more often than meant; a count that is
    /// too low there may be one that another CPU is just changing.
    pub(super) fn judge(
        &self,
        pfn: Pfn,
        look: impl FnOnce() -> Option<Look>,
    ) -> Option<(Look, bool)> {
        let mark = self.0.map(|direct| direct.begin());
        let look = look()?;
        let is_finding = look.count != 0
            && match (self.0, mark) {
                (Some(direct), Some(mark)) => match direct.covering(pfn, mark) {
                    Some(0) => true,
                    Some(intended) => look.count > 0 && look.count as u32 > intended,
                    None => false,
                },
                _ => true,
            };
        Some((look, is_finding))
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
        let Some((look, is_finding)) = intent.judge(pfn, || counts.look(pfn)) else {
            continue;
        };
        if look.count == 0 && look.reported {
            counts.forget_report(pfn);
        }
        if !is_finding {
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
