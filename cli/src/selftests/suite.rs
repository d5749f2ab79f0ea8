// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's own tests that are run: one table, of which `docs/selftests.md` has a copy for people.

use crate::arch::Arch;
use crate::error::{Error, Result};

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Suite {
    /// What the user calls it.
    pub name: &'static str,
    /// One line for people.
    pub what: &'static str,
    /// How it is run.
    pub how: How,
    /// The module that has it, in the kernel's build; none: it is in the kernel.
    pub module: Option<&'static str>,
    /// Whether it takes a machine with one CPU for granted.
    pub one_cpu: bool,
    /// The only architecture that has it, if not all do.
    pub only: Option<Arch>,
    /// Seconds that it may take, on a slow machine.
    pub seconds: u64,
    /// Why the sanitizer has something to find in it; none: it has to be silent.
    pub foreign: Option<&'static str>,
}

/// How a suite is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// KUnit suites, started by debugfs.
    Kunit(&'static [&'static str]),
    /// By the kernel itself while it boots; it says this when all went well.
    Boot(&'static str),
    /// By its module while that is loaded, which says this when all went well.
    Load(&'static str),
    /// A program of `tools/testing/selftests`: the folder, and the name.
    Program(&'static str, &'static str),
    /// The kernel's benchmark of the DMA API, for these numbers of pages and threads.
    Benchmark(&'static [(u32, u32)]),
}

const SILENT: Suite = Suite {
    name: "",
    what: "",
    how: How::Kunit(&[]),
    module: None,
    one_cpu: false,
    only: None,
    seconds: 60,
    foreign: None,
};

/// Tests of generic_pt map addresses, not memory: those that have memory are somebody else's. And they free page
/// tables behind the back of the IOMMU core, with what is mapped in them.
const FOREIGN: Option<&str> =
    Some("the test maps memory that is not its own, up to all that there is");

/// Every suite that `dmasan selftests` knows, in the order in which they are run.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "io-pgtable-arm-v7s",
        what: "short-descriptor page tables of Arm, at boot",
        how: How::Boot("arm-v7s io-pgtable: self test ok"),
        ..SILENT
    },
    Suite {
        name: "io-pgtable-arm",
        what: "long-descriptor page tables of Arm, as SMMUs have them",
        how: How::Kunit(&["io-pgtable-arm-test"]),
        ..SILENT
    },
    Suite {
        name: "arm-smmu-v3",
        what: "tables and commands of the SMMUv3 driver",
        how: How::Kunit(&["arm-smmu-v3-kunit-test"]),
        only: Some(Arch::Arm64),
        ..SILENT
    },
    Suite {
        name: "dma-map-benchmark",
        what: "map and unmap by several threads at once (tools/dma)",
        how: How::Benchmark(&[(1, 1), (1, 4), (64, 4)]),
        ..SILENT
    },
    Suite {
        name: "dmapool",
        what: "DMA pools (mm/dmapool_test)",
        how: How::Load("dmapool test: size:68 "),
        module: Some("mm/dmapool_test.ko"),
        ..SILENT
    },
    Suite {
        name: "slub",
        what: "the slab allocator, deferred frees included (lib/tests/slub_kunit)",
        how: How::Kunit(&["slub_test"]),
        module: Some("lib/tests/slub_kunit.ko"),
        ..SILENT
    },
    Suite {
        name: "free-pages",
        what: "pages freed while somebody else holds them (lib/test_free_pages)",
        how: How::Load("test_free_pages: Test completed"),
        module: Some("lib/test_free_pages.ko"),
        seconds: 240,
        ..SILENT
    },
    Suite {
        name: "devices",
        what: "devices whose managed resources are freed at unbind (drivers/base/test)",
        how: How::Kunit(&[
            "platform-device-devm",
            "platform-device-match",
            "root-device-devm",
        ]),
        ..SILENT
    },
    Suite {
        name: "net",
        what: "network buffers that are split and freed (net/core/net_test)",
        how: How::Kunit(&["net_core"]),
        ..SILENT
    },
    Suite {
        name: "iommufd",
        what: "user space memory in IOMMU domains (tools/testing/selftests/iommu/iommufd)",
        how: How::Program("iommu", "iommufd"),
        seconds: 900,
        ..SILENT
    },
    Suite {
        name: "iommufd-fail-nth",
        what: "the same, with each allocation failing in turn",
        how: How::Program("iommu", "iommufd_fail_nth"),
        seconds: 900,
        ..SILENT
    },
    // Last: what they leave mapped is nobody's.
    Suite {
        name: "generic-pt-format",
        what:
            "formats of generic_pt: AMD v1, VT-d second stage, x86_64, RISC-V, the mock of iommufd",
        how: How::Kunit(&[
            "amdv1_fmt_test",
            "amdv1_mock_fmt_test",
            "vtdss_fmt_test",
            "x86_64_fmt_test",
            "riscv_64_fmt_test",
        ]),
        one_cpu: true,
        foreign: FOREIGN,
        ..SILENT
    },
    Suite {
        name: "generic-pt-iommu",
        what: "map and unmap with generic_pt, in the same formats",
        how: How::Kunit(&[
            "amdv1_iommu_test",
            "amdv1_mock_iommu_test",
            "vtdss_iommu_test",
            "x86_64_iommu_test",
            "riscv_64_iommu_test",
        ]),
        one_cpu: true,
        seconds: 900,
        foreign: FOREIGN,
        ..SILENT
    },
];

