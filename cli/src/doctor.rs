// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan doctor`: what this host has and lacks, and what to do about it. Looks only.

use std::path::Path;

use nix::unistd::{access, AccessFlags};
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::cache;
use crate::error::{Error, Exit, Result};
use crate::exec::{Cmd, Exec, Place};
use crate::stdout;
use crate::ui::{size, Color};
use crate::{bootstrap, host};

/// How well a thing is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// Works, with a drawback that is told.
    Note,
    /// Nothing works without it.
    Missing,
}

/// One line of the table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    /// What to do; empty if nothing is.
    advice: String,
}

fn check(name: &'static str, state: State, found: impl Into<String>, advice: &str) -> Check {
    Check {
        name,
        state,
        found: found.into(),
        advice: advice.to_owned(),
    }
}

/// An entry of the cache.
#[derive(Clone, Debug, Serialize)]
struct Cached {
    what: String,
    complete: bool,
    bytes: u64,
    path: String,
}

/// Runs the command.
pub fn run(exec: &Exec, color: Color, args: &DoctorArgs) -> Result<Exit> {
    let tools = host::tools(exec);
    let (place, checks) = examine(exec, &tools);
    let usable = checks.iter().all(|c| c.state != State::Missing);
    let cached = cached(exec)?;
    if args.json {
        let lacking: Vec<_> = tools.iter().filter(|t| !t.ok).map(|t| t.name).collect();
        let all = serde_json::json!({
            "usable": usable,
            "environment": place,
            "checks": checks,
            "host_lacks": lacking,
            "cached": cached,
        });
        stdout::line(&format!("{all:#}"))?;
    } else {
        let table = table(color, &checks, &cached);
        stdout::print(&format!("{table}\n{}\n", verdict(usable)))?;
    }
    Ok(if usable { Exit::Clean } else { Exit::Usage })
}

fn verdict(usable: bool) -> &'static str {
    if usable {
        "This host can build and run sanitizer kernels. Next: dmasan demo"
    } else {
        "Something is missing that only you can provide, see above."
    }
}

fn examine(exec: &Exec, tools: &[host::Tool]) -> (&'static str, Vec<Check>) {
    let suffices = host::suffices(tools);
    let on_host = match exec.place {
        Place::Auto => suffices,
        Place::Host => true,
        Place::Root => false,
    };
    let lacking: Vec<_> = tools.iter().filter(|t| !t.ok).map(|t| t.name).collect();
    let mut checks = vec![machine()];
    if on_host {
        let state = if suffices { State::Ok } else { State::Missing };
        let found = if suffices {
            "all there".to_owned()
        } else {
            format!("lacking or too old: {}", lacking.join(", "))
        };
        let advice = "install the packages that have them, or use --env root, which needs none";
        checks.push(check(
            "host's own tools",
            state,
            found,
            if suffices { "" } else { advice },
        ));
    } else {
        let found = format!("not used; lacking or too old: {}", lacking.join(", "));
        checks.push(check("host's own tools", State::Note, found, ""));
        checks.extend(root_checks(exec));
    }
    checks.push(cores());
    checks.push(memory());
    checks.push(disk());
    checks.push(kvm());
    (if on_host { "host" } else { "root" }, checks)
}

/// What a root of our own needs.
fn root_checks(exec: &Exec) -> Vec<Check> {
    let mut checks = Vec::new();
    let root = host::is_root();
    checks.push(if root {
        check("root rights", State::Ok, "yes", "")
    } else {
        let advice = format!("run as root: {}", host::as_root());
        check("root rights", State::Missing, "no", &advice)
    });
    let apt = host::which("apt-get");
    let mmdebstrap = host::which("mmdebstrap");
    checks.push(match (&mmdebstrap, &apt) {
        (Some(path), _) => check("mmdebstrap", State::Ok, path.as_str(), ""),
        (None, Some(_)) => {
            let advice = "will be installed by apt-get when it is needed";
            check("mmdebstrap", State::Note, "not installed", advice)
        }
        (None, None) => {
            let advice = "install it with your package manager: this host has no apt";
            check("mmdebstrap", State::Missing, "not installed", advice)
        }
    });
    if root {
        checks.push(if host::can_isolate(exec) {
            check("mounts and namespaces", State::Ok, "allowed", "")
        } else {
            let advice = "a plain chroot without /proc is used: slower to clean up after a crash, else the same";
            check("mounts and namespaces", State::Note, "not allowed here", advice)
        });
    }
    checks.push(package_source(exec, apt.is_some()));
    checks
}

