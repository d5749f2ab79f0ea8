// SPDX-License-Identifier: GPL-2.0-only
//! Reads a log line by line. Each context that prints (if the log names it) has at most one open report.

use crate::block::{clip, Block, Next};
use crate::class::Class;
use crate::kind::{kind, Kind};
use crate::line::{self, Line};
use crate::model::{Cut, CutBy, Finding, Report, Site, SCHEMA};
use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead, Read};

/// Bounds of what is kept of one log.
const MAX_FINDINGS: usize = 2_000;
pub(crate) const MAX_SEEN: usize = 10_000;
const MAX_OPEN: usize = 32;
/// The kernel's own limit of a line is about 1 KiB; what a program puts on the console may be longer.
const MAX_BYTES: u64 = 16 * 1024;

/// How to read a log.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only steps with this nonce count, so that no driver's message can pass for one. None: all do.
    pub nonce: Option<String>,
}

/// The input is not a kernel log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unparseable {
    /// Lines that were read.
    pub lines: u64,
}

impl fmt::Display for Unparseable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines {
            0 => f.write_str("the log is empty")?,
            n => write!(f, "none of the {n} lines is a kernel message")?,
        }
        f.write_str(
            "; expected the output of dmesg, of a serial console or of the journal (`journalctl -k`), \
             with lines such as `[    5.123456] BUG: DMASAN: ...`",
        )
    }
}

impl std::error::Error for Unparseable {}

/// Reads a whole log.
pub fn parse(log: &[u8]) -> Result<Report, Unparseable> {
    let mut parser = Parser::new(Options::default());
    // Reading from memory does not fail.
    let _ = parser.read(log);
    parser.finish()
}

/// Reads a log from a file or a pipe; the outer result is that of reading.
pub fn parse_reader(
    reader: impl BufRead,
    options: Options,
) -> io::Result<Result<Report, Unparseable>> {
    let mut parser = Parser::new(options);
    parser.read(reader)?;
    Ok(parser.finish())
}

/// A log that is being read.
#[derive(Debug)]
pub struct Parser {
    pub(crate) options: Options,
    pub(crate) report: Report,
    pub(crate) open: Vec<Open>,
    /// The last ruler of each context that printed one.
    rulers: Vec<Ruler>,
    /// Index of the step that runs.
    pub(crate) step: Option<u32>,
    /// What was seen already, by time and text: a script that prints dmesg shows everything twice.
    pub(crate) seen: HashSet<(u64, String)>,
    /// Neither a boot nor the begin or end of any report was read: the log may begin inside of one.
    may_begin_inside: bool,
    /// Line of the last sign of an oops.
    pub(crate) last_oops: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Open {
    caller: Option<String>,
    block: Block,
    /// It was seen before: read it to its end and forget it.
    again: bool,
}

#[derive(Debug)]
struct Ruler {
    caller: Option<String>,
    text: String,
    /// Title line of the finding that this ruler closed.
    closed: Option<u64>,
}

impl Parser {
    /// Begins a log.
    pub fn new(options: Options) -> Parser {
        let report = Report {
            schema: SCHEMA,
            kernel: None,
            banners: Vec::new(),
            boot: None,
            steps: Vec::new(),
            findings: Vec::new(),
            trouble: Vec::new(),
            warnings: Vec::new(),
            truncated: false,
            lines: 0,
            kernel_lines: 0,
            left_out: 0,
        };
        let (open, rulers, seen) = (Vec::new(), Vec::new(), HashSet::new());
        Parser {
            options,
            report,
            open,
            rulers,
            step: None,
            seen,
            may_begin_inside: true,
            last_oops: None,
        }
    }

