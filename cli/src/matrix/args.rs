// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `dmasan matrix`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::args::{jobs, machine};
use crate::cell::Kind;
use crate::machine::Model;
use crate::matrix::select::{self, Pattern};
use crate::matrix::shard::Shard;

/// `dmasan matrix`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct MatrixArgs {
    /// What to do, if not to run.
    #[command(subcommand)]
    pub command: Option<MatrixCommand>,
    /// What to run.
    #[command(flatten)]
    pub run: MatrixRunArgs,
}

/// `dmasan matrix ...`
#[derive(Subcommand, Debug)]
pub enum MatrixCommand {
    /// Put the results of shards together
    ///
    /// The files are those that `--json` wrote. Results of different kernels, or of different versions of this tool, are
    /// refused, and so is the same shard twice. What a missing shard should have run counts as not run. One file alone
    /// can be read, too, for its table or its JUnit XML. Exit codes as of `dmasan matrix`.
    Merge(MergeArgs),
    /// Run the cells of one boot; the tool starts itself with this
    #[command(hide = true)]
    Cells(CellsArgs),
}

/// Which cells are chosen, before anything else does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Tier {
    /// A few scenarios and drivers and a mutant, on machines that have the default machine's kernel: minutes
    Smoke,
    /// All
    #[default]
    Full,
}

impl Tier {
    /// The name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Smoke => "smoke",
            Tier::Full => "full",
        }
    }
}

/// What is run, and how.
#[derive(Args, Debug)]
pub struct MatrixRunArgs {
    /// Which cells to choose from
    #[arg(long, value_enum, default_value_t)]
    pub tier: Tier,
    /// Only cells with this name, or that match this shell pattern; may be repeated
    ///
    /// Compared with the name, such as edu-page or 'origin-*', and with all of the cell as --list shows it, such as
    /// 'driver/*/vtd+lazy/*'.
    #[arg(long, value_name = "PATTERN", value_parser = select::pattern)]
    pub only: Vec<Pattern>,
    /// Only on this machine; may be repeated
    #[arg(long, value_name = "NAME", value_parser = machine)]
    pub machine: Vec<&'static Model>,
    /// Only this kind; may be repeated
    #[arg(long, value_enum)]
    pub kind: Vec<Kind>,
    /// Print the cells, and run none
    #[arg(long)]
    pub list: bool,
    /// Run one of N parts, which are the same on every host, and together everything
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Guests to run side by side; each has two CPUs and up to 2 GiB
    #[arg(long, short, value_name = "J", default_value_t = 1, value_parser = jobs)]
    pub jobs: usize,
    /// Forget the results that earlier runs have kept of these cells
    #[arg(long)]
    pub fresh: bool,
    /// Build no kernels: cells whose kernel is not there are not run
    #[arg(long)]
    pub no_build: bool,
    /// A folder with scenarios, instead of those that the tool carries inside
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
    /// Where results go.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Files for results.
#[derive(Args, Clone, Debug, Default)]
pub struct OutputArgs {
    /// Write the results as JSON to this file; it can be merged
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the results as JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the results as tables in Markdown to this file
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

/// `dmasan matrix merge`
#[derive(Args, Debug)]
pub struct MergeArgs {
    /// JSON files of shards
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Where results go.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `dmasan matrix cells`
#[derive(Args, Debug)]
pub struct CellsArgs {
    /// What to run, as JSON
    #[arg(long, value_name = "FILE")]
    pub job: PathBuf,
    /// Where results go, as JSON
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}