/// Whether apt has a source of packages; only apt itself knows hosts, so only its lists are looked at.
fn package_source(exec: &Exec, apt: bool) -> Check {
    if !apt {
        return check("package source", State::Note, "no apt: unknown", "");
    }
    let policy = exec.output(&Cmd::new("apt-cache").arg("policy").query());
    let reachable = policy.unwrap_or_default().contains("release ");
    let proxy = ["http_proxy", "https_proxy"]
        .iter()
        .find(|v| std::env::var_os(v).is_some());
    let proxy = proxy.map_or(String::new(), |v| format!(", through {v}"));
    if reachable {
        let found = format!("apt has package lists{proxy}");
        check("package source", State::Ok, found, "")
    } else {
        let advice = "apt-get update will be run when something has to be installed";
        check(
            "package source",
            State::Note,
            format!("apt has no package lists yet{proxy}"),
            advice,
        )
    }
}

fn machine() -> Check {
    match std::env::consts::ARCH {
        "x86_64" => check("machine", State::Ok, "x86_64", ""),
        other => check(
            "machine",
            State::Missing,
            other,
            "only x86_64 hosts are supported",
        ),
    }
}

fn cores() -> Check {
    let n = std::thread::available_parallelism().map_or(1, |n| n.get());
    let advice = if n < 2 {
        "a kernel build takes about 15 minutes on one"
    } else {
        ""
    };
    check(
        "processors",
        if n < 2 { State::Note } else { State::Ok },
        n.to_string(),
        advice,
    )
}

/// Memory that a build or a guest with 2 GB needs.
const MEMORY: u64 = 3_000_000_000;

fn memory() -> Check {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    match kib.map(|k| k * 1024) {
        Some(bytes) if bytes < MEMORY => {
            let advice = format!("guests and builds want {}", size(MEMORY));
            check("memory available", State::Note, size(bytes), &advice)
        }
        Some(bytes) => check("memory available", State::Ok, size(bytes), ""),
        None => check("memory available", State::Note, "unknown (no /proc)", ""),
    }
}

fn disk() -> Check {
    let root = match cache::default_root() {
        Ok(root) => root,
        Err(e) => {
            return check(
                "cache",
                State::Missing,
                e.message(),
                e.advice().unwrap_or(""),
            )
        }
    };
    let existing = root
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(Path::new("/"));
    let writable = AccessFlags::W_OK | AccessFlags::X_OK;
    if !existing.is_dir() || access(existing, writable).is_err() {
        let found = format!("no folder can be made at {}", root.display());
        let advice = format!(
            "make {} a folder that you can write to, or point XDG_CACHE_HOME elsewhere",
            existing.display()
        );
        return check("disk", State::Missing, found, &advice);
    }
    let free = bootstrap::free_space(existing).unwrap_or(0);
    let made = root.join("root").exists() || root.join("host").exists();
    let found = format!("{} free at {}", size(free), root.display());
    if free >= bootstrap::SPACE || made {
        check("disk", State::Ok, found, "")
    } else {
        let advice = format!(
            "a set-up needs about {}: free some, or point XDG_CACHE_HOME elsewhere",
            size(bootstrap::SPACE)
        );
        check("disk", State::Missing, found, &advice)
    }
}

