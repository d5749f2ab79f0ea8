// SPDX-License-Identifier: GPL-2.0-only
//! The table of findings: one row for each bug of a step, and one for each step without any.

use super::{line, place, printable, Style};
use crate::class::Class;
use crate::group::{groups, Group};
use crate::model::{Finding, Report, Step};
use std::fmt::Write;

/// Writes the table.
pub(super) fn write_table(out: &mut String, report: &Report, style: Style) {
    if report.findings.is_empty() && report.steps.is_empty() {
        return;
    }
    let mut rows = vec![["step", "class", "where", "mapped in", "memory"].map(str::to_owned)];
    let began = |finding| report.step_of(finding).map(|step| step.line);
    let steps: Vec<_> = report.findings.iter().map(began).collect();
    let of = |step: Option<u64>| {
        let all = report.findings.iter().zip(&steps);
        let mine = all.filter(move |(_, began)| **began == step);
        groups(mine.map(|(finding, _)| finding))
    };
    rows.extend(of(None).iter().map(|group| row("-".to_owned(), group)));
    for step in &report.steps {
        let name = step_name(step);
        let groups = of(Some(step.line));
        rows.extend(groups.iter().map(|group| row(name.clone(), group)));
        if groups.is_empty() {
            rows.push([&name, "no findings", "-", "-", "-"].map(str::to_owned));
        }
    }
    // Without the section of mappings nobody knows.
    let known = report.findings.iter().any(|f| f.map_site().is_some());
    let mapped_in = 3;
    let columns: Vec<_> = (0..5).filter(|&at| known || at != mapped_in).collect();
    write_rows(out, &rows, &columns, style);
    line(out, "");
}

fn write_rows(out: &mut String, rows: &[[String; 5]], columns: &[usize], style: Style) {
    let length = |row: &[String; 5], at: usize| row[at].chars().count();
    let width = |at: usize| rows.iter().map(|row| length(row, at)).max().unwrap_or(0);
    let widths: Vec<_> = columns.iter().map(|&at| (at, width(at))).collect();
    for (number, row) in rows.iter().enumerate() {
        let cells = widths
            .iter()
            .map(|&(at, width)| format!("{:width$}", row[at]));
        let text = cells.collect::<Vec<_>>().join("  ");
        let text = text.trim_end();
        match number {
            0 => line(out, &style.paint("1", text)),
            _ => line(out, text),
        }
    }
}

fn row(step: String, group: &Group<'_>) -> [String; 5] {
    let (first, count) = (group.first(), group.findings().len());
    let cut = group.findings().iter().filter(|f| f.truncated).count();
    let mut class = printable(first.class.as_str()).into_owned();
    match (count, cut) {
        (1, 0) => {}
        (1, _) => class.push_str(" (cut)"),
        (_, 0) => {
            let _ = write!(class, " ({count} times)");
        }
        _ => {
            let _ = write!(class, " ({count} times, {cut} cut)");
        }
    }
    let name = |site: Option<_>| site.map_or_else(|| "-".to_owned(), place);
    [
        step,
        class,
        name(first.site.as_ref()),
        name(first.map_site()),
        memory_of(group),
    ]
}

/// Of the first, and how many others there are.
fn memory_of(group: &Group<'_>) -> String {
    let mut all: Vec<_> = group.findings().iter().map(|f| memory(f)).collect();
    let first = all[0].clone();
    all.sort_unstable();
    all.dedup();
    match all.len() - 1 {
        0 => first,
        more => format!("{first}, and {more} more"),
    }
}

/// Number and text of a step, and how it ended if not well.
pub(crate) fn step_name(step: &Step) -> String {
    let mut name = format!("{} {}", step.index, printable(&step.text));
    match step.rc {
        Some(0) => {}
        Some(rc) => {
            let _ = write!(name, " (exit {rc})");
        }
        None if step.ended => {}
        None => name.push_str(" (did not end)"),
    }
    name
}

/// What a finding is about: `0x11a04`, or `0x11a04-0x11a07 (4 of 8)`: the pages that are mapped, out of those of the
/// event. Of a domain only how many there are (`3 in 2 ranges`), of an object where it is, of the others what the
/// device knows: addresses of its own, or how many mappings it has.
pub(crate) fn memory(finding: &Finding) -> String {
    let facts = &finding.facts;
    match finding.class {
        Class::DomainLeak => {
            let ranges = facts.number("ranges").map(|n| plural(n, "range", "ranges"));
            let of = facts.number("pages").zip(ranges);
            return of.map_or("-".to_owned(), |(pages, ranges)| {
                format!("{pages} in {ranges}")
            });
        }
        Class::UnbindLeak => {
            let mappings = facts
                .number("mappings")
                .map(|n| plural(n, "mapping", "mappings"));
            let bytes = facts.number("bytes").map(|n| plural(n, "byte", "bytes"));
            return match (mappings, bytes) {
                (Some(mappings), Some(bytes)) => format!("{mappings}, {bytes}"),
                (mappings, bytes) => mappings.or(bytes).unwrap_or_else(|| "-".to_owned()),
            };
        }
        _ => {}
    }
    let known = |key| facts.value(key).filter(|value| !value.is_empty());
    if let Some(object) = known("object") {
        let text = match known("cache") {
            Some(cache) => format!("{object} ({cache})"),
            None => object.to_owned(),
        };
        return printable(&text).into_owned();
    }
    if let (Some(iova), None) = (known("iova"), known("pfn")) {
        return printable(&format!("iova {iova}")).into_owned();
    }
    pages(finding)
}

