// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan drivers`: drivers of the kernel's at work with what QEMU emulates; the sanitizer has to be silent.

pub mod args;
pub mod file;
pub mod judge;
pub mod markdown;
pub mod modules;
pub mod plan;
pub mod program;
pub mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::args::Switch;
use crate::boot::{boot, Guest, Host};
use crate::cell::{Cell, CellResult, Kind, Outcome};
use crate::drivers::args::DriversArgs;
use crate::drivers::file::Driver;
use crate::drivers::judge::Ran;
use crate::drivers::modules::Modules;
use crate::error::{Error, Exit, Result};
use crate::exec::Exec;
use crate::guest::Plan;
use crate::host;
use crate::kernel::{self, Flavor, Kernel};
use crate::machine::{Model, MACHINES};
use crate::output;
use crate::page;
use crate::qemu::{self, Machine};
use crate::stdout;

/// What a guest may take until its first step, on a slow machine.
const BOOTING: u64 = 180;

/// The place for results in docs/drivers.md.
const PAGE: &str = "drivers";

/// Where drivers are run: one kernel, on one machine.
#[derive(Clone, Debug)]
pub struct Lab {
    /// Runs guests.
    pub host: Host,
    /// The kernel.
    pub kernel: Kernel,
    /// The machine.
    pub model: &'static Model,
    /// Whether invalidation is lazy.
    pub lazy: bool,
    /// What the sanitizer is told to do.
    pub switch: Switch,
}

/// Runs the command.
pub fn run(exec: &Exec, args: &DriversArgs) -> Result<Exit> {
    let drivers = Driver::find(&args.name)?;
    if args.list {
        stdout::print(&table::list(&drivers))?;
        return Ok(Exit::Clean);
    }
    let (model, lazy) = (args.machine.machine, args.machine.lazy);
    model.check_lazy(lazy)?;
    output::check([&args.json, &args.update])?;
    page::check(args.update.as_deref(), PAGE)?;
    if !args.from.is_empty() {
        let results = markdown::read(&args.from)?;
        return tell(&results, args.update.as_deref());
    }
    refuse_if_none_runs(&drivers, model)?;
    let host = Host::prepare(exec, model)?;
    let spec = args.kernel.spec(args.flavor, model);
    let kernel = kernel::build(exec, &host.cache, &host.env, &spec)?;
    let lab = Lab {
        host,
        kernel,
        model,
        lazy,
        switch: args.debug_pagealloc,
    };
    let all = lab.run(&drivers)?;
    if exec.dry_run {
        return Ok(Exit::Clean);
    }
    let results: Vec<CellResult> = all.iter().map(Ran::result).collect();
    let json = || serde_json::to_string_pretty(&results).unwrap_or_default() + "\n";
    let written = output::all(vec![
        output::write(&args.json, json),
        update(args.update.as_deref(), &results),
    ]);
    let shown = stdout::print(&table::of(&all));
    output::end(exec, written.and(shown), Ok(exit(&all)))
}

/// Refuses a machine where nothing would be run, before a kernel is built for it.
fn refuse_if_none_runs(drivers: &[Driver], model: &Model) -> Result<()> {
    let why = |d: &Driver| Some(format!("{}: {}", d.name, d.impossible(model)?));
    let reasons: Vec<String> = drivers.iter().filter_map(why).collect();
    if reasons.len() < drivers.len() {
        return Ok(());
    }
    let runs = |m: &&Model| drivers.iter().any(|d| d.impossible(m).is_none());
    let others: Vec<&str> = MACHINES.iter().filter(runs).map(|m| m.name).collect();
    let text = format!("nothing to run on the machine `{}`", model.name);
    let help = format!("machines for this: {}", others.join(", "));
    Err(Error::usage(text).because(reasons.join("\n")).help(help))
}

/// Shows results that there are already. Their exit code tells of failures, but not which kind they were.
fn tell(results: &[CellResult], page: Option<&Path>) -> Result<Exit> {
    let written = update(page, results);
    stdout::print(&markdown::of(results))?;
    written?;
    let failed = |r: &CellResult| matches!(r.outcome, Outcome::Failed(_));
    let not_run = |r: &CellResult| matches!(r.outcome, Outcome::NotRun(_));
    Ok(
        match (results.iter().any(not_run), results.iter().any(failed)) {
            (true, _) => Exit::Failed,
            (false, true) => Exit::Finding,
            (false, false) => Exit::Clean,
        },
    )
}

fn update(page: Option<&Path>, results: &[CellResult]) -> Result<()> {
    let Some(to) = page else { return Ok(()) };
    let tables = format!("{}.\n\n{}", page::today(), markdown::of(results));
    page::update(to, PAGE, &tables)
}

/// A guest that failed outranks a finding; where nothing could be run, that is told by the exit code as well.
fn exit(all: &[Ran]) -> Exit {
    let has = |exit: Exit| all.iter().any(|r| r.exit == exit);
    let impossible = |r: &Ran| matches!(r.outcome, Outcome::Impossible(_));
    let order = [
        Exit::Interrupted,
        Exit::Failed,
        Exit::Unparseable,
        Exit::Finding,
    ];
    match order.into_iter().find(|e| has(*e)) {
        Some(exit) => exit,
        None if all.iter().all(impossible) => Exit::Usage,
        None => Exit::Clean,
    }
}

