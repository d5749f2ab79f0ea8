// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan demo`: the sanitizer at work, on one bug, its silent twin, and real traffic.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dmasan_report::{text, Finding, Report};
use include_dir::File;

use crate::args::{jobs_or_default, DemoArgs, Switch};
use crate::boot::{boot, End, Guest, Host, Outcome};
use crate::embed::{self, files, SCENARIOS};
use crate::error::{io, Error, Exit, Result};
use crate::exec::Exec;
use crate::guest::Plan;
use crate::kernel::{self, Flavor, KernelSpec};
use crate::qemu::{self, Device, Machine};
use crate::request::Request;
use crate::run;
use crate::source::Named;
use crate::stdout;
use crate::ui::{duration, Color};
use crate::verdict;

/// The guest takes about 15 s; a machine under load takes longer.
const TIMEOUT: Duration = Duration::from_secs(180);

/// What the demo shows, in the order of the plan's requests.
static PARTS: [Part; 3] = [
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
pub fn run(exec: &Exec, color: Color, args: &DemoArgs) -> Result<Exit> {
    let machine = Machine::new(args.machine)?;
    if !machine.model.translates() {
        let text = format!(
            "on the machine `{}` there is nothing to show",
            machine.model.name
        );
        return Err(Error::usage(text).help(format!("it is: {}", machine.model.what)));
    }
    let host = Host::prepare(exec, machine.model)?;
    let spec = KernelSpec {
        flavor: Flavor::Rust,
        model: machine.model,
        extra: &[],
        source: args.linux.map(Named::Series),
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
        ..machine
    };
    let guest = Guest {
        what: &format!("the demo on Linux {}", kernel.release),
        kernel: &kernel,
        machine: &machine,
        cmdline: &qemu::cmdline(Switch::On, &machine, ""),
        plan: &plan,
        timeout: TIMEOUT,
    };
    match boot(&host, &guest)? {
        Some(outcome) => tell(color, &plan, &outcome),
        None => Ok(Exit::Clean),
    }
}

/// Writes the scenarios that the tool carries inside to the working area, where they are built from.
pub fn unpack(host: &Host) -> Result<PathBuf> {
    let key = embed::key("scenarios", &SCENARIOS);
    let entry = host.env.cache(&host.exec)?.entry("scenarios", &key);
    entry.get_or_make("built-in scenarios", |dir| {
        if host.exec.dry_run {
            return stdout::line(&format!(
                "# write the built-in scenarios to {}",
                dir.display()
            ));
        }
        let write = |file: &File<'_>| write(&dir.join(file.path()), file.contents());
        files(&SCENARIOS).into_iter().try_for_each(write)
    })
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(io("cannot create", parent))?;
    fs::write(path, content).map_err(io("cannot write", path))
}

/// How a part went.
struct Went {
    part: &'static Part,
    found: usize,
    said: bool,
}

impl Went {
    fn as_expected(&self) -> bool {
        self.said && self.found == self.part.findings
    }
}

/// Prints what happened, and judges whether it is what has to happen.
fn tell(color: Color, plan: &Plan, outcome: &Outcome) -> Result<Exit> {
    if outcome.end == End::Interrupted {
        return verdict::of(outcome, plan);
    }
    let Ok(report) = &outcome.report else {
        verdict::of(outcome, plan)?;
        let text = "the guest's kernel log was not understood";
        return Err(Error::unparseable(text));
    };
    let said = said(outcome);
    let mut text = String::new();
    let mut parts = Vec::new();
    for (index, part) in PARTS.iter().enumerate() {
        let lines = lines_of(&said, plan, index);
        text.push_str(&format!(
            "({}) {}: {}\n\n",
            index + 1,
            part.title,
            part.what
        ));
        text.push_str(&part_text(color, plan, report, index));
        lines
            .iter()
            .for_each(|l| text.push_str(&format!("    {l}\n")));
        text.push('\n');
        parts.push(Went {
            part,
            found: findings(report, plan, index).len(),
            said: lines.iter().any(|l| l.contains(part.says)),
        });
    }
    text.push_str(&table(&parts));
    text.push_str(&format!("\nkernel log: {}\n", outcome.log.display()));
    text.push_str(&format!("the guest ran for {}\n", duration(outcome.took)));
    stdout::print(&text)?;
    judge(plan, outcome, report, &parts)
}

/// A part's own findings in full, without the rest of the run.
fn part_text(color: Color, plan: &Plan, report: &Report, request: usize) -> String {
    let found = findings(report, plan, request);
    if found.is_empty() {
        return "no findings\n\n".to_owned();
    }
    let mut part = report.clone();
    part.findings = found.into_iter().cloned().collect();
    let mine = |number: u32| plan.step(number).is_some_and(|s| s.request == request);
    part.steps.retain(|s| mine(s.index));
    part.trouble.clear();
    part.warnings.clear();
    text::to_string(&part, run::style(color)) + "\n"
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

fn table(parts: &[Went]) -> String {
    let head = ["part", "expected", "findings", "result"];
    let mut text = format!(
        "{:<28} {:>8}  {:>8}  {}\n",
        head[0], head[1], head[2], head[3]
    );
    for went in parts {
        let (title, expected, found) = (went.part.title, went.part.findings, went.found);
        let result = match went.as_expected() {
            true => "as expected",
            false => "NOT as expected",
        };
        text.push_str(&format!(
            "{title:<28} {expected:>8}  {found:>8}  {result}\n"
        ));
    }
    text
}

fn judge(plan: &Plan, outcome: &Outcome, report: &Report, parts: &[Went]) -> Result<Exit> {
    verdict::of(outcome, plan)?;
    let help = format!("the whole kernel log is {}", outcome.log.display());
    let failed = |text: String| {
        Err(Error::failed(format!("the demo did not go as it has to: {text}")).help(help))
    };
    if let Some(went) = parts.iter().find(|w| !w.as_expected()) {
        let why = match went.said {
            true => run::count(went.found, "finding"),
            false => format!("nobody said `{}`", went.part.says),
        };
        return failed(format!("{}: {why}", went.part.title));
    }
    let expected: usize = PARTS.iter().map(|p| p.findings).sum();
    match report.findings.len() - expected {
        0 => Ok(Exit::Clean),
        more => failed(format!(
            "{} outside of its parts",
            run::count(more, "finding")
        )),
    }
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
