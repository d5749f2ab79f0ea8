// SPDX-License-Identifier: GPL-2.0

//! Formatting: here, `core`'s. Newer kernels have traits of their own.

pub use core::fmt::*;
