// SPDX-License-Identifier: GPL-2.0-only
//! The life of the memory, as far as a report tells it: allocated, mapped, unmapped, freed, used; the oldest first.

use super::{shown, stack};
use crate::class::Class;
use crate::mapping::{title, Mapping};
use crate::model::{Facts, Finding, Frame, OwnerEvent, Site};
use dmasan_engine::mapped_at::UNBOUND_AT;
use dmasan_engine::report::{self, DOMAIN_FREED};
use dmasan_engine::unmapped_at::UNMAPPED_AT;
use maud::{html, Markup};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Allocated,
    Mapped,
    Unmapped,
    Freed,
    Used,
    Other,
}

impl Kind {
    fn class(self) -> &'static str {
        match self {
            Kind::Allocated => "allocated",
            Kind::Mapped => "mapped",
            Kind::Unmapped => "unmapped",
            Kind::Freed => "freed",
            Kind::Used => "used",
            Kind::Other => "other",
        }
    }

    fn of_heading(heading: &str) -> Kind {
        let is = |line| title(line) == heading;
        if is(report::Event::Free.heading()) {
            Kind::Freed
        } else if is(report::Event::Alloc.heading()) {
            Kind::Allocated
        } else if [UNMAPPED_AT, UNBOUND_AT, DOMAIN_FREED].into_iter().any(is) {
            Kind::Unmapped
        } else {
            Kind::Other
        }
    }
}

struct Event<'a> {
    kind: Kind,
    title: String,
    /// Microseconds before the report; none if that is not known.
    before: Option<u64>,
    who: Option<String>,
    site: Option<&'a Site>,
    frames: &'a [Frame],
    /// It is what was reported.
    now: bool,
}

/// The events as a list; nothing if there is none.
pub(super) fn list(finding: &Finding) -> Markup {
    let events = events(finding);
    if events.is_empty() {
        return Markup::default();
    }
    html! {
        h3 { "Timeline" }
        ol.timeline {
            @for event in &events { (item(event)) }
        }
    }
}

fn item(event: &Event<'_>) -> Markup {
    let when = match (event.now, event.before) {
        (true, _) => "reported".to_owned(),
        (false, Some(before)) => format!("{} before", duration(before)),
        (false, None) => "earlier".to_owned(),
    };
    html! {
        li.{ (event.kind.class()) }.now[event.now] {
            p.event { strong { (shown(&event.title)) } " " span.when { (when) } }
            @if let Some(site) = event.site { p { (stack::place(site, event.frames.iter())) } }
            @if let Some(who) = &event.who { p.quiet { (shown(who)) } }
            @if !event.frames.is_empty() { (stack::folded(event.frames)) }
        }
    }
}

fn events(finding: &Finding) -> Vec<Event<'_>> {
    let mut events = Vec::new();
    if let Some(owner) = &finding.page_owner {
        let what = what_is_owned(finding);
        let freed = owner.freed.as_ref().filter(|freed| freed.pid.is_some());
        events.extend(freed.map(|e| {
            of_owner(
                finding,
                e,
                Kind::Freed,
                &format!("{what} freed by its last owner"),
            )
        }));
        let allocated = owner.allocated.as_ref();
        events.extend(
            allocated.map(|e| of_owner(finding, e, Kind::Allocated, &format!("{what} allocated"))),
        );
    }
    for mapping in &finding.mappings {
        events.extend(of_mapping(mapping));
    }
    // What is not the event itself was before it; nothing tells when.
    let mut stacks = finding.stacks.iter();
    let event = stacks.next();
    events.extend(stacks.map(|stack| Event {
        kind: Kind::of_heading(&stack.title),
        title: stack.title.trim_end_matches(" at").to_owned(),
        before: None,
        who: None,
        site: stack::owner(&stack.frames),
        frames: &stack.frames,
        now: false,
    }));
    // The sort is stable: events of one time stay in the order of the report.
    events.sort_by_key(|event| std::cmp::Reverse(event.before.unwrap_or(u64::MAX)));
    let frames = event.map_or(&[][..], |stack| stack.frames.as_slice());
    let heading = event.map_or("", |stack| stack.title.as_str());
    if !events.is_empty() || !frames.is_empty() {
        let (kind, title) = reported(finding, heading);
        events.push(Event {
            kind,
            title,
            before: Some(0),
            who: who(&finding.facts),
            site: finding.site.as_ref(),
            frames,
            now: true,
        });
    }
    events
}

