// SPDX-License-Identifier: GPL-2.0-only
//! One report that is being read: takes its lines in, ends as a [`Finding`] or as nothing.
//!
//! A report of ours goes from its title to its closing ruler. One of the reference is a warning of the
//! kernel (`cut here` ... `end trace`), the leak line, and what page owner says; its end has no mark, so a
//! few lines of others are waited for and given back if nothing of it follows.

use crate::class::Class;
use crate::facts::facts;
use crate::kind::{stack_title, Kind};
use crate::line::Line;
use crate::model::{Cut, CutBy, Facts, Finding, Frame, Origin, PageOwner, Process, Site, Stack};
use crate::ranges::{is_indented, range};
use crate::{owner, symbol};
use dmasan_engine::report::is_allocator;

mod mapped;
mod remains;

/// Bounds of what is kept of one report.
const MAX_RAW: usize = 600;
const MAX_LINE: usize = 1024;
const MAX_FACTS: usize = 64;
/// The kernel lists eight.
const MAX_RANGES: usize = 64;
const MAX_STACKS: usize = 16;
const MAX_FRAMES: usize = 128;

/// Lines of others after which a report without closing mark is taken as ended.
const PATIENCE: usize = 8;

/// Which part of a report is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    /// Nothing to which frames belong.
    Head,
    /// The last stack.
    Stack,
    /// The last mapping, and which of its stacks.
    Mapping(mapped::Part),
    /// Page owner, and which of its stacks.
    Owner(owner::Part),
    /// Someone else's warning inside of ours.
    Nested,
}

/// How far a report of the reference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not one of the reference.
    Ours,
    /// The log begins inside of what may be one of ours; only its end will tell.
    Remains,
    /// `cut here` was read, the warning's title not yet.
    Cut,
    /// Inside of the warning.
    Warning { check: bool },
    /// After `end trace`.
    Ended { check: bool },
    /// After the leak line.
    Leak,
}

/// What a report does after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It goes on.
    More,
    /// The line was its last.
    Done,
    /// It had ended before the line.
    NotMine,
}

/// A report that is being read.
#[derive(Debug)]
pub(crate) struct Block {
    finding: Finding,
    section: Section,
    before_nested: Section,
    stage: Stage,
    /// Lines that belong to it only if more of it follows.
    pending: Vec<String>,
    /// Lines that are notes of it if they turn out to be about its device.
    said: Vec<String>,
}

impl Block {
    /// Begins with the title line of one of ours.
    pub(crate) fn ours(
        line: &Line<'_>,
        title: &str,
        class: Class,
        site: Option<Site>,
        ruler: Option<&str>,
    ) -> Block {
        let mut block = Block::empty(line, Origin::Dmasan, class, Stage::Ours);
        block.finding.title = clip(title);
        block.finding.site = site;
        if let Some(ruler) = ruler {
            block.keep(ruler);
        }
        block.keep(line.text);
        block
    }

    /// Begins with `cut here`.
    pub(crate) fn cut_here(line: &Line<'_>) -> Block {
        let mut block = Block::empty(line, Origin::Reference, Class::PageLeak, Stage::Cut);
        block.keep(line.text);
        block
    }

    /// Begins in the middle of one of the reference: with its title, or only with its leak line.
    pub(crate) fn headless(line: &Line<'_>, title: bool) -> Block {
        let mut block = Block::cut_here(line);
        if title {
            block.warning_title(line, true);
        } else {
            block.stage = Stage::Leak;
            block.finding.title = clip(line.text);
            block.truncate(CutBy::LogStart, line.number);
        }
        block
    }

    fn empty(line: &Line<'_>, origin: Origin, class: Class, stage: Stage) -> Block {
        let finding = Finding {
            class,
            origin,
            title: String::new(),
            site: None,
            step: None,
            line: line.number,
            time_us: line.time_us,
            caller: line.caller.map(str::to_owned),
            facts: Facts::default(),
            ranges: Vec::new(),
            stacks: Vec::new(),
            mappings: Vec::new(),
            notes: Vec::new(),
            hint: None,
            page_owner: None,
            process: None,
            hardware: None,
            truncated: false,
            cut: None,
            raw: Vec::new(),
            raw_dropped: 0,
        };
        let section = Section::Head;
        Block {
            finding,
            section,
            before_nested: section,
            stage,
            pending: Vec::new(),
            said: Vec::new(),
        }
    }

    /// Sets the step to which it belongs.
    pub(crate) fn step(mut self, step: Option<u32>) -> Block {
        self.finding.step = step;
        self
    }

