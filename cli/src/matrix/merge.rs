// SPDX-License-Identifier: GPL-2.0-only
//! Putting shards together, and refusing what does not belong together.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::cell::{Cell, CellResult, Outcome};
use crate::error::{Error, Result};
use crate::matrix::results::Results;
use crate::matrix::shard::Shard;

/// Reads files, each a shard or several that were merged before.
pub fn read(files: &[PathBuf]) -> Result<Results> {
    let read = |path: &PathBuf| Ok((path.display().to_string(), Results::read(path)?));
    let all = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    merge(&all)
}

/// Merges documents, each with the name that messages call it by. What no shard has run is told as not run.
pub fn merge(all: &[(String, Results)]) -> Result<Results> {
    let Some(((first_name, first), others)) = all.split_first() else {
        return Err(Error::usage("there is nothing to merge")
            .help("give the files that `dmasan matrix --shard I/N --json FILE` wrote"));
    };
    let mut merged = reopened(first);
    for (name, other) in others {
        let other = &reopened(other);
        let differ = |text: String| {
            Error::usage(format!("{first_name} and {name} do not belong together: {text}")).help(
                "merge only shards of one run, made by the same version of this tool with the same kernels",
            )
        };
        check(&merged, other).map_err(differ)?;
        add(&mut merged, other);
    }
    finish(&mut merged);
    Ok(merged)
}

/// What keeps two documents apart, if anything does.
fn check(one: &Results, other: &Results) -> std::result::Result<(), String> {
    let same = |what: &str, one: &str, other: &str| match one == other {
        true => Ok(()),
        false => Err(format!("{what} is {one} in one and {other} in the other")),
    };
    same(
        "the version of dmasan",
        &one.dmasan.version,
        &other.dmasan.version,
    )?;
    same(
        "the source of dmasan",
        &one.dmasan.source,
        &other.dmasan.source,
    )?;
    for kernel in &one.kernels {
        let known = other.kernels.iter().find(|k| k.kernel == kernel.kernel);
        let Some(known) = known else { continue };
        let name = |part| format!("the {part} of the kernel ({})", kernel.kernel);
        same(&name("release"), &kernel.release, &known.release)?;
        same(&name("key"), &kernel.key, &known.key)?;
    }
    for (arch, version) in &one.qemu {
        let known = other.qemu.get(arch).unwrap_or(version);
        same(&format!("QEMU's version ({arch})"), version, known)?;
    }
    if one.selection != other.selection || cells(one) != cells(other) {
        return Err("other cells were asked for".to_owned());
    }
    let count = |results: &Results| results.shards.first().map_or(1, |s| s.count).to_string();
    same("the number of shards", &count(one), &count(other))?;
    match one.shards.iter().find(|s| other.shards.contains(s)) {
        Some(shard) => Err(format!("shard {shard} is in both")),
        None => Ok(()),
    }
}

/// All cells of the selection.
fn cells(results: &Results) -> BTreeSet<&Cell> {
    let here = results.results.iter().map(|r| &r.cell);
    here.chain(&results.elsewhere).collect()
}

fn add(merged: &mut Results, other: &Results) {
    for kernel in &other.kernels {
        if !merged.kernels.contains(kernel) {
            merged.kernels.push(kernel.clone());
        }
    }
    merged.qemu.extend(other.qemu.clone());
    merged.shards.extend(&other.shards);
    merged.results.extend(other.results.iter().cloned());
    merged.begun = merged.begun.clone().min(other.begun.clone());
    merged.seconds += other.seconds;
    merged.kept += other.kept;
    let here: BTreeSet<&Cell> = other.results.iter().map(|r| &r.cell).collect();
    merged.elsewhere.retain(|c| !here.contains(c));
}

/// What [`finish`] says of cells that nobody has run.
const NO_RESULTS: &str = "no results of shard ";

/// A document as it was before [`finish`]: a shard that comes late can be added to what was merged without it.
fn reopened(results: &Results) -> Results {
    let mut open = results.clone();
    let lost =
        |r: &CellResult| matches!(&r.outcome, Outcome::NotRun(why) if why.starts_with(NO_RESULTS));
    let (lost, here) = open.results.into_iter().partition(lost);
    open.results = here;
    let lost: Vec<CellResult> = lost;
    open.elsewhere.extend(lost.into_iter().map(|r| r.cell));
    open
}

/// Brings all into order, and says what is missing.
fn finish(merged: &mut Results) {
    merged.shards.sort_unstable();
    merged.kernels.sort_by(|a, b| a.kernel.cmp(&b.kernel));
    let missing = missing(&merged.shards);
    if missing.is_empty() {
        merged.sort();
        return;
    }
    let names: Vec<String> = missing.iter().map(Shard::to_string).collect();
    let why = format!("{NO_RESULTS}{}", names.join(", "));
    let not_run = |cell| CellResult::new(cell, Outcome::NotRun(why.clone()), 0.0);
    let lost = std::mem::take(&mut merged.elsewhere);
    merged.results.extend(lost.into_iter().map(not_run));
    merged.sort();
}

