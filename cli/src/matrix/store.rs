// SPDX-License-Identifier: GPL-2.0-only
//! Results kept in the cache, so that an interrupted run goes on where it was; and how long cells took.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cache::Key;
use crate::cell::{Cell, CellResult, Outcome};
use crate::error::{io, Result};
use crate::matrix::results::write_whole;

/// Of how many kernels and versions of the tool results are kept.
const KEPT: usize = 40;

/// What is kept of cells that were run with one kernel, by one version of the tool.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens what is kept in a cache under a key.
    pub fn open(cache: &Path, key: &Key) -> Store {
        Store {
            dir: cache.join("matrix/results").join(key.short()),
        }
    }

    fn path(&self, cell: &Cell) -> PathBuf {
        let key = Key::new("cell").with("cell", cell.to_string());
        self.dir.join(format!("{}.json", key.short()))
    }

    /// How a cell went, if that is known.
    pub fn get(&self, cell: &Cell) -> Option<CellResult> {
        let text = fs::read(self.path(cell)).ok()?;
        // What cannot be read is run anew.
        let kept: CellResult = serde_json::from_slice(&text).ok()?;
        (kept.cell == *cell).then_some(kept)
    }

    /// Keeps a result that tells something of the cell; that it did not run is none.
    pub fn put(&self, result: &CellResult) -> Result<()> {
        if matches!(result.outcome, Outcome::NotRun(_) | Outcome::Impossible(_)) {
            return Ok(());
        }
        fs::create_dir_all(&self.dir).map_err(io("cannot create", &self.dir))?;
        let text = serde_json::to_string(result).expect("all keys are strings");
        write_whole(&self.path(&result.cell), &text)
    }

    /// Forgets a cell.
    pub fn forget(&self, cell: &Cell) {
        // It may never have been there.
        let _ = fs::remove_file(self.path(cell));
    }
}

/// Drops what is kept of kernels and versions that were not used for long.
pub fn prune(cache: &Path) {
    let age = |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).ok();
    let entries = fs::read_dir(cache.join("matrix/results"));
    let entries = entries.into_iter().flatten().flatten().map(|e| e.path());
    let mut dirs: Vec<(Option<SystemTime>, PathBuf)> = entries.map(|p| (age(&p), p)).collect();
    dirs.sort();
    for (_, old) in dirs.iter().rev().skip(KEPT) {
        // Another run may have deleted it already.
        let _ = fs::remove_dir_all(old);
    }
}

/// How long cells took when they were last run, whatever the kernel; good enough for an estimate.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Durations {
    seconds: BTreeMap<String, f64>,
}

impl Durations {
    fn path(cache: &Path) -> PathBuf {
        cache.join("matrix/durations.json")
    }

    /// Reads what is kept in a cache.
    pub fn read(cache: &Path) -> Durations {
        let text = fs::read(Durations::path(cache)).unwrap_or_default();
        Durations {
            seconds: serde_json::from_slice(&text).unwrap_or_default(),
        }
    }

    /// What a cell took.
    pub fn of(&self, cell: &Cell) -> Option<f64> {
        self.seconds.get(&cell.to_string()).copied()
    }

    /// Notes what a cell took.
    pub fn note(&mut self, result: &CellResult) {
        let cell = result.cell.to_string();
        self.seconds.insert(cell, result.seconds);
    }

    /// Keeps all of it. Another run at the same time may win.
    pub fn write(&self, cache: &Path) -> Result<()> {
        let dir = cache.join("matrix");
        fs::create_dir_all(&dir).map_err(io("cannot create", &dir))?;
        let text = serde_json::to_string(&self.seconds).expect("all keys are strings");
        write_whole(&Durations::path(cache), &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Kind;
    use crate::machine::Model;

    fn result(name: &str, outcome: Outcome) -> CellResult {
        let cell = Cell::new(Kind::Scenario, name, <&Model>::default());
        CellResult::new(cell, outcome, 2.5)
    }

    #[test]
    fn what_is_known_of_a_cell_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Key::new("a"));
        let passed = result("a", Outcome::Passed);
        let failed = result("b", Outcome::Failed(vec!["x".to_owned()]));
        store.put(&passed).unwrap();
        store.put(&failed).unwrap();
        let again = Store::open(dir.path(), &Key::new("a"));
        assert_eq!(again.get(&passed.cell), Some(passed.clone()));
        assert_eq!(again.get(&failed.cell), Some(failed));
        assert_eq!(
            Store::open(dir.path(), &Key::new("b")).get(&passed.cell),
            None
        );
        again.forget(&passed.cell);
        assert_eq!(store.get(&passed.cell), None);
    }

    #[test]
    fn what_did_not_run_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Key::new("a"));
        for outcome in [Outcome::NotRun("x".into()), Outcome::Impossible("y".into())] {
            let result = result("a", outcome);
            store.put(&result).unwrap();
            assert_eq!(store.get(&result.cell), None);
        }
    }

    #[test]
    fn a_damaged_result_is_run_anew() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Key::new("a"));
        let passed = result("a", Outcome::Passed);
        store.put(&passed).unwrap();
        fs::write(store.path(&passed.cell), "{\"cell\": ").unwrap();
        assert_eq!(store.get(&passed.cell), None);
    }

    #[test]
    fn only_so_much_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..KEPT + 3 {
            let store = Store::open(dir.path(), &Key::new(&n.to_string()));
            store.put(&result("a", Outcome::Passed)).unwrap();
        }
        prune(dir.path());
        let left = fs::read_dir(dir.path().join("matrix/results")).unwrap();
        assert_eq!(left.count(), KEPT);
    }

    #[test]
    fn durations_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut durations = Durations::read(dir.path());
        let passed = result("a", Outcome::Passed);
        assert_eq!(durations.of(&passed.cell), None);
        durations.note(&passed);
        durations.write(dir.path()).unwrap();
        assert_eq!(Durations::read(dir.path()).of(&passed.cell), Some(2.5));
    }
}
