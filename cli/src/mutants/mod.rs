// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan mutants`: bugs planted in drivers of the kernel's, and which sanitizer finds them.

pub mod args;
pub mod column;
pub mod copy;
pub mod file;
pub mod guest;
pub mod judge;
pub mod store;
pub mod table;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::args::{jobs_or_default, KernelArgs};
use crate::boot::{boot, Guest, Host};
use crate::cache::Key;
use crate::cell::{self, CellResult, Kind};
use crate::drivers::file::Driver;
use crate::drivers::modules::Modules;
use crate::drivers::plan;
use crate::error::{io, Error, Exit, Result};
use crate::exec::Exec;
use crate::guest::Plan;
use crate::kernel::{self, Kernel, KernelSpec};
use crate::machine::Model;
use crate::matrix::junit;
use crate::matrix::run::utc;
use crate::output;
use crate::page;
use crate::plug;
use crate::qemu::{self, Machine};
use crate::stdout;

use args::MutantsArgs;
use column::Column;
use copy::Failure;
use file::Mutant;
use judge::{Marks, Verdict};
use table::{Cell, Row};

/// What a guest may take until its first step, on a slow machine.
const BOOTING: u64 = 180;
/// What the driver may take, once without and once with the bug; one with a bug may hang in everything that it does.
const WORKING: u64 = 240;
/// Memory of the guests in MiB: little, as all of it is used once.
const MEMORY: u32 = 320;

/// The place for results in docs/mutants.md.
const PAGE: &str = "mutants";

/// For the kernel's command line: a bug may be reported hundreds of times, faster than a serial port takes it.
const LOG: &str = "log_buf_len=16M";

/// Runs the command.
pub fn run(exec: &Exec, args: &MutantsArgs) -> Result<Exit> {
    let mutants = Mutant::find(&args.only)?;
    if args.list {
        stdout::print(&list(&mutants))?;
        return Ok(Exit::Clean);
    }
    let model = args.machine;
    if !model.translates() {
        let text = format!("nothing is mapped on the machine `{}`", model.name);
        return Err(Error::usage(text).help("take a machine with an IOMMU that translates: vtd"));
    }
    let columns = Column::choose(&args.flavors, &args.debug_pagealloc);
    if columns.is_empty() {
        let error = Error::usage("there is no sanitizer to look at");
        return Err(error.help(
            "flavors with one are rust, c, dma-api-debug; rust is on with `on` or `origin`",
        ));
    }
    output::check([&args.json, &args.junit, &args.update])?;
    page::check(args.update.as_deref(), PAGE)?;

    let (mut rows, kernel, ended) = match args.from.as_slice() {
        [] => rows(exec, model, &args.kernel, &mutants, &columns),
        files => {
            let (rows, kernel) = store::read(files, &mutants, &columns, model.name)?;
            (rows, kernel, Ok(()))
        }
    };
    if rows.iter().all(|r| r.cells.is_empty()) {
        // A dry run, or an error before the first guest.
        return ended.map(|()| Exit::Clean);
    }
    if let Err(error) = &ended {
        rows.iter_mut().for_each(|r| r.complete(&columns, error));
    }
    let written = write(args, &rows, &columns, &kernel, ended.is_ok());
    let shown = stdout::print(&table::text(&rows, &columns));
    output::end(exec, written.and(shown), ended.map(|()| exit(&rows)))
}

/// A guest that did not run outranks a bug that was missed.
fn exit(rows: &[Row]) -> Exit {
    let cells = || {
        rows.iter()
            .flat_map(|r| r.cells.iter().map(move |c| (r, c)))
    };
    if cells().any(|(_, c)| matches!(c.verdict, Verdict::NotRun(_))) {
        return Exit::Failed;
    }
    match cells().any(|(r, c)| c.difference(&r.mutant).is_some()) {
        true => Exit::Finding,
        false => Exit::Clean,
    }
}

fn list(mutants: &[Mutant]) -> String {
    let line = |m: &Mutant| format!("{:28} {}\n", m.name(), m.summary);
    mutants.iter().map(line).collect()
}

