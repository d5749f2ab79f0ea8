// SPDX-License-Identifier: GPL-2.0-only
//! A run of the matrix: what is selected, what is known of it already, and running the rest.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Instant, SystemTime};

use crate::boot::remove_remains;
use crate::cache::{Cache, Key};
use crate::cell::{Cell, CellResult, Kind, Outcome};
use crate::embed;
use crate::error::{Exit, Result};
use crate::exec::Exec;
use crate::matrix::args::MatrixRunArgs;
use crate::matrix::catalog::{names, Catalog, Group, Offer};
use crate::matrix::child::{Children, Job};
use crate::matrix::prepare::Prepared;
use crate::matrix::progress::{Estimate, Progress};
use crate::matrix::results::{Results, Selection, Tool, SCHEMA};
use crate::matrix::select::select;
use crate::matrix::shard::Shard;
use crate::matrix::store::{prune, Durations, Store};
use crate::matrix::{check_outputs, pool, runner, tell};
use crate::sources;
use crate::stdout;
use crate::ui::duration;

/// What the folder of a run is called, before the number of its process.
const RUN: &str = "run-";

/// Runs the command.
pub fn run(exec: &Exec, args: &MatrixRunArgs) -> Result<Exit> {
    let catalog = Catalog::read(args.scenarios.as_deref())?;
    let offers = select(&catalog, args)?;
    let groups = Group::of(&offers);
    let shard = args.shard.unwrap_or(Shard::WHOLE);
    let mut mine: Vec<Group> = shard.part(&groups).into_iter().cloned().collect();
    if args.list {
        return list(&catalog, args, &offers, &mine);
    }
    check_outputs(&args.output)?;
    let begun = (Instant::now(), SystemTime::now());
    let cache = Cache::open(exec)?;
    let cells: Vec<&Cell> = mine.iter().flat_map(|g| &g.cells).collect();
    let elsewhere = |c: &Cell| catalog.impossible(c).is_some();
    let hosts: Vec<&Cell> = cells.iter().filter(|c| !elsewhere(c)).copied().collect();
    let mut prepared = Prepared::hosts(exec, &cache, &hosts)?;
    let possible =
        |c: &&&Cell| catalog.impossible(c).is_none() && prepared.before_kernel(c).is_none();
    let possible: Vec<&Cell> = cells.iter().filter(possible).copied().collect();
    prepared.build(exec, &possible, args.no_build)?;
    if exec.dry_run {
        let possible = |g: &Group| !elsewhere(&g.cells[0]);
        mine.retain(possible);
        return dry(exec, args, &mine);
    }
    let mut work = Work {
        exec,
        args,
        catalog: &catalog,
        cache: &cache,
        prepared: &prepared,
        results: BTreeMap::new(),
        kept: 0,
    };
    let todo = work.known(&mine)?;
    let dirs = cache.root().join("matrix");
    remove_remains(&dirs, RUN);
    let dir = dirs.join(format!("{RUN}{}", std::process::id()));
    let children = Children::new(exec, &dir, args.scenarios.clone());
    let ended = work.run(&todo, &|group| children.run(group));
    // It is empty, or the user has interrupted, or it never was.
    let _ = std::fs::remove_dir_all(&dir);
    let elsewhere = offers.iter().map(|o| o.cell.clone());
    let mut results = Results {
        schema: SCHEMA.to_owned(),
        dmasan: tool(),
        kernels: prepared.kernels(),
        qemu: prepared.qemu(),
        selection: selection(&catalog, args, &offers)?,
        shards: vec![shard],
        begun: utc(begun.1),
        seconds: (begun.0.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        kept: work.kept,
        elsewhere: elsewhere.filter(|c| !cells.contains(&c)).collect(),
        results: work.all(&cells, ended.is_err()),
    };
    results.sort();
    // What there is after Ctrl-C is worth having, too.
    tell(&results, &args.output)?;
    ended?;
    Ok(results.exit())
}

/// Runs a group in a process of its own.
type Child<'a> = dyn Fn(&Group) -> Result<Vec<CellResult>> + Sync + 'a;

/// What is being done.
struct Work<'a> {
    exec: &'a Exec,
    args: &'a MatrixRunArgs,
    catalog: &'a Catalog,
    cache: &'a Cache,
    prepared: &'a Prepared,
    results: BTreeMap<Cell, CellResult>,
    kept: usize,
}

