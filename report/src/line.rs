// SPDX-License-Identifier: GPL-2.0-only
//! Takes what consoles, loggers and `dmesg` put around a kernel message off again.
//!
//! Known prefixes, each optional, in the order in which they occur: journal or syslog
//! (`Nov 22 13:00:00 host kernel: `, `2026-11-22T13:00:00+00:00 host kernel: `), `dmesg -x`
//! (`kern  :warn  : `), loglevel (`<4>`), time (`[    5.123456]`, `dmesg -T`'s `[Sun Nov 22 13:00:00 2026]`),
//! caller (`[   T71]`), `journalctl -o short-monotonic`'s `host kernel: ` after the time.

use std::borrow::Cow;

/// One line of a log, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Place in the log, from 1.
    pub(crate) number: u64,
    /// Time since boot, in microseconds.
    pub(crate) time_us: Option<u64>,
    /// Context that printed it.
    pub(crate) caller: Option<&'a str>,
    /// Something around the message shows that the kernel wrote it.
    pub(crate) prefixed: bool,
    /// A logger says that a program wrote it, not the kernel.
    pub(crate) foreign: bool,
    /// The message.
    pub(crate) text: &'a str,
}

/// Removes terminal control sequences and the controls around a line. Cheap when there are none.
pub(crate) fn plain(line: &str) -> Cow<'_, str> {
    let line = line.trim_end_matches(['\n', '\r', '\0']);
    if !line.contains(['\x1b', '\r', '\0']) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => skip_escape(&mut rest),
            '\r' | '\0' => {}
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Skips one control sequence after its ESC: CSI, OSC or a short one.
fn skip_escape(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            while rest.next_if(|c| matches!(c, '\x20'..='\x3f')).is_some() {}
            rest.next_if(|c| matches!(c, '\x40'..='\x7e'));
        }
        Some(']') => {
            // Ends with BEL or ESC \; an unended one takes no more than the line.
            while let Some(c) = rest.next() {
                if c == '\x07' || (c == '\x1b' && rest.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {
            rest.next_if(|c| matches!(c, '\x20'..='\x7e'));
        }
    }
}

/// Takes a plain line apart.
pub(crate) fn split(number: u64, plain: &str) -> Line<'_> {
    let mut line = Line {
        number,
        time_us: None,
        caller: None,
        prefixed: false,
        foreign: false,
        text: plain,
    };
    if !logger(&mut line) {
        brackets(&mut line);
        monotonic(&mut line);
    }
    if !line.prefixed && !line.foreign {
        // A program's unended line (a prompt, a progress bar) may stand before a message on the same console.
        if let Some(at) = late_time(plain) {
            line.text = &plain[at..];
            brackets(&mut line);
        }
    }
    line
}

/// Logger prefix: date, host, identifier. True if there was one.
fn logger(line: &mut Line<'_>) -> bool {
    let Some(rest) = syslog_date(line.text).or_else(|| iso_date(line.text)) else {
        return false;
    };
    let Some((host, rest)) = rest.split_once(' ') else {
        return false;
    };
    if host.is_empty() || host.ends_with(':') {
        return false;
    }
    let Some(rest) = identifier(line, rest) else {
        return false;
    };
    line.text = rest;
    if line.prefixed {
        brackets(line);
    }
    true
}

