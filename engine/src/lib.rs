// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Counting, policy and report text of the DMA sanitizer.
//!
//! The files of this crate are compiled twice: here, where they are tested, and inside the kernel,
//! where `drivers/iommu/debug-pagealloc/` supplies the memory they count in and the atomics
//! ([`primitive`]). So nothing in them allocates, blocks, panics or is unsafe, and paths between the
//! modules are relative (`super::`).
//!
//! ```
//! use dmasan_engine::{addr::{Pfn, Span}, check::Intent, counts::{Counts, Memory}, model::Array};
//!
//! // Pages of 4K, sections of 128M; only the first section is there.
//! type Machine = Array<12, 15>;
//! let counts = Counts::new(Machine::new(&[0]));
//! let span = Span::new(0x20_0000, 0x20_0000, 0x1000, Machine::GEOMETRY).unwrap();
//!
//! counts.map(&span);
//! assert_eq!(counts.count(Pfn(0x200)), Some(1));
//! let hit = counts.inspect(Pfn(0x200), 512, &Intent::NONE).unwrap();
//! assert_eq!(hit.mapped, 512);
//!
//! counts.unmap(&span);
//! assert!(counts.is_clean(Pfn(0x200), 512));
//! ```

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod addr;
pub mod bag;
pub mod chains;
pub mod check;
pub mod counts;
pub mod direct;
pub mod gate;
pub mod geometry;
pub mod mapped_at;
#[cfg(feature = "model")]
pub mod model;
pub mod origin;
pub mod primitive;
pub mod report;
pub mod ring;
pub mod unmapped_at;
