// SPDX-License-Identifier: GPL-2.0-only
//! The HTML report in a real browser. Not run by `cargo test`, which says so; `ci/browser.sh` gets Chromium and runs it.

mod chromium;

use chromium::Browser;
use serde_json::{json, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is in the log is taken for a page's own if it is not escaped.
const HOSTILE: [&str; 5] = [
    "<script>window.pwned=1</script>",
    "\"><img/src=x/onerror=window.pwned=1>",
    "</style><svg/onload=window.pwned=1>",
    "'\"/onmouseover=window.pwned=1//",
    "</title><iframe/srcdoc=\"<script>parent.pwned=1</script>\">",
];

/// The colours of every text and of what is behind it: the smallest contrast.
const CONTRAST: &str = r#"(() => {
    const rgb = text => text.match(/[\d.]+/g).map(Number);
    const part = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    const behind = e => { for (; e; e = e.parentElement) {
        const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
    const texts = [...document.body.querySelectorAll("*")].filter(
        e => [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()));
    return Math.min(...texts.map(e => {
        const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); })); })()"#;

fn log(name: &str) -> PathBuf {
    let path = format!(
        "{}/../report/tests/data/{name}.log",
        env!("CARGO_MANIFEST_DIR")
    );
    path.into()
}

/// Writes the page of a log.
fn page(dir: &Path, log: &Path) -> PathBuf {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmasan"));
    command.arg("report").arg(log).args(["--format", "html"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let path = dir.join(log.file_name().unwrap()).with_extension("html");
    fs::write(&path, output.stdout).unwrap();
    path
}

/// A log whose every name is hostile, with words too long for any screen.
fn hostile(dir: &Path) -> PathBuf {
    let whole = fs::read_to_string(log("mapped-at")).unwrap();
    let lines = whole.lines().enumerate().map(|(n, line)| {
        let bad = HOSTILE[n % HOSTILE.len()];
        let long = "very_long_name_".repeat(20);
        let line = line.replace("0000:00:03.0", bad).replace("insmod", bad);
        let line = line.replace("edu_dma]", &format!("{bad}]"));
        line.replace("edu_twice", &format!("{bad}{long}")) + "\n"
    });
    let path = dir.join("hostile.log");
    fs::write(&path, lines.collect::<String>()).unwrap();
    path
}

/// Whatever the browser complains of, asks for, or runs.
fn complaints(events: &[Value], page: &Path) -> Vec<Value> {
    let own = format!("file://{}", page.display());
    let is_complaint = |event: &&Value| match event["method"].as_str() {
        Some(
            "Log.entryAdded"
            | "Runtime.exceptionThrown"
            | "Runtime.consoleAPICalled"
            | "Page.javascriptDialogOpening",
        ) => true,
        Some("Network.requestWillBeSent") => event["params"]["request"]["url"] != json!(own),
        _ => false,
    };
    events.iter().filter(is_complaint).cloned().collect()
}

#[test]
#[ignore = "needs Chromium: run ci/browser.sh"]
fn pages_fit_every_screen_and_run_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut browser = Browser::start();
    let logs = [
        log("mapped-at"),
        log("page-owner"),
        log("domain-leak"),
        log("hostile"),
        hostile(dir.path()),
    ];
    for log in logs {
        let page = page(dir.path(), &log);
        let mut grounds = Vec::new();
        for (width, scheme) in [
            (400, "light"),
            (400, "dark"),
            (1400, "light"),
            (1400, "dark"),
        ] {
            let here = format!("{} at {width}, {scheme}", log.display());
            browser.screen(width, scheme, "screen");
            let events = browser.open(&page);
            assert_eq!(complaints(&events, &page), Vec::<Value>::new(), "{here}");
            assert_eq!(
                browser.evaluate("window.pwned === undefined"),
                true,
                "{here}"
            );
            assert_eq!(
                browser.evaluate("document.querySelectorAll('script,img,iframe,object').length"),
                0
            );
            for open in ["false", "true"] {
                browser.evaluate(&format!(
                    "document.querySelectorAll('details').forEach(d => d.open = {open})"
                ));
                let width = browser.evaluate("document.documentElement.clientWidth");
                assert_eq!(
                    browser.evaluate("document.documentElement.scrollWidth"),
                    width,
                    "{here}"
                );
            }
            let contrast = browser.evaluate(CONTRAST).as_f64().unwrap();
            assert!(contrast >= 4.5, "{here}: {contrast}");
            grounds.push(browser.evaluate("getComputedStyle(document.body).backgroundColor"));
        }
        assert_ne!(grounds[0], grounds[1]);
        // On paper nothing is folded.
        browser.screen(800, "light", "print");
        browser.open(&page);
        let folded = "[...document.querySelectorAll('details > :last-child')].filter(e => !e.checkVisibility()).length";
        assert_eq!(browser.evaluate(folded), 0);
        browser.screen(800, "light", "screen");
        assert_ne!(browser.evaluate(folded), 0);
    }
}

/// The same checks see what they are to see.
#[test]
#[ignore = "needs Chromium: run ci/browser.sh"]
fn a_page_that_is_wrong_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut browser = Browser::start();
    browser.screen(400, "light", "screen");
    let path = dir.path().join("bad.html");
    let bad = "<p style='color:#ccc;background:#fff;width:2000px'>x</p><script>window.pwned=1</script><img src=x>";
    fs::write(&path, bad).unwrap();
    let events = browser.open(&path);
    assert!(!complaints(&events, &path).is_empty());
    assert_eq!(browser.evaluate("window.pwned"), 1);
    assert_eq!(
        browser.evaluate("document.documentElement.scrollWidth > 2000"),
        true
    );
    assert!(browser.evaluate(CONTRAST).as_f64().unwrap() < 4.5);
    // With the policy of our pages the same does nothing but complain.
    let ours = fs::read_to_string(page(dir.path(), &log("mapped-at"))).unwrap();
    let (head, body) = ours.split_once("<body>").unwrap();
    fs::write(&path, format!("{head}<body>{bad}{body}")).unwrap();
    let events = browser.open(&path);
    assert!(complaints(&events, &path).len() > 1);
    assert_eq!(browser.evaluate("window.pwned === undefined"), true);
}

