// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The words of those parts of a report that tell who mapped.

use super::report::{write_task, write_word, Class};
use core::fmt;

/// The line above the facts and the stack of a mapping.
pub const MAPPED_AT: &str = "mapped at:";

/// The line above the stack of a [`Class::UnbindLeak`].
pub const UNBOUND_AT: &str = "unbound at:";

/// What stands between a device and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// No IOMMU.
    None,
    /// An IOMMU that lets everything pass.
    Passthrough,
    /// An IOMMU that translates.
    Translated,
}

impl Domain {
    /// The name in facts.
    pub const fn name(self) -> &'static str {
        match self {
            Domain::None => "none",
            Domain::Passthrough => "passthrough",
            Domain::Translated => "translated",
        }
    }
}

/// Who can do what with mapped memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device reads and writes.
    Both,
    /// The device reads.
    ToDevice,
    /// The device writes.
    FromDevice,
    /// Unknown.
    Neither,
}

impl Direction {
    /// The direction of an `enum dma_data_direction` (`include/linux/dma-direction.h`).
    pub const fn from_kernel(value: u8) -> Direction {
        match value {
            0 => Direction::Both,
            1 => Direction::ToDevice,
            2 => Direction::FromDevice,
            _ => Direction::Neither,
        }
    }

    /// The name in facts.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Both => "bidirectional",
            Direction::ToDevice => "to-device",
            Direction::FromDevice => "from-device",
            Direction::Neither => "none",
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Direction::Both => "READ and WRITE",
            Direction::ToDevice => "READ",
            Direction::FromDevice => "WRITE",
            Direction::Neither => "reach",
        }
    }
}

/// The name of an `enum iommu_debug_kind`: the part of the DMA API that mapped.
pub const fn kind_name(kind: u8) -> &'static str {
    match kind {
        0 => "single",
        1 => "sg",
        2 => "coherent",
        3 => "pages",
        4 => "link",
        _ => "unknown",
    }
}

/// A device and its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// Such as `0000:00:03.0`.
    pub device: &'a str,
    /// The driver that was bound to it.
    pub driver: &'a str,
}

/// The line for people: what can happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach<'a> {
    /// Whose mapping it is.
    pub owner: Owner<'a>,
    /// What the device can do.
    pub direction: Direction,
    /// How many bytes of the page or object are mapped.
    pub bytes: u64,
    /// The first of them.
    pub offset: u64,
}

impl fmt::Display for Reach<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_word(f, self.owner.driver)?;
        f.write_str(" ")?;
        write_word(f, self.owner.device)?;
        let (verb, bytes, offset) = (self.direction.verb(), self.bytes, self.offset);
        write!(
            f,
            ": the device can {verb} {bytes} bytes at offset {offset}"
        )
    }
}

/// The facts line of a mapping, below [`MAPPED_AT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingFacts<'a> {
    /// Whose mapping it is.
    pub owner: Owner<'a>,
    /// First address for the device.
    pub dma: u64,
    /// First physical address.
    pub phys: u64,
    /// Bytes that are mapped.
    pub size: u64,
    /// The first mapped byte of the page or object; `None`: the report is about none.
    pub from: Option<u64>,
    /// What the device can do.
    pub direction: Direction,
    /// An `enum iommu_debug_kind`.
    pub kind: u8,
    /// `DMA_ATTR_*` (`include/linux/dma-mapping.h`).
    pub attrs: u16,
    /// What the device's accesses go through.
    pub domain: Domain,
    /// The CPU that mapped.
    pub cpu: u32,
    /// The name of the task that did.
    pub comm: &'a str,
    /// Its process id.
    pub pid: i32,
    /// How long ago, in microseconds.
    pub age: u64,
}

impl fmt::Display for MappingFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_owner(f, self.owner)?;
        let (dma, phys, size) = (self.dma, self.phys, self.size);
        write!(f, " [iova={dma:#x}] [phys={phys:#x}] [size={size}]")?;
        if let Some(from) = self.from {
            write!(f, " [from={from}]")?;
        }
        let (dir, kind) = (self.direction.name(), kind_name(self.kind));
        write!(f, " [dir={dir}] [kind={kind}] ")?;
        if self.attrs != 0 {
            write!(f, "[attrs={:#x}] ", self.attrs)?;
        }
        write!(f, "[domain={}] ", self.domain.name())?;
        write_task(f, self.cpu, self.comm, self.pid)?;
        write!(f, " [age_us={}]", self.age)
    }
}

pub(super) fn write_owner(f: &mut fmt::Formatter<'_>, owner: Owner<'_>) -> fmt::Result {
    f.write_str("[device=")?;
    write_word(f, owner.device)?;
    f.write_str("] [driver=")?;
    write_word(f, owner.driver)?;
    f.write_str("]")
}

/// The facts line of a report about an object of a slab cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectFacts<'a> {
    /// Its address.
    pub object: u64,
    /// Its physical address.
    pub phys: u64,
    /// Bytes.
    pub size: u64,
    /// The name of the cache.
    pub cache: &'a str,
    /// How many mappings reach into it, as far as the report lists them.
    pub mapped: u64,
    /// The CPU that freed or allocated.
    pub cpu: u32,
    /// The name of the task that did.
    pub comm: &'a str,
    /// Its process id.
    pub pid: i32,
}

