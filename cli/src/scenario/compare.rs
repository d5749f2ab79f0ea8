// SPDX-License-Identifier: GPL-2.0-only
//! What a guest found, against what a scenario says that it has to find.

use dmasan_report::{Finding, Report, Warning};

use crate::kernel::Flavor;
use crate::scenario::{Expected, Step};

/// Compares what was found in one step with what has to be; each difference is a sentence.
pub fn compare(step: &Step, flavor: Flavor, found: &[&Finding]) -> Vec<String> {
    match flavor {
        Flavor::Rust => compare_exactly(&step.findings, found),
        Flavor::C => compare_reference(step.reference, found),
        Flavor::None | Flavor::DmaApiDebug => compare_exactly(&[], found),
    }
}

fn compare_exactly<'a>(expected: &'a [Expected], found: &[&Finding]) -> Vec<String> {
    let mut wrong = Vec::new();
    let each = |e: &'a Expected| std::iter::repeat_n(e, e.times);
    let expected: Vec<&Expected> = expected.iter().flat_map(each).collect();
    for (number, expected) in expected.iter().enumerate() {
        match found.get(number) {
            None => wrong.push(format!(
                "finding {} is missing: {}",
                number + 1,
                expected.class
            )),
            Some(finding) => wrong.extend(differences(expected, finding)),
        }
    }
    for finding in found.iter().skip(expected.len()) {
        wrong.push(format!("one finding too many: {}", finding.title));
    }
    wrong
}

fn differences(expected: &Expected, finding: &Finding) -> Vec<String> {
    let mut wrong = Vec::new();
    if finding.class.as_str() != expected.class {
        wrong.push(format!("{} instead of {}", finding.title, expected.class));
    }
    let symbol = finding
        .site
        .as_ref()
        .map_or("nothing", |s| s.symbol.as_str());
    if expected
        .symbol
        .as_ref()
        .is_some_and(|wanted| wanted != symbol)
    {
        let wanted = expected.symbol.as_deref().unwrap_or("");
        wrong.push(format!(
            "`{}` names {symbol} instead of {wanted}",
            finding.title
        ));
    }
    for (key, wanted) in &expected.facts {
        let got = finding.facts.value(key).unwrap_or("nothing");
        if got != wanted {
            wrong.push(format!(
                "`{}`: {key} is {got} instead of {wanted}",
                finding.title
            ));
        }
    }
    if let Some(mapper) = &expected.mapper {
        let mut frames = finding.mappings.iter().flat_map(|m| &m.frames);
        if !frames.any(|f| f.site.symbol == *mapper) {
            wrong.push(format!("`{}`: {mapper} is in no mapping", finding.title));
        }
    }
    if finding.truncated {
        wrong.push(format!("`{}` is cut", finding.title));
    }
    wrong
}

fn compare_reference(least: usize, found: &[&Finding]) -> Vec<String> {
    match (least, found.len()) {
        (0, 0) => vec![],
        (0, n) => vec![format!("{n} reports of the reference instead of none")],
        (least, n) if n < least => vec![format!(
            "{n} reports of the reference instead of {least} or more"
        )],
        _ => vec![],
    }
}

/// Compares the kernel's warnings in one step with what has to be. The reference warns of its own counting in places
/// of its file; with a kernel of ours only those are right that the kernel has for the bug of the step.
pub fn compare_warnings(step: &Step, flavor: Flavor, printed: &[&Warning]) -> Vec<String> {
    let of_reference = |w: &&&Warning| w.text.contains("iommu-debug-pagealloc.c");
    if flavor != Flavor::C {
        let mut wrong: Vec<String> = printed.iter().map(|w| w.text.clone()).collect();
        return match wrong.len() {
            n if n == step.warns => vec![],
            n if n > step.warns => wrong.split_off(step.warns),
            n => vec![format!(
                "{n} warnings of the kernel instead of {}",
                step.warns
            )],
        };
    }
    let (least, number) = (
        step.reference_warns,
        printed.iter().filter(of_reference).count(),
    );
    match (least, number) {
        (0, 0) => vec![],
        (0, n) => vec![format!("{n} warnings of the reference instead of none")],
        (least, n) if n < least => vec![format!(
            "{n} warnings of the reference instead of {least} or more"
        )],
        _ => vec![],
    }
}

