// SPDX-License-Identifier: GPL-2.0-only
//! The QEMU command line of a guest, put together from one small function per concern.

use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::args::{MachineArgs, Switch};
use crate::error::{Error, Result};
use crate::exec::Cmd;
use crate::machine::Model;
use crate::plug::Plug;

/// Size of the scratch drive behind a storage device. The file is sparse.
pub const DRIVE_BYTES: u64 = 256 << 20;

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
        what: "a SATA disk on the chipset's own AHCI controller, or on one of its own on arm64",
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
    /// Board and IOMMU.
    pub model: &'static Model,
    /// Unmapped memory stays reachable for a while: iommu.strict=0.
    pub lazy: bool,
    /// Devices in the order they are plugged in.
    pub devices: Vec<Device>,
    /// What the description of a driver plugs in.
    pub plug: Plug,
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
            model: <&Model>::default(),
            lazy: false,
            devices: Vec::new(),
            plug: Plug::default(),
            memory: 1024,
            cpus: 2,
            kvm: false,
            icount: None,
            gdb: None,
        }
    }
}

impl Machine {
    /// The machine that the user asked for, without devices; refuses what makes no sense.
    pub fn new(args: MachineArgs) -> Result<Machine> {
        args.machine.check_lazy(args.lazy)?;
        Ok(Machine {
            model: args.machine,
            lazy: args.lazy,
            ..Machine::default()
        })
    }

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
        .chain(machine.plug.drive().map(str::to_owned))
        .collect()
}

fn drive_name(index: usize) -> String {
    format!("drive{index}.raw")
}

/// The whole command. `qemu` is the emulator as the environment starts it.
pub fn command(qemu: Cmd, machine: &Machine, files: &Files, cmdline: &str) -> Cmd {
    let qemu = base(qemu, machine);
    let qemu = iommu(qemu, machine);
    let qemu = devices(qemu, machine, files);
    let qemu = qemu.args(machine.plug.args(&files.dir));
    let qemu = ports(qemu, &files.dir);
    let qemu = debugger(qemu, machine);
    boot(qemu, files, cmdline)
}

fn base(qemu: Cmd, machine: &Machine) -> Cmd {
    let qemu = qemu.arg("-machine").arg(machine.model.board);
    let qemu = match machine.icount {
        None if machine.kvm => qemu.args(["-accel", "kvm", "-cpu", "host"]),
        None => qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max"]),
        // While all CPUs sleep the clock jumps to the next timer, so waiting takes no time.
        Some(shift) => qemu
            .args(["-accel", "tcg,thread=single", "-cpu", "max", "-icount"])
            .arg(format!("shift={shift},sleep=off"))
            // What else differs from run to run: the time of day, and random numbers.
            .args(["-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]),
    };
    qemu.arg("-smp")
        .arg(machine.cpus.to_string())
        .arg("-m")
        .arg(machine.memory.to_string())
        // Nothing that is not asked for: no display, no default network card.
        .args(["-display", "none", "-nic", "none", "-no-reboot"])
}

fn iommu(qemu: Cmd, machine: &Machine) -> Cmd {
    let Some(device) = machine.model.iommu else {
        return qemu;
    };
    let more = machine.model.x2apic.filter(|_| machine.icount.is_none());
    let more = more.map(|m| format!(",{m}")).unwrap_or_default();
    // Has to come before the devices that it translates for.
    qemu.arg("-device").arg(format!("{device}{more}"))
}

fn devices(mut qemu: Cmd, machine: &Machine, files: &Files) -> Cmd {
    let has_disk = machine.devices.iter().any(|d| d.name == "ahci");
    if has_disk && machine.model.arch == Arch::Arm64 {
        // With the name that the chipset's has: disks find their bus by it.
        qemu = qemu.args(["-device", "ahci,id=ide"]);
    }
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
pub fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// The kernel command line. What the user adds comes last, so that it wins.
pub fn cmdline(debug_pagealloc: Switch, machine: &Machine, user: &str) -> String {
    let (model, arch) = (machine.model, machine.model.arch);
    let console = format!("console={}", arch.ports()[0]);
    let parameter = format!("iommu.debug_pagealloc={}", debug_pagealloc.value());
    let mut words = vec![
        console.as_str(),
        // Everything goes to the console, also what the user's words would silence.
        "ignore_loglevel",
        "printk.devkmsg=on",
        // Ends the guest at once: QEMU exits instead of rebooting.
        "panic=-1",
    ];
    words.extend(arch.cmdline());
    words.push(match machine.lazy {
        // A mapping ends when it is unmapped, not some time later.
        false => "iommu.strict=1",
        true => "iommu.strict=0",
    });
    words.push("page_owner=on");
    words.extend(model.cmdline);
    words.extend([parameter.as_str(), user.trim()]);
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
        command(
            Cmd::new(machine.model.arch.qemu()),
            machine,
            &files,
            "console=ttyS0 x=1",
        )
        .to_shell()
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
        let one = "-accel tcg,thread=single -cpu max -icount shift=4,sleep=off ";
        assert!(line.contains(one) && line.contains(" -smp 1 "), "{line}");
        // And nothing but the kernel makes two runs differ.
        assert!(
            line.contains(" -rtc base=2026-01-01,clock=vm -seed 1 "),
            "{line}"
        );
        assert!(line.contains(" -device intel-iommu,intremap=on "), "{line}");
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

    fn on(name: &str) -> Machine {
        Machine {
            model: Model::find(name).unwrap(),
            ..with(&["edu"])
        }
    }

    #[test]
    fn no_iommu() {
        let machine = on("none");
        assert!(!line(&machine).contains("iommu"));
        assert!(!cmdline(Switch::On, &machine, "").contains("intel_iommu"));
    }

    #[test]
    fn virtio_iommu() {
        let machine = on("virtio-iommu");
        let line = line(&machine);
        assert!(
            line.contains("-device virtio-iommu-pci -device edu"),
            "{line}"
        );
        assert!(!cmdline(Switch::On, &machine, "").contains("intel_iommu"));
    }

    #[test]
    fn arm64_has_its_own_board_ports_and_disks() {
        let machine = on("arm64-smmuv3");
        let line = line(&machine);
        assert!(
            line.starts_with("qemu-system-aarch64 -machine virt,gic-version=3,iommu=smmuv3 "),
            "{line}"
        );
        let words = cmdline(Switch::On, &machine, "");
        assert!(words.starts_with("console=ttyAMA0 "), "{words}");
        assert!(!words.contains("no_timer_check"), "{words}");
        let machine = Machine {
            devices: with(&["ahci"]).devices,
            ..machine
        };
        let line = self::line(&machine);
        assert!(
            line.contains("-device ahci,id=ide -drive if=none,id=drive0"),
            "{line}"
        );
    }

    #[test]
    fn lazy_is_another_word() {
        let machine = Machine {
            lazy: true,
            ..Machine::default()
        };
        let words = cmdline(Switch::On, &machine, "");
        assert!(words.contains(" iommu.strict=0 "), "{words}");
        assert!(!words.contains("iommu.strict=1"), "{words}");
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
            &Machine::default(),
            " iommu.strict=0 x=\"a  b\" iommu=pt ",
        );
        assert!(
            line.ends_with("iommu.debug_pagealloc=1 iommu.strict=0 x=\"a  b\" iommu=pt"),
            "{line}"
        );
    }
}