/// The picture in the documents, light and dark.
#[test]
#[ignore = "writes docs/report-*.png: run ci/browser.sh screenshot"]
fn screenshot() {
    let docs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"));
    let dir = tempfile::tempdir().unwrap();
    let mut browser = Browser::start();
    let page = page(dir.path(), &log("mapped-at"));
    for scheme in ["light", "dark"] {
        browser.screen(900, scheme, "screen");
        browser.open(&page);
        // To the end of the first finding's timeline, with the stack of the map unfolded.
        browser.evaluate("document.querySelector('li.mapped details').open = true");
        let end =
            "document.querySelector('ol.timeline').getBoundingClientRect().bottom + scrollY + 8";
        let height = browser.evaluate(end);
        let clip = json!({ "x": 0, "y": 0, "width": 900, "height": height, "scale": 1 });
        let params = json!({ "format": "png", "clip": clip, "captureBeyondViewport": true });
        let picture = browser.call("Page.captureScreenshot", params);
        let picture = base64(picture["data"].as_str().unwrap());
        assert!(picture.starts_with(b"\x89PNG") && picture.len() < 300_000);
        fs::write(docs.join(format!("report-{scheme}.png")), picture).unwrap();
    }
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut have) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes().take_while(|b| *b != b'=') {
        let digit = DIGITS.iter().position(|d| *d == digit).unwrap();
        bits = bits << 6 | u32::try_from(digit).unwrap();
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have & 0xff) as u8);
        }
    }
    out
}