    /// Reads lines until the end of input; a line that is too long is cut.
    pub fn read(&mut self, mut reader: impl BufRead) -> io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            if reader
                .by_ref()
                .take(MAX_BYTES)
                .read_until(b'\n', &mut bytes)?
                == 0
            {
                return Ok(());
            }
            if bytes.len() as u64 == MAX_BYTES && bytes.last() != Some(&b'\n') {
                reader.skip_until(b'\n')?;
            }
            self.line(&bytes);
        }
    }

    /// Takes one line, with or without its end.
    pub fn line(&mut self, bytes: &[u8]) {
        self.report.lines += 1;
        let text = String::from_utf8_lossy(bytes);
        let plain = line::plain(&text);
        let line = line::split(self.report.lines, &plain);
        if line.foreign {
            return;
        }
        let kind = kind(line.text);
        if line.prefixed || kind != Kind::Other {
            self.report.kernel_lines += 1;
        }
        self.may_begin_inside &= !matches!(
            kind,
            Kind::Kernel { .. } | Kind::Title { .. } | Kind::Ruler | Kind::CutHere | Kind::Leak
        );
        if !self.global(&line, &kind) {
            self.local(&line, kind);
        }
    }

    /// What concerns the report of one context.
    fn local(&mut self, line: &Line<'_>, kind: Kind<'_>) {
        if let Kind::Title { title, class, site } = kind {
            return self.title(line, title, class, site);
        }
        let open = self
            .open
            .iter()
            .position(|open| open.caller.as_deref() == line.caller);
        if let Some(at) = open {
            // A second warning of the same context ends one that did not end, or waits for its leak line.
            let restart = kind == Kind::CutHere && !self.open[at].block.is_ours();
            if restart {
                self.close(at, Some((CutBy::NextReport, line.number)));
            } else {
                self.note_warning(line, &kind, self.open[at].block.is_ours());
                match self.open[at].block.feed(line, &kind) {
                    Next::More => return,
                    Next::Done => return self.closed_by_ruler(at, line),
                    Next::NotMine => self.close(at, None),
                }
            }
        }
        self.begin(line, &kind);
    }

    /// A line that belongs to no open report.
    fn begin(&mut self, line: &Line<'_>, kind: &Kind<'_>) {
        match *kind {
            Kind::Ruler => self.ruler(line, None),
            Kind::CutHere => self.push(line, Block::cut_here(line)),
            Kind::Warning { reference } => {
                self.note_warning(line, kind, false);
                if reference {
                    self.push(line, Block::headless(line, true));
                }
            }
            Kind::Leak => self.push(line, Block::headless(line, false)),
            Kind::Other if self.may_begin_inside => {
                if let Some(block) = Block::remains(line) {
                    self.push(line, block);
                }
            }
            _ => {}
        }
    }

    fn title(&mut self, line: &Line<'_>, title: &str, class: Class, site: Option<Site>) {
        if let Some(at) = self
            .open
            .iter()
            .position(|open| open.caller.as_deref() == line.caller)
        {
            self.close(at, Some((CutBy::NextReport, line.number)));
        }
        let ruler = self
            .rulers
            .iter()
            .position(|ruler| ruler.caller.as_deref() == line.caller);
        let ruler = ruler.map(|at| self.rulers.swap_remove(at));
        if let Some(closed) = ruler.as_ref().and_then(|ruler| ruler.closed) {
            self.reopen_cut(closed, line.number);
        }
        let block = Block::ours(
            line,
            title,
            class,
            site,
            ruler.as_ref().map(|ruler| ruler.text.as_str()),
        );
        self.push(line, block);
    }

    /// The ruler that seemed to close a report was the next one's first: the report's own end is missing.
    fn reopen_cut(&mut self, title_line: u64, line: u64) {
        if let Some(finding) = self
            .report
            .findings
            .iter_mut()
            .rev()
            .find(|f| f.line == title_line)
        {
            finding.raw.pop();
            // Who was running comes last: a report that has it lost no more than its ruler.
            if finding.process.is_none() {
                finding.truncated = true;
                finding.cut = Some(Cut {
                    by: CutBy::NextReport,
                    line,
                });
            }
        }
    }

    fn closed_by_ruler(&mut self, at: usize, line: &Line<'_>) {
        let open = self.open.swap_remove(at);
        let closed = if open.again {
            None
        } else {
            open.block.finish(None)
        };
        let title_line = closed.as_ref().map(|finding| finding.line);
        self.keep(closed);
        self.ruler(line, title_line);
    }

    fn ruler(&mut self, line: &Line<'_>, closed: Option<u64>) {
        self.rulers
            .retain(|ruler| ruler.caller.as_deref() != line.caller);
        if self.rulers.len() == MAX_OPEN {
            self.rulers.remove(0);
        }
        self.rulers.push(Ruler {
            caller: line.caller.map(str::to_owned),
            text: clip(line.text),
            closed,
        });
    }

    fn push(&mut self, line: &Line<'_>, block: Block) {
        if self.open.len() == MAX_OPEN {
            self.close(0, Some((CutBy::Missing, line.number)));
        }
        let block = block.step(self.step);
        // A warning is known by its title, which comes only with its second line.
        let again = (block.is_ours() || block.is_remains()) && self.was_seen(&block);
        self.open.push(Open {
            caller: line.caller.map(str::to_owned),
            block,
            again,
        });
    }

    fn was_seen(&mut self, block: &Block) -> bool {
        let (time, title) = block.identity();
        let Some(time) = time else { return false };
        self.seen.len() < MAX_SEEN && !self.seen.insert((time, title.to_owned()))
    }

    fn close(&mut self, at: usize, cut: Option<(CutBy, u64)>) {
        let open = self.open.remove(at);
        let again = open.again
            || !open.block.is_ours() && !open.block.is_nothing() && self.was_seen(&open.block);
        if !again {
            let finding = open.block.finish(cut);
            self.keep(finding);
        }
    }

    pub(crate) fn close_all(&mut self, by: CutBy, line: u64) {
        while !self.open.is_empty() {
            self.close(0, Some((by, line)));
        }
    }

    fn keep(&mut self, finding: Option<Finding>) {
        let Some(finding) = finding else { return };
        if self.report.findings.len() < MAX_FINDINGS {
            self.report.findings.push(finding);
        } else {
            self.report.left_out += 1;
        }
    }

    /// An oops ends what its context was printing; a panic stops the other CPUs too.
    pub(crate) fn cut_open(&mut self, by: CutBy, line: &Line<'_>) {
        let mut at = 0;
        while at < self.open.len() {
            if by == CutBy::Panic || self.open[at].caller.as_deref() == line.caller {
                self.close(at, Some((by, line.number)));
            } else {
                at += 1;
            }
        }
    }

    /// Ends the log.
    pub fn finish(mut self) -> Result<Report, Unparseable> {
        if self.report.kernel_lines == 0 {
            return Err(Unparseable {
                lines: self.report.lines,
            });
        }
        self.close_all(CutBy::LogEnd, self.report.lines);
        let mut report = self.report;
        report.findings.sort_by_key(|finding| finding.line);
        report.truncated = report.findings.iter().any(|finding| finding.truncated);
        if report.kernel.is_none() {
            report.kernel = report.findings.iter().find_map(release);
        }
        Ok(report)
    }
}

/// Release of the kernel from a report's own line: the word before `#1`.
fn release(finding: &Finding) -> Option<String> {
    let raw = &finding.process.as_ref()?.raw;
    let (before, _) = raw.rsplit_once(" #")?;
    before
        .rsplit(' ')
        .next()
        .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
}
