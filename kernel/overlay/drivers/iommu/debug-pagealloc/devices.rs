// SPDX-License-Identifier: GPL-2.0-only

//! Devices that have mapped something: their names, for as long as a mapping is remembered.
//!
//! A record has the number of an entry here, not a pointer to the device: a driver that leaks a
//! mapping may be gone, and its device too, by the time that this is reported.

use crate::{
    engine::mapped_at::{Domain, Owner},
    locked::{Locked, DEVICES_LOCK},
    primitive::{Long, Word},
    report::text, //
};
use kernel::{bindings, prelude::*};

/// How many devices there can be.
const MAX: usize = 256;

/// At how many places a device may be; if all are taken, its mappings are not recorded.
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
pub(crate) struct Info {
    text: bindings::iommu_debug_device,
    /// The address of its `struct device`, even if the driver is gone.
    address: u64,
    /// When it got its number, which another device may have had before; as `Mapping::when`.
    pub(crate) since: u64,
}

const NOBODY: Info = Info {
    text: bindings::iommu_debug_device {
        name: [0; 32],
        driver: [0; 32],
        domain: core::ptr::null(),
        is_translated: false,
        page_shift: 12,
        requester: -1,
        endpoint: -1,
    },
    address: 0,
    since: 0,
};

// SAFETY: The pointer to the domain is only compared.
unsafe impl Send for Info {}

impl Info {
    /// The names of the device and its driver; "?" for what is not known.
    pub(crate) fn owner(&self) -> Owner<'_> {
        let name = |bytes| Some(text(bytes)).filter(|name| !name.is_empty());
        Owner {
            device: name(&self.text.name).unwrap_or("?"),
            driver: name(&self.text.driver).unwrap_or("?"),
        }
    }

    /// What its accesses go through.
    pub(crate) fn domain(&self) -> Domain {
        match (self.text.domain.is_null(), self.text.is_translated) {
            (true, _) => Domain::None,
            (false, false) => Domain::Passthrough,
            (false, true) => Domain::Translated,
        }
    }

    /// Whether an IOMMU translates its accesses.
    fn is_translated(&self) -> bool {
        self.domain() == Domain::Translated
    }

    /// Whether an IOMMU translates its accesses by this domain; by address, it may be gone.
    fn is_behind(&self, domain: *const bindings::iommu_domain) -> bool {
        self.is_translated() && core::ptr::eq(self.text.domain, domain)
    }

    /// Whether an IOMMU means this device.
    fn is(&self, id: DeviceId) -> bool {
        match id {
            DeviceId::Address(address) => self.address == address,
            DeviceId::Requester(id) => i64::from(self.text.requester) == i64::from(id),
            DeviceId::Endpoint(id) => i64::from(self.text.endpoint) == i64::from(id),
            DeviceId::Domain(id) => self.is_behind(id as *const bindings::iommu_domain),
        }
    }
}

/// How an IOMMU names a device.
#[derive(Clone, Copy)]
pub(crate) enum DeviceId {
    /// By the address of its `struct device`.
    Address(u64),
    /// By PCI segment, bus, device and function.
    Requester(u32),
    /// By a number from the firmware (`iommu_fwspec::ids`).
    Endpoint(u32),
    /// By the address of the domain that it is behind.
    Domain(usize),
}

/// A set of numbers, so that many records can be looked through without asking for each.
#[derive(Clone, Copy, Default)]
pub(crate) struct Numbers([u64; MAX / 64]);

impl Numbers {
    fn add(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether `number` is in it.
    pub(crate) fn has(&self, number: u8) -> bool {
        let word = self.0.get(usize::from(number) / 64);
        word.is_some_and(|word| word >> (number % 64) & 1 != 0)
    }
}

impl Devices {
    /// None yet.
    pub(crate) fn new() -> Result<Devices> {
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
            // SAFETY: Nothing else uses this lock, and there is one `Devices`.
            infos: unsafe { Locked::new(DEVICES_LOCK, infos) },
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
            // SAFETY: Any context.
            since: unsafe { bindings::iommu_debug_now() },
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

    /// Other numbers that `dev` may have mapped something under: those that it had with drivers
    /// which are gone, and with which it still has mappings.
    #[cold]
    pub(crate) fn former<'a>(
        &'a self,
        dev: *mut bindings::device,
    ) -> impl Iterator<Item = u32> + 'a {
        let address = dev as u64;
        (0..MAX as u32).filter(move |&number| {
            let live = self.live(number).is_some_and(|live| live.load() != 0);
            live && self.info(number).address == address
        })
    }

    /// What is known of device `number`.
    pub(crate) fn info(&self, number: u32) -> Info {
        let info = self.infos.with(|infos| infos.get(number as usize).copied());
        info.unwrap_or(NOBODY)
    }

    /// Whether an IOMMU translates what device `number` accesses.
    pub(crate) fn is_translated(&self, number: u32) -> bool {
        self.info(number).is_translated()
    }

    fn numbers(&self, mut is_one: impl FnMut(&Info) -> bool) -> Numbers {
        let mut numbers = Numbers::default();
        self.infos.with(|infos| {
            let those = infos.iter().enumerate().filter(|(_, info)| is_one(info));
            those.for_each(|(number, _)| numbers.add(number));
        });
        numbers
    }

    /// Which devices an IOMMU means, and the logarithm of the smallest page that it has for them.
    pub(crate) fn named(&self, id: DeviceId) -> (Numbers, u32) {
        let mut shift = u64::BITS - 1;
        let numbers = self.numbers(|info| {
            let is_it = info.is(id);
            if is_it {
                shift = shift.min(info.text.page_shift);
            }
            is_it
        });
        (numbers, shift)
    }

    /// Which devices an IOMMU translates for by this domain; by address, it may be gone.
    pub(crate) fn behind(&self, domain: *const bindings::iommu_domain) -> Numbers {
        self.numbers(|info| info.is_behind(domain))
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
    (first..first + WAYS).map(|place| (place % MAX).max(1))
}
