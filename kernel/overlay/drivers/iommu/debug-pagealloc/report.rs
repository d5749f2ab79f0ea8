// SPDX-License-Identifier: GPL-2.0-only

//! Printing of a finding.
//!
//! The words are the engine's (`engine/report.rs`); here they meet the kernel log, the call stack
//! and the page owner. Runs inside the page allocator, so nothing is allocated; printing may
//! re-enter the allocator, which the gate turns away.

use crate::{
    engine::{
        addr::Pfn,
        check::{Hit, Intent},
        gate::{hash_stack, Gate, Site},
        report::{
            is_allocator,
            is_sanitizer,
            Class,
            DomainFacts,
            Event,
            Facts,
            LeakedRange,
            DOMAIN_FREED,
            REFERENCE_LINE,
            RULER,
            STILL_MAPPED,
            TITLE, //
        },
    },
    sections::GEOMETRY,
    stats::STATS,
    COUNTS, //
};
use kernel::{
    bindings,
    ffi::{c_ulong, c_void},
    fmt,
    prelude::*,
    task::Task, //
};

static GATE: Gate = Gate::new();

/// Frames that are kept of a call stack.
const DEPTH: usize = 32;

/// The call stack of an alloc or free.
struct Stack {
    entries: [c_ulong; DEPTH],
    len: usize,
    /// Index of the first function that belongs to neither the sanitizer nor an allocator.
    culprit: usize,
}

impl Stack {
    fn here() -> Stack {
        let mut entries: [c_ulong; DEPTH] = [0; DEPTH];
        // SAFETY: The pointer is valid for writes of `DEPTH` entries.
        let len = unsafe { bindings::stack_trace_save(entries.as_mut_ptr(), DEPTH as u32, 0) };
        let len = (len as usize).min(DEPTH);
        let known = entries.get(..len).unwrap_or(&[]);
        let culprit = known
            .iter()
            .position(|&entry| !is_internal(entry))
            .unwrap_or(0);
        Stack {
            entries,
            len,
            culprit,
        }
    }

    /// The frames from the one that is to blame.
    fn callers(&self) -> &[c_ulong] {
        self.entries.get(self.culprit..self.len).unwrap_or(&[])
    }

    /// All frames but those of the sanitizer itself.
    fn frames(&self) -> impl Iterator<Item = c_ulong> + '_ {
        let internal = self.entries.get(..self.culprit).unwrap_or(&[]);
        let skip = internal
            .iter()
            .rposition(|&entry| with_symbol(entry, is_sanitizer))
            .map_or(0, |last| last + 1);
        self.entries.iter().copied().take(self.len).skip(skip)
    }
}

fn is_internal(entry: c_ulong) -> bool {
    with_symbol(entry, is_allocator)
}

/// Calls `then` with the name of the function that an address lies in.
fn with_symbol<R>(entry: c_ulong, then: impl FnOnce(&str) -> R) -> R {
    let mut name = [0u8; 64];
    // SAFETY: `name` is valid for writes of its length, and `%ps` takes a pointer of any value.
    let len = unsafe {
        bindings::scnprintf(
            name.as_mut_ptr(),
            name.len(),
            c"%ps".as_char_ptr(),
            entry as *const c_void,
        )
    };
    let name = name.get(..len as usize).unwrap_or(&[]);
    then(core::str::from_utf8(name).unwrap_or(""))
}

/// Prints one line, without the prefix that `pr_err!` puts before it.
fn line(args: fmt::Arguments<'_>) {
    // SAFETY: `%pA` takes a pointer to format arguments, which are valid for the call.
    unsafe {
        bindings::_printk(
            c"\x013%pA\n".as_char_ptr(),
            core::ptr::from_ref(&args).cast::<c_void>(),
        )
    };
}

fn symbol_line(entry: c_ulong) {
    // SAFETY: `%pS` takes a pointer of any value.
    unsafe { bindings::_printk(c"\x013 %pS\n".as_char_ptr(), entry as *const c_void) };
}

/// Reports pages that are a finding: once, and unless they belong to the report before.
pub(crate) fn report(first: Pfn, pages: u64, event: Event, hit: &Hit, intent: &Intent<'_>) {
    let Some(gate) = GATE.enter(Task::current_raw() as u64) else {
        STATS.turned_away.add(1);
        return;
    };
    let stack = Stack::here();
    let site = Site {
        // Not the task's address: the next task may have the same.
        pid: current_pid(),
        stack: hash_stack(stack.callers().iter().map(|&e| e as u64)),
    };
    let is_mapped = |pfn| COUNTS.count(pfn).is_some_and(|count| count != 0);
    let more = gate.continues(site, hit, |pfn| COUNTS.is_reported(pfn), is_mapped);
    COUNTS.mark_reported(first, pages, intent);
    if more {
        STATS.continued.add(1);
        return;
    }
    gate.remember(site, hit);
    STATS.findings.add(1);

    print(first, pages, event, hit, &stack);
}

