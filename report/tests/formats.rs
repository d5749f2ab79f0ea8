// SPDX-License-Identifier: GPL-2.0-only
//! SARIF and JUnit XML: what is in them, and that nothing that a log says breaks them.

mod xml;

use dmasan_report::text::{self, Style};
use dmasan_report::{junit, parse, sarif, Report, SourceLine};
use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;
use xml::Element;

const RULER: &str = "==================================================================";

fn sarif_of(report: &Report) -> Value {
    let text = sarif::to_string(report);
    assert_harmless(&text);
    let log: Value = serde_json::from_str(&text).unwrap();
    assert_strings_harmless(&log);
    log["runs"][0].clone()
}

fn junit_of(report: &Report) -> Element {
    let text = junit::to_string(report);
    assert_harmless(&text);
    let suites = xml::read(&text);
    assert_eq!(suites.name, "testsuites");
    // The counts are those of what is there.
    for element in std::iter::once(&suites).chain(&suites.children) {
        let cases = element.all("testcase");
        let with = |name: &str| cases.iter().filter(|case| case.has(name)).count();
        let error_or = |case: &&&Element| case.has("failure") && !case.has("error");
        let failures = cases.iter().filter(error_or).count();
        assert_eq!(element.number("tests"), cases.len());
        assert_eq!(element.number("errors"), with("error"));
        assert_eq!(element.number("failures"), failures);
    }
    suites
}

fn assert_harmless(text: &str) {
    let bad = text.chars().find(|&c| {
        c.is_control() && c != '\n' && c != '\t' || matches!(c, '\u{202e}' | '\u{feff}')
    });
    assert_eq!(bad, None, "{text}");
}

/// JSON hides controls behind escapes: what a reader gets of it has none, either.
fn assert_strings_harmless(value: &Value) {
    match value {
        Value::String(text) => assert_harmless(text),
        Value::Array(items) => items.iter().for_each(assert_strings_harmless),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            assert_harmless(key);
            assert_strings_harmless(value);
        }),
        _ => {}
    }
}

/// One report with a mapping, in a step, with these names.
fn log(step: &str, task: &str, driver: &str, device: &str) -> String {
    let lines = [
        format!("dmasan: step a 1 begin {step}"),
        RULER.to_owned(),
        "BUG: DMASAN: object-free-while-mapped in f+0x1/0x2 [m]".to_owned(),
        format!("[object=0x1] [cpu=0] [task={task}/7]"),
        format!("{driver} {device}: the device can WRITE 1 bytes at offset 0"),
        String::new(),
        "freed at:".to_owned(),
        " kfree+0x1/0x2".to_owned(),
        " f+0x1/0x2 [m]".to_owned(),
        "mapped at:".to_owned(),
        format!("[device={device}] [driver={driver}] [iova=0x1] [task={task}/7]"),
        " dma_map_phys+0x1/0x2".to_owned(),
        " g+0x3/0x4 [m]".to_owned(),
        format!("other live mappings of {device}: 1"),
        format!("hint: look at {driver}"),
        format!("CPU: 0 UID: 0 PID: 7 Comm: {task} Not tainted 7.3.4 #1"),
        RULER.to_owned(),
        "dmasan: step a 1 end rc=0".to_owned(),
    ];
    let with_time = |(number, line): (usize, &String)| format!("[    5.{number:06}] {line}\n");
    lines.iter().enumerate().map(with_time).collect()
}

fn plain() -> Report {
    parse(log("x", "insmod", "edu", "0000:00:03.0").as_bytes()).unwrap()
}