/// Findings and warnings that belong to no step: nobody expects those, but for warnings of the reference.
pub fn outside(report: &Report, flavor: Flavor) -> Vec<String> {
    let findings = report.findings.iter().filter(|f| f.step.is_none());
    let warnings = report.warnings.iter().filter(|w| w.step.is_none());
    let warnings = warnings.filter(|_| flavor != Flavor::C);
    findings
        .map(|f| f.title.as_str())
        .chain(warnings.map(|w| w.text.as_str()))
        .map(|text| format!("outside of the steps: {text}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::{scenario, TEXT};

    fn finding(log: &str) -> Finding {
        let log = format!(
            "[    1.000000] {}\n",
            log.replace('\n', "\n[    1.000000] ")
        );
        dmasan_report::parse(log.as_bytes())
            .unwrap()
            .findings
            .remove(0)
    }

    fn found() -> Finding {
        let ruler = "=".repeat(66);
        finding(&format!(
            "{ruler}\nBUG: DMASAN: free-while-mapped in f+0x1/0x2\n[order=0]\n{ruler}"
        ))
    }

    #[test]
    fn findings_have_to_be_the_expected_ones() {
        let step = &scenario(TEXT).steps[0];
        let found = found();
        assert_eq!(compare(step, Flavor::Rust, &[&found]), Vec::<String>::new());
        assert_eq!(
            compare(step, Flavor::Rust, &[]),
            ["finding 1 is missing: free-while-mapped"]
        );
        let twice = compare(step, Flavor::Rust, &[&found, &found]);
        assert!(twice[0].starts_with("one finding too many"), "{twice:?}");
        let mut other = step.clone();
        other.findings[0].symbol = Some("g".into());
        other.findings[0].facts.insert("order".into(), "3".into());
        assert_eq!(compare(&other, Flavor::Rust, &[&found]).len(), 2);
    }

    #[test]
    fn a_leak_of_a_domain_can_be_expected() {
        let text = TEXT.replace("free-while-mapped", "domain-leak");
        let step = |facts| {
            scenario(&text.replace("order = \"0\"", facts))
                .steps
                .remove(0)
        };
        let ruler = "=".repeat(66);
        let found = finding(&format!(
            "{ruler}\nBUG: DMASAN: domain-leak in f+0x1/0x2\n[pages=3] [ranges=2]\n\nstill mapped:\n \
             [iova=0x1000] [phys=0x2000] [size=0x1000]\n{ruler}"
        ));
        let same = step("pages = \"3\", ranges = \"2\"");
        assert_eq!(
            compare(&same, Flavor::Rust, &[&found]),
            Vec::<String>::new()
        );
        // What a range says is no fact.
        let other = step("pages = \"4\", size = \"0x1000\"");
        let wrong = compare(&other, Flavor::Rust, &[&found]);
        assert_eq!(
            wrong,
            [
                "`domain-leak in f+0x1/0x2`: pages is 3 instead of 4",
                "`domain-leak in f+0x1/0x2`: size is nothing instead of 0x1000"
            ]
        );
    }

    #[test]
    fn findings_can_be_expected_several_times() {
        let text = TEXT.replace("findings = [{ ", "findings = [{ times = 2, ");
        let step = &scenario(&text).steps[0];
        let found = found();
        assert!(compare(step, Flavor::Rust, &[&found, &found]).is_empty());
        assert_eq!(
            compare(step, Flavor::Rust, &[&found]),
            ["finding 2 is missing: free-while-mapped"]
        );
        let thrice = compare(step, Flavor::Rust, &[&found; 3]);
        assert!(thrice[0].starts_with("one finding too many"), "{thrice:?}");
    }

    #[test]
    fn the_reference_may_say_more() {
        let mut step = scenario(TEXT).steps[0].clone();
        let found = found();
        assert!(compare(&step, Flavor::C, &[&found, &found]).is_empty());
        assert_eq!(compare(&step, Flavor::C, &[]).len(), 1);
        step.reference = 0;
        assert_eq!(compare(&step, Flavor::C, &[&found]).len(), 1);
    }

    #[test]
    fn a_mapper_has_to_be_in_a_mapping() {
        let mut step = scenario(TEXT).steps[0].clone();
        step.findings[0].mapper = Some("g".to_owned());
        let ruler = "=".repeat(66);
        let found = finding(&format!(
            "{ruler}\nBUG: DMASAN: free-while-mapped in f+0x1/0x2\n[order=0]\n\n\
             mapped at:\n[driver=edu]\n h+0x1/0x2\n g+0x1/0x2\n\n{ruler}"
        ));
        assert_eq!(
            compare(&step, Flavor::Rust, &[&found]),
            Vec::<String>::new()
        );
        step.findings[0].mapper = Some("f".to_owned());
        assert_eq!(compare(&step, Flavor::Rust, &[&found]).len(), 1);
    }

    #[test]
    fn the_kernel_warns_as_often_as_it_has_to() {
        let mut step = scenario(TEXT).steps[0].clone();
        let warning = Warning {
            text: "WARNING: drivers/iommu/dma-iommu.c:1 at f+0x1/0x2".to_owned(),
            line: 1,
            time_us: None,
            step: Some(1),
        };
        step.warns = 1;
        let wrong = |printed: &[&Warning]| compare_warnings(&step, Flavor::Rust, printed).len();
        assert_eq!(wrong(&[]), 1);
        assert_eq!(wrong(&[&warning]), 0);
        assert_eq!(wrong(&[&warning, &warning]), 1);
    }

    #[test]
    fn only_the_reference_may_warn() {
        let mut step = scenario(TEXT).steps[0].clone();
        let warning = |text: &str| Warning {
            text: text.to_owned(),
            line: 1,
            time_us: None,
            step: Some(1),
        };
        let own = warning("WARNING: drivers/iommu/iommu-debug-pagealloc.c:60 at f+0x1/0x2");
        let other = warning("WARNING: mm/page_alloc.c:1 at f+0x1/0x2");
        let wrong = |step: &Step, flavor, warnings: &[&Warning]| {
            compare_warnings(step, flavor, warnings).len()
        };
        assert_eq!(wrong(&step, Flavor::Rust, &[]), 0);
        assert_eq!(wrong(&step, Flavor::Rust, &[&other]), 1);
        assert_eq!(wrong(&step, Flavor::C, &[&other]), 0);
        assert_eq!(wrong(&step, Flavor::C, &[&own]), 1);
        step.reference_warns = 2;
        assert_eq!(wrong(&step, Flavor::C, &[&own, &other]), 1);
        assert_eq!(wrong(&step, Flavor::C, &[&own, &own, &own]), 0);
        assert_eq!(wrong(&step, Flavor::Rust, &[&own]), 1);
    }
}
