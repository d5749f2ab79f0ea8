// SPDX-License-Identifier: GPL-2.0-only
//! Reads places in the kernel's code: `symbol+0xoffset/0xsize [module]`.

use crate::model::{Frame, Site};

/// A place as in a title: with offset, without, or a bare address. None if it is not one word (and a module).
pub(crate) fn site(text: &str) -> Option<Site> {
    let text = text.trim();
    let (place, module) = match text.split_once(' ') {
        // A build id may follow the module's name.
        Some((place, rest)) => {
            let inner = rest.trim().strip_prefix('[')?.strip_suffix(']')?;
            (
                place,
                Some(inner.split(' ').next().filter(|name| !name.is_empty())?),
            )
        }
        None => (text, None),
    };
    if place.is_empty() {
        return None;
    }
    let (symbol, offset, size) = match offset(place) {
        Some((symbol, offset, size)) => (symbol, Some(offset), Some(size)),
        None => (place, None, None),
    };
    Some(Site {
        symbol: symbol.to_owned(),
        offset,
        size,
        module: module.map(str::to_owned),
    })
}

/// Takes `symbol+0x1/0x2` apart.
fn offset(place: &str) -> Option<(&str, u64, u64)> {
    let (symbol, numbers) = place.rsplit_once("+0x")?;
    let (offset, size) = numbers.split_once("/0x")?;
    let hex = |digits| u64::from_str_radix(digits, 16).ok();
    (!symbol.is_empty()).then_some((symbol, hex(offset)?, hex(size)?))
}

/// A line of a stack: indented, with an offset or an address; nothing else passes.
pub(crate) fn frame(text: &str) -> Option<Frame> {
    if !text.starts_with([' ', '\t']) {
        return None;
    }
    let body = text.trim();
    let (reliable, body) = match body.strip_prefix("? ") {
        Some(body) => (false, body),
        None => (true, body),
    };
    let site = site(body)?;
    let address = site
        .symbol
        .strip_prefix("0x")
        .is_some_and(|hex| hex.len() >= 8 && u64::from_str_radix(hex, 16).is_ok());
    (site.offset.is_some() || address).then(|| Frame {
        site,
        reliable,
        raw: text.trim_end().to_owned(),
        source: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "edu_leak+0x5c/0x90 [edu_dma]",
        "edu_leak",
        Some(0x5c),
        Some(0x90),
        Some("edu_dma")
    )]
    #[case(
        "do_one_initcall+0x57/0x310",
        "do_one_initcall",
        Some(0x57),
        Some(0x310),
        None
    )]
    #[case("f.cold+0x0/0x1 [m 0123abcd]", "f.cold", Some(0), Some(1), Some("m"))]
    #[case("0xffffffffa0000010", "0xffffffffa0000010", None, None, None)]
    #[case("f", "f", None, None, None)]
    fn sites(
        #[case] text: &str,
        #[case] symbol: &str,
        #[case] offset: Option<u64>,
        #[case] size: Option<u64>,
        #[case] module: Option<&str>,
    ) {
        let expected = Site {
            symbol: symbol.into(),
            offset,
            size,
            module: module.map(Into::into),
        };
        assert_eq!(site(text), Some(expected));
    }

    #[rstest]
    #[case("f+0x1/0x2")]
    #[case(" <TASK>")]
    #[case(" f+0x1/0x2 and more")]
    #[case(" f+0x1/0x2 []")]
    #[case(" RIP: 0010:f+0x1/0x2")]
    #[case(" f+0x11111111111111111/0x2")]
    #[case(" +0x1/0x2")]
    #[case(" ")]
    fn not_frames(#[case] text: &str) {
        assert_eq!(frame(text), None);
    }

    #[test]
    fn unreliable_frame() {
        let frame = frame("  ? edu_exit+0xf40/0xf40 [edu_dma]").unwrap();
        assert!(!frame.reliable);
        assert_eq!(frame.site.module.as_deref(), Some("edu_dma"));
    }
}
