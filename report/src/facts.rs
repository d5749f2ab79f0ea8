// SPDX-License-Identifier: GPL-2.0-only
//! Reads a report's line of `[key=value]` facts.

use dmasan_engine::report::parse_facts;

/// The facts of a line that holds nothing else; none for any other line. The engine, which writes them, reads them.
pub(crate) fn facts(text: &str) -> Option<Vec<(&str, &str)>> {
    is_facts_line(text.trim()).then(|| parse_facts(text).collect())
}

/// Nothing but pairs in brackets, with blanks between: not an ordinary message with a bracket in it.
fn is_facts_line(mut rest: &str) -> bool {
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let Some((fact, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        else {
            return false;
        };
        if fact.starts_with('=') || !fact.contains('=') || fact.contains([' ', '[']) {
            return false;
        }
        rest = after.trim_start();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::facts;
    use rstest::rstest;

    #[rstest]
    #[case("[pfn=0x11a04] [order=0] [task=insmod/71]", Some(vec![("pfn", "0x11a04"), ("order", "0"), ("task", "insmod/71")]))]
    #[case("[a=][b=x=y]", Some(vec![("a", ""), ("b", "x=y")]))]
    #[case("", None)]
    #[case("[pfn=1] and more", None)]
    #[case("[pfn]", None)]
    #[case("[=1]", None)]
    #[case("[pfn=1", None)]
    #[case("[a b=1]", None)]
    fn lines(#[case] text: &str, #[case] expected: Option<Vec<(&str, &str)>>) {
        assert_eq!(facts(text), expected);
    }
}
