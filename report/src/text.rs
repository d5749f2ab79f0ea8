// SPDX-License-Identifier: GPL-2.0-only
//! A report for eyes: every finding in full, then a table of them. The same report gives the same text.

use crate::group::groups;
use crate::model::{BootState, Finding, Report, Site, SourceLine};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

mod table;

pub(crate) use table::{memory, step_name};

/// How to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// With terminal colours.
    pub color: bool,
    /// The table only, without the findings' text.
    pub brief: bool,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        match self.color {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn quiet(self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// Writes a report.
pub fn to_string(report: &Report, style: Style) -> String {
    let mut out = String::new();
    if !style.brief {
        for (number, finding) in report.findings.iter().enumerate() {
            write_finding(&mut out, report, finding, number + 1, style);
        }
    }
    write_events(&mut out, report, style);
    table::write_table(&mut out, report, style);
    write_summary(&mut out, report, style);
    out
}

/// A finding's heading, its lines, and what is missing of it.
fn write_finding(
    out: &mut String,
    report: &Report,
    finding: &Finding,
    number: usize,
    style: Style,
) {
    let heading = format!(
        "finding {number} of {}: {}",
        report.findings.len(),
        headline(finding)
    );
    line(out, &style.bad(&heading));
    let mut place = format!("log line {}", finding.line);
    if let Some(time) = finding.time_us {
        let _ = write!(place, ", {} s after boot", seconds(time));
    }
    if let Some(step) = report.step_of(finding) {
        let _ = write!(place, ", step {}: {}", step.index, printable(&step.text));
    }
    line(out, &style.quiet(&format!("  {place}")));
    line(out, "");
    write_lines(out, finding);
    if finding.raw_dropped > 0 {
        line(
            out,
            &format!("[{} more lines of it are not kept]", finding.raw_dropped),
        );
    }
    if let Some(cut) = finding.cut {
        line(
            out,
            &style.bad(&format!(
                "[cut at line {} of the log: {}]",
                cut.line, cut.by
            )),
        );
    }
    line(out, "");
}

/// The lines of a report, with places in the source if they are known.
pub(crate) fn write_lines(out: &mut String, finding: &Finding) {
    let sources: HashMap<&str, &[SourceLine]> = finding
        .frames()
        .filter(|frame| !frame.source.is_empty())
        .map(|frame| (frame.raw.as_str(), frame.source.as_slice()))
        .collect();
    for raw in &finding.raw {
        let raw = raw.trim_end();
        match sources.get(raw) {
            Some(source) => write_frame(out, raw, source),
            None => line(out, printable(raw).trim_end()),
        }
    }
}

/// A frame with its file and line. Calls that were inlined there come first, as they are further in.
fn write_frame(out: &mut String, raw: &str, source: &[SourceLine]) {
    let Some((own, inlined)) = source.split_last() else {
        return line(out, &printable(raw));
    };
    for inner in inlined {
        let name = demangled(&inner.function);
        line(
            out,
            &format!(" {} (inlined)  {}", printable(&name), source_place(inner)),
        );
    }
    line(out, &format!("{}  {}", printable(raw), source_place(own)));
}

/// `drivers/iommu/iommu.c:2655`; a dash where the debug information has no file.
pub fn source_place(source: &SourceLine) -> String {
    let Some(file) = &source.file else {
        return "-".to_owned();
    };
    match source.line {
        Some(line) => format!("{}:{line}", printable(file)),
        None => printable(file).into_owned(),
    }
}

/// Trouble and warnings of the kernel.
fn write_events(out: &mut String, report: &Report, style: Style) {
    for trouble in &report.trouble {
        let text = format!(
            "kernel trouble, log line {}: {}",
            trouble.line,
            printable(&trouble.text)
        );
        line(out, &style.bad(&text));
    }
    for warning in &report.warnings {
        line(
            out,
            &format!(
                "kernel warning, log line {}: {}",
                warning.line,
                printable(&warning.text)
            ),
        );
    }
    if !report.trouble.is_empty() || !report.warnings.is_empty() {
        line(out, "");
    }
}

/// The last line: how many, and what a clean log does not prove.
fn write_summary(out: &mut String, report: &Report, style: Style) {
    let kernel = report.kernel.as_ref().map_or(String::new(), |release| {
        format!(", kernel {}", printable(release))
    });
    let places = groups(&report.findings).len();
    let count = match report.findings.len() {
        0 => style.good("no findings"),
        1 => style.bad("1 finding"),
        n if n == places => style.bad(&format!("{n} findings")),
        n if places == 1 => style.bad(&format!("{n} findings in 1 place")),
        n => style.bad(&format!("{n} findings in {places} places")),
    };
    line(out, &format!("{count}{kernel}"));
    if report.truncated {
        line(out, "at least one report is cut: the log may hide more");
    }
    if report.left_out > 0 {
        line(
            out,
            &format!(
                "{} more findings, troubles or warnings were left out",
                report.left_out
            ),
        );
    }
    match &report.boot {
        None if report.findings.is_empty() => {
            line(out, "note: the log does not show that the sanitizer was on");
        }
        // Whoever sees no finding must also see what was looked at.
        Some(boot)
            if boot.state != BootState::On
                || boot.notes.len() > 1
                || report.findings.is_empty() =>
        {
            for note in &boot.notes {
                line(out, &format!("note: {}", printable(note)));
            }
        }
        _ => {}
    }
}

/// Class and place of a finding, in one line.
pub fn headline(finding: &Finding) -> String {
    let class = printable(finding.class.as_str());
    match &finding.site {
        Some(site) => format!("{class} in {}", place(site)),
        None => class.into_owned(),
    }
}

/// A place in the code, in one word and its module.
pub(crate) fn place(site: &Site) -> String {
    let mut text = printable(&demangled(&site.symbol)).into_owned();
    if let (Some(offset), Some(size)) = (site.offset, site.size) {
        let _ = write!(text, "+{offset:#x}/{size:#x}");
    }
    if let Some(module) = &site.module {
        let _ = write!(text, " [{}]", printable(module));
    }
    text
}

/// The name of a Rust function as in its source, without hashes. Any other name, and one that would get longer than
/// a line of the kernel (a few bytes can make it endless), stays as it is.
pub(crate) fn demangled(symbol: &str) -> Cow<'_, str> {
    const MAX: usize = 1024;
    let Ok(name) = rustc_demangle::try_demangle(symbol) else {
        return Cow::Borrowed(symbol);
    };
    let mut short = Bounded(String::new(), MAX);
    match write!(short, "{name:#}") {
        Ok(()) => Cow::Owned(short.0),
        Err(_) => Cow::Borrowed(symbol),
    }
}

/// Takes text up to a length, and then fails.
struct Bounded(String, usize);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > self.1 {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

pub(crate) fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Makes text from a log harmless for a terminal: what could move the cursor, colour, or reorder is spelled
/// out. What is left may stand in XML, too.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if !is_unsafe(c) => out.push(c),
            c if (c as u32) < 0x100 => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
        }
    }
    Cow::Owned(out)
}