impl Suite {
    /// The suites that the user named, in the order of the table; all of an architecture if there are no names.
    pub fn chosen(names: &[String], arch: Arch) -> Result<Vec<&'static Suite>> {
        for name in names {
            let suite = Suite::find(name)?;
            suite.check(arch)?;
        }
        let wanted = |s: &&Suite| names.is_empty() || names.iter().any(|n| n == s.name);
        Ok(SUITES
            .iter()
            .filter(|s| s.is_on(arch))
            .filter(wanted)
            .collect())
    }

    /// Finds a suite by its name; an unknown name is answered with the near ones and with all.
    pub fn find(name: &str) -> Result<&'static Suite> {
        if let Some(suite) = SUITES.iter().find(|s| s.name == name) {
            return Ok(suite);
        }
        let lower = name.to_lowercase();
        let is_near = |known: &&str| {
            strsim::damerau_levenshtein(&lower, known) <= 2
                || lower.len() >= 3 && (known.contains(&lower) || lower.contains(*known))
        };
        let all: Vec<&str> = SUITES.iter().map(|s| s.name).collect();
        let near = all.iter().copied().filter(|known| is_near(known));
        let near: Vec<String> = near.map(|n| format!("`{n}`")).collect();
        let guess = match near.as_slice() {
            [] => String::new(),
            near => format!("did you mean {}? ", near.join(" or ")),
        };
        let error = Error::usage(format!("unknown selftest `{name}`"));
        Err(error.help(format!("{guess}selftests are: {}", all.join(", "))))
    }

    /// Whether an architecture has it.
    pub fn is_on(&self, arch: Arch) -> bool {
        self.only.is_none_or(|only| only == arch)
    }

    fn check(&self, arch: Arch) -> Result<()> {
        match self.only {
            Some(only) if only != arch => {
                let text = format!("the selftest `{}` is on {} only", self.name, only.name());
                Err(Error::usage(text).help("choose such a machine with --machine"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    #[test]
    fn names_are_unique_and_found() {
        for suite in SUITES {
            assert_eq!(Suite::find(suite.name).unwrap(), suite);
            assert!(!suite.what.is_empty(), "{}", suite.name);
        }
        let mut names: Vec<&str> = SUITES.iter().map(|s| s.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SUITES.len());
    }

    #[test]
    fn an_unknown_name_gets_the_near_ones() {
        let error = Suite::find("iommufdd").unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        let advice = error.advice().unwrap();
        assert!(advice.starts_with("did you mean `iommufd`"), "{advice}");
        let advice = Suite::find("xyz").unwrap_err();
        assert!(advice.advice().unwrap().starts_with("selftests are: "));
    }

    #[test]
    fn suites_of_one_architecture_are_not_on_another() {
        let names = |arch| {
            let chosen = Suite::chosen(&[], arch).unwrap();
            chosen.iter().map(|s| s.name).collect::<Vec<_>>()
        };
        assert!(!names(Arch::X86_64).contains(&"arm-smmu-v3"));
        assert!(names(Arch::Arm64).contains(&"arm-smmu-v3"));
        let error = Suite::chosen(&["arm-smmu-v3".to_owned()], Arch::X86_64).unwrap_err();
        assert!(error.message().contains("arm64 only"), "{error}");
        let both = ["slub".to_owned(), "iommufd".to_owned()];
        let chosen = Suite::chosen(&both, Arch::X86_64).unwrap();
        assert_eq!(chosen.len(), 2);
    }
}
