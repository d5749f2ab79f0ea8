// SPDX-License-Identifier: GPL-2.0-only

//! The boot line: that the sanitizer is on, and what it does not see on this machine.

use crate::{origin, report::text, stats};
use kernel::{
    bindings,
    ffi::{c_int, c_void},
    prelude::*, //
};

/// Devices by what stands between them and memory.
#[derive(Default)]
struct Devices {
    translated: u32,
    passthrough: u32,
}

/// Sorts one device in.
///
/// # Safety
///
/// `dev` points to a device, `data` to a [`Devices`] that nobody else uses.
unsafe extern "C" fn sort(dev: *mut bindings::device, data: *mut c_void) -> c_int {
    // SAFETY: By the function's requirement.
    let devices = unsafe { &mut *data.cast::<Devices>() };
    // SAFETY: The device is valid, and registered while the bus walks over it.
    let domain = unsafe { bindings::iommu_get_domain_for_dev(dev) };
    if !domain.is_null() {
        // SAFETY: The domain is that of the device's group, which lives as long as the device, and
        // the bus holds the device. It is replaced only through sysfs, and there is no user space
        // yet.
        if unsafe { (*domain).type_ } & bindings::__IOMMU_DOMAIN_PAGING != 0 {
            devices.translated += 1;
        } else {
            devices.passthrough += 1;
        }
    }
    0
}

/// Says on one line that the sanitizer is on. IOMMUs that are built in have been probed by now; one
/// whose driver is a module comes later, and what is behind it is tracked all the same.
///
/// # Safety
///
/// None; unsafe because all exported functions are.
#[export]
unsafe extern "C" fn iommu_debug_late_init() -> c_int {
    // SAFETY: Set while the command line was parsed, and read-only since.
    if !unsafe { bindings::iommu_debug_wanted } {
        return 0;
    }
    let mut devices = Devices::default();
    for bus in [
        &raw const bindings::platform_bus_type,
        #[cfg(CONFIG_PCI)]
        &raw const bindings::pci_bus_type,
    ] {
        let data: *mut Devices = &mut devices;
        // SAFETY: The bus is registered, and `sort` is called with the devices on it and with
        // `data`.
        unsafe { bindings::bus_for_each_dev(bus, core::ptr::null_mut(), data.cast(), Some(sort)) };
    }
    let nothing = if origin::get().is_some() {
        "only who maps is tracked"
    } else {
        "nothing is tracked"
    };
    match devices {
        Devices {
            translated: 0,
            passthrough: 0,
        } => {
            pr_info!("on, but no device is behind an IOMMU: {nothing}\n")
        }
        Devices {
            translated: 0,
            passthrough,
        } => {
            pr_info!("on, but all {passthrough} devices are in passthrough: {nothing}\n")
        }
        Devices {
            translated,
            passthrough: 0,
        } => {
            pr_info!("on, tracking {translated} devices\n")
        }
        Devices {
            translated,
            passthrough,
        } => pr_info!(
            "on, tracking {translated} devices; {passthrough} in passthrough are not tracked\n"
        ),
    }
    if let Some(origin) = origin::get() {
        pr_info!(
            "who maps is recorded, of {} mappings at most\n",
            origin.capacity()
        );
    }
    // SAFETY: Set while the command line was parsed, and read-only since.
    let driver = unsafe { bindings::iommu_debug_driver };
    if driver.first() != Some(&0) {
        // SAFETY: It is ended by a zero.
        let has_driver = unsafe { bindings::iommu_debug_has_driver(driver.as_ptr()) };
        let missing = if has_driver {
            ""
        } else {
            ", which is not there yet"
        };
        pr_info!(
            "only findings of driver {} are reported{missing}\n",
            text(&driver)
        );
    }
    if let Err(error) = stats::publish() {
        pr_warn!("no debugfs file: {error:?}\n");
    }
    0
}
