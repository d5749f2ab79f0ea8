// SPDX-License-Identifier: GPL-2.0-only
//! Kernel sources: the distribution's package, or a copy of the user's own tree.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::apt::{Apt, Package};
use crate::bootstrap::no_network;
use crate::cache::{Cache, Key};
use crate::embed;
use crate::error::{io, Error, Result};
use crate::exec::{Cmd, Exec};
use crate::process;
use crate::root::Env;
use crate::ui::{size, Unit};

/// Kernel series that the tool has patches for, newest first.
pub const SERIES: &[&str] = &["7.3", "6.12"];

/// A source that the user names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    /// The distribution's kernel of one series, an element of [`SERIES`].
    Series(&'static str),
    /// The user's tree.
    Own(PathBuf),
}

/// A kernel's version as its top Makefile says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// Such as `7.3`; patches are kept per series.
    pub series: String,
    /// Such as `7.3.4` or `7.3.0-rc1`.
    pub full: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

impl Version {
    /// Reads the version of a tree.
    pub fn of(tree: &Path) -> Result<Self> {
        let path = tree.join("Makefile");
        let text = std::fs::read_to_string(&path).map_err(|e| {
            Error::usage(format!("{} is no kernel tree: {e}", tree.display()))
                .help("name the top folder of a Linux source tree")
        })?;
        Self::parse(&text).ok_or_else(|| {
            Error::usage(format!(
                "{} is no kernel tree: its Makefile has no VERSION and PATCHLEVEL",
                tree.display()
            ))
            .help("name the top folder of a Linux source tree")
        })
    }

    fn parse(makefile: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = makefile.lines().take(20);
            let value = lines.find_map(|l| l.strip_prefix(name)?.trim_start().strip_prefix('='));
            value.map(str::trim)
        };
        let number = |name| field(name).filter(|v| v.parse::<u32>().is_ok());
        let series = format!("{}.{}", number("VERSION")?, number("PATCHLEVEL")?);
        let full = format!(
            "{series}.{}{}",
            number("SUBLEVEL").unwrap_or("0"),
            field("EXTRAVERSION").unwrap_or("")
        );
        Some(Self { series, full })
    }

    /// Whether there are patches for the series.
    pub fn has_patches(&self) -> bool {
        embed::KERNEL
            .get_dir(format!("patches/{}", self.series))
            .is_some()
    }

    /// Refuses a kernel that there are no patches for.
    pub fn check_patches(&self, tree: &Path) -> Result<()> {
        if self.has_patches() {
            return Ok(());
        }
        let text = format!(
            "{} is Linux {self}, for which there are no patches",
            tree.display()
        );
        Err(Error::usage(text).help(format!("supported: Linux {}", SERIES.join(", "))))
    }
}

/// The series of a kernel whose `uname -r` this is.
pub fn series_of(release: &str) -> &str {
    let mut ends = release.match_indices(['.', '-']).map(|(at, _)| at);
    &release[..ends.nth(1).unwrap_or(release.len())]
}

/// An unpacked kernel source, not to be written to.
#[derive(Clone, Debug)]
pub struct Source {
    /// Host path of the tree.
    pub tree: PathBuf,
    /// Its version.
    pub version: Version,
    /// Identity of its content.
    pub key: Key,
}

/// Name of the tree inside of an entry.
const TREE: &str = "linux";

/// The source that is named; if none is, the newest series that the distribution has of those that there are patches
/// for.
pub fn prepare(exec: &Exec, env: &Env, wanted: Option<&Named>) -> Result<Source> {
    let cache = env.cache(exec)?;
    match wanted {
        Some(Named::Own(tree)) => copy(exec, env, &cache, tree),
        Some(Named::Series(series)) => distribution(exec, env, &cache, &[series]),
        None => distribution(exec, env, &cache, SERIES),
    }
}

/// The distribution's kernel of the first of these series that it has.
fn distribution(exec: &Exec, env: &Env, cache: &Cache, series: &[&str]) -> Result<Source> {
    // Keyed by what is asked for, not by what is newest today: later runs need no network.
    let key = Key::new("source").with("series", series[0]);
    let entry = cache.entry("source", &key);
    let dir = entry.get_or_make("kernel source", |dir| fetch(exec, env, dir, series))?;
    let tree = dir.join(TREE);
    let version = if exec.dry_run && !entry.is_complete() {
        let series = series[0].to_owned();
        Version {
            full: format!("{series}.0"),
            series,
        }
    } else {
        Version::of(&tree)?
    };
    if version.series != series[0] {
        fell_back(exec, series, &version, &dir)?;
    }
    let package = std::fs::read(dir.join("package")).unwrap_or_default();
    let key = key.with("package", package);
    Ok(Source { tree, version, key })
}

