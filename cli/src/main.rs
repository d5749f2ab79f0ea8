// SPDX-License-Identifier: GPL-2.0-only
//! Entry point: reads the command line, runs the command, shows the error, sets the exit code.

use std::process::ExitCode;

use clap::Parser;
use dmasan::args::{Cli, Command};
use dmasan::exec::Exec;
use dmasan::process;
use dmasan::ui::Ui;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.global.verbose, cli.global.color);
    let ui = if cli.global.dry_run { ui.quiet() } else { ui };
    let exec = Exec::new(ui.clone(), cli.global.dry_run).with_place(cli.global.env);
    let installed = match cli.command {
        // It starts nothing that would have to be ended, and may wait for input without end.
        Command::Report(_) => Ok(()),
        _ => process::install(),
    };
    let result = installed.and_then(|()| dmasan::dispatch(&exec, &cli));
    process::kill_descendants();
    let exit = result.unwrap_or_else(|error| {
        ui.error(&error);
        error.exit()
    });
    ExitCode::from(exit.code())
}
