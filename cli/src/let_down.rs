// SPDX-License-Identifier: GPL-2.0-only
//! What QEMU does to a guest now and then before it has come to its first step, whatever the guest is: `docs/found.md`.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use crate::boot::{End, Outcome};

/// An x86 kernel that changes its own code puts a breakpoint there meanwhile. Whoever comes by waits, unless the breakpoint
/// has gone already: QEMU executed what it had translated before.
const STALE_CODE: &str = "Oops: int3";

/// What QEMU did, if this guest ended by it; `None` also if the guest had begun, or its kernel was in other trouble.
pub fn let_down(outcome: &Outcome) -> Option<String> {
    let trouble = outcome.report.iter().flat_map(|r| &r.trouble).next();
    if outcome.answers.began() {
        return None;
    }
    let own = [Signal::SIGABRT, Signal::SIGSEGV, Signal::SIGBUS].map(|s| s as i32);
    match (&outcome.end, trouble) {
        // It lost an access to an interrupt controller, and with it a timer.
        (End::Still(_), None) => Some("the guest stood still".to_owned()),
        (End::Early(status), None) => {
            let by_itself = status.signal().is_some_and(|s| own.contains(&s));
            by_itself.then(|| format!("QEMU crashed ({status})"))
        }
        (End::Panic, Some(first)) if first.text.contains(STALE_CODE) => {
            Some("the guest met a breakpoint that had gone already".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;
    use std::time::Duration;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const OOPS: &str = "[    0.200000] Oops: 0002 [#1] SMP\n";
    const INT3: &str = "[    0.200000] Oops: int3: 0000 [#1] SMP\n\
        [    0.300000] Kernel panic - not syncing: Fatal exception in interrupt\n";

    fn is_let_down(end: End, log: &str) -> bool {
        let_down(&Outcome::of_log(end, log)).is_some()
    }

    #[test]
    fn what_qemu_does_is_told_from_what_others_do() {
        let status = |raw| End::Early(ExitStatus::from_raw(raw));
        assert!(is_let_down(End::Still(MINUTE), ""));
        assert!(is_let_down(status(Signal::SIGABRT as i32), ""));
        // Somebody has ended it; it has powered off; it is slow.
        assert!(!is_let_down(status(Signal::SIGTERM as i32), ""));
        assert!(!is_let_down(status(0), ""));
        assert!(!is_let_down(End::Hang(MINUTE), ""));
        assert!(!is_let_down(End::Interrupted, ""));
    }

    #[test]
    fn a_kernel_in_trouble_is_not_let_down_but_by_code_that_is_gone() {
        assert!(!is_let_down(End::Still(MINUTE), OOPS));
        assert!(!is_let_down(End::Panic, OOPS));
        assert!(is_let_down(End::Panic, INT3));
        assert!(!is_let_down(End::Panic, &format!("{OOPS}{INT3}")));
    }

    #[test]
    fn only_a_guest_that_boots_is_let_down() {
        for (end, log) in [(End::Still(MINUTE), ""), (End::Panic, INT3)] {
            let mut outcome = Outcome::of_log(end, log);
            assert!(let_down(&outcome).is_some());
            outcome.answers.take("begin 1");
            assert!(let_down(&outcome).is_none());
        }
    }
}