/// The distribution had not the best series when it was asked: says so, or refuses if no other will do.
fn fell_back(exec: &Exec, series: &[&str], version: &Version, dir: &Path) -> Result<()> {
    let best = series[0];
    let again = format!("to look again, delete {}", dir.display());
    if series.len() == 1 {
        let text = format!("the distribution had no Linux {best}, but {version}");
        return Err(Error::failed(text).help(again));
    }
    exec.ui.note(&format!(
        "the distribution had no Linux {best}: this is {version}, of which docs/lts.md tells what differs; {again}"
    ));
    Ok(())
}

/// Downloads and unpacks the package into a new entry.
fn fetch(exec: &Exec, env: &Env, dir: &Path, series: &[&str]) -> Result<()> {
    let apt = Apt::new(exec, env, &dir.join("apt"))?;
    let step = exec.ui.step("package lists for the kernel source");
    // apt also fails when one of several sources is gone; what counts is whether the package is found.
    let updated = apt.update(None);
    process::check()?;
    let package = match find(exec, &apt, series) {
        Ok(package) => package,
        Err(not_found) => {
            updated.map_err(|e| no_network(e.context("fetching package lists")))?;
            return Err(not_found);
        }
    };
    step.done(&format!("{} {}", package.name, package.version));

    let text = format!("downloading {} ({})", package.name, size(package.size));
    let bar = exec.ui.bar(&text, package.size, Unit::Bytes);
    exec.polled(&apt.download(&package), &mut || {
        bar.set(apt.downloaded(&package.name).0);
    })
    .map_err(|e| no_network(e.context(format!("downloading {}", package.name))))?;
    bar.done("");
    if exec.dry_run {
        let deb = dir.join(format!("apt/{}.deb", package.name));
        return unpack(exec, dir, &deb, &package);
    }
    let deb = apt.downloaded(&package.name).1.ok_or_else(|| {
        Error::failed(format!(
            "apt downloaded {} but its file is not there",
            package.name
        ))
    })?;
    unpack(exec, dir, &deb, &package)?;
    let note = dir.join("package");
    let text = format!("{} {}\n", package.name, package.version);
    std::fs::write(&note, text).map_err(io("cannot write", &note))?;
    crate::cache::remove_tree(&dir.join("apt"))
}

/// The source package of the first series that there is one of.
fn find(exec: &Exec, apt: &Apt<'_>, series: &[&str]) -> Result<Package> {
    let wanted: Vec<_> = series.iter().map(|s| format!("linux-source-{s}")).collect();
    if let Some(package) = first(&wanted, |name| apt.show(name))? {
        return Ok(package);
    }
    if exec.dry_run {
        return Ok(Package {
            name: wanted[0].clone(),
            version: "VERSION".to_owned(),
            size: 0,
        });
    }
    Err(not_found(
        &wanted,
        &apt.names("linux-source-").unwrap_or_default(),
    ))
}

/// What `show` finds for the first of the names that it finds anything for.
fn first(
    names: &[String],
    mut show: impl FnMut(&str) -> Result<Option<Package>>,
) -> Result<Option<Package>> {
    for name in names {
        if let Some(package) = show(name)? {
            return Ok(Some(package));
        }
    }
    Ok(None)
}

fn not_found(wanted: &[String], available: &[String]) -> Error {
    let available = match available {
        [] => "none at all".to_owned(),
        names => names.join(", "),
    };
    Error::failed(format!(
        "no kernel source package: looked for {}; the package source has {available}",
        wanted.join(", ")
    ))
    .help("give a kernel tree of your own: --source DIR")
}

/// Unpacks the source archive that is inside of the package.
fn unpack(exec: &Exec, dir: &Path, deb: &Path, package: &Package) -> Result<()> {
    let files = dir.join("apt/files");
    let tree = dir.join(TREE);
    let extract = Cmd::new("dpkg-deb").arg("-x").arg(deb).arg(&files);
    exec.run(&extract, None)
        .map_err(|e| e.context(format!("unpacking {}", package.name)))?;
    let archive = files.join(format!("usr/src/{}.tar.xz", package.name));
    if !exec.dry_run {
        std::fs::create_dir(&tree).map_err(io("cannot create", &tree))?;
    }
    let total = std::fs::metadata(&archive).map_or(0, |m| m.len());
    let bar = exec
        .ui
        .bar("unpacking the kernel source", total, Unit::Bytes);
    let tar = Cmd::new("tar")
        .args(["-x", "-J", "--no-same-owner", "--strip-components=1", "-C"])
        .arg(&tree);
    exec.feed(&tar, &archive, &mut |done| bar.set(done))
        .map_err(|e| e.context("unpacking the kernel source"))?;
    bar.done("");
    Ok(())
}

