// SPDX-License-Identifier: GPL-2.0-only
//! What a kernel log says, as data; field names are those of the JSON schema in `docs/reports.md`.

use crate::class::Class;
use crate::mapping::Mapping;
use crate::ranges::MappedRange;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Version of the JSON schema. It grows when a field changes its meaning or goes away; new fields and new
/// classes do not change it.
pub const SCHEMA: u32 = 1;

/// Everything that was read out of one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the schema, [`SCHEMA`].
    pub schema: u32,
    /// Release of the kernel that wrote the log, if the log names it.
    pub kernel: Option<String>,
    /// First lines of the kernels that wrote the log, in order; the same one again is not repeated.
    #[serde(default)]
    pub banners: Vec<Banner>,
    /// What the sanitizer said of itself when it started; none if the log does not show it.
    pub boot: Option<Boot>,
    /// Steps of the run that were marked in the log, in order.
    pub steps: Vec<Step>,
    /// Findings, by place in the log.
    pub findings: Vec<Finding>,
    /// What went wrong in the kernel itself; the end of a kernel outranks its findings.
    pub trouble: Vec<Trouble>,
    /// Warnings of the kernel that are not findings of the sanitizer.
    pub warnings: Vec<Warning>,
    /// A report was cut: there may be more than the log shows.
    pub truncated: bool,
    /// Lines read.
    pub lines: u64,
    /// Of these, lines of the kernel.
    pub kernel_lines: u64,
    /// Findings, troubles and warnings that were left out since there were too many of them.
    pub left_out: u64,
}

impl Report {
    /// The trouble that counts most, if any.
    pub fn worst_trouble(&self) -> Option<&Trouble> {
        // max_by_key() keeps the last of equals, but the first trouble is the cause of the others.
        self.trouble.iter().rev().max_by_key(|t| t.kind)
    }

    /// Findings of the step with this index. Where one log has several runs, see [`Report::step_of`].
    pub fn in_step(&self, index: u32) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |f| f.step == Some(index))
    }

    /// The kernel that reported a finding, if the log shows its first line.
    pub fn banner_of(&self, finding: &Finding) -> Option<&Banner> {
        self.banners
            .iter()
            .rev()
            .find(|banner| banner.line < finding.line)
    }

    /// The step of a finding: of those with its index, the last that began before it.
    pub fn step_of(&self, finding: &Finding) -> Option<&Step> {
        let index = finding.step?;
        self.steps
            .iter()
            .rev()
            .find(|step| step.index == index && step.line < finding.line)
    }
}

/// The first line of a kernel: it names its build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banner {
    /// `Linux version ...`.
    pub text: String,
    /// Number of the line in the log.
    pub line: u64,
}

/// The sanitizer's line at boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// On or off, if the line tells.
    pub state: BootState,
    /// Who wrote it.
    pub origin: Origin,
    /// The line, and those that followed with the same beginning (what is not tracked, and why).
    pub notes: Vec<String>,
    /// Number of the first line in the log.
    pub line: u64,
}

/// Whether the sanitizer was on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BootState {
    /// It counts.
    On,
    /// It is compiled in, and does nothing.
    Off,
    /// It said something else.
    Unknown,
}

/// Which implementation wrote a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The sanitizer of this project.
    Dmasan,
    /// The reference implementation in C.
    Reference,
}

/// One marked step of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Number that the run gave to it.
    pub index: u32,
    /// Mark of the run, so that one run's steps are not taken for another's.
    pub nonce: String,
    /// What was done.
    pub text: String,
    /// Line of the log in which it began.
    pub line: u64,
    /// The log shows its end.
    pub ended: bool,
    /// Result of the step; none if it did not end or did not say.
    pub rc: Option<i32>,
}

/// One bug that the sanitizer reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its class.
    pub class: Class,
    /// Who reported it.
    pub origin: Origin,
    /// The title line, without `BUG: DMASAN: `.
    pub title: String,
    /// The code that it names.
    pub site: Option<Site>,
    /// Index of the step in which it was reported; none outside of all steps.
    pub step: Option<u32>,
    /// Line of the log in which the title is.
    pub line: u64,
    /// Time of the title since boot, in microseconds.
    pub time_us: Option<u64>,
    /// Context that printed it, if the log says so (`T71`: task 71, `C1`: CPU 1).
    pub caller: Option<String>,
    /// The `[key=value]` facts, in order.
    pub facts: Facts,
    /// What the domain still mapped, as far as the report lists it; for [`Class::DomainLeak`].
    #[serde(default)]
    pub ranges: Vec<MappedRange>,
    /// The stacks, in order.
    pub stacks: Vec<Stack>,
    /// The mappings by which a device can or could reach the memory, as far as the report tells; each with its stack.
    #[serde(default)]
    pub mappings: Vec<Mapping>,
    /// What the report says in words: what the device can do, what the memory is now, what else is mapped.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What to look for.
    #[serde(default)]
    pub hint: Option<String>,
    /// What the kernel knows about the page's owner.
    pub page_owner: Option<PageOwner>,
    /// Who was running.
    pub process: Option<Process>,
    /// The machine.
    pub hardware: Option<String>,
    /// The log does not show all of it.
    pub truncated: bool,
    /// Where and by what it was cut.
    pub cut: Option<Cut>,
    /// The lines of the report without their prefixes; lines of others may be among them.
    pub raw: Vec<String>,
    /// Lines that were left out of `raw` since there were too many of them.
    pub raw_dropped: u64,
}

