// SPDX-License-Identifier: GPL-2.0-only
//! Running the cells of one boot, in the process that was started for them.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::args::{jobs_or_default, Switch};
use crate::boot::Host;
use crate::cell::{Cell, CellResult, Kind, Outcome};
use crate::demo;
use crate::drivers::file::Driver;
use crate::drivers::judge::Ran;
use crate::drivers::Lab;
use crate::error::{Error, Result};
use crate::exec::Exec;
use crate::kernel::{self, KernelSpec};
use crate::matrix::child::Job;
use crate::mutants;
use crate::scenario::Scenario;
use crate::selftests;
use crate::suite;

/// The kernel of a cell.
pub fn spec(cell: &Cell) -> Result<KernelSpec> {
    let model = cell.model()?;
    Ok(KernelSpec {
        flavor: cell.flavor,
        model,
        extra: match cell.kind {
            Kind::Selftest => selftests::extra(model.arch),
            Kind::Scenario | Kind::Driver | Kind::Mutant => &[],
        },
        source: None,
        fragments: Vec::new(),
        jobs: jobs_or_default(None),
    })
}

/// Runs cells of one boot.
pub fn run(exec: &Exec, job: &Job) -> Result<Vec<CellResult>> {
    let Some(first) = job.cells.first() else {
        return Ok(Vec::new());
    };
    match first.kind {
        Kind::Scenario => scenarios(exec, job, first),
        Kind::Driver => drivers(exec, job, first),
        Kind::Mutant => mutants::run_cells(exec, &job.cells),
        Kind::Selftest => selftests::cells::run(exec, &job.cells, jobs_or_default(None)),
    }
}

fn scenarios(exec: &Exec, job: &Job, first: &Cell) -> Result<Vec<CellResult>> {
    let begun = Instant::now();
    let model = first.model()?;
    let host = Host::prepare(exec, model)?;
    let kernel = kernel::build(exec, &host.cache, &host.env, &spec(first)?)?;
    let all = match &job.scenarios {
        Some(dir) => Scenario::all(dir)?,
        None => Scenario::embedded(&demo::unpack(&host)?)?,
    };
    let find = |cell: &Cell| {
        let found = all.iter().find(|s| s.name == cell.name);
        found.ok_or_else(|| Error::usage(format!("there is no scenario `{}`", cell.name)))
    };
    let group = job.cells.iter().map(find).collect::<Result<Vec<_>>>()?;
    let judged = suite::run(&host, &kernel, model, first.lazy, &group)?;
    let wrong: BTreeMap<_, _> = judged.into_iter().map(|j| (j.name, j.wrong)).collect();
    let seconds = begun.elapsed().as_secs_f64() / job.cells.len() as f64;
    let result = |cell: &Cell| {
        let wrong = wrong.get(&cell.name)?.clone();
        Some(CellResult::new(
            cell.clone(),
            Outcome::judged(wrong),
            seconds,
        ))
    };
    // What nothing is said of did not run: whoever started this process knows.
    Ok(job.cells.iter().filter_map(result).collect())
}

fn drivers(exec: &Exec, job: &Job, first: &Cell) -> Result<Vec<CellResult>> {
    let model = first.model()?;
    let host = Host::prepare(exec, model)?;
    let kernel = kernel::build(exec, &host.cache, &host.env, &spec(first)?)?;
    let lab = Lab {
        host,
        kernel,
        model,
        lazy: first.lazy,
        switch: match first.param.as_str() {
            "" => Switch::On,
            _ => Switch::Origin,
        },
    };
    let names: Vec<String> = job.cells.iter().map(|c| c.name.clone()).collect();
    let all = lab.run(&Driver::find(&names)?)?;
    Ok(all.iter().map(Ran::result).collect())
}
