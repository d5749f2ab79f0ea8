// SPDX-License-Identifier: GPL-2.0-only
//! Programs that a workload needs since a shell cannot do it: built from one C file each, without libraries.

use std::path::PathBuf;

use crate::boot::Host;
use crate::cache::Key;
use crate::embed;
use crate::error::{io, Error, Exit, Result};
use crate::kernel::Kernel;

/// Builds `drivers/workloads/NAME.c` unless it is there already.
pub fn build(host: &Host, kernel: &Kernel, name: &str) -> Result<PathBuf> {
    let file = embed::DRIVERS.get_file(format!("workloads/{name}.c"));
    let Some(text) = file.map(|f| f.contents()) else {
        return Err(Error::usage(format!(
            "there is no drivers/workloads/{name}.c"
        )));
    };
    let (exec, env) = (&host.exec, &host.env);
    let compiler = format!("{}gcc", kernel.arch.cross());
    let key = Key::new("program")
        .with("env", env.key().hex())
        .with("compiler", &compiler)
        .with("file", text);
    let entry = env.cache(exec)?.entry("programs", &key);
    let dir = entry.get_or_make(&format!("program {name}"), |dir| {
        let source = dir.join(format!("{name}.c"));
        if !exec.dry_run {
            std::fs::write(&source, text).map_err(io("cannot write", &source))?;
        }
        let gcc = env
            .cmd(&compiler)
            .args(["-O2", "-static", "-Wall", "-Werror", "-o"])
            .arg(env.inside(&dir.join(name)))
            .arg(env.inside(&source));
        let log = dir.join("build.log");
        let log = (!exec.dry_run).then_some(log.as_path());
        exec.run(&gcc, log).map_err(|e| match e.exit() {
            Exit::Interrupted => e,
            _ => e
                .context(format!("cannot build drivers/workloads/{name}.c"))
                .help("it needs a static C library: apt-get install libc6-dev"),
        })
    })?;
    Ok(dir.join(name))
}
