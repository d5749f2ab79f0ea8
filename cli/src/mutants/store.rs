// SPDX-License-Identifier: GPL-2.0-only
//! Results as JSON: for programs, and to put the results of several runs together.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{cannot_read, Error, Result};

use super::column::Column;
use super::file::Mutant;
use super::judge::Verdict;
use super::table::{Cell, Row};

/// Grows when a field changes its meaning or goes away.
const SCHEMA: u32 = 1;

/// A file with results.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Content {
    schema: u32,
    machine: String,
    kernel: String,
    cells: Vec<Stored>,
}

/// A cell of the table.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Stored {
    mutant: String,
    flavor: String,
    debug_pagealloc: String,
    outcome: Word,
    classes: BTreeSet<String>,
    named: bool,
    why: Option<String>,
    /// Whether the mutant's file expects it.
    expected: bool,
    seconds: f64,
    log: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Caught,
    Missed,
    NotRun,
}

/// All that is known of some rows, as text.
pub fn to_json(rows: &[Row], machine: &str, kernel: &str) -> String {
    let of_row = |row: &Row| {
        let stored: Vec<Stored> = row.cells.iter().map(|c| stored(&row.mutant, c)).collect();
        stored
    };
    let content = Content {
        schema: SCHEMA,
        machine: machine.to_owned(),
        kernel: kernel.to_owned(),
        cells: rows.iter().flat_map(of_row).collect(),
    };
    // Strings and numbers can always be written.
    serde_json::to_string_pretty(&content).unwrap_or_default() + "\n"
}

fn stored(mutant: &Mutant, cell: &Cell) -> Stored {
    let (outcome, classes, named, why) = match &cell.verdict {
        Verdict::Caught { classes, named } => (Word::Caught, classes.clone(), *named, None),
        Verdict::Missed => (Word::Missed, BTreeSet::new(), false, None),
        Verdict::NotRun(why) => (Word::NotRun, BTreeSet::new(), false, Some(why.clone())),
    };
    Stored {
        mutant: mutant.name(),
        flavor: cell.column.flavor().name().to_owned(),
        debug_pagealloc: cell.column.switch().value().to_owned(),
        outcome,
        classes,
        named,
        why,
        expected: outcome != Word::NotRun && cell.difference(mutant).is_none(),
        seconds: cell.seconds,
        log: cell.log.clone(),
    }
}

/// Rows of mutants as files have them, and the kernel; what no file has is not run. Where several have a cell, the last
/// one counts.
pub fn read(
    files: &[PathBuf],
    mutants: &[Mutant],
    columns: &[Column],
    machine: &str,
) -> Result<(Vec<Row>, String)> {
    let contents: Vec<Content> = files
        .iter()
        .map(|f| content(f, machine))
        .collect::<Result<_>>()?;
    let mut kernels: Vec<&str> = contents.iter().map(|c| c.kernel.as_str()).collect();
    kernels.dedup();
    if let [one, other, ..] = kernels.as_slice() {
        let error = Error::usage(format!(
            "results of Linux {one} and of Linux {other} do not go together"
        ));
        return Err(error.help("give files of one kernel only"));
    }
    let kernel = kernels.first().copied().unwrap_or_default().to_owned();
    let cell = |mutant: &Mutant, column: Column| {
        let all = contents.iter().flat_map(|c| &c.cells).rev();
        let mut of = all.filter(|s| s.mutant == mutant.name() && s.is(column));
        Cell {
            column,
            verdict: of.next().map_or_else(
                || Verdict::NotRun("no file has it".to_owned()),
                Stored::verdict,
            ),
            seconds: 0.0,
            log: None,
        }
    };
    let row = |mutant: &Mutant| Row {
        mutant: mutant.clone(),
        cells: columns.iter().map(|c| cell(mutant, *c)).collect(),
    };
    Ok((mutants.iter().map(row).collect(), kernel))
}

fn content(file: &Path, machine: &str) -> Result<Content> {
    let text = fs::read_to_string(file).map_err(cannot_read(file))?;
    let content: Content = serde_json::from_str(&text).map_err(|e| {
        Error::usage(format!("{} has no results of mutants: {e}", file.display()))
            .help("give files that `dmasan mutants --json` wrote")
    })?;
    if content.schema != SCHEMA || content.machine != machine {
        let text = format!(
            "{} is of the machine `{}`, in version {} of the format",
            file.display(),
            content.machine,
            content.schema
        );
        return Err(Error::usage(text).help(format!(
            "wanted are `{machine}`, as by --machine, and version {SCHEMA}"
        )));
    }
    Ok(content)
}

impl Stored {
    fn is(&self, column: Column) -> bool {
        self.flavor == column.flavor().name() && self.debug_pagealloc == column.switch().value()
    }

    fn verdict(&self) -> Verdict {
        match self.outcome {
            Word::Caught => Verdict::Caught {
                classes: self.classes.clone(),
                named: self.named,
            },
            Word::Missed => Verdict::Missed,
            Word::NotRun => Verdict::NotRun(self.why.clone().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::table::tests::{found, row};

    #[test]
    fn results_come_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let rows = [
            row("rx", [found(true), Verdict::Missed]),
            row("tx", [Verdict::NotRun("no QEMU".to_owned()), found(false)]),
        ];
        let (file, columns) = (dir.path().join("x"), [Column::Origin, Column::Reference]);
        let text = to_json(&rows, "vtd", "7.3.4");
        for part in [
            "\"outcome\": \"not-run\"",
            "\"flavor\": \"c\"",
            "\"debug-pagealloc\": \"origin\"",
        ] {
            assert!(text.contains(part), "{text}");
        }
        fs::write(&file, text).unwrap();
        let mutants: Vec<Mutant> = rows.iter().map(|r| r.mutant.clone()).collect();
        let get = |files: &[PathBuf], columns: &[Column], machine| {
            read(files, &mutants, columns, machine)
        };
        let (again, kernel) = get(std::slice::from_ref(&file), &columns, "vtd").unwrap();
        assert_eq!(kernel, "7.3.4");
        for (old, new) in rows.iter().zip(&again) {
            for (old, new) in old.cells.iter().zip(&new.cells) {
                assert_eq!((old.column, &old.verdict), (new.column, &new.verdict));
            }
        }
        let (lacking, _) = get(&[], &[Column::Count], "vtd").unwrap();
        assert_eq!(
            lacking[0].cells[0].verdict,
            Verdict::NotRun("no file has it".to_owned())
        );
        assert!(get(std::slice::from_ref(&file), &columns, "amd-vi").is_err());
        let other = dir.path().join("y");
        fs::write(&other, to_json(&rows, "vtd", "6.12.1")).unwrap();
        let error = get(&[file, other], &columns, "vtd").unwrap_err();
        assert!(error.message().contains("do not go together"), "{error}");
    }
}
