// SPDX-License-Identifier: GPL-2.0-only
//! Tells what a message is, from its text alone.

use crate::class::Class;
use crate::model::{Site, TroubleKind};
use crate::symbol;
use dmasan_engine::report::{REFERENCE_LINE, TITLE};

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A line of `=`: begin or end of a sanitizer's report.
    Ruler,
    /// `BUG: DMASAN: ...`.
    Title {
        title: &'a str,
        class: Class,
        site: Option<Site>,
    },
    /// `cut here`: a warning or a bug of the kernel follows.
    CutHere,
    /// `WARNING: ... at ...`.
    Warning { reference: bool },
    /// `end trace`.
    EndTrace,
    /// The line by which the reference marks a finding, and ours repeats.
    Leak,
    /// The kernel's first line; its release.
    Kernel { release: &'a str },
    /// The sanitizer's line at boot, ours or the reference's.
    Boot { reference: bool, rest: &'a str },
    /// A step of the run begins or ends.
    StepBegin {
        nonce: &'a str,
        index: u32,
        text: &'a str,
    },
    StepEnd {
        nonce: &'a str,
        index: u32,
        rc: Option<i32>,
    },
    /// The kernel is in trouble.
    Trouble(TroubleKind),
    /// Another sanitizer, or a bug that the kernel survives.
    OtherBug,
    /// Anything else.
    Other,
}

/// Tells what a message is.
pub(crate) fn kind(text: &str) -> Kind<'_> {
    if text.len() >= 20 && text.bytes().all(|b| b == b'=') {
        return Kind::Ruler;
    }
    if let Some(title) = text.strip_prefix(TITLE) {
        return title_line(title.trim());
    }
    if let Some(rest) = text.strip_prefix("dmasan: step ") {
        return step(rest).unwrap_or(Kind::Other);
    }
    if let Some(rest) = text.strip_prefix("Linux version ") {
        return Kind::Kernel {
            release: rest.split(' ').next().unwrap_or(""),
        };
    }
    if text.starts_with(REFERENCE_LINE) {
        return Kind::Leak;
    }
    if let Some(rest) = text.strip_prefix("iommu: ") {
        return iommu(rest);
    }
    if text.starts_with("------------[ cut here ]------------") {
        return Kind::CutHere;
    }
    if text.starts_with("---[ end trace ") {
        return Kind::EndTrace;
    }
    if let Some(rest) = text.strip_prefix("WARNING: ") {
        return Kind::Warning {
            reference: is_reference_check(rest),
        };
    }
    trouble(text)
        .map(Kind::Trouble)
        .unwrap_or_else(|| match is_other_bug(text) {
            true => Kind::OtherBug,
            false => Kind::Other,
        })
}

/// `free-while-mapped in edu_leak+0x5c/0x90 [edu_dma]`.
fn title_line(title: &str) -> Kind<'_> {
    let (class, site) = match title.split_once(" in ") {
        Some((class, place)) => (class, symbol::site(place)),
        None => (title.split(' ').next().unwrap_or(""), None),
    };
    let class = if class.is_empty() { "unknown" } else { class };
    Kind::Title {
        title,
        class: Class::from(class.to_owned()),
        site,
    }
}

/// `<nonce> <n> begin <text>` or `<nonce> <n> end rc=<rc>`.
fn step(rest: &str) -> Option<Kind<'_>> {
    let (nonce, rest) = rest.split_once(' ')?;
    let (index, rest) = rest.split_once(' ')?;
    let index = index.parse().ok()?;
    let (what, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match what {
        "begin" => Some(Kind::StepBegin {
            nonce,
            index,
            text: rest.trim(),
        }),
        "end" => {
            let rc = rest
                .trim()
                .strip_prefix("rc=")
                .and_then(|rc| rc.parse().ok());
            Some(Kind::StepEnd { nonce, index, rc })
        }
        _ => None,
    }
}

/// Messages of the IOMMU core that concern the sanitizer.
fn iommu(rest: &str) -> Kind<'_> {
    if let Some(rest) = rest.strip_prefix("debug-pagealloc: ") {
        return Kind::Boot {
            reference: false,
            rest,
        };
    }
    if rest.starts_with("Debugging page allocations") {
        return Kind::Boot {
            reference: true,
            rest,
        };
    }
    Kind::Other
}

/// A warning of the reference's check of a page. Its other warnings are about its own counting.
fn is_reference_check(warning: &str) -> bool {
    warning.contains("__iommu_debug_check_unmapped")
}

