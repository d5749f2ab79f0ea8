// SPDX-License-Identifier: GPL-2.0-only
//! The table of `dmasan drivers`.

use crate::cell::Outcome;
use crate::drivers::file::{Driver, Phase};
use crate::drivers::judge::Ran;
use crate::ui::duration;

/// All results: a row for each, then why those that did not pass are as they are.
pub fn of(all: &[Ran]) -> String {
    let head = [
        "driver", "group", "MiB", "findings", "known", "left", "took", "verdict",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(row));
    let mut text = aligned(&rows);
    for ran in all.iter().filter(|r| r.outcome != Outcome::Passed) {
        let why = ran.outcome.why().replace('\n', "\n  ");
        text.push_str(&format!(
            "\n{}: {}\n  {why}\n",
            ran.cell.name,
            ran.outcome.word()
        ));
    }
    text
}

fn row(ran: &Ran) -> Vec<String> {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let ended = ran.group.is_some();
    vec![
        ran.cell.name.clone(),
        known(ran.group.clone()),
        known(ended.then(|| (ran.moved >> 20).to_string())),
        known(ended.then(|| ran.findings.to_string())),
        known(ended.then(|| ran.known.to_string())),
        known(ran.left.map(|n| n.to_string())),
        known(ended.then(|| duration(ran.took))),
        ran.outcome.word().to_owned(),
    ]
}

/// The drivers that exist, and what is not done with each.
pub fn list(drivers: &[Driver]) -> String {
    let rows: Vec<Vec<String>> = drivers
        .iter()
        .map(|d| vec![d.name.clone(), d.kernel_driver.clone(), d.summary.clone()])
        .collect();
    let mut text = aligned(&rows);
    let mut without = String::new();
    for driver in drivers {
        for (phase, why) in &driver.without {
            let phase = phase.word();
            without.push_str(&format!("  {} without {phase}: {why}\n", driver.name));
        }
    }
    if !without.is_empty() {
        let all: Vec<&str> = Phase::ALL.iter().map(|p| p.word()).collect();
        text.push_str(&format!(
            "\nDone with each: {}; but\n{without}",
            all.join(", ")
        ));
    }
    text
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Cell, Kind};
    use crate::error::Exit;
    use crate::machine::Model;
    use std::time::Duration;

    fn cell(name: &str) -> Cell {
        Cell::new(Kind::Driver, name, <&Model>::default())
    }

    #[test]
    fn results_are_rows_and_reasons() {
        let good = Ran {
            group: Some("DMA".into()),
            moved: 33 << 20,
            left: Some(0),
            took: Duration::from_secs(72),
            ..Ran::not(cell("e1000"), Outcome::Passed, Exit::Clean)
        };
        let no = Outcome::Impossible("QEMU 7.2 has no device `igb`".into());
        let text = of(&[good, Ran::not(cell("igb"), no, Exit::Clean)]);
        assert_eq!(
            text,
            "driver  group  MiB  findings  known  left  took  verdict\n\
             e1000   DMA    33   0         0      0     72 s  passed\n\
             igb     -      -    -         -      -     -     impossible\n\
             \nigb: impossible\n  QEMU 7.2 has no device `igb`\n"
        );
    }

    #[test]
    fn the_list_tells_what_is_left_out() {
        let text = list(&Driver::all().unwrap());
        assert!(text.contains("\ne1000 "), "{text}");
        assert!(text.contains("virtio-blk without reset: "), "{text}");
    }
}
