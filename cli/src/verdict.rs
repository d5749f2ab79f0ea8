// SPDX-License-Identifier: GPL-2.0-only
//! What a guest's end means: failure, findings, or nothing; a crash outranks findings, findings outrank a script.

use dmasan_report::text::printable;
use dmasan_report::TroubleKind;

use crate::boot::{End, Outcome};
use crate::error::{Error, Exit};
use crate::guest::{Action, Plan};
use crate::ui::duration;

/// How many lines of the log are shown from where the kernel got into trouble.
const TROUBLE_LINES: usize = 25;

/// Why a run failed, or its exit code if it did not. Findings are shown in either case.
pub fn of(outcome: &Outcome, plan: &Plan) -> Result<Exit, Error> {
    if outcome.end == End::Interrupted {
        let help = format!("the kernel log until then is {}", outcome.log.display());
        return Err(Error::interrupted().help(help));
    }
    if let Some(error) = crash(outcome, plan).or_else(|| failed_module(outcome, plan)) {
        return Err(error);
    }
    let report = match &outcome.report {
        Ok(report) => report,
        Err(why) => return Err(Error::unparseable(why.to_string()).help(log_help(outcome))),
    };
    if !report.findings.is_empty() {
        return Ok(Exit::Finding);
    }
    match failed_script(outcome, plan) {
        Some(error) => Err(error),
        None => Ok(Exit::Clean),
    }
}

fn log_help(outcome: &Outcome) -> String {
    format!("the whole kernel log is {}", outcome.log.display())
}

/// The guest did not live until its last step, or its kernel was in trouble.
fn crash(outcome: &Outcome, plan: &Plan) -> Option<Error> {
    let trouble = outcome.report.as_ref().ok().and_then(|r| r.worst_trouble());
    let during = match trouble.and_then(|t| plan.step(t.step?)) {
        // A task that the kernel killed has ended its step, so the guest's answers do not show it.
        Some(step) => format!(" in step `{}`", step.text),
        None => during(outcome, plan),
    };
    let message = match (&outcome.end, trouble) {
        (_, Some(trouble)) => format!("the guest's kernel failed{during}: {}", trouble.text),
        (End::Panic, None) => format!("the guest's kernel panicked{during}"),
        (End::Hang(time), None) => {
            format!(
                "the guest gave no answer{during} within {} and was ended",
                duration(*time)
            )
        }
        (End::Still(time), None) => {
            let time = duration(*time);
            format!("the guest stood still while booting: its console said nothing for {time}")
        }
        (End::Early(status), None) => {
            format!("the guest powered off early{during}, before its last step was done ({status})")
        }
        (End::Done | End::Interrupted, None) => return None,
    };
    let mut help = log_help(outcome);
    if matches!(outcome.end, End::Hang(_)) {
        help.push_str("; a longer time can be given with --timeout");
    }
    Some(
        Error::failed(message)
            .because(from_trouble(outcome).unwrap_or_else(|| last_lines(outcome)))
            .help(help),
    )
}

fn during(outcome: &Outcome, plan: &Plan) -> String {
    match outcome.answers.current.and_then(|n| plan.step(n)) {
        Some(step) => format!(" in step `{}`", step.text),
        None if outcome.answers.results.is_empty() => " while booting".to_owned(),
        None => String::new(),
    }
}

/// The log from where its trouble began: what follows an oops are registers and other consequences.
fn from_trouble(outcome: &Outcome) -> Option<String> {
    let report = outcome.report.as_ref().ok()?;
    let worst = report.worst_trouble()?;
    // A panic often is the consequence of an oops before it.
    let least = worst.kind.min(TroubleKind::Oops);
    let first = report.trouble.iter().find(|t| t.kind >= least)?;
    let bytes = std::fs::read(&outcome.log).ok()?;
    let lines = bytes.split(|b| *b == b'\n');
    let from = usize::try_from(first.line).ok()?.checked_sub(1)?;
    let lines: Vec<String> = lines
        .skip(from)
        .take(TROUBLE_LINES)
        .map(|l| format!("  | {}", printable(String::from_utf8_lossy(l).trim_end())))
        .collect();
    Some(format!("its console said:\n{}", lines.join("\n")))
}

fn last_lines(outcome: &Outcome) -> String {
    if outcome.last_lines.is_empty() {
        return "its console said nothing".to_owned();
    }
    let lines: Vec<String> = outcome
        .last_lines
        .iter()
        .map(|l| format!("  | {l}"))
        .collect();
    format!("its console said last:\n{}", lines.join("\n"))
}

