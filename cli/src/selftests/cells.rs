// SPDX-License-Identifier: GPL-2.0-only
//! The suites as cells of the matrix.

use crate::args::Switch;
use crate::cell::{Cell, CellResult, Kind, Outcome};
use crate::error::{Error, Result};
use crate::exec::Exec;
use crate::kernel::{Flavor, KernelSpec};
use crate::machine::Model;
use crate::qemu::Machine;
use crate::selftests::judge::Judged;
use crate::selftests::suite::Suite;
use crate::selftests::{machine, Lab};

/// Where they are run, and with which value of the parameter: the IOMMU of the machine has no part in most of them.
const PLACES: &[(&str, &[Switch])] = &[
    ("vtd", &[Switch::On, Switch::Origin]),
    ("arm64-smmuv3", &[Switch::On]),
];

/// All cells that there are.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (name, switches) in PLACES {
        let Ok(model) = Model::find(name) else {
            continue;
        };
        for switch in *switches {
            let suites = crate::selftests::suite::SUITES.iter();
            for suite in suites.filter(|s| s.is_on(model.arch)) {
                cells.push(Cell {
                    param: param(*switch).to_owned(),
                    ..Cell::new(Kind::Selftest, suite.name, model)
                });
            }
        }
    }
    cells
}

/// What tells a cell from others that are alike.
fn param(switch: Switch) -> &'static str {
    match switch {
        Switch::On => "",
        Switch::Off | Switch::Origin => switch.value(),
    }
}

fn switch(cell: &Cell) -> Result<Switch> {
    let all = [Switch::On, Switch::Origin];
    let found = all.into_iter().find(|s| param(*s) == cell.param);
    found.ok_or_else(|| Error::usage(format!("{cell}: there is no such cell")))
}

/// Runs cells; those with the same machine and parameter in one guest.
pub fn run(exec: &Exec, cells: &[Cell], jobs: usize) -> Result<Vec<CellResult>> {
    let mut results = Vec::new();
    let mut left: Vec<&Cell> = cells.iter().collect();
    while let Some(first) = left.first().copied() {
        let alike = |c: &&Cell| c.column() == first.column() && c.param == first.param;
        let (group, others): (Vec<&Cell>, Vec<&Cell>) = left.into_iter().partition(alike);
        results.extend(one(exec, &group, jobs)?);
        left = others;
    }
    Ok(results)
}

fn one(exec: &Exec, group: &[&Cell], jobs: usize) -> Result<Vec<CellResult>> {
    let [first, ..] = group else {
        return Ok(Vec::new());
    };
    let model = first.model()?;
    let suites = group.iter().map(|c| Suite::find(&c.name));
    let suites: Vec<&'static Suite> = suites.collect::<Result<_>>()?;
    let spec = KernelSpec {
        flavor: Flavor::Rust,
        model,
        extra: &[],
        source: None,
        fragments: Vec::new(),
        jobs,
    };
    let guest = machine(Machine {
        model,
        lazy: first.lazy,
        ..Machine::default()
    })?;
    let lab = Lab::new(exec, spec, guest)?;
    let judged = lab.compare(switch(first)?, &suites)?.unwrap_or_default();
    let result = |cell: &&Cell| {
        let judged = judged.iter().find(|j| j.name == cell.name);
        result((*cell).clone(), judged)
    };
    Ok(group.iter().map(result).collect())
}

/// All suites of a run as results of cells.
pub fn results(machine: &Machine, switch: Switch, judged: &[Judged]) -> Vec<CellResult> {
    let cell = |j: &Judged| Cell {
        lazy: machine.lazy,
        param: param(switch).to_owned(),
        ..Cell::new(Kind::Selftest, j.name, machine.model)
    };
    judged.iter().map(|j| result(cell(j), Some(j))).collect()
}

fn result(cell: Cell, judged: Option<&Judged>) -> CellResult {
    let Some(judged) = judged else {
        let outcome = Outcome::NotRun("the guest did not come to it".to_owned());
        return CellResult::new(cell, outcome, 0.0);
    };
    let outcome = match &judged.broken {
        Some(why) => Outcome::NotRun(why.clone()),
        None => Outcome::judged(judged.wrong.clone()),
    };
    let failed = judged.failed.len();
    let mut detail = format!("{} tests", judged.passed + failed);
    for (number, what) in [
        (failed, "fail without the sanitizer, too"),
        (judged.skipped.len(), "skipped"),
    ] {
        if number > 0 {
            detail.push_str(&format!(", {number} {what}"));
        }
    }
    CellResult {
        detail: Some(detail),
        ..CellResult::new(cell, outcome, judged.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftests::judge::judge;
    use crate::selftests::read::Ran;

    #[test]
    fn cells_are_unique_and_can_be_run() {
        let cells = cells();
        for cell in &cells {
            let model = cell.model().unwrap();
            assert!(Suite::find(&cell.name).unwrap().is_on(model.arch), "{cell}");
            assert!(switch(cell).is_ok());
            assert_eq!(cells.iter().filter(|c| *c == cell).count(), 1, "{cell}");
        }
        let names: Vec<String> = cells.iter().map(ToString::to_string).collect();
        assert!(names.contains(&"selftest/iommufd/vtd/rust/origin".to_owned()));
        let off = Cell {
            param: "0".to_owned(),
            ..cells[0].clone()
        };
        assert!(switch(&off).is_err());
    }

    #[test]
    fn what_is_not_known_has_not_run() {
        let cell = cells().remove(0);
        let outcome = |judged: Option<Judged>| result(cell.clone(), judged.as_ref()).outcome;
        assert!(matches!(outcome(None), Outcome::NotRun(_)));
        let mut ran = Ran::new(Suite::find("slub").unwrap());
        assert_eq!(outcome(Some(judge(&ran, None))), Outcome::Passed);
        ran.warnings.push("w".to_owned());
        assert!(matches!(
            outcome(Some(judge(&ran, None))),
            Outcome::Failed(_)
        ));
        ran.broken = Some("cut".to_owned());
        assert!(matches!(
            outcome(Some(judge(&ran, None))),
            Outcome::NotRun(_)
        ));
    }
}
