// SPDX-License-Identifier: GPL-2.0-only

//! The DMA plane: who has mapped what, byte by byte (`iommu.debug_pagealloc=origin`).
//!
//! There is a record for each live mapping of the DMA API, whatever stands between the device and
//! memory: an IOMMU, a bounce buffer, nothing. Records lie in memory that is allocated at boot; if
//! it is full, mappings are not recorded, which is said once and counted; what is not recorded is
//! not found, but nothing is found wrongly.
//!
//! A mapping is put in once it is made, and taken out before it is unmapped: in between it belongs
//! to the driver, and so does the memory, which therefore is not freed if the driver is right.

use crate::{
    devices::Devices,
    engine::{
        addr::Pfn,
        chains::{Chains, Node},
        origin::{Filter, Key, Place, Population},
        report::Event,
    },
    locked::Locked,
    origin_report::{self, Memory},
    primitive::{Long, Pointer, Word},
    sections::GEOMETRY, //
};
use core::slice;
use kernel::{bindings, error::to_result, prelude::*};

/// Records are spread over this many tables, so that CPUs seldom wait for each other.
const SHARDS: usize = 16;

/// Counters of the filter: one for each page of 512M, before two share one.
const FILTER_PAGES: usize = bindings::IOMMU_DEBUG_FILTER_PAGES as usize;

/// Mappings of one page or object that a report shows.
const SHOWN: usize = 4;

/// A live mapping.
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
    /// Number in [`Devices`].
    pub(crate) device: u32,
    /// Handle in the stack depot, or 0.
    pub(crate) stack: u32,
    /// Who mapped it.
    pub(crate) pid: i32,
    pub(crate) comm: [u8; 16],
    pub(crate) cpu: u16,
    /// An `enum dma_data_direction`.
    pub(crate) direction: u8,
    /// An `enum iommu_debug_kind`.
    pub(crate) kind: u8,
    /// It has been in a report.
    pub(crate) reported: bool,
}

/// Where a mapping is: what its [`Place`] knows of it.
#[derive(Clone, Copy)]
struct Id {
    shard: usize,
    slot: u32,
    /// Low bits of `when`, which tell it from those that had the slot before.
    when: u32,
}

impl Id {
    fn pack(self) -> u64 {
        (self.shard as u64) << 56 | u64::from(self.slot) << 32 | u64::from(self.when)
    }

    fn unpack(id: u64) -> Id {
        Id {
            shard: (id >> 56) as usize,
            slot: (id >> 32) as u32 & 0xff_ffff,
            when: id as u32,
        }
    }
}

type Table<T> = Locked<Chains<KVVec<u32>, KVVec<Node<T>>>>;

/// The DMA plane, once it is on.
pub(crate) struct Origin {
    mappings: KVec<Table<Mapping>>,
    places: KVec<Table<Place>>,
    population: Population,
    pub(crate) filter: Filter<'static>,
    pub(crate) devices: Devices,
    /// How many mappings there can be.
    capacity: usize,
    pub(crate) counters: Counters,
}

/// What went wrong.
pub(crate) struct Counters {
    /// Mappings that found no room.
    skipped: Long,
    /// Unmaps of what is not recorded.
    pub(crate) unknown: Long,
    /// Unmaps with another size than the map.
    pub(crate) resized: Long,
}

static ORIGIN: Pointer<Origin> = Pointer::null();

/// The DMA plane, if it is on.
#[inline(always)]
pub(crate) fn get() -> Option<&'static Origin> {
    ORIGIN.get()
}

/// Tables for `capacity` entries in all, behind the locks from `lock` on.
///
/// # Safety
///
/// See [`Locked::new`].
unsafe fn tables<T: Copy + Default + 'static>(
    lock: u32,
    capacity: usize,
) -> Result<KVec<Table<T>>> {
    let each = capacity.div_ceil(SHARDS);
    let mut tables = KVec::with_capacity(SHARDS, GFP_KERNEL)?;
    for lock in (lock..).take(SHARDS) {
        let heads = KVVec::from_elem(0, each, GFP_KERNEL)?;
        let nodes = KVVec::from_elem(Node::default(), each, GFP_KERNEL)?;
        // SAFETY: By the function's requirement.
        let table = unsafe { Locked::new(lock, Chains::new(heads, nodes)) };
        tables.push(table, GFP_KERNEL)?;
    }
    Ok(tables)
}

fn words(count: usize) -> Result<&'static [Word]> {
    // SAFETY: May sleep here.
    let words = unsafe { bindings::iommu_debug_zalloc(count * size_of::<Word>()) };
    if words.is_null() {
        return Err(ENOMEM);
    }
    // SAFETY: Zeroed memory of this size, aligned to pages, which is ours for good; zeroes are
    // valid words, and all access is atomic.
    Ok(unsafe { slice::from_raw_parts(words.cast(), count) })
}

