// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan matrix`: everything that can be run, on every machine, in parts and on several hosts if need be.
//!
//! Scenarios, drivers, mutants and the kernel's own tests offer cells ([`catalog`]); some are selected, those that share
//! a boot are run by a process of their own ([`child`]), and what is known of each cell in the end is a document
//! ([`results`]) that can be merged with those of other hosts ([`merge`]).

pub mod args;
pub mod catalog;
pub mod child;
pub mod junit;
pub mod markdown;
pub mod merge;
pub mod offers;
pub mod pool;
pub mod prepare;
pub mod progress;
pub mod results;
pub mod run;
pub mod runner;
pub mod select;
pub mod shard;
pub mod store;

use crate::cell::Kind;
use crate::error::{Exit, Result};
use crate::exec::Exec;
use crate::{output, stdout};
use args::{MatrixArgs, MatrixCommand, MergeArgs, OutputArgs};
use results::Results;

/// Runs the command.
pub fn main(exec: &Exec, args: &MatrixArgs) -> Result<Exit> {
    match &args.command {
        Some(MatrixCommand::Merge(args)) => merge_files(args),
        Some(MatrixCommand::Cells(args)) => child::run(exec, args),
        None => run::run(exec, &args.run),
    }
}

fn merge_files(args: &MergeArgs) -> Result<Exit> {
    check_outputs(&args.output)?;
    let merged = merge::read(&args.files)?;
    tell(&merged, &args.output)?;
    Ok(merged.exit())
}

/// A file that cannot be written should be known before hours of work.
fn check_outputs(to: &OutputArgs) -> Result<()> {
    output::check([&to.json, &to.junit, &to.markdown])
}

/// Writes the files asked for, each of which is tried, and prints what is worth knowing.
fn tell(results: &Results, to: &OutputArgs) -> Result<()> {
    let written = output::all(vec![
        output::write(&to.json, || results.to_json()),
        output::write(&to.junit, || junit::to_string(results)),
        output::write(&to.markdown, || markdown::to_string(results)),
    ]);
    let shown = stdout::print(&summary(results));
    written.and(shown)
}

/// What did not pass, by reason, then a line for each kind.
fn summary(results: &Results) -> String {
    let mut text = String::new();
    for (word, title) in [
        ("impossible", "impossible"),
        ("not run", "NOT RUN"),
        ("failed", "FAILED"),
    ] {
        for (why, cells) in results.by_reason(word) {
            text.push_str(&format!("{title} {}\n", results::describe(&cells)));
            for line in why.lines() {
                text.push_str(&format!("    {}\n", dmasan_report::text::printable(line)));
            }
        }
    }
    for kind in Kind::ALL {
        let [passed, failed, not_run, impossible] =
            ["passed", "failed", "not run", "impossible"].map(|w| results.count(kind, w));
        let cells = passed + failed + not_run + impossible;
        if cells > 0 {
            let not_asked = results.selection.not_asked.get(&kind).copied();
            text.push_str(&format!(
                "{}: {cells} cells: {passed} passed, {failed} failed, {not_run} not run, {impossible} impossible; \
                 {} pairs with a machine are not asked for\n",
                markdown::plural(kind),
                not_asked.unwrap_or_default()
            ));
        }
    }
    if results.kept > 0 {
        text.push_str(&format!(
            "{} of these results were kept from earlier runs; --fresh runs them anew\n",
            results.kept
        ));
    }
    text
}
