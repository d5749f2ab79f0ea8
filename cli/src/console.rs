// SPDX-License-Identifier: GPL-2.0-only
//! Reading what a guest says while it runs: its kernel's console, and its answers on the second port.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A line longer than this is cut: a guest can write without ever ending a line.
const LINE_MAX: usize = 64 << 10;

/// Follows a file that somebody else is writing, line by line.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    offset: u64,
    rest: Vec<u8>,
}

impl Tail {
    /// Follows `path` from its beginning; it need not exist yet.
    pub fn new(path: &Path) -> Tail {
        Tail {
            path: path.to_owned(),
            offset: 0,
            rest: Vec::new(),
        }
    }

    /// The lines that were completed since the last call.
    pub fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in self.news() {
            if byte == b'\n' || self.rest.len() == LINE_MAX {
                lines.push(text(&std::mem::take(&mut self.rest)));
            }
            if byte != b'\n' {
                self.rest.push(byte);
            }
        }
        lines
    }

    /// The lines since the last call, the unfinished last one included: for when the writer has ended.
    pub fn last_lines(&mut self) -> Vec<String> {
        let mut lines = self.lines();
        if !self.rest.is_empty() {
            lines.push(text(&std::mem::take(&mut self.rest)));
        }
        lines
    }

    fn news(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A file that is not there yet, or cannot be read now, has no news.
        if let Ok(mut file) = File::open(&self.path) {
            if file.seek(SeekFrom::Start(self.offset)).is_ok() {
                let _ = file.read_to_end(&mut bytes);
            }
        }
        self.offset += bytes.len() as u64;
        bytes
    }
}

fn text(bytes: &[u8]) -> String {
    let line = String::from_utf8_lossy(bytes);
    line.trim_end_matches('\r').to_owned()
}

/// What is counted in a guest at some time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Sum of the mapping counts of all pages.
    pub sum: i64,
    /// Pages that were unmapped more often than mapped.
    pub negative: u64,
}

/// What a guest has answered so far. `begin N`, `step N rc=R`, `| text` of step N, `counts N SUM NEGATIVE` before and
/// after it, `unbound N` of the step that unloads a module, `reported N`, `done`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answers {
    /// Results of the steps that ended, in order: number and exit status.
    pub results: Vec<(u32, i32)>,
    /// What the steps printed: number and line.
    pub output: Vec<(u32, String)>,
    /// The step that has begun and not ended.
    pub current: Option<u32>,
    /// What was counted: number of the step, then before and after it.
    pub counts: Vec<(u32, Counts)>,
    /// Steps that unload a module of whose drivers none has had a device.
    pub unbound: Vec<u32>,
    /// Pages with a report that were still mapped at the end.
    pub reported: u64,
    /// Everything was carried out.
    pub done: bool,
}

impl Answers {
    /// Takes one line. What is not understood is left out: anything in the guest can write to the port.
    pub fn take(&mut self, line: &str) {
        if let Some(text) = line.strip_prefix("| ") {
            let step = self.current.unwrap_or(0);
            self.output.push((step, text.to_owned()));
        } else if let Some(number) = line.strip_prefix("begin ") {
            self.current = number.parse().ok();
        } else if let Some((number, rc)) = line
            .strip_prefix("step ")
            .and_then(|l| l.split_once(" rc="))
        {
            if let (Ok(number), Ok(rc)) = (number.parse(), rc.parse()) {
                self.results.push((number, rc));
                self.current = None;
            }
        } else if let Some(counts) = line.strip_prefix("counts ") {
            self.counts.extend(read_counts(counts));
        } else if let Some(number) = line.strip_prefix("unbound ") {
            self.unbound.extend(number.parse::<u32>());
        } else if let Some(pages) = line.strip_prefix("reported ") {
            self.reported = pages.parse().unwrap_or(0);
        } else if line == "done" {
            self.done = true;
        }
    }

    /// Whether the guest has come to its first step.
    pub fn began(&self) -> bool {
        self.current.is_some() || !self.results.is_empty() || self.done
    }

    /// The exit status of a step that ended.
    pub fn result(&self, step: u32) -> Option<i32> {
        let found = self.results.iter().find(|(n, _)| *n == step);
        found.map(|(_, rc)| *rc)
    }

    /// What was counted before the first of some steps, and after the last.
    pub fn counts_around(&self, of: impl Fn(u32) -> bool) -> Option<(Counts, Counts)> {
        let counts: Vec<Counts> = self
            .counts
            .iter()
            .filter(|(number, _)| of(*number))
            .map(|(_, counts)| *counts)
            .collect();
        match counts.as_slice() {
            [first, .., last] => Some((*first, *last)),
            _ => None,
        }
    }

    /// What a step printed.
    pub fn output_of(&self, step: u32) -> Vec<&str> {
        let of = self.output.iter().filter(|(n, _)| *n == step);
        of.map(|(_, line)| line.as_str()).collect()
    }
}

/// `N SUM NEGATIVE`.
fn read_counts(text: &str) -> Option<(u32, Counts)> {
    let mut words = text.split(' ');
    let number = words.next()?.parse().ok()?;
    let sum = words.next()?.parse().ok()?;
    let negative = words.next()?.parse().ok()?;
    Some((number, Counts { sum, negative }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_come_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = Tail::new(&path);
        assert!(tail.lines().is_empty());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\r\ntw").unwrap();
        assert_eq!(tail.lines(), ["one"]);
        file.write_all(b"o\n\xff\nend").unwrap();
        assert_eq!(tail.lines(), ["two", "\u{fffd}"]);
        assert!(tail.lines().is_empty());
        assert_eq!(tail.last_lines(), ["end"]);
        assert!(tail.last_lines().is_empty());
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, vec![b'x'; LINE_MAX + 5]).unwrap();
        let lines = Tail::new(&path).last_lines();
        assert_eq!(
            lines.iter().map(String::len).collect::<Vec<_>>(),
            [LINE_MAX, 5]
        );
    }

    #[test]
    fn answers() {
        let mut answers = Answers::default();
        let lines = [
            "begin 1",
            "| insmod: it failed",
            "| step 7 rc=0",
            "step 1 rc=1",
            "noise",
            "step x rc=0",
            "begin 2",
        ];
        lines.iter().for_each(|l| answers.take(l));
        assert_eq!(answers.results, [(1, 1)]);
        assert_eq!(answers.output_of(1), ["insmod: it failed", "step 7 rc=0"]);
        assert_eq!((answers.current, answers.done), (Some(2), false));
        for line in ["counts 1 4096 0", "counts 1 x 0", "counts 2 -1 3"] {
            answers.take(line);
        }
        let (before, after) = answers.counts_around(|n| n < 3).unwrap();
        assert_eq!((before.sum, after.sum, after.negative), (4096, -1, 3));
        assert_eq!(answers.counts_around(|n| n == 2), None);
        answers.take("reported 3");
        answers.take("unbound 2");
        answers.take("unbound x");
        assert_eq!(answers.unbound, [2]);
        answers.take("done");
        assert!(answers.done && answers.reported == 3);
        assert_eq!(answers.result(2), None);
    }
}
