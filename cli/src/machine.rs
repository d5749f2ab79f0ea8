// SPDX-License-Identifier: GPL-2.0-only
//! The machines that guests run on: one table, of which `docs/machines.md` has a copy for people.

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::near::{did_you_mean, near};

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Model {
    /// What the user calls it.
    pub name: &'static str,
    /// One line for people.
    pub what: &'static str,
    /// Its architecture.
    pub arch: Arch,
    /// QEMU's `-machine`.
    pub board: &'static str,
    /// QEMU's device that translates DMA, where that is not part of the board.
    pub iommu: Option<&'static str>,
    /// What the IOMMU is told besides, so that the CPUs have x2APICs, if it can do that.
    ///
    /// The kernel reaches these by registers of the CPU. QEMU with a thread for each CPU loses accesses to an APIC in
    /// memory now and then, and with them the timer of a CPU; QEMU that counts instructions has one thread, and
    /// cannot read the clock of an x2APIC (`Bad icount read`). See `docs/found.md`.
    pub x2apic: Option<&'static str>,
    /// Words that its kernels need on their command line.
    pub cmdline: &'static [&'static str],
    /// Files in `kernel/config` that its kernels need on top of the architecture's.
    pub config: &'static [&'static str],
    /// The oldest QEMU that has it.
    pub since: Option<Since>,
    /// Why `--lazy` makes no difference, if it does not.
    pub never_lazy: Option<&'static str>,
}

/// A version of QEMU, and what came with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Since {
    /// The version.
    pub version: &'static str,
    /// What an older one lacks.
    pub what: &'static str,
}

// VT-d with interrupt remapping needs the split irqchip.
const Q35: &str = "q35,kernel-irqchip=split";

const X2APIC: Option<Since> = Some(Since {
    version: "9.0",
    what: "an x2APIC that is emulated",
});

const VTD: Model = Model {
    name: "vtd",
    what: "x86_64, Intel VT-d, second-level page tables",
    arch: Arch::X86_64,
    board: Q35,
    iommu: Some("intel-iommu,intremap=on"),
    x2apic: Some("eim=on"),
    cmdline: &["intel_iommu=on"],
    config: &[],
    since: X2APIC,
    never_lazy: None,
};

const SMMU: Model = Model {
    name: "arm64-smmuv3",
    what: "arm64, SMMUv3, CPU pages of 4K",
    arch: Arch::Arm64,
    board: "virt,gic-version=3,iommu=smmuv3",
    iommu: None,
    x2apic: None,
    cmdline: &[],
    config: &[],
    since: SECOND_PORT,
    never_lazy: None,
};

const ARM_VIRTIO: Model = Model {
    name: "arm64-virtio-iommu",
    what: "arm64, virtio-iommu, CPU pages of 4K",
    board: "virt,gic-version=3",
    iommu: Some("virtio-iommu-pci"),
    ..SMMU
};

/// The guest answers by a port of its own.
const SECOND_PORT: Option<Since> = Some(Since {
    version: "9.1",
    what: "a second serial port on the board `virt`",
});

const NOTHING_TRANSLATED: Option<&str> =
    Some("no translation is there that could be invalidated later");

/// Every machine that `--machine` knows; the first is the default.
pub const MACHINES: &[Model] = &[
    VTD,
    Model {
        name: "vtd-scalable",
        what: "x86_64, Intel VT-d in scalable mode, second-level page tables",
        iommu: Some("intel-iommu,intremap=on,x-scalable-mode=on"),
        cmdline: &["intel_iommu=on,sm_on"],
        ..VTD
    },
    Model {
        name: "vtd-first-level",
        what: "x86_64, Intel VT-d in scalable mode, first-level page tables",
        iommu: Some("intel-iommu,intremap=on,x-scalable-mode=on,x-flts=on"),
        cmdline: &["intel_iommu=on,sm_on"],
        since: Some(Since {
            version: "10.0",
            what: "first-level translation of intel-iommu (x-flts)",
        }),
        ..VTD
    },
    Model {
        name: "amd-vi",
        what: "x86_64, AMD-Vi",
        iommu: Some("amd-iommu,intremap=on"),
        x2apic: None,
        cmdline: &[],
        since: None,
        never_lazy: Some("the driver is strict where AMD-Vi is emulated"),
        ..VTD
    },
    Model {
        name: "virtio-iommu",
        what: "x86_64, virtio-iommu: the guest sends its mappings to QEMU",
        iommu: Some("virtio-iommu-pci"),
        x2apic: None,
        cmdline: &[],
        since: None,
        ..VTD
    },
    Model {
        name: "passthrough",
        what: "x86_64, Intel VT-d that translates for no driver (iommu=pt)",
        cmdline: &["intel_iommu=on", "iommu=pt"],
        never_lazy: NOTHING_TRANSLATED,
        ..VTD
    },
    Model {
        name: "none",
        what: "x86_64, no IOMMU: devices reach all memory",
        iommu: None,
        x2apic: None,
        cmdline: &[],
        since: None,
        never_lazy: NOTHING_TRANSLATED,
        ..VTD
    },
    SMMU,
    Model {
        name: "arm64-smmuv3-16k",
        what: "arm64, SMMUv3, CPU pages of 16K",
        config: &["arm64-16k"],
        ..SMMU
    },
    Model {
        name: "arm64-smmuv3-64k",
        what: "arm64, SMMUv3, CPU pages of 64K",
        config: &["arm64-64k"],
        ..SMMU
    },
    ARM_VIRTIO,
    Model {
        name: "arm64-virtio-iommu-16k",
        what: "arm64, virtio-iommu with pages of 4K, CPU pages of 16K",
        config: &["arm64-16k"],
        ..ARM_VIRTIO
    },
    Model {
        name: "arm64-virtio-iommu-64k",
        what: "arm64, virtio-iommu with pages of 4K, CPU pages of 64K",
        config: &["arm64-64k"],
        ..ARM_VIRTIO
    },
];

