// SPDX-License-Identifier: GPL-2.0-only
//! Reads a report's line of `[key=value]` facts.

/// The facts of a line that holds nothing else; none for any other line.
pub(crate) fn facts(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = text.trim();
    let mut facts = Vec::new();
    while !rest.is_empty() {
        let (fact, after) = rest.strip_prefix('[')?.split_once(']')?;
        let (key, value) = fact.split_once('=')?;
        if key.is_empty() || fact.contains([' ', '[']) {
            return None;
        }
        facts.push((key, value));
        rest = after.trim_start();
    }
    (!facts.is_empty()).then_some(facts)
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
