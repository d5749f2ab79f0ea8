// SPDX-License-Identifier: GPL-2.0-only
//! Reads what page owner prints about a page.

use crate::model::{Frame, OwnerEvent, PageOwner};

/// Which of the two stacks the next frames belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The allocation's.
    Allocated,
    /// The free's.
    Freed,
    /// None: what was read has no stack.
    Notes,
}

/// The line is one of page owner's.
pub(crate) fn is_owner(text: &str) -> bool {
    text.starts_with("page_owner ")
        || text.starts_with("page last allocated ")
        || text.starts_with("page last free ")
        || text.starts_with("page has been migrated")
        || text.starts_with("There is not page extension available")
}

/// Takes one of page owner's lines in; says what follows it.
pub(crate) fn line(owner: &mut PageOwner, text: &str) -> Part {
    if let Some(state) = text.strip_prefix("page_owner tracks the page as ") {
        owner.state = Some(state.trim().to_owned());
        Part::Notes
    } else if text.starts_with("page last allocated ") {
        owner.allocated = Some(event(text));
        Part::Allocated
    } else if text.starts_with("page last free ") {
        owner.freed = Some(event(text));
        Part::Freed
    } else {
        if owner.notes.len() < 8 {
            owner.notes.push(text.trim().to_owned());
        }
        Part::Notes
    }
}

/// Adds a frame to one of the stacks.
pub(crate) fn frame(owner: &mut PageOwner, part: Part, frame: Frame, max: usize) {
    let event = match part {
        Part::Allocated => &mut owner.allocated,
        Part::Freed => &mut owner.freed,
        Part::Notes => return,
    };
    if let Some(event) = event.as_mut().filter(|event| event.frames.len() < max) {
        event.frames.push(frame);
    }
}

/// Page owner has said everything that it says: the free is the last thing, or the reason why it says nothing.
pub(crate) fn is_complete(owner: &PageOwner) -> bool {
    let missing = |what: &str| owner.notes.iter().any(|note| note.contains(what));
    let freed = owner
        .freed
        .as_ref()
        .is_some_and(|event| !event.frames.is_empty());
    freed
        || missing("free stack trace missing")
        || missing("not present")
        || missing("not page extension")
}

/// Task and time of an event: `..., pid 71, tgid 71 (insmod), ts 5678` or `... pid 71 tgid 71 ts 5678 stack trace:`.
fn event(text: &str) -> OwnerEvent {
    let number = |name: &str| -> Option<u64> {
        let at = text.rfind(name)? + name.len();
        let digits = text[at..].split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    let comm = text.rfind(" tgid ").and_then(|at| {
        let (_, rest) = text[at..].split_once(" (")?;
        let (comm, _) = rest.rsplit_once("), ts ")?;
        Some(comm.to_owned())
    });
    OwnerEvent {
        info: text.trim().to_owned(),
        pid: number(" pid ").and_then(|pid| u32::try_from(pid).ok()),
        comm,
        ts_ns: number(" ts "),
        frames: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocation_and_free() {
        let mut owner = PageOwner::default();
        assert_eq!(
            line(&mut owner, "page_owner tracks the page as freed"),
            Part::Notes
        );
        let alloc =
            "page last allocated via order 0, migratetype Unmovable, gfp_mask 0xcc0(GFP_KERNEL), \
                     pid 73, tgid 72 (a (b), c), ts 4697630433";
        assert_eq!(line(&mut owner, alloc), Part::Allocated);
        assert_eq!(
            line(
                &mut owner,
                "page last free pid 74 tgid 74 ts 4697765926 stack trace:"
            ),
            Part::Freed
        );
        assert_eq!(owner.state.as_deref(), Some("freed"));
        let allocated = owner.allocated.unwrap();
        assert_eq!(
            (allocated.pid, allocated.ts_ns),
            (Some(73), Some(4_697_630_433))
        );
        assert_eq!(allocated.comm.as_deref(), Some("a (b), c"));
        let freed = owner.freed.unwrap();
        assert_eq!(
            (freed.pid, freed.ts_ns, freed.comm),
            (Some(74), Some(4_697_765_926), None)
        );
    }

    #[test]
    fn absurd_numbers_are_left_out() {
        let event = event("page last free pid 99999999999999999999 tgid ts x");
        assert_eq!((event.pid, event.ts_ns), (None, None));
    }
}