/// What the report is about, in a few words.
fn reported(finding: &Finding, heading: &str) -> (Kind, String) {
    let facts = &finding.facts;
    match finding.class {
        Class::DmaAfterUnmap => {
            let how = match facts.value("access") {
                Some("write") => "written",
                Some("read") => "read",
                _ => "used",
            };
            let title = match facts.value("iova") {
                Some(iova) => format!("{how} by the device at {iova}"),
                None => format!("{how} by the device"),
            };
            (Kind::Used, title)
        }
        Class::UnbindLeak => (Kind::Unmapped, "driver unbound, mappings left".to_owned()),
        Class::DomainLeak => (Kind::Freed, "domain freed, mappings left".to_owned()),
        Class::BadUnmap => {
            let how = match facts.value("error") {
                Some("not-mapped") => "unmapped, but not mapped",
                Some("twice") => "unmapped a second time",
                Some("size") => "unmapped with another size",
                Some("kind") => "unmapped as of another kind",
                Some("direction") => "unmapped with another direction",
                _ => "unmapped wrongly",
            };
            (Kind::Unmapped, how.to_owned())
        }
        Class::StaleIotlb => (Kind::Freed, "freed before the invalidation".to_owned()),
        Class::CountImbalance => (
            Kind::of_heading(heading),
            "more unmapped than mapped".to_owned(),
        ),
        _ => match Kind::of_heading(heading) {
            Kind::Freed => (Kind::Freed, "freed while mapped".to_owned()),
            Kind::Allocated => (Kind::Used, "handed out again while mapped".to_owned()),
            kind => (kind, "reported".to_owned()),
        },
    }
}

/// Page owner knows pages only: of an object, the page that the allocator cut it from.
fn what_is_owned(finding: &Finding) -> &'static str {
    match finding.facts.value("object") {
        Some(_) => "page of the object",
        None => "page",
    }
}

fn of_owner<'a>(finding: &Finding, event: &'a OwnerEvent, kind: Kind, title: &str) -> Event<'a> {
    let at = event.ts_ns.map(|ns| ns / 1_000);
    let before = finding.time_us.zip(at);
    let who = event.pid.map(|pid| match &event.comm {
        Some(comm) => format!("task {comm}/{pid}"),
        None => format!("task {pid}"),
    });
    Event {
        kind,
        title: title.to_owned(),
        before: before.and_then(|(now, at)| now.checked_sub(at)),
        who,
        site: stack::owner(&event.frames),
        frames: &event.frames,
        now: false,
    }
}

fn of_mapping(mapping: &Mapping) -> Vec<Event<'_>> {
    let facts = &mapping.facts;
    let mut title = "mapped".to_owned();
    if let Some(device) = facts.value("device") {
        title.push_str(&format!(" for {device}"));
    }
    let extra = ["size", "dir", "kind"].into_iter().filter_map(|key| {
        let value = facts.value(key)?;
        Some(match key {
            "size" => format!("{value} bytes"),
            _ => value.to_owned(),
        })
    });
    let extra: Vec<String> = extra.collect();
    if !extra.is_empty() {
        title.push_str(&format!(": {}", extra.join(", ")));
    }
    let mut events = vec![Event {
        kind: Kind::Mapped,
        title,
        before: facts.number("age_us"),
        who: who(facts),
        site: mapping.site().or_else(|| stack::owner(&mapping.frames)),
        frames: &mapping.frames,
        now: false,
    }];
    if let Some(ended) = &mapping.ended {
        events.push(Event {
            kind: Kind::Unmapped,
            title: "unmapped".to_owned(),
            before: ended.facts.number("age_us"),
            who: who(&ended.facts),
            site: ended.site().or_else(|| stack::owner(&ended.frames)),
            frames: &ended.frames,
            now: false,
        });
    }
    events
}

fn who(facts: &Facts) -> Option<String> {
    let task = facts.value("task").map(|task| format!("task {task}"));
    let cpu = facts.value("cpu").map(|cpu| format!("CPU {cpu}"));
    match (task, cpu) {
        (Some(task), Some(cpu)) => Some(format!("{task}, {cpu}")),
        (task, cpu) => task.or(cpu),
    }
}

/// `211 µs`, `5.123 ms`, `1.5 s`.
fn duration(micros: u64) -> String {
    let (unit, per) = match micros {
        0..1_000 => return format!("{micros} µs"),
        1_000..1_000_000 => ("ms", 1_000),
        _ => ("s", 1_000_000),
    };
    let thousandths = micros % per * 1_000 / per;
    let text = format!("{}.{thousandths:03}", micros / per);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} {unit}")
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_have_a_fitting_unit() {
        let cases = [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_000, "1 ms"),
            (5_123, "5.123 ms"),
            (100_000, "100 ms"),
            (1_500_000, "1.5 s"),
            (u64::MAX, "18446744073709.551 s"),
        ];
        for (micros, text) in cases {
            assert_eq!(duration(micros), text);
        }
    }
}
