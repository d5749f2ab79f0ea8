// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `dmasan bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::{param, KernelArgs, MachineArgs, Switch};
use crate::bench::rows;
use crate::bench::setting::Setting;
use crate::kernel::Flavor;

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
