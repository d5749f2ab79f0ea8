// SPDX-License-Identifier: GPL-2.0-only
//! Reads the DMA sanitizer's findings out of kernel logs.
//!
//! A log goes in as it comes (serial console, `dmesg`, journal, syslog; damaged or cut), a [`Report`] comes
//! out, which can be written for eyes ([`text`]) or for programs ([`json`]). Nothing in a log is trusted: no
//! input makes the parser panic, and what it keeps of one finding is bounded.
//!
//! ```
//! let log = "\
//! [    5.000000] dmasan: step 5f3a 1 begin edu.ko
//! [    5.100000] ==================================================================
//! [    5.100001] BUG: DMASAN: free-while-mapped in edu_leak+0x5c/0x90 [edu_dma]
//! [    5.100002] [pfn=0x11a04] [order=0] [pages=1] [mapped=1]
//! [    5.100003] ==================================================================
//! ";
//! let report = dmasan_report::parse(log.as_bytes()).unwrap();
//! let finding = &report.findings[0];
//! assert_eq!(finding.class.as_str(), "free-while-mapped");
//! assert_eq!(finding.site.as_ref().unwrap().symbol, "edu_leak");
//! assert_eq!(finding.step, Some(1));
//! ```

mod block;
mod class;
mod events;
mod facts;
mod group;
mod kind;
mod line;
mod mapping;
mod model;
mod owner;
mod parser;
mod ranges;
mod symbol;

pub mod html;
pub mod json;
pub mod junit;
pub mod sarif;
pub mod text;

pub use class::Class;
pub use group::{groups, Group};
pub use mapping::{Ended, Mapping};
pub use model::{
    Banner, Boot, BootState, Cut, CutBy, Facts, Finding, Frame, Origin, OwnerEvent, PageOwner,
    Process, Report, Site, SourceLine, Stack, Step, Trouble, TroubleKind, Warning, SCHEMA,
};
pub use parser::{parse, parse_reader, Options, Parser, Unparseable};
pub use ranges::MappedRange;
