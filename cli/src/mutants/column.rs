// SPDX-License-Identifier: GPL-2.0-only
//! The columns of the table: a kernel, and how its sanitizer is switched on.

use crate::args::Switch;
use crate::kernel::Flavor;

/// A kernel, and what its sanitizer is told to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Column {
    /// This project's, which also records who maps.
    Origin,
    /// This project's, counting only.
    Count,
    /// The C implementation.
    Reference,
    /// The kernel's own checks of the DMA API.
    DmaApiDebug,
}

impl Column {
    /// All of them, in the order of the table.
    pub const ALL: [Column; 4] = [
        Column::Origin,
        Column::Count,
        Column::Reference,
        Column::DmaApiDebug,
    ];

    /// The columns that some flavours have; `switches` matter to this project's own only.
    pub fn choose(flavors: &[Flavor], switches: &[Switch]) -> Vec<Column> {
        let wanted = |c: &Column| {
            let own = c.flavor() == Flavor::Rust;
            flavors.contains(&c.flavor()) && (!own || switches.contains(&c.switch()))
        };
        Column::ALL.into_iter().filter(wanted).collect()
    }

    /// The kernel's sanitizer.
    pub fn flavor(self) -> Flavor {
        match self {
            Column::Origin | Column::Count => Flavor::Rust,
            Column::Reference => Flavor::C,
            Column::DmaApiDebug => Flavor::DmaApiDebug,
        }
    }

    /// iommu.debug_pagealloc.
    pub fn switch(self) -> Switch {
        match self {
            Column::Origin => Switch::Origin,
            Column::Count | Column::Reference => Switch::On,
            Column::DmaApiDebug => Switch::Off,
        }
    }

    /// The parameter that tells a cell of the matrix from others of the same flavour.
    pub fn param(self) -> &'static str {
        match self {
            Column::Origin => "origin",
            Column::Count => "1",
            Column::Reference | Column::DmaApiDebug => "",
        }
    }

    /// The head of the column.
    pub fn title(self) -> &'static str {
        match self {
            Column::Origin => "dmasan, =origin",
            Column::Count => "dmasan, =1",
            Column::Reference => "C reference",
            Column::DmaApiDebug => "DMA_API_DEBUG",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_for_our_own_flavor() {
        let choose = Column::choose;
        let all = [Flavor::Rust, Flavor::C, Flavor::DmaApiDebug];
        assert_eq!(choose(&[Flavor::Rust], &[Switch::Origin]), [Column::Origin]);
        assert_eq!(choose(&all, &[Switch::On, Switch::Origin]), Column::ALL);
        assert_eq!(choose(&[Flavor::C], &[Switch::Origin]), [Column::Reference]);
        assert_eq!(choose(&[Flavor::None], &[Switch::On]), []);
    }
}
