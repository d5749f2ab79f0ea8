// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan demo`: the sanitizer at work, on one bug, its silent twin, and real traffic.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dmasan_report::{text, Finding, Report};

use crate::args::{jobs_or_default, DemoArgs};
use crate::boot::{boot, Guest, Host, Outcome};
use crate::embed::{files, SCENARIOS};
use crate::error::{io, Error, Exit, Result};
use crate::exec::Exec;
use crate::guest::Plan;
use crate::kernel::{self, Flavor, KernelSpec};
use crate::module::Request;
use crate::qemu::{self, Device, Iommu, Machine};
use crate::run;
use crate::ui::duration;
use crate::verdict;

/// The guest takes about 15 s; a machine under load takes longer.
const TIMEOUT: Duration = Duration::from_secs(180);

/// What the demo shows, in the order of the plan's requests.
const PARTS: [Part; 3] = [
    Part {
        title: "edu driver with the bug",
        what: "frees a page that its device can still write",
        findings: 1,
        says: "corrupted by the device",
    },
    Part {
        title: "edu driver without the bug",
        what: "unmaps the page first",
        findings: 0,
        says: "received: \"data of the device\"",
    },
    Part {
        title: "in-tree nvme driver",
        what: "writes 32 MiB and reads them back",
        findings: 0,
        says: "nvme: 32 MiB written, read back, and equal",
    },
];

struct Part {
    title: &'static str,
    what: &'static str,
    /// How many findings there have to be.
    findings: usize,
    /// What has to be said, in the kernel log or by the script.
    says: &'static str,
}

/// Runs the command.
pub fn run(exec: &Exec, args: &DemoArgs) -> Result<Exit> {
    let host = Host::prepare(exec)?;
    let spec = KernelSpec {
        flavor: Flavor::Rust,
        source: None,
        fragments: Vec::new(),
        jobs: jobs_or_default(args.jobs),
    };
    let kernel = kernel::build(exec, &host.cache, &host.env, &spec)?;
    let scenarios = unpack(&host)?;
    let module = |bug: &str| Request {
        path: scenarios.join("modules/edu_dma"),
        params: vec![format!("bug={bug}")],
    };
    let script = scenarios.join("nvme-traffic/traffic.sh");
    let plan = run::plan(&host, &kernel, &[module("1"), module("0")], Some(&script))?;
    let devices = ["edu", "nvme"].map(Device::find);
    let machine = Machine {
        devices: devices.into_iter().collect::<Result<_>>()?,
        ..Machine::default()
    };
    let guest = Guest {
        what: &format!("the demo on Linux {}", kernel.release),
        kernel: &kernel,
        machine: &machine,
        cmdline: &qemu::cmdline(true, Iommu::Vtd, ""),
        plan: &plan,
        timeout: TIMEOUT,
    };
    match boot(&host, &guest)? {
        Some(outcome) => tell(exec, &plan, &outcome),
        None => Ok(Exit::Clean),
    }
}

/// Writes the scenarios that the tool carries inside to the working area, where they are built from.
fn unpack(host: &Host) -> Result<PathBuf> {
    let to = host.env.work().join("scenarios");
    if host.exec.dry_run {
        println!("# write the built-in scenarios to {}", to.display());
    }
    for file in files(&SCENARIOS) {
        let path = to.join(file.path());
        // Another demo may be reading: a file that is there already is left alone.
        if !host.exec.dry_run && fs::read(&path).ok().as_deref() != Some(file.contents()) {
            write(&path, file.contents())?;
        }
    }
    Ok(to)
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(io("cannot create", parent))?;
    fs::write(path, content).map_err(io("cannot write", path))
}

/// Prints what happened, and judges whether it is what has to happen.
fn tell(exec: &Exec, plan: &Plan, outcome: &Outcome) -> Result<Exit> {
    let Ok(report) = &outcome.report else {
        verdict::of(outcome, plan)?;
        return Err(Error::unparseable(
            "the guest's kernel log was not understood",
        ));
    };
    let said = said(outcome);
    let mut results = Vec::new();
    for (index, part) in PARTS.iter().enumerate() {
        let found = findings(report, plan, index);
        println!("({}) {}: {}\n", index + 1, part.title, part.what);
        print_part(exec, plan, report, index);
        for line in lines_of(&said, plan, index) {
            println!("    {line}");
        }
        println!();
        let works = found.len() == part.findings && said.iter().any(|(_, l)| l.contains(part.says));
        results.push((part, found.len(), works));
    }
    print_table(&results);
    println!("\nkernel log: {}", outcome.log.display());
    println!("the guest ran for {}", duration(outcome.took));
    judge(plan, outcome, report, &results)
}

