// SPDX-License-Identifier: GPL-2.0-only

//! Printing of what the DMA plane knows: findings of its own, and who mapped.

use crate::{
    devices::Names,
    engine::{
        addr::Pfn,
        gate::hash_stack,
        mapped_at::{
            hint, Direction, MappingFacts, ObjectFacts, OthersLive, Owner, Reach, UnbindFacts,
            MAPPED_AT, UNBOUND_AT,
        },
        report::{Class, Event, Facts, TITLE},
    },
    locked::Locked,
    origin::{Found, Mapping, Origin},
    report::{
        begin,
        cpu,
        current_comm,
        current_pid,
        dump_page_owner,
        enter,
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
    Pages { first: Pfn, pages: u64 },
    /// An object of a slab cache.
    Object { address: u64, cache: &'a str },
}

/// Bugs that have been reported, by class, site of the event and site of the map.
static SEEN: Locked<Seen> = {
    let seen = Seen {
        bugs: [0; 256],
        next: 0,
    };
    // SAFETY: The last of the locks, which nothing else uses.
    unsafe { Locked::new(33, seen) }
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

/// Whether this is the first report of a bug; else it is only counted.
fn is_new(class: Class, stack: &Stack, found: &Found) -> bool {
    let mapped = found.iter().map(|mapping| u64::from(mapping.stack));
    let site = [class as u64 + 1, stack.hash()];
    let bug = hash_stack(Iterator::chain(site.into_iter(), mapped.take(1)));
    let is_new = SEEN.with(|seen| seen.is_new(bug));
    if !is_new {
        STATS.repeated.add(1);
    }
    is_new
}

/// Reports that memory which `found` maps is allocated or freed.
pub(crate) fn report(
    origin: &Origin,
    phys: u64,
    size: u64,
    event: Event,
    memory: &Memory<'_>,
    found: &Found,
) {
    let Some(_gate) = enter() else {
        return;
    };
    let class = match memory {
        Memory::Pages { .. } => event.class(1),
        Memory::Object { .. } => event.object_class(),
    };
    let stack = Stack::here();
    if !is_new(class, &stack, found) {
        return;
    }
    begin();
    title(fmt!("{TITLE}{}", class.name()), &stack);
    let (comm, mapped) = (current_comm(), found.iter().count() as u64);
    match *memory {
        Memory::Pages { first, pages } => {
            let shift = GEOMETRY.page_shift();
            let end = phys.saturating_add(size - 1);
            let begin = |m: &Mapping| m.phys.max(phys) >> shift;
            let last = |m: &Mapping| m.phys.saturating_add(m.size.max(1) - 1).min(end) >> shift;
            let (low, high) = (found.iter().map(begin).min(), found.iter().map(last).max());
            let (low, high) = (low.unwrap_or(first.0), high.unwrap_or(first.0));
            let is_mapped = |pfn: &u64| found.iter().any(|m| (begin(m)..=last(m)).contains(pfn));
            line(core::format_args!(
                "{}",
                Facts {
                    pfn: first.0,
                    phys,
                    order: pages.next_power_of_two().trailing_zeros(),
                    pages,
                    mapped: (low..=high).filter(is_mapped).count() as u64,
                    first: low,
                    last: high,
                    count: found.iter().filter(|m| begin(m) == low).count() as i32,
                    cpu: cpu(),
                    comm: text(&comm),
                    pid: current_pid(),
                }
            ));
        }
        Memory::Object { address, cache } => line(core::format_args!(
            "{}",
            ObjectFacts {
                object: address,
                phys,
                size,
                cache,
                mapped,
                cpu: cpu(),
                comm: text(&comm),
                pid: current_pid(),
            }
        )),
    }
    mapped_how(origin, phys, size, found);
    line(fmt!(""));
    line(fmt!("{}", event.heading()));
    stack.frames().for_each(symbol_line);
    mapped_by(origin, Some((phys, size)), found);
    if let Memory::Pages { .. } = memory {
        let first = found.iter().map(|m| m.phys.max(phys)).min().unwrap_or(phys);
        dump_page_owner(Pfn(first >> GEOMETRY.page_shift()));
    }
    end(origin, class, found);
}

/// Reports what a driver has left mapped.
pub(crate) fn report_unbound(
    origin: &Origin,
    device: u32,
    mappings: u64,
    bytes: u64,
    found: &Found,
) {
    let Some(_gate) = enter() else {
        return;
    };
    let stack = Stack::here();
    if !is_new(Class::UnbindLeak, &stack, found) {
        return;
    }
    begin();
    title(fmt!("{TITLE}{}", Class::UnbindLeak.name()), &stack);
    let (comm, names) = (current_comm(), origin.names(device));
    line(core::format_args!(
        "{}",
        UnbindFacts {
            owner: owner(&names),
            mappings,
            bytes,
            cpu: cpu(),
            comm: text(&comm),
            pid: current_pid(),
        }
    ));
    line(fmt!(""));
    line(fmt!("{UNBOUND_AT}"));
    stack.frames().for_each(symbol_line);
    mapped_by(origin, None, found);
    end(origin, Class::UnbindLeak, found);
}

fn owner(names: &Names) -> Owner<'_> {
    Owner {
        device: names.device(),
        driver: names.driver(),
    }
}

/// The line for people, about the first mapping.
pub(crate) fn mapped_how(origin: &Origin, phys: u64, size: u64, found: &Found) {
    for mapping in found.iter().take(1) {
        let names = origin.names(mapping.device);
        let first = mapping.phys.max(phys);
        let end = phys.saturating_add(size);
        let end = mapping.phys.saturating_add(mapping.size).min(end);
        line(core::format_args!(
            "{}",
            Reach {
                owner: owner(&names),
                direction: Direction::from_kernel(mapping.direction),
                bytes: end.saturating_sub(first),
                offset: first - phys,
            }
        ));
    }
}

/// A section for each mapping; `memory` is the page or object that they reach into.
pub(crate) fn mapped_by(origin: &Origin, memory: Option<(u64, u64)>, found: &Found) {
    // SAFETY: Any context.
    let now = unsafe { bindings::iommu_debug_now() };
    for mapping in found.iter() {
        let names = origin.names(mapping.device);
        line(fmt!(""));
        line(fmt!("{MAPPED_AT}"));
        line(core::format_args!(
            "{}",
            MappingFacts {
                owner: owner(&names),
                dma: mapping.dma,
                phys: mapping.phys,
                size: mapping.size,
                from: memory.map(|(phys, _)| mapping.phys.saturating_sub(phys)),
                direction: Direction::from_kernel(mapping.direction),
                kind: mapping.kind,
                cpu: u32::from(mapping.cpu),
                comm: text(&mapping.comm),
                pid: mapping.pid,
                age: now.saturating_sub(mapping.when) / 1000,
            }
        ));
        Stack::saved(mapping.stack).frames().for_each(symbol_line);
    }
}

/// What else the first mapping's device has mapped, and the hint.
pub(crate) fn end(origin: &Origin, class: Class, found: &Found) {
    line(fmt!(""));
    others(origin, class, found);
    STATS.findings.add(1);
    finish();
}

/// The lines before the end.
pub(crate) fn others(origin: &Origin, class: Class, found: &Found) {
    for mapping in found.iter().take(1) {
        let names = origin.names(mapping.device);
        let here = found.iter().filter(|m| m.device == mapping.device);
        let live = u64::from(origin.live(mapping.device));
        line(core::format_args!(
            "{}",
            OthersLive {
                device: names.device(),
                mappings: live.saturating_sub(here.count() as u64),
            }
        ));
    }
    if let Some(hint) = hint(class) {
        line(fmt!("{hint}"));
    }
}
