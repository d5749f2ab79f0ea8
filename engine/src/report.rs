// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The words of a report, and how its facts are read back.

use core::fmt;

/// What kind of bug was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A page went back to the allocator while a device could still reach it.
    FreeWhileMapped,
    /// A page was handed out while a device could reach it: its free was not seen, or came before
    /// the map.
    AllocWhileMapped,
    /// A page was unmapped more often than it was mapped.
    CountImbalance,
    /// A domain of the DMA API was freed while it still mapped memory, which no device can reach
    /// any more: whoever mapped it never unmapped it.
    DomainLeak,
    /// An object went back to its slab cache while a device could still reach it.
    ObjectFreeWhileMapped,
    /// An object was handed out while a device could reach it.
    ObjectAllocWhileMapped,
    /// A driver left its device, and left mappings.
    UnbindLeak,
    /// What was unmapped was not mapped, or not like that.
    BadUnmap,
    /// A device used an address after its mapping had ended, and the IOMMU refused.
    DmaAfterUnmap,
    /// Memory was freed after it was unmapped, but before the IOMMU was told to forget it.
    StaleIotlb,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 10] = [
        Class::FreeWhileMapped,
        Class::AllocWhileMapped,
        Class::CountImbalance,
        Class::DomainLeak,
        Class::ObjectFreeWhileMapped,
        Class::ObjectAllocWhileMapped,
        Class::UnbindLeak,
        Class::BadUnmap,
        Class::DmaAfterUnmap,
        Class::StaleIotlb,
    ];

    /// The name in the title of a report.
    pub const fn name(self) -> &'static str {
        match self {
            Class::FreeWhileMapped => "free-while-mapped",
            Class::AllocWhileMapped => "alloc-while-mapped",
            Class::CountImbalance => "count-imbalance",
            Class::DomainLeak => "domain-leak",
            Class::ObjectFreeWhileMapped => "object-free-while-mapped",
            Class::ObjectAllocWhileMapped => "object-alloc-while-mapped",
            Class::UnbindLeak => "unbind-leak",
            Class::BadUnmap => "bad-unmap",
            Class::DmaAfterUnmap => "dma-after-unmap",
            Class::StaleIotlb => "stale-iotlb",
        }
    }

    /// The class with this name.
    pub fn from_name(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// What an allocator was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Handing pages out.
    Alloc,
    /// Taking pages back.
    Free,
}

impl Event {
    /// The class of a page that is found with this mapping count.
    pub const fn class(self, count: i32) -> Class {
        match self {
            _ if count < 0 => Class::CountImbalance,
            Event::Alloc => Class::AllocWhileMapped,
            Event::Free => Class::FreeWhileMapped,
        }
    }

    /// The class of an object that is mapped.
    pub const fn object_class(self) -> Class {
        match self {
            Event::Alloc => Class::ObjectAllocWhileMapped,
            Event::Free => Class::ObjectFreeWhileMapped,
        }
    }

    /// The line above the stack of the event.
    pub const fn heading(self) -> &'static str {
        match self {
            Event::Alloc => "allocated at:",
            Event::Free => "freed at:",
        }
    }
}

/// The line above and below a report.
pub const RULER: &str = "==================================================================";

/// How a report's title begins.
pub const TITLE: &str = "BUG: DMASAN: ";

/// The line of the C reference that scripts look for.
pub const REFERENCE_LINE: &str = "iommu: Detected page leak!";

/// The facts line of a report: `[key=value]` pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// First page of the alloc or free.
    pub pfn: u64,
    /// Its physical address, in bytes.
    pub phys: u64,
    /// Binary logarithm of the number of pages, rounded up.
    pub order: u32,
    /// Number of pages allocated or freed.
    pub pages: u64,
    /// How many of them are mapped (or out of balance).
    pub mapped: u64,
    /// The first mapped page.
    pub first: u64,
    /// The last mapped page.
    pub last: u64,
    /// The mapping count of the first mapped page, in granules of the IOMMU.
    pub count: i32,
    /// The CPU that freed or allocated.
    pub cpu: u32,
    /// The name of the task that did.
    pub comm: &'a str,
    /// Its process id.
    pub pid: i32,
}

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[pfn={:#x}] [phys={:#x}] [order={}] ",
            self.pfn, self.phys, self.order
        )?;
        write!(f, "[pages={}] [mapped={}] ", self.pages, self.mapped)?;
        write!(
            f,
            "[first={:#x}] [last={:#x}] [count={}] ",
            self.first, self.last, self.count
        )?;
        write_task(f, self.cpu, self.comm, self.pid)
    }
}

