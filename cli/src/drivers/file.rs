// SPDX-License-Identifier: GPL-2.0-only
//! `driver.toml`: a driver of the kernel's, the device that QEMU emulates for it, and what is done with both.
//!
//! `docs/drivers.md` describes the file.

use std::collections::BTreeMap;

use dmasan_report::{Finding, Site};
use serde::Deserialize;

use crate::arch::Arch;
use crate::embed;
use crate::error::{Error, Result};
use crate::machine::Model;
use crate::plug::{Backend, Plug};
use crate::qemu::Machine;

/// The file that makes a folder a driver.
pub const FILE: &str = "driver.toml";

/// A driver as its file describes it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Driver {
    /// Name of its folder.
    #[serde(skip)]
    pub name: String,
    /// One line: the device.
    pub summary: String,
    /// What sysfs calls the driver.
    pub kernel_driver: String,
    /// The bus on which it is called so: a virtio device sits on a PCI device.
    #[serde(default)]
    pub bus: Bus,
    /// Its modules; what these need is found by the tool. Those that are part of the kernel may be named as well.
    pub modules: Vec<String>,
    /// QEMU's `-device`, in order; the first is the PCI device that does the DMA.
    pub devices: Vec<String>,
    /// What is behind the device.
    pub backend: Backend,
    /// The script in `drivers/workloads` that gives it work, without `.sh`.
    pub workload: String,
    /// Programs that the script needs, in `drivers/workloads`, without `.c`.
    #[serde(default)]
    pub programs: Vec<String>,
    /// Set in the script, as shell variables.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// What is not done with it, and why.
    #[serde(default)]
    pub without: BTreeMap<Phase, String>,
    /// Why the device does not work behind an IOMMU, if it does not: it is run only where nothing is translated.
    pub untranslated: Option<String>,
    /// Bugs of the driver's that are known and described in `docs/found.md`: their findings are counted apart.
    #[serde(default)]
    pub known: Vec<Known>,
    /// How many MiB have to be moved at least, in both directions together.
    #[serde(default = "least")]
    pub least_mib: u64,
    /// Why that is less than usual.
    pub why_less: Option<String>,
    /// The version of QEMU that brought the device, if that is not long ago.
    pub since: Option<String>,
    /// Versions of QEMU whose device does not work with the driver, whatever the machine, and why.
    #[serde(default)]
    pub broken: BTreeMap<String, String>,
    /// Architectures of whose machines it is known to work.
    #[serde(default = "architectures")]
    pub architectures: Vec<String>,
    /// Memory of the guest in MiB.
    #[serde(default = "memory")]
    pub memory: u32,
    /// Seconds that everything may take, on top of booting.
    #[serde(default = "timeout")]
    pub timeout: u64,
}

/// A bug that the sanitizer finds in the driver as it is. Described as narrowly as can be, so that no other hides behind.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Known {
    /// The classes of its findings.
    pub classes: Vec<String>,
    /// The function that each names in its title. It is as the source has it, without the compiler's `.cold` or `.isra.0`.
    pub at: Option<String>,
    /// Functions that are all in the stacks of each, likewise.
    #[serde(default)]
    pub through: Vec<String>,
    /// Whether it leaves memory mapped for good, so that nobody can tell by the counts whether something else does.
    #[serde(default)]
    pub leaves: bool,
    /// Its heading in `docs/found.md`.
    pub found: String,
}

impl Known {
    /// Whether a finding is of this bug.
    pub fn is(&self, finding: &Finding) -> bool {
        let is = |site: &Site, name: &String| site.symbol.split('.').next() == Some(name);
        let has = |name: &String| finding.frames().any(|f| is(&f.site, name));
        let at = |name: &String| finding.site.as_ref().is_some_and(|s| is(s, name));
        let class = finding.class.as_str();
        self.classes.iter().any(|c| c == class)
            && self.at.iter().all(at)
            && self.through.iter().all(has)
    }
}

/// A bus in sysfs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bus {
    /// PCI.
    #[default]
    Pci,
    /// Virtio, on top of PCI.
    Virtio,
}

