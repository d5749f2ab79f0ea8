// SPDX-License-Identifier: GPL-2.0-only
//! Life and death of child processes: own groups, death with the parent, and the end of all of them on Ctrl-C.
//!
//! Every child leads a process group of its own, so that Ctrl-C reaches only this process, which then ends the
//! groups in order: SIGTERM, the child's time of grace, SIGKILL. Orphans of a child become ours
//! (PR_SET_CHILD_SUBREAPER), so also those that left their group are found and killed.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{kill, killpg, Signal};
use nix::sys::wait::{waitid, Id, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

use crate::error::{Error, Exit, Result};

/// What the rest of the program has to end by itself when the user has asked twice. A terminal that goes away asks twice
/// at once, and what there is should be written then, too.
const PATIENCE: Duration = Duration::from_secs(1);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Groups that are alive, with the time each may take to end by itself. Lock order: none held inside.
static GROUPS: Mutex<BTreeMap<i32, Duration>> = Mutex::new(BTreeMap::new());

/// How many [`Recovery`] there are.
static RECOVERING: AtomicUsize = AtomicUsize::new(0);

/// While one exists, Ctrl-C leaves time (at most 30 s) for undoing what was begun.
#[derive(Debug)]
pub struct Recovery(());

impl Recovery {
    /// To be called before the first change that has to be undone.
    pub fn begin() -> Self {
        RECOVERING.fetch_add(1, Ordering::SeqCst);
        Recovery(())
    }
}

impl Drop for Recovery {
    fn drop(&mut self) {
        RECOVERING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Makes Ctrl-C, SIGTERM and SIGHUP end all children; the second of them ends this process, whatever it waits for. Called
/// once, by `main`.
pub fn install() -> Result<()> {
    // Best effort: without it only children that leave their group would survive.
    let _ = nix::sys::prctl::set_child_subreaper(true);
    ctrlc::set_handler(on_signal)
        .map_err(|e| Error::failed("cannot install the signal handler").because(e))
}

/// Fails once the user has asked to stop; called in loops that start no processes.
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        Err(Error::interrupted())
    } else {
        Ok(())
    }
}

fn groups() -> std::sync::MutexGuard<'static, BTreeMap<i32, Duration>> {
    // The map is valid at every step, so a panic elsewhere does not spoil it.
    GROUPS.lock().unwrap_or_else(|e| e.into_inner())
}

fn on_signal() {
    if INTERRUPTED.swap(true, Ordering::SeqCst) {
        std::thread::sleep(PATIENCE);
        kill_descendants();
        std::process::exit(Exit::Interrupted.code().into());
    }
    let alive = groups().clone();
    for group in alive.keys() {
        let _ = killpg(Pid::from_raw(*group), Signal::SIGTERM);
    }
    let begun = Instant::now();
    loop {
        let waiting = groups().clone();
        let overdue = waiting.iter().filter(|(_, g)| begun.elapsed() >= **g);
        for (group, _) in overdue {
            let _ = killpg(Pid::from_raw(*group), Signal::SIGKILL);
        }
        if waiting.values().all(|g| begun.elapsed() >= *g) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    while RECOVERING.load(Ordering::SeqCst) > 0 && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    kill_descendants();
}

/// Kills whatever still descends from this process; `main` calls it before it exits.
pub fn kill_descendants() {
    let me = std::process::id() as i32;
    for pid in descendants(me) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// All processes below `root`, from /proc.
pub fn descendants(root: i32) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // "pid (comm) state ppid ...": comm may hold anything, so look behind its last bracket.
        let rest = stat.rsplit(')').next().unwrap_or("");
        if let Some(parent) = rest.split_whitespace().nth(1).and_then(|p| p.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut todo = vec![root];
    while let Some(pid) = todo.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            found.push(*child);
            todo.push(*child);
        }
    }
    found
}

/// A child in its own group; killed, group and all, when dropped.
#[derive(Debug)]
pub struct Group {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Group {
    /// Starts `command`. It dies with the thread that starts it, so start from threads that stay.
    pub fn spawn(command: &mut Command, grace: Duration) -> Result<std::io::Result<Self>> {
        check()?;
        command.process_group(0);
        // SAFETY: the closure runs between fork and exec and makes one async-signal-safe system call.
        unsafe {
            command.pre_exec(|| {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from)
            });
        }
        let child = match command.spawn() {
            Ok(child) => child,
            Err(e) => return Ok(Err(e)),
        };
        groups().insert(child.id() as i32, grace);
        let group = Self { child, ended: None };
        // The handler may have run before the group was in the list.
        check()?;
        Ok(Ok(group))
    }

    /// Pipes of the child.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// The exit status if the child has ended; what is left of its group is killed then.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.poll(WaitPidFlag::WNOHANG)
    }

    /// Waits for the end of the child.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.poll(WaitPidFlag::empty())? {
                return Ok(status);
            }
        }
    }

    fn poll(&mut self, flag: WaitPidFlag) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            // Look without reaping: while the leader is a zombie its group id cannot be taken by others.
            let flags = flag | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            match waitid(Id::Pid(self.pid()), flags) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => return Ok(None),
                Ok(_) => self.reap()?,
                Err(e) => return Err(Error::failed("cannot wait for a child").because(e)),
            }
        }
        Ok(self.ended)
    }

    fn reap(&mut self) -> Result<()> {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        groups().remove(&self.pid().as_raw());
        let status = self.child.wait();
        let status = status.map_err(|e| Error::failed("cannot wait for a child").because(e))?;
        self.ended = Some(status);
        Ok(())
    }

    /// Kills the group and waits for the child.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.wait();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_group_is_gone_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 97531 & sleep 97531"]);
        let group = Group::spawn(&mut command, Duration::ZERO).unwrap().unwrap();
        let pid = group.child.id() as i32;
        let begun = Instant::now();
        let soon = || {
            std::thread::sleep(Duration::from_millis(20));
            begun.elapsed() < Duration::from_secs(20)
        };
        while descendants(pid).len() < 2 && soon() {}
        let below = descendants(pid);
        assert_eq!(below.len(), 2);
        drop(group);
        let is_there = |p: &i32| {
            let stat = std::fs::read_to_string(format!("/proc/{p}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z")
        };
        while below.iter().any(is_there) && soon() {}
        assert!(!below.iter().any(is_there), "{below:?}");
    }

    #[test]
    fn a_missing_program_is_an_io_error() {
        let mut command = Command::new("/nonexistent/prog");
        assert!(Group::spawn(&mut command, Duration::ZERO).unwrap().is_err());
    }
}
