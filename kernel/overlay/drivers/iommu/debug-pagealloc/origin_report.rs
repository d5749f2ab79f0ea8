// SPDX-License-Identifier: GPL-2.0-only

//! Printing of what the DMA plane knows: findings of its own, and who mapped.

use crate::{
    engine::{
        addr::Pfn,
        gate::hash_stack,
        mapped_at::{
            hint, Direction, MappingFacts, ObjectFacts, OthersLive, Reach, UnbindFacts, MAPPED_AT,
            UNBOUND_AT,
        },
        report::{Class, Event, Facts, REFERENCE_LINE, TITLE},
        unmapped_at::{EndFacts, UNMAPPED_AT},
    },
    locked::{Locked, SEEN_LOCK},
    origin::Origin,
    record::{Ended, Found, Mapping},
    report::{
        begin,
        cpu,
        current_comm,
        current_pid,
        dump_page_owner,
        finish,
        line,
        symbol_line,
        text,
        title,
        Stack, //
    },
    sections::GEOMETRY,
    stats::STATS, //
};
use kernel::{bindings, prelude::*};

/// What was allocated or freed.
pub(crate) enum Memory<'a> {
    /// Pages.
    Pages,
    /// An object of a slab cache.
    Object { address: u64, cache: &'a str },
}

/// Bugs that have been reported, by class, site of the event and site of the map.
static SEEN: Locked<Seen> = {
    let seen = Seen {
        bugs: [0; 256],
        next: 0,
    };
    // SAFETY: Nothing else uses this lock.
    unsafe { Locked::new(SEEN_LOCK, seen) }
};

struct Seen {
    bugs: [u64; 256],
    next: usize,
}

impl Seen {
    fn is_new(&mut self, bug: u64) -> bool {
        if self.bugs.contains(&bug) {
            return false;
        }
        if let Some(place) = self.bugs.get_mut(self.next) {
            *place = bug;
        }
        self.next = (self.next + 1) % self.bugs.len();
        true
    }
}

/// Whether findings that this device's driver is to blame for are asked for; else one is only
/// counted.
pub(crate) fn is_asked_for(origin: &Origin, device: Option<u32>) -> bool {
    // SAFETY: Set while the command line was parsed, and read-only since.
    let wanted = unsafe { bindings::iommu_debug_driver };
    let wanted = text(&wanted);
    let info = device.map(|device| origin.devices.info(device));
    let is_it = wanted.is_empty() || info.is_some_and(|info| info.owner().driver == wanted);
    if !is_it {
        STATS.filtered.add(1);
    }
    is_it
}

/// Whether this is the first report of a bug, and is asked for; else it is only counted.
pub(crate) fn is_new(
    origin: &Origin,
    device: Option<u32>,
    class: Class,
    site: u64,
    mapped: u32,
) -> bool {
    if !is_asked_for(origin, device) {
        return false;
    }
    let bug = hash_stack([class as u64 + 1, site, u64::from(mapped)].into_iter());
    let is_new = SEEN.with(|seen| seen.is_new(bug));
    if !is_new {
        STATS.repeated.add(1);
    }
    is_new
}

/// The same for a bug with the mappings of `found`. Where there is none, bugs cannot be told apart.
pub(crate) fn is_first(origin: &Origin, class: Class, stack: &Stack, found: &Found) -> bool {
    let Some(first) = found.first() else {
        return is_asked_for(origin, None);
    };
    let mapped = first.stack;
    is_new(origin, found.device(), class, stack.hash(), mapped)
}

/// Reports that memory which `found` maps is allocated or freed. Behind the gate.
pub(crate) fn report(
    origin: &Origin,
    phys: u64,
    size: u64,
    event: Event,
    memory: &Memory<'_>,
    found: &Found,
) {
    let class = match memory {
        _ if found.are_stale() => Class::StaleIotlb,
        Memory::Pages => event.class(1),
        Memory::Object { .. } => event.object_class(),
    };
    let stack = Stack::here();
    if !is_first(origin, class, &stack, found) || !begin() {
        return;
    }
    title(fmt!("{TITLE}{}", class.name()), &stack);
    match *memory {
        Memory::Pages => {
            page_facts(phys, size, found);
            line(fmt!("{REFERENCE_LINE}"));
        }
        Memory::Object { address, cache } => line(core::format_args!(
            "{}",
            ObjectFacts {
                object: address,
                phys,
                size,
                cache,
                mapped: found.iter().count() as u64,
                cpu: cpu(),
                comm: text(&current_comm()),
                pid: current_pid(),
            }
        )),
    }
    mapped_how(origin, phys, size, found);
    section(event.heading(), &stack);
    mapped_by(origin, Some(phys), found);
    if let Memory::Pages = memory {
        let first = found.iter().map(|m| m.phys.max(phys)).min().unwrap_or(phys);
        dump_page_owner(Pfn(first >> GEOMETRY.page_shift()));
    }
    end(origin, class, found);
}

/// The facts of pages that only the DMA plane knows to be mapped.
fn page_facts(phys: u64, size: u64, found: &Found) {
    let shift = GEOMETRY.page_shift();
    let end = phys.saturating_add(size - 1);
    let begin = |m: &Mapping| m.phys.max(phys) >> shift;
    let last = |m: &Mapping| m.last().min(end) >> shift;
    let low = found.iter().map(begin).min().unwrap_or(phys >> shift);
    let high = found.iter().map(last).max().unwrap_or(low);
    let is_mapped = |pfn: &u64| found.iter().any(|m| (begin(m)..=last(m)).contains(pfn));
    let pages = size >> shift;
    line(core::format_args!(
        "{}",
        Facts {
            pfn: phys >> shift,
            phys,
            order: pages.next_power_of_two().trailing_zeros(),
            pages,
            mapped: (low..=high).filter(is_mapped).count() as u64,
            first: low,
            last: high,
            count: found.iter().filter(|m| begin(m) == low).count() as i32,
            cpu: cpu(),
            comm: text(&current_comm()),
            pid: current_pid(),
        }
    ));
}

