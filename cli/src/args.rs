// SPDX-License-Identifier: GPL-2.0-only
//! The command line: every command, option and help text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::rows;
use crate::bench::setting::Setting;
use crate::exec::Place;
use crate::kernel::{Flavor, KernelSpec};
use crate::machine::Model;
use crate::matrix::args::MatrixArgs;
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
    /// The machine that it is built for
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

/// `dmasan drivers`
#[derive(Args, Debug)]
pub struct DriversArgs {
    /// Which drivers [default: all]; a wrong name lists all
    #[arg(value_name = "NAME")]
    pub name: Vec<String>,
    /// Only tell which there are
    #[arg(long)]
    pub list: bool,
    /// Which kernel to boot
    #[arg(long, value_enum, default_value_t)]
    pub flavor: Flavor,
    /// Whether the sanitizer is on (iommu.debug_pagealloc)
    #[arg(long, value_enum, default_value_t)]
    pub debug_pagealloc: Switch,
    /// What they run on.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Write the results as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Take results from a file that --json wrote, this command's or that of `dmasan matrix`, of any machine, instead of
    /// running anything; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "json"])]
    pub from: Vec<PathBuf>,
    /// Write the table of docs/drivers.md into this file, between its marks
    #[arg(long, value_name = "FILE")]
    pub update: Option<PathBuf>,
    /// The kernel to boot.
    #[command(flatten)]
    pub kernel: KernelArgs,
}

/// `dmasan mutants`
#[derive(Args, Debug)]
pub struct MutantsArgs {
    /// A mutant, or all of a driver; may be repeated; a wrong name lists all
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Only tell which there are
    #[arg(long)]
    pub list: bool,
    /// Kernels to run them with: rust, c, dma-api-debug
    #[arg(long, value_enum, value_delimiter = ',', default_value = "rust")]
    pub flavors: Vec<Flavor>,
    /// How the sanitizer of this project is on, each a column
    #[arg(long, value_enum, value_delimiter = ',', default_value = "origin")]
    pub debug_pagealloc: Vec<Switch>,
    /// What they run on: a machine whose IOMMU translates
    #[arg(long, value_name = "NAME", default_value = "vtd", value_parser = machine)]
    pub machine: &'static Model,
    /// Write all results as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Take results from a file that --json wrote, instead of running anything; may be repeated
    #[arg(long, value_name = "FILE")]
    pub from: Vec<PathBuf>,
    /// Write all results as JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the tables of docs/mutants.md into this file, between its marks
    #[arg(long, value_name = "FILE")]
    pub update: Option<PathBuf>,
    /// The kernels to boot.
    #[command(flatten)]
    pub kernel: KernelArgs,
}

/// `dmasan bench ...`
#[derive(Subcommand, Debug)]
pub enum BenchCommand {
    /// Measure map and unmap, from 4K to 1G
    ///
    /// Boots kernels without sanitizer, with this one and with the C reference, each with the parameter off and on,
    /// and prints one table of all, in Markdown. Measured are single calls, in a module of this project, and the
    /// kernel's own dma_map_benchmark. Takes 3 minutes on two cores once the three kernels are built (10 minutes
    /// each, the first time). What was measured is kept: after an interruption the same command goes on from there.
    Map(BenchMapArgs),
    /// Measure alloc_pages() and __free_pages(), where the sanitizer has its checks
    ///
    /// On a machine where nothing is mapped, and on one where 512M are. Takes 2 minutes once the kernels are built.
    Alloc(BenchAllocArgs),
    /// Measure the engine alone, natively, against a loop over pages
    ///
    /// Runs the benchmarks in engine/benches with `cargo bench`, so it needs a checkout of the project.
    Engine(BenchEngineArgs),
    /// Tell where the instructions of one call go, by function
    ///
    /// Boots a kernel for each setting, stops it when the benchmark module makes the call, and follows the call
    /// instruction by instruction. What differs between the settings comes first. Takes half a minute for each.
    Budget(BudgetArgs),
}

