// SPDX-License-Identifier: GPL-2.0-only
//! The page: whole and harmless whatever the log says, and with the right things in the right places.

mod markup;

use dmasan_report::{html, parse, text};
use rstest::rstest;
use std::fs;
use std::path::PathBuf;

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn page(log: &[u8]) -> String {
    let page = html::to_string(&parse(log).unwrap(), &[]);
    markup::check(&page);
    page
}

fn page_of(name: &str) -> String {
    page(&fs::read(data().join(format!("{name}.log"))).unwrap())
}

/// The text of the page from where a finding begins to the next.
fn section(page: &str, number: usize) -> &str {
    let begin = page
        .find(&format!("<section id=\"finding-{number}\">"))
        .unwrap();
    let end = page[begin..].find("</section>").unwrap();
    &page[begin..begin + end]
}

/// Positions of texts, which must be there, once each, in this order.
fn in_order(text: &str, parts: &[&str]) {
    let mut from = 0;
    for part in parts {
        let at = text[from..].find(part);
        from += at.unwrap_or_else(|| panic!("no `{part}` after the one before, in\n{text}"));
        from += part.len();
    }
}

#[test]
fn every_log_gives_a_whole_page_with_all_its_findings() {
    let mut pages = 0;
    for entry in fs::read_dir(data()).unwrap() {
        let path = entry.unwrap().path();
        let Ok(report) = parse(&fs::read(&path).unwrap()) else {
            continue;
        };
        let page = html::to_string(&report, &["a note"]);
        markup::check(&page);
        assert_eq!(
            page.matches("<section ").count(),
            report.findings.len(),
            "{path:?}"
        );
        assert!(page.contains("<p>a note</p>"));
        pages += 1;
    }
    assert!(pages > 20);
}

/// What a device, a driver, a task, a module or a file may be called.
const NAMES: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img/src=x/onerror=alert(1)>",
    "'onmouseover=alert(1)//",
    "</title></style><svg/onload=alert(1)>",
    "&lt;b&gt;&#60;script&#62;",
    "\u{202e}-->\u{7}<!--",
];

/// As it has to be in a page.
fn escaped(name: &str) -> String {
    let name = text::printable(name)
        .replace('&', "&amp;")
        .replace('<', "&lt;");
    name.replace('>', "&gt;").replace('"', "&quot;")
}

#[rstest]
#[case(0)]
#[case(1)]
#[case(2)]
#[case(3)]
#[case(4)]
#[case(5)]
fn names_stay_text(#[case] number: usize) {
    let name = NAMES[number];
    let rule = "=".repeat(66);
    let log = format!(
        "Linux version {name} (x) #1
iommu: debug-pagealloc: off, {name}
dmasan: step 77 1 begin {name}
{rule}
BUG: DMASAN: {name} in {name}+0x1/0x2 [{name}]
[object={name}] [size=512] [phys=0x1000] [cache={name}] [mapped=1] [{name}={name}] [task={name}/7]
{name} {name}: the device can WRITE 1500 bytes at offset 64

freed at:
 {name}+0x1/0x2 [{name}]

mapped at:
[device={name}] [driver={name}] [iova={name}] [size=100] [from=64] [dir={name}] [kind={name}] [task={name}/7] [age_us=3]
 {name}+0x1/0x2 [{name}]

unmapped at:
[task={name}/7] [age_us=1]
 {name}+0x1/0x2 [{name}]

memory now: {name}
hint: {name}

CPU: 1 UID: 0 PID: 7 Comm: {name} Tainted: G {name} 7.3.4 #1
Hardware name: {name}
{rule}
BUG: {name}
WARNING: {name} at {name}
"
    );
    let log: String = log
        .lines()
        .map(|l| format!("[    5.100000] {l}\n"))
        .collect();
    let page = page(log.as_bytes());
    let whole = page.matches(&escaped(name)).count();
    assert!(
        whole > 20,
        "{whole} times
{page}"
    );
    let mut report = parse(log.as_bytes()).unwrap();
    for frame in report.findings[0].frames_mut() {
        frame.source.push(dmasan_report::SourceLine {
            function: name.to_owned(),
            file: Some(name.to_owned()),
            line: Some(1),
        });
        frame.source.push(frame.source[0].clone());
    }
    let with_sources = html::to_string(&report, &[name]);
    markup::check(&with_sources);
    assert!(with_sources.len() > page.len());
}