impl Default for &'static Model {
    fn default() -> Self {
        &MACHINES[0]
    }
}

impl Model {
    /// Finds a machine by its name; an unknown name is answered with the near ones and with all.
    pub fn find(name: &str) -> Result<&'static Model> {
        if let Some(model) = MACHINES.iter().find(|m| m.name == name) {
            return Ok(model);
        }
        let all: Vec<&str> = MACHINES.iter().map(|m| m.name).collect();
        let guess = did_you_mean(&near(name, all.iter().copied()));
        Err(Error::usage(format!("unknown machine `{name}`"))
            .help(format!("{guess}machines are: {}", all.join(", "))))
    }

    /// Whether the DMA API of its guests maps through an IOMMU.
    pub fn translates(&self) -> bool {
        self.never_lazy != NOTHING_TRANSLATED
    }

    /// How messages tell its kernel from that of the default machine; empty where it is the same.
    pub fn kernel(&self) -> String {
        match (self.arch, self.config) {
            (Arch::X86_64, []) => String::new(),
            (arch, []) => format!(", {}", arch.name()),
            (_, config) => format!(", {}", config.join(", ")),
        }
    }

    /// Refuses lazy invalidation where there is none.
    pub fn check_lazy(&self, lazy: bool) -> Result<()> {
        match self.never_lazy {
            Some(reason) if lazy => {
                let name = self.name;
                let text = format!("--lazy makes no difference on the machine `{name}`");
                Err(Error::usage(text).help(format!("{}: {reason}", self.what)))
            }
            _ => Ok(()),
        }
    }

    /// Why a cell of the matrix cannot be lazy here, if it is to be and cannot.
    pub fn refuses_lazy(&self, lazy: bool) -> Option<String> {
        let error = self.check_lazy(lazy).err()?;
        Some(format!("{error}: {}", error.advice().unwrap_or_default()))
    }

    /// Refuses a QEMU that is too old, and tells what it lacks.
    pub fn check_qemu(&self, version: &str) -> Result<()> {
        use crate::host::numbers;
        match self.since {
            Some(since) if numbers(version) < numbers(since.version) => {
                let text = format!(
                    "QEMU {version} has no machine `{}`: {} came with QEMU {}",
                    self.name, since.what, since.version
                );
                Err(Error::usage(text)
                    .help("take a newer QEMU, for instance that of --env root, or another machine"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed;
    use crate::error::Exit;

    #[test]
    fn names_are_unique_and_found() {
        for model in MACHINES {
            assert_eq!(Model::find(model.name).unwrap(), model);
            let same = MACHINES.iter().filter(|m| m.name == model.name);
            assert_eq!(same.count(), 1, "{}", model.name);
        }
        assert_eq!(<&Model>::default().name, "vtd");
    }

    #[test]
    fn unknown_names_get_the_near_ones() {
        for (name, guess) in [
            ("vtdd", "did you mean `vtd`? "),
            (
                "smmuv3",
                "did you mean `arm64-smmuv3` or `arm64-smmuv3-16k` or `arm64-smmuv3-64k`? ",
            ),
            ("amdvi", "did you mean `amd-vi`? "),
            ("mainframe", "machines are: vtd, vtd-scalable, "),
        ] {
            let error = Model::find(name).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.message().contains(name), "{error}");
            let advice = error.advice().unwrap();
            assert!(advice.starts_with(guess), "{advice}");
            assert!(advice.ends_with(", arm64-virtio-iommu-64k"), "{advice}");
        }
    }

    #[test]
    fn fragments_exist() {
        for model in MACHINES {
            for name in model.config.iter().chain(&[model.arch.name()]) {
                let path = format!("config/{name}.config");
                assert!(embed::KERNEL.get_file(&path).is_some(), "{path}");
            }
        }
    }

    #[test]
    fn lazy_is_refused_where_it_makes_no_difference() {
        let refuses = |m: &&Model| m.check_lazy(false).is_ok() && m.check_lazy(true).is_err();
        let names: Vec<_> = MACHINES.iter().filter(refuses).map(|m| m.name).collect();
        assert_eq!(names, ["amd-vi", "passthrough", "none"]);
        let error = Model::find("none").unwrap().check_lazy(true).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.advice().unwrap().contains("no IOMMU"), "{error}");
    }

    #[test]
    fn an_old_qemu_is_told_what_it_lacks() {
        let first = Model::find("vtd-first-level").unwrap();
        let error = first.check_qemu("9.2.4").unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        for text in ["QEMU 9.2.4", "vtd-first-level", "x-flts", "QEMU 10.0"] {
            assert!(error.message().contains(text), "{error}");
        }
        assert!(first.check_qemu("10.0.13").is_ok());
        let has = |name, version| Model::find(name).unwrap().check_qemu(version).is_ok();
        assert!(has("none", "8.0") && has("vtd", "9.0") && !has("vtd", "8.2.2"));
        assert!(!has("arm64-smmuv3", "9.0.2"));
    }
}