/// Reports what a driver has left mapped. Behind the gate.
pub(crate) fn report_unbound(
    origin: &Origin,
    device: u32,
    mappings: u64,
    bytes: u64,
    found: &Found,
) {
    let stack = Stack::here();
    if !is_first(origin, Class::UnbindLeak, &stack, found) || !begin() {
        return;
    }
    title(fmt!("{TITLE}{}", Class::UnbindLeak.name()), &stack);
    line(core::format_args!(
        "{}",
        UnbindFacts {
            owner: origin.devices.info(device).owner(),
            mappings,
            bytes,
            cpu: cpu(),
            comm: text(&current_comm()),
            pid: current_pid(),
        }
    ));
    section(UNBOUND_AT, &stack);
    mapped_by(origin, None, found);
    end(origin, Class::UnbindLeak, found);
}

/// A heading, and a stack.
pub(crate) fn section(heading: &str, stack: &Stack) {
    line(fmt!(""));
    line(fmt!("{heading}"));
    stack.frames().for_each(symbol_line);
}

/// The line for people, about the first mapping.
pub(crate) fn mapped_how(origin: &Origin, phys: u64, size: u64, found: &Found) {
    let Some(mapping) = found.first() else {
        return;
    };
    let first = mapping.phys.max(phys);
    let end = phys.saturating_add(size);
    let end = mapping.phys.saturating_add(mapping.size).min(end);
    line(core::format_args!(
        "{}",
        Reach {
            owner: origin.devices.info(u32::from(mapping.device)).owner(),
            direction: Direction::from_kernel(mapping.direction),
            bytes: end.saturating_sub(first),
            offset: first - phys,
        }
    ));
}

/// A section for each mapping; `memory` is where the page or object begins that they reach into.
pub(crate) fn mapped_by(origin: &Origin, memory: Option<u64>, found: &Found) {
    let now = now();
    for mapping in found.iter() {
        mapped_at(origin, memory, mapping, now);
        if mapping.is_stale() {
            let when = Some(mapping.when);
            if let Some(ended) = origin.ended_at(u32::from(mapping.device), mapping.dma, when) {
                unmapped_at(&ended, now);
            }
        }
    }
}

/// The section of one mapping.
pub(crate) fn mapped_at(origin: &Origin, memory: Option<u64>, mapping: &Mapping, now: u64) {
    let info = origin.devices.info(u32::from(mapping.device));
    line(fmt!(""));
    line(fmt!("{MAPPED_AT}"));
    line(core::format_args!(
        "{}",
        MappingFacts {
            owner: info.owner(),
            dma: mapping.dma,
            phys: mapping.phys,
            size: mapping.size,
            from: memory.map(|phys| mapping.phys.saturating_sub(phys)),
            direction: Direction::from_kernel(mapping.direction),
            kind: mapping.kind,
            attrs: mapping.attrs,
            domain: info.domain(),
            cpu: u32::from(mapping.cpu),
            comm: text(&mapping.comm),
            pid: mapping.pid,
            age: age(mapping.when, now),
        }
    ));
    let stack = Stack::saved(mapping.stack);
    stack.frames().for_each(symbol_line);
}

/// The section of who unmapped.
pub(crate) fn unmapped_at(ended: &Ended, now: u64) {
    line(fmt!(""));
    line(fmt!("{UNMAPPED_AT}"));
    line(core::format_args!(
        "{}",
        EndFacts {
            cpu: u32::from(ended.by.who.cpu),
            comm: text(&ended.by.who.comm),
            pid: ended.by.who.pid,
            age: age(ended.by.who.when, now),
        }
    ));
    Stack::ended(ended).frames().for_each(symbol_line);
}

/// The time that the ages in a report are counted from; printing takes long.
pub(crate) fn now() -> u64 {
    // SAFETY: Any context.
    unsafe { bindings::iommu_debug_now() }
}

/// How long ago that was, in microseconds.
fn age(when: u64, now: u64) -> u64 {
    now.saturating_sub(when) / 1000
}

/// What else the first mapping's device has mapped, the hint, and the end of a report.
pub(crate) fn end(origin: &Origin, class: Class, found: &Found) {
    line(fmt!(""));
    others(origin, class, found);
    finish();
}

/// The lines before the end.
pub(crate) fn others(origin: &Origin, class: Class, found: &Found) {
    if let Some(mapping) = found.first() {
        // Of these, the mappings have ended.
        let is_over = matches!(
            class,
            Class::DomainLeak | Class::BadUnmap | Class::DmaAfterUnmap | Class::StaleIotlb
        );
        let is_here = |m: &&Mapping| m.device == mapping.device && !m.is_stale() && !is_over;
        let here = found.iter().filter(is_here).count() as u64;
        line(core::format_args!(
            "{}",
            OthersLive {
                device: origin
                    .devices
                    .info(u32::from(mapping.device))
                    .owner()
                    .device,
                mappings: u64::from(origin.live(u32::from(mapping.device))).saturating_sub(here),
            }
        ));
    }
    if let Some(hint) = hint(class) {
        line(fmt!("{hint}"));
    }
}