    /// It is one of ours, from title to ruler.
    pub(crate) fn is_ours(&self) -> bool {
        self.stage == Stage::Ours
    }

    /// What may be remains of one of ours.
    pub(crate) fn is_remains(&self) -> bool {
        self.stage == Stage::Remains
    }

    /// The warning that was read is not about a page, or the remains are not known to be ours: no finding.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(
            self.stage,
            Stage::Remains
                | Stage::Cut
                | Stage::Warning { check: false }
                | Stage::Ended { check: false }
        )
    }

    /// Time and title, by which a line that is printed twice is recognised.
    pub(crate) fn identity(&self) -> (Option<u64>, &str) {
        (self.finding.time_us, &self.finding.title)
    }

    /// Takes a line in.
    pub(crate) fn feed(&mut self, line: &Line<'_>, kind: &Kind<'_>) -> Next {
        match self.stage {
            Stage::Ours => self.feed_ours(line, kind),
            Stage::Remains => self.feed_remains(line),
            Stage::Cut => match *kind {
                Kind::Warning { reference } => {
                    self.keep(line.text);
                    self.warning_title(line, reference);
                    Next::More
                }
                // "kernel BUG at": the parser has noted it, and its trace holds nothing for us.
                _ => Next::NotMine,
            },
            Stage::Warning { check } => {
                self.keep(line.text);
                if *kind == Kind::EndTrace {
                    self.stage = Stage::Ended { check };
                    self.section = Section::Head;
                } else {
                    self.body(line.text);
                }
                Next::More
            }
            Stage::Ended { .. } => {
                if *kind == Kind::Leak {
                    self.stage = Stage::Leak;
                    self.keep_pending();
                    self.keep(line.text);
                    return Next::More;
                }
                self.wait(line.text)
            }
            Stage::Leak => self.feed_tail(line, kind),
        }
    }

    fn feed_ours(&mut self, line: &Line<'_>, kind: &Kind<'_>) -> Next {
        self.keep(line.text);
        match kind {
            Kind::Ruler => return Next::Done,
            Kind::CutHere | Kind::Warning { .. } if self.section != Section::Nested => {
                self.before_nested = self.section;
                self.section = Section::Nested;
            }
            Kind::EndTrace if self.section == Section::Nested => self.section = self.before_nested,
            _ if self.section == Section::Nested => {}
            _ => self.body(line.text),
        }
        Next::More
    }

    /// After the leak line: page owner, or nothing more.
    fn feed_tail(&mut self, line: &Line<'_>, kind: &Kind<'_>) -> Next {
        let text = line.text;
        if self.is_headless() && matches!(stack_title(text), Some(title) if title != "Call Trace") {
            // Only ours goes on with a stack here: the log begins in one, and its class is lost.
            self.stage = Stage::Ours;
            self.finding.origin = Origin::Dmasan;
            self.finding.class = Class::Other("unknown".to_owned());
            self.keep_pending();
            return self.feed_ours(line, kind);
        }
        let frame = matches!(self.section, Section::Owner(_)) && symbol::frame(text).is_some();
        if !frame && !owner::is_owner(text) {
            return self.wait(text);
        }
        self.keep_pending();
        self.keep(text);
        self.body(text);
        Next::More
    }

    /// The log begins inside of it, and nothing but the leak line was read.
    fn is_headless(&self) -> bool {
        self.finding.page_owner.is_none()
            && self
                .finding
                .cut
                .is_some_and(|cut| cut.by == CutBy::LogStart)
    }

    /// A line of somebody else, perhaps in between.
    fn wait(&mut self, text: &str) -> Next {
        if self.pending.len() >= PATIENCE {
            return Next::NotMine;
        }
        self.pending.push(clip(text));
        Next::More
    }

    fn warning_title(&mut self, line: &Line<'_>, check: bool) {
        self.stage = Stage::Warning { check };
        self.finding.title = clip(line.text.strip_prefix("WARNING: ").unwrap_or(line.text));
        self.finding.line = line.number;
        self.finding.time_us = line.time_us;
    }

    /// Any line inside.
    fn body(&mut self, text: &str) {
        if let Some(frame) = symbol::frame(text) {
            return self.frame(frame);
        }
        if owner::is_owner(text) {
            let page_owner = self
                .finding
                .page_owner
                .get_or_insert_with(PageOwner::default);
            self.section = Section::Owner(owner::line(page_owner, &clip(text)));
        } else if self.mapped(text) {
            // A mapping, or a remark.
        } else if let Some(title) = stack_title(text) {
            self.section = Section::Stack;
            if self.finding.stacks.len() < MAX_STACKS {
                self.finding.stacks.push(Stack {
                    title: clip(title),
                    frames: Vec::new(),
                });
            } else {
                self.section = Section::Head;
            }
        } else if is_indented(text) {
            // What looks like facts and is no range was damaged on its way.
            if let Some(range) = range(text).filter(|_| self.may_have_ranges()) {
                self.finding.ranges.push(range);
            }
        } else if let Some(facts) = facts(text) {
            for (key, value) in facts
                .into_iter()
                .take(MAX_FACTS.saturating_sub(self.finding.facts.len()))
            {
                self.finding.facts.add(key, value);
            }
        } else if text.starts_with("CPU: ") {
            self.finding
                .process
                .get_or_insert_with(|| process(&clip(text)));
            self.section = Section::Head;
        } else if let Some(name) = text.strip_prefix("Hardware name: ") {
            self.finding
                .hardware
                .get_or_insert_with(|| clip(name.trim()));
        }
    }

    /// The reference has none, and writes nothing that could pass for one.
    fn may_have_ranges(&self) -> bool {
        self.finding.origin == Origin::Dmasan && self.finding.ranges.len() < MAX_RANGES
    }

    fn frame(&mut self, frame: Frame) {
        match self.section {
            Section::Stack => {
                if let Some(stack) = self
                    .finding
                    .stacks
                    .last_mut()
                    .filter(|s| s.frames.len() < MAX_FRAMES)
                {
                    stack.frames.push(frame);
                }
            }
            Section::Mapping(part) => self.mapping_frame(part, frame),
            Section::Owner(part) => {
                if let Some(page_owner) = &mut self.finding.page_owner {
                    owner::frame(page_owner, part, frame, MAX_FRAMES);
                }
            }
            Section::Head | Section::Nested => {}
        }
    }

    fn keep(&mut self, text: &str) {
        if self.finding.raw.len() < MAX_RAW {
            self.finding.raw.push(clip(text));
        } else {
            self.finding.raw_dropped += 1;
        }
    }

    fn keep_pending(&mut self) {
        for text in std::mem::take(&mut self.pending) {
            self.keep(&text);
        }
    }

    fn truncate(&mut self, by: CutBy, line: u64) {
        self.finding.truncated = true;
        self.finding.cut.get_or_insert(Cut { by, line });
    }

    /// Ends. `cut` is what ended it before its own end, at which line. None: it was no finding.
    pub(crate) fn finish(mut self, cut: Option<(CutBy, u64)>) -> Option<Finding> {
        if self.is_nothing() {
            return None;
        }
        let whole = match self.stage {
            Stage::Ours => cut.is_none(),
            Stage::Leak => self
                .finding
                .page_owner
                .as_ref()
                .is_none_or(owner::is_complete),
            _ => false,
        };
        if !whole {
            let (by, line) = cut.unwrap_or((CutBy::Missing, self.finding.line));
            self.truncate(by, line);
        }
        self.take_notes();
        if self.finding.origin == Origin::Reference {
            self.finding.site = culprit(&self.finding.stacks);
        }
        Some(self.finding)
    }
}

