// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The words of those parts of a report that are about the end of a mapping.

use super::mapped_at::{kind_name, write_owner, Direction, Owner};
use super::report::write_task;
use core::fmt;

/// The line above the stack of who unmapped: in a [`Class::BadUnmap`](super::report::Class), the
/// bad call; below a mapping, the call that ended it, with a facts line.
pub const UNMAPPED_AT: &str = "unmapped at:";

/// How the line begins that says what memory is now.
pub const MEMORY_NOW: &str = "memory now: ";

/// What is wrong with an unmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnmapError {
    /// The device has nothing mapped there.
    NotMapped,
    /// It had, but that was unmapped before.
    Twice,
    /// What is mapped has another size.
    Size,
    /// It was mapped by another part of the DMA API.
    Kind,
    /// It was mapped in another direction.
    Direction,
}

impl UnmapError {
    /// The name in facts.
    pub const fn name(self) -> &'static str {
        match self {
            UnmapError::NotMapped => "not-mapped",
            UnmapError::Twice => "twice",
            UnmapError::Size => "size",
            UnmapError::Kind => "kind",
            UnmapError::Direction => "direction",
        }
    }
}

/// The arguments of an unmap, or of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Bytes.
    pub size: u64,
    /// An `enum iommu_debug_kind`.
    pub kind: u8,
    /// An `enum dma_data_direction`.
    pub direction: u8,
}

impl Call {
    /// What is wrong if this unmaps what `mapped` has mapped; the worst, if it is more than one
    /// thing. A `range` may have been mapped in parts.
    pub const fn error(self, mapped: Call, range: bool) -> Option<UnmapError> {
        let fits = if range {
            mapped.size <= self.size
        } else {
            mapped.size == self.size
        };
        if !fits {
            Some(UnmapError::Size)
        } else if mapped.kind != self.kind {
            Some(UnmapError::Kind)
        } else if mapped.direction != self.direction {
            Some(UnmapError::Direction)
        } else {
            None
        }
    }
}

/// The facts line of a bad unmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnmapFacts<'a> {
    /// Who unmaps.
    pub owner: Owner<'a>,
    /// What is wrong.
    pub error: UnmapError,
    /// The address for the device, as given.
    pub dma: u64,
    /// The other arguments.
    pub call: Call,
    /// The CPU.
    pub cpu: u32,
    /// The name of the task.
    pub comm: &'a str,
    /// Its process id.
    pub pid: i32,
}

impl fmt::Display for UnmapFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_owner(f, self.owner)?;
        let (error, dma, size) = (self.error.name(), self.dma, self.call.size);
        write!(f, " [error={error}] [iova={dma:#x}] [size={size}]")?;
        let direction = Direction::from_kernel(self.call.direction).name();
        let kind = kind_name(self.call.kind);
        write!(f, " [dir={direction}] [kind={kind}] ")?;
        write_task(f, self.cpu, self.comm, self.pid)
    }
}

/// What a device did at an address that an IOMMU refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It read.
    Read,
    /// It wrote.
    Write,
    /// The IOMMU does not tell.
    Unknown,
}

impl Access {
    /// The name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Write => "write",
            Access::Unknown => "unknown",
        }
    }
}

/// The facts line of an access that an IOMMU refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessFacts<'a> {
    /// Who used the address.
    pub owner: Owner<'a>,
    /// The address, as far as the IOMMU tells it.
    pub dma: u64,
    /// What it did there.
    pub access: Access,
    /// Where that is in the mapping that has ended; `None`: the IOMMU tells only the page.
    pub into: Option<u64>,
    /// The CPU that heard of it.
    pub cpu: u32,
    /// The task that was running there, not to blame.
    pub comm: &'a str,
    /// Its process id.
    pub pid: i32,
}

impl fmt::Display for AccessFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_owner(f, self.owner)?;
        let access = self.access.name();
        write!(f, " [iova={:#x}] [access={access}] ", self.dma)?;
        if let Some(into) = self.into {
            write!(f, "[into={into}] ")?;
        }
        write_task(f, self.cpu, self.comm, self.pid)
    }
}

/// The facts line below [`UNMAPPED_AT`] where a mapping has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndFacts<'a> {
    /// The CPU that unmapped.
    pub cpu: u32,
    /// The name of the task that did.
    pub comm: &'a str,
    /// Its process id.
    pub pid: i32,
    /// How long ago, in microseconds.
    pub age: u64,
}

impl fmt::Display for EndFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_task(f, self.cpu, self.comm, self.pid)?;
        write!(f, " [age_us={}]", self.age)
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

    const CALL: Call = Call {
        size: 1500,
        kind: 0,
        direction: 2,
    };

    fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
        let mut pairs = parse_facts(line);
        pairs.find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    #[test]
    fn errors_of_an_unmap() {
        let error = |mapped: Call, range| CALL.error(mapped, range);
        assert_eq!(error(CALL, false), None);
        let with_size = |size| Call { size, ..CALL };
        assert_eq!(error(with_size(1499), false), Some(UnmapError::Size));
        assert_eq!(error(with_size(1499), true), None);
        assert_eq!(error(with_size(1501), true), Some(UnmapError::Size));
        let all = Call {
            size: 1,
            kind: 1,
            direction: 1,
        };
        assert_eq!(error(all, false), Some(UnmapError::Size));
        assert_eq!(
            error(Call { size: 1500, ..all }, true),
            Some(UnmapError::Kind)
        );
        let other_way = Call {
            direction: 1,
            ..CALL
        };
        assert_eq!(error(other_way, false), Some(UnmapError::Direction));
    }

    #[test]
    fn facts_of_a_bad_unmap_read_back() {
        let facts = UnmapFacts {
            owner: OWNER,
            error: UnmapError::Twice,
            dma: 0xffff_e040,
            call: CALL,
            cpu: 1,
            comm: "insmod",
            pid: 75,
        };
        let line = facts.to_string();
        let value = |key| value(&line, key).unwrap();
        assert_eq!((value("error"), value("iova")), ("twice", "0xffffe040"));
        assert_eq!((value("size"), value("kind")), ("1500", "single"));
        assert_eq!((value("dir"), value("task")), ("from-device", "insmod/75"));
    }

    #[test]
    fn facts_of_an_access_read_back() {
        let facts = AccessFacts {
            owner: OWNER,
            dma: 0xffff_e000,
            access: Access::Write,
            into: None,
            cpu: 0,
            comm: "swapper",
            pid: 0,
        };
        let line = facts.to_string();
        assert_eq!(value(&line, "access"), Some("write"));
        assert_eq!(value(&line, "into"), None);
        let line = AccessFacts {
            access: Access::Read,
            into: Some(24),
            ..facts
        }
        .to_string();
        assert_eq!(value(&line, "access"), Some("read"));
        assert_eq!(value(&line, "into"), Some("24"));
        let line = AccessFacts {
            access: Access::Unknown,
            ..facts
        }
        .to_string();
        assert_eq!(value(&line, "access"), Some("unknown"));
    }

    #[test]
    fn facts_of_an_end_read_back() {
        let facts = EndFacts {
            cpu: 1,
            comm: "a/b",
            pid: 3,
            age: 211,
        };
        let line = facts.to_string();
        assert_eq!(value(&line, "task"), Some("a_b/3"));
        assert_eq!(value(&line, "age_us"), Some("211"));
    }
}
