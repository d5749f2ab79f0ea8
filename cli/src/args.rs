// SPDX-License-Identifier: GPL-2.0-only
//! The command line: every command, option and help text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::args::BenchCommand;
use crate::drivers::args::DriversArgs;
use crate::exec::Place;
use crate::kernel::{Flavor, KernelSpec};
use crate::machine::Model;
use crate::matrix::args::MatrixArgs;
use crate::mutants::args::MutantsArgs;
use crate::selftests::args::SelftestsArgs;
use crate::source::{Named, SERIES};
use crate::ui::Color;

const EXIT_CODES: &str = "\
Exit codes:
  0    done, and no finding
  1    at least one finding
  2    wrong usage, or the host lacks something that you have to provide
  69   a build failed, or a guest did (panic, hang, no answer)
  70   kernel output that was not understood
  130  interrupted

Environment:
  XDG_CACHE_HOME  where builds are kept (default ~/.cache); 3.5 GB go into its folder `dmasan` for the demo, about 8 GB for everything
  DMASAN_ENV      same as --env
  NO_COLOR        no colour
  http_proxy, https_proxy, no_proxy are passed on to everything that downloads";

/// DMA sanitizer for Linux: finds memory that drivers free while a device can still reach it.
///
/// Builds a kernel with the sanitizer inside, boots it in QEMU with an emulated IOMMU, runs drivers
/// in it and reports what they did wrong. Begin with `dmasan demo`.
#[derive(Parser, Debug)]
#[command(name = "dmasan", version, after_long_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
}

/// Options of all commands.
#[derive(Args, Debug)]
pub struct Global {
    /// Print every command that would be run, shell-quoted, and run none
    #[arg(long, global = true, help_heading = "Global options")]
    pub dry_run: bool,
    /// Show commands as they run; -vv: their output too
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Global options"
    )]
    pub color: Color,
    /// Where builds and guests run: in a Debian root of our own, or with the host's tools
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "DMASAN_ENV",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub env: Place,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Tell what this host has and lacks, and what to do about it
    ///
    /// Looks only; installs and changes nothing. Exit code 0: the other commands can work here;
    /// 2: something is missing that you have to provide.
    Doctor(DoctorArgs),
    /// Show the sanitizer at work: a driver bug is caught, correct drivers stay silent
    ///
    /// Boots the sanitizer kernel in QEMU and runs a driver that frees a page while its device can still
    /// write to it (and does), the same driver without the bug, and an in-tree driver with real traffic.
    /// Prepares everything it needs the first time (at most 15 minutes on two cores), later runs take
    /// less than a minute. Exit code 0 if exactly the bug was found and nothing else.
    Demo(DemoArgs),
    /// Build a sanitizer kernel, or write the patches for your own
    #[command(subcommand)]
    Kernel(KernelCommand),
    /// Boot a kernel, load modules, run a script, and report what the drivers did wrong
    ///
    /// Boots in QEMU, loads the modules in the order given (a folder is built against that kernel
    /// first), runs the script, unloads, powers off and prints the findings.
    Run(RunArgs),
    /// Run drivers of the kernel's with what QEMU emulates, where the sanitizer has to be silent
    ///
    /// For each driver a guest is booted with its device behind the IOMMU. Its modules are loaded, data is moved
    /// and compared, the driver is unbound and bound, the device removed and found again, put to sleep and woken up,
    /// the modules are unloaded and loaded, also in the middle of work. What the sanitizer or the kernel says to that,
    /// and what is still mapped in the end, makes the driver fail.
    Drivers(DriversArgs),
    /// Plant bugs in drivers of the kernel's, and tell which sanitizer finds them
    ///
    /// Each bug is a small patch. The driver's module is built as it is and with the patch, against a kernel that is built
    /// already. A guest uses the driver without the bug, which has to be silent, and then with it. Exit code 0: who was
    /// expected to find a bug did; 1: a bug was missed, or found by surprise; 69: something was not run.
    Mutants(MutantsArgs),
    /// Print the findings in a kernel log (dmesg, serial console, journal)
    Report(ReportArgs),
    /// Measure what the sanitizer costs
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Run everything on every machine, in parts on several hosts if need be
    ///
    /// Cells are scenarios (bugs, and their twins without them), drivers of the kernel's at work, bugs planted in them,
    /// and the kernel's own tests, each on each machine that its files ask for. Cells that share a boot run in a process
    /// of their own. Results are kept: after an interruption the same command goes on from there. Kernels that are not
    /// there are built first (about 8 minutes each on two cores). Exit code 0: all passed; 1: something is wrong; 69:
    /// something was not run. What cannot be here, with the reason, is no failure.
    Matrix(Box<MatrixArgs>),
    /// Run the kernel's own tests with the sanitizer on
    ///
    /// Those of what it hooks into: page tables, iommufd, allocators, the DMA API, devices that come and go. Builds a
    /// kernel that has them, runs them in one guest, and tells what failed, what the kernel warned of, and what was
    /// found: nothing may be, as these tests are correct. What fails or warns is run again without the sanitizer; if
    /// it is the same there, it is shown and does not count. Exit code 0: nothing is worse with the sanitizer.
    Selftests(SelftestsArgs),
}

