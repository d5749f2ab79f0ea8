// SPDX-License-Identifier: GPL-2.0-only
//! The QEMU command line of a guest, put together from one small function per concern.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Deserialize;

use crate::args::Switch;
use crate::error::{Error, Result};
use crate::exec::Cmd;

/// The emulator; guests are x86_64.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Size of the scratch drive behind a storage device. The file is sparse.
pub const DRIVE_BYTES: u64 = 256 << 20;

/// What translates the DMA of the guest's devices.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Iommu {
    /// An emulated Intel VT-d with interrupt remapping.
    #[default]
    Vtd,
    /// A virtio-iommu: the guest sends its mappings to QEMU instead of writing page tables.
    Virtio,
    /// Nothing: devices reach all memory.
    None,
}

/// A device that can be added to the guest, all with a driver in the kernels built here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Device {
    /// What the user calls it.
    pub name: &'static str,
    /// One line for the help text.
    pub what: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    /// Nothing but `-device`.
    Plain(&'static str),
    /// A network card on QEMU's user-mode network.
    Net(&'static str),
    /// Storage with a scratch drive; `#` stands for the number of the device.
    Drive(&'static str),
}

/// Every device that `--device` knows.
pub const DEVICES: &[Device] = &[
    Device {
        name: "ahci",
        what: "a SATA disk on the chipset's own AHCI controller",
        kind: Kind::Drive("ide-hd,bus=ide.0"),
    },
    Device {
        name: "e1000e",
        what: "Intel 82574L network card, on a user-mode network (10.0.2.2 answers)",
        kind: Kind::Net("e1000e"),
    },
    Device {
        name: "edu",
        what: "QEMU's teaching device (1234:11e8): a small DMA engine",
        kind: Kind::Plain("edu"),
    },
    Device {
        name: "nvme",
        what: "NVMe drive (/dev/nvme0n1, 256 MiB, empty)",
        kind: Kind::Drive("nvme,serial=dmasan#"),
    },
];

impl Device {
    /// Finds a device by its name; an unknown name is answered with those that exist.
    pub fn find(name: &str) -> Result<Device> {
        if let Some(device) = DEVICES.iter().find(|d| d.name == name) {
            return Ok(*device);
        }
        let all: Vec<&str> = DEVICES.iter().map(|d| d.name).collect();
        let near = all.iter().find(|known| near(name, known));
        let guess = near
            .map(|n| format!("did you mean `{n}`? "))
            .unwrap_or_default();
        Err(Error::usage(format!("unknown device `{name}`"))
            .help(format!("{guess}devices are: {}", all.join(", "))))
    }

    fn has_drive(&self) -> bool {
        matches!(self.kind, Kind::Drive(_))
    }
}

/// Whether two names differ by at most two typing errors.
fn near(a: &str, b: &str) -> bool {
    strsim::damerau_levenshtein(&a.to_lowercase(), b) <= 2
}

/// The machine a guest runs on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Machine {
    /// Its IOMMU.
    pub iommu: Iommu,
    /// Devices in the order they are plugged in.
    pub devices: Vec<Device>,
    /// Memory in MiB.
    pub memory: u32,
    /// Number of CPUs.
    pub cpus: u32,
    /// Run on the host's CPU. Only on request: under some hypervisors a nested guest hangs.
    pub kvm: bool,
    /// The guest's clock counts instructions: each takes `2^n` ns, however long the host needs for it.
    pub icount: Option<u8>,
    /// A socket for a debugger, for which the guest waits; as seen by QEMU.
    pub gdb: Option<PathBuf>,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            iommu: Iommu::default(),
            devices: Vec::new(),
            memory: 1024,
            cpus: 2,
            kvm: false,
            icount: None,
            gdb: None,
        }
    }
}

impl Machine {
    /// The same machine with one CPU that takes `2^shift` ns for each instruction.
    #[must_use]
    pub fn counting(self, shift: u8) -> Machine {
        Machine {
            cpus: 1,
            kvm: false,
            icount: Some(shift),
            ..self
        }
    }
}

/// Words for the kernel command line of a guest in which something is measured: page owner walks the stack at
/// each allocation, which takes longer than the allocation.
pub const MEASURING: &str = "page_owner=off";

/// The same, where instructions are counted: then the time stamp counter is exact, and must not be doubted.
pub const COUNTING: &str = "page_owner=off tsc=reliable";

/// Where the files of a run are, as seen by QEMU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// Kernel image.
    pub kernel: PathBuf,
    /// The run's own folder.
    pub dir: PathBuf,
}

