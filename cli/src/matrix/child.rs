// SPDX-License-Identifier: GPL-2.0-only
//! Each group runs in a process of its own, which leaves its results in a file. One that dies, is killed or takes too
//! long has run nothing, whatever it did before.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cell::{Cell, CellResult};
use crate::error::{io, Error, Exit, Result};
use crate::exec::{Cmd, Exec, Place};
use crate::matrix::args::CellsArgs;
use crate::matrix::catalog::Group;
use crate::matrix::pool::none_run;
use crate::matrix::results::write_whole;
use crate::matrix::runner;
use crate::ui::duration;

/// How long a child may take to end its guest after Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);
/// How many of its last lines are told of a child that failed.
const LINES: usize = 12;

/// What a child has to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Cells that share a boot.
    pub cells: Vec<Cell>,
    /// The user's folder with scenarios.
    pub scenarios: Option<PathBuf>,
}

/// What a child has done.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Done {
    results: Vec<CellResult>,
}

/// Starts children.
#[derive(Clone, Debug)]
pub struct Children {
    /// Runs them.
    pub exec: Exec,
    /// The program; it gets `--job FILE --out FILE`.
    pub program: Cmd,
    /// Where their files are.
    pub dir: PathBuf,
    /// The user's folder with scenarios.
    pub scenarios: Option<PathBuf>,
}

impl Children {
    /// Children that are this tool.
    pub fn new(exec: &Exec, dir: &Path, scenarios: Option<PathBuf>) -> Children {
        let place = match exec.place {
            Place::Auto => "auto",
            Place::Root => "root",
            Place::Host => "host",
        };
        // The file itself, even if it is replaced meanwhile.
        let program = Cmd::new("/proc/self/exe")
            .args(["matrix", "cells", "--color", "never", "--env", place])
            .name("dmasan matrix cells")
            .grace(GRACE);
        Children {
            exec: exec.clone(),
            program,
            dir: dir.to_owned(),
            scenarios,
        }
    }

    /// Runs a group in a child. Fails only if the user interrupts, or if nothing can be written.
    pub fn run(&self, group: &Group) -> Result<Vec<CellResult>> {
        let dir = self.dir.join(group.boot.replace('/', "_"));
        fs::create_dir_all(&dir).map_err(io("cannot create", &dir))?;
        let results = self.run_in(group, &dir);
        // What is of use was read.
        let _ = fs::remove_dir_all(&dir);
        results
    }

    fn run_in(&self, group: &Group, dir: &Path) -> Result<Vec<CellResult>> {
        let [job, out, log] = ["job.json", "out.json", "log"].map(|name| dir.join(name));
        let text = serde_json::to_string(&Job {
            cells: group.cells.clone(),
            scenarios: self.scenarios.clone(),
        });
        write_whole(&job, &text.expect("all keys are strings"))?;
        // An earlier run may have been killed.
        let _ = fs::remove_file(&out);
        let begun = Instant::now();
        let limit = Duration::from_secs(group.limit);
        let command = self.program.clone().arg("--job").arg(&job);
        let command = command.arg("--out").arg(&out);
        let mut running = self.exec.spawn(&command, Some(&log))?;
        let ended = running.wait_until(begun + limit, &mut || {});
        if ended.is_err() {
            running.wait_interrupted();
        }
        let ended = ended?;
        running.kill();
        let why = match ended {
            None => format!(
                "its process took longer than {}, and was ended",
                duration(limit)
            ),
            Some(status) if !status.success() => how(status),
            Some(_) => match read(&out) {
                Ok(results) => return Ok(results),
                Err(why) => why,
            },
        };
        let why = format!("{why}{}", last_words(&log));
        Ok(none_run(group, &why, begun.elapsed()))
    }
}

fn how(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("its process was ended by signal {signal}"),
        None => format!("its process ended with {}", status.code().unwrap_or(-1)),
    }
}

fn read(out: &Path) -> std::result::Result<Vec<CellResult>, String> {
    let text = fs::read_to_string(out).map_err(|e| format!("its process left no results: {e}"))?;
    let done: std::result::Result<Done, _> = serde_json::from_str(&text);
    done.map(|d| d.results)
        .map_err(|e| format!("its process left damaged results: {e}"))
}