/// All cells of a driver: on each machine, strict and lazy, counting and with the origin of mappings. Some cannot be run.
pub fn cells(driver: &Driver) -> Vec<Cell> {
    let mut cells = Vec::new();
    for model in MACHINES {
        // Without translation nothing is invalidated.
        let lazy: &[bool] = match model.translates() {
            true => &[false, true],
            false => &[false],
        };
        for &lazy in lazy {
            let cell = |switch: &Switch| Cell {
                lazy,
                param: param(*switch),
                ..Cell::new(Kind::Driver, &driver.name, model)
            };
            cells.extend(switches(model).iter().map(cell));
        }
    }
    cells
}

/// Why a cell of a driver cannot be run, whatever the QEMU, if it cannot.
pub fn impossible(driver: &Driver, cell: &Cell) -> Option<String> {
    let model = cell.model().ok()?;
    driver
        .impossible(model)
        .or_else(|| model.refuses_lazy(cell.lazy))
}

/// With origins everything is watched that is watched without. So counting alone is run on the default machine only, as it
/// has other timing.
fn switches(model: &Model) -> &'static [Switch] {
    match model.name == <&Model>::default().name {
        true => &[Switch::On, Switch::Origin],
        false => &[Switch::Origin],
    }
}

fn param(switch: Switch) -> String {
    match switch {
        Switch::On => String::new(),
        other => other.value().to_owned(),
    }
}

impl Lab {
    /// Runs drivers, one after the other.
    pub fn run(&self, drivers: &[Driver]) -> Result<Vec<Ran>> {
        let (devices, version) = self.qemu();
        let mut all = Vec::new();
        for driver in drivers {
            let lacks = driver
                .impossible(self.model)
                .or_else(|| driver.lacking(devices.as_deref()?, &version));
            let ran = match lacks {
                Some(why) => Ran::not(self.cell(driver), Outcome::Impossible(why), Exit::Clean),
                None => match self.run_one(driver) {
                    Ok(Some(ran)) => ran,
                    // A dry run.
                    Ok(None) => continue,
                    Err(e) => Ran::not(self.cell(driver), Outcome::not_run(&e), e.exit()),
                },
            };
            let interrupted = ran.exit == Exit::Interrupted;
            if !matches!(ran.outcome, Outcome::Passed) {
                let why = ran.outcome.why();
                let why = why.lines().next().unwrap_or_default();
                let note = format!("{}: {}: {why}", driver.name, ran.outcome.word());
                self.host.exec.ui.note(&note);
            }
            all.push(ran);
            if interrupted {
                break;
            }
        }
        Ok(all)
    }

    /// What this QEMU has, and its version; in a dry run there may be none.
    fn qemu(&self) -> (Option<String>, String) {
        let ask = |args: &[&str]| {
            let qemu = self.host.env.cmd(self.model.arch.qemu());
            self.host.exec.output(&qemu.args(args).query()).ok()
        };
        let version = ask(&["--version"]).and_then(|t| host::version(&t).map(str::to_owned));
        (ask(&["-device", "help"]), version.unwrap_or_default())
    }

    fn cell(&self, driver: &Driver) -> Cell {
        Cell {
            lazy: self.lazy,
            flavor: self.kernel.flavor,
            param: param(self.switch),
            ..Cell::new(Kind::Driver, &driver.name, self.model)
        }
    }

    /// The machine, and what is done on it, with modules of one's own in place of the kernel's.
    pub fn plan(&self, driver: &Driver, modules: &Modules) -> Result<(Machine, Plan)> {
        let machine = driver.machine(self.model, self.lazy);
        let files: Vec<PathBuf> = modules.to_load(&driver.modules)?;
        let script = plan::write_script(&self.host, driver, &machine)?;
        let programs = driver.programs.iter();
        let programs = programs.map(|name| program::build(&self.host, &self.kernel, name));
        let plan = Plan {
            programs: programs.collect::<Result<_>>()?,
            ..plan::plan(driver, &machine, &files, &script)
        };
        Ok((machine, plan))
    }

    fn run_one(&self, driver: &Driver) -> Result<Option<Ran>> {
        let modules = match self.host.exec.dry_run && !self.kernel.dir.exists() {
            true => Modules::default(),
            false => Modules::read(&self.kernel.dir)?,
        };
        let (machine, plan) = self.plan(driver, &modules)?;
        let switch = match self.kernel.flavor {
            Flavor::Rust | Flavor::C => self.switch,
            Flavor::None | Flavor::DmaApiDebug => Switch::Off,
        };
        let guest = Guest {
            what: &format!("{} ({})", driver.name, driver.summary),
            kernel: &self.kernel,
            machine: &machine,
            cmdline: &qemu::cmdline(switch, &machine, ""),
            plan: &plan,
            timeout: Duration::from_secs(BOOTING + driver.timeout),
        };
        let outcome = boot(&self.host, &guest)?;
        Ok(outcome.map(|o| judge::judge(driver, self.cell(driver), &plan, &o)))
    }
}