impl Files {
    /// File name of the initramfs in the run's folder.
    pub const INITRD: &'static str = "initramfs.cpio.gz";
    /// File name of the kernel's console.
    pub const CONSOLE: &'static str = "console.log";
    /// File name of the guest's answers.
    pub const CONTROL: &'static str = "control.log";

    fn initrd(&self) -> PathBuf {
        self.dir.join(Self::INITRD)
    }

    fn drive(&self, index: usize) -> PathBuf {
        self.dir.join(drive_name(index))
    }
}

/// Names of the scratch drives to create in the run's folder.
pub fn drives(machine: &Machine) -> Vec<String> {
    let with_index = machine.devices.iter().enumerate();
    with_index
        .filter(|(_, d)| d.has_drive())
        .map(|(i, _)| drive_name(i))
        .collect()
}

fn drive_name(index: usize) -> String {
    format!("drive{index}.raw")
}

/// The whole command. `qemu` is [`PROGRAM`] as the environment starts it.
pub fn command(qemu: Cmd, machine: &Machine, files: &Files, cmdline: &str) -> Cmd {
    let qemu = base(qemu, machine);
    let qemu = iommu(qemu, machine.iommu);
    let qemu = devices(qemu, machine, files);
    let qemu = ports(qemu, &files.dir);
    let qemu = debugger(qemu, machine);
    boot(qemu, files, cmdline)
}

fn base(qemu: Cmd, machine: &Machine) -> Cmd {
    // VT-d with interrupt remapping needs the split irqchip.
    let qemu = qemu.arg("-machine").arg("q35,kernel-irqchip=split");
    let qemu = match machine.icount {
        None if machine.kvm => qemu.args(["-accel", "kvm", "-cpu", "host"]),
        None => qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max"]),
        // While all CPUs sleep the clock jumps to the next timer, so waiting takes no time.
        Some(shift) => qemu
            .args(["-accel", "tcg,thread=single", "-cpu", "max", "-icount"])
            .arg(format!("shift={shift},sleep=off")),
    };
    qemu.arg("-smp")
        .arg(machine.cpus.to_string())
        .arg("-m")
        .arg(machine.memory.to_string())
        // Nothing that is not asked for: no display, no default network card.
        .args(["-display", "none", "-nic", "none", "-no-reboot"])
}

fn iommu(qemu: Cmd, iommu: Iommu) -> Cmd {
    match iommu {
        // Has to come before the devices that it translates for.
        Iommu::Vtd => qemu.args(["-device", "intel-iommu,intremap=on"]),
        Iommu::Virtio => qemu.args(["-device", "virtio-iommu-pci"]),
        Iommu::None => qemu,
    }
}

fn devices(mut qemu: Cmd, machine: &Machine, files: &Files) -> Cmd {
    for (index, device) in machine.devices.iter().enumerate() {
        qemu = match device.kind {
            Kind::Plain(model) => qemu.arg("-device").arg(model),
            Kind::Net(model) => qemu
                .arg("-netdev")
                .arg(format!("user,id=net{index}"))
                .arg("-device")
                .arg(format!("{model},netdev=net{index}")),
            Kind::Drive(model) => {
                let file = escape(&files.drive(index));
                let model = model.replace('#', &index.to_string());
                qemu.arg("-drive")
                    .arg(format!("if=none,id=drive{index},format=raw,file={file}"))
                    .arg("-device")
                    .arg(format!("{model},drive=drive{index}"))
            }
        };
    }
    qemu
}

fn debugger(qemu: Cmd, machine: &Machine) -> Cmd {
    match &machine.gdb {
        None => qemu,
        Some(socket) => qemu
            .args(["-S", "-gdb"])
            .arg(format!("unix:{},server=on,wait=off", escape(socket))),
    }
}

/// First port: the kernel's console. Second port: what the guest answers.
fn ports(mut qemu: Cmd, dir: &Path) -> Cmd {
    for name in [Files::CONSOLE, Files::CONTROL] {
        let file = escape(&dir.join(name));
        qemu = qemu.arg("-serial").arg(format!("file:{file}"));
    }
    qemu.args(["-monitor", "none"])
}

fn boot(qemu: Cmd, files: &Files, cmdline: &str) -> Cmd {
    qemu.arg("-kernel")
        .arg(&files.kernel)
        .arg("-initrd")
        .arg(files.initrd())
        .arg("-append")
        .arg(cmdline)
}

