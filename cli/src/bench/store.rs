// SPDX-License-Identifier: GPL-2.0-only
//! Figures that were measured, kept in the cache: an interrupted benchmark goes on where it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bench::figure::{Figure, Figures};
use crate::cache::Key;
use crate::error::{io, Error, Result};

/// What one kernel with one setting was measured to take.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    kept: Kept,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// By row, then by the number of the repeat.
    figures: BTreeMap<String, BTreeMap<u32, Figure>>,
}

impl Store {
    /// Opens what is kept under a key; `fresh` forgets it.
    pub fn open(cache: &Path, key: &Key, fresh: bool) -> Store {
        let path = cache.join("bench").join(format!("{}.json", key.short()));
        let text = std::fs::read(&path).ok().filter(|_| !fresh);
        // What cannot be read is measured anew.
        let kept = text.and_then(|t| serde_json::from_slice(&t).ok());
        Store {
            kept: kept.unwrap_or_default(),
            path,
        }
    }

    /// Writes down what is known now: nothing, if an earlier run's figures are to be forgotten. Else
    /// those that an interrupted run did not get to would be there again in the next one.
    pub fn begin(&self) -> Result<()> {
        self.write()
    }

    /// A figure, if it was measured.
    pub fn get(&self, row: &str, repeat: u32) -> Option<&Figure> {
        self.kept.figures.get(row)?.get(&repeat)
    }

    /// Keeps figures of one repeat.
    pub fn add(&mut self, repeat: u32, figures: &Figures) -> Result<()> {
        for (row, figure) in figures {
            let of_row = self.kept.figures.entry(row.clone()).or_default();
            of_row.insert(repeat, *figure);
        }
        self.write()
    }

    fn write(&self) -> Result<()> {
        let dir = self.path.parent().expect("is in the cache");
        std::fs::create_dir_all(dir).map_err(io("cannot create", dir))?;
        let text = serde_json::to_vec_pretty(&self.kept);
        let text = text.map_err(|e| Error::failed("cannot write figures").because(e))?;
        // Renamed when complete: being killed must not cost what was kept before.
        let new = self.path.with_extension(format!("{}", std::process::id()));
        std::fs::write(&new, text).map_err(io("cannot write", &new))?;
        std::fs::rename(&new, &self.path).map_err(io("cannot write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(value: f64) -> Figures {
        let figure = Figure {
            value,
            mean: value,
            min: value,
            max: value,
            calls: 1,
        };
        Figures::from([("dma_map/4K".to_owned(), figure)])
    }

    #[test]
    fn what_was_measured_is_there_the_next_time() {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::new("k");
        let open = |fresh| Store::open(dir.path(), &key, fresh);
        assert!(open(false).get("dma_map/4K", 0).is_none());
        open(false).add(0, &figures(1.5)).unwrap();
        open(false).add(2, &figures(2.5)).unwrap();
        let store = open(false);
        let value = |repeat| store.get("dma_map/4K", repeat).map(|f| f.value);
        assert_eq!((value(0), value(1), value(2)), (Some(1.5), None, Some(2.5)));
        assert!(open(true).get("dma_map/4K", 0).is_none());
        let other = Store::open(dir.path(), &Key::new("other"), false);
        assert!(other.get("dma_map/4K", 0).is_none());
    }

    #[test]
    fn a_damaged_file_is_measured_anew() {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::new("k");
        Store::open(dir.path(), &key, false)
            .add(0, &figures(1.0))
            .unwrap();
        let file = dir
            .path()
            .join("bench")
            .join(format!("{}.json", key.short()));
        std::fs::write(&file, "{\"figures\": {").unwrap();
        let mut store = Store::open(dir.path(), &key, false);
        assert!(store.get("dma_map/4K", 0).is_none());
        store.add(0, &figures(2.0)).unwrap();
        let store = Store::open(dir.path(), &key, false);
        assert_eq!(store.get("dma_map/4K", 0).unwrap().value, 2.0);
    }
}
