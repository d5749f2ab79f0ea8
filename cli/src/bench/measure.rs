// SPDX-License-Identifier: GPL-2.0-only
//! The guests of a benchmark: which are needed, running them one after the other, keeping what they tell.

use std::time::Duration;

use crate::args::MachineArgs;
use crate::bench::args::BenchArgs;
use crate::bench::figure::{of_kernel, of_module, Clock, Figures};
use crate::bench::program;
use crate::bench::rows::{Row, Source};
use crate::bench::setting::Setting;
use crate::bench::store::Store;
use crate::boot::{boot, Guest, Host, Outcome, RunDir};
use crate::cache::Key;
use crate::demo;
use crate::embed;
use crate::error::{io, Error, Exit, Result};
use crate::exec::Exec;
use crate::guest::Plan;
use crate::kernel::{self, Kernel};
use crate::module;
use crate::qemu::{self, Device, Machine};
use crate::request::Request;
use crate::ui::duration;
use crate::verdict;

/// The kernel's benchmark tells times in multiples of 100 ns. At 16 ns for each instruction that is 6 instructions.
const KERNEL_SHIFT: u8 = 4;
/// How long the kernel's benchmark runs for one figure, in seconds of the guest.
const KERNEL_SECONDS: u32 = 1;
/// Memory that has an aligned 1G of it free, in MiB: up to 2G lie below the hole for devices, which other users of
/// memory nibble at; above 4G both ends are in use, and 1G in the middle is not.
const MEMORY: u32 = 5120;
/// No guest takes that long unless it hangs.
const TIMEOUT: Duration = Duration::from_secs(900);
/// What a guest takes, before one has shown it.
const GUESS: Duration = Duration::from_secs(15);

/// A setting with its kernel and what is known of it.
struct Column {
    setting: Setting,
    kernel: Kernel,
    store: Store,
}

/// What a benchmark has measured, now or earlier.
#[derive(Debug)]
pub struct Measured {
    /// The settings, in the order of the columns.
    pub settings: Vec<Setting>,
    /// Release of each kernel.
    pub releases: Vec<String>,
    /// How often everything was wanted.
    pub repeats: u32,
    /// By setting and repeat.
    pub figures: Vec<Vec<Figures>>,
    /// How many figures an earlier run had measured.
    pub kept: usize,
    /// What went wrong first.
    pub failed: Option<Error>,
}

/// One guest to run.
struct Job<'a> {
    column: usize,
    repeat: u32,
    rows: Vec<&'a Row>,
    /// The kernel's benchmark, or our module.
    kernels: bool,
}

/// Measures rows under all settings. Whatever fails, what was measured is returned. Nothing in a dry run.
pub fn measure(exec: &Exec, args: &BenchArgs, rows: &[Row]) -> Result<Option<Measured>> {
    let model = Machine::new(args.machine)?.model;
    let host = Host::prepare(exec, model)?;
    let mut columns = Vec::new();
    let repeats = args.repeats();
    for setting in args.settings() {
        let kernel = kernel::build(
            exec,
            &host.cache,
            &host.env,
            &args.kernel.spec(setting.flavor, model),
        )?;
        let key = key(&host, args, setting, &kernel);
        let store = Store::open(host.cache.root(), &key, args.fresh);
        if args.fresh && !exec.dry_run {
            store.begin()?;
        }
        columns.push(Column {
            setting,
            kernel,
            store,
        });
    }
    let jobs = jobs(&columns, rows, repeats);
    let missing: usize = jobs.iter().map(|j| j.rows.len()).sum();
    let kept = rows.len() * columns.len() * repeats as usize - missing;
    let failed = run_all(&host, args, &mut columns, jobs)?;
    if exec.dry_run {
        return Ok(None);
    }
    let of = |c: &Column, repeat| {
        let known = |r: &Row| Some((r.name.clone(), *c.store.get(&r.name, repeat)?));
        rows.iter().filter_map(known).collect::<Figures>()
    };
    Ok(Some(Measured {
        settings: columns.iter().map(|c| c.setting).collect(),
        releases: columns.iter().map(|c| c.kernel.release.clone()).collect(),
        figures: columns
            .iter()
            .map(|c| (0..repeats).map(|r| of(c, r)).collect())
            .collect(),
        repeats,
        kept,
        failed,
    }))
}

