// SPDX-License-Identifier: GPL-2.0-only

//! The DMA plane: who has mapped what, byte by byte (`iommu.debug_pagealloc=origin`).
//!
//! There is a record for each live mapping of the DMA API, whatever stands between the device and
//! memory: an IOMMU, a bounce buffer, nothing. Records lie in memory that is allocated at boot; if
//! it is full, mappings are not recorded, which is said once and counted; what is not recorded is
//! not found, but nothing is found wrongly. From then on an unmap of what is not recorded is no
//! finding, and one of a range goes on behind what is missing.
//!
//! A mapping is put in once it is made, and taken out before it is unmapped: in between it belongs
//! to the driver, and so does the memory, which therefore is not freed if the driver is right. The
//! last ones that were taken out are remembered, for the case that the device does not know yet.

use crate::{
    devices::{DeviceId, Devices},
    engine::{
        addr::Pfn,
        chains::{Chains, Node},
        origin::{mix, Filter, Key, Place, Population},
        report::Event,
        ring::Ring,
        unmapped_at::Call, //
    },
    locked::{Locked, MAPPINGS_LOCK, PLACES_LOCK},
    origin_report::{self, Memory},
    primitive::{Long, Pointer, Word},
    record::{By, Ended, Found, Id, Mapping},
    report::enter,
    sections::GEOMETRY,
    stale::Stale, //
};
use core::slice;
use kernel::{bindings, error::to_result, prelude::*};

/// Records are spread over this many tables, so that CPUs seldom wait for each other.
const SHARDS: usize = 16;

/// Counters of the filter: one for each 4K of 512M, before two share one.
const FILTER_PAGES: usize = bindings::IOMMU_DEBUG_FILTER_PAGES as usize;

const _: () = assert!(Filter::SHIFT == bindings::IOMMU_DEBUG_FILTER_SHIFT);

type Table<T> = Chains<KVVec<u32>, KVVec<Node<T>>>;

/// A part of the records.
struct Shard {
    live: Table<Mapping>,
    ended: Ring<KVVec<Ended>>,
}

/// The DMA plane, once it is on.
pub(crate) struct Origin {
    shards: KVec<Locked<Shard>>,
    places: KVec<Locked<Table<Place>>>,
    population: Population,
    pub(crate) filter: Filter<'static>,
    pub(crate) devices: Devices,
    stale: Option<Stale>,
    /// How many mappings there can be.
    capacity: usize,
    pub(crate) counters: Counters,
}

/// What went wrong.
pub(crate) struct Counters {
    /// Mappings that are not recorded.
    pub(crate) skipped: Long,
    /// Of these, such that found no room.
    full: Long,
    /// Of these, such of devices that have no number.
    nameless: Long,
    /// Unmaps of what is not recorded.
    pub(crate) unknown: Long,
    /// Unmaps with other arguments than the map.
    pub(crate) differ: Long,
}

static ORIGIN: Pointer<Origin> = Pointer::null();

/// The DMA plane, if it is on.
#[inline(always)]
pub(crate) fn get() -> Option<&'static Origin> {
    ORIGIN.get()
}

/// A table for `capacity` entries.
fn table<T: Copy + Default + 'static>(capacity: usize) -> Result<Table<T>> {
    let heads = KVVec::from_elem(0, capacity, GFP_KERNEL)?;
    let nodes = KVVec::from_elem(Node::default(), capacity, GFP_KERNEL)?;
    Ok(Chains::new(heads, nodes))
}

/// Words that stay for good; all 0.
fn words(count: usize) -> Result<&'static [Word]> {
    // SAFETY: May sleep here.
    let words = unsafe { bindings::iommu_debug_zalloc(count * size_of::<Word>()) };
    if words.is_null() {
        return Err(ENOMEM);
    }
    // SAFETY: It has room for this many, is zeroed, which is a valid word, and is never freed.
    Ok(unsafe { slice::from_raw_parts(words.cast(), count) })
}

