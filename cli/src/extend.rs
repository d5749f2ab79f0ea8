// SPDX-License-Identifier: GPL-2.0-only
//! A root for guests of a foreign architecture: that for x86_64 with a cross compiler, an emulator and a busybox.
//!
//! It is a root of its own, made when such a guest is asked for the first time, so that nobody fetches 50 MB for nothing and the
//! kernels built in the first root keep their names. Its files are hard links to those of the first one: dpkg, like
//! everything that writes to it, replaces files and does not change them.

use std::path::Path;

use crate::bootstrap::no_network;
use crate::error::{io, Result};
use crate::exec::{Cmd, Exec};
use crate::root::Env;
use crate::stdout;

/// Links a root to a new folder, without what was built in it, but with the kernel source.
pub fn copy(exec: &Exec, base: &Env, to: &Path) -> Result<()> {
    let from = base.outside("/");
    let work = base.work();
    if exec.dry_run {
        let text = format!("# link {} to {}", from.display(), to.display());
        return stdout::line(&text);
    }
    std::fs::create_dir(to).map_err(io("cannot create", to))?;
    let link = || Cmd::new("cp").args(["-al", "--"]);
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(&from).map_err(io("cannot read", &from))? {
        let path = entry.map_err(io("cannot read", &from))?.path();
        if path != work {
            parts.push(path);
        }
    }
    exec.run(&link().args(parts).arg(to), None)?;
    let new = to.join(work.strip_prefix(&from).unwrap_or(work));
    std::fs::create_dir(&new).map_err(io("cannot create", &new))?;
    let source = work.join("source");
    match source.exists() {
        true => exec.run(&link().arg(source).arg(new), None),
        false => Ok(()),
    }
}

/// Installs what the environment's architecture needs.
pub fn install(exec: &Exec, env: &Env) -> Result<()> {
    let name = env.arch().name();
    let apt = |words: &[&str]| {
        let apt = env.cmd("apt-get").args(["-q", "-o", "Dpkg::Use-Pty=0"]);
        apt.args(words)
    };
    let run = |cmd: &Cmd| {
        exec.run(cmd, None)
            .map_err(|e| no_network(e.context(format!("installing what {name} needs"))))
    };
    let step = exec
        .ui
        .step(&format!("tools for {name} (about 50 MB to fetch)"));
    run(&env.cmd("dpkg").args(["--add-architecture", name]))?;
    run(&apt(&["update"]))?;
    let install = apt(&["install", "-y", "--no-install-recommends"]);
    run(&install.args(env.arch().packages()))?;
    // Beside the root's own, where no package of the same name can be installed.
    let place = format!("/opt/{name}");
    run(&env.cmd("mkdir").args(["-p", &place]))?;
    let busybox = format!("busybox-static:{name}");
    let script = "apt-get -q -o APT::Sandbox::User=root download \"$1\" && dpkg-deb -x ./*.deb . && rm ./*.deb";
    run(&env
        .cmd_in(Path::new(&place), "sh")
        .args(["-c", script, "sh", &busybox]))?;
    step.done("");
    Ok(())
}