fn print(first: Pfn, pages: u64, event: Event, hit: &Hit, stack: &Stack) {
    let class = event.class(hit.count);
    line(fmt!("{RULER}"));
    title(fmt!("{TITLE}{}", class.name()), stack);
    with_comm(|comm| {
        // The engine's `Display` is that of `core`, not the kernel's own.
        line(core::format_args!(
            "{}",
            Facts {
                pfn: first.0,
                phys: first.0 << GEOMETRY.page_shift(),
                order: pages.next_power_of_two().trailing_zeros(),
                pages,
                mapped: hit.mapped,
                first: hit.first.0,
                last: hit.last.0,
                count: hit.count,
                // SAFETY: Any context; the CPU may change right after.
                cpu: unsafe { bindings::raw_smp_processor_id() },
                comm,
                pid: current_pid(),
            }
        ))
    });
    line(fmt!("{REFERENCE_LINE}"));
    line(fmt!(""));
    line(fmt!("{}", event.heading()));
    stack.frames().for_each(symbol_line);
    // SAFETY: The page has counters, so it has a `struct page`.
    unsafe { bindings::iommu_debug_dump_page_owner(hit.first.0 as c_ulong) };
    finish();
}

/// Reports what a domain of the DMA API still mapped when it was freed.
pub(crate) fn report_domain(state: &bindings::iommu_debug_teardown) {
    let Some(_gate) = GATE.enter(Task::current_raw() as u64) else {
        STATS.turned_away.add(1);
        return;
    };
    STATS.findings.add(1);
    let stack = Stack::here();
    line(fmt!("{RULER}"));
    title(fmt!("{TITLE}{}", Class::DomainLeak.name()), &stack);
    with_comm(|comm| {
        line(core::format_args!(
            "{}",
            DomainFacts {
                pages: state.pages,
                ranges: state.ranges,
                // SAFETY: Any context; the CPU may change right after.
                cpu: unsafe { bindings::raw_smp_processor_id() },
                comm,
                pid: current_pid(),
            }
        ))
    });
    line(fmt!(""));
    line(fmt!("{STILL_MAPPED}"));
    for range in state.range.iter().take(state.ranges as usize) {
        line(core::format_args!(
            "{}",
            LeakedRange {
                iova: range.iova as u64,
                phys: range.phys,
                size: range.size as u64,
            }
        ));
    }
    line(fmt!(""));
    line(fmt!("{DOMAIN_FREED}"));
    stack.frames().for_each(symbol_line);
    finish();
}

/// The end of a report, and what comes of it.
fn finish() {
    line(fmt!(""));
    // SAFETY: The argument is a log level.
    unsafe { bindings::dump_stack_print_info(bindings::KERN_ERR.as_ptr()) };
    line(fmt!("{RULER}"));
    // SAFETY: Any flag and origin are allowed.
    unsafe {
        bindings::add_taint(
            bindings::TAINT_BAD_PAGE,
            bindings::lockdep_ok_LOCKDEP_STILL_OK,
        );
        bindings::check_panic_on_warn(c"DMASAN".as_char_ptr());
    }
}

fn title(text: fmt::Arguments<'_>, stack: &Stack) {
    let entry = stack.callers().first().copied().unwrap_or(0);
    // SAFETY: `%pA` takes a pointer to format arguments, which are valid for the call; `%pS` takes
    // a pointer of any value.
    unsafe {
        bindings::_printk(
            c"\x013%pA in %pS\n".as_char_ptr(),
            core::ptr::from_ref(&text).cast::<c_void>(),
            entry as *const c_void,
        )
    };
}

/// The process id of the current task.
fn current_pid() -> i32 {
    // SAFETY: The current task exists while it runs, and its id does not change.
    unsafe { (*Task::current_raw()).pid }
}

/// Calls `then` with the name of the current task.
fn with_comm(then: impl FnOnce(&str)) {
    // SAFETY: The current task exists while it runs. Its name may be changed meanwhile; it is
    // always terminated, and each byte is copied once.
    let comm = unsafe { (&raw const (*Task::current_raw()).comm).read_volatile() };
    let len = comm.iter().position(|&b| b == 0).unwrap_or(comm.len());
    then(core::str::from_utf8(comm.get(..len).unwrap_or(&[])).unwrap_or("?"))
}