impl Bus {
    /// The name of its folder in /sys/bus.
    pub fn name(self) -> &'static str {
        match self {
            Bus::Pci => "pci",
            Bus::Virtio => "virtio",
        }
    }
}

/// What is done with a driver; each is a step of its own, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Data is moved, and compared.
    Traffic,
    /// The same while memory is short.
    Pressure,
    /// The device is set up anew while it is in use: another MTU, a reset, unplugged from its bus.
    Reset,
    /// The driver is taken from the device and given back, through sysfs.
    Rebind,
    /// The same in the middle of work.
    Yank,
    /// The PCI device is removed, and found again.
    Rescan,
    /// Devices go to sleep and wake up.
    Suspend,
    /// The module is unloaded while the device is up, and loaded again.
    Reload,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Phase; 8] = [
        Phase::Traffic,
        Phase::Pressure,
        Phase::Reset,
        Phase::Rebind,
        Phase::Yank,
        Phase::Rescan,
        Phase::Suspend,
        Phase::Reload,
    ];

    /// The word in files, and that the script is called with.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Traffic => "traffic",
            Phase::Pressure => "pressure",
            Phase::Reset => "reset",
            Phase::Rebind => "rebind",
            Phase::Yank => "yank",
            Phase::Rescan => "rescan",
            Phase::Suspend => "suspend",
            Phase::Reload => "reload",
        }
    }
}

fn least() -> u64 {
    32
}

fn architectures() -> Vec<String> {
    vec![Arch::X86_64.name().to_owned()]
}

fn memory() -> u32 {
    512
}

fn timeout() -> u64 {
    600
}

impl Driver {
    /// All drivers that the tool carries inside, by name.
    pub fn all() -> Result<Vec<Driver>> {
        let dirs = embed::DRIVERS.dirs();
        let files = dirs.filter_map(|d| d.get_file(d.path().join(FILE)));
        let mut drivers: Vec<Driver> = files
            .map(|file| {
                let folder = file.path().parent().and_then(|p| p.file_name());
                let name = folder.unwrap_or_default().to_string_lossy();
                let text = file.contents_utf8().unwrap_or_default();
                Driver::parse(&name, text)
                    .map_err(|e| Error::usage(format!("drivers/{name}/{FILE}: {e}")))
            })
            .collect::<Result<_>>()?;
        drivers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(drivers)
    }

    /// Finds drivers by their names, all if none is named; an unknown name is answered with the near ones and with all.
    pub fn find(names: &[String]) -> Result<Vec<Driver>> {
        let all = Driver::all()?;
        if names.is_empty() {
            return Ok(all);
        }
        let find = |name: &String| {
            let found = all.iter().find(|d| d.name == *name).cloned();
            found.ok_or_else(|| unknown(name, &all))
        };
        names.iter().map(find).collect()
    }

    fn parse(name: &str, text: &str) -> std::result::Result<Driver, String> {
        let mut driver: Driver = toml::from_str(text).map_err(|e| e.to_string())?;
        driver.name = name.to_owned();
        if driver.devices.is_empty() {
            return Err("it has no device".to_owned());
        }
        let script = driver.workload_path();
        if embed::DRIVERS.get_file(&script).is_none() {
            return Err(format!("there is no drivers/{script}"));
        }
        let known = [Arch::X86_64, Arch::Arm64].map(Arch::name);
        let mut wanted = driver.architectures.iter();
        match wanted.find(|a| !known.contains(&a.as_str())) {
            Some(arch) => Err(format!("unknown architecture `{arch}`")),
            None => Ok(driver),
        }
    }

    fn workload_path(&self) -> String {
        format!("workloads/{}.sh", self.workload)
    }

    /// The script, and the part that all scripts share.
    pub fn scripts(&self) -> [&'static str; 2] {
        ["workloads/common.sh".to_owned(), self.workload_path()].map(|path| {
            let file = embed::DRIVERS.get_file(path);
            file.and_then(|f| f.contents_utf8()).unwrap_or_default()
        })
    }