#[test]
fn a_result_has_places_stacks_and_a_fingerprint() {
    let run = sarif_of(&plain());
    let result = &run["results"][0];
    let place = &result["locations"][0];
    assert_eq!(place["logicalLocations"][0]["name"], "f");
    assert_eq!(place["logicalLocations"][0]["fullyQualifiedName"], "f [m]");
    assert_eq!(place.get("physicalLocation"), None);
    let mapped = &result["relatedLocations"][0];
    assert_eq!(mapped["logicalLocations"][0]["name"], "g");
    assert_eq!(result["stacks"].as_array().unwrap().len(), 2);
    assert_eq!(result["stacks"][1]["frames"].as_array().unwrap().len(), 2);
    let fingerprint = &result["partialFingerprints"]["dmasanSites/v1"];
    assert_eq!(fingerprint, "object-free-while-mapped:f@m:g@m");
    let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
    assert_eq!(rule["id"], result["ruleId"]);
    assert_eq!(rule["name"], "ObjectFreeWhileMapped");
    assert_eq!(result["level"], "error");
}

#[test]
fn a_place_in_the_source_is_a_physical_location() {
    let mut report = plain();
    for frame in report.findings[0].frames_mut() {
        let line = |function: &str, line| SourceLine {
            function: function.to_owned(),
            file: Some(format!("drivers/{}.c", frame.site.symbol)),
            line: Some(line),
        };
        frame.source = vec![line("inlined", 9), line(&frame.site.symbol, 7)];
    }
    let run = sarif_of(&report);
    let result = &run["results"][0];
    for (place, file) in [
        (&result["locations"][0], "drivers/f.c"),
        (&result["relatedLocations"][0], "drivers/g.c"),
    ] {
        let place = &place["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], file);
        assert_eq!(place["region"]["startLine"], 7);
    }
    let cases = junit_of(&report).all("failure")[0].text.clone();
    assert!(cases.contains("drivers/f.c:7"), "{cases}");
}

/// A build and a device later it is the same bug; with another place it is another.
#[test]
fn fingerprints_survive_another_build() {
    let of = |log: &str| {
        let run = sarif_of(&parse(log.as_bytes()).unwrap());
        run["results"][0]["partialFingerprints"].clone()
    };
    let first = log("x", "insmod", "edu", "0000:00:03.0");
    let moved = log("y", "modprobe", "edu", "0000:00:04.0").replace("+0x1/0x2", "+0x5/0x9");
    assert_eq!(of(&first), of(&moved));
    for (from, to) in [
        (" g+", " h+"),
        ("in f+", "in e+"),
        ("object-free", "object-alloc"),
    ] {
        assert_ne!(of(&first), of(&first.replace(from, to)), "{from}");
    }
}

#[test]
fn what_repeats_is_one_result_and_one_failure() {
    let once = log("x", "insmod", "edu", "0000:00:03.0");
    let (begin, end) = once.rsplit_once("[    5.000017]").unwrap();
    let again = begin[begin.find('\n').unwrap() + 1..].replace("[    5.", "[    6.");
    let report = parse(format!("{begin}{again}[    7.000000]{end}").as_bytes()).unwrap();
    assert_eq!(report.findings.len(), 2);
    let run = sarif_of(&report);
    assert_eq!(run["results"].as_array().unwrap().len(), 1);
    assert_eq!(run["results"][0]["occurrenceCount"], 2);
    let lines = run["results"][0]["properties"]["logLines"].as_array();
    assert_eq!(lines.unwrap().len(), 2);
    let suites = junit_of(&report);
    let failures = suites.all("failure");
    assert_eq!(failures.len(), 1);
    assert!(failures[0].attribute("message").ends_with(" (2 times)"));
}

#[test]
fn two_bugs_of_a_step_are_two_failures() {
    let once = log("x", "insmod", "edu", "0000:00:03.0");
    let (begin, end) = once.rsplit_once("[    5.000017]").unwrap();
    let other = begin[begin.find('\n').unwrap() + 1..].replace(" f+", " e+");
    let report = parse(format!("{begin}{other}[    7.000000]{end}").as_bytes()).unwrap();
    let suites = junit_of(&report);
    assert_eq!(suites.all("testcase").len(), 1);
    assert_eq!(suites.all("failure").len(), 2);
    assert_eq!(suites.number("failures"), 1);
}

#[rstest]
#[case::on("iommu: debug-pagealloc: on, tracking 7 devices", false)]
#[case::off("iommu: debug-pagealloc: off", true)]
#[case::unknown("Linux version 7.3.4", true)]
fn a_pass_that_means_nothing_is_skipped(#[case] boot: &str, #[case] skipped: bool) {
    let steps = "dmasan: step a 1 begin x\ndmasan: step a 1 end rc=0\n";
    for steps in [steps, ""] {
        let suites = junit_of(&parse(format!("{boot}\n{steps}").as_bytes()).unwrap());
        let cases = suites.all("testcase");
        assert_eq!(cases.len(), 1);
        assert_eq!(cases[0].has("skipped"), skipped);
    }
}

#[rstest]
#[case::none("", &[])]
#[case::exit("dmasan: step a 1 end rc=3", &["exit"])]
#[case::ended("dmasan: step a 1 end rc=0", &[])]
#[case::no_end("x: y", &["no-end"])]
#[case::panic("Kernel panic - not syncing: x", &["panic", "no-end"])]
#[case::oops("Oops: 0002 [#1]\ndmasan: step a 1 end rc=139", &["oops", "exit"])]
#[case::stall("BUG: soft lockup - CPU#0 stuck\ndmasan: step a 1 end rc=0", &[])]
#[case::cut("BUG: DMASAN: x in f+0x1/0x2\nfreed at:", &["truncated", "no-end"])]
fn what_keeps_a_step_from_being_judged(#[case] log: &str, #[case] errors: &[&str]) {
    let begin = if log.is_empty() {
        "x: y"
    } else {
        "dmasan: step a 1 begin x"
    };
    let log = format!("iommu: debug-pagealloc: on\n{begin}\n{log}\n");
    let suites = junit_of(&parse(log.as_bytes()).unwrap());
    let found: Vec<_> = suites
        .all("error")
        .iter()
        .map(|error| error.attribute("type"))
        .collect();
    assert_eq!(found, errors);
}

#[test]
fn findings_outside_of_steps_are_cases_of_their_own() {
    let log = log("x", "insmod", "edu", "0000:00:03.0");
    let without: String = log
        .lines()
        .filter(|line| !line.contains("dmasan: step"))
        .map(|line| format!("{line}\n"))
        .collect();
    let suites = junit_of(&parse(without.as_bytes()).unwrap());
    let cases = suites.all("testcase");
    let name = "object-free-while-mapped in f+0x1/0x2 [m], mapped in g+0x3/0x4 [m]";
    assert_eq!(cases[0].attribute("name"), name);
    assert_eq!(cases[0].attribute("classname"), "dmasan.log");
    assert_eq!((cases.len(), suites.number("failures")), (1, 1));
}

/// All that is in the sample is in the whole, at the same place.
fn assert_part_of(sample: &Value, whole: &Value) {
    match (sample, whole) {
        (Value::Object(sample), Value::Object(whole)) => sample
            .iter()
            .for_each(|(key, value)| assert_part_of(value, &whole[key])),
        (Value::Array(sample), Value::Array(whole)) => {
            assert!(sample.len() <= whole.len());
            sample
                .iter()
                .zip(whole)
                .for_each(|(sample, whole)| assert_part_of(sample, whole));
        }
        _ => assert_eq!(sample, whole),
    }
}

#[test]
fn the_documented_samples_are_true() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_to_string(root.join("../docs/reports.md")).unwrap();
    let report = |name: &str| {
        let path = root.join(format!("tests/data/{name}.log"));
        parse(&std::fs::read(path).unwrap()).unwrap()
    };
    let sample = |begin: &str| {
        let (_, rest) = docs.split_once(begin).unwrap();
        let (_, rest) = rest.split_once("\n```").unwrap();
        let (_, rest) = rest.split_once('\n').unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };

    for name in ["mapped-at", "interleaved"] {
        let style = Style {
            brief: true,
            ..Style::default()
        };
        let text = text::to_string(&report(name), style);
        let table = text.split("\n\n").find(|part| part.contains("memory"));
        let table = format!("```\n{}\n```", table.unwrap());
        assert!(docs.contains(&table), "{table}");
    }

    let shown: Value = serde_json::from_str(&sample("#### SARIF")).unwrap();
    let whole: Value = serde_json::from_str(&sarif::to_string(&report("mapped-at"))).unwrap();
    assert_part_of(&shown, &whole);

    let whole = junit::to_string(&report("mapped-at-panic"));
    let shown = sample("#### JUnit XML");
    let (begin, end) = shown.split_once("...\n").unwrap();
    assert!(whole.starts_with(begin) && whole.ends_with(end), "{shown}");
}

