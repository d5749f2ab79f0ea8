// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan run`: boots a kernel, loads modules, runs a script, reports.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use dmasan_report::{html, json};

use crate::args::RunArgs;
use crate::boot::{boot, Guest, Host, Outcome};
use crate::error::{Error, Exit, Result};
use crate::exact;
use crate::exec::Exec;
use crate::guest::{Action, Load, Plan};
use crate::kernel::{self, Kernel};
use crate::module;
use crate::output;
use crate::qemu::{self, Device, Machine};
use crate::request::Request;
use crate::stdout;
use crate::symbols;
use crate::ui::Color;
use crate::verdict;

/// Runs the command.
pub fn run(exec: &Exec, color: Color, args: &RunArgs) -> Result<Exit> {
    // What can be known to be wrong is said before anything is built.
    let machine = machine(args)?;
    let requests = args.module.iter().map(|m| Request::parse(m));
    let requests: Vec<Request> = requests.collect::<Result<_>>()?;
    requests.iter().try_for_each(module::check)?;
    args.script.as_deref().map_or(Ok(()), check_script)?;
    output::check([&args.json, &args.html, &args.keep_log])?;

    let host = Host::prepare(exec, machine.model)?;
    let spec = args.kernel.spec(args.flavor, machine.model);
    let kernel = kernel::build(exec, &host.cache, &host.env, &spec)?;
    let plan = plan(&host, &kernel, &requests, args.script.as_deref())?;
    let user = args.cmdline.as_deref().unwrap_or("");
    let user = match args.exact {
        true => format!("{} {} {user}", qemu::COUNTING, exact::WORD),
        false => user.to_owned(),
    };
    let cmdline = qemu::cmdline(args.debug_pagealloc, &machine, &user);
    let guest = Guest {
        what: &format!("Linux {} ({})", kernel.release, kernel.flavor),
        kernel: &kernel,
        machine: &machine,
        cmdline: &cmdline,
        plan: &plan,
        timeout: Duration::from_secs(args.timeout),
    };
    match boot(&host, &guest)? {
        Some(mut outcome) => {
            let mut how = None;
            if let Ok(report) = &mut outcome.report {
                how = symbols::of_run(exec, report, &kernel, &plan);
            }
            finish(exec, color, args, &plan, &outcome, how)
        }
        None => Ok(Exit::Clean),
    }
}

fn machine(args: &RunArgs) -> Result<Machine> {
    let devices = args.device.iter().map(|name| Device::find(name));
    let machine = Machine {
        devices: devices.collect::<Result<_>>()?,
        memory: args.memory,
        ..Machine::new(args.machine)?
    };
    Ok(match args.exact {
        true => machine.counting(0),
        false => machine,
    })
}

fn check_script(script: &Path) -> Result<()> {
    if script.is_file() {
        return Ok(());
    }
    let what = match script.exists() {
        true => format!("`{}` is not a regular file", script.display()),
        false => format!("there is no script `{}`", script.display()),
    };
    let error = Error::usage(what);
    Err(error.help("give a shell script; busybox sh runs it in the guest"))
}

/// Builds the modules and lays out the steps.
pub fn plan(
    host: &Host,
    kernel: &Kernel,
    requests: &[Request],
    script: Option<&Path>,
) -> Result<Plan> {
    let load = |r: &Request| module::prepare(&host.exec, &host.env, kernel, r);
    let loads: Vec<Vec<Load>> = requests.iter().map(load).collect::<Result<_>>()?;
    Ok(Plan::new(&loads, script))
}

fn finish(
    exec: &Exec,
    color: Color,
    args: &RunArgs,
    plan: &Plan,
    outcome: &Outcome,
    how: Option<&str>,
) -> Result<Exit> {
    let written = write(args, outcome, how);
    let how = how.map_or(String::new(), |how| format!("{how}\n"));
    let shown = stdout::print(&(text(color, args, plan, outcome) + &how));
    if let Some(note) = still_mapped(outcome.answers.reported) {
        exec.ui.note(&note);
    }
    for note in unbound(&outcome.answers.unbound, plan) {
        exec.ui.note(&note);
    }
    output::end(exec, written.and(shown), verdict::of(outcome, plan))
}