fn is_unsafe(c: char) -> bool {
    c.is_control() && c != '\t'
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::{demangled, printable};
    use rstest::rstest;

    #[test]
    fn controls_are_spelled_out() {
        assert_eq!(
            printable("a\tb \x1b[31m\x07\u{9b}\u{202e}"),
            "a\tb \\x1b[31m\\x07\\x9b\\u{202e}"
        );
        assert_eq!(printable("größe"), "größe");
    }

    #[rstest]
    #[case::v0(
        "_RNvMs0_NtCsb5MLIFMWygY_6kernel6driverINtB5_12RegistrationINtNtB7_3pci7AdapterNtCs7sIOx0AEYid_5rusty5Rusty\
         EE20post_unbind_callbackB1f_",
        "<kernel::driver::Registration<kernel::pci::Adapter<rusty::Rusty>>>::post_unbind_callback"
    )]
    #[case::legacy("_ZN5rusty4ring4free17h0123456789abcdefE", "rusty::ring::free")]
    #[case::c("edu_leak", "edu_leak")]
    #[case::c_part("edu_leak.cold", "edu_leak.cold")]
    #[case::address("0xffffffffa0001078", "0xffffffffa0001078")]
    #[case::broken("_RNvMs0_NtCsb5MLIF", "_RNvMs0_NtCsb5MLIF")]
    fn names_of_rust(#[case] symbol: &str, #[case] expected: &str) {
        assert_eq!(demangled(symbol), expected);
    }

    #[test]
    fn a_name_that_grows_without_end_stays_mangled() {
        // Each tuple is a pair of the one before; a place is a number to the base 62.
        let digit = |n: usize| match n as u8 {
            n @ 0..=9 => char::from(b'0' + n),
            n @ 10..=35 => char::from(b'a' + n - 10),
            n => char::from(b'A' + n - 36),
        };
        let mut path = "INvC1a1fTmmE".to_owned();
        let mut last = path.len() - 4;
        for _ in 0..12 {
            let place = match last - 1 {
                n @ 0..=61 => digit(n).to_string(),
                n => [digit(n / 62), digit(n % 62)].iter().collect(),
            };
            last = path.len();
            path.push_str(&format!("TB{place}_B{place}_E"));
        }
        let symbol = format!("_R{path}E");
        let whole = format!("{:#}", rustc_demangle::demangle(&symbol));
        assert!(
            whole.starts_with("a::f::<(u32, u32)") && whole.len() > 10_000,
            "{whole}"
        );
        assert_eq!(demangled(&symbol), symbol);
    }
}