/// Everything that a figure depends on.
fn key(host: &Host, args: &BenchArgs, setting: Setting, kernel: &Kernel) -> Key {
    let mut key = Key::new("bench")
        .with("kernel", kernel.dir.as_os_str().as_encoded_bytes())
        .with("env", host.env.key().hex())
        .with(
            "machine",
            format!("{:?} {KERNEL_SHIFT} {KERNEL_SECONDS}", machine(args, 0)),
        )
        .with("cmdline", cmdline(args, setting));
    let module = embed::SCENARIOS.get_dir("modules/bench");
    for file in module.map(embed::files).unwrap_or_default() {
        key = key.with(&file.path().display().to_string(), file.contents());
    }
    key
}

/// The guests for what is missing. Repeats are the outer loop: what slows the host down for a while slows all settings.
fn jobs<'a>(columns: &[Column], rows: &'a [Row], repeats: u32) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for repeat in 0..repeats {
        for (column, c) in columns.iter().enumerate() {
            for kernels in [false, true] {
                let wanted = |r: &&Row| {
                    matches!(r.source, Source::Kernel(..)) == kernels
                        && c.store.get(&r.name, repeat).is_none()
                };
                let rows: Vec<&Row> = rows.iter().filter(wanted).collect();
                if !rows.is_empty() {
                    jobs.push(Job {
                        column,
                        repeat,
                        rows,
                        kernels,
                    });
                }
            }
        }
    }
    jobs
}

/// Runs the guests. One that fails does not keep the others from running; the first error is returned.
fn run_all(
    host: &Host,
    args: &BenchArgs,
    columns: &mut [Column],
    jobs: Vec<Job<'_>>,
) -> Result<Option<Error>> {
    let mut failed: Option<Error> = None;
    let mut took: Vec<(bool, Duration)> = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        let left = left(&jobs[index..], &took);
        let column = &mut columns[job.column];
        let what = format!(
            "{} {} ({} of {}, about {} left)",
            column.setting,
            if job.kernels { program::NAME } else { "module" },
            index + 1,
            jobs.len(),
            duration(left)
        );
        match run(host, args, column, job, &what) {
            Ok(time) => took.push((job.kernels, time)),
            Err(e) if e.exit() == Exit::Interrupted => {
                let help = "what was measured is kept; the same command goes on from here";
                return Ok(Some(e.help(help)));
            }
            Err(e) => {
                let e = e.context(format!("measuring `{}`", column.setting));
                if failed.is_some() || index + 1 < jobs.len() {
                    host.exec.ui.warn(e.message());
                }
                failed.get_or_insert(e);
            }
        }
    }
    Ok(failed)
}

