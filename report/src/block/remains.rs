// SPDX-License-Identifier: GPL-2.0-only
//! What is left of a report of ours in a log that begins below its title.

use super::{clip, Block, Next, Stage};
use crate::class::Class;
use crate::facts::facts;
use crate::line::Line;
use crate::mapping::remark;
use crate::model::{CutBy, Origin};
use crate::ranges::{is_indented, range};
use crate::{owner, symbol};
use dmasan_engine::mapped_at::{MAPPED_AT, UNBOUND_AT};
use dmasan_engine::report::{Event, DOMAIN_FREED, RULER, STILL_MAPPED};
use dmasan_engine::unmapped_at::UNMAPPED_AT;

impl Block {
    /// Begins with a heading of ours, if the line is one: for a log that begins below the title.
    pub(crate) fn remains(line: &Line<'_>) -> Option<Block> {
        if !is_heading(line.text) {
            return None;
        }
        let class = match line.text.trim_end() {
            STILL_MAPPED | DOMAIN_FREED => Class::DomainLeak,
            UNBOUND_AT => Class::UnbindLeak,
            _ => Class::Other("unknown".to_owned()),
        };
        let mut block = Block::empty(line, Origin::Dmasan, class, Stage::Remains);
        block.finding.title = clip(line.text.trim_end());
        block.truncate(CutBy::LogStart, line.number);
        block.keep(line.text);
        block.body(line.text);
        Some(block)
    }

    /// Below a heading of ours in a log that begins there. Others end their reports with process and ruler too
    /// (KFENCE), and print what page owner says (KASAN, bad pages): no line that we do not write may be among these.
    pub(super) fn feed_remains(&mut self, line: &Line<'_>) -> Next {
        let text = line.text;
        let (frame, of_owner) = (symbol::frame(text).is_some(), owner::is_owner(text));
        if self.finding.process.is_some() {
            // By its exact length: that of others may differ.
            if text.trim_end() == RULER {
                self.keep(text);
                self.stage = Stage::Ours;
                return Next::Done;
            }
            const AFTER: [&str; 4] = ["Tainted: ", "Hardware name: ", "Workqueue: ", "Stopper: "];
            if !AFTER.iter().any(|begin| text.starts_with(begin)) {
                return Next::NotMine;
            }
        } else if let Some(heading) = self.finding.raw.last().filter(|last| is_heading(last)) {
            let follows = match heading.trim_end() {
                PAGE_OWNER => of_owner,
                STILL_MAPPED => range(text).is_some(),
                MAPPED_AT => is_mapping_facts(text),
                UNMAPPED_AT => frame || is_mapping_facts(text),
                _ => frame,
            };
            if !follows {
                return Next::NotMine;
            }
        } else if !(frame
            || self.lists_ranges() && (range(text).is_some() || text.trim_end() == DOMAIN_FREED)
            || of_owner && self.finding.page_owner.is_some()
            || text.trim().is_empty()
            || matches!(text.trim_end(), PAGE_OWNER | MAPPED_AT)
            || text.trim_end() == UNMAPPED_AT && !self.finding.mappings.is_empty()
            || remark(text).is_some()
            || text.starts_with("CPU: ") && text.contains(" Comm: "))
        {
            return Next::NotMine;
        }
        self.keep(text);
        self.body(text);
        Next::More
    }

    /// Ranges were read, and no stack yet.
    fn lists_ranges(&self) -> bool {
        !self.finding.ranges.is_empty() && self.finding.stacks.is_empty()
    }
}

/// The line above what page owner says, in a report of ours.
const PAGE_OWNER: &str = "page owner:";

/// A line that only a report of ours has, above its ranges, its stacks, its mappings or what page owner says.
fn is_heading(text: &str) -> bool {
    const HEADINGS: [&str; 8] = [
        Event::Free.heading(),
        Event::Alloc.heading(),
        STILL_MAPPED,
        DOMAIN_FREED,
        MAPPED_AT,
        UNMAPPED_AT,
        UNBOUND_AT,
        PAGE_OWNER,
    ];
    HEADINGS.contains(&text.trim_end())
}

/// The line below the heading of a mapping, or of its end.
fn is_mapping_facts(text: &str) -> bool {
    !is_indented(text) && facts(text).is_some()
}