/// Writes the files asked for; the page of the documentation only if the table is whole.
fn write(
    args: &MutantsArgs,
    rows: &[Row],
    columns: &[Column],
    kernel: &str,
    whole: bool,
) -> Result<()> {
    let model = args.machine;
    let of_row = |row: &Row| {
        let cells = row.cells.iter().map(|c| c.result(&row.mutant, model));
        cells.collect::<Vec<_>>()
    };
    let junit = || {
        let results: Vec<CellResult> = rows.iter().flat_map(of_row).collect();
        junit::cells("dmasan mutants", &utc(SystemTime::now()), &results)
    };
    let page = |to: &PathBuf| {
        let day = page::today();
        let of = format!("{day}, Linux {kernel}, machine `{}`.\n\n", model.name);
        page::update(to, PAGE, &(of + &table::markdown(rows, columns)))
    };
    output::all(vec![
        output::write(&args.json, || store::to_json(rows, model.name, kernel)),
        output::write(&args.junit, junit),
        args.update.iter().filter(|_| whole).try_for_each(page),
    ])
}

/// Runs mutants in all columns. One that cannot be run is told as such, and the others are run. What there is when
/// something else fails or the user interrupts is returned with the error.
fn rows(
    exec: &Exec,
    model: &'static Model,
    args: &KernelArgs,
    mutants: &[Mutant],
    columns: &[Column],
) -> (Vec<Row>, String, Result<()>) {
    let mut rows: Vec<Row> = mutants.iter().map(Row::new).collect();
    let mut release = String::new();
    let mut fill = || {
        let host = Host::prepare(exec, model)?;
        for column in columns {
            let spec = args.spec(column.flavor(), model);
            let kernel = kernel::build(exec, &host.cache, &host.env, &spec)?;
            let lab = Lab::new(&host, &kernel, model, *column)?;
            release.clone_from(&kernel.release);
            for row in &mut rows {
                row.cells.extend(lab.cell(&row.mutant)?);
            }
        }
        Ok(())
    };
    let ended = fill();
    (rows, release, ended)
}

/// Everything that there is to run: each mutant with each sanitizer, on the default machine.
pub fn cells() -> Result<Vec<cell::Cell>> {
    let model = <&Model>::default();
    let of = |mutant: &Mutant| {
        Column::ALL.map(|column| cell::Cell {
            flavor: column.flavor(),
            param: column.param().to_owned(),
            ..cell::Cell::new(Kind::Mutant, &mutant.name(), model)
        })
    };
    Ok(Mutant::all()?.iter().flat_map(of).collect())
}

/// Runs cells of [`cells`], one after the other.
pub fn run_cells(exec: &Exec, cells: &[cell::Cell]) -> Result<Vec<CellResult>> {
    let mut results = Vec::new();
    for wanted in cells {
        let model = wanted.model()?;
        let column = Column::ALL
            .into_iter()
            .find(|c| c.flavor() == wanted.flavor && c.param() == wanted.param);
        let column = column.ok_or_else(|| Error::failed(format!("there is no cell {wanted}")))?;
        let host = Host::prepare(exec, model)?;
        let spec = KernelSpec {
            flavor: wanted.flavor,
            model,
            source: None,
            fragments: Vec::new(),
            extra: &[],
            jobs: jobs_or_default(None),
        };
        let kernel = kernel::build(exec, &host.cache, &host.env, &spec)?;
        let lab = Lab::new(&host, &kernel, model, column)?;
        for mutant in Mutant::find(std::slice::from_ref(&wanted.name))? {
            let cell = lab.cell(&mutant)?;
            results.extend(cell.map(|c| c.result(&mutant, model)));
        }
    }
    Ok(results)
}

/// One kernel on one machine, for mutants to be run with.
#[derive(Debug)]
pub struct Lab<'a> {
    host: &'a Host,
    kernel: &'a Kernel,
    modules: Modules,
    model: &'static Model,
    column: Column,
}

