// SPDX-License-Identifier: GPL-2.0-only
//! What is compared: a kernel flavour, and whether its sanitizer is on.

use std::fmt;

use crate::args::Switch;
use crate::kernel::Flavor;

/// One column of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The kernel.
    pub flavor: Flavor,
    /// `iommu.debug_pagealloc`.
    pub param: Switch,
}

impl Setting {
    /// What everything is compared with: the option is off when the kernel is built.
    pub const BASE: Setting = Setting {
        flavor: Flavor::None,
        param: Switch::Off,
    };

    /// The settings to measure, each once, with the base first: ratios need it.
    pub fn all(flavors: &[Flavor], params: &[Switch]) -> Vec<Setting> {
        let mut all: Vec<Setting> = Vec::new();
        for flavor in [Flavor::None, Flavor::Rust, Flavor::C, Flavor::DmaApiDebug] {
            if !flavors.contains(&flavor) {
                continue;
            }
            // Without the option there is no parameter.
            let params = match flavor {
                Flavor::None | Flavor::DmaApiDebug => &[Switch::Off],
                Flavor::Rust | Flavor::C => params,
            };
            for param in [Switch::Off, Switch::On, Switch::Origin] {
                // The reference has no such value.
                let is_known = flavor != Flavor::C || param != Switch::Origin;
                if params.contains(&param) && is_known {
                    all.push(Setting { flavor, param });
                }
            }
        }
        all
    }

    /// The largest ratio to the base that is good enough, for any one call.
    pub fn bar(self) -> f64 {
        match self.param {
            // Not ours to judge.
            Switch::Off if self.flavor == Flavor::DmaApiDebug => f64::INFINITY,
            Switch::Off => 1.01,
            Switch::On => 1.10,
            // There is one for map and unmap together only.
            Switch::Origin => f64::INFINITY,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flavor {
            Flavor::None | Flavor::DmaApiDebug => f.write_str(self.flavor.name()),
            flavor => write!(f, "{flavor}, {}", self.param.value()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_first_and_has_no_parameter() {
        let names = |flavors: &[Flavor], params: &[Switch]| {
            let all = Setting::all(flavors, params);
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        use Flavor::{None, Rust, C};
        use Switch::{Off, On, Origin};
        assert_eq!(
            names(&[C, None, Rust, C], &[On, Off]),
            ["none", "rust, 0", "rust, 1", "c, 0", "c, 1"]
        );
        assert_eq!(names(&[Rust], &[On]), ["rust, 1"]);
        assert_eq!(names(&[None], &[On]), ["none"]);
        assert_eq!(
            names(&[Flavor::DmaApiDebug, None], &[On]),
            ["none", "dma-api-debug"]
        );
        assert_eq!(
            names(&[Rust, C], &[On, Origin]),
            ["rust, 1", "rust, origin", "c, 1"]
        );
    }
}
