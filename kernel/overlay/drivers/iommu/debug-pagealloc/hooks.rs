// SPDX-License-Identifier: GPL-2.0-only

//! What the hooks in the DMA API, the IOMMU drivers, the slab allocator and the driver core call
//! (`origin.c`).

use crate::{
    devices::DeviceId,
    engine::{
        addr::Pfn,
        report::Event,
        unmapped_at::{Access, Call, UnmapError}, //
    },
    origin::{get, Origin},
    origin_report::{self, Memory},
    record::{By, Mapping},
    report::enter,
    unmapped_report::{self, BadUnmap, Refused}, //
};
use kernel::{
    bindings,
    ffi::{c_char, c_int, c_uint, CStr},
    prelude::*,
    str::CStrExt,
};

/// The smallest page that an IOMMU has: where parts of a range may begin, behind the first.
const PART: u64 = 4096;

/// A device can reach `size` bytes at `phys` from now on. `how` has an `enum iommu_debug_kind` in
/// its low bits, and the attributes above.
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
    how: c_uint,
    stack: u32,
) {
    let Some(origin) = get() else {
        return;
    };
    // Before the time is taken: a number says since when it is the device's.
    // SAFETY: By the function's requirement.
    let device = unsafe { origin.devices.number(dev) };
    let who = By::current(stack).who;
    origin.add(&Mapping {
        dma: addr,
        phys,
        size: size as u64,
        when: who.when,
        stack,
        pid: who.pid,
        comm: who.comm,
        cpu: who.cpu,
        attrs: (how >> bindings::IOMMU_DEBUG_KIND_BITS) as u16,
        device: device as u8,
        direction: dir as u8,
        kind: (how & ((1 << bindings::IOMMU_DEBUG_KIND_BITS) - 1)) as u8,
        state: 0,
    });
}

/// A device can reach memory from now on that there is no record of.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
pub(crate) unsafe extern "C" fn iommu_debug_dma_skip() {
    if let Some(origin) = get() {
        origin.counters.skipped.add(1);
    }
}

/// A device is about to lose `size` bytes at `addr`. What is not one `IOMMU_DEBUG_SINGLE` may have
/// been mapped in parts.
///
/// # Safety
///
/// `dev` points to a device.
#[export]
pub(crate) unsafe extern "C" fn iommu_debug_dma_remove(
    dev: *mut bindings::device,
    addr: bindings::dma_addr_t,
    size: usize,
    dir: c_int,
    kind: c_uint,
    caller: usize,
    stack: u32,
) {
    let Some(origin) = get() else {
        return;
    };
    let device = origin.devices.find(dev).unwrap_or(0);
    let is_range = kind != bindings::iommu_debug_kind_IOMMU_DEBUG_SINGLE;
    let by = By::current(stack);
    let mut dma = addr;
    let mut call = Call {
        size: size as u64,
        kind: kind as u8,
        direction: dir as u8,
    };
    let mut bad = None;
    let mut unknown = 0;
    loop {
        let ended = origin.end(device, dma, call, &by, caller);
        // Late, after its driver has gone.
        let ended = ended.or_else(|| end_former(origin, dev, dma, call, &by, caller));
        let Some(mapped) = ended else {
            unknown = 1;
            if !origin.has_skipped() {
                // The first bytes are something else than the last ones of what has been mapped.
                let error = if dma == addr {
                    UnmapError::NotMapped
                } else {
                    UnmapError::Size
                };
                bad = bad.or(Some(error));
                break;
            }
            // There may have been no room for it. In a range, the next part begins with a page.
            // Where nothing is translated, a range is one part, and what begins with the next page
            // is another mapping.
            if !is_range || !origin.devices.is_translated(device) {
                break;
            }
            let missing = PART - dma % PART;
            dma = dma.wrapping_add(missing);
            call.size = call.size.saturating_sub(missing);
            if call.size == 0 {
                break;
            }
            continue;
        };
        bad = bad.or(call.error(mapped, is_range));
        dma = dma.wrapping_add(mapped.size);
        call.size = call.size.saturating_sub(mapped.size);
        if !is_range || call.size == 0 {
            break;
        }
    }
    origin.counters.unknown.add(unknown);
    if let Some(error) = bad.filter(|_| is_sure(origin, device, unknown != 0)) {
        call.size = size as u64;
        let bad = BadUnmap {
            // SAFETY: By the function's requirement.
            device: unsafe { origin.devices.number(dev) },
            dma: addr,
            call,
            error,
        };
        report_bad_unmap(origin, bad);
    }
}