pub(super) fn write_task(
    f: &mut fmt::Formatter<'_>,
    cpu: u32,
    comm: &str,
    pid: i32,
) -> fmt::Result {
    write!(f, "[cpu={cpu}] [task=")?;
    for c in comm.chars() {
        let c = if c == '/' { '_' } else { c };
        fmt::Write::write_char(f, of_word(c))?;
    }
    write!(f, "/{pid}]")
}

/// Writes a name that somebody else has chosen, such that a line stays one line of pairs.
pub(super) fn write_word(f: &mut fmt::Formatter<'_>, word: &str) -> fmt::Result {
    word.chars()
        .try_for_each(|c| fmt::Write::write_char(f, of_word(c)))
}

fn of_word(c: char) -> char {
    let is_unsafe = c.is_whitespace() || c.is_control() || matches!(c, '[' | ']' | '=');
    if is_unsafe {
        '_'
    } else {
        c
    }
}

/// The line above the ranges of a [`Class::DomainLeak`].
pub const STILL_MAPPED: &str = "still mapped:";

/// The line above the stack of a [`Class::DomainLeak`].
pub const DOMAIN_FREED: &str = "domain freed at:";

/// The facts line of a [`Class::DomainLeak`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainFacts<'a> {
    /// How many pages of memory were mapped, each counted as often as it was.
    pub pages: u64,
    /// How many ranges these were, consecutive in both address spaces; the report lists the first.
    pub ranges: u32,
    /// The CPU that freed the domain.
    pub cpu: u32,
    /// The name of the task that did.
    pub comm: &'a str,
    /// Its process id.
    pub pid: i32,
}

impl fmt::Display for DomainFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[pages={}] [ranges={}] ", self.pages, self.ranges)?;
        write_task(f, self.cpu, self.comm, self.pid)
    }
}

/// A line below [`STILL_MAPPED`]: what a device could reach, and where that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeakedRange {
    /// The first address as the device saw it.
    pub iova: u64,
    /// The first physical address.
    pub phys: u64,
    /// Bytes.
    pub size: u64,
}

impl fmt::Display for LeakedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LeakedRange { iova, phys, size } = self;
        write!(f, " [iova={iova:#x}] [phys={phys:#x}] [size={size:#x}]")
    }
}

/// The pairs of a facts line, in order. Text that is no pair is passed over, so that facts which
/// later versions add do not hurt.
pub fn parse_facts(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('[')
        .filter_map(|part| part.split_once(']')?.0.split_once('='))
}

/// Whether a function belongs to the sanitizer itself, of which a report shows nothing.
pub fn is_sanitizer(symbol: &str) -> bool {
    // What is Rust of it has the name of its crate in the mangled symbol.
    const CRATE: &[u8] = b"iommu_debug_pagealloc";
    let is_ours = |name: &[u8]| name.windows(CRATE.len()).any(|part| part == CRATE);
    symbol.starts_with("__iommu_debug_")
        || symbol.starts_with("iommu_debug_")
        || symbol.starts_with("stack_trace_save")
        || symbol.starts_with("_R") && is_ours(symbol.as_bytes())
}

