// SPDX-License-Identifier: GPL-2.0-only
//! Cells of the matrix: one thing that can be run on one machine, and how that went.
//!
//! Scenarios, drivers, mutants and the kernel's own tests each tell which cells they have, and run them; `dmasan matrix`
//! only chooses, distributes and collects. So these types are also the format in which results are kept and merged.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernel::Flavor;
use crate::machine::Model;

/// What is run in a cell.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A bug and its twin without it (`scenarios/`)
    Scenario,
    /// A driver of the kernel's at work, which has to be silent (`drivers/`)
    Driver,
    /// A bug planted in a driver of the kernel's, which has to be found
    Mutant,
    /// The kernel's own tests, with the sanitizer on
    Selftest,
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Kind; 4] = [Kind::Scenario, Kind::Driver, Kind::Mutant, Kind::Selftest];

    /// The name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Scenario => "scenario",
            Kind::Driver => "driver",
            Kind::Mutant => "mutant",
            Kind::Selftest => "selftest",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that can be run on one machine. Two cells that are equal are the same run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cell {
    /// What it is.
    pub kind: Kind,
    /// Its name: of the scenario, the driver, the mutant (`driver-bug`), the test.
    pub name: String,
    /// The machine, as for `--machine`.
    pub machine: String,
    /// Translations are invalidated some time after an unmap (`--lazy`).
    pub lazy: bool,
    /// The sanitizer in the kernel.
    pub flavor: Flavor,
    /// What else tells it from cells that are alike, such as `origin` for a driver; empty: nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub param: String,
}

impl Cell {
    /// A cell with this project's sanitizer and strict invalidation.
    pub fn new(kind: Kind, name: &str, model: &Model) -> Cell {
        Cell {
            kind,
            name: name.to_owned(),
            machine: model.name.to_owned(),
            lazy: false,
            flavor: Flavor::Rust,
            param: String::new(),
        }
    }

    /// The row of the table of machines.
    pub fn model(&self) -> Result<&'static Model> {
        Model::find(&self.machine)
    }

    /// The machine, and whether it is lazy: `vtd`, `vtd+lazy`.
    pub fn column(&self) -> String {
        let lazy = if self.lazy { "+lazy" } else { "" };
        format!("{}{lazy}", self.machine)
    }
}

/// `KIND/NAME/MACHINE[+lazy]/FLAVOR[/PARAM]`: what `--only` is matched against, and the name in JUnit files.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column();
        write!(f, "{}/{}/{column}/{}", self.kind, self.name, self.flavor)?;
        match self.param.as_str() {
            "" => Ok(()),
            param => write!(f, "/{param}"),
        }
    }
}

/// How a cell went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "why")]
pub enum Outcome {
    /// As it has to be.
    Passed,
    /// Not so; one sentence for each difference.
    Failed(Vec<String>),
    /// It should have run and did not, or not to its end: nothing is known. Never taken as passed.
    NotRun(String),
    /// It cannot be run here, whatever one does, for instance because this QEMU lacks the device; with the reason.
    Impossible(String),
}

impl Outcome {
    /// Passed, unless something was wrong.
    pub fn judged(wrong: Vec<String>) -> Outcome {
        match wrong.is_empty() {
            true => Outcome::Passed,
            false => Outcome::Failed(wrong),
        }
    }

    /// It did not run because of an error: the message, its reason and the advice, in one text.
    pub fn not_run(error: &Error) -> Outcome {
        let reason = std::error::Error::source(error).map(ToString::to_string);
        let mut text = error.to_string();
        for more in [reason, error.advice().map(str::to_owned)]
            .into_iter()
            .flatten()
        {
            let more = more.trim_end();
            if !text.contains(more) {
                text.push('\n');
                text.push_str(more);
            }
        }
        Outcome::NotRun(text)
    }

    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed(_) => "failed",
            Outcome::NotRun(_) => "not run",
            Outcome::Impossible(_) => "impossible",
        }
    }

    /// Why it is as it is; empty if it passed.
    pub fn why(&self) -> String {
        match self {
            Outcome::Passed => String::new(),
            Outcome::Failed(wrong) => wrong.join("\n"),
            Outcome::NotRun(why) | Outcome::Impossible(why) => why.clone(),
        }
    }
}

/// A cell, and how it went.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CellResult {
    /// Which.
    pub cell: Cell,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took; of cells that share a boot, the boot's time divided among them.
    pub seconds: f64,
    /// What else is worth knowing of one that passed, such as `38 MiB, 1204 mappings`; shown in tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl CellResult {
    /// A result without more to say.
    pub fn new(cell: Cell, outcome: Outcome, seconds: f64) -> CellResult {
        CellResult {
            cell,
            outcome,
            seconds,
            detail: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> Cell {
        Cell {
            lazy: true,
            param: "origin".to_owned(),
            ..Cell::new(Kind::Driver, "nvme", <&Model>::default())
        }
    }

    #[test]
    fn a_cell_says_all_that_tells_it_from_others() {
        assert_eq!(cell().to_string(), "driver/nvme/vtd+lazy/rust/origin");
        let plain = Cell::new(Kind::Scenario, "edu-page", <&Model>::default());
        assert_eq!(plain.to_string(), "scenario/edu-page/vtd/rust");
        assert_eq!(plain.model().unwrap(), <&Model>::default());
    }

    #[test]
    fn results_come_back_as_they_were_written() {
        for outcome in [
            Outcome::Passed,
            Outcome::Failed(vec!["a".to_owned(), "b".to_owned()]),
            Outcome::NotRun("killed".to_owned()),
            Outcome::Impossible("QEMU".to_owned()),
        ] {
            let mut result = CellResult::new(cell(), outcome, 1.5);
            result.detail = Some("38 MiB".to_owned());
            let text = serde_json::to_string(&result).unwrap();
            let again: CellResult = serde_json::from_str(&text).unwrap();
            assert_eq!(again, result, "{text}");
        }
    }

    #[test]
    fn the_format_is_the_published_one() {
        let cell = Cell::new(Kind::Mutant, "nvme-unmap", <&Model>::default());
        let outcome = Outcome::judged(vec!["missed".to_owned()]);
        let text = serde_json::to_value(CellResult::new(cell, outcome, 2.0)).unwrap();
        let wanted = serde_json::json!({
            "cell": {"kind": "mutant", "name": "nvme-unmap", "machine": "vtd", "lazy": false, "flavor": "rust"},
            "outcome": "failed",
            "why": ["missed"],
            "seconds": 2.0,
        });
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_result_without_an_outcome_is_none() {
        let text = r#"{"cell": {"kind": "driver", "name": "x", "machine": "vtd", "lazy": false, "flavor": "rust"}, "seconds": 1}"#;
        assert!(serde_json::from_str::<CellResult>(text).is_err());
    }

    #[test]
    fn an_error_tells_its_reason_and_advice() {
        let error = Error::failed("no guest").because("disk").help("try again");
        let outcome = Outcome::not_run(&error);
        assert_eq!(
            outcome,
            Outcome::NotRun("no guest\ndisk\ntry again".to_owned())
        );
        assert_eq!(
            (outcome.word(), outcome.why().lines().count()),
            ("not run", 3)
        );
        assert_eq!(Outcome::judged(vec![]), Outcome::Passed);
    }
}
