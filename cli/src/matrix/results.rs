// SPDX-License-Identifier: GPL-2.0-only
//! Results of a run or of a shard as a document: what ran where, with what, and how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cell::{Cell, CellResult, Kind, Outcome};
use crate::error::{cannot_read, io, Error, Exit, Result};
use crate::matrix::catalog::place;
use crate::matrix::shard::Shard;

/// Version of the format.
pub const SCHEMA: &str = "dmasan-matrix/1";

/// Results, with all that has to be equal for others to be merged with them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: String,
    /// What ran the cells.
    pub dmasan: Tool,
    /// What was booted.
    pub kernels: Vec<KernelUsed>,
    /// Versions of QEMU, by architecture.
    pub qemu: BTreeMap<String, String>,
    /// What was asked for, with all shards together.
    pub selection: Selection,
    /// The parts of it that are here.
    pub shards: Vec<Shard>,
    /// When it began, in UTC.
    pub begun: String,
    /// How long it took by the clock; of several shards together.
    pub seconds: f64,
    /// How many results are of earlier runs with the same kernels, the same tool and the same QEMU.
    pub kept: usize,
    /// Cells of the selection that are in other shards.
    pub elsewhere: Vec<Cell>,
    /// How each cell went.
    pub results: Vec<CellResult>,
}

/// This tool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tool {
    /// Its version.
    pub version: String,
    /// Identity of its source, and of the kernel files, scenarios and drivers inside of it.
    pub source: String,
}

/// A kernel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KernelUsed {
    /// The sanitizer, and the machine where it has a kernel of its own: `rust`, `rust, arm64`.
    pub kernel: String,
    /// `uname -r`.
    pub release: String,
    /// Identity of all that it was made from: source, patches, configuration, tools.
    pub key: String,
}

/// What was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Selection {
    /// `smoke` or `full`.
    pub tier: String,
    /// Patterns.
    pub only: Vec<String>,
    /// Machines; none: all.
    pub machines: Vec<String>,
    /// Kinds; none: all.
    pub kinds: Vec<Kind>,
    /// Identity of a folder of the user's with scenarios.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenarios: Option<String>,
    /// How many cells that are, of all shards.
    pub cells: usize,
    /// Of each kind, how many pairs of a name and a machine there are that its files do not ask for.
    pub not_asked: BTreeMap<Kind, usize>,
}

impl Results {
    /// Whether all shards are here.
    pub fn is_whole(&self) -> bool {
        self.shards.len() == self.shards.first().map_or(1, |s| s.count)
    }

    /// Puts results into the order in which they are shown.
    pub fn sort(&mut self) {
        self.results
            .sort_by(|a, b| place(&a.cell).cmp(&place(&b.cell)));
    }

    /// How many cells went in a way, as [`Outcome::word`] has it.
    pub fn count(&self, kind: Kind, word: &str) -> usize {
        let of_kind = self.results.iter().filter(|r| r.cell.kind == kind);
        of_kind.filter(|r| r.outcome.word() == word).count()
    }

    /// Each reason of those that went in a way, once, with all its cells.
    pub fn by_reason(&self, word: &str) -> Vec<(String, Vec<&Cell>)> {
        let mut reasons: Vec<(String, Vec<&Cell>)> = Vec::new();
        for result in self.results.iter().filter(|r| r.outcome.word() == word) {
            let why = result.outcome.why();
            match reasons.iter_mut().find(|(w, _)| *w == why) {
                Some((_, cells)) => cells.push(&result.cell),
                None => reasons.push((why, vec![&result.cell])),
            }
        }
        reasons
    }

    /// What guests took, one after the other.
    pub fn guest_seconds(&self) -> f64 {
        self.results.iter().map(|r| r.seconds).sum()
    }

    /// The exit code: something wrong outranks something that is not known.
    pub fn exit(&self) -> Exit {
        let any = |is: fn(&Outcome) -> bool| self.results.iter().any(|r| is(&r.outcome));
        if any(|o| matches!(o, Outcome::Failed(_))) {
            Exit::Finding
        } else if any(|o| matches!(o, Outcome::NotRun(_))) {
            Exit::Failed
        } else {
            Exit::Clean
        }
    }

    /// As JSON, a line for each result, so that two of them can be compared by eye.
    pub fn to_json(&self) -> String {
        let head = Results {
            elsewhere: Vec::new(),
            results: Vec::new(),
            ..self.clone()
        };
        let head = serde_json::to_string_pretty(&head).expect("all keys are strings");
        let list = |name: &str| (format!("\n  \"{name}\": []"), format!("\n  \"{name}\": "));
        let (no_cells, cells) = list("elsewhere");
        let (no_results, results) = list("results");
        head.replace(&no_cells, &(cells + &lines(&self.elsewhere)))
            .replace(&no_results, &(results + &lines(&self.results)))
            + "\n"
    }

    /// Reads a document of this version.
    pub fn from_json(text: &str) -> std::result::Result<Results, String> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let head: Head = serde_json::from_str(text)
            .map_err(|e| format!("not results of `dmasan matrix`: {e}"))?;
        if head.schema != SCHEMA {
            return Err(format!(
                "it is `{}`, and this tool reads `{SCHEMA}`",
                head.schema
            ));
        }
        serde_json::from_str(text).map_err(|e| format!("damaged: {e}"))
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Results> {
        let text = fs::read_to_string(path).map_err(cannot_read(path))?;
        Results::from_json(&text).map_err(|why| {
            Error::usage(format!("{}: {why}", path.display()))
                .help("give files that `dmasan matrix --json` wrote")
        })
    }
}

