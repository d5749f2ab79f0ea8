// SPDX-License-Identifier: GPL-2.0-only
//! What holds for every log: no input breaks the parser, and what the engine writes is read back.

mod markup;

use dmasan_engine::mapped_at::{MAPPED_AT, UNBOUND_AT};
use dmasan_engine::report::{
    Class, Event, Facts, DOMAIN_FREED, REFERENCE_LINE, RULER, STILL_MAPPED, TITLE,
};
use dmasan_engine::unmapped_at::{MEMORY_NOW, UNMAPPED_AT};
use dmasan_report::text::{self, Style};
use dmasan_report::{html, json, parse, Options, Parser};
use proptest::collection::vec;
use proptest::prelude::*;

/// A report as the kernel writes it, and what must be read of it.
#[derive(Clone, Debug)]
struct Sample {
    event: Event,
    count: i32,
    pages: u64,
    pfn: u64,
    comm: String,
    symbol: String,
    module: Option<String>,
    frames: Vec<(String, u64)>,
}

impl Sample {
    fn site(&self) -> String {
        let module = self
            .module
            .as_ref()
            .map_or(String::new(), |name| format!(" [{name}]"));
        format!("{}+0x10/0x20{module}", self.symbol)
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            pfn: self.pfn,
            phys: self.pfn << 12,
            order: self.pages.next_power_of_two().trailing_zeros(),
            pages: self.pages,
            mapped: 1,
            first: self.pfn,
            last: self.pfn,
            count: self.count,
            cpu: 0,
            comm: &self.comm,
            pid: 71,
        }
    }

    fn lines(&self) -> Vec<String> {
        let class = self.event.class(self.count);
        let mut lines = vec![
            RULER.to_owned(),
            format!("{TITLE}{} in {}", class.name(), self.site()),
            self.facts().to_string(),
            REFERENCE_LINE.to_owned(),
            String::new(),
            self.event.heading().to_owned(),
        ];
        lines.extend(
            self.frames
                .iter()
                .map(|(symbol, offset)| format!(" {symbol}+{offset:#x}/0x1000")),
        );
        lines.push(String::new());
        lines
            .push("CPU: 0 UID: 0 PID: 71 Comm: insmod Not tainted 7.3.4 #1 PREEMPTLAZY".to_owned());
        lines.push(RULER.to_owned());
        lines
    }
}

fn symbol() -> impl Strategy<Value = String> {
    "[a-zA-Z_][a-zA-Z0-9_.$]{0,30}"
}

fn sample() -> impl Strategy<Value = Sample> {
    let event = prop_oneof![Just(Event::Alloc), Just(Event::Free)];
    let count = prop_oneof![Just(-1), 1..9i32];
    let module = proptest::option::of("[a-z][a-z0-9_]{0,20}");
    (
        event,
        count,
        1..600u64,
        1..1u64 << 40,
        "\\PC{1,15}",
        symbol(),
        module,
        vec((symbol(), 0..0x1000u64), 0..20),
    )
        .prop_map(
            |(event, count, pages, pfn, comm, symbol, module, frames)| Sample {
                event,
                count,
                pages,
                pfn,
                comm,
                symbol,
                module,
                frames,
            },
        )
}

/// What a logger puts around a line.
#[derive(Clone, Debug)]
struct Clothes {
    logger: &'static str,
    level: &'static str,
    time: bool,
    caller: &'static str,
    end: &'static str,
}

impl Clothes {
    fn line(&self, number: usize, text: &str) -> String {
        let time = if self.time {
            format!("[{:5}.{:06}]", 5, number)
        } else {
            String::new()
        };
        let caller = if self.time { self.caller } else { "" };
        let gap = if self.time { " " } else { "" };
        format!(
            "{}{}{time}{caller}{gap}{text}{}",
            self.logger, self.level, self.end
        )
    }
}