impl Work<'_> {
    /// Takes what is known without running anything, and gives what has to be run.
    fn known(&mut self, groups: &[Group]) -> Result<Vec<Group>> {
        prune(self.cache.root());
        let mut todo = Vec::new();
        for group in groups {
            let mut rest = group.clone();
            rest.cells = Vec::new();
            for cell in &group.cells {
                match self.look_up(cell)? {
                    Some(result) => drop(self.results.insert(cell.clone(), result)),
                    None => rest.cells.push(cell.clone()),
                }
            }
            if !rest.cells.is_empty() {
                todo.push(rest);
            }
        }
        Ok(todo)
    }

    fn look_up(&mut self, cell: &Cell) -> Result<Option<CellResult>> {
        let without = self.catalog.impossible(cell);
        let without = without.map(|why| Outcome::Impossible(why.to_owned()));
        let without = without.or_else(|| self.prepared.before_kernel(cell));
        let without = without.or_else(|| self.prepared.kernel_of(cell).err());
        if let Some(outcome) = without {
            return Ok(Some(CellResult::new(cell.clone(), outcome, 0.0)));
        }
        let store = self.store(cell)?;
        if self.args.fresh {
            store.forget(cell);
        }
        let kept = store.get(cell);
        self.kept += usize::from(kept.is_some());
        Ok(kept)
    }

    /// Where results of a cell are kept: by all that can change them.
    fn store(&self, cell: &Cell) -> Result<Store> {
        let kernel = self.prepared.kernel_of(cell).map(|k| k.key.clone());
        let mut key = Key::new("matrix")
            .with("dmasan", tool().source)
            .with("kernel", kernel.unwrap_or_default())
            .with("qemu", self.prepared.qemu_of(cell).unwrap_or_default());
        if let Some(dir) = &self.args.scenarios {
            key = key.with("scenarios", content(dir)?);
        }
        Ok(Store::open(self.cache.root(), &key))
    }

    /// Runs groups, and keeps each result as soon as it is there.
    fn run(&mut self, todo: &[Group], child: &Child<'_>) -> Result<()> {
        if todo.is_empty() {
            return Ok(());
        }
        let (exec, cache, jobs) = (self.exec, self.cache.root(), self.args.jobs);
        let before = Durations::read(cache);
        let mut durations = before.clone();
        let estimate = Estimate::new(&before, jobs);
        let mut progress = Progress::begin(exec, estimate, todo);
        let mut done = |group: &Group, results: Vec<CellResult>| {
            progress.done(group, &results);
            for result in results {
                self.store(&result.cell)?.put(&result)?;
                if !matches!(result.outcome, Outcome::NotRun(_)) {
                    durations.note(&result);
                }
                self.results.insert(result.cell.clone(), result);
            }
            durations.write(cache)
        };
        let ended = pool::run(todo, jobs, child, &mut done);
        if ended.is_ok() {
            progress.end();
        }
        ended
    }

    /// A result for each cell.
    fn all(&self, cells: &[&Cell], interrupted: bool) -> Vec<CellResult> {
        let why = match interrupted {
            true => "the run was interrupted before",
            false => "nothing is known of it",
        };
        let result = |cell: &&Cell| match self.results.get(*cell) {
            Some(result) => result.clone(),
            None => CellResult::new((*cell).clone(), Outcome::NotRun(why.to_owned()), 0.0),
        };
        cells.iter().map(result).collect()
    }
}

