// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `dmasan drivers`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{KernelArgs, MachineArgs, Switch};
use crate::kernel::Flavor;

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
