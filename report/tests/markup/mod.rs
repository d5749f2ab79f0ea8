// SPDX-License-Identifier: GPL-2.0-only
//! Checks a page strictly: every element is closed, of a kind that we write, and so is every attribute.

const VOID: [&str; 1] = ["meta"];
const ELEMENTS: [&str; 37] = [
    "html",
    "head",
    "title",
    "style",
    "body",
    "header",
    "main",
    "footer",
    "section",
    "h1",
    "h2",
    "h3",
    "p",
    "a",
    "code",
    "pre",
    "strong",
    "span",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "ol",
    "ul",
    "li",
    "details",
    "summary",
    "figure",
    "figcaption",
    "svg",
    "rect",
    "line",
    "meta",
    "br",
    "!DOCTYPE",
];
const ATTRIBUTES: [&str; 25] = [
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "id",
    "href",
    "scope",
    "colspan",
    "title",
    "role",
    "aria-label",
    "viewBox",
    "preserveAspectRatio",
    "width",
    "height",
    "x",
    "y",
    "x1",
    "x2",
    "y1",
    "y2",
    "html",
    "open",
];

/// Fails unless the page is whole and harmless.
pub(crate) fn check(page: &str) {
    let odd = |c: &char| {
        c.is_control() && !"\n\t".contains(*c)
            || ('\u{200b}'..='\u{200f}').contains(c)
            || ('\u{202a}'..='\u{202e}').contains(c)
    };
    assert_eq!(page.chars().find(odd), None);
    assert!(!page.contains("://"), "an address of somewhere else");
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        assert!(
            open.last() == Some(&"style") || !text.contains('>'),
            "{text}"
        );
        let end = at + tag_end(&rest[at..]);
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(ELEMENTS.contains(&name), "<{tag}>");
        check_attributes(attributes);
        if name != "!DOCTYPE" && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    assert_eq!(rest.trim(), "");
}

/// Where a tag ends: quotes may have a `>`.
fn tag_end(text: &str) -> usize {
    let mut quoted = false;
    let end = text.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '>' && !quoted
    });
    end.expect("a tag has an end").0
}

fn check_attributes(text: &str) {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=').unwrap_or((rest, "\"\""));
        assert!(ATTRIBUTES.contains(&name), "{name} in {text}");
        let value = value.strip_prefix('"').expect("values are quoted");
        let (value, after) = value.split_once('"').expect("quotes are closed");
        assert!(name != "href" || value.starts_with("#finding-"), "{value}");
        rest = if name == rest { "" } else { after.trim() };
    }
}
