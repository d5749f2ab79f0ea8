// SPDX-License-Identifier: GPL-2.0-only
//! What the figures say: medians over repeats, and comparison with the base.

use crate::args::Switch;
use crate::bench::figure::Figure;
use crate::bench::interval::Interval;
use crate::bench::measure::Measured;
use crate::bench::setting::Setting;
use crate::kernel::Flavor;

/// The middle one of some numbers, the outermost, and where the middle of more such numbers would be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// The middle one; the lower one of two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Where the median is; nothing if the numbers are too few for that.
    pub interval: Option<Interval>,
}

/// What numbers tell about a bar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judged {
    /// They are at most at the bar.
    Within,
    /// They are over it.
    Over,
    /// They do not tell.
    Undecided,
}

impl Spread {
    /// Of no numbers there is none.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut numbers: Vec<f64> = numbers.into_iter().filter(|n| n.is_finite()).collect();
        numbers.sort_by(f64::total_cmp);
        Some(Spread {
            median: *numbers.get(numbers.len().checked_sub(1)? / 2)?,
            min: *numbers.first()?,
            max: *numbers.last()?,
            interval: Interval::of(&numbers),
        })
    }

    /// Compares all of the interval with a bar; where there is none, the median.
    pub fn against(&self, bar: f64) -> Judged {
        let (low, high) = match self.interval {
            Some(interval) => (interval.low, interval.high),
            None => (self.median, self.median),
        };
        match (low > bar, high > bar) {
            (true, _) => Judged::Over,
            (false, true) => Judged::Undecided,
            (false, false) => Judged::Within,
        }
    }
}

impl Measured {
    /// The column with what others are compared with.
    pub fn base(&self) -> Option<usize> {
        self.settings.iter().position(|s| *s == Setting::BASE)
    }

    /// The column of a sanitizer that is on.
    pub fn on(&self, flavor: Flavor) -> Option<usize> {
        self.settings
            .iter()
            .position(|s| s.param == Switch::On && s.flavor == flavor)
    }

    fn figures(&self, column: usize, row: &str) -> Vec<Option<Figure>> {
        let repeats = self.figures[column].iter();
        repeats.map(|f| f.get(row).copied()).collect()
    }

    /// What one call takes.
    pub fn value(&self, column: usize, row: &str) -> Option<Spread> {
        let figures = self.figures(column, row);
        Spread::of(figures.into_iter().flatten().map(|f| f.value))
    }

    /// How many times what the base takes. Only figures of the same repeat are compared.
    pub fn ratio(&self, column: usize, row: &str) -> Option<Spread> {
        self.compare(column, row, |value, base| value / base)
    }

    /// How much is added to what the base takes.
    pub fn added(&self, column: usize, row: &str) -> Option<Spread> {
        self.compare(column, row, |value, base| value - base)
    }

    fn compare(&self, column: usize, row: &str, how: fn(f64, f64) -> f64) -> Option<Spread> {
        let base = self.figures(self.base()?, row);
        let pairs = self.figures(column, row).into_iter().zip(base);
        Spread::of(pairs.filter_map(|(figure, base)| Some(how(figure?.value, base?.value))))
    }

    /// How far repeats of one figure are apart at most, as a part of the figure; nothing without repeats.
    pub fn apart<'a>(&self, rows: impl IntoIterator<Item = &'a str>) -> Option<f64> {
        if self.repeats < 2 {
            return None;
        }
        let columns = 0..self.settings.len();
        let apart = rows.into_iter().flat_map(|row| {
            let values = columns.clone().filter_map(|c| self.value(c, row));
            values
                .map(|s| (s.max - s.min) / s.median)
                .collect::<Vec<_>>()
        });
        Spread::of(apart).map(|s| s.max)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bench::figure::Figures;

    /// One repeat per list; each list has a value for each setting, `None` where it is missing.
    pub(crate) fn measured(settings: &[Setting], rows: &[(&str, &[&[Option<f64>]])]) -> Measured {
        let repeats = rows[0].1.len();
        let mut figures = vec![vec![Figures::new(); repeats]; settings.len()];
        for (row, lists) in rows {
            for (repeat, list) in lists.iter().enumerate() {
                for (column, value) in list.iter().enumerate() {
                    let figure = value.map(|value| Figure {
                        value,
                        mean: value,
                        min: value,
                        max: value + 1000.0,
                        calls: 3,
                    });
                    figures[column][repeat].extend(figure.map(|f| ((*row).to_owned(), f)));
                }
            }
        }
        Measured {
            settings: settings.to_vec(),
            releases: vec!["7.3.4".to_owned(); settings.len()],
            repeats: repeats as u32,
            figures,
            kept: 0,
            failed: None,
        }
    }

    #[test]
    fn ratios_are_within_a_repeat() {
        let settings = Setting::all(&[Flavor::None, Flavor::Rust], &[Switch::On]);
        let lists: &[&[Option<f64>]] = &[
            &[Some(100.0), Some(110.0)],
            &[Some(200.0), Some(240.0)],
            &[None, Some(900.0)],
            &[Some(100.0), Some(105.0)],
        ];
        let m = measured(&settings, &[("x", lists)]);
        let ratio = m.ratio(1, "x").unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (1.1, 1.05, 1.2));
        assert_eq!(m.added(1, "x").unwrap().max, 40.0);
        assert_eq!(m.value(0, "x").unwrap().median, 100.0);
        assert_eq!(m.apart(["x"]), Some(795.0 / 110.0));
        assert!(m.value(1, "y").is_none() && m.ratio(1, "y").is_none());
    }

    #[test]
    fn without_the_base_there_is_no_ratio() {
        let settings = Setting::all(&[Flavor::Rust], &[Switch::On]);
        let m = measured(&settings, &[("x", &[&[Some(1.0)]])]);
        assert!(m.ratio(0, "x").is_none());
        assert!(m.apart(["x"]).is_none());
        assert_eq!(m.value(0, "x").unwrap().median, 1.0);
    }
}