    /// The phases that it goes through on a machine. The kernels for arm64 are built without sleep; and the driver of
    /// virtio-iommu does not know of it: the first request to the IOMMU that sleeps is waited for, for ever.
    pub fn phases(&self, model: &Model) -> Vec<Phase> {
        let virtio = model.iommu.is_some_and(|d| d.starts_with("virtio-iommu"));
        let awake = model.arch == Arch::Arm64 || virtio;
        let all = Phase::ALL.into_iter();
        let here = all.filter(|p| *p != Phase::Suspend || !awake);
        here.filter(|p| !self.without.contains_key(p)).collect()
    }

    /// A machine with the device in it.
    pub fn machine(&self, model: &'static Model, lazy: bool) -> Machine {
        Machine {
            model,
            lazy,
            plug: Plug {
                devices: self.devices.clone(),
                backend: Some(self.backend),
            },
            memory: self.memory,
            ..Machine::default()
        }
    }

    /// Why it cannot be run on a machine, if it cannot.
    pub fn impossible(&self, model: &Model) -> Option<String> {
        let arch = model.arch.name();
        if !self.architectures.iter().any(|a| a == arch) {
            return Some(format!(
                "the kernels for {arch} are built without this driver"
            ));
        }
        let why = self.untranslated.as_ref().filter(|_| model.translates());
        why.map(|why| format!("QEMU's device does not work behind an IOMMU: {why}"))
    }

    /// Why a QEMU cannot run it, if it cannot. `devices`: its answer to `-device help`.
    pub fn lacking(&self, devices: &str, version: &str) -> Option<String> {
        if let Some(why) = self.broken.get(version) {
            return Some(format!("the device of QEMU {version} does not work: {why}"));
        }
        let models = self
            .devices
            .iter()
            .map(|d| d.split(',').next().unwrap_or(d));
        let known = |model: &&str| {
            ["name", "alias"]
                .iter()
                .any(|what| devices.contains(&format!("{what} \"{model}\"")))
        };
        let lacking = models.into_iter().find(|m| !known(m))?;
        let since = match &self.since {
            Some(since) => format!("it came with QEMU {since}"),
            None => "it was left out of this build of QEMU".to_owned(),
        };
        Some(format!("QEMU {version} has no device `{lacking}`: {since}"))
    }
}

