// SPDX-License-Identifier: GPL-2.0-only
//! Tables of figures, in Markdown that is readable as it is.

use crate::args::Switch;
use crate::bench::clock;
use crate::bench::measure::Measured;
use crate::bench::results::Spread;
use crate::bench::rows::{is_of_pages, Row, Source};
use crate::bench::setting::Setting;
use crate::exact::thousands;
use crate::kernel::Flavor;

/// What a large free may add, as a part of what the reference adds; a free of one page may add as much.
const BAR_LARGE: f64 = 0.2;

/// Where a value is missing: it was not measured.
const MISSING: &str = "-";

/// The table of `bench map`, with a heading for each section.
pub fn of_map(measured: &Measured, rows: &[Row], exact: bool) -> String {
    let cell = |column: usize, row: &Row| map_cell(measured, column, &row.name, exact);
    let mut text = sections(measured, rows, cell, &[]);
    text.push_str(&legend(measured, rows, exact));
    text.push_str(&longest(measured, rows, exact));
    text.push_str(&notes(measured, rows));
    text
}

fn map_cell(measured: &Measured, column: usize, row: &str, exact: bool) -> String {
    let Some(value) = measured.value(column, row) else {
        return MISSING.to_owned();
    };
    let amount = amount(value.median, exact);
    let Some(ratio) = measured
        .ratio(column, row)
        .filter(|_| Some(column) != measured.base())
    else {
        return amount;
    };
    let ratio = match exact {
        true => {
            let over = ratio.median > measured.settings[column].bar();
            mark(factor(ratio.median), over)
        }
        false => clock::ratio(measured, column, ratio),
    };
    format!("{amount} {ratio}")
}

/// Bold where it is over the bar.
pub fn mark(text: String, over: bool) -> String {
    match over {
        true => format!("**{text}**"),
        false => text,
    }
}

/// Instructions, or a time.
fn amount(value: f64, exact: bool) -> String {
    match (exact, value) {
        (true, v) => thousands(v.round() as u64),
        (false, v) if v < 1e6 => format!("{:.1} µs", v / 1e3),
        (false, v) => format!("{:.1} ms", v / 1e6),
    }
}

/// A ratio, with the digits in which two exact runs agree.
pub fn factor(ratio: f64) -> String {
    match ratio {
        r if r < 9.9995 => format!("{r:.3}"),
        r if r < 99.95 => format!("{r:.1}"),
        r => thousands(r.round() as u64),
    }
}

/// The table of `bench alloc`.
pub fn of_alloc(measured: &Measured, rows: &[Row], exact: bool) -> String {
    let cell = |column: usize, row: &Row| alloc_cell(measured, column, &row.name, exact);
    let ours = |row: &Row| share(measured, row);
    let extra: &[Extra<'_>] = match share_is_known(measured) {
        true => &[("rust adds, of what c adds", &ours)],
        false => &[],
    };
    let mut text = sections(measured, rows, cell, extra);
    text.push_str("One alloc and its free (of an object, each by itself)");
    text.push_str(&unit(exact));
    if measured.base().is_some() {
        text.push_str("; behind it what that is more than `none`");
    }
    text.push_str(".\n");
    if share_is_known(measured) {
        text.push_str(&format!(
            "Bold: over the bar, which is {:.2} for order 0, and {BAR_LARGE:.2} from order 9.\n",
            1.0
        ));
    }
    text.push_str(&notes(measured, rows));
    text
}

fn alloc_cell(measured: &Measured, column: usize, row: &str, exact: bool) -> String {
    let Some(value) = measured.value(column, row) else {
        return MISSING.to_owned();
    };
    let amount_of = |v: f64| amount(v, exact);
    let Some(added) = measured
        .added(column, row)
        .filter(|_| Some(column) != measured.base())
    else {
        return amount_of(value.median);
    };
    let sign = if added.median < 0.0 { '-' } else { '+' };
    format!(
        "{} {sign}{}",
        amount_of(value.median),
        amount_of(added.median.abs())
    )
}

