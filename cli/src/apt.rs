// SPDX-License-Identifier: GPL-2.0-only
//! Asking apt for kernel source packages, with package lists of our own: the system's are not changed.

use std::path::{Path, PathBuf};

use crate::error::{io, Result};
use crate::exec::{Cmd, Exec};
use crate::root::Env;

/// A package as apt knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Bytes to fetch.
    pub size: u64,
}

/// apt with its own lists, in a folder of the working area.
pub struct Apt<'a> {
    exec: &'a Exec,
    env: &'a Env,
    dir: PathBuf,
}

impl<'a> Apt<'a> {
    /// Prepares the folder: the environment's own sources, and the backports suites derived from them.
    pub fn new(exec: &'a Exec, env: &'a Env, dir: &Path) -> Result<Self> {
        let sources = sources(env);
        if !exec.dry_run {
            for sub in ["lists/partial", "archives/partial", "parts"] {
                let path = dir.join(sub);
                std::fs::create_dir_all(&path).map_err(io("cannot create", &path))?;
            }
            for (name, text) in [("sources.list", &sources.0), ("deb822.sources", &sources.1)] {
                let path = if name.ends_with(".list") {
                    dir.join(name)
                } else {
                    dir.join("parts").join(name)
                };
                std::fs::write(&path, text).map_err(io("cannot write", &path))?;
            }
        }
        let dir = dir.to_owned();
        Ok(Self { exec, env, dir })
    }

    /// An apt program that uses the folder.
    fn cmd(&self, program: &str, options: &[&str]) -> Cmd {
        let at = |sub: &str| self.env.inside(&self.dir.join(sub)).display().to_string();
        let dir = self.env.inside(&self.dir);
        self.env
            .cmd_in(&dir, program)
            .args([
                "-o".to_owned(),
                format!("Dir::State::lists={}", at("lists")),
                "-o".to_owned(),
                format!("Dir::Cache={}", at("")),
                "-o".to_owned(),
                format!("Dir::Etc::sourcelist={}", at("sources.list")),
                "-o".to_owned(),
                format!("Dir::Etc::sourceparts={}", at("parts")),
                // The download user may not be able to write to the folder.
                "-o".to_owned(),
                "APT::Sandbox::User=root".to_owned(),
                "-o".to_owned(),
                "Acquire::Languages=none".to_owned(),
            ])
            .args(options)
    }

    /// Fetches the package lists.
    pub fn update(&self, log: Option<&Path>) -> Result<()> {
        self.exec
            .run(&self.cmd("apt-get", &["update", "--error-on=any"]), log)
    }

    /// The newest version of a package, if there is one.
    pub fn show(&self, name: &str) -> Result<Option<Package>> {
        // apt-cache fails for a package that is not known at all.
        let policy = self.cmd("apt-cache", &["policy", name]);
        if !self.exec.output(&policy)?.contains(name) {
            return Ok(None);
        }
        let show = self.cmd("apt-cache", &["show", "--no-all-versions", name]);
        Ok(self.exec.output(&show).ok().and_then(|t| package(name, &t)))
    }

    /// Names that begin with a text.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let text = self
            .exec
            .output(&self.cmd("apt-cache", &["pkgnames", prefix]))?;
        let mut names: Vec<_> = text.lines().map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    /// The command that downloads a package into the folder.
    pub fn download(&self, package: &Package) -> Cmd {
        let what = format!("{}={}", package.name, package.version);
        self.cmd("apt-get", &["-q", "download", &what])
    }

    /// Bytes of a download so far, and the file once it is whole.
    pub fn downloaded(&self, name: &str) -> (u64, Option<PathBuf>) {
        let mut bytes = 0;
        let mut file = None;
        for dir in [
            self.dir.clone(),
            self.dir.join("archives/partial"),
            self.dir.join("partial"),
        ] {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                let file_name = entry.file_name().to_string_lossy().into_owned();
                if file_name.starts_with(&format!("{name}_")) {
                    bytes += entry.metadata().map_or(0, |m| m.len());
                    if file_name.ends_with(".deb") && path.parent() == Some(&self.dir) {
                        file = Some(path);
                    }
                }
            }
        }
        (bytes, file)
    }
}