/// Options of all benchmarks that run in guests.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Kernels to compare; ratios are to `none`
    #[arg(long, value_enum, value_delimiter = ',', default_value = "none,rust,c")]
    pub flavors: Vec<Flavor>,
    /// Values of iommu.debug_pagealloc
    #[arg(long, value_name = "0|1|origin", value_delimiter = ',', default_value = "0,1", value_parser = param)]
    pub param: Vec<Switch>,
    /// Count instructions, on one CPU; the same on every host, and the default
    #[arg(long)]
    pub exact: bool,
    /// Measure time, on two CPUs; settings take turns, and ratios are within a turn
    #[arg(long, conflicts_with = "exact")]
    pub wall_clock: bool,
    /// How often everything is measured [default: 1, with --wall-clock 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repeat: Option<u32>,
    /// Forget what earlier runs have measured
    #[arg(long)]
    pub fresh: bool,
    /// Write all figures as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a bar chart to this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// What they run on.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The kernels to boot.
    #[command(flatten)]
    pub kernel: KernelArgs,
}

impl BenchArgs {
    /// Whether instructions are counted.
    pub fn exact(&self) -> bool {
        !self.wall_clock
    }

    /// How often everything is measured.
    pub fn repeats(&self) -> u32 {
        self.repeat.unwrap_or(if self.exact() { 1 } else { 3 })
    }

    /// What is compared.
    pub fn settings(&self) -> Vec<Setting> {
        Setting::all(&self.flavors, &self.param)
    }
}

/// `dmasan bench map`
#[derive(Args, Debug)]
pub struct BenchMapArgs {
    /// Pages of 4K in one mapping, or sizes such as 64K and 1G; 1G is measured with iommu_map()
    #[arg(long, value_delimiter = ',', default_value = rows::DEFAULT_PAGES, value_parser = rows::pages)]
    pub pages: Vec<u32>,
    /// Threads that map at the same time; more than 1 only with --wall-clock [default: 1, with --wall-clock 1,4]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: Vec<u32>,
    /// What all benchmarks have.
    #[command(flatten)]
    pub bench: BenchArgs,
}

impl BenchMapArgs {
    /// How many threads there are to be.
    pub fn threads(&self) -> Vec<u32> {
        match (self.threads.as_slice(), self.bench.exact()) {
            ([], true) => vec![1],
            ([], false) => vec![1, 4],
            (asked, _) => asked.to_vec(),
        }
    }
}

/// `dmasan bench alloc`
#[derive(Args, Debug)]
pub struct BenchAllocArgs {
    /// Orders to allocate
    #[arg(long, value_delimiter = ',', default_value = "0,3,9,10", value_parser = rows::order)]
    pub orders: Vec<u8>,
    /// What all benchmarks have.
    #[command(flatten)]
    pub bench: BenchArgs,
}

/// `dmasan bench engine`
#[derive(Args, Debug)]
pub struct BenchEngineArgs {
    /// Only benchmarks with this in their name
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
    /// Write all figures as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a bar chart to this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// `dmasan bench budget`
#[derive(Args, Debug)]
pub struct BudgetArgs {
    /// What the module does: dma/SIZE, iommu/SIZE, iommu_2m/SIZE, pages/SIZE, shuffled/SIZE, alloc/ORDER,
    /// alloc_mapped/ORDER or slab/BYTES
    #[arg(value_name = "TEST", value_parser = rows::test)]
    pub test: String,
    /// The kernel function to follow, such as dma_map_page_attrs, iommu_unmap or __free_pages
    #[arg(value_name = "FUNCTION")]
    pub function: String,
    /// Which of the module's calls to follow: earlier ones fill caches, and some tests make only two
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub call: u32,
    /// Kernels to compare
    #[arg(long, value_enum, value_delimiter = ',', default_value = "none,rust")]
    pub flavors: Vec<Flavor>,
    /// Values of iommu.debug_pagealloc
    #[arg(long, value_name = "0|1|origin", value_delimiter = ',', default_value = "1", value_parser = param)]
    pub param: Vec<Switch>,
    /// What they run on.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The kernels to boot.
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

fn param(text: &str) -> Result<Switch, String> {
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