/// Switches the plane on, if the command line says so. Sleeps; called once.
pub(crate) fn init() -> Result {
    // SAFETY: Set while the command line was parsed, and read-only since.
    let (is_wanted, capacity) = unsafe {
        (
            bindings::iommu_debug_origin_wanted,
            bindings::iommu_debug_origin_entries as usize,
        )
    };
    if !is_wanted {
        return Ok(());
    }
    // What an `Id` can tell apart.
    let capacity = capacity.clamp(SHARDS, SHARDS << 24);
    let pages = words(FILTER_PAGES)?;
    // SAFETY: All access to it is atomic, in C too, and it stays.
    let huge: &Word = unsafe { &*(&raw mut bindings::iommu_debug_huge).cast() };
    // SAFETY: May sleep here.
    to_result(unsafe { bindings::stack_depot_init() })?;
    let locks = SHARDS as u32;
    let origin = Origin {
        // SAFETY: These are the numbers of the locks, each used once.
        mappings: unsafe { tables(0, capacity) }?,
        // The hash spreads them less evenly where mappings are all alike.
        // SAFETY: As above.
        places: unsafe { tables(locks, capacity + capacity / 4) }?,
        population: Population::new(),
        filter: Filter::new(pages, huge),
        // SAFETY: As above.
        devices: unsafe { Devices::new(2 * locks) }?,
        capacity,
        counters: Counters {
            skipped: Long::new(0),
            unknown: Long::new(0),
            resized: Long::new(0),
        },
    };
    ORIGIN.set(KBox::leak(KBox::new(origin, GFP_KERNEL)?));
    // SAFETY: The counters stay, and there are as many as the macro says.
    unsafe { bindings::iommu_debug_origin_enable(pages.as_ptr().cast()) };
    Ok(())
}

fn virt(phys: u64) -> u64 {
    // SAFETY: Any number is allowed.
    unsafe { bindings::iommu_debug_virt(phys) as u64 }
}

impl Origin {
    /// What a mapping is filed under: table and hash.
    fn home(device: u32, dma: u64) -> (usize, u64) {
        let hash = (dma >> 6) ^ u64::from(device) << 52;
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Other bits than those that choose the chain.
        ((mixed >> 16) as usize % SHARDS, hash)
    }

    fn places(&self, key: Key) -> Option<&Table<Place>> {
        let mixed = key.hash().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.places.get((mixed >> 16) as usize % SHARDS)
    }

    /// Records a mapping, if there is room.
    pub(crate) fn add(&self, mapping: Mapping) {
        let (shard, hash) = Origin::home(mapping.device, mapping.dma);
        let table = self.mappings.get(shard);
        let Some(slot) = table.and_then(|table| table.with(|t| t.insert(hash, mapping))) else {
            return self.full();
        };
        if let Some(live) = self.devices.live(mapping.device) {
            live.add(1);
        }
        let id = Id {
            shard,
            slot,
            when: mapping.when as u32,
        };
        let place = place(&mapping, id);
        let key = place.key();
        self.population.add(key);
        let table = self.places(key);
        let filed = table.and_then(|table| table.with(|t| t.insert(key.hash(), place)));
        if filed.is_none() {
            self.population.remove(key);
            return self.full();
        }
        self.filter.add(virt(mapping.phys), mapping.size);
    }

    #[cold]
    fn full(&self) {
        if self.counters.skipped.load() == 0 {
            pr_warn!(
                "more than {} live DMA mappings, who mapped is not known of all: see {}\n",
                self.capacity,
                "iommu.debug_origin_entries="
            );
        }
        self.counters.skipped.add(1);
    }

    /// Forgets the mapping of `device` at `dma`, if there is one: that of the same size and kind
    /// rather than another one. Returns its size.
    pub(crate) fn remove(&self, device: u32, dma: u64, size: u64, kind: u8) -> Option<u64> {
        let (shard, hash) = Origin::home(device, dma);
        let rank = |m: &Mapping| {
            let same = m.device == device && m.dma == dma;
            u32::from(same) * (1 + 2 * u32::from(m.size == size) + u32::from(m.kind == kind))
        };
        let (slot, mapping) = self.mappings.get(shard)?.with(|t| t.take(hash, rank))?;
        if let Some(live) = self.devices.live(device) {
            live.add(1u32.wrapping_neg());
        }
        let id = Id {
            shard,
            slot,
            when: mapping.when as u32,
        };
        let place = place(&mapping, id);
        let key = place.key();
        let is_it = |p: &Place| u32::from(p.id == place.id);
        let filed = self.places(key)?.with(|t| t.take(key.hash(), is_it));
        // There may have been no room for it.
        if filed.is_some() {
            self.population.remove(key);
            self.filter.remove(virt(mapping.phys), mapping.size);
        }
        Some(mapping.size)
    }

