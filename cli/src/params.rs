// SPDX-License-Identifier: GPL-2.0-only
//! Which parameters a module has, and whether those that the user gives are among them.
//!
//! The kernel loads a module with a parameter that it does not have and only logs a line. A bug that was to be
//! provoked by the parameter is then not provoked, and the run looks clean.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{io, Error, Result};

/// Parameters that the kernel itself takes for every module.
const OF_ALL: &[&str] = &["async_probe", "dyndbg"];

/// Types that need no value: the bare name switches them on.
const SWITCHES: &[&str] = &["bool", "bint", "bool_enable_only"];

/// Refuses parameters that the module in `file` does not have.
pub fn check(file: &Path, params: &[String]) -> Result<()> {
    if params.is_empty() {
        return Ok(());
    }
    let content = std::fs::read(file).map_err(io("cannot read", file))?;
    let known = known(&content);
    let module = file.file_stem().unwrap_or_default().to_string_lossy();
    for param in params {
        let (name, value) = match param.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (param.as_str(), None),
        };
        // For the kernel these two are one character.
        let same = name.replace('-', "_");
        let Some(kind) = known.get(&same) else {
            if OF_ALL.contains(&same.as_str()) {
                continue;
            }
            return Err(unknown(&module, name, &known));
        };
        let switch = kind.is_empty() || SWITCHES.contains(&kind.as_str());
        if value.is_none() && !switch {
            let text = format!("the parameter `{name}` of the module {module} needs a value");
            return Err(Error::usage(text).help(format!("it is of type {kind}: `{name}=VALUE`")));
        }
    }
    Ok(())
}

fn unknown(module: &str, name: &str, known: &BTreeMap<String, String>) -> Error {
    // At most half of the name may be mistyped: short names are all alike.
    let far = |k: &str| strsim::damerau_levenshtein(name, k);
    let near = known.keys().filter(|k| far(k) * 2 < k.len());
    let guess = near.min_by_key(|k| far(k));
    let guess = guess.map(|k| format!("did you mean `{k}`? "));
    let guess = guess.unwrap_or_default();
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let help = match names.is_empty() {
        true => "the module has no parameters".to_owned(),
        false => format!("{guess}its parameters are: {}", names.join(", ")),
    };
    Error::usage(format!("the module {module} has no parameter `{name}`")).help(help)
}

/// The parameters in the bytes of a module, with their types as far as they are told.
fn known(content: &[u8]) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for text in content.split(|b| *b == 0) {
        let Ok(text) = std::str::from_utf8(text) else {
            continue;
        };
        // In .modinfo; the name is followed by the type, or by what people are told.
        let (name, kind) = if let Some(rest) = text.strip_prefix("parmtype=") {
            rest.split_once(':').unwrap_or((rest, ""))
        } else if let Some(rest) = text.strip_prefix("parm=") {
            (rest.split(':').next().unwrap_or(rest), "")
        } else if let Some(name) = text.strip_prefix("__param_str_") {
            // In the symbols: one made with module_param_cb() need not be in .modinfo.
            (name, "")
        } else {
            continue;
        };
        let entry: &mut String = known.entry(name.replace('-', "_")).or_default();
        if entry.is_empty() {
            kind.clone_into(entry);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    const MODULE: &[u8] = b"\x7fELF\xff\0vermagic=7\0parmtype=leak:int\0parm=leak:Leak: so much\0\
        parmtype=on:bool\0parm=said:Only told\0__param_str_by_cb\0\0";

    fn try_with(params: &[&str]) -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mydrv.ko");
        std::fs::write(&file, MODULE).unwrap();
        let params: Vec<String> = params.iter().map(|p| (*p).to_owned()).collect();
        check(&file, &params)
    }

    #[test]
    fn known_ones_pass() {
        for param in [
            "leak=1",
            "on",
            "on=n",
            "said=x",
            "by-cb=1",
            "by_cb",
            "dyndbg=+p",
        ] {
            try_with(&[param]).unwrap();
        }
    }

    #[test]
    fn unknown_ones_are_refused_with_the_known_ones() {
        let e = try_with(&["leak=1", "leek=2"]).unwrap_err();
        assert_eq!(e.exit(), Exit::Usage);
        assert_eq!(e.message(), "the module mydrv has no parameter `leek`");
        assert_eq!(
            e.advice(),
            Some("did you mean `leak`? its parameters are: by_cb, leak, on, said")
        );
        assert!(!try_with(&["mod=leak"])
            .unwrap_err()
            .advice()
            .unwrap()
            .contains("mean"));
    }

    #[test]
    fn only_switches_go_without_a_value() {
        let e = try_with(&["leak"]).unwrap_err();
        assert_eq!(e.exit(), Exit::Usage);
        assert!(e.message().contains("needs a value"), "{e}");
    }
}