/// What a device, a driver or a task may be called: markup, controls, ends of sections.
fn name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-z0-9:._-]{1,8}",
        "\\PC{1,4}",
        any::<char>().prop_map(String::from),
        proptest::sample::select(vec![
            "<",
            ">",
            "&",
            "\"",
            "'",
            "]]>",
            "&#0;",
            "&lt;",
            "<!--",
            "<![CDATA[",
            "<?x",
            "\x1b[2J",
            "\x1b]0;x\x07",
            "\r",
            "\u{202e}",
            "\u{fffe}",
            "\u{ffff}",
            "\u{85}",
            "\u{feff}",
            "\0",
            "\\",
        ])
        .prop_map(str::to_owned),
    ];
    vec(part, 1..6).prop_map(|parts| parts.concat())
}

/// Lines of the logs of the other tests, without their times: these would make a line that is drawn twice vanish.
fn line_of_a_log() -> impl Strategy<Value = String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let names = [
        "mapped-at",
        "two-steps",
        "domain-leak",
        "reference-page-owner",
        "hostile",
    ];
    let logs = names.map(|name| std::fs::read(folder.join(format!("{name}.log"))).unwrap());
    let lines: Vec<_> = logs
        .iter()
        .flat_map(|log| {
            String::from_utf8_lossy(log)
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .map(|line| match line.split_once("] ") {
            Some((_, message)) if line.starts_with("[  ") => message.to_owned(),
            _ => line,
        })
        .collect();
    proptest::sample::select(lines)
}

proptest! {
    #[test]
    fn any_order_of_lines_is_harmless(lines in vec(line_of_a_log(), 0..200)) {
        let Ok(report) = parse(lines.join("\n").as_bytes()) else {
            return Ok(());
        };
        assert_harmless(&text::to_string(&report, Style::default()));
        sarif_of(&report);
        junit_of(&report);
    }

    #[test]
    fn any_names_are_harmless(step in name(), task in name(), driver in name(), device in name()) {
        let Ok(report) = parse(log(&step, &task, &driver, &device).as_bytes()) else {
            return Ok(());
        };
        assert_harmless(&text::to_string(&report, Style::default()));
        let results = sarif_of(&report)["results"].as_array().unwrap().len();
        let failures = junit_of(&report).all("failure").len();
        prop_assert_eq!(results, report.findings.len());
        prop_assert_eq!(failures, report.findings.len());
    }

    /// Names in the title, the stacks and the source, where the log's own syntax allows fewer.
    #[test]
    fn any_symbols_and_files_are_harmless(class in name(), symbol in name(), file in name()) {
        let log = format!(
            "BUG: DMASAN: {class} in {symbol}+0x1/0x2 [{symbol}]\nfreed at:\n {symbol}+0x1/0x2\n{RULER}\n"
        );
        let Ok(mut report) = parse(log.as_bytes()) else {
            return Ok(());
        };
        for frame in report.findings.iter_mut().flat_map(|finding| finding.frames_mut()) {
            let (function, file) = (symbol.clone(), Some(file.clone()));
            frame.source.push(SourceLine { function, file, line: Some(0) });
        }
        assert_harmless(&text::to_string(&report, Style::default()));
        junit_of(&report);
        for result in sarif_of(&report)["results"].as_array().unwrap() {
            let place = &result["locations"][0]["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().unwrap_or("");
            prop_assert!(uri.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&b)), "{}", uri);
        }
    }
}
