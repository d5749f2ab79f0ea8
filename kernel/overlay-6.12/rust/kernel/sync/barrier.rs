// SPDX-License-Identifier: GPL-2.0

//! Memory barriers: the part of the interface of newer kernels that the DMA sanitizer uses.

pub use super::atomic::Full;

/// Orders everything before against everything after, on all CPUs.
#[inline(always)]
pub fn smp_mb(_: Full) {
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst)
}
