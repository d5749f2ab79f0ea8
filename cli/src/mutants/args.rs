// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `dmasan mutants`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{machine, KernelArgs, Switch};
use crate::kernel::Flavor;
use crate::machine::Model;

/// `dmasan mutants`
#[derive(Args, Debug)]
pub struct MutantsArgs {
    /// A mutant, or all of a driver; may be repeated; a wrong name lists all
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Only tell which there are
    #[arg(long)]
    pub list: bool,
    /// Kernels to run them with, each a column: rust, c, dma-api-debug; none has no sanitizer, and so no column
    #[arg(long, value_enum, value_delimiter = ',', default_value = "rust")]
    pub flavors: Vec<Flavor>,
    /// How the sanitizer of this project is on, each a column: origin, on; off is none
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
