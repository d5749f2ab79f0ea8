// SPDX-License-Identifier: GPL-2.0-only
//! The table of mutants and columns: for people, for the documentation, and for programs.

use crate::cell::{self, CellResult, Kind, Outcome};
use crate::error::Error;
use crate::machine::Model;

use super::column::Column;
use super::file::{Expected, Mutant};
use super::judge::{difference, join, Verdict};

/// What became of a mutant in one column.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Which column.
    pub column: Column,
    /// What became of it.
    pub verdict: Verdict,
    /// Seconds that it took.
    pub seconds: f64,
    /// Where the guest's log is.
    pub log: Option<String>,
}

/// A mutant and its cells.
#[derive(Clone, Debug)]
pub struct Row {
    /// The mutant.
    pub mutant: Mutant,
    /// One for each column that was asked for, in the order of the table.
    pub cells: Vec<Cell>,
}

impl Row {
    /// A mutant of which nothing is known yet.
    pub fn new(mutant: &Mutant) -> Row {
        Row {
            mutant: mutant.clone(),
            cells: Vec::new(),
        }
    }

    /// Says of the columns that the mutant was not run in why it was not.
    pub fn complete(&mut self, columns: &[Column], why: &Error) {
        let not_run = |column: &Column| Cell {
            column: *column,
            verdict: Verdict::NotRun(why.to_string()),
            seconds: 0.0,
            log: None,
        };
        let left = columns.iter().skip(self.cells.len());
        self.cells.extend(left.map(not_run));
    }
}

impl Cell {
    /// As a result for the matrix.
    pub fn result(&self, mutant: &Mutant, model: &Model) -> CellResult {
        let cell = cell::Cell {
            flavor: self.column.flavor(),
            param: self.column.param().to_owned(),
            ..cell::Cell::new(Kind::Mutant, &mutant.name(), model)
        };
        let outcome = match &self.verdict {
            Verdict::NotRun(why) => Outcome::NotRun(why.clone()),
            _ => Outcome::judged(self.difference(mutant).into_iter().collect()),
        };
        CellResult {
            detail: Some(self.text()),
            ..CellResult::new(cell, outcome, self.seconds)
        }
    }

    /// How it differs from what the mutant's file expects.
    pub fn difference(&self, mutant: &Mutant) -> Option<String> {
        difference(mutant.expect.of(self.column)?, &self.verdict)
    }

    /// In a few words.
    pub fn text(&self) -> String {
        match &self.verdict {
            Verdict::Caught { classes, named } => {
                let mark = if *named { "" } else { " (no name)" };
                format!("{}{mark}", join(classes))
            }
            Verdict::Missed => "missed".to_owned(),
            Verdict::NotRun(_) => "not run".to_owned(),
        }
    }
}

/// How many of the mutants in a column were caught, and how many were run.
pub fn caught(rows: &[Row], column: Column) -> (usize, usize) {
    let cells = rows.iter().flat_map(|r| &r.cells);
    let run = cells.filter(|c| c.column == column && !matches!(c.verdict, Verdict::NotRun(_)));
    let is_caught = |c: &&Cell| matches!(c.verdict, Verdict::Caught { .. });
    (run.clone().filter(is_caught).count(), run.count())
}

