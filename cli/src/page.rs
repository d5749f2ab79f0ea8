// SPDX-License-Identifier: GPL-2.0-only
//! Pages of the documentation that have a place for results, between `<!-- begin NAME -->` and `<!-- end NAME -->`.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::error::{cannot_read, Error, Result};
use crate::matrix::run::utc;
use crate::output;

/// The day of results, in UTC.
pub fn today() -> String {
    let now = utc(SystemTime::now());
    now.split('T').next().unwrap_or_default().to_owned()
}

/// Refuses a page that has no place for results: this is better told before the work than after it.
pub fn check(page: Option<&Path>, name: &str) -> Result<()> {
    page.map_or(Ok(()), |page| around(page, name).map(|_| ()))
}

/// Puts results where a page has their place.
pub fn update(page: &Path, name: &str, results: &str) -> Result<()> {
    let (before, after) = around(page, name)?;
    fs::write(page, format!("{before}\n{results}{after}")).map_err(|e| output::unwritten(page, e))
}

/// What is before the place for results and what is behind it, with the marks.
fn around(page: &Path, name: &str) -> Result<(String, String)> {
    let text = fs::read_to_string(page).map_err(cannot_read(page))?;
    let (begin, end) = (
        format!("<!-- begin {name} -->\n"),
        format!("<!-- end {name} -->"),
    );
    let place = text.find(&begin).map(|at| at + begin.len());
    let place = place.and_then(|from| Some((from, from + text[from..].find(&end)?)));
    let Some((from, to)) = place else {
        let error = Error::usage(format!("{} has no place for the tables", page.display()));
        return Err(error.help(format!("they go between `{}` and `{end}`", begin.trim())));
    };
    Ok((text[..from].to_owned(), text[to..].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("page.md");
        fs::write(&page, "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n").unwrap();
        for text in ["new\n", "newer\n"] {
            update(&page, "x", text).unwrap();
            let wanted = format!("a\n<!-- begin x -->\n\n{text}<!-- end x -->\nb\n");
            assert_eq!(fs::read_to_string(&page).unwrap(), wanted);
        }
        let error = update(&page, "y", "").unwrap_err();
        assert!(
            error.advice().unwrap().contains("<!-- begin y -->"),
            "{error}"
        );
    }
}
