// SPDX-License-Identifier: GPL-2.0-only
//! Stacks: places in the code, with source lines where they are known, and folded lists of them.

use super::shown;
use crate::model::{Frame, Site, SourceLine};
use crate::text;
use maud::{html, Markup};

/// A folded stack.
pub(super) fn folded(frames: &[Frame]) -> Markup {
    let summary = match frames.len() {
        0 => return html! { p.quiet { "The log has no stack of this." } },
        1 => "stack, 1 function".to_owned(),
        n => format!("stack, {n} functions"),
    };
    html! {
        details {
            summary { (summary) }
            ol.stack { @for frame in frames { (lines(frame)) } }
        }
    }
}

/// A frame: what was inlined there, then the function itself.
fn lines(frame: &Frame) -> Markup {
    let (own, inlined) = match frame.source.split_last() {
        Some((own, inlined)) => (Some(own), inlined),
        None => (None, &[][..]),
    };
    html! {
        @for inner in inlined {
            li.inlined { code { (shown(&text::demangled(&inner.function))) } " inlined" (source(Some(inner))) }
        }
        li.unreliable[!frame.reliable] {
            @if !frame.reliable { span title="left on the stack, perhaps by an earlier call" { "? " } }
            code { (text::place(&frame.site)) }
            (source(own))
        }
    }
}

/// A place, with its source line if one of the frames tells it.
pub(super) fn place<'a>(site: &Site, mut frames: impl Iterator<Item = &'a Frame>) -> Markup {
    let frame = frames.find(|frame| frame.site == *site);
    html! {
        code { (text::place(site)) }
        (source(frame.and_then(|frame| frame.source.last())))
    }
}

fn source(line: Option<&SourceLine>) -> Markup {
    html! {
        @if let Some(line) = line { " " span.source { (text::source_place(line)) } }
    }
}

/// Whose code this is: the innermost function of a module, or else the innermost one.
pub(super) fn owner(frames: &[Frame]) -> Option<&Site> {
    let mut reliable = frames.iter().filter(|frame| frame.reliable);
    let first = reliable.clone().next();
    let of_module = reliable.find(|frame| frame.site.module.is_some());
    of_module.or(first).map(|frame| &frame.site)
}