/// The table as text, with what differs from the expectations below it.
pub fn text(rows: &[Row], columns: &[Column]) -> String {
    let mut lines: Vec<Vec<String>> = vec![head(columns, "mutant")];
    lines.extend(rows.iter().map(|r| cells(r, r.mutant.name())));
    lines.push(sums(rows, columns, "caught"));
    let width = |at: usize| {
        lines
            .iter()
            .map(|l| l[at].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..=columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths).map(|(c, w)| format!("{c:w$}"));
        let padded: Vec<String> = padded.collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    for note in notes(rows) {
        text.push_str(&format!("{note}\n"));
    }
    text
}

/// Everything that is not as expected, a line each.
pub fn notes(rows: &[Row]) -> Vec<String> {
    let mut notes = Vec::new();
    for row in rows {
        for cell in &row.cells {
            let what = match &cell.verdict {
                Verdict::NotRun(why) => Some(format!("not run: {why}")),
                _ => cell.difference(&row.mutant),
            };
            let log = cell.log.as_ref().map(|l| format!(" (log: {l})"));
            notes.extend(what.map(|what| {
                let (name, column) = (row.mutant.name(), cell.column.title());
                format!("{name}, {column}: {what}{}", log.unwrap_or_default())
            }));
        }
    }
    notes
}

/// The table and its explanations as Markdown, for `docs/mutants.md`.
pub fn markdown(rows: &[Row], columns: &[Column]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head(columns, "mutant"));
    text.push_str(&line(vec!["---".to_owned(); columns.len() + 1]));
    for row in rows {
        text.push_str(&line(cells(row, format!("`{}`", row.mutant.name()))));
    }
    text.push_str(&line(sums(rows, columns, "**caught**")));
    text.push_str(
        "\n| mutant | what is wrong | the driver gets there by | resembles |\n|---|---|---|---|\n",
    );
    for row in rows {
        let m = &row.mutant;
        let like = m.like.clone().unwrap_or_else(|| "–".to_owned());
        text.push_str(&line(vec![
            format!("`{}`", m.name()),
            m.summary.clone(),
            m.reached.clone(),
            like,
        ]));
    }
    text.push_str(&misses(rows));
    text
}

/// Why what was missed was missed, and what was caught by chance; the same reason once.
fn misses(rows: &[Row]) -> String {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows {
        for cell in &row.cells {
            let why = match (&cell.verdict, row.mutant.expect.of(cell.column)) {
                (Verdict::Missed, Some(Expected::Missed(why))) => why.clone(),
                (Verdict::Missed, Some(Expected::Chance(why))) => format!("by chance: {why}"),
                (Verdict::Caught { .. }, Some(Expected::Chance(why))) => {
                    format!("caught by chance: {why}")
                }
                (Verdict::Missed, _) => "not looked into yet".to_owned(),
                (Verdict::NotRun(why), _) => format!("not run: {why}"),
                (Verdict::Caught { .. }, _) => continue,
            };
            let why = format!("{}: {why}", cell.column.title());
            let name = format!("`{}`", row.mutant.name());
            match reasons.iter_mut().find(|(w, _)| *w == why) {
                Some((_, names)) => names.push(name),
                None => reasons.push((why, vec![name])),
            }
        }
    }
    // By column, as each begins with one.
    reasons.sort();
    if reasons.is_empty() {
        return String::new();
    }
    let lines = reasons
        .iter()
        .map(|(why, names)| format!("* {why} ({})\n", names.join(", ")));
    format!(
        "\nWhat was missed, or caught by chance, and why:\n\n{}",
        lines.collect::<String>()
    )
}

fn head(columns: &[Column], first: &str) -> Vec<String> {
    let titles = columns.iter().map(|c| c.title().to_owned());
    std::iter::once(first.to_owned()).chain(titles).collect()
}

fn cells(row: &Row, name: String) -> Vec<String> {
    std::iter::once(name)
        .chain(row.cells.iter().map(Cell::text))
        .collect()
}