fn share_is_known(measured: &Measured) -> bool {
    let both = measured.on(Flavor::Rust).zip(measured.on(Flavor::C));
    both.is_some() && measured.base().is_some()
}

/// What ours adds, as a part of what the reference adds.
fn share(measured: &Measured, row: &Row) -> String {
    let added = |flavor| {
        let spread: Option<Spread> = measured.added(measured.on(flavor)?, &row.name);
        spread.map(|s| s.median)
    };
    let Some((ours, reference)) = added(Flavor::Rust).zip(added(Flavor::C)) else {
        return MISSING.to_owned();
    };
    if !is_of_pages(row) {
        return MISSING.to_owned();
    }
    let share = ours / reference;
    let order = row.name.rsplit('/').next().and_then(|o| o.parse().ok());
    let over = match order.unwrap_or(0) {
        0 => share > 1.0,
        9.. => share > BAR_LARGE,
        _ => false,
    };
    mark(format!("{share:.3}"), over)
}

/// A further column: its heading, and its cells.
type Extra<'a> = (&'a str, &'a dyn Fn(&Row) -> String);

fn sections(
    measured: &Measured,
    rows: &[Row],
    cell: impl Fn(usize, &Row) -> String,
    extra: &[Extra<'_>],
) -> String {
    let mut text = String::new();
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|r| r.section != first.section);
        let (section, later) = rest.split_at(end.unwrap_or(rest.len()));
        let mut head = vec![String::new()];
        head.extend(measured.settings.iter().map(Setting::to_string));
        head.extend(extra.iter().map(|(name, _)| (*name).to_owned()));
        let mut lines = vec![head];
        for row in section {
            let mut line = vec![row.label.clone()];
            line.extend((0..measured.settings.len()).map(|c| cell(c, row)));
            line.extend(extra.iter().map(|(_, of)| of(row)));
            lines.push(line);
        }
        text.push_str(&format!("### {}\n\n{}\n", first.section, markdown(&lines)));
        rest = later;
    }
    text
}

/// Lines of cells, the first of which are headings.
pub fn markdown(lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|l| l.get(column));
        cells.map(|c| c.chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.chars().count());
            text.push_str(&match column {
                0 => format!("| {cell}{pad} "),
                _ => format!("| {pad}{cell} "),
            });
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                text.push_str(&match column {
                    0 => format!("|{}", "-".repeat(width + 2)),
                    _ => format!("|{}:", "-".repeat(width + 1)),
                });
            }
            text.push_str("|\n");
        }
    }
    text
}

fn unit(exact: bool) -> String {
    match exact {
        true => ", in instructions".to_owned(),
        false => ", by the clock of the guest".to_owned(),
    }
}

fn legend(measured: &Measured, rows: &[Row], exact: bool) -> String {
    let mut text = format!("One call{}", unit(exact));
    if measured.base().is_none() {
        return text + ".\n";
    }
    text.push_str("; behind it the ratio to `none`");
    match exact {
        true => text.push_str(&format!(
            ".\nBold: over the bar, which is {:.2} with the sanitizer on (1), and {:.2} off (0).\n",
            1.10, 1.01
        )),
        false => {
            text.push_str(&clock::legend(measured, rows));
            text.push_str(".\n");
            text.push_str(&clock::judgement(measured, rows));
        }
    }
    text
}

/// The most that a sanitizer adds to one call: that long it keeps a CPU, in atomic context too.
fn longest(measured: &Measured, rows: &[Row], exact: bool) -> String {
    let on = (0..measured.settings.len()).filter(|c| measured.settings[*c].param != Switch::Off);
    let most = |column: usize| {
        let added = |r: &Row| Some((measured.added(column, &r.name)?.median, r.label.clone()));
        let most = rows.iter().filter_map(added);
        let (most, label) = most.max_by(|a, b| a.0.total_cmp(&b.0))?;
        let most = amount(most.max(0.0), exact);
        Some(format!("`{}` {most} ({label})", measured.settings[column]))
    };
    let most: Vec<String> = on.filter_map(most).collect();
    match most.is_empty() {
        true => String::new(),
        false => format!("The most that is added to one call: {}.\n", most.join(", ")),
    }
}

