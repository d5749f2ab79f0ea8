// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan selftests`: the kernel's own tests, with the sanitizer on.
//!
//! They have to pass as they do without it, and nothing may be found in them: they are the largest collection of correct
//! and of deliberately odd uses of what the sanitizer hooks into. What fails or warns is run again without the sanitizer,
//! as not every test passes everywhere.

pub mod args;
pub mod cells;
pub mod judge;
pub mod program;
pub mod read;
pub mod script;
pub mod suite;
pub mod table;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::arch::Arch;
use crate::args::Switch;
use crate::bench::program as benchmark;
use crate::boot::{boot, End, Guest, Host};
use crate::error::{Error, Exit, Result};
use crate::exec::Exec;
use crate::guest::Plan;
use crate::kernel::{self, Flavor, Kernel, KernelSpec};
use crate::matrix::junit;
use crate::matrix::run::utc;
use crate::qemu::{self, Device, Machine};
use crate::{output, process, stdout, verdict};
use args::SelftestsArgs;
use judge::{is_doubtful, judge, Judged};
use read::Ran;
use suite::{How, Suite};

/// What a guest may take until its first suite, on a slow machine.
const BOOTING: u64 = 90;
/// Memory of the guests in MiB: huge pages take some.
const MEMORY: u32 = 2048;
/// KUnit suites wait until they are asked for.
const CMDLINE: &str = "kunit.enable=1 kunit.autorun=0";

/// Runs the command.
pub fn run(exec: &Exec, args: &SelftestsArgs) -> Result<Exit> {
    let machine = machine(Machine::new(args.machine)?)?;
    let suites = Suite::chosen(&args.name, machine.model.arch)?;
    if args.list {
        stdout::print(&table::list(&suites))?;
        return Ok(Exit::Clean);
    }
    output::check([&args.json, &args.junit])?;
    let lab = Lab::new(exec, args.kernel.spec(Flavor::Rust, machine.model), machine)?;
    let begun = utc(SystemTime::now());
    let Some(judged) = lab.compare(args.debug_pagealloc, &suites)? else {
        return Ok(Exit::Clean);
    };
    let json = || table::json(&lab, args.debug_pagealloc, &judged);
    let results = || cells::results(&lab.machine, args.debug_pagealloc, &judged);
    let junit = || junit::cells("dmasan selftests", &begun, &results());
    let written = output::all(vec![
        output::write(&args.json, json),
        output::write(&args.junit, junit),
    ]);
    let shown = stdout::print(&table::text(&judged));
    output::end(exec, written.and(shown), exit(&judged))
}

/// The machine for these guests: with a device that the benchmark of the DMA API can be bound to.
fn machine(machine: Machine) -> Result<Machine> {
    Ok(Machine {
        memory: MEMORY,
        devices: vec![Device::find("edu")?],
        ..machine
    })
}

/// Names of the files in `kernel/config` that their kernel needs.
pub fn extra(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &["selftests"],
        Arch::Arm64 => &["selftests", "selftests-arm64"],
    }
}

/// A machine with its kernel.
pub struct Lab {
    host: Host,
    kernel: Kernel,
    machine: Machine,
}

impl Lab {
    /// Prepares the machine, and builds its kernel unless it is there already.
    fn new(exec: &Exec, spec: KernelSpec, machine: Machine) -> Result<Lab> {
        let host = Host::prepare(exec, machine.model)?;
        let spec = KernelSpec {
            extra: extra(machine.model.arch),
            ..spec
        };
        let kernel = kernel::build(exec, &host.cache, &host.env, &spec)?;
        Ok(Lab {
            host,
            kernel,
            machine,
        })
    }