fn sums(rows: &[Row], columns: &[Column], first: &str) -> Vec<String> {
    let sum = |column: &Column| {
        let (caught, run) = caught(rows, *column);
        format!("{caught} of {run}")
    };
    std::iter::once(first.to_owned())
        .chain(columns.iter().map(sum))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::mutants::file::Expect;
    use std::collections::BTreeSet;

    pub(crate) fn mutant(bug: &str) -> Mutant {
        let caught = || Expected::Caught(vec!["unbind-leak".to_owned()]);
        Mutant {
            driver: "e1000".to_owned(),
            bug: bug.to_owned(),
            summary: "Buffers stay mapped.".to_owned(),
            reached: "ifdown".to_owned(),
            like: None,
            module: "a/b".to_owned(),
            instead_of: None,
            expect: Expect {
                origin: caught(),
                count: None,
                c: Some(Expected::Missed("it has no such class".to_owned())),
                dma_api_debug: Some(Expected::Caught(Vec::new())),
            },
            known: Vec::new(),
            patch: "",
        }
    }

    pub(crate) fn row(bug: &str, verdicts: [Verdict; 2]) -> Row {
        let cells = [Column::Origin, Column::Reference]
            .into_iter()
            .zip(verdicts);
        let cell = |(column, verdict)| Cell {
            column,
            verdict,
            seconds: 1.0,
            log: None,
        };
        Row {
            mutant: mutant(bug),
            cells: cells.map(cell).collect(),
        }
    }

    pub(crate) fn found(named: bool) -> Verdict {
        Verdict::Caught {
            classes: BTreeSet::from(["unbind-leak".to_owned()]),
            named,
        }
    }

    const COLUMNS: [Column; 2] = [Column::Origin, Column::Reference];

    #[test]
    fn a_table_counts_what_was_run() {
        let rows = [
            row("rx", [found(true), Verdict::Missed]),
            row("tx", [Verdict::NotRun("no QEMU".to_owned()), found(false)]),
        ];
        assert_eq!(
            text(&rows, &COLUMNS),
            "\
mutant    dmasan, =origin  C reference
e1000-rx  unbind-leak      missed
e1000-tx  not run          unbind-leak (no name)
caught    1 of 1           1 of 2
e1000-tx, dmasan, =origin: not run: no QEMU
e1000-tx, C reference: caught (unbind-leak), and expected to be missed: mend mutants.toml
"
        );
    }

    #[test]
    fn what_ctrl_c_kept_from_running_is_in_the_table() {
        let mut rows = [
            row("rx", [found(true), Verdict::Missed]),
            row("tx", [found(true), Verdict::Missed]),
        ];
        rows[1].cells.pop();
        for row in &mut rows {
            row.complete(&COLUMNS, &Error::interrupted());
        }
        let text = text(&rows, &COLUMNS);
        assert!(
            text.contains("e1000-tx  unbind-leak      not run\n"),
            "{text}"
        );
        assert!(
            text.contains("caught    2 of 2           0 of 1\n"),
            "{text}"
        );
        assert!(
            text.ends_with("e1000-tx, C reference: not run: interrupted\n"),
            "{text}"
        );
    }

    #[test]
    fn the_page_gives_each_reason_once() {
        let missed = || [found(true), Verdict::Missed];
        let text = markdown(&[row("rx", missed()), row("tx", missed())], &COLUMNS);
        assert!(
            text.contains("| `e1000-rx` | unbind-leak | missed |\n"),
            "{text}"
        );
        assert!(
            text.contains("| **caught** | 2 of 2 | 0 of 2 |\n"),
            "{text}"
        );
        let reason = "* C reference: it has no such class (`e1000-rx`, `e1000-tx`)\n";
        assert!(text.ends_with(reason), "{text}");
    }

    #[test]
    fn the_page_tells_what_was_caught_or_missed_by_chance() {
        let by_chance = |bug, verdict| {
            let mut row = row(bug, [found(true), verdict]);
            row.mutant.expect.c = Some(Expected::Chance("it depends".to_owned()));
            row
        };
        let rows = [
            by_chance("rx", Verdict::Missed),
            by_chance("tx", found(true)),
        ];
        let text = markdown(&rows, &COLUMNS);
        let reasons = "* C reference: by chance: it depends (`e1000-rx`)\n\
                       * C reference: caught by chance: it depends (`e1000-tx`)\n";
        assert!(text.ends_with(reasons), "{text}");
        assert_eq!(notes(&rows), Vec::<String>::new());
    }
}
