// SPDX-License-Identifier: GPL-2.0-only
//! The sections of a report that tell where memory was mapped and where that ended, and the report's remarks.

use super::{clip, Block, Section, Stage, MAX_FACTS, MAX_FRAMES};
use crate::facts::facts;
use crate::mapping::{of_device, remark, title, Ended, Mapping, Remark};
use crate::model::{Facts, Frame};
use crate::ranges::is_indented;
use dmasan_engine::mapped_at::MAPPED_AT;
use dmasan_engine::unmapped_at::UNMAPPED_AT;

/// Bounds of what is kept of one report.
const MAX_MAPPINGS: usize = 64;
const MAX_NOTES: usize = 16;

/// What the next lines tell of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Where it was made.
    Begin,
    /// Where it ended.
    End,
    /// Nothing that is kept: it is one too many.
    Skipped,
}

impl Block {
    /// Takes a line of such a section in, except frames. False: it is something else.
    pub(super) fn mapped(&mut self, text: &str) -> bool {
        // The reference has nothing of this.
        if !matches!(self.stage, Stage::Ours | Stage::Remains) {
            return false;
        }
        match (text.trim_end(), self.section) {
            (MAPPED_AT, _) => self.begin_mapping(),
            (UNMAPPED_AT, Section::Mapping(_)) => self.end_mapping(),
            _ if is_indented(text) => return self.said(text),
            _ => return self.mapping_facts(text) || self.remark(text) || self.said(text),
        }
        true
    }

    fn begin_mapping(&mut self) {
        let full = self.finding.mappings.len() >= MAX_MAPPINGS;
        self.section = Section::Mapping(if full { Part::Skipped } else { Part::Begin });
        if !full {
            self.finding.mappings.push(Mapping::default());
        }
    }

    fn end_mapping(&mut self) {
        if self.section != Section::Mapping(Part::Begin) {
            return;
        }
        self.section = Section::Mapping(Part::End);
        if let Some(mapping) = self.finding.mappings.last_mut() {
            mapping.ended = Some(Ended::default());
        }
    }

    /// The facts below a heading. Others in a section belong to nothing.
    fn mapping_facts(&mut self, text: &str) -> bool {
        let text = clip(text);
        let Some(pairs) = facts(&text) else {
            return false;
        };
        if self.is_end_without_begin() {
            self.finding.stacks.pop();
            self.begin_mapping();
            self.end_mapping();
        }
        let Section::Mapping(part) = self.section else {
            return false;
        };
        if let Some((facts, frames)) = self.open_mapping(part) {
            if facts.is_empty() && frames.is_empty() {
                let pairs = pairs.into_iter().take(MAX_FACTS);
                pairs.for_each(|(key, value)| facts.add(key, value));
            }
        }
        true
    }

    /// The last heading looked like that of a stack, but facts follow: a mapping ended whose begin the log does not show.
    fn is_end_without_begin(&self) -> bool {
        let is_end = |heading: &str| heading == title(UNMAPPED_AT);
        let last = self.finding.stacks.last();
        self.section == Section::Stack
            && last.is_some_and(|stack| is_end(&stack.title) && stack.frames.is_empty())
    }

    /// What is read of the last mapping.
    fn open_mapping(&mut self, part: Part) -> Option<(&mut Facts, &mut Vec<Frame>)> {
        let mapping = self.finding.mappings.last_mut()?;
        match part {
            Part::Begin => Some((&mut mapping.facts, &mut mapping.frames)),
            Part::End => {
                let ended = mapping.ended.as_mut()?;
                Some((&mut ended.facts, &mut ended.frames))
            }
            Part::Skipped => None,
        }
    }

    pub(super) fn mapping_frame(&mut self, part: Part, frame: Frame) {
        if let Some((_, frames)) = self.open_mapping(part) {
            if frames.len() < MAX_FRAMES {
                frames.push(frame);
            }
        }
    }

    fn remark(&mut self, text: &str) -> bool {
        match remark(text) {
            Some(Remark::Hint(hint)) => {
                self.finding.hint.get_or_insert_with(|| clip(hint));
            }
            Some(Remark::Note(note)) => {
                if self.finding.notes.len() < MAX_NOTES {
                    self.finding.notes.push(clip(note));
                }
            }
            None => return false,
        }
        self.section = Section::Head;
        true
    }

    /// What the report says below its facts. Messages of drivers look the same, so it may be somebody else's.
    fn said(&mut self, text: &str) -> bool {
        let below_facts = self.section == Section::Head
            && !self.finding.facts.is_empty()
            && self.finding.ranges.is_empty()
            && self.finding.process.is_none();
        let begins = self.finding.stacks.is_empty() && self.finding.mappings.is_empty();
        if !(below_facts && begins && of_device(text).is_some()) {
            return false;
        }
        if self.said.len() < MAX_NOTES / 2 {
            self.said.push(clip(text.trim_end()));
        }
        true
    }

    /// Makes notes of what was said of the report's own device.
    pub(super) fn take_notes(&mut self) {
        let mut said = std::mem::take(&mut self.said);
        let finding = &mut self.finding;
        let facts = finding.mappings.iter().map(|mapping| &mapping.facts);
        let devices: Vec<_> = facts
            .chain([&finding.facts])
            .filter_map(|facts| facts.value("device"))
            .collect();
        // A report that is cut may not name its device.
        let mine = |text: &str| {
            let device = of_device(text).map(|(_, device)| device);
            device.is_some_and(|device| devices.contains(&device))
                || text.contains(": the device can ")
        };
        said.retain(|text| mine(text));
        said.iter_mut()
            .for_each(|text| *text = text.trim().to_owned());
        said.append(&mut finding.notes);
        said.truncate(MAX_NOTES);
        finding.notes = said;
    }
}