/// Reads what `apt-cache show` prints.
fn package(name: &str, text: &str) -> Option<Package> {
    let field = |key: &str| {
        let mut lines = text.lines();
        lines
            .find_map(|l| l.strip_prefix(key)?.strip_prefix(": "))
            .map(str::to_owned)
    };
    Some(Package {
        name: name.to_owned(),
        version: field("Version")?,
        size: field("Size")?.parse().ok()?,
    })
}

/// The sources of the environment with backports: one-line style and deb822 style.
fn sources(env: &Env) -> (String, String) {
    let dir = env.outside("/etc/apt");
    let mut files = vec![dir.join("sources.list")];
    let parts = std::fs::read_dir(dir.join("sources.list.d"));
    files.extend(parts.into_iter().flatten().flatten().map(|e| e.path()));
    files.sort();
    let (mut lines, mut stanzas) = (Vec::new(), Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        match file.extension().and_then(|e| e.to_str()) {
            Some("list") => lines.extend(one_line(&text)),
            Some("sources") => stanzas.extend(deb822(&text)),
            _ => {}
        }
    }
    lines.sort();
    lines.dedup();
    (lines.join("\n") + "\n", stanzas.join("\n\n") + "\n")
}

/// Suites that have backports.
fn has_backports(suite: &str) -> bool {
    matches!(suite, "stable" | "trixie" | "forky" | "duke")
}

/// Whether a suite is one of the parts of a release that hold no kernel of their own.
fn is_part(suite: &str) -> bool {
    suite.contains('/') || suite.ends_with("-updates") || suite.ends_with("-security")
}

fn one_line(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines().filter(|l| l.starts_with("deb ")) {
        let words: Vec<_> = line.split_whitespace().collect();
        let Some(at) = words
            .iter()
            .position(|w| w.contains(':') && !w.contains('='))
        else {
            continue;
        };
        let Some(suite) = words.get(at + 1).filter(|s| !is_part(s)) else {
            continue;
        };
        lines.push(words.join(" "));
        if has_backports(suite) {
            let backports = format!("{suite}-backports");
            let mut words = words.clone();
            words[at + 1] = &backports;
            lines.push(words.join(" "));
        }
    }
    lines
}

fn deb822(text: &str) -> Vec<String> {
    let mut stanzas = Vec::new();
    for stanza in text.split("\n\n") {
        let mut wanted = false;
        let mut lines = Vec::new();
        for line in stanza.lines().filter(|l| !l.starts_with('#')) {
            let Some(suites) = line.strip_prefix("Suites:") else {
                lines.push(line.to_owned());
                continue;
            };
            let mut all = Vec::new();
            for suite in suites.split_whitespace().filter(|s| !is_part(s)) {
                all.push(suite.to_owned());
                all.extend(has_backports(suite).then(|| format!("{suite}-backports")));
            }
            all.sort();
            all.dedup();
            wanted = !all.is_empty();
            lines.push(format!("Suites: {}", all.join(" ")));
        }
        if wanted {
            stanzas.push(lines.join("\n"));
        }
    }
    stanzas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backports_of_one_line_sources() {
        let text = "# comment\ndeb [arch=amd64 signed-by=/k] http://m.example/d trixie main\n\
                    deb http://m.example/d trixie-updates main\ndeb-src http://m.example/d trixie main\n\
                    deb http://m.example/d sid main\n";
        let want = [
            "deb [arch=amd64 signed-by=/k] http://m.example/d trixie main",
            "deb [arch=amd64 signed-by=/k] http://m.example/d trixie-backports main",
            "deb http://m.example/d sid main",
        ];
        assert_eq!(one_line(text), want);
    }

    #[test]
    fn backports_of_deb822_sources() {
        let text = "Types: deb\nURIs: http://m.example/d\nSuites: trixie trixie-updates\nComponents: main\n\n\
                    Types: deb\nURIs: http://s.example/d\nSuites: trixie-security\nComponents: main\n";
        let want = "Types: deb\nURIs: http://m.example/d\nSuites: trixie trixie-backports\nComponents: main";
        assert_eq!(deb822(text), [want]);
    }

    #[test]
    fn packages_are_read() {
        let text =
            "Package: x\nVersion: 7.3.4-1~bpo13+1\nInstalled-Size: 162872\nSize: 166780612\n";
        let p = package("x", text).unwrap();
        assert_eq!(
            (p.version.as_str(), p.size),
            ("7.3.4-1~bpo13+1", 166_780_612)
        );
        assert_eq!(package("x", ""), None);
    }
}
