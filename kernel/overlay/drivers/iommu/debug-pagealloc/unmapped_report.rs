// SPDX-License-Identifier: GPL-2.0-only

//! Printing of findings about the end of a mapping: a bad unmap, and use after the unmap.

use crate::{
    engine::{
        addr::Pfn,
        report::{Class, TITLE},
        unmapped_at::{Access, AccessFacts, Call, UnmapError, UnmapFacts, MEMORY_NOW, UNMAPPED_AT},
    },
    origin::Origin,
    origin_report::{end, is_new, mapped_at, now, section, unmapped_at},
    record::{Ended, Found},
    report::{
        begin, cpu, current_comm, current_pid, dump_page_owner, enter, line, text, title, Stack,
    },
    sections::GEOMETRY,
};
use kernel::{bindings, prelude::*};

/// An unmap that does not fit.
pub(crate) struct BadUnmap {
    /// Number of the device, 0 if it has none.
    pub(crate) device: u32,
    pub(crate) dma: u64,
    pub(crate) call: Call,
    pub(crate) error: UnmapError,
}

/// An access that an IOMMU has refused.
pub(crate) struct Refused {
    pub(crate) dma: u64,
    /// Whether that is the very address, not only the page.
    pub(crate) is_exact: bool,
    /// What it was.
    pub(crate) access: Access,
}

/// Reports a bad unmap; `ended` is what has been mapped there, until now or until before.
pub(crate) fn report_bad_unmap(origin: &Origin, bad: &BadUnmap, ended: Option<&Ended>) {
    let Some(_gate) = enter() else {
        return;
    };
    let stack = Stack::here().of_unmap();
    let mapped = ended.map_or(0, |ended| ended.mapping.stack);
    // One call may be wrong in several ways, which are one bug.
    if !is_new(
        origin,
        Some(bad.device),
        Class::BadUnmap,
        stack.hash(),
        mapped,
    ) {
        return;
    }
    if !begin() {
        return;
    }
    title(fmt!("{TITLE}{}", Class::BadUnmap.name()), &stack);
    line(core::format_args!(
        "{}",
        UnmapFacts {
            owner: origin.devices.info(bad.device).owner(),
            error: bad.error,
            dma: bad.dma,
            call: bad.call,
            cpu: cpu(),
            comm: text(&current_comm()),
            pid: current_pid(),
        }
    ));
    section(UNMAPPED_AT, &stack);
    let mut found = Found::default();
    if let Some(ended) = ended {
        let now = now();
        mapped_at(origin, None, &ended.mapping, now);
        found.push(&ended.mapping);
        if bad.error == UnmapError::Twice {
            unmapped_at(ended, now);
        }
    }
    end(origin, Class::BadUnmap, &found);
}

/// Reports that a device has used an address after its mapping had ended.
pub(crate) fn report_access(origin: &Origin, refused: &Refused, ended: &Ended) {
    let Some(_gate) = enter() else {
        return;
    };
    let (class, mapping) = (Class::DmaAfterUnmap, &ended.mapping);
    let stack = Stack::ended(ended);
    let device = Some(u32::from(mapping.device));
    if !is_new(origin, device, class, stack.hash(), mapping.stack) {
        return;
    }
    let into = refused.dma.checked_sub(mapping.dma);
    let into = into.filter(|&into| refused.is_exact && into < mapping.size);
    if !begin() {
        return;
    }
    title(fmt!("{TITLE}{}", class.name()), &stack);
    line(core::format_args!(
        "{}",
        AccessFacts {
            owner: origin.devices.info(u32::from(mapping.device)).owner(),
            dma: refused.dma,
            access: refused.access,
            into,
            cpu: cpu(),
            comm: text(&current_comm()),
            pid: current_pid(),
        }
    ));
    let now = now();
    mapped_at(origin, None, mapping, now);
    unmapped_at(ended, now);
    line(fmt!(""));
    memory_now(mapping.phys.saturating_add(into.unwrap_or(0)));
    let mut found = Found::default();
    found.push(mapping);
    end(origin, class, &found);
}

/// What has become of the memory, and who has it.
fn memory_now(phys: u64) {
    let mut name = [0u8; 64];
    // SAFETY: `name` is valid for writes of its length.
    let has_page =
        unsafe { bindings::iommu_debug_describe_memory(phys, name.as_mut_ptr(), name.len()) };
    line(fmt!("{MEMORY_NOW}{}", text(&name)));
    if has_page {
        dump_page_owner(Pfn(phys >> GEOMETRY.page_shift()));
        line(fmt!(""));
    }
}
