// SPDX-License-Identifier: GPL-2.0-only
//! Finds the source lines of the stacks in a report, with the debug information of the kernel and its modules.
//!
//! A stack names places as `symbol+0xoffset/0xsize [module]`. [`Symbols`] looks the symbol up in the ELF file and the
//! address in its DWARF, and fills in [`Frame::source`](dmasan_report::Frame). Lines of another build would be worse
//! than none, so a file is compared with what the log says of the kernel first, and a symbol of another size is not
//! taken. Files are not trusted: whatever is in them, the worst is an [`Error`].

mod apply;
mod dwarf;
mod elf;
mod error;
mod identity;
mod path;
mod table;

pub use apply::{Summary, Symbols};
pub use error::{Error, Reason};
