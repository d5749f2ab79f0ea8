// SPDX-License-Identifier: GPL-2.0-only
//! The memory that a finding is about, drawn to scale: the page block, object or mapping, and the bytes of it that a
//! device can reach.

use super::shown;
use crate::class::Class;
use crate::model::{Facts, Finding};
use maud::{html, Markup};

/// Width of the drawing in its own units.
const WIDTH: f64 = 1000.0;
/// A mapping of few bytes is drawn as wide as that, to be seen.
const LEAST: f64 = 6.0;
/// Height of a mapping, with the space below.
const ROW: usize = 24;
/// More mappings are counted, not drawn.
const MAX_ROWS: usize = 16;
/// Borders between more pages would be a grey field.
const MAX_PAGES: u64 = 32;

/// Bytes `start..end` of the whole.
struct Part {
    start: u64,
    end: u64,
    /// Style class: what the device may do there.
    dir: &'static str,
    text: String,
}

struct Drawing {
    whole: u64,
    what: String,
    /// Bytes of a page, if there are borders to draw.
    page: Option<u64>,
    parts: Vec<Part>,
    /// A single byte that matters.
    mark: Option<(u64, String)>,
}

/// The drawing; nothing if the report does not tell where things are.
pub(super) fn figure(finding: &Finding) -> Markup {
    let drawing = match finding.class {
        Class::DmaAfterUnmap => of_ended(finding),
        Class::BadUnmap => of_unmap(finding),
        _ => of_whole(finding),
    };
    let Some(drawing) = drawing.filter(|d| !d.parts.is_empty()) else {
        return Markup::default();
    };
    html! {
        h3 { "Memory" }
        figure.memory {
            (picture(&drawing))
            p.scale { span { "0" } span { (drawing.whole) " bytes" } }
            figcaption {
                (shown(&drawing.what))
                ul {
                    @for part in drawing.parts.iter().take(MAX_ROWS) {
                        li { span.key.(part.dir) { } " bytes " (part.start) "\u{2013}" (part.end - 1) ": " (shown(&part.text)) }
                    }
                    @if drawing.parts.len() > MAX_ROWS {
                        li { (drawing.parts.len() - MAX_ROWS) " more mappings are not drawn" }
                    }
                    @if let Some((at, text)) = &drawing.mark {
                        li { span.key.mark { } " byte " (at) ": " (shown(text)) }
                    }
                }
            }
        }
    }
}

/// The bars. Text is outside, so that a narrow screen does not shrink it.
fn picture(drawing: &Drawing) -> Markup {
    let rows = drawing.parts.len().min(MAX_ROWS);
    let height = rows * ROW + 8;
    let x = |byte: u64| byte as f64 / drawing.whole as f64 * WIDTH;
    let borders = drawing.page.into_iter().flat_map(|page| {
        let pages = drawing.whole / page;
        let pages = if pages > MAX_PAGES { 0 } else { pages };
        (1..pages).map(move |number| number * page)
    });
    let view = format!("0 0 {WIDTH} {height}");
    html! {
        svg role="img" aria-label=(shown(&drawing.what)) viewBox=(view) preserveAspectRatio="none"
            height=(height) width="100%" {
            rect.whole x="0" y="0" width=(WIDTH) height=(height) {}
            @for border in borders {
                line.border x1=(x(border)) x2=(x(border)) y1="0" y2=(height) {}
            }
            @for (row, part) in drawing.parts.iter().take(MAX_ROWS).enumerate() {
                @let width = (x(part.end) - x(part.start)).max(LEAST);
                rect.(part.dir) x=(x(part.start).min(WIDTH - width)) y=(row * ROW + 4) width=(width) height=(ROW - 4) {}
            }
            @if let Some((at, _)) = &drawing.mark {
                rect.mark x=(x(*at).min(WIDTH - LEAST)) y="0" width=(LEAST) height=(height) {}
            }
        }
    }
}