fn kvm() -> Check {
    let found = if Path::new("/dev/kvm").exists() {
        "present, not used"
    } else {
        "not there, not needed"
    };
    check(
        "KVM",
        State::Ok,
        format!("{found} (guests run in software: TCG)"),
        "",
    )
}

/// Everything in the cache, with sizes as `du` counts them.
fn cached(exec: &Exec) -> Result<Vec<Cached>> {
    let top = cache::default_root().map_err(|e| Error::usage(e.message()))?;
    let mut found = Vec::new();
    let mut todo = vec![top];
    while let Some(dir) = todo.pop() {
        for kind in subdirs(&dir) {
            for entry in subdirs(&kind) {
                let lock = entry.with_extension("lock");
                if !lock.exists() {
                    todo.extend(kind.ends_with("host").then_some(entry));
                    continue;
                }
                todo.push(entry.join("root/dmasan"));
                found.push(describe(exec, &entry, &kind));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn describe(exec: &Exec, entry: &Path, kind: &Path) -> Cached {
    let marker = std::fs::read_to_string(entry.join("complete")).ok();
    let fields = marker.as_deref().and_then(|t| serde_json::from_str(t).ok());
    let fields: serde_json::Value = fields.unwrap_or_default();
    let name = kind.file_name().unwrap_or_default().to_string_lossy();
    let what = fields["what"]
        .as_str()
        .map_or(name.into_owned(), str::to_owned);
    let du = Cmd::new("du").args(["-s", "-B1", "--exclude=./root/dmasan"]);
    let du = du.arg(".").dir(entry).query();
    let text = exec.output(&du).unwrap_or_default();
    Cached {
        what,
        complete: marker.is_some(),
        bytes: text
            .split_whitespace()
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0),
        path: entry.display().to_string(),
    }
}

fn subdirs(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut dirs: Vec<_> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    dirs.sort();
    dirs
}

fn table(color: Color, checks: &[Check], cached: &[Cached]) -> String {
    let mut text = String::new();
    let colored = color.wanted(std::io::IsTerminal::is_terminal(&std::io::stdout()));
    for c in checks {
        let (word, sgr) = match c.state {
            State::Ok => ("ok", "32"),
            State::Note => ("note", "33"),
            State::Missing => ("MISSING", "1;31"),
        };
        let mark = if colored {
            format!("\x1b[{sgr}m{word:<8}\x1b[0m")
        } else {
            format!("{word:<8}")
        };
        text.push_str(&format!("{mark}{:<22} {}\n", c.name, c.found));
        if !c.advice.is_empty() {
            text.push_str(&format!("{:<30} -> {}\n", "", c.advice));
        }
    }
    text.push('\n');
    if cached.is_empty() {
        text.push_str(
            "Nothing is cached yet: the first run fetches about 510 MB and builds a kernel.\n",
        );
        return text;
    }
    text.push_str("Cached:\n");
    for c in cached {
        let state = if c.complete {
            ""
        } else {
            " (incomplete, will be redone)"
        };
        let size = size(c.bytes);
        text.push_str(&format!("{size:>10}  {}{state}  {}\n", c.what, c.path));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Ui;

    fn exec(place: Place) -> Exec {
        Exec::new(Ui::new(0, Color::Never), false).with_place(place)
    }

    fn tool(ok: bool) -> host::Tool {
        host::Tool {
            name: "bindgen",
            found: None,
            needs: "0.71.1",
            ok,
        }
    }

    #[test]
    fn a_host_that_suffices_needs_no_root() {
        let (place, checks) = examine(&exec(Place::Auto), &[tool(true)]);
        assert_eq!(place, "host");
        assert!(checks.iter().all(|c| c.name != "root rights"));
    }

    #[test]
    fn the_host_asked_for_but_lacking_is_missing() {
        let (_, checks) = examine(&exec(Place::Host), &[tool(false)]);
        let own = checks
            .iter()
            .find(|c| c.name == "host's own tools")
            .unwrap();
        assert_eq!(own.state, State::Missing);
        assert!(own.found.contains("bindgen"));
    }
}
