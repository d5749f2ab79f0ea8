// SPDX-License-Identifier: GPL-2.0-only
//! The user space half of the kernel's own benchmark: built from the kernel's tools/dma, without libraries.

use std::path::{Path, PathBuf};

use crate::cache::Key;
use crate::error::{io, Exit, Result};
use crate::exec::{quote, Exec};
use crate::kernel::Kernel;
use crate::root::Env;

/// Its name, in the kernel's sources and in the guest.
pub const NAME: &str = "dma_map_benchmark";

/// The header that it shares with the kernel; the C library's copy may lack it.
const HEADER: &str = "include/uapi/linux/map_benchmark.h";

/// Builds the program unless it is there already.
pub fn build(exec: &Exec, env: &Env, kernel: &Kernel) -> Result<PathBuf> {
    let source = kernel.source.join(format!("tools/dma/{NAME}.c"));
    let header = kernel.source.join(HEADER);
    let mut key = Key::new("program").with("env", env.key().hex());
    for file in [&source, &header] {
        // A dry run may have no sources yet.
        let text = match std::fs::read(file) {
            Err(_) if exec.dry_run => Vec::new(),
            text => text.map_err(io("cannot read", file))?,
        };
        key = key.with("file", text);
    }
    let entry = env.cache(exec)?.entry("programs", &key);
    let compiler = format!("{}gcc", kernel.arch.cross());
    let make = |dir: &Path| compile(exec, env, &compiler, &source, &header, dir);
    let dir = entry.get_or_make(NAME, make)?;
    Ok(dir.join(NAME))
}

fn compile(
    exec: &Exec,
    env: &Env,
    compiler: &str,
    source: &Path,
    header: &Path,
    dir: &Path,
) -> Result<()> {
    let include = dir.join("linux");
    if !exec.dry_run {
        std::fs::create_dir(&include).map_err(io("cannot create", &include))?;
        let copy = include.join("map_benchmark.h");
        std::fs::copy(header, &copy).map_err(io("cannot write", &copy))?;
    }
    let gcc = env
        .cmd(compiler)
        .args(["-O2", "-static", "-D_GNU_SOURCE", "-I"])
        .arg(env.inside(dir))
        .arg("-o")
        .arg(env.inside(&dir.join(NAME)))
        .arg(env.inside(source));
    let log = dir.join("build.log");
    let log = (!exec.dry_run).then_some(log.as_path());
    exec.run(&gcc, log).map_err(|e| match e.exit() {
        Exit::Interrupted => e,
        _ => e
            .context(format!("cannot build the kernel's tools/dma/{NAME}"))
            .help("it needs a static C library: apt-get install libc6-dev"),
    })
}

/// The script that runs it in a guest, for all pairs of pages and threads.
pub fn script(pairs: &[(u32, u32)], seconds: u32) -> String {
    let mut text = String::from(
        "set -e\n\
         for d in /sys/bus/pci/devices/*; do\n\
         \t[ \"$(cat $d/vendor) $(cat $d/device)\" != '0x1234 0x11e8' ] || device=$d\n\
         done\n\
         drivers=/sys/bus/pci/drivers/dma_map_benchmark\n\
         [ -d $drivers ] || { echo 'the kernel lacks CONFIG_DMA_MAP_BENCHMARK'; exit 1; }\n\
         echo dma_map_benchmark >$device/driver_override\n\
         echo ${device##*/} >$drivers/bind\n",
    );
    let program = quote(crate::guest::program_path(Path::new(NAME)).as_ref());
    for (pages, threads) in pairs {
        text.push_str(&format!("{program} -g {pages} -t {threads} -s {seconds}\n"));
    }
    text
}
