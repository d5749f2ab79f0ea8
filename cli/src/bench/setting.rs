// SPDX-License-Identifier: GPL-2.0-only
//! What is compared: a kernel flavour, and whether its sanitizer is on.

use std::fmt;

use crate::kernel::Flavor;

/// One column of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The kernel.
    pub flavor: Flavor,
    /// `iommu.debug_pagealloc`.
    pub on: bool,
}

impl Setting {
    /// What everything is compared with: the option is off when the kernel is built.
    pub const BASE: Setting = Setting {
        flavor: Flavor::None,
        on: false,
    };

    /// The settings to measure, each once, with the base first: ratios need it.
    pub fn all(flavors: &[Flavor], params: &[bool]) -> Vec<Setting> {
        let mut all: Vec<Setting> = Vec::new();
        for flavor in [Flavor::None, Flavor::Rust, Flavor::C] {
            if !flavors.contains(&flavor) {
                continue;
            }
            // Without the option there is no parameter.
            let params = match flavor {
                Flavor::None => &[false],
                Flavor::Rust | Flavor::C => params,
            };
            for on in [false, true] {
                if params.contains(&on) {
                    all.push(Setting { flavor, on });
                }
            }
        }
        all
    }

    /// The largest ratio to the base that is good enough.
    pub fn bar(self) -> f64 {
        match self.on {
            true => 1.10,
            false => 1.01,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flavor {
            Flavor::None => f.write_str("none"),
            flavor => write!(f, "{flavor}, {}", u8::from(self.on)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_first_and_has_no_parameter() {
        let names = |flavors: &[Flavor], params: &[bool]| {
            let all = Setting::all(flavors, params);
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        use Flavor::{None, Rust, C};
        assert_eq!(
            names(&[C, None, Rust, C], &[true, false]),
            ["none", "rust, 0", "rust, 1", "c, 0", "c, 1"]
        );
        assert_eq!(names(&[Rust], &[true]), ["rust, 1"]);
        assert_eq!(names(&[None], &[true]), ["none"]);
    }
}
