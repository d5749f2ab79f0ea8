// SPDX-License-Identifier: GPL-2.0-only
//! What the user sees while groups run: how many are done, and how long the rest will take.

use std::time::Duration;

use crate::cell::{CellResult, Outcome};
use crate::exec::Exec;
use crate::matrix::catalog::Group;
use crate::matrix::store::Durations;
use crate::ui::{duration, Step, Unit};

/// How long groups take that are not done yet.
#[derive(Debug)]
pub struct Estimate<'a> {
    durations: &'a Durations,
    jobs: usize,
}

impl<'a> Estimate<'a> {
    /// An estimate from what earlier runs took.
    pub fn new(durations: &'a Durations, jobs: usize) -> Self {
        Estimate { durations, jobs }
    }

    /// What one group takes: what its cells took, or else what they are thought to take.
    fn of(&self, group: &Group) -> f64 {
        let known: Option<Vec<f64>> = group.cells.iter().map(|c| self.durations.of(c)).collect();
        known.map_or(group.weight as f64, |seconds| seconds.iter().sum())
    }

    /// What groups take together, run side by side.
    pub fn all<'g>(&self, groups: impl IntoIterator<Item = &'g Group>) -> Duration {
        let each: Vec<f64> = groups.into_iter().map(|g| self.of(g)).collect();
        let longest = each.iter().copied().fold(0.0, f64::max);
        let sum: f64 = each.iter().sum();
        Duration::from_secs_f64(longest.max(sum / self.jobs.max(1) as f64))
    }
}

/// The bar, or a line for each group where there is no terminal.
#[derive(Debug)]
pub struct Progress<'a> {
    exec: &'a Exec,
    bar: Option<Step>,
    estimate: Estimate<'a>,
    left: Vec<Group>,
    all: usize,
}

impl<'a> Progress<'a> {
    /// Begins.
    pub fn begin(exec: &'a Exec, estimate: Estimate<'a>, groups: &[Group]) -> Self {
        let cells: usize = groups.iter().map(|g| g.cells.len()).sum();
        let text = format!(
            "Running {cells} cells in {} guests, about {}",
            groups.len(),
            duration(estimate.all(groups))
        );
        Progress {
            bar: Some(exec.ui.bar(&text, groups.len() as u64, Unit::Steps)),
            exec,
            estimate,
            left: groups.to_vec(),
            all: groups.len(),
        }
    }

    /// A group is done.
    pub fn done(&mut self, group: &Group, results: &[CellResult]) {
        self.left.retain(|g| g.boot != group.boot);
        let done = self.all - self.left.len();
        let left = duration(self.estimate.all(&self.left));
        let all_passed = results.iter().all(|r| r.outcome == Outcome::Passed);
        if let Some(bar) = &self.bar {
            bar.set(done as u64);
            bar.message(&format!("about {left} left"));
        }
        // A terminal has the bar; what is wrong is told at once in any case.
        if !self.exec.ui.progress || !all_passed {
            let seconds = results.iter().map(|r| r.seconds).sum();
            self.exec.ui.note(&format!(
                "[{done}/{}] {}: {} ({}); about {left} left",
                self.all,
                group.boot,
                counts(results),
                duration(Duration::from_secs_f64(seconds))
            ));
        }
    }

    /// All groups are done.
    pub fn end(mut self) {
        if let Some(bar) = self.bar.take() {
            bar.done("");
        }
    }
}

fn counts(results: &[CellResult]) -> String {
    let words = ["passed", "failed", "not run", "impossible"];
    let count = |word: &&str| results.iter().filter(|r| r.outcome.word() == *word).count();
    let counts = words.iter().map(|w| (count(w), w)).filter(|(n, _)| *n > 0);
    let counts: Vec<_> = counts.map(|(n, w)| format!("{n} {w}")).collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Cell, Kind};
    use crate::machine::Model;

    fn group(name: &str, weight: u64) -> Group {
        Group {
            boot: name.to_owned(),
            cells: vec![Cell::new(Kind::Scenario, name, <&Model>::default())],
            weight,
            limit: 1,
        }
    }

    #[test]
    fn what_was_measured_goes_before_what_is_thought() {
        let groups = [group("a", 10), group("b", 20)];
        let mut durations = Durations::default();
        let seconds = |d: &Durations, jobs| Estimate::new(d, jobs).all(&groups).as_secs();
        assert_eq!(seconds(&durations, 1), 30);
        // Two jobs do not make the longest group shorter.
        assert_eq!(seconds(&durations, 2), 20);
        durations.note(&CellResult::new(
            groups[1].cells[0].clone(),
            Outcome::Passed,
            50.0,
        ));
        assert_eq!(seconds(&durations, 1), 60);
    }
}
