// SPDX-License-Identifier: GPL-2.0-only
//! The table of `docs/drivers.md`: a row for each driver, a column for each machine, from the results of several runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use dmasan_report::text::printable;
use serde::Deserialize;

use crate::cell::{CellResult, Kind, Outcome};
use crate::error::{cannot_read, Error, Result};
use crate::machine::MACHINES;

/// A file with results.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    /// Of `dmasan drivers --json`.
    Drivers(Vec<CellResult>),
    /// Of `dmasan matrix --json`, as far as it matters here.
    Matrix { results: Vec<CellResult> },
}

/// Results as files have them. Where several have the same cell, the last one counts.
pub fn read(files: &[PathBuf]) -> Result<Vec<CellResult>> {
    let mut all = BTreeMap::new();
    for file in files {
        let none = |why: String| {
            Error::usage(format!("{} has no results of drivers{why}", file.display()))
                .help("give files that `dmasan drivers --json` or `dmasan matrix --json` wrote")
        };
        let text = fs::read_to_string(file).map_err(cannot_read(file))?;
        let content = serde_json::from_str(&text).map_err(|e| none(format!(": {e}")))?;
        let (Content::Drivers(mut results) | Content::Matrix { mut results }) = content;
        results.retain(|r| r.cell.kind == Kind::Driver);
        if results.is_empty() {
            return Err(none(String::new()));
        }
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

/// An outcome, and why.
type Why = (&'static str, Vec<String>);

/// Why something did not pass; what has the same reason in the same places, once.
fn reasons(results: &[CellResult]) -> String {
    let mut places: BTreeMap<(&str, Why), Vec<Column>> = BTreeMap::new();
    for result in results.iter().filter(|r| r.outcome != Outcome::Passed) {
        let why = (result.outcome.word(), lines(&result.outcome));
        let met = (result.cell.name.as_str(), why);
        places.entry(met).or_default().push(column(result));
    }
    let mut groups: BTreeMap<(Why, Vec<Column>), Vec<&str>> = BTreeMap::new();
    for ((name, why), mut columns) in places {
        columns.sort();
        groups.entry((why, columns)).or_default().push(name);
    }
    let mut text = String::new();
    for (((word, lines), columns), names) in groups {
        let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
        let columns: Vec<&str> = columns.iter().map(|(.., title)| title.as_str()).collect();
        let (names, columns) = (names.join(", "), columns.join("; "));
        text.push_str(&format!("\n* {names}: {word} on {columns}\n\n"));
        for line in lines {
            text.push_str(&format!("      {}\n", printable(&line)));
        }
    }
    text
}

/// Of a crash, what it was; and where the log was is of no use to others.
fn lines(outcome: &Outcome) -> Vec<String> {
    let why = match outcome {
        Outcome::Failed(wrong) => wrong.clone(),
        other => vec![other.why()],
    };
    let first = why.iter().filter_map(|w| w.lines().next());
    first
        .filter(|l| !l.starts_with("kernel log: "))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;
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
            result("ohci", "vtd", false, Outcome::Impossible("old".to_owned())),
            result("uhci", "vtd", true, Outcome::Impossible("old".to_owned())),
            result("uhci", "vtd", false, Outcome::Impossible("old".to_owned())),
            result("xhci", "vtd", false, Outcome::Impossible("old".to_owned())),
        ];
        assert_eq!(
            of(&results),
            "\
| driver | `vtd`, =origin | `vtd`, lazy, =origin | `virtio-iommu`, =origin |
|---|---|---|---|
| `igb` | · | failed | · |
| `nvme` | DMA, 33 MiB | · | DMA, 33 MiB |
| `ohci` | impossible | impossible | · |
| `uhci` | impossible | impossible | · |
| `xhci` | impossible | · | · |
| **passed** | 1 of 1 | 0 of 1 | 1 of 1 |

* `igb`: failed on `vtd`, lazy, =origin

      yank: BUG

* `xhci`: impossible on `vtd`, =origin

      old

* `ohci`, `uhci`: impossible on `vtd`, =origin; `vtd`, lazy, =origin

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
        // What is no driver is no matter, unless there is nothing else.
        let mut other = result("edu-page", "vtd", false, Outcome::Passed);
        other.cell.kind = Kind::Scenario;
        let matrix = |results: &[&CellResult]| {
            let text = serde_json::json!({ "schema": "dmasan-matrix/1", "results": results });
            fs::write(&first, text.to_string()).unwrap();
            read(std::slice::from_ref(&first))
        };
        let passed = result("nvme", "vtd", false, Outcome::Passed);
        assert_eq!(matrix(&[&other, &passed]).unwrap(), [passed]);
        let without = matrix(&[&other]).unwrap_err();
        fs::write(&first, "{}").unwrap();
        for error in [without, read(&[first]).unwrap_err()] {
            assert!(
                error.advice().unwrap().contains("dmasan drivers --json"),
                "{error}"
            );
        }
    }
}
