// SPDX-License-Identifier: GPL-2.0-only
//! Results as tables for people: a row for each scenario, driver, mutant or test, a column for each machine.

use std::collections::BTreeMap;
use std::time::Duration;

use dmasan_report::text::printable;

use crate::cell::{CellResult, Kind, Outcome};
use crate::kernel::Flavor;
use crate::machine::MACHINES;
use crate::matrix::results::{describe, Results};
use crate::ui::duration;

/// Everything, with a line end.
pub fn to_string(results: &Results) -> String {
    let mut text = head(results);
    for kind in Kind::ALL {
        for flavor in [Flavor::Rust, Flavor::C, Flavor::None, Flavor::DmaApiDebug] {
            let of = |r: &&CellResult| r.cell.kind == kind && r.cell.flavor == flavor;
            let cells: Vec<_> = results.results.iter().filter(of).collect();
            if !cells.is_empty() {
                text.push_str(&format!("\n### {}, flavor {flavor}\n\n", plural(kind)));
                text.push_str(&table(&cells));
            }
        }
    }
    text.push_str(LEGEND);
    for (title, word) in [
        ("Wrong", "failed"),
        ("Not run", "not run"),
        ("Impossible", "impossible"),
    ] {
        text.push_str(&reasons(results, title, word));
    }
    text
}

const LEGEND: &str =
    "\n✓ as it has to be; ✗ wrong; ? not run; – impossible here; · not asked for\n";

/// The kind in headings.
pub fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Scenario => "Scenarios",
        Kind::Driver => "Drivers",
        Kind::Mutant => "Mutants",
        Kind::Selftest => "The kernel's own tests",
    }
}

fn head(results: &Results) -> String {
    let kernels = results.kernels.iter();
    let kernels: Vec<_> = kernels
        .map(|k| format!("{} ({}) `{}`", k.release, k.kernel, k.key))
        .collect();
    let qemu = results.qemu.iter();
    let qemu: Vec<_> = qemu.map(|(arch, v)| format!("{v} ({arch})")).collect();
    let time = |seconds| duration(Duration::from_secs_f64(seconds));
    let shards = match results.shards.as_slice() {
        [shard] if shard.count == 1 => String::new(),
        shards => format!(", {} of {} shards", shards.len(), shards[0].count),
    };
    let mut text = format!(
        "{} (UTC), tier {}{shards}; dmasan {} `{}`; Linux {}; QEMU {}. It took {}, of which guests {}",
        results.begun.replace('T', " ").trim_end_matches('Z'),
        results.selection.tier,
        results.dmasan.version,
        results.dmasan.source,
        kernels.join(", "),
        qemu.join(", "),
        time(results.seconds),
        time(results.guest_seconds()),
    );
    if results.kept > 0 {
        text.push_str(&format!(
            "; {} cells were kept from earlier runs",
            results.kept
        ));
    }
    text.push_str(".\n\n");
    text.push_str(&summary(results));
    text
}

/// How many cells went how, by kind.
fn summary(results: &Results) -> String {
    let words = ["passed", "failed", "not run", "impossible"];
    let mut text = "| | cells | passed | wrong | not run | impossible | pairs with a machine not asked for |\n|---|--:|--:|--:|--:|--:|--:|\n".to_owned();
    for kind in Kind::ALL {
        let counts = words.map(|w| results.count(kind, w));
        let not_asked = results.selection.not_asked.get(&kind).copied();
        let cells: usize = counts.iter().sum();
        if cells > 0 {
            let numbers: Vec<_> = counts.iter().map(usize::to_string).collect();
            text.push_str(&format!(
                "| {} | {cells} | {} | {} |\n",
                plural(kind),
                numbers.join(" | "),
                not_asked.unwrap_or_default()
            ));
        }
    }
    text
}

fn table(cells: &[&CellResult]) -> String {
    let column = |r: &&&CellResult| r.cell.column();
    let order = |name: &String| {
        let machine = name.trim_end_matches("+lazy");
        let at = MACHINES.iter().position(|m| m.name == machine);
        (at.unwrap_or(MACHINES.len()), name.clone())
    };
    let mut columns: Vec<String> = cells.iter().map(|r| column(&r)).collect();
    columns.sort_by_key(order);
    columns.dedup();
    let mut rows: BTreeMap<(&str, &str), BTreeMap<String, &CellResult>> = BTreeMap::new();
    for result in cells {
        let row = rows
            .entry((&result.cell.name, &result.cell.param))
            .or_default();
        row.insert(result.cell.column(), result);
    }
    let mut text = format!(
        "| | {} |\n|---|{}\n",
        columns.join(" | "),
        ":-:|".repeat(columns.len())
    );
    for ((name, param), row) in rows {
        let param = match param {
            "" => String::new(),
            param => format!(" ({param})"),
        };
        let marks: Vec<_> = columns.iter().map(|c| mark(row.get(c).copied())).collect();
        text.push_str(&format!(
            "| {}{} | {} |\n",
            cell(name),
            cell(&param),
            marks.join(" | ")
        ));
    }
    text
}

fn mark(result: Option<&CellResult>) -> &'static str {
    match result.map(|r| &r.outcome) {
        Some(Outcome::Passed) => "✓",
        Some(Outcome::Failed(_)) => "**✗**",
        Some(Outcome::NotRun(_)) => "?",
        Some(Outcome::Impossible(_)) => "–",
        None => "·",
    }
}

/// Each reason once, with all its cells.
fn reasons(results: &Results, title: &str, word: &str) -> String {
    let reasons = results.by_reason(word);
    if reasons.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{title}:\n");
    for (why, cells) in reasons {
        text.push_str(&format!("\n* {}:\n\n", describe(&cells)));
        for line in why.lines() {
            text.push_str(&format!("      {}\n", printable(line)));
        }
    }
    text
}

/// Text that does not end a cell of a table.
fn cell(text: &str) -> String {
    printable(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::merge::merge;
    use crate::matrix::results::tests::sample;

    #[test]
    fn tables_show_every_outcome() {
        let all = [1, 2].map(|n| (n.to_string(), sample(n)));
        let mut whole = merge(&all).unwrap();
        whole.results[0].cell.name = "a|b".to_owned();
        insta::assert_snapshot!(to_string(&whole));
    }
}