impl<'a> Lab<'a> {
    /// Looks at what the kernel has.
    pub fn new(
        host: &'a Host,
        kernel: &'a Kernel,
        model: &'static Model,
        column: Column,
    ) -> Result<Lab<'a>> {
        let modules = match host.exec.dry_run && !kernel.dir.exists() {
            true => Modules::default(),
            false => Modules::read(&kernel.dir)?,
        };
        Ok(Lab {
            host,
            kernel,
            modules,
            model,
            column,
        })
    }

    /// Runs a mutant; `None` in a dry run.
    pub fn cell(&self, mutant: &Mutant) -> Result<Option<Cell>> {
        let begun = Instant::now();
        let (verdict, log) = match self.boot(mutant) {
            Ok(None) => return Ok(None),
            Ok(Some((verdict, log))) => (verdict, Some(log.display().to_string())),
            Err(Failure::Apply(why)) => {
                let tree = self.kernel.source.display();
                (
                    Verdict::NotRun(format!("the patch does not apply to {tree}: {why}")),
                    None,
                )
            }
            Err(Failure::Other(e)) if e.exit() == Exit::Interrupted => return Err(e),
            Err(Failure::Other(e)) => (Verdict::NotRun(cell::Outcome::not_run(&e).why()), None),
        };
        Ok(Some(Cell {
            column: self.column,
            verdict,
            seconds: begun.elapsed().as_secs_f64(),
            log,
        }))
    }

    fn boot(&self, mutant: &Mutant) -> std::result::Result<Option<(Verdict, PathBuf)>, Failure> {
        let (exec, env) = (&self.host.exec, &self.host.env);
        let found = Driver::find(std::slice::from_ref(&mutant.driver))?;
        let driver = found
            .first()
            .ok_or_else(|| Error::failed(format!("there is no driver `{}`", mutant.driver)))?;
        let machine = Machine {
            memory: MEMORY,
            ..driver.machine(self.model, false)
        };
        let twin = copy::build(exec, env, self.kernel, mutant, copy::Kind::Twin)?;
        let module = copy::build(exec, env, self.kernel, mutant, copy::Kind::Mutant)?;
        let script = self.script(driver, &machine)?;
        let plan = guest::plan(&self.modules, &driver.modules, &twin, &module, &script)?;
        let words = match &mutant.instead_of {
            Some(init) => format!("{LOG} initcall_blacklist={init}"),
            None => LOG.to_owned(),
        };
        let guest = Guest {
            what: &format!("{} ({})", mutant.name(), self.column.title()),
            kernel: self.kernel,
            machine: &machine,
            cmdline: &qemu::cmdline(self.column.switch(), &machine, &words),
            plan: &plan,
            timeout: Duration::from_secs(BOOTING + WORKING),
        };
        let Some(outcome) = boot(self.host, &guest)? else {
            return Ok(None);
        };
        let verdict = judge::judge(self.column, &plan, &outcome, &marks(&plan, mutant))?;
        Ok(Some((verdict, outcome.log)))
    }

    fn script(&self, driver: &Driver, machine: &Machine) -> Result<PathBuf> {
        let text = format!(
            "{}WORKLOAD={}\n{}",
            plan::functions(driver, machine),
            driver.workload,
            file::script()
        );
        let key = Key::new("mutants").with("script", &text);
        let entry = self
            .host
            .env
            .cache(&self.host.exec)?
            .entry("workloads", &key);
        let write = |dir: &Path| {
            let path = dir.join("mutants.sh");
            match self.host.exec.dry_run {
                true => Ok(()),
                false => std::fs::write(&path, &text).map_err(io("cannot write", &path)),
            }
        };
        Ok(entry.get_or_make("workload", write)?.join("mutants.sh"))
    }
}

fn marks(plan: &Plan, mutant: &Mutant) -> Marks {
    let load = |step: &crate::guest::Step| match &step.action {
        crate::guest::Action::Load(load) => Some(load.name()),
        _ => None,
    };
    Marks {
        modules: plan.steps().filter_map(load).collect(),
        device: plug::ADDRESS.to_owned(),
        known: mutant.known.clone(),
    }
}
