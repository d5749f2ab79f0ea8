// SPDX-License-Identifier: GPL-2.0-only
//! What tests of the tool as a process have in common.
#![allow(
    dead_code,
    reason = "each test file is a crate, and uses what it needs"
)]

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

/// Guests run one after the other.
pub(crate) fn one_guest() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    // A test that failed has left nothing half-done.
    ONE.lock().unwrap_or_else(|e| e.into_inner())
}

/// Looks until there is something to see; not for ever.
pub(crate) fn wait_for<T>(what: &str, at_most: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < at_most {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not happen");
}

/// Ctrl-C.
pub(crate) fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
}

/// What a child says on standard error, as it says it.
pub(crate) fn stderr_lines(child: &mut Child) -> impl Iterator<Item = String> {
    let stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.lines().map_while(Result::ok)
}
