// SPDX-License-Identifier: GPL-2.0-only
//! What a log says outside of reports: kernel, boot line, steps, trouble, warnings.

use crate::block::clip;
use crate::kind::Kind;
use crate::line::Line;
use crate::model::{Banner, Boot, BootState, CutBy, Origin, Step, Trouble, TroubleKind, Warning};
use crate::parser::{Parser, MAX_SEEN};

/// Bounds of what is kept.
const MAX_STEPS: usize = 1_000;
const MAX_EVENTS: usize = 500;
const MAX_BANNERS: usize = 100;
const MAX_BOOT_NOTES: usize = 16;
/// The lines of one oops are not further apart.
const OOPS_LINES: u64 = 12;

impl Parser {
    /// What concerns the log as a whole. True if the line is no part of any report.
    pub(crate) fn global(&mut self, line: &Line<'_>, kind: &Kind<'_>) -> bool {
        match kind {
            Kind::Kernel { release } => {
                self.kernel(line, release);
                true
            }
            Kind::Boot { reference, rest } => {
                self.boot(line, *reference, rest);
                true
            }
            Kind::StepBegin { nonce, index, text } => {
                self.step_begin(line, nonce, *index, text);
                true
            }
            Kind::StepEnd { nonce, index, rc } => {
                self.step_end(nonce, *index, *rc);
                true
            }
            Kind::Trouble(what) => {
                self.trouble(line, *what);
                matches!(what, TroubleKind::Panic | TroubleKind::Oops)
            }
            Kind::OtherBug => {
                self.other_bug(line);
                false
            }
            _ => false,
        }
    }

    /// A kernel starts, or a script shows the log from its beginning. The same time and text twice are no second
    /// start, unless a report is open: then it cannot be a script's doing.
    fn kernel(&mut self, line: &Line<'_>, release: &str) {
        if !self.is_new(line) && self.open.is_empty() {
            return;
        }
        self.close_all(CutBy::Reboot, line.number);
        self.step = None;
        self.report.kernel = Some(clip(release));
        let text = clip(line.text.trim_end());
        let last = self.report.banners.last();
        if self.report.banners.len() < MAX_BANNERS && last.is_none_or(|last| last.text != text) {
            let line = line.number;
            self.report.banners.push(Banner { text, line });
        }
    }

    fn boot(&mut self, line: &Line<'_>, reference: bool, rest: &str) {
        let state = match rest.split([',', ' ', ':']).next() {
            _ if reference => BootState::On,
            Some("on") => BootState::On,
            Some("off") => BootState::Off,
            _ => BootState::Unknown,
        };
        let origin = if reference {
            Origin::Reference
        } else {
            Origin::Dmasan
        };
        let boot = self.report.boot.get_or_insert_with(|| Boot {
            state,
            origin,
            notes: Vec::new(),
            line: line.number,
        });
        if state != BootState::Unknown {
            boot.state = state;
        }
        let note = clip(line.text);
        if boot.notes.len() < MAX_BOOT_NOTES && !boot.notes.contains(&note) {
            boot.notes.push(note);
        }
    }

    fn is_mine(&self, nonce: &str) -> bool {
        self.options
            .nonce
            .as_deref()
            .is_none_or(|mine| mine == nonce)
    }

    fn step_begin(&mut self, line: &Line<'_>, nonce: &str, index: u32, text: &str) {
        let known = self
            .report
            .steps
            .iter()
            .any(|step| step.nonce == nonce && step.index == index);
        if !self.is_mine(nonce) || known || self.report.steps.len() >= MAX_STEPS {
            return;
        }
        self.step = Some(index);
        self.report.steps.push(Step {
            index,
            nonce: clip(nonce),
            text: clip(text),
            line: line.number,
            ended: false,
            rc: None,
        });
    }

    fn step_end(&mut self, nonce: &str, index: u32, rc: Option<i32>) {
        let Some(step) = self
            .report
            .steps
            .iter_mut()
            .find(|step| step.nonce == nonce && step.index == index)
        else {
            return;
        };
        if !step.ended {
            (step.ended, step.rc) = (true, rc);
            self.step = None;
        }
    }

    /// Notes a warning that is no finding, wherever it stands.
    pub(crate) fn note_warning(&mut self, line: &Line<'_>, kind: &Kind<'_>, nested: bool) {
        if let Kind::Warning { reference } = *kind {
            if !reference || nested {
                self.other_bug(line);
            }
        }
    }

    pub(crate) fn other_bug(&mut self, line: &Line<'_>) {
        if !self.is_new(line) {
            return;
        }
        if self.report.warnings.len() >= MAX_EVENTS {
            self.report.left_out += 1;
            return;
        }
        let text = clip(line.text);
        self.report.warnings.push(Warning {
            text,
            line: line.number,
            time_us: line.time_us,
            step: self.step,
        });
    }

    fn trouble(&mut self, line: &Line<'_>, kind: TroubleKind) {
        if !self.is_new(line) {
            return;
        }
        let cut = match kind {
            TroubleKind::Panic => Some(CutBy::Panic),
            TroubleKind::Oops => Some(CutBy::Oops),
            _ => None,
        };
        if let Some(by) = cut {
            self.cut_open(by, line);
        }
        // One oops has several lines; the first says it.
        let same = kind == TroubleKind::Oops
            && self
                .last_oops
                .is_some_and(|last| line.number - last <= OOPS_LINES);
        if kind == TroubleKind::Oops {
            self.last_oops = Some(line.number);
        }
        if same {
            return;
        }
        if self.report.trouble.len() >= MAX_EVENTS {
            self.report.left_out += 1;
            return;
        }
        let text = clip(line.text);
        self.report.trouble.push(Trouble {
            kind,
            text,
            line: line.number,
            time_us: line.time_us,
            step: self.step,
        });
    }

    /// The line was not seen before; without a time nobody can tell.
    fn is_new(&mut self, line: &Line<'_>) -> bool {
        let Some(time) = line.time_us else {
            return true;
        };
        self.seen.len() >= MAX_SEEN || self.seen.insert((time, clip(line.text)))
    }
}
