// SPDX-License-Identifier: GPL-2.0-only

//! What the hooks in the DMA API, the slab allocator and the driver core call (`origin.c`).

use crate::{
    engine::{addr::Pfn, report::Event},
    origin::{get, Mapping},
    origin_report::{self, Memory},
    report, //
};
use kernel::{
    bindings,
    ffi::{c_char, c_int, c_uint, CStr},
    prelude::*,
    str::CStrExt,
};

/// A device can reach `size` bytes at `phys` from now on.
///
/// # Safety
///
/// `dev` points to a device.
#[export]
pub(crate) unsafe extern "C" fn iommu_debug_dma_add(
    dev: *mut bindings::device,
    phys: bindings::phys_addr_t,
    size: usize,
    dir: c_int,
    addr: bindings::dma_addr_t,
    kind: c_uint,
    stack: u32,
) {
    let Some(origin) = get() else {
        return;
    };
    origin.add(Mapping {
        dma: addr,
        phys,
        size: size as u64,
        // SAFETY: Any context.
        when: unsafe { bindings::iommu_debug_now() },
        // SAFETY: By the function's requirement.
        device: unsafe { origin.devices.number(dev) },
        stack,
        pid: report::current_pid(),
        comm: report::current_comm(),
        // SAFETY: Any context; the CPU may change right after.
        cpu: unsafe { bindings::raw_smp_processor_id() } as u16,
        direction: dir as u8,
        kind: kind as u8,
        reported: false,
    });
}

/// A device is about to lose `size` bytes at `addr`; with `range`, what several calls mapped.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
pub(crate) unsafe extern "C" fn iommu_debug_dma_remove(
    dev: *mut bindings::device,
    addr: bindings::dma_addr_t,
    size: usize,
    kind: c_uint,
    range: bool,
) {
    let Some(origin) = get() else {
        return;
    };
    let device = origin.devices.find(dev).unwrap_or(0);
    let (mut dma, mut left) = (addr, size as u64);
    loop {
        let removed = origin.remove(device, dma, left, kind as u8);
        // Late, after its driver has gone.
        let removed = removed.or_else(|| {
            // Or it was mapped when there was no number left.
            if let Some(removed) = origin.remove(0, dma, left, kind as u8) {
                return Some(removed);
            }
            let mut number = 0;
            loop {
                number = origin.devices.former(dev, number)?;
                if let Some(removed) = origin.remove(number, dma, left, kind as u8) {
                    return Some(removed);
                }
            }
        });
        let Some(removed) = removed else {
            origin.counters.unknown.add(1);
            return;
        };
        if !range {
            if removed != left {
                origin.counters.resized.add(1);
            }
            return;
        }
        dma = dma.wrapping_add(removed);
        left = left.saturating_sub(removed);
        if left == 0 {
            return;
        }
    }
}

/// `pages` pages from `pfn` on are being allocated or freed, and have been checked for mappings in
/// an IOMMU.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
pub(crate) unsafe extern "C" fn iommu_debug_check_origin(pfn: usize, pages: u32, is_free: bool) {
    if let Some(origin) = get() {
        let event = if is_free { Event::Free } else { Event::Alloc };
        origin.check_pages(Pfn(pfn as u64), u64::from(pages), event);
    }
}

/// An object of a slab cache is handed out or comes back.
///
/// # Safety
///
/// `cache` points to a string.
#[export]
pub(crate) unsafe extern "C" fn iommu_debug_check_range(
    object: usize,
    phys: bindings::phys_addr_t,
    size: usize,
    cache: *const c_char,
    is_free: bool,
) {
    let Some(origin) = get() else {
        return;
    };
    if !origin.filter.may_be_mapped(object as u64, size as u64) {
        return;
    }
    let event = if is_free { Event::Free } else { Event::Alloc };
    // SAFETY: By the function's requirement.
    let cache = unsafe { CStr::from_char_ptr(cache) }
        .to_str()
        .unwrap_or("?");
    let memory = Memory::Object {
        address: object as u64,
        cache,
    };
    origin.check(phys, size as u64, event, memory);
}

/// A driver leaves `dev`, or failed to probe it, and everything that it left to the driver core has
/// been cleaned up.
///
/// # Safety
///
/// `dev` points to a device.
#[export]
pub(crate) unsafe extern "C" fn iommu_debug_unbound(dev: *mut bindings::device) {
    let Some(origin) = get() else {
        return;
    };
    let Some(device) = origin.devices.find(dev) else {
        return;
    };
    if origin.live(device) != 0 {
        let (found, mappings, bytes) = origin.claim_device(device);
        if found.is_new {
            origin_report::report_unbound(origin, device, mappings, bytes, &found);
        }
    }
    origin.devices.forget(device);
}