/// A part's own findings in full, without the rest of the run.
fn print_part(exec: &Exec, plan: &Plan, report: &Report, request: usize) {
    let found = findings(report, plan, request);
    if found.is_empty() {
        println!("no findings\n");
        return;
    }
    let mut part = report.clone();
    part.findings = found.into_iter().cloned().collect();
    let mine = |number: u32| plan.step(number).is_some_and(|s| s.request == request);
    part.steps.retain(|s| mine(s.index));
    part.trouble.clear();
    part.warnings.clear();
    print!("{}", text::to_string(&part, run::style(exec)));
    println!();
}

fn findings<'a>(report: &'a Report, plan: &Plan, request: usize) -> Vec<&'a Finding> {
    let mine = |f: &&Finding| {
        let step = f.step.and_then(|n| plan.step(n));
        step.is_some_and(|s| s.request == request)
    };
    report.findings.iter().filter(mine).collect()
}

/// What driver and script said, with the number of the step.
fn said(outcome: &Outcome) -> Vec<(u32, String)> {
    let bytes = fs::read(&outcome.log).unwrap_or_default();
    let log = String::from_utf8_lossy(&bytes);
    let mut step = 0;
    let mut said = Vec::new();
    for line in log.lines() {
        let message = line.split_once("] ").map_or(line, |(_, m)| m).trim_end();
        if let Some(mark) = message.strip_prefix("dmasan: step ") {
            let number = mark.split(' ').nth(1).and_then(|n| n.parse().ok());
            step = number.unwrap_or(step);
        } else if message.starts_with("edu_dma ") {
            said.push((step, message.to_owned()));
        }
    }
    said.extend(outcome.answers.output.iter().cloned());
    said
}

fn lines_of<'a>(said: &'a [(u32, String)], plan: &Plan, request: usize) -> Vec<&'a str> {
    let mine = |number: u32| plan.step(number).is_some_and(|s| s.request == request);
    let lines = said.iter().filter(|(number, _)| mine(*number));
    lines.map(|(_, line)| line.as_str()).collect()
}

fn print_table(results: &[(&Part, usize, bool)]) {
    println!(
        "{:<28} {:>8}  {:>8}  result",
        "part", "expected", "findings"
    );
    for (part, found, works) in results {
        let result = if *works {
            "as expected"
        } else {
            "NOT as expected"
        };
        println!(
            "{:<28} {:>8}  {found:>8}  {result}",
            part.title, part.findings
        );
    }
}

fn judge(
    plan: &Plan,
    outcome: &Outcome,
    report: &Report,
    results: &[(&Part, usize, bool)],
) -> Result<Exit> {
    let help = format!("the whole kernel log is {}", outcome.log.display());
    verdict::of(outcome, plan)?;
    if let Some((part, found, _)) = results.iter().find(|(_, _, works)| !works) {
        let found = run::count(*found, "finding");
        let text = format!(
            "the demo did not go as it has to: {}: {found}, or `{}` was not said",
            part.title, part.says
        );
        return Err(Error::failed(text).help(help));
    }
    let expected: usize = PARTS.iter().map(|p| p.findings).sum();
    if report.findings.len() != expected {
        let text = format!(
            "there are {} outside of the demo's parts",
            run::count(report.findings.len() - expected, "finding")
        );
        return Err(Error::failed(text).help(help));
    }
    Ok(Exit::Clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_of_the_demo_are_inside() {
        for path in [
            "modules/edu_dma/Kbuild",
            "modules/edu_dma/edu_dma.c",
            "nvme-traffic/traffic.sh",
        ] {
            assert!(SCENARIOS.get_file(path).is_some(), "{path}");
        }
    }

    #[test]
    fn what_is_expected_to_be_said_can_be_said() {
        let source = SCENARIOS.get_file("modules/edu_dma/edu_dma.c").unwrap();
        assert!(source.contents_utf8().unwrap().contains(PARTS[0].says));
        let script = SCENARIOS.get_file("nvme-traffic/traffic.sh").unwrap();
        assert!(script.contents_utf8().unwrap().contains(PARTS[2].says));
    }
}
