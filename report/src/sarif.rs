// SPDX-License-Identifier: GPL-2.0-only
//! A report as SARIF 2.1.0, for what collects the results of analysers.
//!
//! One result for each bug, however often the log repeats it; a class is a rule. Nothing of the log gets in with its
//! control characters.

mod model;

use crate::class::Class;
use crate::group::{groups, Group};
use crate::mapping::title;
use crate::model::{Facts, Finding, Frame, Report, Site, TroubleKind};
use crate::text::{headline, place, printable};
use dmasan_engine::mapped_at::MAPPED_AT;
use dmasan_engine::unmapped_at::UNMAPPED_AT;
use model::{
    Artifact, Configuration, Driver, Invocation, Level, Location, Log, LogicalLocation, Message,
    Notification, PhysicalLocation, Properties, Region, ResultOfRun, Rule, Run, Stack, StackFrame,
    Tool,
};
use serde_json::{json, Map, Value};

/// Writes a report, indented, with a line end.
pub fn to_string(report: &Report) -> String {
    // Every key is a string and no serializer of the model fails.
    let mut text = serde_json::to_string_pretty(&log(report)).expect("the model has a JSON form");
    text.push('\n');
    text
}

fn log(report: &Report) -> Log {
    let groups = groups(&report.findings);
    let mut rules: Vec<Rule> = Class::KNOWN.iter().map(rule).collect();
    let results = groups
        .iter()
        .map(|group| result(report, group, &mut rules))
        .collect();
    let driver = Driver {
        name: "dmasan",
        semantic_version: env!("CARGO_PKG_VERSION"),
        rules,
    };
    let run = Run {
        tool: Tool { driver },
        invocations: [invocation(report)],
        results,
        properties: of_run(report),
    };
    Log::of(run)
}

fn rule(class: &Class) -> Rule {
    let id = printable(class.as_str()).into_owned();
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    let (summary, advice) = (class.summary(), class.advice());
    let name: String = id.split('-').map(capital).collect();
    Rule {
        // A name that is no other is to be left out.
        name: Some(name).filter(|name| *name != id),
        id,
        short_description: Message::new(summary),
        full_description: Message::new(format!("{summary} {advice}")),
        help: Message::new(advice),
        default_configuration: Configuration {
            level: Level::Error,
        },
    }
}

/// Index of a class among the rules, to which one that this version does not know is added.
fn rule_index(rules: &mut Vec<Rule>, class: &Class) -> usize {
    let id = printable(class.as_str());
    let known = rules.iter().position(|rule| rule.id == id);
    known.unwrap_or_else(|| {
        rules.push(rule(class));
        rules.len() - 1
    })
}

fn result(report: &Report, group: &Group<'_>, rules: &mut Vec<Rule>) -> ResultOfRun {
    let finding = group.first();
    let rule_index = rule_index(rules, &finding.class);
    let own = finding.site.as_ref().map(|site| {
        let frame = finding.frames().find(|frame| frame.site == *site);
        location(site, frame, None)
    });
    ResultOfRun {
        rule_id: rules[rule_index].id.clone(),
        rule_index,
        level: Level::Error,
        message: Message::new(message(finding)),
        locations: own.into_iter().collect(),
        related_locations: related(finding),
        stacks: stacks(finding),
        partial_fingerprints: [("dmasanSites/v1", fingerprint(finding))].into(),
        occurrence_count: group.findings().len(),
        properties: of_result(report, group),
    }
}

/// What it is, what the report says of it, and where it was mapped: all that a viewer may show.
fn message(finding: &Finding) -> String {
    let mut text = format!("{}: {}", headline(finding), finding.class.summary());
    if let Some(site) = finding.map_site() {
        text.push_str(&format!(" It was mapped in {}.", place(site)));
    }
    for said in finding.notes.iter().chain(&finding.hint) {
        let said = printable(said.trim());
        text.push_str(&format!(" {}.", said.trim_end_matches('.')));
    }
    if let Some(cut) = finding.cut {
        text.push_str(&format!(
            " The log does not show all of it: {} at line {}.",
            cut.by, cut.line
        ));
    }
    text
}

/// Who mapped, and who unmapped.
fn related(finding: &Finding) -> Vec<Location> {
    let mut locations = Vec::new();
    for mapping in &finding.mappings {
        let ended = mapping.ended.as_ref();
        let ended = ended.and_then(|ended| Some((ended.site()?, &ended.frames, "unmapped here")));
        let mapped = mapping
            .site()
            .map(|site| (site, &mapping.frames, "mapped here"));
        for (site, frames, what) in mapped.into_iter().chain(ended) {
            let frame = frames.iter().find(|frame| frame.site == *site);
            add(&mut locations, location(site, frame, Some(what)));
        }
    }
    locations
}

/// Adds what is not there yet: the items of a set may not repeat.
fn add<T: PartialEq>(set: &mut Vec<T>, item: T) {
    if !set.contains(&item) {
        set.push(item);
    }
}

fn location(site: &Site, frame: Option<&Frame>, message: Option<&str>) -> Location {
    // The last is the function itself, those before are inlined into it.
    let source = frame.and_then(|frame| frame.source.last());
    let physical = source.and_then(|source| {
        let uri = uri(source.file.as_deref()?);
        // Lines count from 1.
        let region = source.line.filter(|line| *line > 0);
        Some(PhysicalLocation {
            artifact_location: Artifact { uri },
            region: region.map(|start_line| Region { start_line }),
        })
    });
    Location {
        physical_location: physical,
        logical_locations: [logical(site)],
        message: message.map(Message::new),
    }
}