/// A module that did not load or unload makes the run fail: nothing was tested.
fn failed_module(outcome: &Outcome, plan: &Plan) -> Option<Error> {
    let failed = outcome.answers.results.iter().filter(|(_, rc)| *rc != 0);
    let with_step = failed.filter_map(|(n, _)| Some((*n, plan.step(*n)?)));
    let (number, step) = with_step.into_iter().find(|(_, s)| s.action.is_module())?;
    let what = match &step.action {
        Action::Unload(name) => format!("module {name} cannot be unloaded"),
        _ => format!("module does not load: {}", step.text),
    };
    // The loader gets the module through a pipe, and cannot know its name.
    let named = |l: &&str| match &step.action {
        Action::Load(load) => l.replace("/dev/stdin", &format!("{}.ko", load.name())),
        _ => (*l).to_owned(),
    };
    let said = outcome.answers.output_of(number);
    let mut said: Vec<String> = said.iter().map(named).collect();
    said.extend(kernel_lines(outcome, number));
    let said: Vec<String> = said.iter().map(|l| format!("  | {l}")).collect();
    let error = Error::failed(what).because(format!("the guest said:\n{}", said.join("\n")));
    Some(error.help(log_help(outcome)))
}

/// What the kernel log has between the marks of a step; the last lines of it.
fn kernel_lines(outcome: &Outcome, number: u32) -> Vec<String> {
    let bytes = std::fs::read(&outcome.log).unwrap_or_default();
    let log = String::from_utf8_lossy(&bytes);
    let mark = |line: &str, what: &str| {
        line.contains("dmasan: step ") && line.contains(&format!(" {number} {what}"))
    };
    let begun = log.lines().skip_while(|l| !mark(l, "begin")).skip(1);
    let lines: Vec<String> = begun
        .take_while(|l| !mark(l, "end"))
        .map(|l| l.trim_end().to_owned())
        .collect();
    lines[lines.len().saturating_sub(20)..].to_vec()
}

fn failed_script(outcome: &Outcome, plan: &Plan) -> Option<Error> {
    let steps = (1..).zip(plan.steps());
    let mut scripts = steps.filter(|(_, s)| !s.action.is_module());
    let (number, step, rc) = scripts.find_map(|(number, step)| {
        let rc = outcome.answers.result(number).filter(|rc| *rc != 0)?;
        Some((number, step, rc))
    })?;
    let what = match &step.action {
        Action::Phase(_) => format!("the step `{}`", step.text),
        _ => "the script".to_owned(),
    };
    let error = Error::failed(format!("{what} failed (rc={rc})"));
    let said = outcome.answers.output_of(number);
    let tail: Vec<String> = said
        .iter()
        .rev()
        .take(20)
        .rev()
        .map(|l| format!("  | {l}"))
        .collect();
    let error = if tail.is_empty() {
        error
    } else {
        error.because(format!("it said last:\n{}", tail.join("\n")))
    };
    Some(error.help(log_help(outcome)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Load;
    use std::time::Duration;

    #[test]
    fn an_oops_names_its_step_and_shows_the_log_from_there() {
        let load = Load {
            file: "/m/oops.ko".into(),
            params: Vec::new(),
            path: "oops".into(),
        };
        let plan = Plan::new(&[vec![load]], None);
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut lines = vec![
            "Linux version 7.3.4 (x)".to_owned(),
            "dmasan: step 77 1 begin oops".to_owned(),
            "BUG: kernel NULL pointer dereference, address: 0000000000000000".to_owned(),
            "Oops: 0002 [#1] SMP".to_owned(),
        ];
        lines.extend((0..40).map(|n| format!("R{n}: 0000000000000000")));
        lines.push("dmasan: step 77 1 end rc=137".to_owned());
        let text = lines.join("\n[    1.000000] ");
        std::fs::write(&log, format!("[    1.000000] {text}\n")).unwrap();
        let report = dmasan_report::parse(std::fs::read(&log).unwrap().as_slice()).unwrap();
        let mut answers = crate::console::Answers::default();
        for line in ["begin 1", "step 1 rc=137", "done"] {
            answers.take(line);
        }
        let outcome = Outcome {
            end: End::Done,
            answers,
            report: Ok(report),
            log,
            last_lines: vec!["R39: 0".to_owned()],
            took: Duration::ZERO,
        };
        let error = of(&outcome, &plan).unwrap_err();
        let message = error.message();
        assert!(message.contains("failed in step `oops`: "), "{message}");
        let said = std::error::Error::source(&error).unwrap().to_string();
        assert!(said.contains("| [    1.000000] BUG: kernel NULL"), "{said}");
        assert!(said.contains("R0: ") && !said.contains("R39: "), "{said}");
    }
}