/// `kernel: ` or `program[123]: `; what follows it. Sets whose line it is.
fn identifier<'a>(line: &mut Line<'_>, text: &'a str) -> Option<&'a str> {
    let (ident, rest) = text.split_once(':')?;
    let name = ident.split('[').next().unwrap_or(ident);
    if name.is_empty() || ident.contains(' ') {
        return None;
    }
    line.prefixed = name == "kernel";
    line.foreign = !line.prefixed;
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

/// `Nov 22 13:00:00 `; what follows it.
fn syslog_date(text: &str) -> Option<&str> {
    const MONTHS: [&str; 12] = [
        "Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ", "Jul ", "Aug ", "Sep ", "Oct ", "Nov ",
        "Dec ",
    ];
    let rest = MONTHS
        .iter()
        .find_map(|month| text.strip_prefix(month))?
        .trim_start_matches(' ');
    let (day, rest) = rest.split_once(' ')?;
    let (clock, rest) = rest.split_once(' ')?;
    (is_number(day) && is_clock(clock)).then_some(rest)
}

/// `2026-11-22T13:00:00.123456+00:00 `; what follows it.
fn iso_date(text: &str) -> Option<&str> {
    let (stamp, rest) = text.split_once(' ')?;
    let (date, clock) = stamp.split_once('T')?;
    let mut parts = date.split('-');
    let is_date = parts.next().is_some_and(|y| y.len() == 4 && is_number(y))
        && parts.next().is_some_and(is_number)
        && parts.next().is_some_and(is_number)
        && parts.next().is_none();
    (is_date && is_clock(clock.get(..8)?)).then_some(rest)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_clock(text: &str) -> bool {
    let mut parts = text.splitn(3, ':');
    parts
        .by_ref()
        .all(|p| p.bytes().all(|b| b.is_ascii_digit() || b == b'.') && p.len() >= 2)
        && text.matches(':').count() == 2
}

/// Facility, level, time and caller.
fn brackets(line: &mut Line<'_>) {
    let text = line.text;
    if let Some(rest) = facility(text).or_else(|| level(text)) {
        line.text = rest;
        line.prefixed = true;
    }
    if let Some((time, rest)) = time(line.text) {
        line.time_us = time;
        line.prefixed = true;
        line.text = rest;
        if let Some((caller, rest)) = caller(rest) {
            line.caller = Some(caller);
            line.text = rest;
        }
        line.text = line.text.strip_prefix(' ').unwrap_or(line.text);
    } else if line.prefixed {
        if let Some((caller, rest)) = caller(line.text) {
            line.caller = Some(caller);
            line.text = rest.strip_prefix(' ').unwrap_or(rest);
        }
    }
}

/// `kern  :warn  : ` of `dmesg -x`.
fn facility(text: &str) -> Option<&str> {
    let rest = text
        .strip_prefix("kern")?
        .trim_start_matches(' ')
        .strip_prefix(':')?;
    let (level, rest) = rest.split_once(':')?;
    let level = level.trim_end_matches(' ');
    let known = [
        "emerg", "alert", "crit", "err", "warn", "notice", "info", "debug",
    ]
    .contains(&level);
    known.then(|| rest.strip_prefix(' ').unwrap_or(rest))
}

/// `<4>`.
fn level(text: &str) -> Option<&str> {
    let (level, rest) = text.strip_prefix('<')?.split_once('>')?;
    (level.len() <= 3 && is_number(level)).then_some(rest)
}

/// `[    5.123456]` or `[Sun Nov 22 13:00:00 2026]`: microseconds if it is one since boot, and what follows.
fn time(text: &str) -> Option<(Option<u64>, &str)> {
    let (stamp, rest) = text.strip_prefix('[')?.split_once(']')?;
    let stamp = stamp.trim_start_matches(' ');
    if let Some((seconds, micros)) = stamp.split_once('.') {
        if micros.len() == 6 && is_number(seconds) && is_number(micros) {
            let time = seconds
                .parse::<u64>()
                .ok()?
                .checked_mul(1_000_000)?
                .checked_add(micros.parse().ok()?)?;
            return Some((Some(time), rest));
        }
        return None;
    }
    let mut words = stamp.split_ascii_whitespace().skip(1);
    let is_date = words.next().is_some_and(|month| month.len() == 3)
        && words.next().is_some_and(is_number)
        && words.next().is_some_and(is_clock)
        && words.next().is_some_and(is_number)
        && words.next().is_none();
    is_date.then_some((None, rest))
}

/// `[   T71]`, `[    C1]`; what follows.
fn caller(text: &str) -> Option<(&str, &str)> {
    let (caller, rest) = text.strip_prefix('[')?.split_once(']')?;
    let caller = caller.trim_start_matches(' ');
    let number = caller.strip_prefix(['T', 'C'])?;
    is_number(number).then_some((caller, rest))
}

/// `host kernel: ` after the time.
fn monotonic(line: &mut Line<'_>) {
    if line.time_us.is_none() || line.caller.is_some() {
        return;
    }
    let Some((host, rest)) = line.text.split_once(' ') else {
        return;
    };
    let host_like = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if let (true, Some(rest)) = (host_like, rest.strip_prefix("kernel: ")) {
        line.text = rest;
        brackets(line);
    }
}

/// Where a time that looks like the kernel's begins inside of a line.
fn late_time(text: &str) -> Option<usize> {
    text.match_indices('[')
        .map(|(at, _)| at)
        .find(|&at| matches!(time(&text[at..]), Some((Some(_), _))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::bare("BUG: x", None, None, false, "BUG: x")]
    #[case::time("[    5.123456] BUG: x", Some(5_123_456), None, true, "BUG: x")]
    #[case::indented("[    5.123456]  f+0x1/0x2", Some(5_123_456), None, true, " f+0x1/0x2")]
    #[case::empty("[    5.123456] ", Some(5_123_456), None, true, "")]
    #[case::task(
        "[    5.123456][   T71] BUG: x",
        Some(5_123_456),
        Some("T71"),
        true,
        "BUG: x"
    )]
    #[case::cpu(
        "[ 1234.000001][    C1]  f+0x1/0x2",
        Some(1_234_000_001),
        Some("C1"),
        true,
        " f+0x1/0x2"
    )]
    #[case::level("<4>BUG: x", None, None, true, "BUG: x")]
    #[case::level_time("<4>[    5.123456] BUG: x", Some(5_123_456), None, true, "BUG: x")]
    #[case::syslog("Nov 22 13:00:00 host kernel: BUG: x", None, None, true, "BUG: x")]
    #[case::syslog_day(
        "Nov  2 13:00:00 host kernel:  f+0x1/0x2",
        None,
        None,
        true,
        " f+0x1/0x2"
    )]
    #[case::syslog_time(
        "Nov 22 13:00:00 h kernel: [    5.123456][  T7] BUG: x",
        Some(5_123_456),
        Some("T7"),
        true,
        "BUG: x"
    )]
    #[case::iso(
        "2026-11-22T13:00:00.123456+00:00 host kernel: BUG: x",
        None,
        None,
        true,
        "BUG: x"
    )]
    #[case::facility(
        "kern  :warn  : [    5.123456] BUG: x",
        Some(5_123_456),
        None,
        true,
        "BUG: x"
    )]
    #[case::wall("[Sun Nov 22 13:00:00 2026] BUG: x", None, None, true, "BUG: x")]
    #[case::monotonic(
        "[    5.123456] host kernel: BUG: x",
        Some(5_123_456),
        None,
        true,
        "BUG: x"
    )]
    #[case::prompt("/ # [    5.123456] BUG: x", Some(5_123_456), None, true, "BUG: x")]
    #[case::facts("[pfn=0x1] [order=0]", None, None, false, "[pfn=0x1] [order=0]")]
    #[case::not_time("[5.1] x", None, None, false, "[5.1] x")]
    #[case::huge_time(
        "[99999999999999999999.123456] x",
        None,
        None,
        false,
        "[99999999999999999999.123456] x"
    )]
    fn prefixes(
        #[case] input: &str,
        #[case] time_us: Option<u64>,
        #[case] caller: Option<&str>,
        #[case] prefixed: bool,
        #[case] text: &str,
    ) {
        assert_eq!(
            split(7, input),
            Line {
                number: 7,
                time_us,
                caller,
                prefixed,
                foreign: false,
                text
            }
        );
    }

    #[test]
    fn another_programs_line_is_told_apart() {
        let line = split(
            1,
            "Nov 22 13:00:00 host sshd[71]: BUG: DMASAN: made up in x",
        );
        assert!(line.foreign && !line.prefixed);
    }

    #[rstest]
    #[case("x\r", "x")]
    #[case("\x1b[0;31mx\x1b[0m y\r\r\n", "x y")]
    #[case("\x1bc\x1b[?7l\x1b[2J[    0.000000] x", "[    0.000000] x")]
    #[case("\x1b]0;title\x07x", "x")]
    #[case("\x1b]0;unended", "")]
    #[case("a\0b\x1b", "ab")]
    fn terminal_controls(#[case] input: &str, #[case] output: &str) {
        assert_eq!(plain(input), output);
    }
}
