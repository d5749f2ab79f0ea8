// SPDX-License-Identifier: GPL-2.0-only
//! Between which figures the median lies, by their order alone: nothing is assumed of how they are distributed.

use std::f64::consts::LN_2;

/// How likely the median is in the interval, at least.
pub const CONFIDENCE: f64 = 0.95;
/// Of fewer figures not even the outermost are an interval.
pub const FEWEST: usize = 6;

/// Where the median is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Interval {
    /// Its lower end: one of the figures.
    pub low: f64,
    /// Its upper end: one of the figures.
    pub high: f64,
    /// How likely it has the median.
    pub confidence: f64,
}

impl Interval {
    /// Of figures from the least to the largest; nothing if there are too few.
    pub fn of(sorted: &[f64]) -> Option<Interval> {
        let (low, high, confidence) = ranks(sorted.len())?;
        Some(Interval {
            low: *sorted.get(low - 1)?,
            high: *sorted.get(high - 1)?,
            confidence,
        })
    }
}

/// Ranks, from 1, of the innermost figures that have the median between them, and how likely they do.
///
/// A figure is below the median as often as above, so how many are is binomial. The median is below the figure of rank `r`
/// if fewer than `r` figures are below the median; above it is the same from the other end.
pub fn ranks(figures: usize) -> Option<(usize, usize, f64)> {
    let mut outside = 0.0;
    let mut rank = 0;
    // That exactly `rank` figures are below, as a logarithm: a power of two would be zero for many figures.
    let mut exactly = -(figures as f64) * LN_2;
    loop {
        let further = outside + 2.0 * exactly.exp();
        if further > 1.0 - CONFIDENCE {
            break;
        }
        outside = further;
        exactly += ((figures - rank) as f64 / (rank + 1) as f64).ln();
        rank += 1;
    }
    (rank > 0).then(|| (rank, figures + 1 - rank, 1.0 - outside))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In how many of the `2^n` cases at most `k` of `n` figures are below the median.
    fn at_most(k: usize, n: usize) -> u128 {
        let mut choose = 1u128;
        let mut sum = 1;
        for below in 1..=k {
            choose = choose * (n + 1 - below) as u128 / below as u128;
            sum += choose;
        }
        sum
    }

    #[test]
    fn ranks_that_are_known() {
        for (figures, wanted) in [(6, (1, 6)), (10, (2, 9)), (31, (10, 22)), (91, (36, 56))] {
            let (low, high, _) = ranks(figures).unwrap();
            assert_eq!((low, high), wanted, "{figures}");
        }
        assert!((ranks(6).unwrap().2 - 62.0 / 64.0).abs() < 1e-12);
    }

    #[test]
    fn ranks_are_the_innermost_by_the_binomial_formula() {
        for n in FEWEST..=100 {
            let (low, high, confidence) = ranks(n).unwrap();
            assert_eq!(low + high, n + 1, "{n}: not the same at both ends");
            let all = 1u128 << n;
            // One in 20 at most is outside; a rank further in, more are.
            let outside = 2 * at_most(low - 1, n);
            assert!(outside * 20 <= all, "{n}: {low}");
            assert!(2 * at_most(low, n) * 20 > all, "{n}: {low}");
            let formula = 1.0 - outside as f64 / all as f64;
            assert!((confidence - formula).abs() < 1e-9, "{n}: {confidence}");
        }
    }

    #[test]
    fn few_figures_have_none_and_many_have_one() {
        for n in 0..FEWEST {
            assert_eq!(ranks(n), None, "{n}");
            assert_eq!(Interval::of(&vec![1.0; n]), None);
        }
        // 2^-5000 is 0 as a floating point number.
        let (low, high, confidence) = ranks(5000).unwrap();
        assert_eq!((low, high), (2431, 2570));
        assert!((CONFIDENCE..CONFIDENCE + 0.01).contains(&confidence));
    }

    #[test]
    fn the_interval_is_of_the_figures() {
        let sorted: Vec<f64> = (1..=10).map(f64::from).collect();
        let interval = Interval::of(&sorted).unwrap();
        assert_eq!((interval.low, interval.high), (2.0, 9.0));
    }
}
