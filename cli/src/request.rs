// SPDX-License-Identifier: GPL-2.0-only
//! Modules as named on the command line: `PATH[:PARAM=VALUE,...]`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A module as named on the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// A folder with a Kbuild or Makefile, or a `.ko` file.
    pub path: PathBuf,
    /// Parameters, `name=value` each; a switch may be its bare name.
    pub params: Vec<String>,
}

impl Request {
    /// Reads `PATH[:PARAM=VALUE,...]`.
    ///
    /// The path ends at the first colon that has an existing path before it and `PARAM=` after it, so paths and
    /// values may hold colons; if there is none, at the first one with an existing path before it. A comma begins a
    /// new parameter only if `PARAM=` follows: `a=1,2,b=3` gives the array `a` two elements.
    pub fn parse(text: &str) -> Result<Request> {
        if Path::new(text).exists() {
            return Ok(Request {
                path: text.into(),
                params: Vec::new(),
            });
        }
        let colons = text.match_indices(':').map(|(at, _)| at);
        let splits: Vec<(&str, &str)> = colons.map(|at| (&text[..at], &text[at + 1..])).collect();
        let existing = |(path, _): &&(&str, &str)| Path::new(path).exists();
        let named = |(_, rest): &&(&str, &str)| begins_param(rest);
        let found = splits.iter().filter(named).find(existing);
        let Some((path, params)) = found.or_else(|| splits.iter().find(existing)) else {
            let first = splits.iter().find(named);
            return Err(not_found(first.map_or(text, |(path, _)| path)));
        };
        let params = split_params(params);
        params.iter().try_for_each(|p| check(path, p))?;
        Ok(Request {
            path: path.into(),
            params,
        })
    }
}

const HELP: &str = "parameters follow the path as `:name=value,name=value`";

fn not_found(path: &str) -> Error {
    let error = Error::usage(format!("there is no module at `{path}`"));
    error.help(format!(
        "give a folder with a Kbuild or Makefile, or a .ko file; {HELP}"
    ))
}

/// Refuses what the kernel would take for something else than the user meant.
fn check(path: &str, param: &str) -> Result<()> {
    let name = param.split('=').next().unwrap_or("");
    if !is_name(name) {
        let text = format!("`{param}` is no parameter for the module {path}");
        return Err(Error::usage(text).help(HELP));
    }
    // The kernel splits parameters at blanks and takes quotes away.
    let refused = |c: char| c.is_whitespace() || c.is_control() || c == '"';
    if param.chars().any(refused) {
        let text = format!("the value in `{param}` for the module {path} holds blanks or quotes");
        return Err(
            Error::usage(text).help("the kernel cannot take such values from a loader; use others")
        );
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(plain)
}

fn begins_param(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| is_name(name))
}

fn split_params(text: &str) -> Vec<String> {
    let mut params: Vec<String> = Vec::new();
    for piece in text.split(',') {
        match params.last_mut() {
            Some(last) if !begins_param(piece) => {
                last.push(',');
                last.push_str(piece);
            }
            _ => params.push(piece.to_owned()),
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    #[test]
    fn a_path_without_parameters() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().to_str().unwrap();
        let request = Request::parse(text).unwrap();
        assert_eq!(
            (request.path.as_path(), request.params.len()),
            (dir.path(), 0)
        );
    }

    #[test]
    fn paths_and_values_may_hold_colons() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("a:b=1");
        std::fs::create_dir(&odd).unwrap();
        let request = Request::parse(&format!("{}:dev=0000:00:02.0,bug=1", odd.display())).unwrap();
        assert_eq!(request.path, odd);
        assert_eq!(request.params, ["dev=0000:00:02.0", "bug=1"]);
    }

    #[test]
    fn commas_in_arrays() {
        assert_eq!(split_params("a=1,2,3,b=x"), ["a=1,2,3", "b=x"]);
        assert_eq!(split_params("a="), ["a="]);
        assert_eq!(split_params("bug,a=1"), ["bug", "a=1"]);
    }

    #[test]
    fn what_does_not_exist_is_named() {
        for (text, named) in [
            ("/no/such", "/no/such"),
            ("/no/such:bug=1", "`/no/such`"),
            ("/x:y", "/x:y"),
        ] {
            let error = Request::parse(text).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.message().contains(named), "{error}");
        }
    }

    #[test]
    fn malformed_parameters_are_told_from_missing_modules() {
        let dir = tempfile::tempdir().unwrap();
        let parse = |rest: &str| Request::parse(&format!("{}:{rest}", dir.path().display()));
        for rest in ["", "=3", "a b=3", "3=a", ",a=1"] {
            let error = parse(rest).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.message().contains("is no parameter"), "{error}");
        }
        for rest in ["a=1 b=2", "a=\"x\"", "a=1,b 2", "a=x\ny"] {
            let error = parse(rest).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.message().contains("blanks or quotes"), "{error}");
        }
        assert_eq!(parse("bug").unwrap().params, ["bug"]);
    }
}