fn clothes() -> impl Strategy<Value = Clothes> {
    let logger = prop_oneof![
        Just(""),
        Just("Nov 22 13:00:00 host kernel: "),
        Just("Nov  2 03:00:00 host.example kernel: "),
        Just("2026-11-22T13:00:00.000001+00:00 host kernel: "),
    ];
    let level = prop_oneof![Just(""), Just("<3>")];
    let caller = prop_oneof![Just(""), Just("[   T71]"), Just("[    C0]")];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r\r\n"), Just("\x1b[0m\n")];
    (logger, level, any::<bool>(), caller, end).prop_map(|(logger, level, time, caller, end)| {
        Clothes {
            logger,
            level,
            time,
            caller,
            end,
        }
    })
}

/// Lines that mean something to the parser, in any order.
fn meaningful() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(RULER.to_owned()),
        Just(format!("{TITLE}free-while-mapped in f+0x1/0x2 [m]")),
        Just("------------[ cut here ]------------".to_owned()),
        Just("WARNING: x.c:1 at __iommu_debug_check_unmapped+0x1/0x2, CPU#0: a/1".to_owned()),
        Just("WARNING: possible circular locking".to_owned()),
        Just("---[ end trace 0000000000000000 ]---".to_owned()),
        Just(REFERENCE_LINE.to_owned()),
        Just("page_owner tracks the page as freed".to_owned()),
        Just("page last free pid 1 tgid 1 ts 1 stack trace:".to_owned()),
        Just(Event::Free.heading().to_owned()),
        Just(format!("{TITLE}domain-leak in f+0x1/0x2")),
        Just(STILL_MAPPED.to_owned()),
        Just(DOMAIN_FREED.to_owned()),
        Just(" [iova=0x1000] [phys=0x2000] [size=0x1000]".to_owned()),
        Just(format!("{TITLE}dma-after-unmap in f+0x1/0x2 [m]")),
        Just(MAPPED_AT.to_owned()),
        Just(UNMAPPED_AT.to_owned()),
        Just(UNBOUND_AT.to_owned()),
        Just("[device=0000:00:03.0] [driver=edu] [size=1500] [from=64]".to_owned()),
        Just("edu 0000:00:03.0: the device can WRITE 1500 bytes".to_owned()),
        Just(format!("{MEMORY_NOW}free")),
        Just("hint: x".to_owned()),
        Just(" f+0x1/0x2".to_owned()),
        Just("Linux version 7.3.4".to_owned()),
        Just("Kernel panic - not syncing: x".to_owned()),
        Just("Oops: x".to_owned()),
        Just("dmasan: step a 1 begin x".to_owned()),
        Just("dmasan: step a 1 end rc=0".to_owned()),
        "\\PC{0,40}",
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_survived(log in vec(any::<u8>(), 0..4000)) {
        if let Ok(report) = parse(&log) {
            text::to_string(&report, Style::default());
            markup::check(&html::to_string(&report, &[]));
        }
    }

    #[test]
    fn any_order_of_lines_is_survived(lines in vec((meaningful(), clothes()), 0..120)) {
        let log: String = lines.iter().enumerate().map(|(n, (text, clothes))| clothes.line(n, text)).collect();
        if let Ok(report) = parse(log.as_bytes()) {
            let text = text::to_string(&report, Style::default());
            prop_assert!(text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
            markup::check(&html::to_string(&report, &[]));
            prop_assert_eq!(json::from_str(&json::to_string(&report)), Ok(report));
        }
    }

    #[test]
    fn what_the_engine_writes_is_read_back(sample in sample(), clothes in clothes()) {
        let lines = sample.lines();
        let log: String = lines.iter().enumerate().map(|(n, text)| clothes.line(n, text)).collect();
        let report = parse(log.as_bytes()).unwrap();
        prop_assert_eq!(report.findings.len(), 1);
        let finding = &report.findings[0];
        prop_assert!(!finding.truncated);
        prop_assert_eq!(finding.class.as_str(), sample.event.class(sample.count).name());
        let site = finding.site.as_ref().unwrap();
        prop_assert_eq!((&site.symbol, &site.module), (&sample.symbol, &sample.module));
        prop_assert_eq!((site.offset, site.size), (Some(0x10), Some(0x20)));
        prop_assert_eq!(finding.facts.number("pfn"), Some(sample.pfn));
        prop_assert_eq!(finding.facts.number("pages"), Some(sample.pages));
        let count = sample.count.to_string();
        prop_assert_eq!(finding.facts.value("count"), Some(count.as_str()));
        prop_assert_eq!(finding.facts.len(), 10);
        prop_assert!(finding.facts.value("task").unwrap().ends_with("/71"));
        prop_assert_eq!(format!("{}:", finding.stacks[0].title), sample.event.heading());
        let frames: Vec<_> = finding.stacks[0].frames.iter().map(|f| (f.site.symbol.clone(), f.site.offset.unwrap())).collect();
        prop_assert_eq!(frames, sample.frames);
        prop_assert_eq!(&finding.raw, &lines);
    }

    #[test]
    fn a_report_cut_anywhere_says_so(sample in sample(), clothes in clothes(), at in any::<proptest::sample::Index>()) {
        let lines = sample.lines();
        // From the title alone to all but the last ruler.
        let at = 2 + at.index(lines.len() - 2);
        let log: String = lines[..at].iter().enumerate().map(|(n, text)| clothes.line(n, text)).collect();
        let report = parse(log.as_bytes()).unwrap();
        prop_assert_eq!(report.findings.len(), 1);
        prop_assert!(report.truncated && report.findings[0].truncated);
    }
}

#[test]
fn classes_of_the_engine_are_known() {
    for class in Class::ALL {
        let known = dmasan_report::Class::from(class.name().to_owned());
        assert!(
            !matches!(known, dmasan_report::Class::Other(_)),
            "{known:?}"
        );
    }
}

#[test]
fn steps_of_another_nonce_do_not_count() {
    let mut parser = Parser::new(Options {
        nonce: Some("mine".into()),
    });
    for line in [
        "dmasan: step forged 1 begin x",
        "dmasan: step mine 2 begin y",
        "dmasan: step forged 2 end rc=0",
    ] {
        parser.line(line.as_bytes());
    }
    let report = parser.finish().unwrap();
    assert_eq!(report.steps.len(), 1);
    assert!(!report.steps[0].ended);
}

#[test]
fn endless_findings_are_counted_not_kept() {
    let mut parser = Parser::new(Options::default());
    for number in 0..5_000 {
        parser.line(format!("{TITLE}free-while-mapped in f{number}+0x1/0x2").as_bytes());
    }
    let report = parser.finish().unwrap();
    assert_eq!(report.findings.len() as u64 + report.left_out, 5_000);
    assert!(report.left_out > 0);
}

#[test]
fn a_line_without_end_is_cut() {
    let mut log = b"[    1.000000] BUG: DMASAN: x in ".to_vec();
    log.extend(std::iter::repeat_n(b'f', 1 << 20));
    log.extend(b"\n[    1.000001] freed at:\n");
    let report = parse(&log).unwrap();
    assert_eq!(report.lines, 2);
    assert!(report.findings[0].title.len() <= 1024);
    assert_eq!(report.findings[0].stacks.len(), 1);
}