/// `dmasan kernel ...`
#[derive(Subcommand, Debug)]
pub enum KernelCommand {
    /// Build a kernel and print the path of its image
    ///
    /// The source is the distribution's newest kernel that there are patches for (Linux 7.3, else 6.12), or your
    /// own tree, which is copied and never written to. Builds are kept: the same source, patches and options are built once.
    Build(BuildArgs),
    /// Write the sanitizer as patches for `git am`, or apply them to your git tree on a new branch
    Patch(PatchArgs),
    /// Run the kernel's own checks on the sanitizer's files: rustfmt, checkpatch, CLIPPY=1
    ///
    /// For people who change them. Needs the sanitizer kernel, and builds it if it is not there.
    Check(CheckArgs),
}

/// `dmasan doctor`
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `dmasan demo`
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Where it is shown.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The distribution's kernel of this series: 7.3 or 6.12 [default: the newest of them that it has]
    #[arg(long, value_name = "SERIES", value_parser = series)]
    pub linux: Option<&'static str>,
    /// Parallel compile jobs [default: number of processors]
    #[arg(long, short, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,
}

/// The machine of a guest; options of every command that boots guests.
#[derive(Args, Clone, Copy, Debug)]
pub struct MachineArgs {
    /// The machine: vtd, amd-vi, virtio-iommu, none, arm64-smmuv3, ...; a wrong name lists all
    #[arg(long, value_name = "NAME", default_value = "vtd", value_parser = machine)]
    pub machine: &'static Model,
    /// Invalidate translations some time after an unmap, as most systems do (iommu.strict=0)
    #[arg(long)]
    pub lazy: bool,
}

/// `dmasan kernel build`
#[derive(Args, Debug)]
pub struct BuildArgs {
    /// Which sanitizer the kernel gets
    #[arg(long, value_enum, default_value_t)]
    pub flavor: Flavor,
    /// The machine that it is built for: vtd, arm64-smmuv3, ...; a wrong name lists all
    #[arg(long, value_name = "NAME", default_value = "vtd", value_parser = machine)]
    pub machine: &'static Model,
    /// What it is built from.
    #[command(flatten)]
    pub kernel: KernelArgs,
}

/// What a kernel is built from; options of every command that needs one.
#[derive(Args, Debug)]
pub struct KernelArgs {
    /// The distribution's kernel of this series: 7.3 or 6.12 [default: the newest of them that it has]
    #[arg(long, value_name = "SERIES", value_parser = series, conflicts_with = "source")]
    pub linux: Option<&'static str>,
    /// Your own kernel tree, instead of the distribution's source; it is copied, never touched
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
    /// A file with further CONFIG_ lines for the kernel; may be repeated, later files win
    #[arg(long, value_name = "FRAGMENT")]
    pub config: Vec<PathBuf>,
    /// Parallel compile jobs [default: number of processors]
    #[arg(long, short, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,
}

impl KernelArgs {
    /// The kernel of one flavour for a machine.
    pub fn spec(&self, flavor: Flavor, model: &'static Model) -> KernelSpec {
        KernelSpec {
            flavor,
            model,
            extra: &[],
            source: match &self.source {
                Some(tree) => Some(Named::Own(tree.clone())),
                None => self.linux.map(Named::Series),
            },
            fragments: self.config.clone(),
            jobs: jobs_or_default(self.jobs),
        }
    }
}

/// `dmasan kernel check`
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The distribution's kernel of this series: 7.3 or 6.12 [default: the newest of them that it has]
    #[arg(long, value_name = "SERIES", value_parser = series)]
    pub linux: Option<&'static str>,
    /// Parallel compile jobs [default: number of processors]
    #[arg(long, short, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,
}

/// Where the patches go.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct PatchTarget {
    /// Write the series into this folder, one mail per patch
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Apply the series to this git tree, on a new branch; the tree must be clean
    #[arg(long, value_name = "TREE")]
    pub onto: Option<PathBuf>,
}

/// `dmasan kernel patch`
#[derive(Args, Debug)]
pub struct PatchArgs {
    /// Where the patches go.
    #[command(flatten)]
    pub target: PatchTarget,
    /// The kernel series that --out writes patches for: 7.3 or 6.12 [default: 7.3]
    #[arg(long, value_name = "SERIES", value_parser = series, conflicts_with = "onto")]
    pub linux: Option<&'static str>,
}

