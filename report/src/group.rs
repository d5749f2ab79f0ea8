// SPDX-License-Identifier: GPL-2.0-only
//! Findings that are the same bug: one class, one place in the code, one place that mapped the memory.

use crate::class::Class;
use crate::mapping::Mapping;
use crate::model::{Finding, Origin, Site};

impl Finding {
    /// Who mapped the memory: of the first mapping for which it is known.
    pub fn map_site(&self) -> Option<&Site> {
        self.mappings.iter().find_map(Mapping::site)
    }

    /// What tells bugs apart. Without a place there is only the title.
    fn key(&self) -> (Origin, &Class, Result<&Site, &str>, Option<&Site>) {
        let site = self.site.as_ref().ok_or(self.title.as_str());
        (self.origin, &self.class, site, self.map_site())
    }
}

/// Findings that are the same bug, by place in the log; there is at least one.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    findings: Vec<&'a Finding>,
}

impl<'a> Group<'a> {
    /// The first, which speaks for all.
    pub fn first(&self) -> &'a Finding {
        self.findings[0]
    }

    /// All of them.
    pub fn findings(&self) -> &[&'a Finding] {
        &self.findings
    }
}

/// Puts the same bugs together, in the order in which each was first seen.
pub fn groups<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for finding in findings {
        let same = |group: &&mut Group<'a>| group.first().key() == finding.key();
        match groups.iter_mut().find(same) {
            Some(group) => group.findings.push(finding),
            None => groups.push(Group {
                findings: vec![finding],
            }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::groups;
    use crate::parse;
    use rstest::rstest;

    const LOG: &str = "\
BUG: DMASAN: free-while-mapped in f+0x1/0x9 [m]
mapped at:
[device=0000:00:03.0]
 dma_map_phys+0x1/0x2
 g+0x1/0x9 [m]
==================================================================
";

    #[rstest]
    #[case::same("", "", &[2])]
    #[case::other_class("free-", "alloc-", &[1, 1])]
    #[case::other_place("f+0x1/", "f+0x2/", &[1, 1])]
    #[case::other_map("g+0x1/", "h+0x1/", &[1, 1])]
    #[case::other_way_to_the_map("dma_map_phys", "dma_map_page_attrs", &[2])]
    #[case::other_device(":03.0", ":04.0", &[2])]
    #[case::no_place("f+0x1/0x9 [m]", "", &[1, 1])]
    fn what_is_the_same(#[case] from: &str, #[case] to: &str, #[case] expected: &[usize]) {
        let log = format!("{LOG}{}", LOG.replacen(from, to, 1));
        let report = parse(log.as_bytes()).unwrap();
        assert_eq!(report.findings.len(), 2);
        let groups = groups(&report.findings);
        let counts: Vec<_> = groups.iter().map(|group| group.findings().len()).collect();
        assert_eq!(counts, expected);
        assert_eq!(groups[0].first(), &report.findings[0]);
    }

    #[test]
    fn without_a_place_the_title_tells() {
        let log = "BUG: DMASAN: x\nBUG: DMASAN: y\nBUG: DMASAN: x\n";
        let report = parse(log.as_bytes()).unwrap();
        assert_eq!(groups(&report.findings).len(), 2);
    }
}
