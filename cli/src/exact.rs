// SPDX-License-Identifier: GPL-2.0-only
//! `dmasan run --exact`: how many instructions each step of a guest took, read from its kernel log.
//!
//! The guest's clock counts instructions, one for each nanosecond; while the guest sleeps it jumps to the next timer.
//! The kernel log has its times in microseconds, so figures are multiples of 1,000. What runs shorter is measured by a loop, or by reading the clock in the module.

use crate::guest::{Action, Plan};

const HEAD: &str =
    "guest nanoseconds: one for each instruction executed, and what was slept; to the nearest 1,000\n";

/// Makes the kernel tell how long each init function took.
pub const WORD: &str = "initcall_debug";

/// How many instructions one step took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Took {
    /// Number of the step.
    pub step: u32,
    /// From its begin to its end: starting the loader included.
    pub whole: u64,
    /// The init function of the module alone.
    pub init: Option<u64>,
}

/// Reads the steps in a kernel log; one that did not end is left out.
pub fn steps(log: &str) -> Vec<Took> {
    let mut took = Vec::new();
    let mut current: Option<(u32, u64)> = None;
    let mut init = None;
    for line in log.lines() {
        if let Some((number, what)) = mark(line) {
            match (what, current, microseconds(line)) {
                ("begin", _, Some(now)) => (current, init) = (Some((number, now)), None),
                ("end", Some((begun, since)), Some(now)) if begun == number => {
                    let whole = now.saturating_sub(since) * 1000;
                    let step = number;
                    took.push(Took { step, whole, init });
                    current = None;
                }
                _ => {}
            }
        } else if current.is_some() {
            init = init_time(line).or(init);
        }
    }
    took
}

/// The number and the kind of a mark: `dmasan: step NONCE 1 begin edu_dma`.
fn mark(line: &str) -> Option<(u32, &str)> {
    let mut words = line.split_once("dmasan: step ")?.1.split(' ');
    words.next()?;
    Some((words.next()?.parse().ok()?, words.next()?))
}

/// The time in front of a line: `[    1.234567]`.
fn microseconds(line: &str) -> Option<u64> {
    let (time, _) = line.trim_start().strip_prefix('[')?.split_once(']')?;
    let (seconds, fraction) = time.trim().split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    (fraction.len() == 6).then_some(())?;
    Some(seconds * 1_000_000 + fraction.parse::<u64>().ok()?)
}

/// `initcall init_module+0x0/0x10 [edu_dma] returned 0 after 1234 usecs`, in instructions.
fn init_time(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("] initcall ")?;
    let (_, time) = rest.split_once(" after ")?;
    let micros: u64 = time.strip_suffix(" usecs")?.parse().ok()?;
    Some(micros * 1000)
}

/// The figures for people.
pub fn text(log: &str, plan: &Plan) -> String {
    let took = steps(log);
    if took.is_empty() {
        return String::new();
    }
    let mut text = HEAD.to_owned();
    text.push_str(&format!("{:>16}{:>16}\n", "whole step", "init function"));
    for t in took {
        let step = plan.step(t.step);
        let loads = step.is_some_and(|s| matches!(s.action, Action::Load(_)));
        let init = t.init.filter(|_| loads).map(thousands).unwrap_or_default();
        let name = step.map_or("", |s| s.text.as_str());
        text.push_str(&format!("{:>16}{init:>16}  {name}\n", thousands(t.whole)));
    }
    text
}

/// A number with its digits in groups of three.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Load;

    const LOG: &str = "\
[    0.500000][    T1] initcall x_init+0x0/0x10 returned 0 after 9 usecs
[    1.000000][   T50] dmasan: step 77 1 begin edu_dma bug=1
[    1.000900][   T51] calling  init_module+0x0/0x1000 [edu_dma] @ 51
[    1.003000][   T51] initcall init_module+0x0/0x1000 [edu_dma] returned 0 after 2100 usecs
[    1.004500][   T52] dmasan: step 77 1 end rc=0
[    1.100000][   T52] dmasan: step 77 2 begin script x
[    3.100000][   T52] dmasan: step 77 2 end rc=0
[    3.200000][   T52] dmasan: step 77 3 begin unload edu_dma
";

    #[test]
    fn steps_are_timed_and_unfinished_ones_left_out() {
        let took = steps(LOG);
        let all: Vec<_> = took.iter().map(|t| (t.step, t.whole, t.init)).collect();
        assert_eq!(
            all,
            [(1, 4_500_000, Some(2_100_000)), (2, 2_000_000_000, None)]
        );
    }

    #[test]
    fn people_get_a_table() {
        let load = Load {
            file: "/m/edu_dma.ko".into(),
            params: vec!["bug=1".into()],
            path: "edu_dma".into(),
        };
        let plan = Plan::new(&[vec![load]], Some(std::path::Path::new("/s/x.sh")));
        assert_eq!(
            text(LOG, &plan),
            "guest nanoseconds: one for each instruction executed, and what was slept; to the nearest 1,000\n\
             \x20     whole step   init function
       4,500,000       2,100,000  edu_dma bug=1
   2,000,000,000                  script x.sh
"
        );
        assert_eq!(text("", &plan), "");
    }

    #[test]
    fn digits_are_grouped() {
        let all = [0, 999, 1000, 43_575_448].map(thousands);
        assert_eq!(all, ["0", "999", "1,000", "43,575,448"]);
    }
}
