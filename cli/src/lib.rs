// SPDX-License-Identifier: GPL-2.0-only
//! dmasan builds and boots sanitizer kernels, runs drivers in them and reads the reports.

pub mod apt;
pub mod arch;
pub mod args;
pub mod bench;
pub mod boot;
pub mod bootstrap;
pub mod cache;
pub mod cell;
pub mod console;
pub mod demo;
pub mod doctor;
pub mod drivers;
pub mod embed;
pub mod error;
pub mod exact;
pub mod exec;
pub mod extend;
pub mod guest;
pub mod host;
pub mod initramfs;
pub mod kconfig;
pub mod kernel;
pub mod ktap;
pub mod last;
pub mod let_down;
pub mod lint;
pub mod machine;
pub mod mail;
pub mod matrix;
pub mod modinfo;
pub mod module;
pub mod mutants;
pub mod near;
pub mod output;
pub mod page;
pub mod params;
pub mod plug;
pub mod process;
pub mod qemu;
pub mod report;
pub mod request;
pub mod root;
pub mod run;
pub mod scenario;
pub mod selftests;
pub mod series;
pub mod source;
pub mod sources;
pub mod stdout;
pub mod suite;
pub mod symbols;
pub mod tree;
pub mod ui;
pub mod verdict;

use args::{BuildArgs, Cli, Command, KernelCommand};
use error::{Exit, Result};
use exec::Exec;

/// Does what the command line asks for.
pub fn dispatch(exec: &Exec, cli: &Cli) -> Result<Exit> {
    match &cli.command {
        Command::Doctor(args) => doctor::run(exec, cli.global.color, args),
        Command::Demo(args) => demo::run(exec, cli.global.color, args),
        Command::Kernel(KernelCommand::Build(args)) => kernel_build(exec, args),
        Command::Kernel(KernelCommand::Patch(args)) => series::run(exec, args),
        Command::Kernel(KernelCommand::Check(args)) => lint::run(exec, args),
        Command::Run(args) => run::run(exec, cli.global.color, args),
        Command::Drivers(args) => drivers::run(exec, args),
        Command::Mutants(args) => mutants::run(exec, args),
        Command::Report(args) => report::run(exec, cli.global.color, args),
        Command::Selftests(args) => selftests::run(exec, args),
        Command::Bench(command) => bench::run(exec, command),
        Command::Matrix(args) => matrix::main(exec, args),
    }
}

fn kernel_build(exec: &Exec, args: &BuildArgs) -> Result<Exit> {
    let cache = cache::Cache::open(exec)?;
    let env = root::Env::prepare(exec, &cache, args.machine.arch)?;
    let spec = args.kernel.spec(args.flavor, args.machine);
    let kernel = kernel::build(exec, &cache, &env, &spec)?;
    stdout::line(&kernel.image.display().to_string())?;
    Ok(Exit::Clean)
}