/// A comma ends a value in QEMU's options, two are one.
fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// The kernel command line. What the user adds comes last, so that it wins.
pub fn cmdline(debug_pagealloc: Switch, iommu: Iommu, user: &str) -> String {
    let mut words = vec![
        "console=ttyS0",
        // Everything goes to the console, also what the user's words would silence.
        "ignore_loglevel",
        "printk.devkmsg=on",
        // Ends the guest at once: QEMU exits instead of rebooting.
        "panic=-1",
        // On a host under load the emulated timer can miss the kernel's test of it, which ends in a panic.
        "no_timer_check",
        // A mapping ends when it is unmapped, not some time later.
        "iommu.strict=1",
        "page_owner=on",
    ];
    if iommu == Iommu::Vtd {
        words.push("intel_iommu=on");
    }
    let parameter = format!("iommu.debug_pagealloc={}", debug_pagealloc.value());
    words.push(&parameter);
    words.push(user.trim());
    words.join(" ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(machine: &Machine) -> String {
        let files = Files {
            kernel: "/k/bzImage".into(),
            dir: "/run/a,b".into(),
        };
        command(Cmd::new(PROGRAM), machine, &files, "console=ttyS0 x=1").to_shell()
    }

    fn with(names: &[&str]) -> Machine {
        Machine {
            devices: names.iter().map(|n| Device::find(n).unwrap()).collect(),
            ..Machine::default()
        }
    }

    #[test]
    fn plain_machine() {
        let line = line(&Machine::default());
        assert!(
            line.contains("-machine q35,kernel-irqchip=split -accel tcg,thread=multi"),
            "{line}"
        );
        assert!(line.contains("-device intel-iommu,intremap=on"), "{line}");
        assert!(line.contains("file:/run/a,,b/console.log"), "{line}");
        assert!(line.contains("-append 'console=ttyS0 x=1'"), "{line}");
        assert!(!line.contains("kvm"), "{line}");
    }

    #[test]
    fn instructions_are_counted_on_one_cpu() {
        let line = line(&Machine::default().counting(4));
        assert!(
            line.contains("-accel tcg,thread=single -cpu max -icount shift=4,sleep=off -smp 1 "),
            "{line}"
        );
    }

    #[test]
    fn iommu_comes_before_what_it_translates_for() {
        let line = line(&with(&["edu"]));
        assert!(
            line.find("intel-iommu").unwrap() < line.find("-device edu").unwrap(),
            "{line}"
        );
    }

    #[test]
    fn devices_of_one_kind_are_told_apart() {
        let machine = with(&["nvme", "e1000e", "nvme"]);
        assert_eq!(drives(&machine), ["drive0.raw", "drive2.raw"]);
        let line = line(&machine);
        assert!(line.contains("user,id=net1"), "{line}");
        assert!(line.contains("nvme,serial=dmasan2,drive=drive2"), "{line}");
    }

    #[test]
    fn no_iommu() {
        let machine = Machine {
            iommu: Iommu::None,
            ..Machine::default()
        };
        assert!(!line(&machine).contains("intel-iommu"));
        assert!(!cmdline(Switch::On, Iommu::None, "").contains("intel_iommu"));
    }

    #[test]
    fn virtio_iommu() {
        let machine = Machine {
            iommu: Iommu::Virtio,
            ..with(&["edu"])
        };
        let line = line(&machine);
        assert!(
            line.contains("-device virtio-iommu-pci -device edu"),
            "{line}"
        );
        assert!(!line.contains("intel-iommu"), "{line}");
        assert!(!cmdline(Switch::On, Iommu::Virtio, "").contains("intel_iommu"));
    }

    #[test]
    fn unknown_device_names_the_nearest_and_all() {
        let error = Device::find("e1000").unwrap_err();
        assert_eq!(error.exit(), crate::error::Exit::Usage);
        assert_eq!(
            error.advice(),
            Some("did you mean `e1000e`? devices are: ahci, e1000e, edu, nvme")
        );
        let error = Device::find("something").unwrap_err();
        assert_eq!(error.advice(), Some("devices are: ahci, e1000e, edu, nvme"));
    }

    #[test]
    fn the_user_has_the_last_word() {
        let line = cmdline(
            Switch::On,
            Iommu::Vtd,
            " iommu.strict=0 x=\"a  b\" iommu=pt ",
        );
        assert!(
            line.ends_with("iommu.debug_pagealloc=1 iommu.strict=0 x=\"a  b\" iommu=pt"),
            "{line}"
        );
    }
}
