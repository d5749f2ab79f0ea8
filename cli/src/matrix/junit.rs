// SPDX-License-Identifier: GPL-2.0-only
//! Results as JUnit XML: what did not run is an error, what cannot be is skipped, each with its reason.

use std::io;

use dmasan_report::text::printable;
use quick_xml::events::{BytesDecl, BytesText, Event};
use quick_xml::Writer;

use crate::cell::{CellResult, Kind, Outcome};
use crate::matrix::results::Results;

/// Writes results, indented, with a line end.
pub fn to_string(results: &Results) -> String {
    cells("dmasan matrix", &results.begun, &results.results)
}

/// The same of what was run under another name.
pub fn cells(name: &str, begun: &str, results: &[CellResult]) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Memory takes all that is written to it, and it is text that is written.
    write(&mut writer, name, begun, results).expect("memory can be written");
    let mut text = String::from_utf8(writer.into_inner()).expect("XML of strings is text");
    text.push('\n');
    text
}

fn write(
    writer: &mut Writer<Vec<u8>>,
    name: &str,
    begun: &str,
    results: &[CellResult],
) -> io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let counts = counts(&results.iter().collect::<Vec<_>>());
    writer
        .create_element("testsuites")
        .with_attribute(("name", name))
        .with_attributes(counts.iter().map(|(n, v)| (*n, v.as_str())))
        .write_inner_content(|writer| {
            for kind in Kind::ALL {
                let of_kind = results.iter().filter(|r| r.cell.kind == kind);
                let cases: Vec<_> = of_kind.collect();
                if !cases.is_empty() {
                    suite(writer, kind, begun, &cases)?;
                }
            }
            Ok(())
        })?;
    Ok(())
}

fn counts(cases: &[&CellResult]) -> [(&'static str, String); 5] {
    let count = |word: &str| {
        let with = cases.iter().filter(|r| r.outcome.word() == word);
        with.count().to_string()
    };
    let seconds: f64 = cases.iter().map(|r| r.seconds).sum();
    [
        ("tests", cases.len().to_string()),
        ("failures", count("failed")),
        ("errors", count("not run")),
        ("skipped", count("impossible")),
        ("time", format!("{seconds:.3}")),
    ]
}

fn suite(
    writer: &mut Writer<Vec<u8>>,
    kind: Kind,
    begun: &str,
    cases: &[&CellResult],
) -> io::Result<()> {
    let counts = counts(cases);
    writer
        .create_element("testsuite")
        .with_attribute(("name", kind.name()))
        .with_attributes(counts.iter().map(|(n, v)| (*n, v.as_str())))
        .with_attribute(("timestamp", begun.trim_end_matches('Z')))
        .write_inner_content(|writer| cases.iter().try_for_each(|r| case(writer, r)))?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, result: &CellResult) -> io::Result<()> {
    let cell = &result.cell;
    let class = format!("{}.{}.{}", cell.kind, cell.column(), cell.flavor);
    let name = match cell.param.as_str() {
        "" => cell.name.clone(),
        param => format!("{}/{param}", cell.name),
    };
    let element = writer
        .create_element("testcase")
        .with_attribute(("classname", class.as_str()))
        .with_attribute(("name", name.as_str()))
        .with_attribute(("time", format!("{:.3}", result.seconds).as_str()));
    let (tag, kind) = match result.outcome {
        Outcome::Passed => {
            element.write_empty()?;
            return Ok(());
        }
        Outcome::Failed(_) => ("failure", "wrong"),
        Outcome::NotRun(_) => ("error", "not-run"),
        Outcome::Impossible(_) => ("skipped", "impossible"),
    };
    // Logs may hold what XML cannot.
    let lines: Vec<_> = result
        .outcome
        .why()
        .lines()
        .map(|l| printable(l).into_owned())
        .collect();
    element.write_inner_content(|writer| {
        let first = lines.first().map_or("", String::as_str);
        let element = writer
            .create_element(tag)
            .with_attribute(("type", kind))
            .with_attribute(("message", first));
        match lines.len() {
            0 | 1 => element.write_empty()?,
            _ => element.write_text_content(BytesText::new(&lines.join("\n")))?,
        };
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::matrix::results::tests::sample;

    #[test]
    fn each_outcome_has_its_place() {
        insta::assert_snapshot!(super::to_string(&sample(1)));
        insta::assert_snapshot!(super::to_string(&sample(2)));
    }
}
