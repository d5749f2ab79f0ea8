// SPDX-License-Identifier: GPL-2.0-only
//! What is wrong with a suite: only what is not so without the sanitizer, too.

use serde::Serialize;

use crate::selftests::read::Ran;

/// One suite with the sanitizer, compared with a run without it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Judged {
    /// Its name.
    pub name: &'static str,
    /// How many tests passed.
    pub passed: usize,
    /// Names of those that failed.
    pub failed: Vec<String>,
    /// Of those that skipped themselves, with the reason.
    pub skipped: Vec<String>,
    /// Titles of findings.
    pub findings: Vec<String>,
    /// Why findings are no surprise.
    pub foreign: Option<&'static str>,
    /// Warnings of the kernel.
    pub warnings: Vec<String>,
    /// Seconds that it took, with the sanitizer.
    pub seconds: f64,
    /// What failed or warned without the sanitizer, too.
    pub known: Vec<String>,
    /// What the sanitizer is to blame for, or has found; one sentence each.
    pub wrong: Vec<String>,
    /// Why nothing is known of it, or not all.
    pub broken: Option<String>,
}

/// Whether a suite has to be run without the sanitizer, too: there is something that may not be the sanitizer's doing.
pub fn is_doubtful(ran: &Ran) -> bool {
    !ran.failed.is_empty() || !ran.warnings.is_empty() || ran.broken.is_some()
}

/// Compares a run with one without the sanitizer, if there was one.
pub fn judge(ran: &Ran, without: Option<&Ran>) -> Judged {
    let mut known = Vec::new();
    let mut wrong = Vec::new();
    for failed in &ran.failed {
        let too = without.is_some_and(|w| w.failed.iter().any(|f| f.name == failed.name));
        match too {
            true => known.push(format!("{} fails", failed.name)),
            false => {
                wrong.push(format!("{} failed:", failed.name));
                wrong.extend(failed.lines.iter().map(|l| format!("  | {l}")));
            }
        }
    }
    let mut seen: Vec<&String> = Vec::new();
    for warning in &ran.warnings {
        if seen.contains(&warning) {
            continue;
        }
        seen.push(warning);
        match without.is_some_and(|w| w.warnings.contains(warning)) {
            true => known.push(format!("the kernel warns: {warning}")),
            false => wrong.push(format!("a new warning: {warning}")),
        }
    }
    if ran.suite.foreign.is_none() {
        wrong.extend(ran.findings.iter().map(|f| format!("found {f}")));
    }
    wrong.extend(counts(ran));
    let broken = match (&ran.broken, without.and_then(|w| w.broken.as_ref())) {
        (Some(why), Some(_)) => Some(format!("{why}; the same without the sanitizer")),
        (why, _) => why.clone(),
    };
    Judged {
        name: ran.suite.name,
        passed: ran.passed.len(),
        failed: ran.failed.iter().map(|f| f.name.clone()).collect(),
        skipped: ran.skipped.clone(),
        findings: ran.findings.clone(),
        foreign: ran.suite.foreign.filter(|_| !ran.findings.is_empty()),
        warnings: ran.warnings.clone(),
        seconds: ran.seconds,
        known,
        wrong,
        broken,
    }
}

/// Once a suite is done, as much has to be counted as before it. One that maps what is not its own may leave it mapped.
fn counts(ran: &Ran) -> Option<String> {
    let (before, after) = ran.counts?;
    let differs = match ran.suite.foreign {
        None => before != after,
        Some(_) => before.negative != after.negative,
    };
    differs.then(|| {
        format!(
            "the counts add up to {} after it ({} pages negative), {} before ({})",
            after.sum, after.negative, before.sum, before.negative
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Counts;
    use crate::ktap::Failed;
    use crate::selftests::suite::Suite;

    fn ran() -> Ran {
        Ran::new(Suite::find("io-pgtable-arm").unwrap())
    }

    fn failed(name: &str) -> Failed {
        Failed {
            name: name.to_owned(),
            lines: vec!["expected 1".to_owned()],
        }
    }

    #[test]
    fn what_is_the_same_without_the_sanitizer_is_not_wrong() {
        let with = Ran {
            failed: vec![failed("a"), failed("b")],
            warnings: vec!["w".into(), "v".into(), "w".into()],
            ..ran()
        };
        let without = Ran {
            failed: vec![failed("b")],
            warnings: vec!["v".into()],
            ..ran()
        };
        assert!(is_doubtful(&with) && !is_doubtful(&ran()));
        let judged = judge(&with, Some(&without));
        assert_eq!(judged.known, ["b fails", "the kernel warns: v"]);
        assert_eq!(
            judged.wrong,
            ["a failed:", "  | expected 1", "a new warning: w"]
        );
        // Nothing to compare with: all of it is.
        assert_eq!(judge(&with, None).wrong.len(), 6);
        assert!(judge(&without, Some(&without)).wrong.is_empty());
    }

    #[test]
    fn findings_are_wrong_unless_the_suite_makes_them() {
        let with = Ran {
            findings: vec!["free-while-mapped in f".into()],
            ..ran()
        };
        let judged = judge(&with, None);
        assert_eq!(judged.wrong, ["found free-while-mapped in f"]);
        let suite: &'static Suite = Box::leak(Box::new(Suite {
            foreign: Some("it maps what is not its own"),
            ..*with.suite
        }));
        let judged = judge(&Ran { suite, ..with }, None);
        assert!(judged.wrong.is_empty() && judged.foreign.is_some());
    }

    #[test]
    fn counts_have_to_be_as_before() {
        let counts = |sum, negative| Counts { sum, negative };
        let with = |before, after| Ran {
            counts: Some((before, after)),
            ..ran()
        };
        assert!(judge(&with(counts(7, 1), counts(7, 1)), None)
            .wrong
            .is_empty());
        assert_eq!(
            judge(&with(counts(7, 1), counts(8, 1)), None).wrong.len(),
            1
        );
        assert_eq!(
            judge(&with(counts(7, 0), counts(7, 1)), None).wrong.len(),
            1
        );
    }

    #[test]
    fn a_suite_without_an_end_is_neither_good_nor_bad() {
        let broken = Ran {
            broken: Some("no end".into()),
            ..ran()
        };
        assert!(is_doubtful(&broken));
        assert_eq!(judge(&broken, None).broken.unwrap(), "no end");
        let why = judge(&broken, Some(&broken)).broken.unwrap();
        assert_eq!(why, "no end; the same without the sanitizer");
    }
}
