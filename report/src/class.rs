// SPDX-License-Identifier: GPL-2.0-only
//! The classes of findings: their names in reports, and what each means.

use serde::{Deserialize, Serialize};

/// What kind of bug a finding is. Unknown classes are kept: newer kernels may report more of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Class {
    /// Memory was freed while a device could reach it.
    FreeWhileMapped,
    /// Memory was handed out while a device could still reach it.
    AllocWhileMapped,
    /// The same as [`Class::FreeWhileMapped`], of a slab object.
    ObjectFreeWhileMapped,
    /// The same as [`Class::AllocWhileMapped`], of a slab object.
    ObjectAllocWhileMapped,
    /// More was unmapped than mapped.
    CountImbalance,
    /// A domain of the DMA API was freed while it mapped memory.
    DomainLeak,
    /// A driver let go of its device with mappings alive.
    UnbindLeak,
    /// What a driver asked to unmap is not what it mapped.
    BadUnmap,
    /// A device used an address whose mapping had ended.
    DmaAfterUnmap,
    /// Memory was freed before the IOMMU forgot where it was.
    StaleIotlb,
    /// The reference's only class.
    PageLeak,
    /// A class that this version does not know.
    Other(String),
}

impl Class {
    /// All classes that this version knows.
    pub const KNOWN: [Class; 11] = [
        Class::FreeWhileMapped,
        Class::AllocWhileMapped,
        Class::ObjectFreeWhileMapped,
        Class::ObjectAllocWhileMapped,
        Class::CountImbalance,
        Class::DomainLeak,
        Class::UnbindLeak,
        Class::BadUnmap,
        Class::DmaAfterUnmap,
        Class::StaleIotlb,
        Class::PageLeak,
    ];

    /// The name in reports.
    pub fn as_str(&self) -> &str {
        match self {
            Class::FreeWhileMapped => "free-while-mapped",
            Class::AllocWhileMapped => "alloc-while-mapped",
            Class::ObjectFreeWhileMapped => "object-free-while-mapped",
            Class::ObjectAllocWhileMapped => "object-alloc-while-mapped",
            Class::CountImbalance => "count-imbalance",
            Class::DomainLeak => "domain-leak",
            Class::UnbindLeak => "unbind-leak",
            Class::BadUnmap => "bad-unmap",
            Class::DmaAfterUnmap => "dma-after-unmap",
            Class::StaleIotlb => "stale-iotlb",
            Class::PageLeak => "page-leak",
            Class::Other(name) => name,
        }
    }

    /// What happened, in a sentence.
    pub fn summary(&self) -> &'static str {
        match self {
            Class::FreeWhileMapped => "Pages were freed while a device can still reach them.",
            Class::AllocWhileMapped => "Pages were handed out while a device can still reach them.",
            Class::ObjectFreeWhileMapped => {
                "A slab object was freed while a device can still reach it."
            }
            Class::ObjectAllocWhileMapped => {
                "A slab object was handed out while a device can still reach it."
            }
            Class::CountImbalance => "More of a page was unmapped than was mapped.",
            Class::DomainLeak => "An IOMMU domain was freed while it still mapped memory.",
            Class::UnbindLeak => {
                "A driver let go of its device without unmapping all of its memory."
            }
            Class::BadUnmap => "A driver unmapped something else than what it mapped.",
            Class::DmaAfterUnmap => "A device used an address after its mapping had ended.",
            Class::StaleIotlb => {
                "Memory was freed before the IOMMU was told to forget its translation."
            }
            Class::PageLeak => "The reference implementation found a page that is still mapped.",
            Class::Other(_) => "A class of bug that this version of dmasan does not know.",
        }
    }

    /// Where the bug is, and what to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Class::FreeWhileMapped | Class::ObjectFreeWhileMapped => {
                "The bug is at the free: it comes before the unmap, or the unmap is missing. Stop the device's use of \
                 the memory, unmap it, and free it then."
            }
            Class::AllocWhileMapped | Class::ObjectAllocWhileMapped => {
                "The bug is earlier than this report: whoever had the memory before gave it back with the mapping \
                 alive, where it was not seen, or mapped it after the free. Look for who mapped it."
            }
            Class::CountImbalance => {
                "Look for a second unmap of the same address, or one of a size that was not mapped."
            }
            Class::DomainLeak => {
                "Whoever mapped the memory never unmapped it. Look at the remove path of the driver that the device had."
            }
            Class::UnbindLeak => {
                "The driver's remove path, or an error path of its probe, forgets an unmap."
            }
            Class::BadUnmap => {
                "Unmap with the address, the size, the direction and the function that belong to the mapping, and once."
            }
            Class::DmaAfterUnmap => {
                "The device was not stopped, or a descriptor was not taken back, before the unmap."
            }
            Class::StaleIotlb => {
                "The device may still write through a cached translation. Free the memory only after the invalidation."
            }
            Class::PageLeak => {
                "Look for the unmap that is missing, or comes after the free. A page that was found is reported again \
                 at each later use."
            }
            Class::Other(_) => "Its report in the log says more; a newer version may know it.",
        }
    }
}

impl From<String> for Class {
    fn from(name: String) -> Self {
        let known = Class::KNOWN
            .into_iter()
            .find(|class| class.as_str() == name);
        known.unwrap_or(Class::Other(name))
    }
}

impl From<Class> for String {
    fn from(class: Class) -> Self {
        class.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Class;
    use std::collections::HashSet;

    #[test]
    fn names_are_read_back() {
        for class in Class::KNOWN {
            assert_eq!(Class::from(class.as_str().to_owned()), class);
        }
        let other = Class::from("brand-new".to_owned());
        assert_eq!(other, Class::Other("brand-new".to_owned()));
    }

    #[test]
    fn each_class_has_its_own_words() {
        let all = Class::KNOWN
            .into_iter()
            .chain([Class::Other(String::new())]);
        let words: HashSet<_> = all.map(|class| class.summary()).collect();
        assert_eq!(words.len(), Class::KNOWN.len() + 1);
    }
}