impl fmt::Display for ObjectFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (object, phys, size) = (self.object, self.phys, self.size);
        write!(
            f,
            "[object={object:#x}] [phys={phys:#x}] [size={size}] [cache="
        )?;
        write_word(f, self.cache)?;
        write!(f, "] [mapped={}] ", self.mapped)?;
        write_task(f, self.cpu, self.comm, self.pid)
    }
}

/// The facts line of a [`Class::UnbindLeak`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnbindFacts<'a> {
    /// The device, and the driver that has left it.
    pub owner: Owner<'a>,
    /// How many mappings are left.
    pub mappings: u64,
    /// How many bytes these are in all.
    pub bytes: u64,
    /// The CPU that unbound.
    pub cpu: u32,
    /// The name of the task that did.
    pub comm: &'a str,
    /// Its process id.
    pub pid: i32,
}

impl fmt::Display for UnbindFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_owner(f, self.owner)?;
        write!(f, " [mappings={}] [bytes={}] ", self.mappings, self.bytes)?;
        write_task(f, self.cpu, self.comm, self.pid)
    }
}

/// The line that says how much else the device has mapped.
pub struct OthersLive<'a> {
    /// The device.
    pub device: &'a str,
    /// Its other live mappings.
    pub mappings: u64,
}

impl fmt::Display for OthersLive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("other live mappings of ")?;
        write_word(f, self.device)?;
        write!(f, ": {}", self.mappings)
    }
}

/// What is usually wrong, as a sentence; `None` where there is nothing to add.
pub const fn hint(class: Class) -> Option<&'static str> {
    match class {
        Class::FreeWhileMapped | Class::ObjectFreeWhileMapped => Some(
            "hint: unmap before freeing, on error paths and in remove(), with the device stopped",
        ),
        Class::AllocWhileMapped | Class::ObjectAllocWhileMapped => Some(
            "hint: it was freed while mapped, unseen; look at what frees what was mapped there",
        ),
        Class::UnbindLeak => {
            Some("hint: remove() has to unmap what probe() and the data path have mapped")
        }
        Class::DomainLeak => {
            Some("hint: the device went away; whoever mapped this had to unmap it before")
        }
        Class::BadUnmap => {
            Some("hint: unmap what the map returned, once, with the size and direction of the map")
        }
        Class::DmaAfterUnmap => Some(
            "hint: stop the device, or wait until it is done, before unmapping what it works on",
        ),
        Class::StaleIotlb => {
            Some("hint: the IOMMU may still have the address cached; free after the invalidation")
        }
        Class::CountImbalance => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::parse_facts;
    use super::*;

    const OWNER: Owner<'_> = Owner {
        device: "0000:00:03.0",
        driver: "edu",
    };

    #[test]
    fn facts_of_a_mapping_read_back() {
        let facts = MappingFacts {
            owner: OWNER,
            dma: 0xffff_e040,
            phys: 0x3b5_0240,
            size: 1500,
            from: Some(64),
            direction: Direction::from_kernel(2),
            kind: 1,
            attrs: 0x20,
            domain: Domain::Translated,
            cpu: 1,
            comm: "a [b]=c",
            pid: 7,
            age: 12,
        };
        let line = facts.to_string();
        let pairs: Vec<_> = parse_facts(&line).collect();
        let value = |key| pairs.iter().find(|(k, _)| *k == key).unwrap().1;
        assert_eq!((value("device"), value("driver")), ("0000:00:03.0", "edu"));
        assert_eq!((value("iova"), value("phys")), ("0xffffe040", "0x3b50240"));
        assert_eq!((value("size"), value("from")), ("1500", "64"));
        assert_eq!((value("dir"), value("kind")), ("from-device", "sg"));
        assert_eq!((value("attrs"), value("domain")), ("0x20", "translated"));
        assert_eq!((value("task"), value("age_us")), ("a__b__c/7", "12"));
        let without = MappingFacts {
            attrs: 0,
            from: None,
            ..facts
        };
        let line = without.to_string();
        assert!(!line.contains("[from=") && !line.contains("[attrs="));
    }

    #[test]
    fn a_name_cannot_break_its_line() {
        let owner = Owner {
            device: "evil] [class=x\n",
            driver: "",
        };
        let facts = UnbindFacts {
            owner,
            mappings: 2,
            bytes: 9000,
            cpu: 0,
            comm: "t",
            pid: 1,
        };
        let line = facts.to_string();
        assert!(!line.contains('\n'));
        let pairs: Vec<_> = parse_facts(&line).collect();
        assert_eq!(pairs.first(), Some(&("device", "evil___class_x_")));
        assert_eq!(pairs.len(), 6);
    }

    #[test]
    fn the_line_for_people_says_what_the_device_can_do() {
        let reach = Reach {
            owner: OWNER,
            direction: Direction::FromDevice,
            bytes: 1500,
            offset: 64,
        };
        assert_eq!(
            reach.to_string(),
            "edu 0000:00:03.0: the device can WRITE 1500 bytes at offset 64"
        );
    }
}
