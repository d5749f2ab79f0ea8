// SPDX-License-Identifier: GPL-2.0-only
//! What is worth keeping of the output of a command that fails: its last lines, and its first error, behind which
//! others at work may have gone on for long (`make -j`).

use std::collections::VecDeque;

/// How many of the last lines are kept.
pub const TAIL: usize = 40;

/// How many lines are kept from the first error on.
const ERROR: usize = 16;

/// What was kept until now.
#[derive(Default, Debug)]
pub struct Last {
    error: Vec<String>,
    /// How many lines have come since the first error.
    since: usize,
    tail: VecDeque<String>,
}

impl Last {
    /// Takes the next line; empty ones are not worth it.
    pub fn push(&mut self, line: String) {
        if line.trim().is_empty() {
            return;
        }
        if !self.error.is_empty() || is_error(&line) {
            self.since += 1;
            if self.error.len() < ERROR {
                self.error.push(line.clone());
            }
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// The lines to show.
    pub fn lines(self) -> Vec<String> {
        let missing = self.since.saturating_sub(self.tail.len());
        let mut lines: Vec<String> = self.error.into_iter().take(missing).collect();
        if missing > lines.len() {
            lines.push("...".to_owned());
        }
        lines.extend(self.tail);
        lines
    }
}

/// Whether a compiler, a linker or modpost calls it an error. What make says of it comes later, and says less.
fn is_error(line: &str) -> bool {
    let line = line.trim_start();
    ["error: ", "error[", "ERROR: "]
        .iter()
        .any(|s| line.starts_with(s))
        || line.contains(": error: ")
        || line.contains(": fatal error: ")
        || line.contains(": undefined reference to ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut last = Last::default();
        lines.into_iter().for_each(|l| last.push(l));
        last.lines()
    }

    fn objects(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
        range.map(|n| format!("  CC      {n}.o"))
    }

    const BAD: &str = "error[E0716]: temporary value dropped while borrowed";

    #[test]
    fn only_the_last_lines_are_kept() {
        let lines: Vec<String> = objects(0..100).collect();
        assert_eq!(shown(lines.clone()), lines[100 - TAIL..]);
        assert_eq!(shown([String::new(), " ".into(), "x".into()]), ["x"]);
    }

    #[test]
    fn the_first_error_stays_however_long_others_go_on() {
        let bad = || std::iter::once(BAD.to_owned());
        let lines = shown(objects(0..9).chain(bad()).chain(objects(0..100)));
        assert_eq!(lines[0], BAD);
        assert_eq!(lines[1..ERROR], objects(0..ERROR - 1).collect::<Vec<_>>());
        assert_eq!(lines[ERROR], "...");
        assert_eq!(
            lines[ERROR + 1..],
            objects(100 - TAIL..100).collect::<Vec<_>>()
        );
    }

    #[test]
    fn no_line_is_shown_twice() {
        for after in 0..2 * TAIL {
            let bad = std::iter::once(BAD.to_owned());
            let lines = shown(objects(0..50).chain(bad).chain(objects(50..50 + after)));
            let mut seen = std::collections::HashSet::new();
            assert!(lines.iter().all(|l| seen.insert(l)), "{after}: {lines:?}");
            assert!(lines.iter().any(|l| l == BAD), "{after}");
            let gap = after > TAIL - 1 + ERROR;
            assert_eq!(lines.iter().any(|l| l == "..."), gap, "{after}");
        }
    }

    #[test]
    fn errors_are_those_of_the_tools_that_build() {
        for error in [
            "drivers/x.c:3:1: error: expected ';'",
            "x.c:1:10: fatal error: no.h: No such file or directory",
            "ERROR: modpost: \"f\" [x.ko] undefined!",
            "ld: x.o: in function `f': x.c:1: undefined reference to `g'",
            "error: aborting due to 1 previous error",
        ] {
            assert!(is_error(error), "{error}");
        }
        for other in [
            "  CC      lib/error.o",
            "make: *** [Makefile:260: __sub-make] Error 2",
            "x.c:3:1: warning: unused variable `error`",
        ] {
            assert!(!is_error(other), "{other}");
        }
    }
}