/// Prints what each guest would be started with.
fn dry(exec: &Exec, args: &MatrixRunArgs, groups: &[Group]) -> Result<Exit> {
    for group in groups {
        let job = Job {
            cells: group.cells.clone(),
            scenarios: args.scenarios.clone(),
        };
        runner::run(exec, &job)?;
    }
    Ok(Exit::Clean)
}

/// Prints the cells, a line for each, those of a boot after each other, and what is not among them.
fn list(
    catalog: &Catalog,
    args: &MatrixRunArgs,
    offers: &[&Offer],
    groups: &[Group],
) -> Result<Exit> {
    let mut text = String::new();
    for group in groups {
        for (n, cell) in group.cells.iter().enumerate() {
            let offer = offers.iter().find(|o| o.cell == *cell);
            let smoke = offer.is_some_and(|o| o.smoke);
            let tier = if smoke { "smoke" } else { "full" };
            let (boot, why) = match catalog.impossible(cell) {
                Some(why) => ("-", format!("  impossible: {why}")),
                None if n == 0 => ("boot", String::new()),
                None => ("", String::new()),
            };
            text.push_str(&format!("{boot:<4} {tier:<5} {cell}{why}\n"));
        }
    }
    let cells: usize = groups.iter().map(|g| g.cells.len()).sum();
    let possible = |g: &&Group| catalog.impossible(&g.cells[0]).is_none();
    let groups: Vec<&Group> = groups.iter().filter(possible).collect();
    let durations = Durations::default();
    let all = Estimate::new(&durations, 1).all(groups.iter().copied());
    text.push_str(&format!(
        "\n{cells} cells, {} guests; roughly {} on two cores, kernels not counted\n",
        groups.len(),
        duration(all)
    ));
    for kind in Kind::ALL {
        let names = names(kind, offers).len();
        if names > 0 {
            text.push_str(&format!(
                "{kind}: {names} names, {} pairs of a name and a machine that its files do not ask for\n",
                catalog.not_asked(kind, offers, &args.machine)
            ));
        }
    }
    stdout::print(&text)?;
    Ok(Exit::Clean)
}

fn selection(catalog: &Catalog, args: &MatrixRunArgs, offers: &[&Offer]) -> Result<Selection> {
    let scenarios = args.scenarios.as_deref().map(content).transpose()?;
    let asked = |kind: &Kind| args.kind.is_empty() || args.kind.contains(kind);
    let not_asked = Kind::ALL.into_iter().filter(asked);
    let not_asked = not_asked.map(|kind| (kind, catalog.not_asked(kind, offers, &args.machine)));
    Ok(Selection {
        tier: args.tier.name().to_owned(),
        only: args.only.iter().map(ToString::to_string).collect(),
        machines: args.machine.iter().map(|m| m.name.to_owned()).collect(),
        kinds: args.kind.clone(),
        scenarios,
        cells: offers.len(),
        not_asked: not_asked.filter(|(_, n)| *n > 0).collect(),
    })
}

/// Identity of a folder of the user's.
fn content(dir: &Path) -> Result<String> {
    let mut key = Key::new("folder");
    for source in sources::read(dir)? {
        key = key.with(&source.path.display().to_string(), &source.content);
    }
    Ok(key.short().to_owned())
}