/// Writes the files asked for.
fn write(args: &RunArgs, outcome: &Outcome, how: Option<&str>) -> Result<()> {
    let mut written = vec![output::copy(&outcome.log, &args.keep_log)];
    if let Ok(report) = &outcome.report {
        written.extend([
            output::write(&args.json, || json::to_string(report)),
            output::write(&args.html, || html::to_string(report, how.as_slice())),
        ]);
    }
    output::all(written)
}

/// A page is reported once until it is unmapped, so a silence of later steps can be due to an earlier bug.
fn still_mapped(pages: u64) -> Option<String> {
    let (are, them) = match pages {
        0 => return None,
        1 => ("page is", "it"),
        _ => ("pages are", "one of them"),
    };
    Some(format!(
        "note: {pages} reported {are} still mapped; another bug with {them} is not reported"
    ))
}

/// Of a driver without a device only init and exit are run: that nothing is found means little.
fn unbound(steps: &[u32], plan: &Plan) -> BTreeSet<String> {
    let module = |number: &u32| match &plan.step(*number)?.action {
        Action::Unload(name) => Some(name),
        _ => None,
    };
    let note =
        |name| format!("note: the driver of {name} was bound to no device; --device adds one");
    steps.iter().filter_map(module).map(note).collect()
}

/// The script's output, the report, and where the log is.
fn text(color: Color, args: &RunArgs, plan: &Plan, outcome: &Outcome) -> String {
    let mut text = String::new();
    for (number, step) in (1..).zip(plan.steps()) {
        if step.action == Action::Script {
            let lines = outcome.answers.output_of(number);
            lines.iter().for_each(|l| text.push_str(&format!("{l}\n")));
        }
    }
    if let Ok(report) = &outcome.report {
        text.push_str(&dmasan_report::text::to_string(report, style(color)));
    }
    if args.exact {
        let log = std::fs::read(&outcome.log).unwrap_or_default();
        text.push_str(&exact::text(&String::from_utf8_lossy(&log), plan));
    }
    text.push_str(&format!("kernel log: {}\n", outcome.log.display()));
    text
}

/// How reports are written to standard output.
pub fn style(color: Color) -> dmasan_report::text::Style {
    dmasan_report::text::Style {
        color: color.wanted(std::io::stdout().is_terminal()),
        ..Default::default()
    }
}

/// "no findings", "1 finding", "2 findings".
pub fn count(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether or not the tests run on a terminal.
    #[test]
    fn reports_have_the_colour_that_is_asked_for() {
        assert!(style(Color::Always).color);
        assert!(!style(Color::Never).color);
    }

    #[test]
    fn pages_that_stay_silent_are_told() {
        assert_eq!(still_mapped(0), None);
        let note = still_mapped(1).unwrap();
        assert!(note.starts_with("note: 1 reported page is still mapped"));
        let note = still_mapped(8).unwrap();
        assert_eq!(
            note,
            "note: 8 reported pages are still mapped; another bug with one of them is not reported"
        );
    }

    #[test]
    fn a_driver_without_a_device_is_told_once() {
        let load = |file: &str| Load {
            file: file.into(),
            params: Vec::new(),
            path: "x".to_owned(),
        };
        // Loaded, unloaded and loaded again, and unloaded in the end.
        let plan = Plan::new(&[vec![load("x.ko")], vec![load("x.ko")]], None);
        let notes: Vec<String> = unbound(&[2, 4], &plan).into_iter().collect();
        let note = "note: the driver of x was bound to no device; --device adds one";
        assert_eq!(notes, [note]);
        assert!(unbound(&[], &plan).is_empty());
        // Anything in the guest can write an answer.
        assert!(unbound(&[1, 9], &plan).is_empty());
    }
}
