// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `dmasan selftests`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{KernelArgs, MachineArgs, Switch};

/// `dmasan selftests`
#[derive(Args, Debug)]
pub struct SelftestsArgs {
    /// Only these suites; a wrong name lists all
    #[arg(value_name = "NAME")]
    pub name: Vec<String>,
    /// Print the suites of the machine's architecture, and run none
    #[arg(long)]
    pub list: bool,
    /// Whether the sanitizer is on (iommu.debug_pagealloc)
    #[arg(long, value_enum, default_value_t)]
    pub debug_pagealloc: Switch,
    /// What they run on.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Write the results as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the results as JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// The kernel to boot.
    #[command(flatten)]
    pub kernel: KernelArgs,
}