/// What one has to know about the figures.
fn notes(measured: &Measured, rows: &[Row]) -> String {
    let mut text = String::new();
    // The kernel's benchmark rounds its figures.
    let of = |kernels: bool| {
        let rows = rows.iter();
        let rows = rows.filter(move |r| matches!(r.source, Source::Kernel(..)) == kernels);
        measured.apart(rows.map(|r| r.name.as_str()))
    };
    let percent = |apart: f64, whose: &str| format!("{whose} by {:.2} % at most", apart * 100.0);
    let single = of(false).map(|a| percent(a, "single calls"));
    let kernels = of(true).map(|a| percent(a, "`dma_map_benchmark`"));
    let apart: Vec<String> = single.into_iter().chain(kernels).collect();
    if !apart.is_empty() {
        let apart = apart.join(", ");
        text.push_str(&format!("{} repeats differ: {apart}.\n", measured.repeats));
    }
    let mut releases = measured.releases.clone();
    releases.dedup();
    text.push_str(&format!("Linux {}.\n", releases.join(", ")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::tests::measured;
    use crate::bench::rows;

    fn settings() -> Vec<Setting> {
        Setting::all(
            &[Flavor::None, Flavor::Rust, Flavor::C],
            &[Switch::Off, Switch::On],
        )
    }

    const MAP: &[&[Option<f64>]] = &[&[
        Some(1016.0),
        Some(1027.0),
        Some(1110.0),
        Some(1016.0),
        Some(29308.0),
    ]];
    const UNMAP: &[&[Option<f64>]] = &[&[Some(800.0), Some(800.0), Some(880.5), None, Some(1e6)]];

    #[test]
    fn exact_table() {
        let m = measured(&settings(), &[("dma_map/4K", MAP), ("dma_unmap/4K", UNMAP)]);
        let rows = rows::of_map(&[1], &[], true).unwrap();
        insta::assert_snapshot!(of_map(&m, &rows, true));
    }

    #[test]
    fn table_of_alloc() {
        let order0: &[&[Option<f64>]] = &[&[
            Some(584.0),
            Some(580.0),
            Some(730.0),
            Some(590.0),
            Some(726.0),
        ]];
        let order9: &[&[Option<f64>]] = &[&[
            Some(6534.0),
            Some(6534.0),
            Some(7000.0),
            Some(6534.0),
            Some(53557.0),
        ]];
        let m = measured(&settings(), &[("alloc/0", order0), ("alloc/9", order9)]);
        let rows = rows::of_alloc(&[0, 9]);
        insta::assert_snapshot!(of_alloc(&m, &rows, true));
    }

    #[test]
    fn without_a_base_there_are_only_amounts() {
        let settings = Setting::all(&[Flavor::C], &[Switch::On]);
        let m = measured(&settings, &[("dma_map/4K", &[&[Some(5.0)]])]);
        let rows = rows::of_map(&[1], &[], true).unwrap();
        let text = of_map(&m, &rows, true);
        assert!(text.contains("| map 4K   |    5 |"), "{text}");
        assert!(!text.contains("ratio") && !text.contains("Bold"), "{text}");
    }

    #[test]
    fn a_ratio_at_the_bar_is_not_over_it() {
        let settings = Setting::all(&[Flavor::None, Flavor::Rust], &[Switch::On]);
        let at = |value: f64| {
            let list: &[Option<f64>] = &[Some(1000.0), Some(value)];
            let m = measured(&settings, &[("dma_map/4K", &[list])]);
            map_cell(&m, 1, "dma_map/4K", true)
        };
        assert_eq!(at(1100.0), "1,100 1.100");
        assert_eq!(at(1101.0), "1,101 **1.101**");
    }

    #[test]
    fn factors_have_the_digits_that_count() {
        let all = [1.0, 9.9994, 9.9996, 77.2, 3347.4].map(factor);
        assert_eq!(all, ["1.000", "9.999", "10.0", "77.2", "3,347"]);
    }
}
