// SPDX-License-Identifier: GPL-2.0-only
//! Kernel configuration: merging fragments, and noticing what the kernel dropped of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};

/// Where an option was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A fragment of the project.
    Own,
    /// A fragment of the user.
    User,
}

/// Options and their values; `n` stands for "not set".
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Config {
    options: BTreeMap<String, (String, Option<Origin>)>,
}

/// An option that did not become what was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dropped {
    /// Name with `CONFIG_`.
    pub name: String,
    /// The value asked for.
    pub wanted: String,
    /// The value in the result; `n` if it is not there.
    pub got: String,
    /// Who asked.
    pub origin: Origin,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} (became {})", self.name, self.wanted, self.got)
    }
}

impl Config {
    /// Adds a fragment; its lines win over earlier ones. `name` is for messages.
    pub fn add(&mut self, name: &Path, text: &str, origin: Origin) -> Result<()> {
        for (number, line) in text.lines().enumerate() {
            match parse(line) {
                Line::Option(option, value) => {
                    self.options.insert(option, (value, Some(origin)));
                }
                Line::Nothing => {}
                Line::Unknown => {
                    let at = format!("{}:{}", name.display(), number + 1);
                    return Err(Error::usage(format!(
                        "{at}: not a line of a kernel config: `{line}`"
                    ))
                    .help("lines are CONFIG_NAME=value, `# CONFIG_NAME is not set`, or comments"));
                }
            }
        }
        Ok(())
    }

    /// Reads a finished `.config`.
    pub fn result(text: &str) -> Self {
        let mut config = Self::default();
        for line in text.lines() {
            if let Line::Option(option, value) = parse(line) {
                config.options.insert(option, (value, None));
            }
        }
        config
    }

    /// The value of an option; `n` if it is not there.
    pub fn value(&self, name: &str) -> &str {
        self.options.get(name).map_or("n", |(value, _)| value)
    }

    /// What of the wishes in `self` is not so in `result`.
    pub fn dropped(&self, result: &Config) -> Vec<Dropped> {
        let differs = |(name, (wanted, origin)): (&String, &(String, Option<Origin>))| {
            let got = result.value(name);
            (got != wanted).then(|| Dropped {
                name: name.clone(),
                wanted: wanted.clone(),
                got: got.to_owned(),
                origin: origin.unwrap_or(Origin::Own),
            })
        };
        self.options.iter().filter_map(differs).collect()
    }
}

/// As a file for `KCONFIG_ALLCONFIG`.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, (value, _)) in &self.options {
            match value.as_str() {
                "n" => writeln!(f, "# {name} is not set")?,
                value => writeln!(f, "{name}={value}")?,
            }
        }
        Ok(())
    }
}

enum Line {
    Option(String, String),
    Nothing,
    Unknown,
}

fn parse(line: &str) -> Line {
    let line = line.trim();
    let is_name = |n: &str| {
        let rest = n.strip_prefix("CONFIG_").unwrap_or("");
        !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let unset = line
        .strip_prefix("# ")
        .and_then(|l| l.strip_suffix(" is not set"));
    if let Some(name) = unset.filter(|n| is_name(n)) {
        return Line::Option(name.to_owned(), "n".to_owned());
    }
    if line.is_empty() || line.starts_with('#') {
        return Line::Nothing;
    }
    match line.split_once('=') {
        Some((name, value)) if is_name(name) && !value.is_empty() => {
            Line::Option(name.to_owned(), value.to_owned())
        }
        _ => Line::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(parts: &[(&str, Origin)]) -> Config {
        let mut config = Config::default();
        for (text, origin) in parts {
            config.add(Path::new("f"), text, *origin).unwrap();
        }
        config
    }

    #[test]
    fn later_lines_win() {
        let c = config(&[
            ("# why\nCONFIG_A=y\nCONFIG_B=y\n", Origin::Own),
            ("# CONFIG_A is not set\nCONFIG_C=\"x y\"\n", Origin::User),
        ]);
        let want = "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=\"x y\"\n";
        assert_eq!(c.to_string(), want);
    }

    #[test]
    fn dropped_options_are_named() {
        let c = config(&[
            ("CONFIG_A=y\nCONFIG_B=y\nCONFIG_N=8\n", Origin::Own),
            ("CONFIG_C=m\n# CONFIG_D is not set\n", Origin::User),
        ]);
        let result = Config::result("CONFIG_A=y\nCONFIG_N=4\n# CONFIG_C is not set\nCONFIG_D=y\n");
        let dropped = c.dropped(&result);
        let texts: Vec<_> = dropped.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "CONFIG_B=y (became n)",
                "CONFIG_C=m (became n)",
                "CONFIG_D=n (became y)",
                "CONFIG_N=8 (became 4)"
            ]
        );
        assert_eq!(dropped[1].origin, Origin::User);
        assert!(c.dropped(&c).is_empty());
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        let mut c = Config::default();
        let e = c.add(Path::new("my.config"), "CONFIG_A=y\nFOO=y\n", Origin::User);
        let e = e.unwrap_err();
        assert!(e.message().starts_with("my.config:2:"), "{e}");
        assert_eq!(e.exit(), crate::error::Exit::Usage);
    }
}