/// Of the event, of the maps and of the unmaps.
fn stacks(finding: &Finding) -> Vec<Stack> {
    let mut stacks = Vec::new();
    for event in &finding.stacks {
        add(&mut stacks, stack(&event.title, &event.frames));
    }
    for mapping in &finding.mappings {
        add(&mut stacks, stack(title(MAPPED_AT), &mapping.frames));
        if let Some(ended) = &mapping.ended {
            add(&mut stacks, stack(title(UNMAPPED_AT), &ended.frames));
        }
    }
    stacks
}

/// The function, without offsets: its name in the source, and as linkers know it if that is another.
fn logical(site: &Site) -> LogicalLocation {
    let bare = |module: &Option<String>| {
        place(&Site {
            symbol: site.symbol.clone(),
            offset: None,
            size: None,
            module: module.clone(),
        })
    };
    let name = bare(&None);
    let decorated = printable(&site.symbol).into_owned();
    LogicalLocation {
        fully_qualified_name: bare(&site.module),
        decorated_name: Some(decorated).filter(|decorated| *decorated != name),
        name,
        kind: "function",
    }
}

fn stack(title: &str, frames: &[Frame]) -> Stack {
    let text = |frame: &Frame| {
        let mark = if frame.reliable { "" } else { "? " };
        format!("{mark}{}", place(&frame.site))
    };
    let frame = |frame: &Frame| StackFrame {
        location: location(&frame.site, Some(frame), Some(&text(frame))),
        module: frame
            .site
            .module
            .as_deref()
            .map(|module| printable(module).into_owned()),
    };
    Stack {
        message: Message::new(printable(title)),
        frames: frames.iter().map(frame).collect(),
    }
}

/// By which the bug is known again in another run, and in another build: without offsets.
fn fingerprint(finding: &Finding) -> String {
    let name = |site: Option<&Site>| match site {
        Some(site) => format!(
            "{}@{}",
            site.symbol,
            site.module.as_deref().unwrap_or("vmlinux")
        ),
        None => "-".to_owned(),
    };
    let site = name(finding.site.as_ref());
    let text = format!(
        "{}:{site}:{}",
        finding.class.as_str(),
        name(finding.map_site())
    );
    printable(&text).into_owned()
}

/// A relative reference or a `file:` URI: all but what may stand in a path is written as bytes.
fn uri(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~+".contains(&b);
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        match plain(byte) {
            true => uri.push(char::from(byte)),
            false => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// Whether the log can be trusted to show everything, and what it shows besides.
fn invocation(report: &Report) -> Invocation {
    let mut notifications = Vec::new();
    let mut note = |level, text: String| {
        notifications.push(Notification {
            level,
            message: Message::new(text),
        });
    };
    for trouble in &report.trouble {
        let text = printable(&trouble.text);
        note(
            Level::Error,
            format!("Kernel trouble, log line {}: {text}", trouble.line),
        );
    }
    for warning in &report.warnings {
        let text = printable(&warning.text);
        note(
            Level::Warning,
            format!("Kernel warning, log line {}: {text}", warning.line),
        );
    }
    if report.truncated {
        let text = "At least one report is cut: the log may hide more.";
        note(Level::Warning, text.to_owned());
    }
    if report.left_out > 0 {
        let text = format!(
            "{} more findings, troubles or warnings were left out.",
            report.left_out
        );
        note(Level::Warning, text);
    }
    match &report.boot {
        None => note(
            Level::Note,
            "The log does not show that the sanitizer was on.".to_owned(),
        ),
        Some(boot) => boot
            .notes
            .iter()
            .for_each(|text| note(Level::Note, printable(text).into_owned())),
    }
    let failed = |kind| kind >= TroubleKind::Oops;
    Invocation {
        execution_successful: !report.trouble.iter().any(|trouble| failed(trouble.kind)),
        tool_execution_notifications: notifications,
    }
}

fn of_run(report: &Report) -> Properties {
    let mut all = Properties::new();
    if let Some(kernel) = &report.kernel {
        all.insert("kernel".to_owned(), json!(printable(kernel)));
    }
    all
}

fn of_result(report: &Report, group: &Group<'_>) -> Properties {
    let finding = group.first();
    let facts = |facts: &Facts| -> Map<String, Value> {
        let pairs = facts.iter();
        pairs
            .map(|(key, value)| (printable(key).into_owned(), json!(printable(value))))
            .collect()
    };
    let lines: Vec<_> = group.findings().iter().map(|f| f.line).collect();
    let mut all = Properties::new();
    all.insert("logLines".to_owned(), json!(lines));
    if let Some(step) = report.step_of(finding) {
        let text = format!("{} {}", step.index, printable(&step.text));
        all.insert("step".to_owned(), json!(text));
    }
    all.insert("facts".to_owned(), facts(&finding.facts).into());
    let mappings: Vec<_> = finding.mappings.iter().map(|m| facts(&m.facts)).collect();
    if !mappings.is_empty() {
        all.insert("mappings".to_owned(), json!(mappings));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::uri;
    use rstest::rstest;

    #[rstest]
    #[case("drivers/net/edu_dma.c", "drivers/net/edu_dma.c")]
    #[case("/usr/src/x y.c", "file:///usr/src/x%20y.c")]
    #[case("a:b#c?.c", "a%3Ab%23c%3F.c")]
    #[case("größe\x1b.c", "gr%C3%B6%C3%9Fe%1B.c")]
    fn uris(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(uri(path), expected);
    }
}