/// Whether an unmap that does not fit is one, though mappings may be missing: what it was meant for
/// may be one of these. An address of an IOMMU's is that of one mapping only.
#[cold]
fn is_sure(origin: &Origin, device: u32, is_unknown: bool) -> bool {
    !origin.has_skipped() || !is_unknown && origin.devices.is_translated(device)
}

/// Ends a mapping that the device has made under another number.
#[cold]
fn end_former(
    origin: &Origin,
    dev: *mut bindings::device,
    dma: u64,
    call: Call,
    by: &By,
    caller: usize,
) -> Option<Call> {
    let mut numbers = origin.devices.former(dev);
    numbers.find_map(|number| origin.end(number, dma, call, by, caller))
}

#[cold]
fn report_bad_unmap(origin: &Origin, mut bad: BadUnmap) {
    origin.counters.differ.add(1);
    // A user of this interface may link memory of devices in between, of which there is no record.
    if u32::from(bad.call.kind) == bindings::iommu_debug_kind_IOMMU_DEBUG_LINK {
        return;
    }
    // What was mapped there has just ended, if it is not the error that nothing was.
    let ended = origin.ended_at(bad.device, bad.dma, None);
    if bad.error == UnmapError::NotMapped && ended.is_some() {
        bad.error = UnmapError::Twice;
    }
    unmapped_report::report_bad_unmap(origin, &bad, ended.as_ref());
}

/// An IOMMU has refused `bytes` bytes at `dma` to a device: what it may have used is somewhere in
/// there.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
pub(crate) unsafe extern "C" fn __iommu_debug_fault(
    by: c_uint,
    id: usize,
    dma: u64,
    bytes: usize,
    access: c_uint,
) {
    let Some(origin) = get() else {
        return;
    };
    let id = match by {
        bindings::iommu_debug_device_id_IOMMU_DEBUG_BY_ADDRESS => DeviceId::Address(id as u64),
        bindings::iommu_debug_device_id_IOMMU_DEBUG_BY_REQUESTER => DeviceId::Requester(id as u32),
        bindings::iommu_debug_device_id_IOMMU_DEBUG_BY_DOMAIN => DeviceId::Domain(id),
        _ => DeviceId::Endpoint(id as u32),
    };
    let bytes = bytes as u64;
    let Some(ended) = origin.ended(id, dma, bytes) else {
        return;
    };
    // If there is a mapping again, this is about something else: the direction.
    if origin.is_mapped(id, dma, bytes) {
        return;
    }
    let refused = Refused {
        dma,
        is_exact: bytes == 1,
        access: match access {
            bindings::iommu_debug_access_IOMMU_DEBUG_READ => Access::Read,
            bindings::iommu_debug_access_IOMMU_DEBUG_WRITE => Access::Write,
            _ => Access::Unknown,
        },
    };
    unmapped_report::report_access(origin, &refused, &ended);
}

/// The IOMMU has forgotten what `domain` had at `first` to `last` and was unmapped before `begun`.
///
/// # Safety
///
/// None; the domain's address serves as a name. Unsafe because all exported functions are.
#[export]
pub(crate) unsafe extern "C" fn __iommu_debug_flush_end(
    domain: *mut bindings::iommu_domain,
    begun: u64,
    first: bindings::dma_addr_t,
    last: bindings::dma_addr_t,
) {
    if let Some(origin) = get() {
        origin.flushed(domain, begun, first, last);
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
/// None; the device's address serves as a name. Unsafe because all exported functions are.
#[export]
pub(crate) unsafe extern "C" fn iommu_debug_unbound(dev: *mut bindings::device) {
    let Some(origin) = get() else {
        return;
    };
    let Some(device) = origin.devices.find(dev) else {
        return;
    };
    if origin.live(device) != 0 {
        // If it is turned away, what is left can still be found when its memory is freed.
        if let Some(_gate) = enter() {
            let (found, mappings, bytes) = origin.claim_device(device);
            if found.is_new {
                origin_report::report_unbound(origin, device, mappings, bytes, &found);
            }
        }
    }
    origin.devices.forget(device);
}
