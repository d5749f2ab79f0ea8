// SPDX-License-Identifier: GPL-2.0-only
//! Making the Debian root in which kernels are built and guests run.

use std::path::Path;
use std::time::Duration;

use nix::sys::stat::{makedev, mknod, Mode, SFlag};

use crate::cache::Key;
use crate::error::{io, Error, Result};
use crate::exec::{Cmd, Exec};
use crate::host::{self, PACKAGES};
use crate::ui::{size, Unit};

/// The Debian release of the root: the first with all the tools that Rust in the kernel needs.
const SUITE: &str = "trixie";

/// What dpkg does not unpack: nobody reads it there, and it is a third of the whole.
const LEFT_OUT: &[&str] = &[
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/lib/llvm-*/lib/*.a",
    "path-exclude=/usr/src/rustc-*",
    "path-include=/usr/src/rustc-*/library/*",
];

/// How ccache is set up. It is beside the builds and goes with them. Each kernel is built in a folder of another name, which
/// is no reason to compile anew: only debug information has that name, as the folder of files that have none themselves.
const CCACHE: &str = "cache_dir = /dmasan/ccache\nmax_size = 3G\nhash_dir = false\n";

/// Packages in the finished root, for the progress bar; each is fetched, unpacked and set up.
const ABOUT_PACKAGES: u64 = 210;

/// Free space that a complete set-up needs: root, sources, three kernels.
pub const SPACE: u64 = 8_000_000_000;

/// Identity of what [`make`] makes.
pub fn key() -> Key {
    Key::new("root")
        .with("suite", SUITE)
        .with("packages", PACKAGES.join(" "))
        .with("left out", LEFT_OUT.join(" "))
        .with("ccache", CCACHE)
}

/// Makes the root in a new folder.
pub fn make(exec: &Exec, root: &Path, isolated: bool) -> Result<()> {
    if !exec.dry_run {
        let parent = root.parent().unwrap_or(root);
        if let Some(free) = free_space(parent).filter(|f| *f < SPACE) {
            let text = format!("{} has {} free", parent.display(), size(free));
            return Err(
                Error::usage(format!("{text}, a set-up needs about {}", size(SPACE)))
                    .help(crate::error::NO_SPACE),
            );
        }
    }
    install_mmdebstrap(exec)?;
    bootstrap(exec, root, isolated)
}

/// Free space for root on the file system of a folder.
pub fn free_space(dir: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(dir).ok()?;
    Some(stat.blocks_available() as u64 * stat.fragment_size() as u64)
}

/// Installs mmdebstrap on the host if it is not there.
fn install_mmdebstrap(exec: &Exec) -> Result<()> {
    if host::which("mmdebstrap").is_some() {
        return Ok(());
    }
    if host::which("apt-get").is_none() {
        return Err(Error::usage(
            "mmdebstrap is missing and this host has no apt to install it with",
        )
        .help("install mmdebstrap and the Debian archive keyring with your package manager"));
    }
    exec.ui
        .note("installing on the host: mmdebstrap (it makes the Debian root; about 1 MB)");
    // dpkg is left the time to end what it has begun: this is the user's own system.
    let apt = || {
        Cmd::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C")
            .args(["-q", "-o", "Dpkg::Use-Pty=0"])
            // Another apt may be at work, such as the nightly upgrade.
            .args(["-o", "DPkg::Lock::Timeout=300"])
            .grace(Duration::from_secs(60))
    };
    let step = exec.ui.step("host: apt-get update");
    exec.run(&apt().arg("update"), None).map_err(no_network)?;
    step.done("");
    let step = exec.ui.step("host: apt-get install mmdebstrap");
    let install = apt().args(["install", "-y", "--no-install-recommends", "mmdebstrap"]);
    exec.run(&install.arg("debian-archive-keyring"), None)
        .map_err(no_network)?;
    step.done("");
    Ok(())
}

/// The command that makes the root.
fn command(root: &Path, isolated: bool) -> Cmd {
    let cmd = if isolated {
        // In namespaces of its own: a killed mmdebstrap would else leave its mounts behind.
        Cmd::new("unshare")
            .arg("--mount-proc")
            .args(host::ISOLATE)
            .arg("mmdebstrap")
    } else {
        Cmd::new("mmdebstrap")
    };
    cmd.name("mmdebstrap")
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["--mode=root", "--variant=apt", "--verbose"])
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        .arg("--aptopt=Dpkg::Use-Pty \"0\"")
        .arg("--dpkgopt=force-unsafe-io")
        .args(LEFT_OUT.iter().map(|o| format!("--dpkgopt={o}")))
        .arg(format!("--include={}", PACKAGES.join(",")))
        .arg(format!(
            "--customize-hook=printf '{CCACHE}' >\"$1/etc/ccache.conf\""
        ))
        .arg(SUITE)
        .arg(root)
        .grace(Duration::from_secs(10))
}

fn bootstrap(exec: &Exec, root: &Path, isolated: bool) -> Result<()> {
    let text = "build environment (Debian packages, about 340 MB to fetch)";
    let step = exec.ui.bar(text, 3 * ABOUT_PACKAGES, Unit::Steps);
    let log = root.with_file_name("mmdebstrap.log");
    let mut done = 0;
    let mut on_line = |line: &str| {
        let word = line.split(' ').next().unwrap_or("");
        if let "Get:" | "Unpacking" | "Setting" =
            &word[..word.find(':').map_or(word.len(), |c| c + 1)]
        {
            done += 1;
            step.set(done.min(3 * ABOUT_PACKAGES));
        }
        if let Some(stage) = line.strip_prefix("I: ") {
            step.message(stage);
        }
    };
    let log = (!exec.dry_run).then_some(log.as_path());
    exec.lines(&command(root, isolated), log, &mut on_line)
        .map_err(|e| no_network(e.context("making the build environment")))?;
    let used = if exec.dry_run {
        String::new()
    } else {
        format!("{}", root.display())
    };
    step.done(&used);
    Ok(())
}

/// Turns the failure of a download into one that says so.
pub fn no_network(error: Error) -> Error {
    const SIGNS: &[&str] = &[
        "Temporary failure resolving",
        "Could not resolve",
        "Could not connect",
        "Network is unreachable",
        "Connection timed out",
        "Unable to connect",
        "Connection failed",
    ];
    let reason = std::error::Error::source(&error).map(ToString::to_string);
    let text = reason.unwrap_or_default();
    if SIGNS.iter().any(|s| text.contains(s)) {
        error.context("the package source cannot be reached").help(
            "check the network, or set http_proxy and https_proxy, and run the same command again",
        )
    } else {
        error
    }
}

/// What a root needs to be used by a plain `chroot`: device nodes, and a stand-in for what objtool reads in /proc.
pub fn stand_ins(exec: &Exec, root: &Path) -> Result<()> {
    let maps = root.join("proc/self/maps");
    if !root.join("proc/self").exists() {
        // objtool only wants to know where the stack ends, to explain its own crash.
        let text = "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";
        let dir = root.join("proc/self");
        std::fs::create_dir_all(&dir).map_err(io("cannot create", &dir))?;
        std::fs::write(&maps, text).map_err(io("cannot write", &maps))?;
    }
    let shm = root.join("dev/shm");
    std::fs::create_dir_all(&shm).map_err(io("cannot create", &shm))?;
    for (name, minor) in [
        ("null", 3),
        ("zero", 5),
        ("full", 7),
        ("random", 8),
        ("urandom", 9),
    ] {
        device(exec, &root.join("dev").join(name), 1, minor)?;
    }
    device(exec, &root.join("dev/tty"), 5, 0)?;
    let null = root.join("dev/null");
    let open = std::fs::File::options().write(true).open(&null);
    open.map(drop).map_err(|e| {
        let text = format!("device nodes do not work below {}", root.display());
        Error::usage(text).because(e).help(
            "its file system is probably mounted with nodev: point XDG_CACHE_HOME at another one",
        )
    })
}

fn device(exec: &Exec, path: &Path, major: u64, minor: u64) -> Result<()> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    if let Ok(meta) = std::fs::symlink_metadata(path) {
        if meta.file_type().is_char_device() {
            return Ok(());
        }
        // An ordinary file: something wrote to the node while it was missing.
        std::fs::remove_file(path).map_err(io("cannot delete", path))?;
    }
    let mode = Mode::from_bits_truncate(0o666);
    match mknod(path, SFlag::S_IFCHR, mode, makedev(major, minor)) {
        Ok(()) => std::fs::set_permissions(path, PermissionsExt::from_mode(0o666))
            .map_err(io("cannot set the mode of", path)),
        // A build writes to null all the time; the others are rarely used.
        Err(e) if minor == 3 => Err(Error::usage(format!(
            "this container allows neither mounts nor device nodes: cannot make {}",
            path.display()
        ))
        .because(e)
        .help(
            "allow one of them (CAP_MKNOD suffices), or use a host with its own tools: --env host",
        )),
        Err(e) => {
            exec.ui
                .warn(&format!("cannot make {}: {e}", path.display()));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_network_is_told_from_other_failures() {
        let failed = |why: &str| no_network(Error::failed("apt failed").because(why.to_owned()));
        let lost = failed("E: Temporary failure resolving 'mirror.example'");
        assert!(lost
            .message()
            .starts_with("the package source cannot be reached: apt"));
        assert!(lost.advice().unwrap().contains("http_proxy"));
        assert_eq!(
            failed("E: Unable to locate package x").message(),
            "apt failed"
        );
    }

    #[test]
    fn the_command_is_isolated_when_it_can_be() {
        let root = Path::new("/r");
        assert!(command(root, true)
            .to_shell()
            .contains("unshare --mount-proc"));
        assert!(!command(root, false).to_shell().contains("unshare"));
    }
}
