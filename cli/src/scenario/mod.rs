// SPDX-License-Identifier: GPL-2.0-only
//! Scenarios: what a guest is made to do, and exactly what the sanitizer has to say about it.
//!
//! Each is a folder with a `scenario.toml`; `docs/scenarios.md` describes the file. Scenarios that want the same
//! machine share a boot; their results are kept apart by step.

pub mod compare;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::embed::SCENARIOS;
use crate::error::{cannot_read, io, Error, Result};
use crate::kernel::Flavor;
use crate::machine::Model;
use crate::qemu::{Device, Machine};
use crate::request::Request;
use crate::source::SERIES;

/// The file that makes a folder a scenario.
pub const FILE: &str = "scenario.toml";

/// A scenario as its file describes it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// Name of its folder.
    #[serde(skip)]
    pub name: String,
    /// Its folder.
    #[serde(skip)]
    pub dir: PathBuf,
    /// One sentence.
    pub summary: String,
    /// Kernels it is run with: `rust`, `c`, `none`.
    pub flavors: Vec<String>,
    /// Devices of the guest.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Machines it is run on, as for `dmasan run --machine`; on the first with all flavours, on others with `rust`.
    #[serde(default = "default_machines")]
    pub machines: Vec<String>,
    /// Run a second time with `--lazy`, with flavour `rust`, on machines where that makes a difference.
    #[serde(default = "yes")]
    pub lazy: bool,
    /// Kernel series that it is for, as for `dmasan run --linux`; none: all of them.
    #[serde(default)]
    pub linux: Vec<String>,
    /// `false`: iommu.debug_pagealloc=0.
    #[serde(default = "yes")]
    pub debug_pagealloc: bool,
    /// Added to the kernel command line.
    #[serde(default)]
    pub cmdline: String,
    /// `true`: its guest runs nothing else.
    #[serde(default)]
    pub alone: bool,
    /// `true`: part of the smoke tier of `dmasan matrix`, on machines that have the default machine's kernel.
    #[serde(default)]
    pub smoke: bool,
    /// Script to run once all modules are loaded; it must end with 0.
    pub script: Option<String>,
    /// The modules, in order.
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
    /// What the kernel log must and must not hold.
    #[serde(default)]
    pub log: Log,
    /// The same, with flavor `c` only.
    #[serde(default)]
    pub reference_log: Log,
    /// A KUnit suite that is expected to run at boot.
    pub kunit: Option<Kunit>,
    /// Seconds that its steps may take, on top of booting.
    #[serde(default = "sixty")]
    pub timeout: u64,
}

/// One module, and what is to be found while it is loaded.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Step {
    /// Folder of the module, relative to the scenario's.
    pub module: PathBuf,
    /// Its parameters.
    #[serde(default)]
    pub params: Vec<String>,
    /// The findings, in order; nothing else may be found.
    #[serde(default)]
    pub findings: Vec<Expected>,
    /// How many reports the C reference makes at least; 0 means none.
    #[serde(default)]
    pub reference: usize,
    /// How many warnings about its own counting the C reference prints at least; 0 means none.
    #[serde(default)]
    pub reference_warns: usize,
    /// How often the kernel itself warns, with a kernel of ours.
    #[serde(default)]
    pub warns: usize,
}

/// A finding that has to be made.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its class.
    pub class: String,
    /// The function it names.
    pub symbol: Option<String>,
    /// Some of its facts.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// A function that is in the call stack of one of its mappings.
    pub mapper: Option<String>,
    /// How many such findings follow each other.
    #[serde(default = "once")]
    pub times: usize,
}

/// Texts in the kernel log and in the script's output.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Each is part of a line.
    #[serde(default)]
    pub has: Vec<String>,
    /// None of these is part of a line.
    #[serde(default)]
    pub lacks: Vec<String>,
}

/// A KUnit suite.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Kunit {
    /// Its name.
    pub suite: String,
    /// How many cases it has at least.
    pub at_least: usize,
    /// Cases that skip themselves where the machine lacks what they need, on machines other than the first.
    #[serde(default)]
    pub may_skip: Vec<String>,
}

fn yes() -> bool {
    true
}

fn default_machines() -> Vec<String> {
    vec![<&Model>::default().name.to_owned()]
}

fn sixty() -> u64 {
    60
}

fn once() -> usize {
    1
}

impl Scenario {
    /// Reads the scenario in a folder.
    pub fn read(dir: &Path) -> Result<Scenario> {
        let path = dir.join(FILE);
        let text = fs::read_to_string(&path).map_err(io("cannot read", &path))?;
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        Scenario::parse(&name, dir, &text)
            .map_err(|e| Error::usage(format!("{}: {e}", path.display())))
    }

