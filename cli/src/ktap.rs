// SPDX-License-Identifier: GPL-2.0-only
//! Reads the results of one KUnit suite (KTAP) out of a kernel log.

/// Results of a suite.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Suite {
    /// Cases that passed.
    pub passed: Vec<String>,
    /// Cases that failed.
    pub failed: Vec<String>,
    /// Cases that were not run, with the reason.
    pub skipped: Vec<String>,
    /// How many cases the suite announced.
    pub planned: Option<usize>,
    /// The suite's own result, if the log has its end.
    pub ok: Option<bool>,
}

/// Finds a suite by its name; none if it did not run.
///
/// KTAP inside the kernel log: `# Subtest: NAME`, a plan `1..N`, `ok 1 case` or `not ok 1 case` indented once, then the
/// suite's result without indentation. Other lines of the kernel stand between.
pub fn suite(log: &str, name: &str) -> Option<Suite> {
    let lines: Vec<&str> = log.lines().map(message).collect();
    let title = format!("# Subtest: {name}");
    let begin = lines.iter().position(|l| l.trim() == title)?;
    let mut suite = Suite::default();
    for line in &lines[begin + 1..] {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim();
        if indent == 4 && text.starts_with("1..") {
            suite.planned = text[3..].parse().ok();
        }
        let Some((ok, case)) = result(text) else {
            continue;
        };
        match indent {
            0 if case == name => {
                suite.ok = Some(ok);
                return Some(suite);
            }
            4 if case.contains("# SKIP") => suite.skipped.push(case.to_owned()),
            4 if ok => suite.passed.push(case.to_owned()),
            4 => suite.failed.push(case.to_owned()),
            // Parameters of a case are one level deeper; the case has their sum.
            _ => {}
        }
    }
    Some(suite)
}

/// A line without its time stamp, its indentation kept.
fn message(line: &str) -> &str {
    let line = line.trim_end();
    match line.strip_prefix('[').and_then(|l| l.split_once("] ")) {
        Some((_, rest)) => rest,
        None => line,
    }
}

/// `ok 1 name` or `not ok 1 name`.
fn result(text: &str) -> Option<(bool, &str)> {
    let (ok, rest) = match text.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok ")?),
    };
    let (number, name) = rest.split_once(' ')?;
    number.parse::<u32>().ok()?;
    Some((ok, name.strip_prefix("- ").unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
[    1.1] KTAP version 1
[    1.1] 1..2
[    1.1]     KTAP version 1
[    1.1]     # Subtest: other
[    1.1]     1..1
[    1.1]     not ok 1 x
[    1.1] not ok 1 other
[    1.1]     KTAP version 1
[    1.1]     # Subtest: mine
[    1.1]     # module: y
[    1.1]     1..3
[    1.2]     ok 1 test_a
[    1.2] BUG: DMASAN: something
[    1.2]         ok 1 parameter
[    1.2]     not ok 2 test_b
[    1.2]     ok 3 test_c # SKIP no page
[    1.3] # mine: pass:1 fail:1 skip:1 total:3
[    1.3] not ok 2 mine
";

    #[test]
    fn one_suite_of_two() {
        let suite = suite(LOG, "mine").unwrap();
        assert_eq!(suite.passed, ["test_a"]);
        assert_eq!(suite.failed, ["test_b"]);
        assert_eq!(suite.skipped, ["test_c # SKIP no page"]);
        assert_eq!((suite.planned, suite.ok), (Some(3), Some(false)));
    }

    #[test]
    fn a_suite_that_is_missing_or_cut() {
        assert_eq!(suite(LOG, "min"), None);
        let cut = &LOG[..LOG.find("not ok 2 test_b").unwrap()];
        assert_eq!(suite(cut, "mine").unwrap().ok, None);
    }
}
