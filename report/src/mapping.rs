// SPDX-License-Identifier: GPL-2.0-only
//! Where memory was mapped for a device, and where that ended: the sections of a report that tell it, and its remarks.

use crate::model::{Facts, Frame, Site};
use dmasan_engine::unmapped_at::MEMORY_NOW;
use serde::{Deserialize, Serialize};

/// The title of a section: its heading without the colon.
pub(crate) fn title(heading: &str) -> &str {
    heading.strip_suffix(':').unwrap_or(heading)
}

/// One mapping of memory for a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// `device`, `driver`, `iova`, `phys`, `size`, `from`, `dir`, `kind`, `cpu`, `task`, `age_us`; any may be absent.
    pub facts: Facts,
    /// The stack of the map, the innermost function first.
    pub frames: Vec<Frame>,
    /// Its end; none if the mapping is alive, or was when the report was made.
    #[serde(default)]
    pub ended: Option<Ended>,
}

impl Mapping {
    /// Who mapped: the innermost function that is not of the DMA API or of the IOMMU's core.
    pub fn site(&self) -> Option<&Site> {
        user_of_dma(&self.frames)
    }
}

/// The end of a mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// `cpu`, `task`, `age_us`; any may be absent.
    pub facts: Facts,
    /// The stack of the unmap, the innermost function first.
    pub frames: Vec<Frame>,
}

impl Ended {
    /// Who unmapped, as in [`Mapping::site`].
    pub fn site(&self) -> Option<&Site> {
        user_of_dma(&self.frames)
    }
}

fn user_of_dma(frames: &[Frame]) -> Option<&Site> {
    let mut sites = frames.iter().filter(|f| f.reliable).map(|f| &f.site);
    sites.find(|site| site.module.is_some() || !is_dma_api(&site.symbol))
}

/// A function of the kernel itself through which drivers map and unmap, so that it says nothing about who did.
fn is_dma_api(symbol: &str) -> bool {
    const PREFIXES: [&str; 7] = [
        "dma_",
        "__dma_",
        "dmam_",
        "iommu_",
        "__iommu_",
        "swiotlb_",
        "debug_dma_",
    ];
    // The kernel crate's own wrappers, in their mangled names.
    let of_rust = symbol.starts_with("_R") && symbol.contains("6kernel3dma");
    of_rust || PREFIXES.iter().any(|prefix| symbol.starts_with(prefix))
}

/// A line that a report has only with sections of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remark<'a> {
    /// What the memory is now, or what else is mapped.
    Note(&'a str),
    /// What to look for.
    Hint(&'a str),
}

/// Reads a remark.
pub(crate) fn remark(text: &str) -> Option<Remark<'_>> {
    const NOTES: [&str; 2] = [MEMORY_NOW, "other live mappings of "];
    let text = text.trim_end();
    if let Some(hint) = text.strip_prefix("hint: ") {
        return Some(Remark::Hint(hint));
    }
    let note = NOTES.iter().any(|begin| text.starts_with(begin));
    note.then_some(Remark::Note(text))
}

/// Takes `edu 0000:00:03.0: the device can ...` apart: driver and device. Messages of drivers look the same, so the
/// device has to be compared with that of the mapping. A device may have lost its driver.
pub(crate) fn of_device(text: &str) -> Option<(&str, &str)> {
    let (who, what) = text.split_once(": ")?;
    let (driver, device) = who.split_once(' ')?;
    let word = |word: &str| !word.contains(char::is_whitespace);
    let found = word(driver) && word(device) && !device.is_empty() && !what.trim().is_empty();
    found.then_some((driver, device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol;
    use rstest::rstest;

    fn mapping(stack: &str) -> Mapping {
        let frames = stack.lines().filter_map(symbol::frame).collect();
        Mapping {
            frames,
            ..Mapping::default()
        }
    }

    #[rstest]
    #[case::driver(
        " dma_map_phys+0x9c/0x120\n edu_leak+0x6b/0xb0 [edu_dma]",
        Some("edu_leak")
    )]
    #[case::driver_with_such_a_name(
        " dma_map_phys+0x9c/0x120\n dma_ring+0x1/0x2 [x]",
        Some("dma_ring")
    )]
    #[case::built_in(
        " __dma_alloc+0x1/0x2\n nvme_map_data+0x1/0x2\n f+0x1/0x2 [m]",
        Some("nvme_map_data")
    )]
    #[case::rust(
        " _RNvNtCs1_6kernel3dma3map+0x1/0x2\n rusty_map+0x1/0x2",
        Some("rusty_map")
    )]
    #[case::unreliable(" dma_map_phys+0x9c/0x120\n ? old+0x1/0x2\n f+0x1/0x2", Some("f"))]
    #[case::api_only(" dma_map_phys+0x9c/0x120", None)]
    #[case::nothing("", None)]
    fn who_mapped(#[case] stack: &str, #[case] expected: Option<&str>) {
        let mapping = mapping(stack);
        assert_eq!(mapping.site().map(|site| site.symbol.as_str()), expected);
    }

    #[rstest]
    #[case(
        "memory now: slab kmalloc-512",
        Some(Remark::Note("memory now: slab kmalloc-512"))
    )]
    #[case(
        "other live mappings of 0000:00:03.0: 17",
        Some(Remark::Note("other live mappings of 0000:00:03.0: 17"))
    )]
    #[case("hint: the length differs", Some(Remark::Hint("the length differs")))]
    #[case("hint:", None)]
    #[case("memory now", None)]
    #[case(" hint: x", None)]
    fn remarks(#[case] text: &str, #[case] expected: Option<Remark<'_>>) {
        assert_eq!(remark(text), expected);
    }

    #[rstest]
    #[case("edu 0000:00:03.0: the device can WRITE", Some(("edu", "0000:00:03.0")))]
    #[case("e1000e 0000:00:02.0 eth0: NIC Link is Down", None)]
    #[case("usb 1-1: new device", Some(("usb", "1-1")))]
    #[case(" 0000:00:03.0: the device can WRITE", Some(("", "0000:00:03.0")))]
    #[case(" [iova=0x1] [phys=0x2]", None)]
    #[case("iommu: Detected page leak!", None)]
    #[case("edu 0000:00:03.0:", None)]
    fn of_devices(#[case] text: &str, #[case] expected: Option<(&str, &str)>) {
        assert_eq!(of_device(text), expected);
    }
}
