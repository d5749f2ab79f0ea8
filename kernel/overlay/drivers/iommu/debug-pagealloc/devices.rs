// SPDX-License-Identifier: GPL-2.0-only

//! Devices that have mapped something: their names, for as long as a mapping is remembered.
//!
//! A record has the number of an entry here, not a pointer to the device: a driver that leaks a
//! mapping may be gone, and its device too, by the time that this is reported.

use crate::{
    locked::Locked,
    primitive::{Long, Word}, //
};
use core::ffi::CStr;
use kernel::{bindings, prelude::*};

/// How many devices there can be.
const MAX: usize = 256;

/// At how many places a device may be; if all are taken, it shares place 0 with others, as "?".
const WAYS: usize = 16;

/// All devices that have mapped something.
pub(crate) struct Devices {
    /// The addresses of their `struct device`; 0: none, or the driver is gone.
    addresses: KVec<Long>,
    /// Live mappings of each.
    live: KVec<Word>,
    infos: Locked<KVec<Info>>,
}

/// A device, and the driver that was bound to it when it got its number.
#[derive(Clone, Copy)]
struct Info {
    text: bindings::iommu_debug_device,
    /// The address of its `struct device`, even if the driver is gone.
    address: u64,
}

const NOBODY: Info = Info {
    text: bindings::iommu_debug_device {
        name: [0; 32],
        driver: [0; 32],
        requester: -1,
    },
    address: 0,
};

/// The name of a device and of its driver.
#[derive(Clone, Copy)]
pub(crate) struct Names(Info);

impl Names {
    /// The device's name, such as `0000:00:03.0`.
    pub(crate) fn device(&self) -> &str {
        text(&self.0.text.name)
    }

    /// The driver's name.
    pub(crate) fn driver(&self) -> &str {
        text(&self.0.text.driver)
    }
}

fn text(bytes: &[u8]) -> &str {
    let name = CStr::from_bytes_until_nul(bytes).ok();
    name.and_then(|name| name.to_str().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or("?")
}

impl Devices {
    /// None yet. `lock` is for this alone.
    ///
    /// # Safety
    ///
    /// See [`Locked::new`].
    pub(crate) unsafe fn new(lock: u32) -> Result<Devices> {
        let mut addresses = KVec::with_capacity(MAX, GFP_KERNEL)?;
        let mut live = KVec::with_capacity(MAX, GFP_KERNEL)?;
        for _ in 0..MAX {
            addresses.push(Long::new(0), GFP_KERNEL)?;
            live.push(Word::new(0), GFP_KERNEL)?;
        }
        let infos = KVec::from_elem(NOBODY, MAX, GFP_KERNEL)?;
        Ok(Devices {
            addresses,
            live,
            // SAFETY: By the function's requirement.
            infos: unsafe { Locked::new(lock, infos) },
        })
    }

    /// The number of a device; 0 if there is no room for it.
    ///
    /// # Safety
    ///
    /// `dev` points to a device.
    #[inline]
    pub(crate) unsafe fn number(&self, dev: *mut bindings::device) -> u32 {
        // SAFETY: By the function's requirement.
        self.find(dev).unwrap_or_else(|| unsafe { self.add(dev) })
    }

    /// The number of a device that has one.
    #[inline]
    pub(crate) fn find(&self, dev: *mut bindings::device) -> Option<u32> {
        let is_it = |&place: &usize| {
            let address = self.addresses.get(place).map(Long::peek);
            address == Some(dev as u64)
        };
        places(dev).find(is_it).map(|place| place as u32)
    }

    /// # Safety
    ///
    /// `dev` points to a device.
    #[cold]
    unsafe fn add(&self, dev: *mut bindings::device) -> u32 {
        let mut info = Info {
            address: dev as u64,
            ..NOBODY
        };
        // SAFETY: By the function's requirement.
        unsafe { bindings::iommu_debug_describe_device(dev, &mut info.text) };
        let added = self.infos.with(|infos| {
            // Another CPU may have been faster.
            if let Some(number) = self.find(dev) {
                return Some(number);
            }
            let place = places(dev).find(|&place| {
                self.addresses.get(place).is_some_and(|a| a.peek() == 0)
                    && self.live.get(place).is_some_and(|live| live.load() == 0)
            })?;
            *infos.get_mut(place)? = info;
            self.addresses.get(place)?.store(dev as u64);
            Some(place as u32)
        });
        added.unwrap_or(0)
    }

    /// The driver of device `number` is gone: the next one gets another number as long as mappings
    /// of this one are left.
    pub(crate) fn forget(&self, number: u32) {
        if let Some(address) = self.addresses.get(number as usize) {
            address.store(0);
        }
    }

    /// Another number of the same device, that it had with a driver which is gone, and with which
    /// it still has mappings; the next one after `number`.
    #[cold]
    pub(crate) fn former(&self, dev: *mut bindings::device, number: u32) -> Option<u32> {
        let is_it = |number: &u32| {
            let live = self.live(*number).is_some_and(|live| live.load() != 0);
            live && self.infos.with(|infos| {
                let info = infos.get(*number as usize);
                info.is_some_and(|info| info.address == dev as u64)
            })
        };
        (number + 1..MAX as u32).find(is_it)
    }

    /// What device `number` was called.
    pub(crate) fn names(&self, number: u32) -> Names {
        let info = self.infos.with(|infos| infos.get(number as usize).copied());
        Names(info.unwrap_or(NOBODY))
    }

    /// How many live mappings device `number` has.
    pub(crate) fn live(&self, number: u32) -> Option<&Word> {
        self.live.get(number as usize)
    }
}

/// Where a device may be. Place 0 is nobody's.
#[inline]
fn places(dev: *mut bindings::device) -> impl Iterator<Item = usize> {
    // Allocations of this size are aligned to 64 bytes at least.
    let first = (dev as usize >> 6) ^ (dev as usize >> 12);
    (first..first + WAYS).map(|place| place % (MAX - 1) + 1)
}
