// SPDX-License-Identifier: GPL-2.0-only
//! Running groups side by side, and what is known of a group whose process says nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::cell::{Cell, CellResult, Outcome};
use crate::error::Result;
use crate::matrix::catalog::Group;
use crate::process;

/// Runs each group once, `jobs` at the same time, in the order given. `run` is called on several threads; `done` on this
/// one, as soon as a group is. Ends early when the user interrupts.
pub fn run(
    groups: &[Group],
    jobs: usize,
    run: &(dyn Fn(&Group) -> Result<Vec<CellResult>> + Sync),
    done: &mut dyn FnMut(&Group, Vec<CellResult>) -> Result<()>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(groups.len()) {
            let tell = tell.clone();
            let next = &next;
            scope.spawn(move || {
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let begun = Instant::now();
                    let results = run(group);
                    let stop = results.is_err();
                    let results = results.map(|r| complete(group, r, begun.elapsed()));
                    // Nobody listens any more: the work is over.
                    if tell.send((group, results)).is_err() || stop {
                        return;
                    }
                }
            });
        }
        drop(tell);
        let result = listen(&told, done);
        if result.is_err() {
            // What has not begun does not begin; what runs is waited for by the scope.
            next.store(groups.len(), Ordering::SeqCst);
        }
        result
    })
}

type Told<'a> = (&'a Group, Result<Vec<CellResult>>);

fn listen(
    told: &mpsc::Receiver<Told<'_>>,
    done: &mut dyn FnMut(&Group, Vec<CellResult>) -> Result<()>,
) -> Result<()> {
    loop {
        match told.recv_timeout(Duration::from_millis(250)) {
            Ok((group, results)) => done(group, results?)?,
            Err(mpsc::RecvTimeoutError::Disconnected) => return process::check(),
            Err(mpsc::RecvTimeoutError::Timeout) => process::check()?,
        }
    }
}

/// One result for each cell of the group and no other. A cell that nothing is said of did not run.
fn complete(group: &Group, results: Vec<CellResult>, took: Duration) -> Vec<CellResult> {
    let result = |cell: &Cell| {
        let mut of_cell = results.iter().filter(|r| r.cell == *cell);
        match (of_cell.next(), of_cell.next()) {
            (Some(result), None) => result.clone(),
            (None, _) => not_run(cell, "its process left no result of it", took),
            (Some(_), Some(_)) => not_run(cell, "its process left two results of it", took),
        }
    };
    group.cells.iter().map(result).collect()
}

/// The same reason for all cells of a group.
pub fn none_run(group: &Group, why: &str, took: Duration) -> Vec<CellResult> {
    let share = took / u32::try_from(group.cells.len().max(1)).unwrap_or(1);
    let cells = group.cells.iter();
    cells.map(|cell| not_run(cell, why, share)).collect()
}

fn not_run(cell: &Cell, why: &str, took: Duration) -> CellResult {
    let outcome = Outcome::NotRun(why.to_owned());
    CellResult::new(cell.clone(), outcome, took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Kind;
    use crate::error::Error;
    use crate::machine::Model;
    use std::sync::Mutex;

    fn groups(sizes: &[usize]) -> Vec<Group> {
        let group = |(n, size): (usize, &usize)| Group {
            boot: n.to_string(),
            cells: (0..*size)
                .map(|i| Cell::new(Kind::Scenario, &format!("{n}-{i}"), <&Model>::default()))
                .collect(),
            weight: 1,
            limit: 1,
        };
        sizes.iter().enumerate().map(group).collect()
    }

    fn passed(group: &Group) -> Vec<CellResult> {
        let cells = group.cells.iter().cloned();
        cells
            .map(|c| CellResult::new(c, Outcome::Passed, 1.0))
            .collect()
    }

    fn run_all(
        groups: &[Group],
        jobs: usize,
        one: &(dyn Fn(&Group) -> Result<Vec<CellResult>> + Sync),
    ) -> (Result<()>, Vec<CellResult>) {
        let mut all = Vec::new();
        let mut done = |_: &Group, results: Vec<CellResult>| {
            all.extend(results);
            Ok(())
        };
        let result = run(groups, jobs, one, &mut done);
        (result, all)
    }

    #[test]
    fn every_group_runs_once() {
        let groups = groups(&[1, 3, 2, 1, 1]);
        for jobs in [1, 2, 8] {
            let seen = Mutex::new(Vec::new());
            let (result, mut all) = run_all(&groups, jobs, &|group| {
                seen.lock().unwrap().push(group.boot.clone());
                Ok(passed(group))
            });
            result.unwrap();
            let mut seen = seen.into_inner().unwrap();
            seen.sort();
            assert_eq!(seen, ["0", "1", "2", "3", "4"]);
            all.sort_by(|a, b| a.cell.cmp(&b.cell));
            assert_eq!(all, groups.iter().flat_map(passed).collect::<Vec<_>>());
        }
    }

    #[test]
    fn jobs_do_run_side_by_side() {
        let groups = groups(&[1, 1]);
        // Each waits for the other.
        let barrier = std::sync::Barrier::new(2);
        let (result, all) = run_all(&groups, 2, &|group| {
            barrier.wait();
            Ok(passed(group))
        });
        result.unwrap();
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn what_is_not_told_did_not_run() {
        let groups = groups(&[3]);
        let (_, all) = run_all(&groups, 1, &|group| {
            let mut results = passed(group);
            // One is missing, one is there twice, one is of another group.
            results.remove(0);
            results.push(results[0].clone());
            let mut other = results[0].clone();
            other.cell.name = "other".to_owned();
            results.push(other);
            Ok(results)
        });
        let words: Vec<_> = all.iter().map(|r| r.outcome.word()).collect();
        assert_eq!(words, ["not run", "not run", "passed"]);
        assert!(all.iter().all(|r| r.cell.name != "other"));
    }

    #[test]
    fn an_interrupted_run_begins_nothing_more() {
        let groups = groups(&[1, 1, 1]);
        let (result, all) = run_all(&groups, 1, &|group| match group.boot.as_str() {
            "0" => Ok(passed(group)),
            "1" => Err(Error::interrupted()),
            _ => panic!("it begins all the same"),
        });
        assert_eq!(result.unwrap_err().message(), "interrupted");
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn no_group_is_no_work() {
        let (result, all) = run_all(&[], 4, &|_| panic!("nothing to run"));
        result.unwrap();
        assert!(all.is_empty());
    }
}
