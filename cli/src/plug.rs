// SPDX-License-Identifier: GPL-2.0-only
//! What the description of a driver plugs into a guest: QEMU's devices, and what is behind them.

use std::path::Path;

use crate::qemu::escape;

/// Where the guest has the first device, so that its scripts need not look for it.
pub const ADDRESS: &str = "0000:00:08.0";
/// The same for QEMU. The virtual functions of igb are 0x80 device numbers further on, of 0x100 in all.
const SLOT: &str = "addr=0x8";

/// File name of the drive in the run's folder.
const DRIVE: &str = "plug.raw";

/// How many lines the peer of a network card sends; about 3 MiB.
pub const LINES: u32 = 500_000;

/// What is behind a device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// `netdev=net`: QEMU's user-mode network. Its address 10.0.2.100 sends numbered lines (port 19), tells their
    /// checksum (port 20), and tells the checksum of what it gets (port 7).
    Net,
    /// `drive=drive`: an empty drive of 256 MiB.
    Disk,
    /// `audiodev=audio`: plays to nobody and records silence, as fast as a real device would.
    Sound,
}

/// Devices, and what is behind them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Plug {
    /// QEMU's `-device`, in order; the first is the PCI device whose driver it is about.
    pub devices: Vec<String>,
    /// What is behind them.
    pub backend: Option<Backend>,
}

impl Plug {
    /// The drive to create in the run's folder.
    pub fn drive(&self) -> Option<&'static str> {
        (self.backend == Some(Backend::Disk)).then_some(DRIVE)
    }

    /// QEMU's options; `dir` is the run's folder as seen by QEMU.
    pub fn args(&self, dir: &Path) -> Vec<String> {
        let mut args = match self.backend {
            None => Vec::new(),
            Some(Backend::Net) => vec!["-netdev".to_owned(), network()],
            Some(Backend::Disk) => {
                let file = escape(&dir.join(DRIVE));
                let drive = format!("if=none,id=drive,format=raw,file={file}");
                vec!["-drive".to_owned(), drive]
            }
            Some(Backend::Sound) => vec!["-audiodev".to_owned(), "none,id=audio".to_owned()],
        };
        for (index, device) in self.devices.iter().enumerate() {
            args.push("-device".to_owned());
            args.push(match index {
                0 => format!("{device},{SLOT}"),
                _ => device.clone(),
            });
        }
        args
    }
}

fn network() -> String {
    let peers = [
        (7, "md5sum".to_owned()),
        (19, format!("seq {LINES}")),
        (20, format!("sh -c 'seq {LINES} | md5sum'")),
    ];
    let forward = |(port, program)| format!(",guestfwd=tcp:10.0.2.100:{port}-cmd:{program}");
    let forwards: String = peers.into_iter().map(forward).collect();
    format!("user,id=net{forwards}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(devices: &[&str], backend: Option<Backend>) -> String {
        let plug = Plug {
            devices: devices.iter().map(|d| (*d).to_owned()).collect(),
            backend,
        };
        plug.args(Path::new("/run/a,b")).join(" ")
    }

    #[test]
    fn only_the_first_device_has_a_fixed_address() {
        let line = args(&["usb-ehci,id=usb", "usb-storage,bus=usb.0"], None);
        assert_eq!(
            line,
            "-device usb-ehci,id=usb,addr=0x8 -device usb-storage,bus=usb.0"
        );
        assert_eq!(args(&[], None), "");
    }

    #[test]
    fn backends_come_before_the_devices_that_name_them() {
        let line = args(&["nvme,drive=drive"], Some(Backend::Disk));
        assert!(line.starts_with("-drive if=none,id=drive,"), "{line}");
        assert!(line.contains("file=/run/a,,b/plug.raw -device"), "{line}");
        let line = args(&["e1000,netdev=net"], Some(Backend::Net));
        assert!(
            line.starts_with("-netdev user,id=net,guestfwd=tcp:10.0.2.100:7-"),
            "{line}"
        );
    }
}
