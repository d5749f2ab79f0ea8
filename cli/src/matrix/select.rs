// SPDX-License-Identifier: GPL-2.0-only
//! Choosing cells.

use std::fmt;

use crate::cell::Cell;
use crate::error::{Error, Result};
use crate::matrix::args::{MatrixRunArgs, Tier};
use crate::matrix::catalog::{Catalog, Offer};
use crate::near::{did_you_mean, near};

/// A name, or a shell pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(glob::Pattern);

impl Pattern {
    fn matches(&self, cell: &Cell) -> bool {
        self.0.matches(&cell.name) || self.0.matches(&cell.to_string())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Reads a pattern.
pub fn pattern(text: &str) -> std::result::Result<Pattern, String> {
    match glob::Pattern::new(text) {
        Ok(pattern) => Ok(Pattern(pattern)),
        Err(e) => Err(format!("this is no shell pattern: {e}")),
    }
}

/// What was chosen, and by what.
pub fn select<'a>(catalog: &'a Catalog, args: &MatrixRunArgs) -> Result<Vec<&'a Offer>> {
    let known = |o: &&Offer| args.kind.is_empty() || args.kind.contains(&o.cell.kind);
    for pattern in &args.only {
        let mut with = catalog.offers.iter().filter(known);
        if !with.any(|o| pattern.matches(&o.cell)) {
            return Err(nothing(catalog, pattern));
        }
    }
    let machine =
        |c: &Cell| args.machine.is_empty() || args.machine.iter().any(|m| m.name == c.machine);
    let named = |c: &Cell| args.only.is_empty() || args.only.iter().any(|p| p.matches(c));
    let tier = |o: &&Offer| args.tier == Tier::Full || o.smoke;
    let offers = catalog.offers.iter().filter(known).filter(tier);
    let chosen: Vec<_> = offers
        .filter(|o| machine(&o.cell) && named(&o.cell))
        .collect();
    match chosen.is_empty() {
        true => Err(no_cell(catalog, args)),
        false => Ok(chosen),
    }
}

/// A pattern without a cell.
fn nothing(catalog: &Catalog, pattern: &Pattern) -> Error {
    let text = pattern.to_string();
    let mut names: Vec<&str> = catalog
        .offers
        .iter()
        .map(|o| o.cell.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    // Of `driver/nvem/*` it is the second part that is a name.
    let name = match text.split('/').collect::<Vec<_>>().as_slice() {
        [_, name, ..] => (*name).to_owned(),
        _ => text.replace(['*', '?'], ""),
    };
    let guess = did_you_mean(&near(&name, names));
    Error::usage(format!("no cell matches `{text}`")).help(format!(
        "{guess}dmasan matrix --list prints all names; patterns are compared with a name, or with all of KIND/NAME/MACHINE/FLAVOR"
    ))
}

/// Each was known, but not together.
fn no_cell(catalog: &Catalog, args: &MatrixRunArgs) -> Error {
    let named = |o: &&Offer| args.only.is_empty() || args.only.iter().any(|p| p.matches(&o.cell));
    let mut machines: Vec<&str> = catalog
        .offers
        .iter()
        .filter(named)
        .map(|o| o.cell.machine.as_str())
        .collect();
    machines.sort_unstable();
    machines.dedup();
    let tier = match args.tier {
        Tier::Smoke => "; the smoke tier has only few of them",
        Tier::Full => "",
    };
    Error::usage("nothing is left to run: no cell is all that was asked for").help(format!(
        "what --only and --kind name runs on: {}{tier}",
        machines.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::error::Exit;
    use clap::Parser;

    fn args(line: &[&str]) -> MatrixRunArgs {
        let cli = Cli::parse_from([&["dmasan", "matrix"], line].concat());
        match cli.command {
            Command::Matrix(args) => args.run,
            _ => panic!("another command"),
        }
    }

    fn chosen(line: &[&str]) -> Result<Vec<String>> {
        let catalog = Catalog::read(None)?;
        let chosen = select(&catalog, &args(line))?;
        Ok(chosen.iter().map(|o| o.cell.to_string()).collect())
    }

    #[test]
    fn names_and_patterns_choose() {
        let cells = chosen(&["--only", "edu-page", "--machine", "vtd"]).unwrap();
        assert_eq!(
            cells,
            [
                "scenario/edu-page/vtd/rust",
                "scenario/edu-page/vtd+lazy/rust",
                "scenario/edu-page/vtd/c"
            ]
        );
        let cells = chosen(&["--only", "scenario/edu-*/vtd*/rust"]).unwrap();
        assert_eq!(cells.len(), 6, "{cells:?}");
        let both = chosen(&["--only", "kunit", "--only", "edu-page"]).unwrap();
        assert!(
            both.iter().any(|c| c.contains("/kunit/"))
                && both.iter().any(|c| c.contains("/edu-page/"))
        );
    }

    #[test]
    fn what_matches_nothing_is_told_with_the_near_names() {
        for (pattern, guess) in [
            ("edu-pgae", "did you mean `edu-page`? "),
            ("scenario/kunti/*", "did you mean `kunit`? "),
            ("zzzzzz*", "dmasan matrix --list"),
        ] {
            // One that matches does not hide it.
            let error = chosen(&["--only", "kunit", "--only", pattern]).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.message().contains(pattern), "{error}");
            let advice = error.advice().unwrap();
            assert!(advice.starts_with(guess), "{advice}");
        }
    }

    #[test]
    fn nothing_left_tells_where_it_runs() {
        let error = chosen(&["--only", "no-iommu", "--machine", "vtd"]).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.advice().unwrap().ends_with(": none"), "{error:?}");
        let error = chosen(&["--only", "kunit", "--tier", "smoke"]).unwrap_err();
        assert!(error.advice().unwrap().contains("smoke tier"), "{error:?}");
    }

    #[test]
    fn a_pattern_has_to_be_one() {
        assert!(pattern("[").is_err() && pattern("a[bc]*").is_ok());
    }
}