/// Switches the plane on, if the command line says so. Sleeps; called once.
pub(crate) fn init() -> Result {
    // SAFETY: Set while the command line was parsed, and read-only since.
    let (is_wanted, capacity, ended, finds_stale) = unsafe {
        (
            bindings::iommu_debug_origin_wanted,
            bindings::iommu_debug_origin_entries as usize,
            bindings::iommu_debug_origin_ended as usize,
            bindings::iommu_debug_stale_wanted,
        )
    };
    if !is_wanted {
        return Ok(());
    }
    // What an `Id` can tell apart.
    let capacity = capacity.clamp(SHARDS, SHARDS << 24);
    let each = capacity.div_ceil(SHARDS);
    let ended = ended.min(SHARDS << 16).div_ceil(SHARDS);
    let mut shards = KVec::with_capacity(SHARDS, GFP_KERNEL)?;
    let mut places = KVec::with_capacity(SHARDS, GFP_KERNEL)?;
    for i in 0..SHARDS as u32 {
        let shard = Shard {
            live: table(each)?,
            ended: Ring::new(KVVec::from_elem(Ended::default(), ended, GFP_KERNEL)?),
        };
        // SAFETY: These are the numbers of the locks, each used once.
        shards.push(unsafe { Locked::new(MAPPINGS_LOCK + i, shard) }, GFP_KERNEL)?;
        // The hash spreads them less evenly where mappings are all alike.
        let table = table(each + each / 4)?;
        // SAFETY: As above.
        places.push(unsafe { Locked::new(PLACES_LOCK + i, table) }, GFP_KERNEL)?;
    }
    let pages = words(FILTER_PAGES)?;
    // SAFETY: All access to it is atomic, in C too, and it stays.
    let huge: &Word = unsafe { &*(&raw mut bindings::iommu_debug_huge).cast() };
    // SAFETY: May sleep here.
    to_result(unsafe { bindings::stack_depot_init() })?;
    let origin = Origin {
        shards,
        places,
        population: Population::new(),
        filter: Filter::new(pages, huge),
        devices: Devices::new()?,
        stale: if finds_stale {
            Some(Stale::new()?)
        } else {
            None
        },
        capacity,
        counters: Counters {
            skipped: Long::new(0),
            full: Long::new(0),
            nameless: Long::new(0),
            unknown: Long::new(0),
            differ: Long::new(0),
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

/// The table for a hash; by other bits than those that choose the chain in it.
fn shard(hash: u64) -> usize {
    (mix(hash) >> 16) as usize % SHARDS
}

/// What a mapping is filed under: table and hash.
fn home(device: u32, dma: u64) -> (usize, u64) {
    let hash = (dma >> 6) ^ u64::from(device) << 52;
    (shard(hash), hash)
}

impl Origin {
    fn places(&self, key: Key) -> Option<&Locked<Table<Place>>> {
        self.places.get(shard(key.hash()))
    }

    /// Records a mapping, if there is room.
    pub(crate) fn add(&self, mapping: &Mapping) {
        let device = u32::from(mapping.device);
        // Devices without a number cannot be told apart.
        if device == 0 {
            let why = "too many devices map at once, who mapped is not known of all";
            return self.skip(&self.counters.nameless, why);
        }
        let (shard, hash) = home(device, mapping.dma);
        // Filed before anybody can end it: an interrupt, or another CPU, may be about to end a
        // mapping that looks the same.
        let record = |table: &mut Shard| {
            let slot = table.live.insert(hash, *mapping)?;
            if let Some(live) = self.devices.live(device) {
                live.add(1);
            }
            self.file(&Id::new(shard, slot, mapping).place(mapping))
        };
        let table = self.shards.get(shard);
        if table.and_then(|table| table.with(record)).is_none() {
            let why = "no room for a DMA mapping (iommu.debug_origin_entries=): not all are known";
            self.skip(&self.counters.full, why);
        }
    }

    /// Files a mapping by its memory, if there is room. Behind the lock of its record, which is the
    /// outer one wherever two are held.
    fn file(&self, place: &Place) -> Option<()> {
        let key = place.key();
        self.population.add(key);
        let table = self.places(key);
        let filed = table.and_then(|table| table.with(|t| t.insert(key.hash(), *place)));
        if filed.is_none() {
            self.population.remove(key);
            return None;
        }
        self.filter.add(virt(place.phys), place.size);
        Some(())
    }

    /// Does not record a mapping, and says why when that first happens.
    #[cold]
    fn skip(&self, reason: &Long, why: &str) {
        if reason.load() == 0 {
            pr_warn!("{why}\n");
        }
        reason.add(1);
        self.counters.skipped.add(1);
    }

    /// Whether some mapping was not recorded, so that what is not known may be mapped.
    pub(crate) fn has_skipped(&self) -> bool {
        self.counters.skipped.load() != 0
    }

    /// Ends the mapping of `device` at `dma`, if there is one: rather one that was mapped with the
    /// arguments of `call` than another one. Returns those of the map.
    pub(crate) fn end(
        &self,
        device: u32,
        dma: u64,
        call: Call,
        by: &By,
        caller: usize,
    ) -> Option<Call> {
        let (shard, hash) = home(device, dma);
        let rank = |m: &Mapping| {
            let same = u32::from(m.device) == device && m.dma == dma && !m.is_stale();
            let (size, kind) = (m.size == call.size, m.kind == call.kind);
            let direction = m.direction == call.direction;
            u32::from(same) * (1 + 4 * u32::from(size) + 2 * u32::from(kind) + u32::from(direction))
        };
        const EQUAL: u32 = 8;
        let stale = self.stale.as_ref();
        let stale = stale.filter(|_| self.devices.is_translated(device));
        let (id, place, mapped) = self.shards.get(shard)?.with(|t| {
            let slot = t.live.best(hash, EQUAL, rank)?;
            let mapping = if stale.is_some() {
                let mapping = t.live.get_mut(slot)?;
                mapping.set_stale();
                &*mapping
            } else {
                t.live.remove(hash, slot)?
            };
            if let Some(ended) = t.ended.push() {
                ended.mapping = *mapping;
                ended.by = *by;
                ended.caller = caller;
            }
            let id = Id::new(shard, slot, mapping);
            Some((id, id.place(mapping), mapping.call()))
        })?;
        if let Some(live) = self.devices.live(device) {
            live.add(1u32.wrapping_neg());
        }
        let Some(stale) = stale else {
            self.unfile(&place);
            return Some(mapped);
        };
        if stale.keep(id, device, dma, by.who.when).is_err() {
            self.release(id, device, dma);
        }
        Some(mapped)
    }

    /// Takes out what [`Origin::add`] has filed by memory.
    fn unfile(&self, place: &Place) {
        let key = place.key();
        let is_it = |p: &Place| p.id == place.id;
        let table = self.places(key);
        let filed = table.is_some_and(|t| t.with(|t| t.take(key.hash(), is_it).is_some()));
        // There may have been no room for it.
        if filed {
            self.population.remove(key);
            self.filter.remove(virt(place.phys), place.size);
        }
    }

    /// Forgets a stale mapping: the IOMMU has.
    fn release(&self, id: Id, device: u32, dma: u64) {
        let (_, hash) = home(device, dma);
        let place = self.shards.get(id.shard).and_then(|table| {
            table.with(|shard| {
                let mapping = shard.live.remove(hash, id.slot)?;
                Some(id.place(mapping))
            })
        });
        if let Some(place) = place {
            self.unfile(&place);
        }
    }

    /// The IOMMU has forgotten what `domain` had at `first` to `last` and was unmapped before
    /// `begun`.
    pub(crate) fn flushed(
        &self,
        domain: *const bindings::iommu_domain,
        begun: u64,
        first: u64,
        last: u64,
    ) {
        let Some(stale) = &self.stale else {
            return;
        };
        let devices = self.devices.behind(domain);
        let is_it =
            |device: u32, dma: u64| (first..=last).contains(&dma) && devices.has(device as u8);
        while let Some((id, device, dma)) = stale.take(begun, is_it) {
            self.release(id, device, dma);
        }
    }

    /// Live mappings of any of these bytes, as many as a report shows; and whether one of them has
    /// not been in a report, in which they all are from now on.
    pub(crate) fn claim(&self, phys: u64, size: u64) -> Found {
        self.look(phys, size, true)
    }

    /// The same; whether they are in a report from now on is up to `claims`.
    fn look(&self, phys: u64, size: u64, claims: bool) -> Found {
        let mut found = Found::default();
        // It may have interrupted somebody who holds a lock.
        // SAFETY: Any context.
        if unsafe { bindings::iommu_debug_in_nmi() } {
            return found;
        }
        let last = phys.saturating_add(size.max(1) - 1);
        let mut ids = [0; Found::ROOM];
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
            let claimed = self.shards.get(id.shard).and_then(|table| {
                table.with(|shard| {
                    let mapping = shard.live.get_mut(id.slot)?;
                    // It may have been unmapped meanwhile, and the slot be another one's.
                    if !id.is(mapping) || mapping.phys > last {
                        return None;
                    }
                    let before = *mapping;
                    if claims {
                        mapping.set_reported();
                    }
                    Some(before)
                })
            });
            if let Some(mapping) = claimed {
                found.push(&mapping);
            }
        }
        found
    }

    /// All mappings of a device, as [`Origin::claim`] does; and their number and bytes.
    pub(crate) fn claim_device(&self, device: u32) -> (Found, u64, u64) {
        let mut found = Found::default();
        let (mut mappings, mut bytes) = (0, 0);
        for table in self.shards.iter() {
            table.with(|shard| {
                shard.live.for_each(|mapping| {
                    if u32::from(mapping.device) == device && !mapping.is_stale() {
                        found.push(mapping);
                        mapping.set_reported();
                        mappings += 1;
                        bytes += mapping.size;
                    }
                });
            });
        }
        (found, mappings, bytes)
    }

    /// Ends all mappings behind `domain`, which is gone; tells how many pages they had.
    pub(crate) fn end_domain(&self, domain: *const bindings::iommu_domain) -> (Found, u64) {
        let mut found = Found::default();
        let mut pages = 0;
        let devices = self.devices.behind(domain);
        let by = By::current(0);
        for table in self.shards.iter() {
            let next = || {
                let is_one = |m: &Mapping| !m.is_stale() && devices.has(m.device);
                table.with(|shard| shard.live.find(is_one).copied())
            };
            while let Some(mapping) = next() {
                found.push(&mapping);
                let shift = GEOMETRY.page_shift();
                pages += (mapping.last() >> shift) - (mapping.phys >> shift) + 1;
                let device = u32::from(mapping.device);
                self.end(device, mapping.dma, mapping.call(), &by, 0);
            }
        }
        self.flushed(domain, u64::MAX, 0, u64::MAX);
        (found, pages)
    }

    /// The mapping that ended last, of those that were on the pages of these addresses for `id`.
    pub(crate) fn ended(&self, id: DeviceId, dma: u64, bytes: u64) -> Option<Ended> {
        let (devices, shift) = self.devices.named(id);
        let is_it =
            |e: &&Ended| e.mapping.shares_pages(dma, bytes, shift) && devices.has(e.mapping.device);
        let newest =
            |table: &Locked<Shard>| table.with(|shard| shard.ended.iter().find(is_it).copied());
        let all = self.shards.iter().filter_map(newest);
        let ended = all.max_by_key(|ended| ended.by.who.when)?;
        // Else the number was another device's then.
        let since = self.devices.info(u32::from(ended.mapping.device)).since;
        (since <= ended.mapping.when).then_some(ended)
    }

    /// The mapping of `device` at `dma` that ended last; with `when`, the one mapped then.
    pub(crate) fn ended_at(&self, device: u32, dma: u64, when: Option<u64>) -> Option<Ended> {
        let since = self.devices.info(device).since;
        let is_it = |e: &&Ended| {
            let m = &e.mapping;
            let is_then = when.is_none_or(|when| m.when == when);
            u32::from(m.device) == device && m.dma == dma && m.when >= since && is_then
        };
        let table = self.shards.get(home(device, dma).0)?;
        table.with(|shard| shard.ended.iter().find(is_it).copied())
    }

    /// Whether `id` has any of the pages of these addresses mapped.
    pub(crate) fn is_mapped(&self, id: DeviceId, dma: u64, bytes: u64) -> bool {
        let (devices, shift) = self.devices.named(id);
        let is_it = |m: &Mapping| {
            m.shares_pages(dma, bytes, shift) && !m.is_stale() && devices.has(m.device)
        };
        let mut tables = self.shards.iter();
        tables.any(|table| table.with(|shard| shard.live.find(is_it).is_some()))
    }

    /// How many mappings of a device are live.
    pub(crate) fn live(&self, device: u32) -> u32 {
        self.devices.live(device).map_or(0, Word::load)
    }

    /// `pages` pages from `first` on are being allocated or freed, and no IOMMU maps them.
    #[inline]
    pub(crate) fn check_pages(&self, first: Pfn, pages: u64, event: Event) {
        let phys = first.0 << GEOMETRY.page_shift();
        let size = pages << GEOMETRY.page_shift();
        if self.filter.may_be_mapped(virt(phys), size) {
            self.check(phys, size, event, Memory::Pages);
        }
    }

    /// Reports `size` bytes at `phys` if they are mapped, and that is news.
    #[cold]
    pub(crate) fn check(&self, phys: u64, size: u64, event: Event, memory: Memory<'_>) {
        if !self.look(phys, size, false).is_new {
            return;
        }
        // Whoever is turned away has claimed nothing: the next event reports it.
        let Some(_gate) = enter() else {
            return;
        };
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
    pub(crate) fn stats(&self) -> [(&'static str, i64); 7] {
        let sum = |of: fn(&Table<Mapping>) -> usize| -> i64 {
            let tables = self.shards.iter();
            tables.map(|t| t.with(|shard| of(&shard.live) as i64)).sum()
        };
        [
            ("origin_live", sum(Chains::len)),
            ("origin_capacity", self.capacity as i64),
            // Tables have their peaks at different times: there was never less room than this.
            ("origin_min_free", self.capacity as i64 - sum(Chains::peak)),
            ("origin_skipped", self.counters.skipped.load() as i64),
            ("origin_unknown_unmaps", self.counters.unknown.load() as i64),
            ("origin_bad_unmaps", self.counters.differ.load() as i64),
            (
                "origin_stale",
                self.stale.as_ref().map_or(0, Stale::len) as i64,
            ),
        ]
    }
}
