// SPDX-License-Identifier: GPL-2.0-only

//! The engine: the same files as in user space, where they are tested.

#![forbid(unsafe_code)]
#![allow(unreachable_pub, dead_code)] // A public interface; the kernel does not use all of it.

pub(crate) mod addr;
pub(crate) mod bag;
pub(crate) mod chains;
pub(crate) mod check;
pub(crate) mod counts;
pub(crate) mod direct;
pub(crate) mod gate;
pub(crate) mod geometry;
pub(crate) mod mapped_at;
pub(crate) mod origin;
pub(crate) mod report;
pub(crate) mod ring;
pub(crate) mod unmapped_at;

pub(crate) use crate::primitive;
