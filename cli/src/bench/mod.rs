// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan bench`: what the sanitizer costs, measured so that anybody can repeat it.

pub mod args;
pub mod budget;
pub mod chart;
pub mod clock;
pub mod engine;
pub mod figure;
pub mod gdb;
pub mod interval;
pub mod json;
pub mod measure;
pub mod program;
pub mod results;
pub mod rows;
pub mod setting;
pub mod store;
pub mod table;

use crate::bench::args::{BenchAllocArgs, BenchArgs, BenchCommand, BenchMapArgs};
use crate::error::{Exit, Result};
use crate::exact::thousands;
use crate::exec::Exec;
use crate::kernel::Flavor;
use crate::output;
use crate::stdout;

use chart::{Bar, Chart, Group};
use measure::{measure, Measured};
use rows::Row;

/// Runs the command.
pub fn run(exec: &Exec, command: &BenchCommand) -> Result<Exit> {
    match command {
        BenchCommand::Map(args) => map(exec, args),
        BenchCommand::Alloc(args) => alloc(exec, args),
        BenchCommand::Engine(args) => engine::run(exec, args),
        BenchCommand::Budget(args) => budget::run(exec, args),
    }
}

fn map(exec: &Exec, args: &BenchMapArgs) -> Result<Exit> {
    let exact = args.bench.exact();
    let rows = rows::of_map(&args.pages, &args.threads(), exact)?;
    let show = Show {
        what: "map",
        table: table::of_map,
        chart: chart_of_map,
    };
    finish(exec, &args.bench, &rows, show)
}

fn alloc(exec: &Exec, args: &BenchAllocArgs) -> Result<Exit> {
    let show = Show {
        what: "alloc",
        table: table::of_alloc,
        chart: chart_of_alloc,
    };
    finish(exec, &args.bench, &rows::of_alloc(&args.orders), show)
}

/// How one benchmark is shown.
struct Show {
    what: &'static str,
    table: fn(&Measured, &[Row], bool) -> String,
    chart: fn(&Measured, &[Row], bool) -> Chart,
}

fn finish(exec: &Exec, args: &BenchArgs, rows: &[Row], show: Show) -> Result<Exit> {
    output::check([&args.json, &args.svg])?;
    let Some(measured) = measure(exec, args, rows)? else {
        return Ok(Exit::Clean);
    };
    let exact = args.exact();
    let written = output::all(vec![
        output::write(&args.json, || {
            json::to_string(show.what, &measured, rows, exact)
        }),
        output::write(&args.svg, || (show.chart)(&measured, rows, exact).to_svg()),
    ]);
    let shown = stdout::print(&(show.table)(&measured, rows, exact));
    if measured.kept > 0 {
        let kept = measured.kept;
        exec.ui.note(&format!(
            "{kept} of the figures were measured by an earlier run of the same kernels; --fresh measures all anew"
        ));
    }
    let end = measured.failed.map_or(Ok(Exit::Clean), Err);
    output::end(exec, written.and(shown), end)
}

/// The sanitizers that are on, in the order of the chart's bars.
fn shown(measured: &Measured) -> Vec<(Flavor, usize)> {
    let both = [Flavor::Rust, Flavor::C].into_iter();
    both.filter_map(|f| Some((f, measured.on(f)?))).collect()
}

fn groups(
    measured: &Measured,
    rows: &[Row],
    bar: impl Fn(usize, &Row) -> Option<Bar>,
) -> Vec<Group> {
    let columns = shown(measured);
    let group = |row: &Row| Group {
        label: row.label.clone(),
        bars: columns.iter().map(|(_, c)| bar(*c, row)).collect(),
    };
    rows.iter().map(group).collect()
}

fn series(measured: &Measured) -> Vec<String> {
    let name = |(flavor, _): &(Flavor, usize)| match flavor {
        Flavor::Rust => "dmasan".to_owned(),
        _ => "C reference".to_owned(),
    };
    shown(measured).iter().map(name).collect()
}

fn chart_of_map(measured: &Measured, rows: &[Row], exact: bool) -> Chart {
    let what = if exact { "instructions" } else { "time" };
    let bar = |column: usize, row: &Row| {
        let ratio = measured.ratio(column, &row.name)?.median;
        Some(Bar {
            value: ratio,
            text: table::factor(ratio),
        })
    };
    // The kernel's benchmark repeats what single calls show already.
    let single = |r: &&Row| !exact || matches!(r.source, rows::Source::Module(_));
    let rows: Vec<Row> = rows.iter().filter(single).cloned().collect();
    Chart {
        title: "What map and unmap cost with the sanitizer on".to_owned(),
        unit: format!(
            "{what} of one call, as a multiple of a kernel without sanitizer; logarithmic"
        ),
        from: 1.0,
        bar: Some(match exact {
            true => (1.1, "1.10".to_owned()),
            false => (clock::BAR, clock::BAR.to_string()),
        }),
        series: series(measured),
        groups: groups(measured, &rows, bar),
    }
}

fn chart_of_alloc(measured: &Measured, rows: &[Row], exact: bool) -> Chart {
    let what = if exact { "instructions" } else { "nanoseconds" };
    let bar = |column: usize, row: &Row| {
        let added = measured.added(column, &row.name)?.median;
        Some(Bar {
            value: added,
            text: thousands(added.max(0.0) as u64),
        })
    };
    let rows: Vec<Row> = rows
        .iter()
        .filter(|r| rows::is_of_pages(r))
        .cloned()
        .collect();
    Chart {
        title: "What the sanitizer adds to alloc_pages() and __free_pages()".to_owned(),
        unit: format!("{what} added to one alloc and its free; logarithmic"),
        from: 10.0,
        bar: None,
        series: series(measured),
        groups: groups(measured, &rows, bar),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Switch;
    use results::tests::measured;
    use setting::Setting;

    #[test]
    fn the_charts_line_is_the_bar_of_its_clock() {
        let settings = Setting::all(&[Flavor::None, Flavor::Rust], &[Switch::On]);
        let turn: &[Option<f64>] = &[Some(1.0), Some(2.0)];
        let m = measured(&settings, &[("dma_map/4K", &[turn])]);
        let rows = rows::of_map(&[1], &[1], true).unwrap();
        let line = |exact| chart_of_map(&m, &rows, exact).bar.unwrap();
        assert_eq!(line(true), (settings[1].bar(), "1.10".to_owned()));
        assert_eq!(line(false), (clock::BAR, "1.15".to_owned()));
    }
}