/// Copies the user's tree, so that nothing is ever written to it.
fn copy(exec: &Exec, env: &Env, cache: &Cache, own: &Path) -> Result<Source> {
    let own = own.canonicalize().map_err(|e| {
        Error::usage(format!("--source {}: {e}", own.display()))
            .help("name the top folder of a Linux source tree")
    })?;
    let version = Version::of(&own)?;
    let key = Key::new("own source")
        .with("path", own.as_os_str().as_encoded_bytes())
        .with("files", fingerprint(&own)?);
    let entry = cache.entry("source", &key);
    let dir = entry.get_or_make("copy of your kernel tree", |dir| {
        let step = exec.ui.step(&format!("copying {}", own.display()));
        let tree = dir.join(TREE);
        if !exec.dry_run {
            std::fs::create_dir(&tree).map_err(io("cannot create", &tree))?;
        }
        let parts = top_entries(&own)?;
        let cp = Cmd::new("cp").args(["-a", "--reflink=auto", "--"]);
        exec.run(&cp.args(parts).arg(&tree), None)
            .map_err(|e| e.context(format!("copying {}", own.display())))?;
        step.done("");
        if own.join(".config").exists() || own.join("include/config").exists() {
            exec.ui.note(&format!(
                "{} has been built in place: the copy is cleaned (make mrproper), yours stays as it is",
                own.display()
            ));
            let make = env.cmd_in(&env.inside(&tree), "make").arg("mrproper");
            exec.run(&make, None)?;
        }
        Ok(())
    })?;
    let tree = dir.join(TREE);
    Ok(Source { tree, version, key })
}

/// What is in the top folder, without the history.
fn top_entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).map_err(io("cannot read", dir))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io("cannot read", dir))?;
        if entry.file_name() != OsStr::new(".git") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// A hash over names, sizes and times of all files: tells an edited tree from an unchanged one without
/// reading 1.5 GB.
fn fingerprint(dir: &Path) -> Result<String> {
    let mut key = Key::new("files");
    let mut todo = top_entries(dir)?;
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).map_err(io("cannot read", &path))?;
        if meta.is_dir() {
            process::check()?;
            todo.extend(top_entries(&path)?);
        } else {
            let facts = [meta.size() as i64, meta.mtime(), meta.mtime_nsec()];
            let facts: Vec<u8> = facts.iter().flat_map(|f| f.to_le_bytes()).collect();
            let name = path.as_os_str().as_encoded_bytes();
            key = key.with("file", [name, facts.as_slice()].concat());
        }
    }
    Ok(key.hex().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let text = "# SPDX\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n";
        let version = Version::parse(text).unwrap();
        assert_eq!(
            (version.series.as_str(), version.full.as_str()),
            ("7.3", "7.3.4")
        );
        let text = "VERSION = 7\nPATCHLEVEL = 4\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n";
        assert_eq!(Version::parse(text).unwrap().full, "7.4.0-rc1");
        assert_eq!(Version::parse("all:\n\techo\n"), None);
    }

    #[test]
    fn a_release_is_of_a_series() {
        for (release, series) in [
            ("6.12.107", "6.12"),
            ("7.3.4+deb14-amd64", "7.3"),
            ("7.3-rc1", "7.3"),
            ("7.3", "7.3"),
        ] {
            assert_eq!(series_of(release), series);
        }
    }

    #[test]
    fn the_newest_series_that_there_is() {
        let package = |name: &str| Package {
            name: name.to_owned(),
            version: "1".to_owned(),
            size: 1,
        };
        let names: Vec<_> = SERIES.iter().map(|s| format!("linux-source-{s}")).collect();
        let among = |there: &'static [&'static str]| {
            let show = |name: &str| Ok(there.contains(&name).then(|| package(name)));
            first(&names, show).unwrap().map(|p| p.name)
        };
        let (new, old) = ("linux-source-7.3", "linux-source-6.12");
        assert_eq!(
            among(&["linux-source-6.12", "linux-source-7.3"]).unwrap(),
            new
        );
        assert_eq!(
            among(&["linux-source-6.1", "linux-source-6.12"]).unwrap(),
            old
        );
        assert_eq!(among(&["linux-source-6.1"]), None);
        // An error of apt is none about the next package.
        let fails = |_: &str| Err(Error::failed("apt"));
        assert!(first(&names, fails).is_err());
    }

    #[test]
    fn every_series_has_patches() {
        for series in SERIES {
            let version = Version {
                series: (*series).to_owned(),
                full: format!("{series}.1"),
            };
            assert!(version.has_patches(), "{series}");
        }
    }

    #[test]
    fn a_missing_package_names_what_was_looked_for() {
        let e = not_found(&["linux-source-7.3".into()], &["linux-source-6.12".into()]);
        assert!(e.message().contains("looked for linux-source-7.3"));
        assert!(e.message().contains("has linux-source-6.12"));
        assert!(e.advice().unwrap().contains("--source DIR"));
    }

    #[test]
    fn fingerprints_notice_edits_but_not_history() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "1").unwrap();
        let first = fingerprint(dir.path()).unwrap();
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        std::fs::write(dir.path().join(".git/x"), "1").unwrap();
        assert_eq!(fingerprint(dir.path()).unwrap(), first);
        std::fs::write(dir.path().join("a"), "12").unwrap();
        assert_ne!(fingerprint(dir.path()).unwrap(), first);
    }
}
