// SPDX-License-Identifier: GPL-2.0-only
//! Everything that depends on the architecture of the guest: compiler, image, emulator, console, packages.

/// The architecture of a guest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Arch {
    /// That of the hosts that are supported.
    #[default]
    X86_64,
    /// Cross-built, and always emulated.
    Arm64,
}

impl Arch {
    /// The name as in the kernel's `uname -m` for one, and in its `ARCH=` for the other; also that of the
    /// configuration's file.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Arm64 => "arm64",
        }
    }

    /// The emulator.
    pub fn qemu(self) -> &'static str {
        match self {
            Arch::X86_64 => "qemu-system-x86_64",
            Arch::Arm64 => "qemu-system-aarch64",
        }
    }

    /// What is put before the name of a compiler and of its tools.
    pub fn cross(self) -> &'static str {
        match self {
            Arch::X86_64 => "",
            Arch::Arm64 => "aarch64-linux-gnu-",
        }
    }

    /// Variables of the kernel's make. Nothing where the kernel finds out by itself.
    pub fn make(self) -> &'static [&'static str] {
        match self {
            Arch::X86_64 => &[],
            Arch::Arm64 => &["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"],
        }
    }

    /// The image to boot: what make calls it, and where it is in the build folder.
    pub fn image(self) -> (&'static str, &'static str) {
        match self {
            Arch::X86_64 => ("bzImage", "arch/x86/boot/bzImage"),
            Arch::Arm64 => ("Image", "arch/arm64/boot/Image"),
        }
    }

    /// The guest's serial ports: for the kernel's console, and for what the guest answers.
    pub fn ports(self) -> [&'static str; 2] {
        match self {
            Arch::X86_64 => ["ttyS0", "ttyS1"],
            Arch::Arm64 => ["ttyAMA0", "ttyAMA1"],
        }
    }

    /// Words of the kernel command line.
    pub fn cmdline(self) -> &'static [&'static str] {
        match self {
            // On a host under load the emulated timer can miss the kernel's test of it, which ends in a panic.
            Arch::X86_64 => &["no_timer_check"],
            Arch::Arm64 => &[],
        }
    }

    /// Packages that the root needs on top of those for x86_64.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Arch::X86_64 => &[],
            Arch::Arm64 => &[
                "gcc-aarch64-linux-gnu",
                "libc6-dev-arm64-cross",
                "qemu-system-arm",
            ],
        }
    }

    /// Where a root has the guest's busybox. A foreign one cannot be installed beside the root's own.
    pub fn busybox(self) -> &'static [&'static str] {
        match self {
            Arch::X86_64 => &["/bin/busybox", "/usr/bin/busybox"],
            Arch::Arm64 => &["/opt/arm64/usr/bin/busybox", "/opt/arm64/bin/busybox"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_foreign_architecture_needs_more() {
        assert!(Arch::X86_64.packages().is_empty() && Arch::X86_64.make().is_empty());
        let make = Arch::Arm64.make().join(" ");
        assert!(make.ends_with(Arch::Arm64.cross()), "{make}");
        assert!(Arch::Arm64.busybox().iter().all(|p| p.contains("arm64")));
    }
}
