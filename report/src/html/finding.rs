// SPDX-License-Identifier: GPL-2.0-only
//! One finding: what it is, where in the memory, when, and everything that the log says of it.

use super::{memory, shown, stack, timeline};
use crate::model::{Finding, Report};
use crate::text;
use maud::{html, Markup};

/// The section of a finding.
pub(super) fn section(report: &Report, finding: &Finding, number: usize) -> Markup {
    html! {
        section id={ "finding-" (number) } {
            h2 {
                span.number { (number) }
                span.class { (shown(finding.class.as_str())) }
                @if let Some(site) = &finding.site {
                    " in "
                    (stack::place(site, finding.frames()))
                }
            }
            @if let Some(cut) = finding.cut {
                p.alert { "Cut at line " (cut.line) " of the log: " (cut.by) "." }
            }
            p { (finding.class.summary()) }
            @for note in &finding.notes { p.note { (shown(note)) } }
            p.hint {
                @match &finding.hint {
                    Some(hint) => { strong { "Hint: " } (shown(hint.trim_end_matches('.'))) ". " }
                    None => {}
                }
                (finding.class.advice())
            }
            (memory::figure(finding))
            (timeline::list(finding))
            (facts(report, finding))
            (raw(finding))
        }
    }
}

fn facts(report: &Report, finding: &Finding) -> Markup {
    html! {
        h3 { "Facts" }
        table.facts {
            tbody {
                @for (key, value) in finding.facts.iter() { (row(key, value)) }
                @if let Some(time) = finding.time_us { (row("time", &format!("{} s after boot", text::seconds(time)))) }
                (row("log line", &finding.line.to_string()))
                @if let Some(step) = report.step_of(finding) { (row("step", &text::step_name(step))) }
                @if let Some(process) = &finding.process { (row("process", &process.raw)) }
                @if let Some(hardware) = &finding.hardware { (row("hardware", hardware)) }
            }
        }
        @if !finding.ranges.is_empty() {
            h3 { "Still mapped" }
            table.facts {
                thead { tr { th { "iova" } th { "phys" } th { "size" } } }
                tbody {
                    @for range in &finding.ranges {
                        tr { @for number in [range.iova, range.phys, range.size] { td { (format!("{number:#x}")) } } }
                    }
                }
            }
        }
        @for mapping in &finding.mappings {
            details {
                summary { "facts of the mapping at " (shown(mapping.facts.value("iova").unwrap_or("?"))) }
                table.facts {
                    tbody { @for (key, value) in mapping.facts.iter() { (row(key, value)) } }
                }
            }
        }
    }
}

fn row(key: &str, value: &str) -> Markup {
    html! { tr { th scope="row" { (shown(key)) } td { (shown(value)) } } }
}

fn raw(finding: &Finding) -> Markup {
    html! {
        details {
            summary { "the report as in the log, " (finding.raw.len()) " lines" }
            pre {
                @for line in &finding.raw { (shown(line)) "\n" }
                @if finding.raw_dropped > 0 { "[" (finding.raw_dropped) " more lines of it are not kept]\n" }
            }
        }
    }
}