fn trouble(text: &str) -> Option<TroubleKind> {
    const BEGINS: [(&str, TroubleKind); 11] = [
        ("Kernel panic - not syncing", TroubleKind::Panic),
        ("Oops", TroubleKind::Oops),
        ("BUG: unable to handle", TroubleKind::Oops),
        ("BUG: kernel NULL pointer dereference", TroubleKind::Oops),
        ("Unable to handle kernel", TroubleKind::Oops),
        ("Internal error: Oops", TroubleKind::Oops),
        ("general protection fault", TroubleKind::Oops),
        ("kernel BUG at ", TroubleKind::Oops),
        ("watchdog: BUG: soft lockup", TroubleKind::SoftLockup),
        ("BUG: soft lockup", TroubleKind::SoftLockup),
        ("rcu: INFO: ", TroubleKind::RcuStall),
    ];
    if let Some((_, kind)) = BEGINS.iter().find(|(begin, _)| text.starts_with(begin)) {
        // "Oops" begins ordinary words too: the kernel's is followed by its colon.
        let word =
            *kind != TroubleKind::Oops || !text.starts_with("Oops") || text.starts_with("Oops: ");
        let stall =
            *kind != TroubleKind::RcuStall || text.contains("detected") && text.contains("stall");
        return (word && stall).then_some(*kind);
    }
    if text.contains("Watchdog detected hard LOCKUP") {
        return Some(TroubleKind::HardLockup);
    }
    let hung = text.strip_prefix("INFO: task ")?;
    (hung.contains(" blocked ") && hung.contains(" for more than "))
        .then_some(TroubleKind::HungTask)
}

fn is_other_bug(text: &str) -> bool {
    text.starts_with("BUG: ")
        || text.starts_with("UBSAN: ")
        || text.starts_with("DMA-API: ") && text.contains("device driver")
}

/// Heading of a stack in a report of ours: `freed at:`, `mapped at (task insmod/71):`. Its text without the colon.
pub(crate) fn stack_title(text: &str) -> Option<&str> {
    let title = text.trim_end().strip_suffix(':')?;
    let (what, rest) = title.split_once(" at").unwrap_or((title, ""));
    let words = !what.is_empty()
        && what.bytes().all(|b| b.is_ascii_alphabetic() || b == b' ')
        && !what.starts_with(' ');
    let known = title == "Call Trace"
        || title.contains(" at") && (rest.is_empty() || rest.starts_with([' ', ',']));
    (words && known).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Kernel panic - not syncing: edu_dma: as asked", TroubleKind::Panic)]
    #[case("Oops: Oops: 0002 [#1] SMP", TroubleKind::Oops)]
    #[case(
        "Oops: general protection fault, probably for non-canonical address 0x1: 0000 [#1] SMP",
        TroubleKind::Oops
    )]
    #[case(
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        TroubleKind::Oops
    )]
    #[case(
        "BUG: unable to handle page fault for address: ffff",
        TroubleKind::Oops
    )]
    #[case("kernel BUG at mm/slub.c:1!", TroubleKind::Oops)]
    #[case(
        "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [insmod:71]",
        TroubleKind::SoftLockup
    )]
    #[case(
        "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 0",
        TroubleKind::HardLockup
    )]
    #[case(
        "INFO: task insmod:71 blocked for more than 120 seconds.",
        TroubleKind::HungTask
    )]
    #[case(
        "INFO: task insmod:71 blocked in I/O wait for more than 120 seconds.",
        TroubleKind::HungTask
    )]
    #[case(
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        TroubleKind::RcuStall
    )]
    fn troubles(#[case] text: &str, #[case] expected: TroubleKind) {
        assert_eq!(kind(text), Kind::Trouble(expected));
    }

    #[rstest]
    #[case("Oops, the driver forgot something")]
    #[case("rcu: INFO: something else")]
    #[case("dmasan: step 5f3a x begin y")]
    #[case("dmasan: step")]
    #[case("dmasan: stats")]
    #[case("=====")]
    #[case("iommu: Default domain type: Translated")]
    #[case("")]
    fn nothing_special(#[case] text: &str) {
        assert_eq!(kind(text), Kind::Other);
    }

    #[test]
    fn titles() {
        let Kind::Title { class, site, .. } =
            kind("BUG: DMASAN: count-imbalance in iommu_unmap+0x1/0x2")
        else {
            panic!()
        };
        assert_eq!(
            (class, site.unwrap().symbol.as_str()),
            (Class::CountImbalance, "iommu_unmap")
        );
        let Kind::Title { class, site, .. } = kind("BUG: DMASAN: brand-new") else {
            panic!()
        };
        assert_eq!((class, site), (Class::Other("brand-new".into()), None));
    }

    #[rstest]
    #[case("freed at:", Some("freed at"))]
    #[case(
        "mapped at (task insmod/71, cpu 0, 12 ms ago):",
        Some("mapped at (task insmod/71, cpu 0, 12 ms ago)")
    )]
    #[case("Call Trace:", Some("Call Trace"))]
    #[case("e1000e 0000:00:02.0 eth0: attached:", None)]
    #[case("page owner:", None)]
    #[case(":", None)]
    #[case(" at:", None)]
    fn stack_titles(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(stack_title(text), expected);
    }
}
