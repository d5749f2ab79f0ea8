// SPDX-License-Identifier: GPL-2.0-only
//! Figures as guests tell them: lines of our module in the kernel log, and what the kernel's own benchmark prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What one call takes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Instructions or nanoseconds: the median of all calls, or what the kernel's benchmark calls the average.
    pub value: f64,
    /// The average of all calls, timer interrupts included.
    pub mean: f64,
    /// The shortest call.
    pub min: f64,
    /// The longest call.
    pub max: f64,
    /// How many calls there were; 0 if that was not told.
    pub calls: u64,
}

/// Figures by the name of their row.
pub type Figures = BTreeMap<String, Figure>;

/// How the guest's clock runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// Each instruction takes `2^n` ns.
    Instructions(u8),
    /// As the host's does.
    Wall,
}

impl Clock {
    /// A time of the guest in instructions or nanoseconds.
    fn ns(self, ns: f64) -> f64 {
        match self {
            Clock::Instructions(shift) => ns / f64::from(1u32 << shift),
            Clock::Wall => ns,
        }
    }

    /// Where instructions are counted a cycle is a nanosecond, whatever the kernel has measured.
    fn cycles(self, cycles: f64, khz: f64) -> f64 {
        match self {
            Clock::Instructions(_) => self.ns(cycles),
            Clock::Wall => cycles * 1e6 / khz,
        }
    }
}

/// What marks a line of the module in the kernel log.
const MARK: &str = "dmasan-bench: ";

/// Reads `dmasan-bench: NAME calls N total T min T median T max T` in a kernel log.
pub fn of_module(log: &str, clock: Clock) -> Figures {
    let mut figures = Figures::new();
    let mut khz = 1e6;
    for line in log.lines() {
        let Some((_, rest)) = line.split_once(MARK) else {
            continue;
        };
        let words: Vec<&str> = rest.split_whitespace().collect();
        if let ["clock_khz", value] = words[..] {
            khz = value.parse().unwrap_or(khz);
        } else if let Some((name, figure)) = series(&words, |t| clock.cycles(t, khz)) {
            figures.insert(name, figure);
        }
    }
    figures
}

fn series(words: &[&str], time: impl Fn(f64) -> f64) -> Option<(String, Figure)> {
    let (name, words) = words.split_first()?;
    let labels = ["calls", "total", "min", "median", "max"];
    let mut numbers = Vec::new();
    for (pair, label) in words.chunks(2).zip(labels) {
        match pair {
            [l, value] if *l == label => numbers.push(value.parse::<u64>().ok()?),
            _ => return None,
        }
    }
    let [calls, total, min, median, max] = numbers[..] else {
        return None;
    };
    let figure = Figure {
        value: time(median as f64),
        mean: time(total as f64) / calls.max(1) as f64,
        min: time(min as f64),
        max: time(max as f64),
        calls,
    };
    (calls > 0).then(|| ((*name).to_owned(), figure))
}

/// Names of the rows of the kernel's benchmark: map and unmap.
pub fn kernel_rows(pages: u32, threads: u32) -> [String; 2] {
    ["map", "unmap"].map(|call| format!("kernel_{call}/{pages}/{threads}"))
}

/// Reads what tools/dma/dma_map_benchmark prints, several times in a row.
pub fn of_kernel(lines: &[&str], clock: Clock) -> Figures {
    let mut figures = Figures::new();
    let mut rows = None;
    for line in lines {
        if line.starts_with("dma mapping benchmark") {
            let number = |name: &str| field(line, name)?.parse().ok();
            rows = number("granule:").zip(number("threads:"));
            continue;
        }
        let Some((pages, threads)) = rows else {
            continue;
        };
        let [map, unmap] = kernel_rows(pages, threads);
        for (name, label) in [
            (map, "average map latency(us):"),
            (unmap, "average unmap latency(us):"),
        ] {
            let micros: Option<f64> = field(line, label).and_then(|v| v.parse().ok());
            if let Some(micros) = micros {
                let value = clock.ns(micros * 1000.0);
                let figure = Figure {
                    value,
                    mean: value,
                    min: value,
                    max: value,
                    calls: 0,
                };
                figures.insert(name, figure);
            }
        }
    }
    figures
}

/// The word right behind a label.
fn field<'a>(line: &'a str, label: &str) -> Option<&'a str> {
    line.split_once(label)?.1.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
[    0.6][   T58] dmasan-bench: clock_khz 2000000
[    0.6][   T58] dmasan-bench: dma_map/4K calls 4 total 4400 min 1016 median 1020 max 1400
[    0.7][   T58] dmasan-bench: dma_unmap/4K calls 4 total 44";

    #[test]
    fn lines_of_the_module() {
        let exact = of_module(LOG, Clock::Instructions(0));
        // The last line is cut: the guest was ended.
        assert_eq!(exact.len(), 1);
        let figure = exact["dma_map/4K"];
        assert_eq!((figure.value, figure.mean), (1020.0, 1100.0));
        assert_eq!((figure.min, figure.max, figure.calls), (1016.0, 1400.0, 4));
        assert_eq!(of_module(LOG, Clock::Wall)["dma_map/4K"].value, 510.0);
        let shifted = of_module(LOG, Clock::Instructions(2));
        assert_eq!(shifted["dma_map/4K"].value, 255.0);
    }

    #[test]
    fn what_is_no_series_is_left_out() {
        for line in [
            "no 1G of contiguous memory",
            "x calls 0 total 0 min 0 median 0 max 0",
            "x calls 1 total 2 min 3 max 4 median 5",
            "x calls 1 total 2 min 3 median x max 5",
            "",
        ] {
            let line = format!("{MARK}{line}");
            assert!(of_module(&line, Clock::Wall).is_empty(), "{line}");
        }
    }

    #[test]
    fn the_kernels_benchmark() {
        let lines = [
            "dma mapping benchmark(SINGLE_MODE): threads:4 seconds:1 node:-1 dir:BIDIRECTIONAL granule:256",
            "average map latency(us):32.0 standard deviation:1.5",
            "average unmap latency(us):48.8 standard deviation:0.9",
        ];
        let figures = of_kernel(&lines, Clock::Instructions(4));
        assert_eq!(figures["kernel_map/256/4"].value, 2000.0);
        assert_eq!(figures["kernel_unmap/256/4"].value, 3050.0);
        assert!(of_kernel(&lines[1..], Clock::Wall).is_empty());
        assert_eq!(of_kernel(&lines[..2], Clock::Wall).len(), 1);
    }
}
