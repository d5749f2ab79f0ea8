// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan bench engine`: the engine's own benchmarks, run natively by `cargo bench` in a checkout, as one table.
//!
//! The benchmarks are in `engine/benches/`. Their names are `group/function/size`: a group becomes a table with a
//! column for each function and a row for each size.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::args::BenchEngineArgs;
use crate::bench::chart::{Bar, Chart, Group};
use crate::bench::json::SCHEMA;
use crate::bench::table::markdown;
use crate::error::{Error, Exit, Result};
use crate::exec::{Cmd, Exec};
use crate::output;
use crate::stdout;
use crate::ui::{duration, Unit};

/// The time of one benchmark.
#[derive(Clone, PartialEq, Debug)]
struct Timed {
    group: String,
    function: String,
    size: String,
    /// Nanoseconds: lower bound, estimate, upper bound.
    ns: [f64; 3],
}

/// Runs the command.
pub fn run(exec: &Exec, args: &BenchEngineArgs) -> Result<Exit> {
    output::check([&args.json, &args.svg])?;
    let Some(checkout) = checkout() else {
        return Err(Error::usage(
            "the engine's benchmarks are built from the project's sources, which are not here",
        )
        .help("run this in a checkout of the project"));
    };
    let all = list(exec, args, &checkout)?;
    if !exec.dry_run && all == 0 {
        let what = args.filter.as_deref().unwrap_or("");
        return Err(
            Error::usage(format!("no benchmark of the engine matches `{what}`"))
                .help("see their names with: cargo bench -p dmasan-engine -- --list"),
        );
    }
    let (timed, result) = measure(exec, args, &checkout, all)?;
    if exec.dry_run {
        return Ok(Exit::Clean);
    }
    let written = output::all(vec![
        output::write(&args.json, || to_json(&timed)),
        output::write(&args.svg, || chart(&timed).to_svg()),
    ]);
    let shown = stdout::print(&text(&timed));
    output::end(exec, written.and(shown), whole(&timed, all, result))
}

/// Whether all of the benchmarks were run.
fn whole(timed: &[Timed], all: u64, result: Result<()>) -> Result<Exit> {
    result?;
    if timed.len() as u64 != all {
        let text = format!("{} of {all} benchmarks told their time", timed.len());
        return Err(Error::unparseable(text).help("see what cargo bench prints, with -vv"));
    }
    Ok(Exit::Clean)
}

/// The sources: around the current folder, or where this program was built.
fn checkout() -> Option<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let built = Path::new(env!("CARGO_MANIFEST_DIR"));
    let has = |p: &&Path| p.join("engine/benches").is_dir() && p.join("Cargo.toml").is_file();
    let mut places = here.ancestors().chain(built.ancestors());
    places.find(has).map(Path::to_owned)
}

fn cargo(args: &BenchEngineArgs, checkout: &Path, extra: &[&str]) -> Cmd {
    Cmd::new("cargo")
        .dir(checkout)
        .args([
            "bench",
            "--locked",
            "-p",
            "dmasan-engine",
            "--bench",
            "engine",
            "--",
        ])
        .args(args.filter.as_deref())
        .args(extra)
}

/// How many benchmarks there are; builds them first.
fn list(exec: &Exec, args: &BenchEngineArgs, checkout: &Path) -> Result<u64> {
    let step = exec.ui.step("Building the engine's benchmarks");
    let text = exec.output(&cargo(args, checkout, &["--list"]))?;
    step.done("");
    let count = text.lines().filter(|l| l.ends_with(": benchmark")).count();
    Ok(count as u64)
}

/// Runs them. What was measured is returned also if the run fails or is interrupted.
fn measure(
    exec: &Exec,
    args: &BenchEngineArgs,
    checkout: &Path,
    all: u64,
) -> Result<(Vec<Timed>, Result<()>)> {
    let step = exec.ui.bar("Measuring the engine", all, Unit::Steps);
    let mut reader = Reader::default();
    let begun = Instant::now();
    let result = exec.lines(&cargo(args, checkout, &[]), None, &mut |line| {
        reader.take(line);
        let done = reader.timed.len() as u64;
        step.set(done);
        step.message(&format!(
            "{}{}",
            reader.name,
            left(begun.elapsed(), done, all)
        ));
    });
    if result.is_ok() {
        step.done(&format!("{} benchmarks", reader.timed.len()));
    }
    Ok((reader.timed, result))
}

/// Each takes about as long as the others, so what is left can be told from the first on.
fn left(since: Duration, done: u64, all: u64) -> String {
    match since.checked_div(done as u32) {
        Some(one) => format!(
            ", about {} left",
            duration(one * all.saturating_sub(done) as u32)
        ),
        None => String::new(),
    }
}

/// Reads what criterion prints.
#[derive(Debug, Default)]
struct Reader {
    name: String,
    timed: Vec<Timed>,
}

impl Reader {
    /// `map/engine/4K   time:   [1.1 ns 1.2 ns 1.3 ns]`; a long name stands in a line of its own before.
    fn take(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("Benchmarking ") {
            self.name = rest.split(": ").next().unwrap_or(rest).trim().to_owned();
            return;
        }
        let Some((name, rest)) = line.split_once("time:") else {
            return;
        };
        if !name.trim().is_empty() {
            self.name = name.trim().to_owned();
        }
        let Some(ns) = bounds(rest) else {
            return;
        };
        let mut parts = self.name.splitn(3, '/');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        self.timed.push(Timed {
            group: part(),
            function: part(),
            size: part(),
            ns,
        });
    }
}

