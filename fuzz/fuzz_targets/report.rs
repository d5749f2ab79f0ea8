// SPDX-License-Identifier: GPL-2.0-only
//! Kernel logs are written by whatever runs in the kernel: no bytes may break the parser, or reach the terminal raw.
#![no_main]

use std::io::BufReader;

use dmasan_report::text::{self, Style};
use dmasan_report::{html, json, junit, parse, parse_reader, sarif, Options};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|log: &[u8]| {
    let parsed = parse(log);

    // Where a read ends is no matter.
    let in_bits = parse_reader(BufReader::with_capacity(7, log), Options::default());
    assert_eq!(in_bits.expect("memory can be read"), parsed);

    let Ok(report) = parsed else { return };
    for brief in [false, true] {
        let style = Style {
            color: false,
            brief,
        };
        no_controls(&text::to_string(&report, style));
    }
    no_controls(&sarif::to_string(&report));
    no_controls(&junit::to_string(&report));
    let page = html::to_string(&report, &[]);
    let tags = ["<script", "<img", "<iframe", "<a href=\"h"];
    assert!(tags.iter().all(|tag| !page.contains(tag)), "{page}");
    for finding in &report.findings {
        text::headline(finding);
    }
    let written = json::to_string(&report);
    assert_eq!(json::from_str(&written), Ok(report));
});

fn no_controls(text: &str) {
    let raw = text
        .chars()
        .find(|&c| c.is_control() && c != '\n' && c != '\t');
    assert_eq!(raw, None, "{text}");
}
