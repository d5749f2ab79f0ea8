// SPDX-License-Identifier: GPL-2.0-only

//! What the DMA plane remembers of a mapping.

use crate::engine::{origin::Place, unmapped_at::Call};
use kernel::bindings::{self, iommu_debug_who};

/// Mappings of one page or object that a report shows.
const SHOWN: usize = 4;

/// Who did something, and when.
#[derive(Clone, Copy, Default)]
pub(crate) struct By {
    pub(crate) who: iommu_debug_who,
    /// Handle in the stack depot, or 0.
    pub(crate) stack: u32,
}

impl By {
    /// The current task, now, with this stack.
    #[inline]
    pub(crate) fn current(stack: u32) -> By {
        let mut who = iommu_debug_who::default();
        // SAFETY: The pointer is valid for writes.
        unsafe { bindings::iommu_debug_whoami(&mut who) };
        By { who, stack }
    }
}

/// A live mapping. Not larger than a cache line, which also is what compilers copy without a call.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mapping {
    /// First address for the device.
    pub(crate) dma: u64,
    /// First address in memory.
    pub(crate) phys: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// When it was mapped, in ns of the monotonic clock.
    pub(crate) when: u64,
    /// Handle in the stack depot, or 0.
    pub(crate) stack: u32,
    /// Who mapped it.
    pub(crate) pid: i32,
    pub(crate) comm: [u8; 16],
    pub(crate) cpu: u16,
    /// `DMA_ATTR_*`.
    pub(crate) attrs: u16,
    /// Number in [`Devices`](crate::devices::Devices).
    pub(crate) device: u8,
    /// An `enum dma_data_direction`.
    pub(crate) direction: u8,
    /// An `enum iommu_debug_kind`.
    pub(crate) kind: u8,
    /// `REPORTED`, `STALE`.
    pub(crate) state: u8,
}

const _: () = assert!(size_of::<Mapping>() == 64);

/// Bits of [`Mapping::state`].
const REPORTED: u8 = 1;
const STALE: u8 = 2;

impl Mapping {
    /// Whether it has been in a report.
    pub(crate) fn is_reported(&self) -> bool {
        self.state & REPORTED != 0
    }

    /// It is in a report.
    pub(crate) fn set_reported(&mut self) {
        self.state |= REPORTED;
    }

    /// Whether it has been unmapped, but the IOMMU may still have it cached.
    pub(crate) fn is_stale(&self) -> bool {
        self.state & STALE != 0
    }

    /// It is unmapped, but the IOMMU may have it cached.
    pub(crate) fn set_stale(&mut self) {
        self.state |= STALE;
    }

    /// The last byte in memory.
    pub(crate) fn last(&self) -> u64 {
        self.phys.saturating_add(self.size.max(1) - 1)
    }

    /// The arguments that an unmap has to repeat.
    pub(crate) fn call(&self) -> Call {
        Call {
            size: self.size,
            kind: self.kind,
            direction: self.direction,
        }
    }

    /// Whether it covers any of the pages of these addresses for the device.
    pub(crate) fn shares_pages(&self, dma: u64, bytes: u64, page_shift: u32) -> bool {
        let last = |address: u64, size: u64| address.saturating_add(size.max(1) - 1) >> page_shift;
        self.dma >> page_shift <= last(dma, bytes) && dma >> page_shift <= last(self.dma, self.size)
    }
}

/// A mapping that is no more.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ended {
    pub(crate) mapping: Mapping,
    /// Who unmapped it.
    pub(crate) by: By,
    /// Where that was called from, in case there is no stack.
    pub(crate) caller: usize,
}

/// Where the record of a mapping is; what its [`Place`] knows of it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Id {
    pub(crate) shard: usize,
    pub(crate) slot: u32,
    /// Low bits of `when` it was mapped, which tell it from those that had the slot before.
    pub(crate) when: u32,
}

impl Id {
    /// The name of `mapping`, which is recorded at `slot` of `shard`.
    #[inline]
    pub(crate) fn new(shard: usize, slot: u32, mapping: &Mapping) -> Id {
        Id {
            shard,
            slot,
            when: mapping.when as u32,
        }
    }

    /// Where the memory of `mapping` is, under this name.
    pub(crate) fn place(self, mapping: &Mapping) -> Place {
        Place {
            phys: mapping.phys,
            size: mapping.size,
            id: (self.shard as u64) << 56 | u64::from(self.slot) << 32 | u64::from(self.when),
        }
    }

    /// The name in [`Place::id`].
    pub(crate) fn unpack(id: u64) -> Id {
        Id {
            shard: (id >> 56) as usize,
            slot: (id >> 32) as u32 & 0xff_ffff,
            when: id as u32,
        }
    }

    /// Whether `mapping`, which is there now, is the one that had this name.
    pub(crate) fn is(self, mapping: &Mapping) -> bool {
        mapping.when as u32 == self.when
    }
}

/// Mappings that a report is about.
#[derive(Default)]
pub(crate) struct Found {
    mappings: [Mapping; SHOWN],
    count: usize,
    /// One of them has not been in a report.
    pub(crate) is_new: bool,
}

impl Found {
    /// How many there can be.
    pub(crate) const ROOM: usize = SHOWN;

    /// Adds a mapping, as long as there is room.
    pub(crate) fn push(&mut self, mapping: &Mapping) {
        self.is_new |= !mapping.is_reported();
        if let Some(room) = self.mappings.get_mut(self.count) {
            *room = *mapping;
            self.count += 1;
        }
    }

    /// Whether these are at least `count` mappings, and all have been in a report before.
    pub(crate) fn are_known(&self, count: i32) -> bool {
        !self.is_new && count > 0 && self.count >= count as usize
    }

    /// Whether all have been unmapped, and are only cached.
    pub(crate) fn are_stale(&self) -> bool {
        self.count != 0 && self.iter().all(Mapping::is_stale)
    }

    /// The mappings.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().take(self.count)
    }

    /// The device of the first of them.
    pub(crate) fn device(&self) -> Option<u32> {
        self.first().map(|mapping| u32::from(mapping.device))
    }

    /// The first of them.
    pub(crate) fn first(&self) -> Option<&Mapping> {
        self.iter().next()
    }
}