fn plural(number: u64, one: &str, more: &str) -> String {
    let noun = if number == 1 { one } else { more };
    format!("{number} {noun}")
}

fn pages(finding: &Finding) -> String {
    let facts = &finding.facts;
    let known = |key| {
        facts
            .value(key)
            .or(facts.value("pfn"))
            .filter(|value| !value.is_empty())
    };
    let (Some(first), Some(last)) = (known("first"), known("last")) else {
        return "-".to_owned();
    };
    let mut text = if first == last {
        first.to_owned()
    } else {
        format!("{first}-{last}")
    };
    if let (Some(mapped), Some(pages)) = (facts.value("mapped"), facts.value("pages")) {
        if pages != "1" {
            let _ = write!(text, " ({mapped} of {pages})");
        }
    }
    printable(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::{to_string, Style};
    use crate::parse;

    const BRIEF: Style = Style {
        color: false,
        brief: true,
    };

    fn table(log: &str) -> String {
        to_string(&parse(log.as_bytes()).unwrap(), BRIEF)
    }

    /// A report, whole or not.
    fn finding(site: &str, pfn: &str, end: &str) -> String {
        format!("BUG: DMASAN: free-while-mapped in {site}\n[pfn={pfn}]\n{end}\n")
    }

    const END: &str = "CPU: 0 UID: 0 PID: 1 Comm: a Not tainted 7.3.4\n\
        ==================================================================";

    #[test]
    fn what_repeats_is_one_row() {
        let log = [
            "dmasan: step a 1 begin x\n",
            &finding("f+0x1/0x2", "0x10", END),
            &finding("g+0x1/0x2", "0x10", END),
            &finding("f+0x1/0x2", "0x11", END),
            &finding("f+0x1/0x2", "0x10", ""),
            "dmasan: step a 1 end rc=0\n",
            &finding("f+0x1/0x2", "0x10", END),
            &finding("f+0x1/0x2", "0x10", END),
        ];
        let expected = "\
step  class                               where      memory
-     free-while-mapped (2 times)         f+0x1/0x2  0x10
1 x   free-while-mapped (3 times, 1 cut)  f+0x1/0x2  0x10, and 1 more
1 x   free-while-mapped                   g+0x1/0x2  0x10

6 findings in 2 places
at least one report is cut: the log may hide more
";
        assert_eq!(table(&log.concat()), expected);
    }

    #[test]
    fn other_places_that_mapped_are_other_rows() {
        let mapped = |by: &str| {
            let section = format!("mapped at:\n[iova=0x1]\n dma_map_phys+0x1/0x2\n {by}\n{END}");
            finding("f+0x1/0x2", "0x10", &section)
        };
        let log = [
            mapped("g+0x1/0x2 [m]"),
            mapped("h+0x1/0x2"),
            mapped("h+0x1/0x2"),
        ]
        .concat();
        let expected = "\
step  class                        where      mapped in      memory
-     free-while-mapped            f+0x1/0x2  g+0x1/0x2 [m]  0x10
-     free-while-mapped (2 times)  f+0x1/0x2  h+0x1/0x2      0x10

3 findings in 2 places
";
        assert_eq!(table(&log), expected);
    }

    #[test]
    fn what_it_is_about() {
        let row = |facts: &str| {
            let log = format!("BUG: DMASAN: {facts}\n{END}\n");
            let table = table(&log);
            let row = table.lines().nth(1).unwrap();
            row.split_once("  -  ").unwrap().1.trim().to_owned()
        };
        assert_eq!(
            row("object-free-while-mapped\n[object=0x10] [cache=kmalloc-8]"),
            "0x10 (kmalloc-8)"
        );
        assert_eq!(row("object-free-while-mapped\n[object=0x10]"), "0x10");
        assert_eq!(
            row("unbind-leak\n[mappings=1] [bytes=9000]"),
            "1 mapping, 9000 bytes"
        );
        assert_eq!(row("unbind-leak\n[bytes=x] [mappings=2]"), "2 mappings");
        assert_eq!(row("unbind-leak\n[device=x]"), "-");
        assert_eq!(row("bad-unmap\n[iova=0x1000]"), "iova 0x1000");
        assert_eq!(row("dma-after-unmap\n[iova=\x1b[31m]"), "-");
    }
}