/// Whether a function belongs to the allocators, and so says nothing about whose bug it is.
///
/// `symbol` is the name as `%ps` prints it, with the module behind it in brackets. No allocator is
/// in a module, so a driver's `free_ring [driver]` is none, whatever its name. The title of a
/// report names the first function of the stack that is not one of these; compilers add suffixes
/// such as `.constprop.0`, hence prefixes.
pub fn is_allocator(symbol: &str) -> bool {
    if symbol.ends_with(']') {
        return false;
    }
    if is_sanitizer(symbol) {
        return true;
    }
    const PREFIXES: &[&str] = &[
        // Free: the page allocator, folios, slab, vmalloc, page_frag.
        "free_",
        "__free_",
        "___free_",
        "put_page",
        "__put_page",
        "folio_put",
        "__folio_put",
        "folios_put",
        "release_pages",
        "kfree",
        "kvfree",
        "vfree",
        "__vfree",
        "delayed_vfree",
        "__vunmap",
        "vm_area_free_pages",
        "kmem_cache_free",
        "__slab_free",
        "slab_free",
        "discard_slab",
        "__page_frag_cache",
        "page_frag_free",
        "mempool_free",
        "put_pages_list",
        "destroy_large_folio",
        // Free: an IOMMU domain.
        "iommu_domain_free",
        // Alloc: likewise.
        "post_alloc_hook",
        "prep_new_page",
        "get_page_from_freelist",
        "__alloc_pages",
        "alloc_pages",
        "__alloc_frozen_pages",
        "alloc_frozen_pages",
        "__get_free_page",
        "get_free_page",
        "get_zeroed_page",
        "__folio_alloc",
        "folio_alloc",
        "vma_alloc_folio",
        "alloc_slab_page",
        "allocate_slab",
        "new_slab",
        "refill_",
        "___slab_alloc",
        "__slab_alloc",
        "__kmalloc",
        "___kmalloc",
        "__do_kmalloc",
        "kmalloc_",
        "kmem_cache_alloc",
        "__kvmalloc",
        "vmalloc",
        "__vmalloc",
        "vzalloc",
        "page_frag_alloc",
        "__page_frag_alloc",
        "alloc_from_new_slab",
        "__pcs_",
        "__split_page",
        "split_page",
    ];
    PREFIXES.iter().any(|prefix| symbol.starts_with(prefix))
}

/// Whether a function belongs to the DMA API, and so says nothing about who unmapped; see
/// [`is_allocator`].
pub fn is_dma_api(symbol: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "dma_unmap_",
        "__dma_unmap_",
        "dma_free_",
        "dma_iova_",
        "__iommu_dma_iova_",
        "dmam_",
        "devm_",
        "devres_",
        "release_nodes",
    ];
    is_sanitizer(symbol)
        || !symbol.ends_with(']') && PREFIXES.iter().any(|prefix| symbol.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_not_the_dma_api() {
        assert!(is_dma_api("dma_unmap_page_attrs"));
        assert!(is_dma_api("iommu_debug_dma_remove"));
        assert!(!is_dma_api("dma_unmap_ring [driver]"));
        assert!(!is_dma_api("nvme_unmap_data"));
    }

    #[test]
    fn facts_read_back_as_written() {
        let facts = Facts {
            pfn: 0x11a04,
            phys: 0x11a0_4000,
            order: 3,
            pages: 8,
            mapped: 1,
            first: 0x11a05,
            last: 0x11a05,
            count: -2,
            cpu: 1,
            comm: "kworker/u8:0 [x]",
            pid: 71,
        };
        let line = facts.to_string();
        let pairs: Vec<_> = parse_facts(&line).collect();
        let value = |key| pairs.iter().find(|(k, _)| *k == key).unwrap().1;
        assert_eq!(value("pfn"), "0x11a04");
        assert_eq!(value("phys"), "0x11a04000");
        assert_eq!(
            (value("order"), value("pages"), value("mapped")),
            ("3", "8", "1")
        );
        assert_eq!(
            (value("first"), value("last"), value("count")),
            ("0x11a05", "0x11a05", "-2")
        );
        assert_eq!((value("cpu"), value("task")), ("1", "kworker_u8:0__x_/71"));
        assert_eq!(pairs.len(), 10);
    }

    #[test]
    fn classes_have_names() {
        for class in Class::ALL {
            assert_eq!(Class::from_name(class.name()), Some(class));
        }
        assert_eq!(Event::Free.class(-1), Class::CountImbalance);
        assert_eq!(Event::Alloc.class(1), Class::AllocWhileMapped);
    }

    #[test]
    fn drivers_are_not_allocators() {
        for name in [
            "edu_leak",
            "nvme_free_queue",
            "dma_free_attrs",
            "e1000_clean_rx_ring",
            "free_rx_ring [driver]",
            "_RNvMNtCs1_9my_driver4ring4free",
        ] {
            assert!(!is_allocator(name), "{name}");
        }
        for name in [
            "__free_frozen_pages",
            "free_unref_folios",
            "kfree",
            "post_alloc_hook",
            "vfree",
            "iommu_domain_free",
            "__iommu_debug_check_freed",
            "iommu_debug_check_range",
            "_RNvNtCs3dLkr2Fmstq_21iommu_debug_pagealloc6report6report",
        ] {
            assert!(is_allocator(name), "{name}");
        }
    }
}