    fn parse(name: &str, dir: &Path, text: &str) -> std::result::Result<Scenario, String> {
        let mut scenario: Scenario = toml::from_str(text).map_err(|e| e.to_string())?;
        scenario.name = name.to_owned();
        scenario.dir = dir.to_owned();
        if scenario.machines.is_empty() {
            return Err("it runs on no machine".to_owned());
        }
        for name in &scenario.machines {
            let told = |e: Error| format!("{e}; {}", e.advice().unwrap_or_default());
            Model::find(name).map_err(told)?;
        }
        if let Some(series) = scenario
            .linux
            .iter()
            .find(|l| !SERIES.contains(&l.as_str()))
        {
            let known = SERIES.join(", ");
            return Err(format!(
                "unknown kernel series `{series}`: there are {known}"
            ));
        }
        let known = [Flavor::Rust, Flavor::C, Flavor::None].map(Flavor::name);
        match scenario
            .flavors
            .iter()
            .find(|f| !known.contains(&f.as_str()))
        {
            Some(flavor) => Err(format!("unknown flavor `{flavor}`")),
            None => Ok(scenario),
        }
    }

    /// All scenarios below a folder, by name.
    pub fn all(dir: &Path) -> Result<Vec<Scenario>> {
        let entries = fs::read_dir(dir).map_err(cannot_read(dir))?;
        let mut dirs: Vec<PathBuf> = entries
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|p| p.join(FILE).is_file())
            .collect();
        dirs.sort();
        if dirs.is_empty() {
            let text = format!("there is no scenario in {}", dir.display());
            return Err(Error::usage(text).help(format!("each is a folder with a {FILE} in it")));
        }
        dirs.iter().map(|d| Scenario::read(d)).collect()
    }

    /// The scenarios that the tool carries inside, by name, as they are once `demo::unpack` has written them to a folder.
    pub fn embedded(dir: &Path) -> Result<Vec<Scenario>> {
        let file = |sub: &include_dir::Dir<'static>| {
            let text = SCENARIOS.get_file(sub.path().join(FILE))?.contents_utf8()?;
            Some((sub.path().to_owned(), text.to_owned()))
        };
        let mut found: Vec<_> = SCENARIOS.dirs().filter_map(file).collect();
        found.sort();
        let parse = |(path, text): &(PathBuf, String)| {
            let name = path.display().to_string();
            Scenario::parse(&name, &dir.join(path), text)
                .map_err(|e| Error::failed(format!("scenarios/{name}/{FILE}: {e}")))
        };
        found.iter().map(parse).collect()
    }

    /// Whether it is run with a kernel of this flavour on this machine, strict or lazy. The reference, and kernels without
    /// a sanitizer, are there to compare with: one machine is enough for them, strict. What a machine that is never lazy
    /// says to that is a result.
    pub fn runs(&self, flavor: Flavor, model: &Model, lazy: bool) -> bool {
        if lazy && (!self.lazy || flavor != Flavor::Rust || !model.translates()) {
            return false;
        }
        let here = match flavor {
            Flavor::Rust => self.machines.iter().any(|m| m == model.name),
            _ => self.is_first(model),
        };
        here && self.flavors.iter().any(|f| f == flavor.name())
    }

    /// Whether it is for kernels of this series.
    pub fn fits(&self, series: &str) -> bool {
        self.linux.is_empty() || self.linux.iter().any(|l| l == series)
    }

    /// Whether this is the machine that it was written for.
    pub fn is_first(&self, model: &Model) -> bool {
        self.machines.first().is_some_and(|m| m == model.name)
    }

    /// A machine with the devices it wants.
    pub fn machine(&self, model: &'static Model, lazy: bool) -> Result<Machine> {
        let devices = self.devices.iter().map(|name| Device::find(name));
        Ok(Machine {
            model,
            lazy,
            devices: devices.collect::<Result<_>>()?,
            ..Machine::default()
        })
    }

    /// Its modules as requests.
    pub fn requests(&self) -> Vec<Request> {
        let request = |step: &Step| Request {
            path: self.dir.join(&step.module),
            params: step.params.clone(),
        };
        self.steps.iter().map(request).collect()
    }

    /// Its script on the host.
    pub fn script_path(&self) -> Option<PathBuf> {
        self.script.as_ref().map(|s| self.dir.join(s))
    }

    /// Whether both can be run in one boot of a machine. Scripts, and what looks at the log as a whole, want it for themselves.
    pub fn shares_boot_with(&self, other: &Scenario) -> bool {
        let quiet = Log::default();
        let alone = |s: &Scenario| {
            s.alone
                || s.script.is_some()
                || s.kunit.is_some()
                || s.log != quiet
                || s.reference_log != quiet
        };
        // A driver that stays loaded keeps the device, so that another one does nothing.
        let modules = |s: &Scenario| -> BTreeSet<PathBuf> {
            s.steps.iter().map(|step| step.module.clone()).collect()
        };
        let wants = |s: &Scenario| {
            let devices = s.devices.clone();
            (devices, s.debug_pagealloc, s.cmdline.clone(), modules(s))
        };
        self == other || !alone(self) && !alone(other) && wants(self) == wants(other)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::machine::MACHINES;

    pub(super) const TEXT: &str = r#"
summary = "A page."
flavors = ["rust", "c"]
devices = ["edu"]
[[step]]
module = "../modules/cases"
params = ["bug=1"]
reference = 1
findings = [{ class = "free-while-mapped", symbol = "f", facts = { order = "0" } }]
"#;

    pub(super) fn scenario(text: &str) -> Scenario {
        Scenario::parse("x", Path::new("/s/x"), text).unwrap()
    }

    #[test]
    fn a_file_is_read() {
        let s = scenario(TEXT);
        assert_eq!(s.requests()[0].path, Path::new("/s/x/../modules/cases"));
        let default = <&Model>::default();
        assert_eq!(s.machine(default, false).unwrap().devices[0].name, "edu");
        let runs = |flavor, model| s.runs(flavor, model, false);
        assert!(runs(Flavor::C, default) && !runs(Flavor::None, default));
        assert!(!runs(Flavor::C, Model::find("none").unwrap()));
        assert!(s.debug_pagealloc && s.script.is_none());
    }

    #[test]
    fn lazily_it_runs_with_our_sanitizer_where_something_is_translated() {
        let machines = "flavors = [\"rust\", \"c\"]\nmachines = [\"vtd\", \"passthrough\"]";
        let text = TEXT.replace("flavors = [\"rust\", \"c\"]", machines);
        let s = scenario(&text);
        let [vtd, passthrough] = ["vtd", "passthrough"].map(|m| Model::find(m).unwrap());
        let modes = |s: &Scenario, flavor, model| [false, true].map(|l| s.runs(flavor, model, l));
        assert_eq!(modes(&s, Flavor::Rust, vtd), [true, true]);
        assert!(s.machine(vtd, true).unwrap().lazy);
        assert_eq!(modes(&s, Flavor::C, vtd), [true, false]);
        assert_eq!(modes(&s, Flavor::Rust, passthrough), [true, false]);
        let never = scenario(&format!("lazy = false\n{text}"));
        assert_eq!(modes(&never, Flavor::Rust, vtd), [true, false]);
    }

    #[test]
    fn several_machines() {
        let text = TEXT.replace("devices", "machines = ['none', 'amd-vi']\ndevices");
        let s = scenario(&text);
        let on = |flavor| {
            let on = MACHINES.iter().filter(|m| s.runs(flavor, m, false));
            on.map(|m| m.name).collect::<Vec<_>>()
        };
        assert_eq!(on(Flavor::Rust), ["amd-vi", "none"]);
        // The first in the file.
        assert_eq!(on(Flavor::C), ["none"]);
    }

    #[test]
    fn kernels_can_be_chosen() {
        let all = scenario(TEXT);
        assert!(SERIES.iter().all(|series| all.fits(series)));
        let old = scenario(&TEXT.replace("devices", "linux = ['6.12']\ndevices"));
        assert!(old.fits("6.12") && !old.fits("7.3"));
    }

    #[test]
    fn errors_are_told() {
        for (text, says) in [
            ("summary = 1", "summary"),
            ("summary = ''\nflavors = ['x']", "unknown flavor `x`"),
            ("summary = ''\nflavors = []\ncolour = 1", "colour"),
            ("summary = ''\nflavors = []\nmachines = []", "no machine"),
            ("summary = ''\nflavors = []\nmachines = ['vtt']", "`vtd`?"),
            ("summary = ''\nflavors = []\nlinux = ['7']", "series `7`"),
        ] {
            let e = Scenario::parse("x", Path::new("/"), text).unwrap_err();
            assert!(e.contains(says), "{e}");
        }
    }

    #[test]
    fn boots_are_shared_by_those_who_want_the_same() {
        let a = scenario(TEXT);
        let with = |extra: &str, module: &str| {
            let text = "summary = ''\nflavors = ['rust']\ndevices = ['edu']";
            scenario(&format!(
                "{text}\n{extra}\n[[step]]\nmodule = '../modules/{module}'"
            ))
        };
        assert!(a.shares_boot_with(&with("", "cases")));
        assert!(!a.shares_boot_with(&with("", "other")));
        for other in [
            "cmdline = 'iommu=pt'",
            "script = 's'",
            "alone = true",
            "log.has = ['x']",
            "reference-log.has = ['x']",
        ] {
            assert!(!a.shares_boot_with(&with(other, "cases")), "{other}");
        }
        let script = scenario("summary = ''\nflavors = []\nscript = 's'");
        assert!(script.shares_boot_with(&script));
    }
}