fn unknown(name: &str, all: &[Driver]) -> Error {
    let lower = name.to_lowercase();
    let near = |d: &&Driver| {
        strsim::damerau_levenshtein(&lower, &d.name) <= 2
            || lower.len() >= 3 && (d.name.contains(&lower) || d.kernel_driver == lower)
    };
    let guesses: Vec<String> = all
        .iter()
        .filter(near)
        .map(|d| format!("`{}`", d.name))
        .collect();
    let guess = match guesses.is_empty() {
        true => String::new(),
        false => format!("did you mean {}? ", guesses.join(" or ")),
    };
    let names: Vec<&str> = all.iter().map(|d| d.name.as_str()).collect();
    Error::usage(format!("unknown driver `{name}`"))
        .help(format!("{guess}drivers are: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    const TEXT: &str = r#"
summary = "A card"
kernel-driver = "card"
modules = ["card"]
devices = ["card,netdev=net", "other"]
backend = "net"
workload = "net"
"#;

    fn parse(text: &str) -> std::result::Result<Driver, String> {
        Driver::parse("card", text)
    }

    #[test]
    fn every_file_is_read_and_says_why_it_does_less() {
        let all = Driver::all().unwrap();
        assert!(all.len() >= 20, "{}", all.len());
        for driver in &all {
            let less = driver.least_mib < least();
            assert_eq!(less, driver.why_less.is_some(), "{}", driver.name);
            assert!(
                driver.without.values().all(|why| why.len() > 10),
                "{}",
                driver.name
            );
            let found = include_str!("../../../docs/found.md");
            let told = |k: &Known| {
                found.contains(&format!("\n## {}\n", k.found))
                    && (k.at.is_some() || !k.through.is_empty())
            };
            assert!(driver.known.iter().all(told), "{}", driver.name);
            assert!(driver.scripts().iter().all(|s| s.contains("()")));
            // All of DMA has to go through the IOMMU.
            let first = &driver.devices[0];
            assert_eq!(
                first.starts_with("virtio"),
                first.contains("iommu_platform=on"),
                "{}",
                driver.name
            );
        }
    }

    #[test]
    fn errors_are_told() {
        for (from, to, says) in [
            ("summary", "colour", "colour"),
            ("\"net\"\n", "\"tape\"\n", "tape"),
            (
                "workload = \"net\"",
                "workload = \"x\"",
                "no drivers/workloads/x.sh",
            ),
            ("[\"card,netdev=net\", \"other\"]", "[]", "no device"),
            (
                "workload",
                "architectures = [\"vax\"]\nworkload",
                "unknown architecture `vax`",
            ),
            ("workload", "without = { fly = \"\" }\nworkload", "fly"),
        ] {
            let error = parse(&TEXT.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn unknown_names_get_the_near_ones() {
        for (name, guess) in [
            ("e100e", "`e1000e`"),
            ("virtio", "`virtio-blk` or `virtio-net` or `virtio-scsi`"),
            ("xhci_hcd", "`uas` or `xhci`"),
        ] {
            let error = Driver::find(&[name.to_owned()]).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            let advice = error.advice().unwrap();
            assert!(
                advice.contains("did you mean") && advice.contains(guess),
                "{advice}"
            );
            assert!(advice.contains("drivers are: 8139cp, "), "{advice}");
        }
        let error = Driver::find(&["zzz".to_owned()]).unwrap_err();
        assert!(error.advice().unwrap().starts_with("drivers are: "));
    }

    #[test]
    fn what_a_machine_or_a_qemu_lacks_is_told() {
        let driver = parse(&TEXT.replace("workload", "since = \"8.0\"\nworkload")).unwrap();
        let arm = Model::find("arm64-smmuv3").unwrap();
        assert!(driver.impossible(arm).unwrap().contains("arm64"));
        assert_eq!(driver.impossible(<&Model>::default()), None);
        let past = parse(&TEXT.replace("workload", "untranslated = \"x\"\nworkload")).unwrap();
        let why = past.impossible(<&Model>::default()).unwrap();
        assert_eq!(why, "QEMU's device does not work behind an IOMMU: x");
        let passthrough = Model::find("passthrough").unwrap();
        assert_eq!(past.impossible(passthrough), None);
        let help = "name \"card\", bus PCI\nname \"the-other\", bus PCI, alias \"other\"\n";
        assert_eq!(driver.lacking(help, "7.2"), None);
        assert_eq!(
            driver
                .lacking(&help.replace("card", "cards"), "7.2")
                .unwrap(),
            "QEMU 7.2 has no device `card`: it came with QEMU 8.0"
        );
        let broken = "broken = { \"7.2\" = \"it stops\" }\nworkload";
        let broken = parse(&TEXT.replace("workload", broken)).unwrap();
        let why = broken.lacking(help, "7.2").unwrap();
        assert_eq!(why, "the device of QEMU 7.2 does not work: it stops");
        assert_eq!(broken.lacking(help, "7.3"), None);
        assert!(parse(TEXT)
            .unwrap()
            .lacking("", "9")
            .unwrap()
            .contains("left out"));
    }

    #[test]
    fn phases_can_be_left_out() {
        let text = TEXT.replace("workload", "without = { yank = \"it hangs\" }\nworkload");
        let phases = parse(&text).unwrap().phases(<&Model>::default());
        assert_eq!(phases.len(), Phase::ALL.len() - 1);
        assert!(!phases.contains(&Phase::Yank) && phases.contains(&Phase::Suspend));
        for machine in ["arm64-smmuv3", "virtio-iommu"] {
            let phases = parse(TEXT).unwrap().phases(Model::find(machine).unwrap());
            assert!(!phases.contains(&Phase::Suspend), "{machine}");
        }
    }
}
