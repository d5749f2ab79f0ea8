// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan bench budget`: where the instructions of one call go, by function, with and without the sanitizer.
//!
//! The guest runs the module with one test. A debugger stops it when the module makes a call, and follows the call
//! instruction by instruction until it returns.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::arch::Arch;
use crate::bench::args::BudgetArgs;
use crate::bench::gdb::Gdb;
use crate::bench::measure;
use crate::bench::setting::Setting;
use crate::bench::table::markdown;
use crate::boot::{boot, Guest, Host};
use crate::error::{io, Error, Exit, Result};
use crate::exact::thousands;
use crate::exec::Exec;
use crate::kernel::{self, Kernel};
use crate::process;
use crate::qemu::Machine;
use crate::stdout;

/// A call that is longer takes too long to follow.
const STEPS_MAX: u64 = 300_000;
/// Where modules are, above the kernel itself.
const MODULES: u64 = 0xffff_ffff_a000_0000;
/// A function of the kernel that has run when the module's code is in its place.
const BEFORE: &str = "do_init_module";
/// From the start of QEMU on.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Instructions by function.
type Budget = BTreeMap<String, u64>;

/// Runs the command.
pub fn run(exec: &Exec, args: &BudgetArgs) -> Result<Exit> {
    let model = Machine::new(args.machine)?.model;
    if model.arch != Arch::X86_64 {
        let text = format!(
            "`bench budget` cannot follow a call on the machine `{}`",
            model.name
        );
        return Err(Error::usage(text).help("it reads the registers of x86_64 only"));
    }
    let host = Host::prepare(exec, model)?;
    let mut columns = Vec::new();
    for setting in Setting::all(&args.flavors, &args.param) {
        let spec = args.kernel.spec(setting.flavor, model);
        let kernel = kernel::build(exec, &host.cache, &host.env, &spec)?;
        if let Some(budget) = follow(&host, args, setting, &kernel)? {
            columns.push((setting, budget));
        }
    }
    if !exec.dry_run {
        stdout::print(&text(args, &columns))?;
    }
    Ok(Exit::Clean)
}

/// Boots a guest and follows the call in it. Nothing in a dry run.
fn follow(
    host: &Host,
    args: &BudgetArgs,
    setting: Setting,
    kernel: &Kernel,
) -> Result<Option<Budget>> {
    let socket = host.env.work().join(format!("gdb-{}", std::process::id()));
    let mut machine = measure::counting_machine(args.machine, 0);
    machine.gdb = Some(host.env.inside(&socket));
    let plan = measure::module_plan(host, kernel, &[&args.test])?;
    let cmdline = measure::counting_cmdline(args.machine, setting);
    let guest = Guest {
        what: &format!("{setting}: {}, instruction by instruction", args.function),
        kernel,
        machine: &machine,
        cmdline: &cmdline,
        plan: &plan,
        timeout: TIMEOUT,
    };
    if host.exec.dry_run {
        boot(host, &guest)?;
        return Ok(None);
    }
    let symbols = Symbols::read(&kernel.dir.join("System.map"))?;
    let addresses = (symbols.address(BEFORE)?, symbols.address(&args.function)?);
    let (budget, outcome) = std::thread::scope(|scope| {
        let debugger = scope.spawn(|| count(&socket, addresses, args.call, &symbols));
        let outcome = boot(host, &guest);
        let panicked = || Error::failed("the debugger panicked");
        (debugger.join().map_err(|_| panicked()), outcome)
    });
    let _ = std::fs::remove_file(&socket);
    // Ctrl-C ends both; how the guest ended else is no matter once the call was followed.
    outcome?;
    process::check()?;
    budget?.map(Some).map_err(|e| {
        let help = format!(
            "the test `{}` may not call {} itself, or not {} times (--call)",
            args.test, args.function, args.call
        );
        e.context(format!("following {}", args.function)).help(help)
    })
}

/// Stops at a call that a module makes, and counts until it returns.
fn count(
    socket: &Path,
    (before, function): (u64, u64),
    call: u32,
    symbols: &Symbols,
) -> Result<Budget> {
    let mut gdb = Gdb::connect(socket, Duration::from_secs(30))?;
    gdb.run_to(before)?;
    let mut calls = 0;
    let (back, sp) = loop {
        gdb.run_to(function)?;
        let sp = gdb.sp()?;
        let back = gdb.word(sp)?;
        calls += u32::from(back >= MODULES);
        if calls == call {
            break (back, sp);
        }
        gdb.step()?;
    };
    let mut budget = Budget::new();
    let mut steps = 0;
    let mut pc = function;
    while pc != back || gdb.sp()? <= sp {
        *budget.entry(symbols.name(pc).to_owned()).or_default() += 1;
        steps += 1;
        if steps > STEPS_MAX {
            return Err(Error::failed(format!(
                "the call takes more than {STEPS_MAX} instructions"
            )));
        }
        gdb.step()?;
        pc = gdb.pc()?;
    }
    gdb.detach()?;
    Ok(budget)
}