/// Shards that are not there.
fn missing(here: &[Shard]) -> Vec<Shard> {
    let count = here.first().map_or(1, |s| s.count);
    let all = (1..=count).map(|index| Shard { index, count });
    all.filter(|s| !here.contains(s)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Kind;
    use crate::error::Exit;
    use crate::matrix::results::tests::sample;
    use proptest::prelude::*;

    fn named(all: &[Results]) -> Vec<(String, Results)> {
        let named = all.iter().cloned().enumerate();
        named.map(|(n, r)| (format!("{n}.json"), r)).collect()
    }

    #[test]
    fn two_halves_are_a_whole() {
        let whole = merge(&named(&[sample(2), sample(1)])).unwrap();
        assert!(whole.is_whole() && whole.elsewhere.is_empty());
        assert_eq!(whole.results.len(), whole.selection.cells);
        assert_eq!(
            (whole.seconds, whole.begun.as_str()),
            (181.5, "2026-11-23T01:00:00Z")
        );
        assert_eq!(whole.exit(), Exit::Finding);
        // The order of the files is no matter.
        assert_eq!(whole, merge(&named(&[sample(1), sample(2)])).unwrap());
    }

    #[test]
    fn a_shard_that_is_not_there_is_not_run() {
        let merged = merge(&named(&[sample(1)])).unwrap();
        assert!(!merged.is_whole());
        assert_eq!(merged.results.len(), 4);
        let lost: Vec<_> = merged
            .results
            .iter()
            .filter(|r| r.outcome.word() == "not run")
            .collect();
        assert_eq!(lost.len(), 2);
        assert!(lost
            .iter()
            .all(|r| r.outcome.why() == "no results of shard 2/2"));
        assert_eq!(merged.count(Kind::Scenario, "not run"), 1);
        // It may come late.
        let late = merge(&named(&[merged, sample(2)])).unwrap();
        assert_eq!(late, merge(&named(&[sample(1), sample(2)])).unwrap());
    }

    #[test]
    fn what_differs_is_named() {
        type Change = fn(&mut Results);
        let changed = |change: Change| {
            let mut other = sample(2);
            change(&mut other);
            let error = merge(&named(&[sample(1), other])).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.message().starts_with("0.json and 1.json"), "{error}");
            error.to_string()
        };
        let cases: [(Change, &str); 8] = [
            (
                |r| r.dmasan.version = "0.2.0".into(),
                "version of dmasan is 0.1.0 in one and 0.2.0",
            ),
            (
                |r| r.dmasan.source = "77".into(),
                "source of dmasan is 1234 in one and 77",
            ),
            (
                |r| r.kernels[0].release = "6.12.1".into(),
                "release of the kernel (rust) is 7.3.4 in one and 6.12.1",
            ),
            (
                |r| r.kernels[0].key = "ff".into(),
                "key of the kernel (rust) is abcd in one and ff",
            ),
            (
                |r| r.qemu.values_mut().for_each(|v| *v = "9.2.0".into()),
                "QEMU's version (x86_64)",
            ),
            (|r| r.selection.tier = "smoke".into(), "other cells"),
            (
                |r| r.shards[0].count = 3,
                "number of shards is 2 in one and 3",
            ),
            (|r| *r = sample(1), "shard 1/2 is in both"),
        ];
        for (change, told) in cases {
            let error = changed(change);
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_kernel_that_only_one_has_is_no_difference() {
        let mut other = sample(2);
        other.kernels[0].kernel = "rust, arm64".to_owned();
        other.kernels[0].key = "9999".to_owned();
        let merged = merge(&named(&[sample(1), other])).unwrap();
        assert_eq!(merged.kernels.len(), 2);
    }

    #[test]
    fn nothing_cannot_be_merged() {
        assert_eq!(merge(&[]).unwrap_err().exit(), Exit::Usage);
    }

    proptest! {
        /// However the results of a run were distributed, merging gives them back.
        #[test]
        fn shards_give_back_the_whole(shard_of in proptest::collection::vec(0_usize..5, 4), count in 1_usize..6) {
            let mut whole = merge(&named(&[sample(1), sample(2)])).unwrap();
            whole.shards = vec![Shard::WHOLE];
            let parts: Vec<Results> = (0..count).map(|n| {
                let mine = |i: &usize| shard_of[*i] % count == n;
                let (here, there): (Vec<usize>, Vec<usize>) = (0..4).partition(mine);
                let mut part = whole.clone();
                part.shards = vec![Shard { index: n + 1, count }];
                part.results = here.iter().map(|i| whole.results[*i].clone()).collect();
                part.elsewhere = there.iter().map(|i| whole.results[*i].cell.clone()).collect();
                part
            }).collect();
            let merged = merge(&named(&parts)).unwrap();
            prop_assert_eq!(&merged.results, &whole.results);
            prop_assert!(merged.is_whole() && merged.elsewhere.is_empty());
        }
    }
}
