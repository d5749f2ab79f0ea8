// SPDX-License-Identifier: GPL-2.0-only
//! The table of `docs/drivers.md`: a row for each driver, a column for each machine, from the results of several runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use dmasan_report::text::printable;

use crate::cell::{CellResult, Outcome};
use crate::error::{cannot_read, Error, Result};
use crate::machine::MACHINES;

/// Results as files have them. Where several have the same cell, the last one counts.
pub fn read(files: &[PathBuf]) -> Result<Vec<CellResult>> {
    let mut all = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(file).map_err(cannot_read(file))?;
        let results: Vec<CellResult> = serde_json::from_str(&text).map_err(|e| {
            Error::usage(format!("{} has no results of drivers: {e}", file.display()))
                .help("give files that `dmasan drivers --json` wrote")
        })?;
        all.extend(results.into_iter().map(|r| (r.cell.clone(), r)));
    }
    Ok(all.into_values().collect())
}

/// A column: the place of its machine among all, whether it is lazy, how the sanitizer is on; then what tells it to people.
type Column = (usize, bool, String, String);

fn column(result: &CellResult) -> Column {
    let cell = &result.cell;
    let place = MACHINES.iter().position(|m| m.name == cell.machine);
    let mut title = format!("`{}`", cell.machine);
    if cell.lazy {
        title.push_str(", lazy");
    }
    if cell.flavor != Default::default() {
        title.push_str(&format!(", {}", cell.flavor));
    }
    if !cell.param.is_empty() {
        title.push_str(&format!(", ={}", cell.param));
    }
    let place = place.unwrap_or(MACHINES.len());
    (place, cell.lazy, cell.param.clone(), title)
}

/// The table, and below it why something did not pass.
pub fn of(results: &[CellResult]) -> String {
    let mut columns: Vec<Column> = results.iter().map(column).collect();
    columns.sort();
    columns.dedup();
    let titles: Vec<&str> = columns.iter().map(|(.., title)| title.as_str()).collect();
    let mut text = format!(
        "| driver | {} |\n|---|{}\n",
        titles.join(" | "),
        "---|".repeat(titles.len())
    );
    let mut names: Vec<&str> = results.iter().map(|r| r.cell.name.as_str()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let of_column = |wanted: &Column| {
            let mut results = results.iter();
            let found = results.find(|r| r.cell.name == name && column(r) == *wanted);
            found.map_or_else(|| "·".to_owned(), words)
        };
        let cells: Vec<String> = columns.iter().map(of_column).collect();
        text.push_str(&format!("| `{name}` | {} |\n", cells.join(" | ")));
    }
    let passed = |wanted: &Column| {
        let of_column = results.iter().filter(|r| column(r) == *wanted);
        let possible = |r: &&CellResult| !matches!(r.outcome, Outcome::Impossible(_));
        let of_column: Vec<_> = of_column.filter(possible).collect();
        let good = of_column.iter().filter(|r| r.outcome == Outcome::Passed);
        format!("{} of {}", good.count(), of_column.len())
    };
    let sums: Vec<String> = columns.iter().map(passed).collect();
    text.push_str(&format!("| **passed** | {} |\n", sums.join(" | ")));
    text + &reasons(results)
}

fn words(result: &CellResult) -> String {
    match (&result.outcome, &result.detail) {
        (Outcome::Passed, Some(detail)) => printable(detail).replace('|', "\\|"),
        (outcome, _) => outcome.word().to_owned(),
    }
}

fn reasons(results: &[CellResult]) -> String {
    let mut text = String::new();
    for result in results.iter().filter(|r| r.outcome != Outcome::Passed) {
        let (.., title) = column(result);
        let (name, word) = (&result.cell.name, result.outcome.word());
        text.push_str(&format!("\n* `{name}`, {title}: {word}\n\n"));
        // Of a crash, what it was; and where the log was is of no use to others.
        let why = match &result.outcome {
            Outcome::Failed(wrong) => wrong.clone(),
            other => vec![other.why()],
        };
        let lines = why.iter().filter_map(|w| w.lines().next());
        for line in lines.filter(|l| !l.starts_with("kernel log: ")) {
            text.push_str(&format!("      {}\n", printable(line)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Cell, Kind};
    use crate::machine::Model;

    fn result(name: &str, machine: &str, lazy: bool, outcome: Outcome) -> CellResult {
        let model = Model::find(machine).unwrap();
        let cell = Cell {
            lazy,
            param: "origin".to_owned(),
            ..Cell::new(Kind::Driver, name, model)
        };
        let detail = (outcome == Outcome::Passed).then(|| "DMA, 33 MiB".to_owned());
        CellResult {
            detail,
            ..CellResult::new(cell, outcome, 1.0)
        }
    }

    #[test]
    fn machines_are_columns_and_failures_are_told() {
        let why = ["yank: BUG\nand more", "kernel log: /x"].map(str::to_owned);
        let results = [
            result("nvme", "virtio-iommu", false, Outcome::Passed),
            result("igb", "vtd", true, Outcome::Failed(why.to_vec())),
            result("nvme", "vtd", false, Outcome::Passed),
            result("ohci", "vtd", true, Outcome::Impossible("old".to_owned())),
        ];
        assert_eq!(
            of(&results),
            "\
| driver | `vtd`, =origin | `vtd`, lazy, =origin | `virtio-iommu`, =origin |
|---|---|---|---|
| `igb` | · | failed | · |
| `nvme` | DMA, 33 MiB | · | DMA, 33 MiB |
| `ohci` | · | impossible | · |
| **passed** | 1 of 1 | 0 of 1 | 1 of 1 |

* `igb`, `vtd`, lazy, =origin: failed

      yank: BUG

* `ohci`, `vtd`, lazy, =origin: impossible

      old
"
        );
    }

    #[test]
    fn the_last_result_of_a_cell_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, outcome: Outcome| {
            let path = dir.path().join(name);
            let all = [result("nvme", "vtd", false, outcome)];
            fs::write(&path, serde_json::to_string(&all).unwrap()).unwrap();
            path
        };
        let first = write("a", Outcome::NotRun("killed".to_owned()));
        let second = write("b", Outcome::Passed);
        let all = read(&[first.clone(), second]).unwrap();
        assert_eq!((all.len(), &all[0].outcome), (1, &Outcome::Passed));
        fs::write(&first, "{}").unwrap();
        let error = read(&[first]).unwrap_err();
        assert!(
            error.advice().unwrap().contains("dmasan drivers --json"),
            "{error}"
        );
    }
}