/// The kernel's functions by address.
struct Symbols(Vec<(u64, String)>);

impl Symbols {
    fn read(path: &Path) -> Result<Symbols> {
        let text = std::fs::read_to_string(path).map_err(io("cannot read", path))?;
        Ok(Symbols::parse(&text))
    }

    fn parse(text: &str) -> Symbols {
        let function = |line: &str| {
            let mut words = line.split_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let code = matches!(words.next()?, "t" | "T" | "w" | "W");
            code.then_some((address, words.next()?.to_owned()))
        };
        let mut symbols: Vec<_> = text.lines().filter_map(function).collect();
        symbols.sort();
        Symbols(symbols)
    }

    fn address(&self, name: &str) -> Result<u64> {
        let found = self.0.iter().find(|(_, n)| n == name);
        found.map(|(address, _)| *address).ok_or_else(|| {
            Error::usage(format!("the kernel has no function `{name}`")).help(
                "functions are in the kernel's System.map; inline functions are not among them",
            )
        })
    }

    fn name(&self, pc: u64) -> &str {
        if pc >= MODULES {
            return "[module]";
        }
        let next = self.0.partition_point(|(address, _)| *address <= pc);
        let found = next.checked_sub(1).and_then(|i| self.0.get(i));
        found.map_or("?", |(_, name)| name)
    }
}

/// Rust's mangled names as people read them: the parts of the path.
fn readable(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

fn text(args: &BudgetArgs, columns: &[(Setting, Budget)]) -> String {
    let mut head = vec![args.function.clone()];
    head.extend(columns.iter().map(|(s, _)| s.to_string()));
    let mut names: Vec<&str> = columns
        .iter()
        .flat_map(|(_, b)| b.keys())
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    let of = |budget: &Budget, name: &str| budget.get(name).copied().unwrap_or(0);
    // What differs most comes first, then what is largest.
    names.sort_by_key(|name| {
        let all: Vec<u64> = columns.iter().map(|(_, b)| of(b, name)).collect();
        let (most, least) = (all.iter().max(), all.iter().min());
        let (most, least) = (most.copied().unwrap_or(0), least.copied().unwrap_or(0));
        std::cmp::Reverse((most - least, most))
    });
    let mut lines = vec![head];
    for name in names {
        let mut line = vec![readable(name)];
        line.extend(columns.iter().map(|(_, b)| match of(b, name) {
            0 => "-".to_owned(),
            n => thousands(n),
        }));
        lines.push(line);
    }
    let mut sum = vec!["all".to_owned()];
    sum.extend(columns.iter().map(|(_, b)| thousands(b.values().sum())));
    lines.push(sum);
    format!(
        "{}\nInstructions of one call in `{}`, by function; what differs most comes first.\n",
        markdown(&lines),
        args.test
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Switch;
    use crate::args::{Cli, Command};
    use crate::bench::args::BenchCommand;
    use crate::kernel::Flavor;
    use clap::Parser;

    const MAP: &str = "\
ffffffff81000000 T first
ffffffff81000020 t inner
ffffffff81000040 D data
ffffffff81000060 T _RNvCs3dLkr2Fmstq_21iommu_debug_pagealloc11check_pages
";

    #[test]
    fn addresses_belong_to_functions() {
        let symbols = Symbols::parse(MAP);
        assert_eq!(symbols.name(0xffff_ffff_8100_001f), "first");
        assert_eq!(symbols.name(0xffff_ffff_8100_0045), "inner");
        assert_eq!(symbols.name(MODULES + 1), "[module]");
        assert_eq!(symbols.name(1), "?");
        assert_eq!(symbols.address("inner").unwrap(), 0xffff_ffff_8100_0020);
        assert!(symbols.address("data").is_err());
    }

    #[test]
    fn the_largest_difference_comes_first() {
        let cli = Cli::parse_from(["dmasan", "bench", "budget", "dma/4K", "dma_map_page_attrs"]);
        let Command::Bench(BenchCommand::Budget(args)) = cli.command else {
            panic!("another command");
        };
        let budget = |numbers: &[(&str, u64)]| {
            let numbers = numbers.iter().map(|(n, c)| ((*n).to_owned(), *c));
            numbers.collect::<Budget>()
        };
        let check = "_RNvCs3dLkr2Fmstq_21iommu_debug_pagealloc11check_pages";
        let all = Setting::all(&[Flavor::None, Flavor::Rust], &[Switch::On]);
        let columns = [
            (all[0], budget(&[("first", 1500), ("inner", 30)])),
            (
                all[1],
                budget(&[("first", 1500), ("inner", 35), (check, 60)]),
            ),
        ];
        insta::assert_snapshot!(text(&args, &columns));
    }
}
