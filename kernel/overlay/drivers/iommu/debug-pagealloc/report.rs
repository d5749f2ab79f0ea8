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
        gate::{hash_stack, Gate, Held, Site},
        report::{
            is_allocator,
            is_dma_api,
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
    origin::{self, Origin},
    origin_report,
    record::{Ended, Found},
    sections::GEOMETRY,
    stale,
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

/// The call stack of an alloc or free, of a map or unmap.
pub(crate) struct Stack {
    entries: [c_ulong; DEPTH],
    len: usize,
    /// Index of the first function that is to blame: the sanitizer, allocators and the DMA API are
    /// not.
    culprit: usize,
}

impl Stack {
    /// Where the current task is.
    pub(crate) fn here() -> Stack {
        // SAFETY: The pointer is valid for writes of so many entries.
        Stack::filled(|to, room| unsafe { bindings::stack_trace_save(to, room, 0) })
    }

    /// What was saved in the stack depot.
    pub(crate) fn saved(handle: u32) -> Stack {
        // SAFETY: As above.
        Stack::filled(|to, room| unsafe { bindings::iommu_debug_fetch_stack(handle, to, room) })
    }

    /// Who ended a mapping.
    pub(crate) fn ended(ended: &Ended) -> Stack {
        if ended.by.stack != 0 {
            return Stack::saved(ended.by.stack).of_unmap();
        }
        let mut stack = Stack::filled(|_, _| 0);
        if let (Some(first), true) = (stack.entries.first_mut(), ended.caller != 0) {
            *first = ended.caller;
            stack.len = 1;
        }
        stack
    }

    /// The same stack, where the DMA API is not to blame.
    pub(crate) fn of_unmap(mut self) -> Stack {
        let known = self.entries.get(..self.len).unwrap_or(&[]);
        let is_it = |&entry: &c_ulong| !with_symbol(entry, is_dma_api);
        self.culprit = known.iter().position(is_it).unwrap_or(0);
        self
    }

    /// The entries that `fill` writes, whose number it returns; it is told where to, and for how
    /// many there is room.
    fn filled(fill: impl FnOnce(*mut c_ulong, u32) -> u32) -> Stack {
        let mut entries: [c_ulong; DEPTH] = [0; DEPTH];
        let len = fill(entries.as_mut_ptr(), DEPTH as u32) as usize;
        let len = len.min(DEPTH);
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

    /// A number for the site: the frames from the one that is to blame.
    pub(crate) fn hash(&self) -> u64 {
        hash_stack(self.callers().iter().map(|&e| e as u64))
    }

    /// All frames but those of the sanitizer itself.
    pub(crate) fn frames(&self) -> impl Iterator<Item = c_ulong> + '_ {
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
pub(crate) fn line(args: fmt::Arguments<'_>) {
    // SAFETY: `%pA` takes a pointer to format arguments, which are valid for the call.
    unsafe {
        bindings::_printk(
            c"\x013%pA\n".as_char_ptr(),
            core::ptr::from_ref(&args).cast::<c_void>(),
        )
    };
}

/// Prints the line of one frame.
pub(crate) fn symbol_line(entry: c_ulong) {
    // SAFETY: `%pS` takes a pointer of any value.
    unsafe { bindings::_printk(c"\x013 %pS\n".as_char_ptr(), entry as *const c_void) };
}

/// Keeps other reports out while one is printed; `None` if this one is to be dropped, which is
/// counted.
pub(crate) fn enter() -> Option<Held<'static>> {
    let held = GATE.enter(Task::current_raw() as u64);
    if held.is_none() {
        STATS.turned_away.add(1);
    }
    held
}

/// Counts a finding, and prints the first line of its report; false if there have been too many to
/// print this one, too.
pub(crate) fn begin() -> bool {
    let before = STATS.findings.load();
    STATS.findings.add(1);
    // SAFETY: Set while the command line was parsed, and read-only since.
    let budget = u64::from(unsafe { bindings::iommu_debug_max_reports });
    if before < budget {
        line(fmt!("{RULER}"));
        return true;
    }
    if before == budget {
        pr_err!("{budget} reports, further findings are only counted (iommu.debug_reports=)\n");
    }
    false
}

/// Prints the page's owner if the kernel knows it.
pub(crate) fn dump_page_owner(page: Pfn) {
    // SAFETY: The page has counters, or was mapped: so it has a `struct page`.
    unsafe { bindings::iommu_debug_dump_page_owner(page.0 as c_ulong) };
}

/// Reports pages that are a finding: once, and unless they belong to the report before.
pub(crate) fn report(first: Pfn, pages: u64, event: Event, hit: &Hit, intent: &Intent<'_>) {
    let Some(gate) = enter() else {
        return;
    };
    let stack = Stack::here();
    let site = Site {
        // Not the task's address: the next task may have the same.
        pid: current_pid(),
        stack: stack.hash(),
    };
    let is_mapped = |pfn| COUNTS.count(pfn).is_some_and(|count| count != 0);
    let more = gate.continues(site, hit, |pfn| COUNTS.is_reported(pfn), is_mapped);
    COUNTS.mark_reported(first, pages, intent);
    if more {
        STATS.continued.add(1);
        return;
    }
    let memory = PhysRange {
        phys: first.0 << GEOMETRY.page_shift(),
        size: pages << GEOMETRY.page_shift(),
    };
    let class = class(event, hit);
    let mappers = origin::get().map(|origin| (origin, origin.claim(memory.phys, memory.size)));
    if let Some((origin, found)) = &mappers {
        if found.are_known(hit.count) {
            STATS.repeated.add(1);
            return;
        }
        if !origin_report::is_first(origin, class, &stack, found) {
            return;
        }
    }
    gate.remember(site, hit);
    print(&memory, event, hit, class, &stack, mappers);
}

/// What is wrong with pages of which those of `hit` are mapped.
fn class(event: Event, hit: &Hit) -> Class {
    let first = hit.first.0 << GEOMETRY.page_shift();
    let end = (hit.last.0 + 1) << GEOMETRY.page_shift();
    match event.class(hit.count) {
        Class::CountImbalance => Class::CountImbalance,
        _ if stale::is_pending(first, end - first) => Class::StaleIotlb,
        class => class,
    }
}

/// The pages that a report is about, in bytes.
struct PhysRange {
    phys: u64,
    size: u64,
}

fn print(
    memory: &PhysRange,
    event: Event,
    hit: &Hit,
    class: Class,
    stack: &Stack,
    mappers: Option<(&Origin, Found)>,
) {
    let (phys, size) = (memory.phys, memory.size);
    let pages = size >> GEOMETRY.page_shift();
    if !begin() {
        return;
    }
    title(fmt!("{TITLE}{}", class.name()), stack);
    // The engine's `Display` is that of `core`, not the kernel's own.
    line(core::format_args!(
        "{}",
        Facts {
            pfn: phys >> GEOMETRY.page_shift(),
            phys,
            order: pages.next_power_of_two().trailing_zeros(),
            pages,
            mapped: hit.mapped,
            first: hit.first.0,
            last: hit.last.0,
            count: hit.count,
            cpu: cpu(),
            comm: text(&current_comm()),
            pid: current_pid(),
        }
    ));
    line(fmt!("{REFERENCE_LINE}"));
    if let Some((origin, found)) = &mappers {
        origin_report::mapped_how(origin, phys, size, found);
    }
    origin_report::section(event.heading(), stack);
    if let Some((origin, found)) = &mappers {
        origin_report::mapped_by(origin, Some(phys), found);
    }
    dump_page_owner(hit.first);
    if let Some((origin, found)) = &mappers {
        line(fmt!(""));
        origin_report::others(origin, class, found);
    }
    finish();
}

/// Reports what a domain of the DMA API still mapped when it was freed; and who had mapped it, as
/// far as that is known.
pub(crate) fn report_domain(
    state: &bindings::iommu_debug_teardown,
    mappers: Option<(&Origin, Found)>,
) {
    let Some(_gate) = enter() else {
        return;
    };
    if let Some((origin, found)) = &mappers {
        if !origin_report::is_asked_for(origin, found.device()) {
            return;
        }
    }
    if !begin() {
        return;
    }
    let stack = Stack::here();
    title(fmt!("{TITLE}{}", Class::DomainLeak.name()), &stack);
    line(core::format_args!(
        "{}",
        DomainFacts {
            pages: state.pages,
            ranges: state.ranges,
            cpu: cpu(),
            comm: text(&current_comm()),
            pid: current_pid(),
        }
    ));
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
    origin_report::section(DOMAIN_FREED, &stack);
    if let Some((origin, found)) = &mappers {
        origin_report::mapped_by(origin, None, found);
        line(fmt!(""));
        origin_report::others(origin, Class::DomainLeak, found);
    }
    finish();
}

/// The end of a report, and what comes of it.
pub(crate) fn finish() {
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

/// Prints the title; it names the function that is to blame.
pub(crate) fn title(text: fmt::Arguments<'_>, stack: &Stack) {
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
pub(crate) fn current_pid() -> i32 {
    // SAFETY: The current task exists while it runs, and its id does not change.
    unsafe { (*Task::current_raw()).pid }
}

/// The name of the current task, ended by a zero.
pub(crate) fn current_comm() -> [u8; 16] {
    // SAFETY: The current task exists while it runs. Its name may be changed meanwhile; it is
    // always terminated, and each byte is copied once.
    unsafe { (&raw const (*Task::current_raw()).comm).read_volatile() }
}

/// The text of a name that is ended by a zero.
pub(crate) fn text(name: &[u8]) -> &str {
    let len = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    core::str::from_utf8(name.get(..len).unwrap_or(&[])).unwrap_or("?")
}

/// The current CPU, which may be another one right after.
pub(crate) fn cpu() -> u32 {
    // SAFETY: Any context.
    unsafe { bindings::raw_smp_processor_id() }
}