/// How long the jobs will take, judged by those of their kind.
fn left(jobs: &[Job<'_>], took: &[(bool, Duration)]) -> Duration {
    let one = |kernels: bool| {
        let times: Vec<Duration> = took
            .iter()
            .filter(|t| t.0 == kernels)
            .map(|t| t.1)
            .collect();
        let sum: Duration = times.iter().sum();
        sum.checked_div(times.len() as u32).unwrap_or(GUESS)
    };
    jobs.iter().map(|j| one(j.kernels)).sum()
}

/// Runs one guest and keeps what it tells.
fn run(
    host: &Host,
    args: &BenchArgs,
    column: &mut Column,
    job: &Job<'_>,
    what: &str,
) -> Result<Duration> {
    let shift = if job.kernels { KERNEL_SHIFT } else { 0 };
    let machine = machine(args, shift);
    let script = Script::write(host, job)?;
    let plan = plan(host, &column.kernel, job, &script)?;
    let cmdline = cmdline(args, column.setting);
    let guest = Guest {
        what,
        kernel: &column.kernel,
        machine: &machine,
        cmdline: &cmdline,
        plan: &plan,
        timeout: TIMEOUT,
    };
    let Some(outcome) = boot(host, &guest)? else {
        return Ok(Duration::ZERO);
    };
    let figures = read(
        &outcome,
        machine.icount.map_or(Clock::Wall, Clock::Instructions),
    );
    let verdict = verdict::of(&outcome, &plan);
    if matches!(verdict, Ok(Exit::Finding)) {
        return Err(found(&outcome));
    }
    // What a guest measured before it failed is as good as that of others.
    column.store.add(job.repeat, &figures)?;
    verdict?;
    match job.rows.iter().find(|r| !figures.contains_key(&r.name)) {
        None => Ok(outcome.took),
        Some(row) => Err(
            Error::failed(format!("the guest did not tell `{}`", row.name))
                .help(format!("the kernel log is {}", outcome.log.display())),
        ),
    }
}

/// The benchmark itself has no bug, so a finding means that sanitizer or benchmark is broken.
fn found(outcome: &Outcome) -> Error {
    let findings = outcome.report.as_ref().map(|r| r.findings.as_slice());
    let first = findings.ok().and_then(|f| f.first());
    let first = first.map_or("", |f| f.title.as_str());
    Error::failed(format!(
        "the sanitizer has findings in the benchmark, so its figures are not used: {first}"
    ))
    .help(format!("the kernel log is {}", outcome.log.display()))
}

fn read(outcome: &Outcome, clock: Clock) -> Figures {
    let log = std::fs::read(&outcome.log).unwrap_or_default();
    let mut figures = of_module(&String::from_utf8_lossy(&log), clock);
    let lines: Vec<&str> = outcome
        .answers
        .output
        .iter()
        .map(|(_, l)| l.as_str())
        .collect();
    figures.extend(of_kernel(&lines, clock));
    figures
}

fn machine(args: &BenchArgs, shift: u8) -> Machine {
    match args.exact() {
        true => counting_machine(args.machine, shift),
        false => plain_machine(args.machine),
    }
}

fn plain_machine(args: MachineArgs) -> Machine {
    Machine {
        model: args.machine,
        lazy: args.lazy,
        devices: Device::find("edu").into_iter().collect(),
        memory: MEMORY,
        ..Machine::default()
    }
}

/// The machine on which instructions are counted.
pub fn counting_machine(args: MachineArgs, shift: u8) -> Machine {
    plain_machine(args).counting(shift)
}

fn cmdline(args: &BenchArgs, setting: Setting) -> String {
    match args.exact() {
        true => counting_cmdline(args.machine, setting),
        false => {
            let machine = plain_machine(args.machine);
            qemu::cmdline(setting.param, &machine, qemu::MEASURING)
        }
    }
}

/// The kernel's command line where instructions are counted.
pub fn counting_cmdline(args: MachineArgs, setting: Setting) -> String {
    qemu::cmdline(setting.param, &plain_machine(args), qemu::COUNTING)
}

fn plan(host: &Host, kernel: &Kernel, job: &Job<'_>, script: &Script) -> Result<Plan> {
    if !job.kernels {
        return module_plan(host, kernel, &tests(&job.rows));
    }
    let mut plan = Plan::new(&[], Some(&script.path));
    plan.programs = vec![program::build(&host.exec, &host.env, kernel)?];
    Ok(plan)
}

/// What a guest does to run tests of the module.
pub fn module_plan(host: &Host, kernel: &Kernel, tests: &[&str]) -> Result<Plan> {
    let request = Request {
        path: demo::unpack(host)?.join("modules/bench"),
        params: vec![format!("tests={}", tests.join(","))],
    };
    let load = module::prepare(&host.exec, &host.env, kernel, &request)?;
    Ok(Plan::new(&[load], None))
}

/// The module's tests for rows, each once.
fn tests<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    let mut tests: Vec<&str> = Vec::new();
    for row in rows {
        match &row.source {
            Source::Module(test) if !tests.contains(&test.as_str()) => tests.push(test),
            _ => {}
        }
    }
    tests
}

/// The script for the kernel's benchmark; its folder is deleted when dropped.
struct Script {
    path: std::path::PathBuf,
    _dir: Option<RunDir>,
}

impl Script {
    fn write(host: &Host, job: &Job<'_>) -> Result<Script> {
        let name = format!("{}.sh", program::NAME);
        if !job.kernels || host.exec.dry_run {
            let path = name.into();
            return Ok(Script { path, _dir: None });
        }
        let dir = RunDir::make(&host.env, program::NAME)?;
        let path = dir.path.join(name);
        let text = program::script(&pairs(&job.rows), KERNEL_SECONDS);
        std::fs::write(&path, text).map_err(io("cannot write", &path))?;
        Ok(Script {
            path,
            _dir: Some(dir),
        })
    }
}

/// The runs of the kernel's benchmark for rows, each once.
fn pairs(rows: &[&Row]) -> Vec<(u32, u32)> {
    let mut pairs = Vec::new();
    for row in rows {
        match row.source {
            Source::Kernel(pages, threads) if !pairs.contains(&(pages, threads)) => {
                pairs.push((pages, threads));
            }
            _ => {}
        }
    }
    pairs
}
