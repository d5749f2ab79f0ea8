// SPDX-License-Identifier: GPL-2.0-only
//! Ratios by the clock: what a cell shows of several turns, and what the text below the table says of them.

use crate::bench::interval::{CONFIDENCE, FEWEST};
use crate::bench::measure::Measured;
use crate::bench::results::{Judged, Spread};
use crate::bench::rows::Row;
use crate::bench::table::{factor, mark};

/// By the clock, figures of two runs differ too much for a lower bar.
pub const BAR: f64 = 1.15;

/// The bar of a column: none for what has none where instructions are counted.
fn bar(measured: &Measured, column: usize) -> f64 {
    BAR.max(measured.settings[column].bar())
}

/// The ratio of a cell, and where it may be.
pub fn ratio(measured: &Measured, column: usize, ratio: Spread) -> String {
    let over = ratio.against(bar(measured, column)) == Judged::Over;
    let text = mark(factor(ratio.median), over);
    let (low, high) = match ratio.interval {
        _ if measured.repeats < 2 => return text,
        Some(interval) => (interval.low, interval.high),
        None => (ratio.min, ratio.max),
    };
    format!("{text} ({}–{})", factor(low), factor(high))
}

/// The ratios of all cells, with their column and their row.
fn ratios<'a>(
    measured: &'a Measured,
    rows: &'a [Row],
) -> impl Iterator<Item = (usize, &'a Row, Spread)> {
    let columns = (0..measured.settings.len()).filter(|c| Some(*c) != measured.base());
    columns.flat_map(move |c| {
        let ratio = move |r: &'a Row| Some((c, r, measured.ratio(c, &r.name)?));
        rows.iter().filter_map(ratio)
    })
}

/// What stands behind a ratio. None where there is a single turn.
pub fn legend(measured: &Measured, rows: &[Row]) -> String {
    if measured.repeats < 2 {
        return String::new();
    }
    let percent = CONFIDENCE * 100.0;
    let interval = format!("the {percent:.0} % interval of it");
    let few = ratios(measured, rows).any(|(_, _, r)| r.interval.is_none());
    let enough = ratios(measured, rows).any(|(_, _, r)| r.interval.is_some());
    match (enough, few) {
        (true, false) => format!(", median and {interval}"),
        (true, true) => format!(", median and {interval} (of fewer than {FEWEST} turns: range)"),
        _ => format!(", median and range (from {FEWEST} turns: {interval})"),
    }
}