/// Whether the sanitizer is on in a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Switch {
    /// iommu.debug_pagealloc=1
    #[default]
    On,
    /// iommu.debug_pagealloc=0
    Off,
    /// iommu.debug_pagealloc=origin: who maps is recorded, too
    Origin,
}

impl Switch {
    /// The value of the kernel's parameter.
    pub fn value(self) -> &'static str {
        match self {
            Switch::Off => "0",
            Switch::On => "1",
            Switch::Origin => "origin",
        }
    }
}

/// `dmasan run`
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Which kernel to boot
    #[arg(long, value_enum, default_value_t)]
    pub flavor: Flavor,
    /// Whether the sanitizer is on (iommu.debug_pagealloc)
    #[arg(long, value_enum, default_value_t)]
    pub debug_pagealloc: Switch,
    /// What it runs on.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// A device to add to the guest, such as edu, e1000e or nvme; may be repeated
    #[arg(long, value_name = "NAME")]
    pub device: Vec<String>,
    /// A module to load: a folder with a Kbuild or Makefile (C or Rust), or a .ko file
    ///
    /// May be repeated; modules are loaded in order. The same path again: the module is unloaded and
    /// loaded anew with the new parameters, and the findings of each step are told apart.
    #[arg(long, value_name = "PATH[:PARAM=VALUE,...]")]
    pub module: Vec<String>,
    /// A shell script to run in the guest (busybox sh) once the modules are loaded
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Text to add to the kernel command line
    #[arg(long, value_name = "TEXT")]
    pub cmdline: Option<String>,
    /// Count instructions: one CPU, on whose clock each instruction takes one nanosecond
    ///
    /// Prints how many instructions each step took, and of those of a module how many its init function; sleeping
    /// takes guest time, too. Code under test can read the clock itself: ktime_get_ns() counts instructions then.
    /// Two runs give the same figures, whatever else the host does. Page owner is off, because it makes each
    /// allocation longer.
    #[arg(long)]
    pub exact: bool,
    /// Memory of the guest in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(256..=65_536))]
    pub memory: u32,
    /// Seconds that the guest may take, at most a day
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Write the findings as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the findings as a page for a browser to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Keep the guest's kernel log in this file
    #[arg(long, value_name = "FILE")]
    pub keep_log: Option<PathBuf>,
    /// The kernel to boot.
    #[command(flatten)]
    pub kernel: KernelArgs,
}

/// Output of `dmasan report`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Format {
    /// For people: each report, then a table, with one row for what repeats.
    #[default]
    Text,
    /// For programs: all that was read.
    Json,
    /// One page for a browser, which needs no network and runs no script.
    Html,
    /// SARIF 2.1.0, for collectors of analysers' results: a bug is a result, however often the log repeats it.
    Sarif,
    /// JUnit XML, for what shows tests: a step is a test case, a finding a failure, a cut report an error.
    Junit,
}

/// `dmasan report`
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// The log; `-` or nothing reads standard input
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Files with symbols.
    #[command(flatten)]
    pub symbols: SymbolArgs,
}

/// What turns the stacks of a log into source lines.
#[derive(Args, Debug, Default)]
pub struct SymbolArgs {
    /// Tell source lines: the kernel's vmlinux, with debug information, of the build that wrote the log
    #[arg(long, value_name = "FILE")]
    pub vmlinux: Option<PathBuf>,
    /// The same for a module: its .ko file with debug information; may be repeated
    #[arg(long, value_name = "FILE")]
    pub module: Vec<PathBuf>,
    /// Use these files even if they are of another build than the log; lines may be wrong
    #[arg(long)]
    pub force_symbols: bool,
}

/// Reads how the sanitizer is on from the value of its parameter.
pub fn param(text: &str) -> Result<Switch, String> {
    let all = [Switch::Off, Switch::On, Switch::Origin];
    let known = all.into_iter().find(|switch| switch.value() == text);
    known.ok_or_else(|| "0, 1 or origin is wanted".to_owned())
}

/// The machine of an option.
pub fn machine(text: &str) -> Result<&'static Model, String> {
    let advice = |e: &crate::error::Error| e.advice().unwrap_or_default().to_owned();
    Model::find(text).map_err(|e| format!("{e}\n{}", advice(&e)))
}

fn series(text: &str) -> Result<&'static str, String> {
    let known = SERIES.iter().copied().find(|series| *series == text);
    known.ok_or_else(|| format!("there are patches for {}", SERIES.join(" and ")))
}

/// The number of an option.
pub fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err("a number from 1 to 1024 is wanted".to_owned()),
    }
}

/// The number of jobs to use when the user named none.
pub fn jobs_or_default(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn jobs_have_bounds() {
        assert!(jobs("0").is_err() && jobs("x").is_err());
        assert_eq!(jobs("2"), Ok(2));
    }
}
