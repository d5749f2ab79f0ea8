// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan kernel patch`: the series as files, or applied to the user's tree on a branch of its own.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::args::PatchArgs;
use crate::error::{io, Error, Exit, Result};
use crate::exec::{quote, Cmd, Exec};
use crate::host;
use crate::mail::{mails, Mail};
use crate::output;
use crate::process;
use crate::source::{Version, SERIES};
use crate::stdout;

/// Runs the command.
pub fn run(exec: &Exec, args: &PatchArgs) -> Result<Exit> {
    match (&args.target.out, &args.target.onto) {
        (Some(dir), _) => write(exec, dir, args.linux.unwrap_or(SERIES[0]))?,
        (_, Some(tree)) => onto(exec, tree)?,
        _ => return Err(Error::usage("either --out or --onto is needed")),
    }
    Ok(Exit::Clean)
}

/// Writes the mails of a series into a folder and prints their paths.
fn write(exec: &Exec, dir: &Path, series: &str) -> Result<()> {
    let mails = mails(series);
    let old = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut old = old.map(|e| e.path());
    if let Some(patch) = old.find(|p| p.extension().is_some_and(|e| e == "patch")) {
        // `git am DIR/*.patch` would take both.
        let text = format!(
            "{} holds patches already: {}",
            dir.display(),
            patch.display()
        );
        return Err(Error::usage(text).help("name a new folder, or remove them"));
    }
    if !exec.dry_run {
        std::fs::create_dir_all(dir).map_err(|e| unusable(dir, e))?;
    }
    let mut paths = String::new();
    for mail in &mails {
        let path = dir.join(&mail.name);
        if !exec.dry_run {
            std::fs::write(&path, &mail.text).map_err(|e| unusable(&path, e))?;
        }
        paths.push_str(&format!("{}\n", path.display()));
    }
    // The series is whole even if nobody reads the names.
    stdout::print(&paths)?;
    exec.ui.note(&format!(
        "for Linux {series}; apply with: git am {}/*.patch",
        quote(dir.as_os_str())
    ));
    Ok(())
}

/// Where the user wants the patches they cannot be, unless it is only the disk that is full.
fn unusable(path: &Path, e: std::io::Error) -> Error {
    if e.kind() == std::io::ErrorKind::StorageFull {
        return output::unwritten(path, e);
    }
    let text = format!("cannot write {}: {e}", path.display());
    let error = Error::usage(text).because(e);
    error.help("give --out a folder that you can write to, or the name of a new one")
}

/// Applies the series to the user's tree.
fn onto(exec: &Exec, tree: &Path) -> Result<()> {
    let git = Git::open(exec, tree)?;
    let version = Version::of(tree)?;
    version.check_patches(tree)?;
    git.check_clean()?;
    let branch = format!("dmasan/{version}");
    if git.has_branch(&branch)? {
        let text = format!("{} has a branch {branch} already", tree.display());
        let git_c = format!("git -C {}", quote(tree.as_os_str()));
        let delete = format!("{git_c} branch -D {branch}");
        // Git does not delete the branch that it is on.
        let help = match git.current()? == branch {
            true => format!("leave it and delete it first: {git_c} checkout BRANCH && {delete}"),
            false => format!("delete it first: {delete}"),
        };
        return Err(Error::usage(text).help(help));
    }
    let before = git.current()?;
    let mbox = Mbox::write(exec, &mails(&version.series))?;
    // From here on the tree must come back to where it was, Ctrl-C or not.
    let recovery = process::Recovery::begin();
    let step = exec
        .ui
        .step(&format!("applying the series to {}", tree.display()));
    let done = exec
        .run(&git.cmd(&["checkout", "-q", "-b", &branch]), None)
        .and_then(|()| {
            let am = git.cmd(&["am", "-q", "--keep-cr"]).arg(&mbox.path);
            exec.run(&am, None)
        });
    if let Err(e) = done {
        git.restore(&before, &branch);
        drop(recovery);
        let text = format!("the series does not apply to {}", tree.display());
        return Err(e.context(text).help(format!(
            "nothing was changed: the tree is on {before} as before; \
             the patches were made for Linux {} as Debian ships it",
            version.series
        )));
    }
    step.done(&format!("branch {branch}"));
    stdout::line(&branch)
}

/// The user's git tree.
struct Git<'a> {
    exec: &'a Exec,
    tree: &'a Path,
}