/// Which ratios are over the bar, and of which that is not known yet.
pub fn judgement(measured: &Measured, rows: &[Row]) -> String {
    let mut text = format!("Bold: over the bar of {BAR}");
    if ratios(measured, rows).any(|(_, _, r)| r.interval.is_some()) {
        text.push_str(" with the whole interval");
    }
    text.push_str(".\n");
    let undecided = ratios(measured, rows)
        .filter(|(c, _, r)| r.against(bar(measured, *c)) == Judged::Undecided)
        .map(|(c, row, _)| format!("`{}` {}", measured.settings[c], row.label));
    let undecided: Vec<String> = undecided.collect();
    if !undecided.is_empty() {
        text.push_str(&format!(
            "These turns do not decide which side of the bar it is on, repeat more: {}.\n",
            undecided.join("; ")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::args::Switch;
    use crate::bench::results::tests::measured;
    use crate::bench::rows;
    use crate::bench::setting::Setting;
    use crate::bench::table::of_map;
    use crate::kernel::Flavor;

    const ROWS: [&str; 2] = ["kernel_map/256/4", "kernel_unmap/256/4"];

    /// A table in which map and unmap of 1M have these ratios, in turns; nothing where there is `None`.
    fn table(map: &[Option<f64>], unmap: &[Option<f64>]) -> String {
        let settings = Setting::all(&[Flavor::None, Flavor::Rust], &[Switch::On]);
        let turns = |ratios: &[Option<f64>]| -> Vec<Vec<Option<f64>>> {
            let turn = |r: &Option<f64>| vec![Some(1000.0), r.map(|r| r * 1000.0)];
            ratios.iter().map(turn).collect()
        };
        let (map, unmap) = (turns(map), turns(unmap));
        let [map, unmap] = [&map, &unmap].map(|t| t.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let m = measured(&settings, &[(ROWS[0], &map), (ROWS[1], &unmap)]);
        of_map(&m, &rows::of_map(&[256], &[4], false).unwrap(), false)
    }

    /// Ratios from one to the other, the middle ones first.
    fn turns(count: usize, from: f64, to: f64) -> Vec<Option<f64>> {
        let step = (to - from) / (count - 1) as f64;
        let mut all: Vec<f64> = (0..count).map(|n| from + step * n as f64).collect();
        let middle = (from + to) / 2.0;
        all.sort_by(|a, b| (a - middle).abs().total_cmp(&(b - middle).abs()));
        all.into_iter().map(Some).collect()
    }

    #[test]
    fn few_turns_have_a_range() {
        insta::assert_snapshot!(table(&turns(3, 1.042, 1.2), &turns(3, 1.2, 1.3)));
    }

    #[test]
    fn enough_turns_have_an_interval() {
        // Of ten figures the second and the ninth: the outermost ones say nothing.
        insta::assert_snapshot!(table(&turns(10, 1.0, 1.27), &turns(10, 1.17, 1.9)));
    }

    #[test]
    fn the_whole_interval_counts() {
        let cell = |ratios: &[Option<f64>]| {
            let text = table(ratios, &turns(ratios.len(), 1.0, 1.01));
            (text.contains("**"), text.contains("do not decide"))
        };
        let (over, within, undecided) = ((true, false), (false, false), (false, true));
        assert_eq!(cell(&turns(6, 1.151, 1.3)), over);
        // At the bar is not over it: the lower end, and the upper end.
        assert_eq!(cell(&turns(6, 1.15, 1.3)), undecided);
        assert_eq!(cell(&turns(6, 1.0, 1.15)), within);
        assert_eq!(cell(&turns(6, 1.0, 1.151)), undecided);
        // One turn less, and the median decides alone, as it always did.
        assert_eq!(cell(&turns(5, 1.149, 1.3)), over);
        assert_eq!(cell(&turns(5, 1.0, 1.3)), within);
    }

    #[test]
    fn a_row_that_misses_turns_has_its_range() {
        let mut cut = turns(6, 1.2, 1.3);
        cut[0] = None;
        let text = table(&turns(6, 1.0, 1.1), &cut);
        assert!(text.contains("(of fewer than 6 turns: range)"), "{text}");
        assert!(text.contains("(1.200–1.300)"), "{text}");
        // What all is compared with has all turns, and is no ratio.
        let text = table(&cut, &cut);
        assert!(text.contains("median and range (from 6 turns"), "{text}");
        assert!(!text.contains("whole interval"), "{text}");
    }

    #[test]
    fn one_turn_is_only_a_ratio() {
        let text = table(&[Some(1.2)], &[Some(1.1)]);
        assert!(text.contains("1.2 µs **1.200** |"), "{text}");
        assert!(text.contains("the ratio to `none`.\n"), "{text}");
    }

    #[test]
    fn what_has_no_bar_is_not_judged() {
        let settings = Setting::all(&[Flavor::None, Flavor::Rust], &[Switch::Origin]);
        let turn: &[Option<f64>] = &[Some(1000.0), Some(3000.0)];
        let m = measured(&settings, &[(ROWS[0], &[turn; 6])]);
        let text = of_map(&m, &rows::of_map(&[256], &[4], false).unwrap(), false);
        assert!(text.contains(" 3.000 (3.000–3.000) |"), "{text}");
        assert!(!text.contains("do not decide"), "{text}");
    }
}