/// `[1.1 ns 1.2 ns 1.3 ns]`
fn bounds(text: &str) -> Option<[f64; 3]> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let words: Vec<&str> = inner.split_whitespace().collect();
    let mut times = words.chunks(2).map(|pair| match pair {
        [number, unit] => {
            let scale = match *unit {
                "ps" => 1e-3,
                "ns" => 1.0,
                "µs" | "us" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                _ => return None,
            };
            Some(number.parse::<f64>().ok()? * scale)
        }
        _ => None,
    });
    Some([times.next()??, times.next()??, times.next()??])
}

/// The different values of one part of the names, in the order of the benchmarks.
fn distinct<'a>(timed: &[&'a Timed], part: fn(&Timed) -> &str) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for t in timed {
        if !all.contains(&part(t)) {
            all.push(part(t));
        }
    }
    all
}

fn groups(timed: &[Timed]) -> Vec<Vec<&Timed>> {
    let all: Vec<&Timed> = timed.iter().collect();
    let names = distinct(&all, |t| &t.group);
    let group = |name: &str| all.iter().filter(|t| t.group == name).copied().collect();
    names.into_iter().map(group).collect()
}

fn text(timed: &[Timed]) -> String {
    let mut text = String::new();
    for group in groups(timed) {
        let functions = distinct(&group, |t| &t.function);
        let mut head = vec![String::new()];
        head.extend(functions.iter().map(|f| (*f).to_owned()));
        let mut lines = vec![head];
        for size in distinct(&group, |t| &t.size) {
            let mut line = vec![size.to_owned()];
            line.extend(functions.iter().map(|function| {
                let same = |t: &&&Timed| t.size == size && t.function == *function;
                let found = group.iter().find(same);
                found.map_or("-".to_owned(), |t| time(t.ns[1]))
            }));
            lines.push(line);
        }
        text.push_str(&format!("### {}\n\n{}\n", group[0].group, markdown(&lines)));
    }
    text + "Time of one call on this machine, natively.\n"
}

fn time(ns: f64) -> String {
    match ns {
        t if t < 100.0 => format!("{t:.2} ns"),
        t if t < 1e4 => format!("{t:.0} ns"),
        t if t < 1e6 => format!("{:.1} µs", t / 1e3),
        t => format!("{:.1} ms", t / 1e6),
    }
}

fn to_json(timed: &[Timed]) -> String {
    let rows = timed.iter().map(|t| {
        json!({
            "group": t.group,
            "function": t.function,
            "size": t.size,
            "low": t.ns[0],
            "value": t.ns[1],
            "high": t.ns[2],
        })
    });
    let value = json!({
        "schema": SCHEMA,
        "bench": "engine",
        "mode": "native",
        "unit": "ns",
        "rows": rows.collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}

/// The chart has the plain groups: `map`, and not `map-unaligned`, which would make it a long one.
fn chart(timed: &[Timed]) -> Chart {
    let plain = |t: &&Timed| !t.group.contains('-');
    let timed: Vec<Timed> = timed.iter().filter(plain).cloned().collect();
    let all: Vec<&Timed> = timed.iter().collect();
    let functions = distinct(&all, |t| &t.function);
    let mut bars = Vec::new();
    for group in groups(&timed) {
        for size in distinct(&group, |t| &t.size) {
            let bar = |function: &&str| {
                let same = |t: &&&Timed| t.size == size && t.function == *function;
                group.iter().find(same).map(|t| Bar {
                    value: t.ns[1],
                    text: time(t.ns[1]),
                })
            };
            bars.push(Group {
                label: format!("{} {size}", group[0].group),
                bars: functions.iter().map(bar).collect(),
            });
        }
    }
    Chart {
        title: "The engine alone".to_owned(),
        unit: "nanoseconds of one call, natively; logarithmic".to_owned(),
        from: 0.5,
        bar: None,
        series: functions.iter().map(|f| (*f).to_owned()).collect(),
        groups: bars,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
   Compiling dmasan-engine v0.1.0
Benchmarking map/engine/4K
Benchmarking map/engine/4K: Warming up for 3.0000 s
map/engine/4K           time:   [1.1000 ns 1.2000 ns 1.3000 ns]
                        change: [-1.0% +0.1% +1.0%] (p = 0.9 > 0.05)
Benchmarking map/per_page/4K: Collecting 100 samples in estimated 5.0 s (1B iterations)
map/per_page/4K         time:   [500.00 ps 750.00 ps 1.0000 ns]
Benchmarking map/per_page/1G
map/per_page/1G
                        time:   [1.1000 ms 1.2345 ms 1.3000 ms]
Found 3 outliers among 100 measurements (3.00%)
odd                     time:   [1 parsec]
";

    fn timed() -> Vec<Timed> {
        let mut reader = Reader::default();
        OUTPUT.lines().for_each(|l| reader.take(l));
        reader.timed
    }

    #[test]
    fn output_of_criterion_becomes_a_table() {
        let timed = timed();
        assert_eq!(timed.len(), 3);
        assert_eq!(timed[1].ns, [0.5, 0.75, 1.0]);
        // A name in a line of its own was announced before.
        assert_eq!(
            (timed[2].size.as_str(), timed[2].ns[1]),
            ("1G", 1_234_500.0)
        );
        insta::assert_snapshot!(text(&timed));
    }

    #[test]
    fn chart_and_json_have_all() {
        let chart = chart(&timed());
        assert_eq!(chart.series, ["engine", "per_page"]);
        assert_eq!(chart.groups.len(), 2);
        assert!(chart.groups[1].bars[0].is_none());
        let value: serde_json::Value = serde_json::from_str(&to_json(&timed())).unwrap();
        assert_eq!(value["rows"].as_array().unwrap().len(), 3);
        assert_eq!(value["rows"][0]["value"], 1.2);
    }
}