    /// Live mappings of any of these bytes, as many as a report shows; and whether one of them has
    /// not been in a report, in which they all are from now on.
    pub(crate) fn claim(&self, phys: u64, size: u64) -> Found {
        let mut found = Found::default();
        let last = phys.saturating_add(size.max(1) - 1);
        let mut ids = [0; SHOWN];
        let mut count = 0;
        for key in self.population.keys(phys, last) {
            let Some(table) = self.places(key) else {
                continue;
            };
            table.with(|t| {
                for (_, place) in t.entries(key.hash()) {
                    if place.key() == key && place.overlaps(phys, last) {
                        if let Some(id) = ids.get_mut(count) {
                            *id = place.id;
                            count += 1;
                        }
                    }
                }
            });
        }
        for id in ids.into_iter().take(count).map(Id::unpack) {
            let claimed = self.mappings.get(id.shard).and_then(|table| {
                table.with(|t| {
                    let mapping = t.get_mut(id.slot)?;
                    // It may have been unmapped meanwhile, and the slot be another one's.
                    let is_it = mapping.when as u32 == id.when && mapping.phys <= last;
                    let old = *mapping;
                    mapping.reported |= is_it;
                    is_it.then_some(old)
                })
            });
            if let (Some(mapping), Some(room)) = (claimed, found.mappings.get_mut(found.count)) {
                *room = mapping;
                found.count += 1;
                found.is_new |= !mapping.reported;
            }
        }
        found
    }

    /// All mappings of a device, as [`Origin::claim`] does; and their number and bytes.
    pub(crate) fn claim_device(&self, device: u32) -> (Found, u64, u64) {
        let mut found = Found::default();
        let (mut mappings, mut bytes) = (0, 0);
        for table in self.mappings.iter() {
            table.with(|t| {
                t.for_each(|mapping| {
                    if mapping.device != device {
                        return;
                    }
                    found.is_new |= !mapping.reported;
                    mapping.reported = true;
                    mappings += 1;
                    bytes += mapping.size;
                    if let Some(room) = found.mappings.get_mut(found.count) {
                        *room = *mapping;
                        found.count += 1;
                    }
                });
            });
        }
        (found, mappings, bytes)
    }

    /// How many mappings of a device are live.
    pub(crate) fn live(&self, device: u32) -> u32 {
        self.devices.live(device).map_or(0, Word::load)
    }

    /// The names of a device.
    pub(crate) fn names(&self, device: u32) -> crate::devices::Names {
        self.devices.names(device)
    }

    /// `pages` pages from `first` on are being allocated or freed, and no IOMMU maps them.
    #[inline]
    pub(crate) fn check_pages(&self, first: Pfn, pages: u64, event: Event) {
        let phys = first.0 << GEOMETRY.page_shift();
        let size = pages << GEOMETRY.page_shift();
        if self.filter.may_be_mapped(virt(phys), size) {
            self.check(phys, size, event, Memory::Pages { first, pages });
        }
    }

    /// Reports `size` bytes at `phys` if they are mapped, and that is news.
    #[cold]
    pub(crate) fn check(&self, phys: u64, size: u64, event: Event, memory: Memory<'_>) {
        let found = self.claim(phys, size);
        if found.is_new {
            origin_report::report(self, phys, size, event, &memory, &found);
        }
    }

    /// How many mappings can be recorded.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Rows of the statistics.
    pub(crate) fn stats(&self) -> [(&'static str, i64); 5] {
        let live = self
            .mappings
            .iter()
            .map(|t| t.with(|t| t.len() as i64))
            .sum();
        [
            ("origin_live", live),
            ("origin_capacity", self.capacity as i64),
            ("origin_skipped", self.counters.skipped.load() as i64),
            ("origin_unknown_unmaps", self.counters.unknown.load() as i64),
            ("origin_resized_unmaps", self.counters.resized.load() as i64),
        ]
    }
}

fn place(mapping: &Mapping, id: Id) -> Place {
    Place {
        phys: mapping.phys,
        size: mapping.size,
        id: id.pack(),
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
    /// Whether these are at least `count` mappings, and all have been in a report before.
    pub(crate) fn are_known(&self, count: i32) -> bool {
        !self.is_new && count > 0 && self.count >= count as usize
    }

    /// The mappings.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().take(self.count)
    }
}
