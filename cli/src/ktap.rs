// SPDX-License-Identifier: GPL-2.0-only
//! Reads the results of tests: of a KUnit suite (KTAP) in a kernel log, of a program of the kernel's selftests (TAP).

/// How many lines are kept of what stands before a failed case.
const LINES: usize = 12;

/// A case that failed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Failed {
    /// Its name.
    pub name: String,
    /// The last lines between the result of the case before and its own.
    pub lines: Vec<String>,
}

/// Results of a suite.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Suite {
    /// Cases that passed.
    pub passed: Vec<String>,
    /// Cases that failed.
    pub failed: Vec<Failed>,
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
    let mut since = Vec::new();
    for line in &lines[begin + 1..] {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim();
        if indent == 4 && text.starts_with("1..") {
            suite.planned = text[3..].parse().ok();
        }
        match (indent, result(text)) {
            (0, Some((ok, case))) if case == name => {
                suite.ok = Some(ok);
                return Some(suite);
            }
            (4, Some((ok, case))) => suite.take(ok, case, &mut since),
            // Parameters of a case are one level deeper; the case has their sum.
            _ => since.push(text),
        }
    }
    Some(suite)
}

/// Reads what a program of the kernel's selftests has printed: a plan, results, and lines of its own.
pub fn program(lines: &[&str]) -> Suite {
    let mut suite = Suite::default();
    let mut since = Vec::new();
    for line in lines {
        if let Some(plan) = line.strip_prefix("1..") {
            suite.planned = plan.parse().ok();
        }
        match result(line) {
            Some((ok, case)) => suite.take(ok, case, &mut since),
            None => since.push(line),
        }
        // The last line is the sum.
        if line.starts_with("# Totals: ") {
            suite.ok = Some(suite.failed.is_empty());
        }
    }
    suite
}

impl Suite {
    /// Takes the result of a case, and the lines before it.
    fn take(&mut self, ok: bool, case: &str, since: &mut Vec<&str>) {
        let lines = std::mem::take(since);
        if case.contains("# SKIP") {
            self.skipped.push(case.to_owned());
        } else if ok {
            self.passed.push(case.to_owned());
        } else {
            let lines = &lines[lines.len().saturating_sub(LINES)..];
            self.failed.push(Failed {
                name: case.to_owned(),
                lines: lines.iter().map(|l| (*l).to_owned()).collect(),
            });
        }
    }
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
        let failed = &suite.failed[0];
        assert_eq!((suite.failed.len(), failed.name.as_str()), (1, "test_b"));
        assert_eq!(failed.lines, ["BUG: DMASAN: something", "ok 1 parameter"]);
        assert_eq!(suite.skipped, ["test_c # SKIP no page"]);
        assert_eq!((suite.planned, suite.ok), (Some(3), Some(false)));
    }

    #[test]
    fn a_suite_that_is_missing_or_cut() {
        assert_eq!(suite(LOG, "min"), None);
        let cut = &LOG[..LOG.find("not ok 2 test_b").unwrap()];
        assert_eq!(suite(cut, "mine").unwrap().ok, None);
    }

    #[test]
    fn a_program_with_all_results() {
        let lines = [
            "TAP version 13",
            "1..4",
            "# Starting 4 tests from 2 test cases.",
            "ok 1 a.x",
            "# file.c:7:y:Expected 1 (1) == 2 (2)",
            "# y: Test terminated by assertion",
            "not ok 2 a.y",
            "ok 3 a.z # SKIP no memory",
            "ok 4 b.x",
            "# FAILED: 3 / 4 tests passed.",
            "# Totals: pass:2 fail:1 xfail:0 xpass:0 skip:1 error:0",
        ];
        let suite = program(&lines);
        assert_eq!(suite.passed, ["a.x", "b.x"]);
        assert_eq!(suite.skipped, ["a.z # SKIP no memory"]);
        assert_eq!(suite.failed[0].name, "a.y");
        assert_eq!(suite.failed[0].lines, &lines[4..6]);
        assert_eq!((suite.planned, suite.ok), (Some(4), Some(false)));
        assert_eq!(program(&lines[..9]).ok, None);
    }
}