/// Limits the length of what is kept of a line.
pub(crate) fn clip(text: &str) -> String {
    match text.char_indices().nth(MAX_LINE) {
        Some((at, _)) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

/// `CPU: 0 UID: 0 PID: 71 Comm: insmod Tainted: G ...` or `... Not tainted ...`.
fn process(text: &str) -> Process {
    let number = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.trim_start()
            .split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    };
    let comm = text.split_once("Comm: ").map(|(_, rest)| {
        let end = ["Kdump: ", "Not tainted", "Tainted: "]
            .iter()
            .filter_map(|mark| rest.find(mark))
            .min();
        rest[..end.unwrap_or(rest.len())].trim().to_owned()
    });
    Process {
        cpu: number("CPU:"),
        pid: number(" PID:"),
        comm,
        raw: text.trim_end().to_owned(),
    }
}

/// The reference names its own check; what matters is who called the allocator: the innermost function of a
/// module, or else the innermost one that is not the allocator itself.
fn culprit(stacks: &[Stack]) -> Option<Site> {
    let mut frames = stacks.first()?.frames.iter().filter(|frame| frame.reliable);
    let of_module = frames.clone().find(|frame| frame.site.module.is_some());
    let of_kernel = frames.find(|frame| !is_allocator(&frame.site.symbol));
    of_module.or(of_kernel).map(|frame| frame.site.clone())
}