impl<'a> Git<'a> {
    fn open(exec: &'a Exec, tree: &'a Path) -> Result<Self> {
        if host::which("git").is_none() {
            return Err(Error::usage("git is missing").help("install git, or use --out DIR"));
        }
        let git = Self { exec, tree };
        if !tree.is_dir() {
            let text = format!("{} is no folder", tree.display());
            return Err(Error::usage(text).help(
                "give the top of a git tree of the kernel, or use --out DIR for the patches alone",
            ));
        }
        let top = git.ask(&["rev-parse", "--show-toplevel"]).map_err(|e| {
            let text = format!("{} is no git tree", tree.display());
            let error = Error::usage(text);
            error
                .because(e)
                .help("use --out DIR and apply the patches yourself")
        })?;
        if Path::new(&top).canonicalize().ok() != tree.canonicalize().ok() {
            let text = format!("{} is not the top of a git tree", tree.display());
            return Err(Error::usage(text).help(format!("the top is {top}")));
        }
        Ok(git)
    }

    fn cmd(&self, args: &[&str]) -> Cmd {
        Cmd::new("git").arg("-C").arg(self.tree).args(args)
    }

    /// Runs a git command that changes nothing.
    fn ask(&self, args: &[&str]) -> Result<String> {
        let text = self.exec.output(&self.cmd(args).query())?;
        Ok(text.trim_end().to_owned())
    }

    /// Refuses a tree with changes, or one that is in the middle of something.
    fn check_clean(&self) -> Result<()> {
        for state in [
            "rebase-apply",
            "rebase-merge",
            "MERGE_HEAD",
            "CHERRY_PICK_HEAD",
        ] {
            let path = self.ask(&["rev-parse", "--git-path", state])?;
            if self.tree.join(path).exists() {
                let text = format!("{}: git is in the middle of something", self.tree.display());
                return Err(Error::usage(format!("{text} ({state})"))
                    .help("finish or abort it first, see git status"));
            }
        }
        let status = self.ask(&["status", "--porcelain", "--untracked-files=no"])?;
        if status.is_empty() {
            return Ok(());
        }
        let files: Vec<_> = status.lines().map(|l| l.get(3..).unwrap_or(l)).collect();
        let more = files.len().saturating_sub(10);
        let mut list = files[..files.len() - more].join(", ");
        if more > 0 {
            list.push_str(&format!(" and {more} more"));
        }
        let text = format!("{} has uncommitted changes: {list}", self.tree.display());
        Err(Error::usage(text).help("commit or stash them first"))
    }

    fn has_branch(&self, name: &str) -> Result<bool> {
        let full = format!("refs/heads/{name}");
        Ok(!self.ask(&["for-each-ref", &full])?.is_empty())
    }

    /// The branch that is checked out, or the commit.
    fn current(&self) -> Result<String> {
        let branch = self.ask(&["branch", "--show-current"])?;
        if branch.is_empty() {
            self.ask(&["rev-parse", "HEAD"])
        } else {
            Ok(branch)
        }
    }

    /// Takes everything back. Does not go through [`Exec`], which starts nothing after Ctrl-C.
    fn restore(&self, before: &str, branch: &str) {
        let steps: [&[&str]; 3] = [
            &["am", "--abort"],
            &["checkout", "-q", "-f", before],
            &["branch", "-q", "-D", branch],
        ];
        for args in steps {
            // A step may have nothing to do; what counts is the state at the end.
            let _ = Command::new("git")
                .arg("-C")
                .arg(self.tree)
                .args(args)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0)
                .status();
        }
    }
}

/// All mails in one temporary file, which is deleted in the end.
struct Mbox {
    path: PathBuf,
}

impl Mbox {
    fn write(exec: &Exec, mails: &[Mail]) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("dmasan-series-{}.mbox", std::process::id()));
        let mbox = Self { path };
        if !exec.dry_run {
            let text: String = mails.iter().map(|m| m.text.as_str()).collect();
            let mut file = std::fs::File::options();
            let file = file.write(true).create_new(true).open(&mbox.path);
            let mut file = file.map_err(io("cannot create", &mbox.path))?;
            std::io::Write::write_all(&mut file, text.as_bytes())
                .map_err(io("cannot write", &mbox.path))?;
        }
        Ok(mbox)
    }
}

impl Drop for Mbox {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