impl Finding {
    /// Every frame of every stack, in the order of the report.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        let stacks = self.stacks.iter().flat_map(|stack| &stack.frames);
        let mappings = self.mappings.iter().flat_map(|mapping| {
            let ended = mapping.ended.iter().flat_map(|ended| &ended.frames);
            mapping.frames.iter().chain(ended)
        });
        let owner = self.page_owner.iter();
        let events = owner.flat_map(|owner| [&owner.allocated, &owner.freed]);
        let owner = events.flatten().flat_map(|event| &event.frames);
        stacks.chain(mappings).chain(owner)
    }

    /// The same, to be changed.
    pub fn frames_mut(&mut self) -> impl Iterator<Item = &mut Frame> {
        let stacks = self.stacks.iter_mut().flat_map(|stack| &mut stack.frames);
        let mappings = self.mappings.iter_mut().flat_map(|mapping| {
            let ended = mapping.ended.iter_mut().flat_map(|ended| &mut ended.frames);
            mapping.frames.iter_mut().chain(ended)
        });
        let owner = self.page_owner.iter_mut();
        let events = owner.flat_map(|owner| [&mut owner.allocated, &mut owner.freed]);
        let owner = events.flatten().flat_map(|event| &mut event.frames);
        stacks.chain(mappings).chain(owner)
    }
}

/// A place in the kernel's code, as the kernel prints it: `symbol+0xoffset/0xsize [module]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Site {
    /// Name of the function, or an address.
    pub symbol: String,
    /// Bytes from its beginning.
    pub offset: Option<u64>,
    /// Bytes of it.
    pub size: Option<u64>,
    /// Module, none for the kernel itself.
    pub module: Option<String>,
}

/// One stack of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// Its heading, without the colon: `freed at`, `allocated at`, `domain freed at`, `unbound at`.
    pub title: String,
    /// The innermost function first.
    pub frames: Vec<Frame>,
}

/// One line of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Where it is.
    #[serde(flatten)]
    pub site: Site,
    /// False for what the unwinder marks by `?`: found on the stack, perhaps left from an earlier call.
    pub reliable: bool,
    /// The line.
    pub raw: String,
    /// Where it is in the source, once it is symbolized: inlined functions first, the function of [`Frame::site`] last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<SourceLine>,
}

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    /// The function.
    pub function: String,
    /// Its file, within the kernel's source or the module's folder where that is known.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
}

/// What page owner tells about a page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageOwner {
    /// `allocated` or `freed`, as page owner has it.
    pub state: Option<String>,
    /// The last allocation.
    pub allocated: Option<OwnerEvent>,
    /// The last free.
    pub freed: Option<OwnerEvent>,
    /// Other lines of it: missing stacks, migration.
    pub notes: Vec<String>,
}

/// One event in the life of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerEvent {
    /// The line.
    pub info: String,
    /// Task.
    pub pid: Option<u32>,
    /// Name of the task.
    pub comm: Option<String>,
    /// Nanoseconds since boot.
    pub ts_ns: Option<u64>,
    /// The stack.
    pub frames: Vec<Frame>,
}

/// Who was running on the CPU that reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// CPU.
    pub cpu: Option<u32>,
    /// Task.
    pub pid: Option<u32>,
    /// Name of the task.
    pub comm: Option<String>,
    /// The line.
    pub raw: String,
}

/// Where a report stops before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// By what.
    pub by: CutBy,
    /// Line of the log.
    pub line: u64,
}

/// What cut a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutBy {
    /// The log begins in the middle of it.
    LogStart,
    /// The log ends.
    LogEnd,
    /// Another report begins.
    NextReport,
    /// The kernel panicked.
    Panic,
    /// The kernel hit an oops.
    Oops,
    /// Another kernel started.
    Reboot,
    /// Something else follows; the rest is missing.
    Missing,
}

impl fmt::Display for CutBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CutBy::LogStart => "the log begins in the middle of it",
            CutBy::LogEnd => "the log ends",
            CutBy::NextReport => "another report begins",
            CutBy::Panic => "the kernel panicked",
            CutBy::Oops => "the kernel hit an oops",
            CutBy::Reboot => "another kernel started",
            CutBy::Missing => "the rest is missing",
        })
    }
}

/// Something that ended or stopped the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What.
    pub kind: TroubleKind,
    /// The line.
    pub text: String,
    /// Line of the log.
    pub line: u64,
    /// Time since boot, in microseconds.
    pub time_us: Option<u64>,
    /// Index of the step in which it happened.
    pub step: Option<u32>,
}

/// Kinds of trouble, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleKind {
    /// A task waits for very long.
    HungTask,
    /// RCU waits for a CPU.
    RcuStall,
    /// A CPU does not schedule.
    SoftLockup,
    /// A CPU does not take interrupts.
    HardLockup,
    /// The kernel killed a task after a fault of its own code.
    Oops,
    /// The kernel stopped.
    Panic,
}

/// A warning that is neither a finding nor an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The line.
    pub text: String,
    /// Line of the log.
    pub line: u64,
    /// Time since boot, in microseconds.
    pub time_us: Option<u64>,
    /// Index of the step in which it was printed.
    pub step: Option<u32>,
}

/// Facts in the order of the report. In JSON they are one object; keys do not repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(Vec<(String, String)>);

impl Facts {
    /// Value of a fact.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// A fact that is a number, decimal or `0x`.
    pub fn number(&self, key: &str) -> Option<u64> {
        let value = self.value(key)?;
        match value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => value.parse().ok(),
        }
    }

    /// All facts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Number of facts.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a fact unless its key is there: what was said first stays.
    pub fn add(&mut self, key: &str, value: &str) {
        if self.value(key).is_none() {
            self.0.push((key.to_owned(), value.to_owned()));
        }
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Facts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Facts, A::Error> {
                let mut facts = Facts::default();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    facts.add(&key, &value);
                }
                Ok(facts)
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