/// Cells in a line: each, or what they are and where, if they are many.
pub fn describe(cells: &[&Cell]) -> String {
    if cells.len() <= FEW {
        let cells: Vec<_> = cells.iter().map(ToString::to_string).collect();
        return cells.join(", ");
    }
    let set = |of: &dyn Fn(&Cell) -> String| {
        let all: BTreeSet<String> = cells.iter().map(|c| of(c)).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let names = set(&|c| format!("{}/{}", c.kind, c.name));
    format!(
        "{} cells: {names}; on {}",
        cells.len(),
        set(&|c| c.column())
    )
}

/// So many cells are named each.
const FEW: usize = 4;

/// A list in JSON, each item on a line of its own.
fn lines<T: Serialize>(items: &[T]) -> String {
    if items.is_empty() {
        return "[]".to_owned();
    }
    let line = |item| serde_json::to_string(item).expect("all keys are strings");
    let lines: Vec<String> = items.iter().map(line).collect();
    format!("[\n    {}\n  ]", lines.join(",\n    "))
}

/// Writes a file that is there whole, or not at all.
pub fn write_whole(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&new, text).map_err(io("cannot write", &new))?;
    fs::rename(&new, path).map_err(io("cannot write", path))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::machine::Model;

    /// Two of two shards, with an outcome of each sort.
    pub(crate) fn sample(index: usize) -> Results {
        let model = |name| Model::find(name).unwrap();
        let cell = |name: &str, machine| Cell::new(Kind::Scenario, name, model(machine));
        let driver = Cell {
            lazy: true,
            param: "origin".to_owned(),
            ..Cell::new(Kind::Driver, "nvme", model("amd-vi"))
        };
        let first = vec![
            CellResult::new(cell("edu-page", "vtd"), Outcome::Passed, 4.25),
            CellResult::new(
                cell("kunit", "vtd"),
                Outcome::Failed(vec!["a <case> | failed".to_owned(), "\u{1b}[0m".to_owned()]),
                10.0,
            ),
        ];
        let second = vec![
            CellResult::new(
                cell("edu-page", "vtd-first-level"),
                Outcome::NotRun("its process was ended by signal 9".to_owned()),
                0.5,
            ),
            CellResult::new(
                driver,
                Outcome::Impossible("--lazy makes no difference".to_owned()),
                0.0,
            ),
        ];
        let cells = |all: &[CellResult]| all.iter().map(|r| r.cell.clone()).collect::<Vec<_>>();
        let (here, there) = match index {
            1 => (first, second),
            _ => (second, first),
        };
        Results {
            schema: SCHEMA.to_owned(),
            dmasan: Tool {
                version: "0.1.0".to_owned(),
                source: "1234".to_owned(),
            },
            kernels: vec![KernelUsed {
                kernel: "rust".to_owned(),
                release: "7.3.4".to_owned(),
                key: "abcd".to_owned(),
            }],
            qemu: BTreeMap::from([("x86_64".to_owned(), "10.0.2".to_owned())]),
            selection: Selection {
                tier: "full".to_owned(),
                only: vec!["*".to_owned()],
                machines: vec![],
                kinds: vec![],
                scenarios: None,
                cells: 4,
                not_asked: BTreeMap::from([(Kind::Scenario, 23), (Kind::Driver, 12)]),
            },
            shards: vec![Shard { index, count: 2 }],
            begun: format!("2026-11-23T0{index}:00:00Z"),
            seconds: 60.5 * index as f64,
            kept: 0,
            elsewhere: cells(&there),
            results: here,
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for results in [sample(1), sample(2)] {
            let text = results.to_json();
            assert_eq!(Results::from_json(&text).unwrap(), results);
            assert_eq!(
                text.lines().filter(|l| l.contains("\"outcome\"")).count(),
                2
            );
        }
        insta::assert_snapshot!(sample(1).to_json());
    }

    #[test]
    fn many_cells_are_named_by_what_they_share() {
        let results = sample(1);
        let cells: Vec<&Cell> = results.results.iter().map(|r| &r.cell).collect();
        let few = describe(&cells);
        assert_eq!(few, "scenario/edu-page/vtd/rust, scenario/kunit/vtd/rust");
        let many = describe(&cells.repeat(3));
        assert_eq!(many, "6 cells: scenario/edu-page, scenario/kunit; on vtd");
    }

    #[test]
    fn other_documents_are_refused() {
        let other = sample(1).to_json().replace(SCHEMA, "dmasan-matrix/2");
        for (text, told) in [
            ("", "not results"),
            ("{\"findings\": []}", "not results"),
            (
                other.as_str(),
                "it is `dmasan-matrix/2`, and this tool reads `dmasan-matrix/1`",
            ),
            ("{\"schema\": \"dmasan-matrix/1\"}", "damaged"),
        ] {
            let error = Results::from_json(text).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn something_wrong_outranks_something_unknown() {
        let mut results = sample(1);
        assert_eq!(results.exit(), Exit::Finding);
        results.results.remove(1);
        assert_eq!(results.exit(), Exit::Clean);
        assert_eq!(sample(2).exit(), Exit::Failed);
        // What cannot be is no failure.
        let mut results = sample(2);
        results.results.remove(0);
        assert_eq!(results.exit(), Exit::Clean);
    }
}