/// The end of what the child said.
fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // The first line is the command.
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let last = lines.len().saturating_sub(LINES);
    lines[last..].iter().map(|l| format!("\n{l}")).collect()
}

/// The child's side: `dmasan matrix cells`.
pub fn run(exec: &Exec, args: &CellsArgs) -> Result<Exit> {
    let text = fs::read_to_string(&args.job).map_err(io("cannot read", &args.job))?;
    let job: Job = serde_json::from_str(&text).map_err(|e| {
        Error::usage(format!("{} is no job", args.job.display()))
            .because(e)
            .help("`dmasan matrix` starts this command itself")
    })?;
    let results = runner::run(exec, &job)?;
    let text = serde_json::to_string(&Done { results }).expect("all keys are strings");
    write_whole(&args.out, &text)?;
    Ok(Exit::Clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Kind, Outcome};
    use crate::machine::Model;
    use crate::ui::{Color, Ui};

    fn group() -> Group {
        let cell = |name| Cell::new(Kind::Scenario, name, <&Model>::default());
        Group {
            boot: "scenario/a/vtd/rust".to_owned(),
            cells: vec![cell("a"), cell("b")],
            weight: 1,
            limit: 30,
        }
    }

    /// Runs a group in a shell instead of this tool: $2 is the job, $4 where results go.
    fn run(script: &str, limit: u64) -> Vec<CellResult> {
        let dir = tempfile::tempdir().unwrap();
        let children = Children {
            exec: Exec::new(Ui::new(0, Color::Never), false),
            program: Cmd::new("sh").args(["-c", script, "sh"]),
            dir: dir.path().to_owned(),
            scenarios: None,
        };
        let results = children.run(&Group { limit, ..group() }).unwrap();
        // Nothing stays behind.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        results
    }

    fn done() -> String {
        let results = group()
            .cells
            .into_iter()
            .map(|c| CellResult::new(c, Outcome::Passed, 1.0));
        let text = serde_json::to_string(&Done {
            results: results.collect(),
        });
        format!("cat >\"$4\" <<'END'\n{}\nEND\n", text.unwrap())
    }

    #[test]
    fn results_come_through_a_file() {
        let script = format!("grep -q '\"name\":\"b\"' \"$2\" || exit 3\n{}", done());
        let results = run(&script, 30);
        assert_eq!(results.len(), 2);
        assert!(
            results.iter().all(|r| r.outcome == Outcome::Passed),
            "{results:?}"
        );
    }

    /// Even after it has left results that say that all passed.
    #[test]
    fn a_child_that_dies_has_run_nothing() {
        let done = done();
        let cases = [
            (
                "echo last words; kill -9 $$".to_owned(),
                "ended by signal 9\nlast words",
            ),
            (format!("{done}kill -9 $$"), "ended by signal 9"),
            (format!("{done}kill -TERM $$"), "ended by signal 15"),
            (format!("{done}exit 101"), "ended with 101"),
            ("exit 0".to_owned(), "left no results"),
            (
                "echo '{\"results\": [' >\"$4\"".to_owned(),
                "left damaged results",
            ),
            (format!("{done}mv \"$4\" \"$4\".x"), "left no results"),
        ];
        for (script, told) in cases {
            let results = run(&script, 30);
            assert_eq!(results.len(), 2, "{script}");
            for result in results {
                assert_eq!(result.outcome.word(), "not run", "{script}");
                assert!(
                    result.outcome.why().contains(told),
                    "{script}: {:?}",
                    result.outcome
                );
            }
        }
    }

    #[test]
    fn a_child_that_hangs_is_ended() {
        let begun = Instant::now();
        let results = run(&format!("{}sleep 97532", done()), 1);
        assert!(begun.elapsed() < Duration::from_secs(60));
        assert!(results.iter().all(|r| r.outcome.word() == "not run"));
        assert!(results[0].outcome.why().contains("longer than 1.0 s"));
    }
}
