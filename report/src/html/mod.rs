// SPDX-License-Identifier: GPL-2.0-only
//! A report as one HTML page that needs nothing else: no script, no font, no network.
//!
//! Names in a log are chosen by drivers, devices and users. Whatever goes into the page passes [`shown`], which spells
//! out what could reorder text, and then maud, which escapes it. A content security policy in the page forbids scripts
//! and everything from elsewhere, should both ever fail.

mod finding;
mod memory;
mod stack;
mod timeline;

use crate::model::{BootState, Report, Step};
use crate::text;
use maud::{html, Markup, PreEscaped, DOCTYPE};
use std::borrow::Cow;

const STYLE: &str = include_str!("style.css");
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Writes a page. `notes` are put at its end.
pub fn to_string(report: &Report, notes: &[&str]) -> String {
    let title = format!("dmasan: {}", count(report.findings.len()));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { (head(report)) }
                main {
                    (overview(report))
                    @for (number, finding) in (1..).zip(&report.findings) {
                        (finding::section(report, finding, number))
                    }
                }
                footer { (foot(report, notes)) }
            }
        }
    };
    page.into_string() + "\n"
}

/// What was looked at, and what came of it.
fn head(report: &Report) -> Markup {
    let found = !report.findings.is_empty();
    html! {
        p.tool { "DMA sanitizer report" }
        h1 class=(if found { "bad" } else { "good" }) { (count(report.findings.len())) }
        p {
            @if let Some(release) = &report.kernel { "Linux " (shown(release)) ", " }
            (report.kernel_lines) " lines of kernel log"
        }
        @if report.truncated {
            p.alert { "At least one report is cut: the log may hide more." }
        }
        @if report.left_out > 0 {
            p.alert { (report.left_out) " more findings, troubles or warnings were left out." }
        }
        @match &report.boot {
            None if !found => p.alert { "The log does not show that the sanitizer was on." },
            Some(boot) if boot.state != BootState::On || boot.notes.len() > 1 || !found => {
                @for note in &boot.notes { p.quiet { (shown(note)) } }
            }
            _ => {}
        }
        @for trouble in &report.trouble {
            p.alert { "Kernel trouble, log line " (trouble.line) ": " code { (shown(&trouble.text)) } }
        }
        @for warning in &report.warnings {
            p.quiet { "Kernel warning, log line " (warning.line) ": " code { (shown(&warning.text)) } }
        }
    }
}

/// A table of all findings, and of the steps without any.
fn overview(report: &Report) -> Markup {
    if report.findings.is_empty() && report.steps.is_empty() {
        return Markup::default();
    }
    let began = |finding| report.step_of(finding).map(|step| step.line);
    let silent = |step: &&Step| !report.findings.iter().any(|f| began(f) == Some(step.line));
    html! {
        table.overview {
            thead { tr { th { "#" } th { "finding" } th { "where" } th { "memory" } th { "step" } } }
            tbody {
                @for (number, finding) in (1..).zip(&report.findings) {
                    tr {
                        td { a href={ "#finding-" (number) } { (number) } }
                        td {
                            a href={ "#finding-" (number) } { (shown(finding.class.as_str())) }
                            @if finding.truncated { " (cut)" }
                        }
                        td { code { (finding.site.as_ref().map_or_else(|| "-".to_owned(), text::place)) } }
                        td { (text::memory(finding)) }
                        td { (report.step_of(finding).map_or_else(|| "-".to_owned(), text::step_name)) }
                    }
                }
                @for step in report.steps.iter().filter(silent) {
                    tr.quiet {
                        td { }
                        td colspan="3" { "no findings" }
                        td { (text::step_name(step)) }
                    }
                }
            }
        }
    }
}

fn foot(report: &Report, notes: &[&str]) -> Markup {
    html! {
        @for note in notes { p { (shown(note)) } }
        @for banner in &report.banners { p { "Log line " (banner.line) ": " (shown(&banner.text)) } }
        p { "Written by dmasan." }
    }
}

fn count(findings: usize) -> String {
    match findings {
        0 => "no findings".to_owned(),
        1 => "1 finding".to_owned(),
        n => format!("{n} findings"),
    }
}

/// Text of the log as it may be shown; maud escapes it where it is put in.
fn shown(text: &str) -> Cow<'_, str> {
    text::printable(text)
}