#[test]
fn an_object_and_its_mapped_bytes_are_drawn_to_scale() {
    let page = page_of("mapped-at");
    let first = section(&page, 1);
    // 64 and 1500 of 2048, in thousandths.
    assert!(
        first.contains("<rect class=\"write\" x=\"31.25\" y=\"4\" width=\"732.421875\""),
        "{first}"
    );
    assert!(first.contains("bytes 64\u{2013}1563: 0000:00:03.0 can WRITE, iova 0xffffe040"));
    assert!(first.contains("<span>2048 bytes</span>"));
    // The device was at byte 24 of a mapping of 1500.
    let last = section(&page, 4);
    assert!(last.contains("<rect class=\"mark\" x=\"16\""), "{last}");
    assert!(last.contains("byte 24: the device wrote here"));
    // Nothing tells where the mappings of a driver lie together.
    assert!(!section(&page, 2).contains("<svg"));
}

#[test]
fn an_unmap_is_drawn_beside_the_mapping() {
    let whole = fs::read_to_string(data().join("mapped-at.log")).unwrap();
    // Mapped are 512 bytes at the same address.
    let error = "[error=twice] [iova=0xffffc000] [size=512]";
    assert!(whole.contains(error));
    let cases = [
        (
            "[iova=0xffffc000] [size=1024]",
            Some(("0", "500", "0", "1000")),
        ),
        (
            "[iova=0xffffbe00] [size=512]",
            Some(("500", "500", "0", "500")),
        ),
        ("[iova=0x1000] [size=512]", None),
        (
            "[iova=0xffffffffffffffff] [size=18446744073709551615]",
            None,
        ),
        ("[iova=0xffffc000] [size=0]", Some(("0", "1000", "", ""))),
    ];
    for (asked, rects) in cases {
        let log = whole.replace(error, &format!("[error=size] {asked}"));
        let page = page(log.as_bytes());
        let third = section(&page, 3);
        let Some((x, width, asked_x, asked_width)) = rects else {
            assert!(!third.contains("<svg"), "{third}");
            continue;
        };
        let rect = |class, x, y, width| {
            format!("<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\"")
        };
        assert!(third.contains(&rect("read", x, "4", width)), "{third}");
        let drawn = third.contains(&rect("asked", asked_x, "28", asked_width));
        assert_eq!(drawn, !asked_width.is_empty(), "{third}");
    }
}

#[test]
fn pages_without_known_mappings_are_drawn_too() {
    let page = page_of("page-owner");
    assert!(
        section(&page, 1).contains("bytes 0\u{2013}4095: mapped"),
        "{page}"
    );
}

#[test]
fn the_timeline_begins_with_the_oldest() {
    let page = page_of("mapped-at");
    let parts = [
        "page of the object allocated",
        "mapped for 0000:00:03.0: 1500 bytes, from-device, single",
        "5.123 ms before",
        "freed while mapped",
        "reported",
    ];
    in_order(section(&page, 1), &parts);
    in_order(
        section(&page, 2),
        &[
            "91.24 ms before",
            "90.11 ms before",
            "412 µs before",
            "driver unbound",
        ],
    );
    in_order(
        section(&page, 3),
        &["210 µs before", "107 µs before", "unmapped a second time"],
    );
    let parts = [
        "5.42 ms before",
        "211 µs before",
        "written by the device at 0xffffa018",
    ];
    in_order(section(&page, 4), &parts);
    let page = page_of("page-owner");
    in_order(
        section(&page, 1),
        &[
            "page freed by",
            "page allocated",
            "before",
            "freed while mapped",
        ],
    );
}

#[test]
fn what_the_log_lacks_is_told() {
    assert!(page_of("clean").contains("no findings"));
    assert!(page_of("off").contains("The log does not show that the sanitizer was on."));
    assert!(page_of("passthrough").contains("all 6 devices are in passthrough"));
    assert!(page_of("truncated").contains("Cut at line 18 of the log: the log ends."));
    assert!(page_of("oops").contains("Kernel trouble, log line"));
}

#[rstest]
#[case::element("<p><script>x</script></p>")]
#[case::attribute("<p onclick=\"x\">x</p>")]
#[case::unquoted("<p class=x>x</p>")]
#[case::link("<a href=\"javascript:x\">x</a>")]
#[case::address("<p>http://x</p>")]
#[case::open("<p>x")]
#[case::crossed("<p><span>x</p></span>")]
#[case::text("<p>x > y</p>")]
#[case::direction("<p>\u{202e}</p>")]
#[should_panic]
fn the_check_itself_fails(#[case] page: &str) {
    markup::check(page);
}
