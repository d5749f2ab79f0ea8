// SPDX-License-Identifier: GPL-2.0-only
//! Reads XML as a strict reader does, into elements.

use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::Reader;

/// An element, with all that is in it.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// All elements of this name in it, at any depth.
    pub(crate) fn all(&self, name: &str) -> Vec<&Element> {
        let mut found = Vec::new();
        for child in &self.children {
            if child.name == name {
                found.push(child);
            }
            found.extend(child.all(name));
        }
        found
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    pub(crate) fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        &found.unwrap_or_else(|| panic!("no {name} in {self:?}")).1
    }

    pub(crate) fn number(&self, name: &str) -> usize {
        self.attribute(name).parse().unwrap()
    }
}

/// Reads a document; panics if it is not well-formed.
pub(crate) fn read(text: &str) -> Element {
    text.chars().for_each(assert_allowed);
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut open = vec![Element::default()];
    loop {
        let event = reader
            .read_event()
            .unwrap_or_else(|e| panic!("{e}: {text}"));
        match event {
            Event::Start(start) => open.push(element(&start)),
            Event::Empty(start) => {
                let element = element(&start);
                open.last_mut().unwrap().children.push(element);
            }
            Event::End(_) => {
                let element = open.pop().unwrap();
                open.last_mut().unwrap().children.push(element);
            }
            Event::Text(text) => {
                let text = text.decode().unwrap();
                // It would end a section of another kind.
                assert!(!text.contains("]]>"));
                open.last_mut().unwrap().text.push_str(&text);
            }
            Event::GeneralRef(entity) => {
                let entity = format!("&{};", entity.decode().unwrap());
                let text = unescape(&entity).unwrap();
                text.chars().for_each(assert_allowed);
                open.last_mut().unwrap().text.push_str(&text);
            }
            Event::Decl(_) => {}
            Event::Eof => break,
            other => panic!("{other:?} in {text}"),
        }
    }
    assert_eq!(open.len(), 1);
    let mut document = open.remove(0);
    assert_eq!(document.children.len(), 1);
    assert_eq!(document.text.trim(), "");
    document.children.remove(0)
}

fn element(start: &BytesStart<'_>) -> Element {
    let attributes = start.attributes().map(|attribute| {
        let attribute = attribute.unwrap();
        let raw = std::str::from_utf8(&attribute.value).unwrap();
        assert!(!raw.contains('<'));
        let value = unescape(raw).unwrap().into_owned();
        value.chars().for_each(assert_allowed);
        let key = std::str::from_utf8(attribute.key.as_ref()).unwrap();
        (key.to_owned(), value)
    });
    Element {
        name: String::from_utf8(start.name().as_ref().to_vec()).unwrap(),
        attributes: attributes.collect(),
        ..Element::default()
    }
}

/// XML has no other characters, escaped or not.
fn assert_allowed(c: char) {
    let allowed = matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(allowed, "{c:?}");
}