/// A page block or an object, and what is mapped of it.
fn of_whole(finding: &Finding) -> Option<Drawing> {
    let facts = &finding.facts;
    let page = page_size(facts);
    let (whole, what) = match facts.value("object") {
        Some(object) => {
            let of = facts.value("cache").unwrap_or("slab");
            (facts.number("size")?, format!("object {object} of {of}"))
        }
        None => {
            let (pages, first) = (facts.number("pages")?, facts.value("pfn")?);
            let noun = if pages == 1 { "page" } else { "pages from" };
            (pages.checked_mul(page?)?, format!("{noun} {first}"))
        }
    };
    let in_whole = |(start, size): (u64, u64), dir, text| {
        let end = start.saturating_add(size).min(whole);
        (start < end).then_some(Part {
            start,
            end,
            dir,
            text,
        })
    };
    let mut parts: Vec<Part> = finding
        .mappings
        .iter()
        .filter(|mapping| mapping.ended.is_none())
        .filter_map(|mapping| {
            let place = place(&mapping.facts, facts.number("phys"))?;
            let (dir, text) = direction(&mapping.facts);
            in_whole(place, dir, text)
        })
        .collect();
    // Without mappings the pages are known that have some.
    if let (true, None, Some(page)) = (parts.is_empty(), facts.value("object"), page) {
        let pfn = facts.number("pfn")?;
        let first = facts.number("first")?.checked_sub(pfn)?;
        let last = facts.number("last")?.checked_sub(pfn)?;
        let size = last.checked_sub(first)?.checked_add(1)?.checked_mul(page)?;
        let text = match facts.value("mapped") {
            Some("1") | None => "mapped".to_owned(),
            Some(mapped) => format!("{mapped} pages of these are mapped"),
        };
        parts.extend(in_whole((first.checked_mul(page)?, size), "some", text));
    }
    (whole > 0).then_some(Drawing {
        whole,
        what,
        page: page.filter(|page| *page > 0 && *page < whole),
        parts,
        mark: None,
    })
}

/// A mapping that has ended, and where in it the device was.
fn of_ended(finding: &Finding) -> Option<Drawing> {
    let mapping = finding.mappings.first()?;
    let whole = mapping.facts.number("size").filter(|size| *size > 0)?;
    let (dir, text) = direction(&mapping.facts);
    let into = finding.facts.number("into").filter(|into| *into < whole);
    let access = match finding.facts.value("access") {
        Some("write") => "the device wrote here",
        Some("read") => "the device read here",
        _ => "the device was here",
    };
    Some(Drawing {
        whole,
        what: "the mapping that had ended".to_owned(),
        page: None,
        parts: vec![Part {
            start: 0,
            end: whole,
            dir,
            text,
        }],
        mark: into.map(|into| (into, access.to_owned())),
    })
}

/// What was mapped, and what was to be unmapped of it. Nothing where the two are far from each other.
fn of_unmap(finding: &Finding) -> Option<Drawing> {
    let mapping = &finding.mappings.first()?.facts;
    let extent = |facts: &Facts| facts.number("iova").zip(facts.number("size"));
    let (mapped, asked) = (extent(mapping)?, extent(&finding.facts)?);
    let begin = mapped.0.min(asked.0);
    let end = |(iova, size): (u64, u64)| (iova - begin).checked_add(size);
    let whole = end(mapped)?.max(end(asked)?);
    if whole / 64 > mapped.1.max(asked.1) {
        return None;
    }
    let (dir, text) = direction(mapping);
    let part = |extent: (u64, u64), dir, text| {
        Some(Part {
            start: extent.0 - begin,
            end: end(extent)?,
            dir,
            text,
        })
        .filter(|part| part.start < part.end)
    };
    let asked = part(asked, "asked", "this was to be unmapped".to_owned());
    Some(Drawing {
        whole,
        what: "the mapping and the unmap".to_owned(),
        page: None,
        parts: part(mapped, dir, text).into_iter().chain(asked).collect(),
        mark: None,
    })
}

/// Begin and size of a mapping within the whole that begins at `phys`.
fn place(mapping: &Facts, phys: Option<u64>) -> Option<(u64, u64)> {
    let size = mapping.number("size")?;
    let from = mapping.number("from").or_else(|| {
        let (begin, whole) = mapping.number("phys").zip(phys)?;
        begin.checked_sub(whole)
    });
    Some((from?, size))
}

/// The kernel tells both number and address of a page.
fn page_size(facts: &Facts) -> Option<u64> {
    let (phys, pfn) = facts.number("phys").zip(facts.number("pfn"))?;
    let size = phys.checked_div(pfn)?;
    size.is_power_of_two().then_some(size)
}

/// What a device may do, as style class and in words.
fn direction(mapping: &Facts) -> (&'static str, String) {
    let device = mapping.value("device").unwrap_or("the device");
    let (class, can) = match mapping.value("dir") {
        Some("from-device") => ("write", "can WRITE"),
        Some("to-device") => ("read", "can READ"),
        Some("bidirectional") => ("both", "can READ and WRITE"),
        _ => ("some", "has mapped"),
    };
    let iova = mapping.value("iova");
    let at = iova.map_or(String::new(), |iova| format!(", iova {iova}"));
    (class, format!("{device} {can}{at}"))
}