/// This tool: its source, and what it carries inside.
fn tool() -> Tool {
    let carried = [
        ("kernel", &embed::KERNEL),
        ("engine", &embed::ENGINE),
        ("scenarios", &embed::SCENARIOS),
        ("drivers", &embed::DRIVERS),
    ];
    let source = Key::new("dmasan").with("source", env!("DMASAN_SOURCE"));
    let add =
        |key: Key, (name, dir): (&str, &'static _)| key.with(name, embed::key(name, dir).hex());
    let key = carried.into_iter().fold(source, add);
    Tool {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        source: key.short().to_owned(),
    }
}

/// A time in UTC, to the second.
pub fn utc(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs();
    let stamp = i64::try_from(seconds)
        .ok()
        .and_then(|s| jiff::Timestamp::from_second(s).ok());
    stamp.unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::matrix::args::MatrixArgs;
    use crate::matrix::prepare::tests::ready_for;
    use crate::ui::{Color, Ui};
    use clap::Parser;
    use std::sync::Mutex;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: MatrixArgs,
    }

    /// Runs what a command line selects, with a cache, and with `child` instead of processes.
    fn run(cache: &Path, line: &[&str], child: &Child<'_>) -> (Result<()>, usize, Vec<CellResult>) {
        let args = Line::parse_from([&["matrix"], line].concat()).args.run;
        let exec = Exec::new(Ui::new(0, Color::Never).quiet(), false);
        let catalog = Catalog::read(None).unwrap();
        let groups = Group::of(&select(&catalog, &args).unwrap());
        let cells: Vec<&Cell> = groups.iter().flat_map(|g| &g.cells).collect();
        let mut work = Work {
            exec: &exec,
            args: &args,
            catalog: &catalog,
            cache: &Cache::at(&exec, cache).unwrap(),
            prepared: &ready_for(&cells),
            results: BTreeMap::new(),
            kept: 0,
        };
        let todo = work.known(&groups).unwrap();
        let ended = work.run(&todo, child);
        let all = work.all(&cells, ended.is_err());
        (ended, work.kept, all)
    }

    fn passed(group: &Group) -> Result<Vec<CellResult>> {
        let cells = group.cells.iter().cloned();
        Ok(cells
            .map(|c| CellResult::new(c, Outcome::Passed, 1.0))
            .collect())
    }

    fn words(results: &[CellResult]) -> Vec<&str> {
        results.iter().map(|r| r.outcome.word()).collect()
    }

    const SMOKE: [&str; 2] = ["--tier", "smoke"];

    #[test]
    fn an_interrupted_run_goes_on_where_it_was() {
        let cache = tempfile::tempdir().unwrap();
        let count = Mutex::new(0);
        let third_is_interrupted = |group: &Group| {
            let mut count = count.lock().unwrap();
            *count += 1;
            match *count {
                3 => Err(Error::interrupted()),
                _ => passed(group),
            }
        };
        let (ended, kept, results) = run(cache.path(), &SMOKE, &third_is_interrupted);
        assert_eq!(ended.unwrap_err().exit(), Exit::Interrupted);
        assert_eq!(kept, 0);
        let cells = results.len();
        let done = words(&results).iter().filter(|w| **w == "passed").count();
        assert_eq!(done, 2, "{results:?}");
        assert_eq!(
            words(&results).iter().filter(|w| **w == "not run").count(),
            cells - 2
        );

        let again = Mutex::new(Vec::new());
        let rest = |group: &Group| {
            again.lock().unwrap().extend(group.cells.clone());
            passed(group)
        };
        let (ended, kept, results) = run(cache.path(), &SMOKE, &rest);
        ended.unwrap();
        assert_eq!((kept, again.into_inner().unwrap().len()), (2, cells - 2));
        assert!(words(&results).iter().all(|w| *w == "passed"));

        let none = |_: &Group| panic!("all is known");
        let (_, kept, _) = run(cache.path(), &SMOKE, &none);
        assert_eq!(kept, cells);
        let fresh = [&SMOKE[..], &["--fresh"]].concat();
        let (_, kept, _) = run(cache.path(), &fresh, &passed);
        assert_eq!(kept, 0);
    }

    #[test]
    fn what_did_not_run_is_run_the_next_time() {
        let cache = tempfile::tempdir().unwrap();
        let dies = |group: &Group| Ok(pool::none_run(group, "signal 9", Default::default()));
        let (ended, _, results) = run(cache.path(), &SMOKE, &dies);
        ended.unwrap();
        assert!(words(&results).iter().all(|w| *w == "not run"));
        let (_, kept, results) = run(cache.path(), &SMOKE, &passed);
        assert_eq!(kept, 0);
        assert!(words(&results).iter().all(|w| *w == "passed"));
    }

    #[test]
    fn times_are_told_in_utc() {
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        assert_eq!(utc(time), "2023-11-14T22:13:20Z");
    }
}