    /// Runs suites with the sanitizer, those that fail or warn also without, and compares. Nothing in a dry run.
    fn compare(&self, switch: Switch, suites: &[&'static Suite]) -> Result<Option<Vec<Judged>>> {
        let Some(with) = self.boot(switch, suites)? else {
            return Ok(None);
        };
        let doubtful = with
            .iter()
            .filter(|r| is_doubtful(r) && switch != Switch::Off);
        let again: Vec<&Suite> = doubtful.map(|r| r.suite).collect();
        let without = match again.is_empty() {
            true => Vec::new(),
            false => self.boot(Switch::Off, &again)?.unwrap_or_default(),
        };
        let judged = |r: &Ran| judge(r, without.iter().find(|w| w.suite == r.suite));
        Ok(Some(with.iter().map(judged).collect()))
    }

    /// Runs suites in one guest.
    fn boot(&self, switch: Switch, suites: &[&'static Suite]) -> Result<Option<Vec<Ran>>> {
        let script = script::write(&self.host, suites)?;
        let plan = Plan {
            programs: self.programs(suites)?,
            ..Plan::new(&[], Some(&script))
        };
        let seconds = BOOTING + suites.iter().map(|s| s.seconds).sum::<u64>();
        let cmdline = qemu::cmdline(switch, &self.machine, CMDLINE);
        let guest = Guest {
            what: &format!(
                "the kernel's own tests ({}, iommu.debug_pagealloc={})",
                self.machine.model.name,
                switch.value()
            ),
            kernel: &self.kernel,
            machine: &self.machine,
            cmdline: &cmdline,
            plan: &plan,
            timeout: Duration::from_secs(seconds),
        };
        let Some(outcome) = boot(&self.host, &guest)? else {
            return Ok(None);
        };
        if outcome.end == End::Interrupted {
            return Err(verdict::of(&outcome, &plan)
                .err()
                .unwrap_or_else(Error::interrupted));
        }
        let report = match &outcome.report {
            Ok(report) => report,
            Err(why) => return Err(Error::unparseable(why.to_string())),
        };
        let log = outcome.log.display();
        self.host.exec.ui.note(&format!("kernel log: {log}"));
        let ran = read::all(suites, &outcome, report);
        // A guest that went away in the middle: why, beside what is known of each suite.
        if outcome.end != End::Done {
            if let Err(error) = verdict::of(&outcome, &plan) {
                self.host.exec.ui.error(&error);
            }
        }
        process::check()?;
        Ok(Some(ran))
    }

    /// Files that the guest needs: programs, and modules as the kernel's build has them.
    fn programs(&self, suites: &[&Suite]) -> Result<Vec<PathBuf>> {
        let (host, kernel) = (&self.host, &self.kernel);
        let mut files = Vec::new();
        for suite in suites {
            files.extend(suite.module.map(|file| kernel.dir.join(file)));
            let (exec, env) = (&host.exec, &host.env);
            match suite.how {
                How::Program(folder, name) => {
                    files.push(program::build(exec, env, kernel, folder, name)?);
                }
                How::Benchmark(_) => files.push(benchmark::build(exec, env, kernel)?),
                How::Kunit(_) | How::Boot(_) | How::Load(_) => {}
            }
        }
        Ok(files)
    }
}

/// What is wrong decides: a suite that did not end outranks findings, findings outrank failed tests.
fn exit(judged: &[Judged]) -> Result<Exit> {
    let names = |of: &dyn Fn(&&Judged) -> bool| {
        let names: Vec<&str> = judged.iter().filter(of).map(|j| j.name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = names(&|j| j.broken.is_some()) {
        let error = Error::failed(format!("not all is known of: {names}"));
        return Err(error.help("the kernel log above has what the guest did last"));
    }
    if judged
        .iter()
        .any(|j| !j.findings.is_empty() && j.foreign.is_none())
    {
        return Ok(Exit::Finding);
    }
    match names(&|j| !j.wrong.is_empty()) {
        None => Ok(Exit::Clean),
        Some(names) => {
            let error = Error::failed(format!("worse with the sanitizer than without: {names}"));
            Err(error.help("the kernel log above has all of it"))
        }
    }
}
