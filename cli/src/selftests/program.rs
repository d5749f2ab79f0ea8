// SPDX-License-Identifier: GPL-2.0-only
//! Programs of the kernel's `tools/testing/selftests`: built from its sources and headers, without libraries.

use std::path::{Path, PathBuf};

use crate::cache::Key;
use crate::error::{io, Exit, Result};
use crate::exec::Exec;
use crate::kernel::Kernel;
use crate::root::Env;
use crate::stdout;

/// As much of libcap as they want: roots have no static one.
const CAPABILITY: &str = include_str!("capability.h");

/// Builds the program unless it is there already: `NAME.c` in a folder of the selftests.
pub fn build(exec: &Exec, env: &Env, kernel: &Kernel, folder: &str, name: &str) -> Result<PathBuf> {
    let tree = kernel.source.display().to_string();
    let key = Key::new("selftest")
        .with("env", env.key().hex())
        // Trees are named by their content.
        .with("tree", tree)
        .with("architecture", kernel.arch.name())
        .with("capability", CAPABILITY)
        .with("program", format!("{folder}/{name}"));
    let entry = env.cache(exec)?.entry("programs", &key);
    let dir = entry.get_or_make(name, |dir| compile(exec, env, kernel, folder, name, dir))?;
    Ok(dir.join(name))
}

fn compile(
    exec: &Exec,
    env: &Env,
    kernel: &Kernel,
    folder: &str,
    name: &str,
    dir: &Path,
) -> Result<()> {
    let header = dir.join("include/sys/capability.h");
    let headers = dir.join("headers");
    if exec.dry_run {
        stdout::line(&format!("# write {}", header.display()))?;
    } else {
        for path in [&dir.join("include/sys"), &headers] {
            std::fs::create_dir_all(path).map_err(io("cannot create", path))?;
        }
        std::fs::write(&header, CAPABILITY).map_err(io("cannot write", &header))?;
    }
    let log = dir.join("build.log");
    let log = (!exec.dry_run).then_some(log.as_path());
    let make = env
        .cmd_in(&env.inside(&kernel.source), "make")
        .arg(format!("O={}", env.inside(&headers).display()))
        .args(kernel.arch.make())
        .arg("headers");
    exec.run(&make, log)?;
    // The flags are those of tools/testing/selftests/lib.mk.
    let selftests = kernel.source.join("tools/testing/selftests");
    let gcc = env
        .cmd(&format!("{}gcc", kernel.arch.cross()))
        .args(["-O2", "-static", "-D_GNU_SOURCE="])
        .arg(format!("-I{}", env.inside(&dir.join("include")).display()))
        .arg("-isystem")
        .arg(env.inside(&headers.join("usr/include")))
        .arg(format!("-I{}", env.inside(&selftests).display()))
        .arg("-o")
        .arg(env.inside(&dir.join(name)))
        .arg(env.inside(&selftests.join(format!("{folder}/{name}.c"))));
    exec.run(&gcc, log).map_err(|e| match e.exit() {
        Exit::Interrupted => e,
        _ => e
            .context(format!(
                "cannot build the kernel's selftest {folder}/{name}"
            ))
            .help("it needs a static C library: apt-get install libc6-dev"),
    })
}
