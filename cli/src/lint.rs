// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan kernel check`: the kernel's own checks, run on the files that the project adds to it.

use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::args::{jobs_or_default, CheckArgs};
use crate::cache::Cache;
use crate::error::{io, Error, Exit, Result};
use crate::exec::{Cmd, Exec};
use crate::kernel::{self, Flavor, KernelSpec};
use crate::mail::mails;
use crate::root::Env;
use crate::source::{self, Named, SERIES};
use crate::tree;

/// Where the sanitizer is in a kernel tree.
const FOLDER: &str = "drivers/iommu/debug-pagealloc";

/// Runs the command.
pub fn run(exec: &Exec, args: &CheckArgs) -> Result<Exit> {
    let cache = Cache::open(exec)?;
    let env = Env::prepare(exec, &cache, Arch::X86_64)?;
    let jobs = jobs_or_default(args.jobs);
    let wanted = args.linux.map(Named::Series);
    let source = source::prepare(exec, &env, wanted.as_ref())?;
    let (tree, _) = tree::patched(exec, &env, &source)?;
    let env = env.with_tree(&tree);
    let check = Check {
        exec,
        env: &env,
        tree: env.inside(&tree),
        jobs,
    };
    // The quick ones before there is a kernel.
    let scratch = Scratch::new(exec, &env)?;
    check.rustfmt(&source.version.series)?;
    check.checkpatch(&scratch.0)?;
    let spec = KernelSpec {
        flavor: Flavor::Rust,
        model: Default::default(),
        extra: &[],
        source: wanted,
        fragments: Vec::new(),
        jobs,
    };
    let kernel = kernel::build(exec, &cache, &env, &spec)?;
    check.clippy(&kernel.dir, &scratch.0)?;
    Ok(Exit::Clean)
}

/// A folder in the environment's working area that goes away again.
struct Scratch(PathBuf);

impl Scratch {
    fn new(exec: &Exec, env: &Env) -> Result<Scratch> {
        let path = env.work().join(format!("check-{}", std::process::id()));
        if !exec.dry_run {
            std::fs::create_dir_all(&path).map_err(io("cannot create", &path))?;
        }
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be deleted is in nobody's way.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Check<'a> {
    exec: &'a Exec,
    env: &'a Env,
    /// The patched tree, as commands inside see it.
    tree: PathBuf,
    jobs: usize,
}

impl Check<'_> {
    /// The kernel's formatting, on the entry file and all modules below it, and on what the series adds elsewhere.
    fn rustfmt(&self, series: &str) -> Result<()> {
        let step = self.exec.ui.step("rustfmt");
        let root = PathBuf::from(format!("{FOLDER}/iommu_debug_pagealloc.rs"));
        let added = tree::new_files(series).into_iter().map(|f| f.path);
        let added = added.filter(|p| p.extension().is_some_and(|e| e == "rs"));
        let elsewhere = added.filter(|p| !p.starts_with(FOLDER));
        let cmd = self.env.cmd_in(&self.tree, "rustfmt").args([
            "--check",
            "--edition",
            "2021",
            "--config-path",
            ".rustfmt.toml",
        ]);
        let cmd = cmd.arg(root).args(elsewhere);
        self.exec.run(&cmd, None)?;
        step.done("");
        Ok(())
    }

    /// All series as they would be mailed. MAINTAINERS gets no entry: that is the subsystem's to decide. And
    /// checkpatch does not know that a macro can define what is exported below it (static keys).
    fn checkpatch(&self, scratch: &Path) -> Result<()> {
        let step = self.exec.ui.step("checkpatch on all series");
        let mut files = Vec::new();
        for series in SERIES {
            for mail in mails(series) {
                let path = scratch.join(format!("{series}-{}", mail.name));
                if !self.exec.dry_run {
                    std::fs::write(&path, &mail.text).map_err(io("cannot write", &path))?;
                }
                files.push(self.env.inside(&path));
            }
        }
        let cmd = self
            .env
            .cmd_in(&self.tree, "perl")
            .args([
                "scripts/checkpatch.pl",
                "--quiet",
                "--strict",
                "--no-summary",
                "--ignore",
            ])
            .arg("FILE_PATH_CHANGES,EXPORT_SYMBOL")
            .args(&files);
        self.exec.run(&cmd, None)?;
        step.done(&format!("{} mails", files.len()));
        Ok(())
    }

    /// The kernel's own clippy build of our object, in a copy of the build folder.
    fn clippy(&self, build: &Path, scratch: &Path) -> Result<()> {
        let step = self.exec.ui.step("the kernel's CLIPPY=1 build");
        let copy = scratch.join("build");
        self.exec
            .run(&Cmd::new("cp").arg("-a").arg(build).arg(&copy), None)?;
        let mut warnings = Vec::new();
        for (jobs, target) in [(self.jobs, "prepare"), (1, FOLDER)] {
            let cmd = self
                .env
                .cmd_in(&self.tree, "make")
                .arg(format!("O={}", self.env.inside(&copy).display()))
                .args(["LOCALVERSION=", "CLIPPY=1"])
                .arg(format!("-j{jobs}"))
                .arg(if target == FOLDER {
                    format!("{FOLDER}/")
                } else {
                    target.to_owned()
                });
            self.exec.lines(&cmd, None, &mut |line| {
                step.message(line.trim());
                if line.starts_with("warning: ")
                    || line.contains(FOLDER) && line.contains(": warning")
                {
                    warnings.push(line.to_owned());
                }
            })?;
        }
        if !warnings.is_empty() {
            return Err(Error::failed(format!(
                "the kernel's compilers warn about our files: {}",
                warnings.join("; ")
            ))
            .help(format!(
                "see them all: make CLIPPY=1 {FOLDER}/ in the patched tree"
            )));
        }
        step.done("");
        Ok(())
    }
}
