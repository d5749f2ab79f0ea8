// SPDX-License-Identifier: GPL-2.0-only
//! The set-up when things go wrong: not root, no network, no space, Ctrl-C, two at once.
//!
//! Failures are staged without namespaces where that is possible, so that the tests run in a plain container too.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use nix::fcntl::{Flock, FlockArg};

mod common;

/// A set-up is root's to do: without root these tests fail rather than pass unseen.
fn needs_root() {
    assert!(dmasan::host::is_root(), "run the tests as root");
}

/// Folder of the build environment in a cache.
fn entry(cache: &Path) -> PathBuf {
    let key = dmasan::bootstrap::key();
    cache.join("dmasan/root").join(key.short())
}

fn build(wrapper: &[&str], cache: &Path) -> Process {
    let bin = cargo_bin("dmasan");
    let mut words: Vec<&str> = wrapper.to_vec();
    words.push(bin.to_str().unwrap());
    words.extend(["kernel", "build", "--env", "root"]);
    let mut process = Process::new(words[0]);
    process
        .args(&words[1..])
        .env("XDG_CACHE_HOME", cache)
        .stdin(Stdio::null());
    process
}

fn wait(child: &mut Child, limit: Duration) -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    panic!("no end within {limit:?}");
}

fn stderr(child: &mut Child) -> String {
    let mut text = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn not_root_gets_the_command_and_2() {
    needs_root();
    // A copy, since nobody may not be able to read the build folder.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let bin = dir.path().join("dmasan-copy");
    std::fs::copy(cargo_bin("dmasan"), &bin).unwrap();
    let output = Process::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&bin)
        .args(["kernel", "build", "--env", "root", "--flavor", "c"])
        .env("XDG_CACHE_HOME", dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let want = format!("sudo {} kernel build --env root --flavor c", bin.display());
    assert!(text.contains(&want), "{text}");
}

#[test]
fn no_network_is_said() {
    needs_root();
    let dir = tempfile::tempdir().unwrap();
    // Nobody listens on the discard port.
    let nowhere = "http://127.0.0.1:9";
    let output = build(&["env"], dir.path())
        .env("http_proxy", nowhere)
        .env("https_proxy", nowhere)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{text}");
    assert!(
        text.contains("the package source cannot be reached"),
        "{text}"
    );
    assert!(text.contains("http_proxy"), "{text}");
    assert!(!entry(dir.path()).join("complete").exists());
}

/// Bytes free in a folder's file system; without end if there is no such folder.
fn free(dir: &Path) -> u64 {
    let Ok(stat) = nix::sys::statvfs::statvfs(dir) else {
        return u64::MAX;
    };
    stat.blocks_available() * stat.fragment_size()
}

#[test]
fn too_little_space_is_said_before_anything_is_fetched() {
    needs_root();
    let dir = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64m tmpfs \"$XDG_CACHE_HOME\" && exec \"$@\"";
    let unshare = ["unshare", "--mount", "--propagation", "private"];
    let output = if Process::new("unshare")
        .args(["--mount", "true"])
        .status()
        .unwrap()
        .success()
    {
        let wrapper = [&unshare[..], &["sh", "-c", script, "sh"]].concat();
        build(&wrapper, dir.path()).output().unwrap()
    } else {
        // A container that allows no mounts has a small file system somewhere.
        let small = ["/dev/shm", "/run/lock", "/run"].map(Path::new);
        let cache = small.into_iter().find(|dir| free(dir) < 4 << 30);
        build(
            &["env"],
            cache.expect("no file system with less than 4 GB free to try this on"),
        )
        .output()
        .unwrap()
    };
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("B free"), "{text}");
    assert!(text.contains("XDG_CACHE_HOME"), "{text}");
}

#[test]
fn a_second_one_waits_says_so_and_can_be_interrupted() {
    needs_root();
    let dir = tempfile::tempdir().unwrap();
    let entry = entry(dir.path());
    std::fs::create_dir_all(entry.parent().unwrap()).unwrap();
    let file = std::fs::File::create(entry.with_extension("lock")).unwrap();
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, e)| e)
        .unwrap();
    let mut child = build(&["env"], dir.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    common::interrupt(&child);
    assert_eq!(wait(&mut child, Duration::from_secs(10)), Some(130));
    let text = stderr(&mut child);
    assert!(text.contains("waiting for another dmasan"), "{text}");
    assert!(text.contains("interrupted"), "{text}");
    drop(lock);
}

/// Processes that have a path on their command line or as their root, apart from ourselves.
fn users_of(path: &Path) -> Vec<String> {
    let path = path.to_str().unwrap();
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let dir = process.path();
        let line = std::fs::read(dir.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let links = ["root", "cwd", "exe"].map(|l| std::fs::read_link(dir.join(l)));
        let links = links.into_iter().flatten();
        let inside = links
            .into_iter()
            .any(|l| l.to_string_lossy().starts_with(path));
        if line.contains(path) || inside {
            found.push(line);
        }
    }
    found
}

/// Makers of a root install mmdebstrap if need be, and two apts at once would get in each other's way.
static ONE_SETUP: Mutex<()> = Mutex::new(());

/// Interrupts a set-up in the middle of unpacking packages; twice, so the remains of the first are met.
fn interrupt(wrapper: &[&str]) {
    let _alone = ONE_SETUP.lock().unwrap_or_else(|e| e.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let root = entry(dir.path()).join("root");
    // Far enough for mmdebstrap to have mounted what it mounts and to have started dpkg.
    let sign = root.join("var/lib/dpkg/info/base-files.list");
    for round in 0..2 {
        // The other remains stay.
        let _ = std::fs::remove_file(&sign);
        let mut child = build(wrapper, dir.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while !sign.exists() {
            assert!(
                child.try_wait().unwrap().is_none(),
                "{}",
                stderr(&mut child)
            );
            assert!(
                begun.elapsed() < Duration::from_secs(900),
                "no packages after 15 minutes"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        common::interrupt(&child);
        assert_eq!(wait(&mut child, Duration::from_secs(60)), Some(130));
        let text = stderr(&mut child);
        assert_eq!(text.contains("it is made anew"), round == 1, "{text}");
        // What was killed may be waiting for the disk.
        let ended = Instant::now();
        while !users_of(dir.path()).is_empty() && ended.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(users_of(dir.path()), Vec::<String>::new());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(dir.path().to_str().unwrap()), "{mounts}");
        assert!(!entry(dir.path()).join("complete").exists());
    }
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    needs_root();
    interrupt(&["env"]);
}

#[test]
fn ctrl_c_leaves_nothing_behind_in_a_plain_container() {
    needs_root();
    // Without this capability nothing can be mounted and no namespace can be made.
    interrupt(&["setpriv", "--bounding-set=-sys_admin", "--"]);
}
