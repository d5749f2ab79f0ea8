// SPDX-License-Identifier: GPL-2.0-only
//! What the user sees while the tool works: steps, progress bars, notes. Everything goes to stderr.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// When to use colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Decides for an output that is a terminal or is not.
    pub fn wanted(self, terminal: bool) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        }
    }
}

/// What a progress bar counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Bytes, shown as MiB.
    Bytes,
    /// Compiled objects.
    Objects,
    /// Anything else.
    Steps,
}

/// How the tool speaks to the user; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ui {
    /// Number of `-v`.
    pub verbose: u8,
    /// Colour in what goes to stderr.
    pub color: bool,
    /// Stderr is a terminal: spinners and bars instead of lines.
    pub progress: bool,
    /// Steps are not told: in a dry run none of them happens.
    quiet: bool,
    bars: MultiProgress,
}

impl Ui {
    /// A user interface on stderr.
    pub fn new(verbose: u8, color: Color) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            verbose,
            color: color.wanted(terminal),
            progress: terminal,
            quiet: false,
            bars: MultiProgress::with_draw_target(target),
        }
    }

    /// The same without steps and bars.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Begins a step of unknown length.
    pub fn step(&self, text: &str) -> Step {
        let template = if self.color {
            "{spinner:.cyan} {prefix} {elapsed:.dim}  {wide_msg:.dim}"
        } else {
            "{spinner} {prefix} {elapsed}  {wide_msg}"
        };
        self.begin(text, ProgressBar::new_spinner(), template)
    }

    /// Begins a step whose end is known.
    pub fn bar(&self, text: &str, total: u64, unit: Unit) -> Step {
        let counts = match unit {
            Unit::Bytes => "{bytes}/{total_bytes}",
            Unit::Objects => "{pos}/{len} objects",
            Unit::Steps => "{pos}/{len}",
        };
        let bar = if self.color {
            "{bar:30.cyan/dim}"
        } else {
            "{bar:30}"
        };
        let template = format!("{{spinner}} {{prefix}} {bar} {counts} {{elapsed}}  {{wide_msg}}");
        self.begin(text, ProgressBar::new(total), &template)
    }

    fn begin(&self, text: &str, bar: ProgressBar, template: &str) -> Step {
        let bar = if self.quiet {
            None
        } else if self.progress {
            let bar = self.bars.add(bar);
            let style = ProgressStyle::with_template(template).expect("templates are constants");
            bar.set_style(style.progress_chars("=> "));
            bar.set_prefix(text.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            Some(bar)
        } else {
            self.line(&format!("{text} ..."));
            None
        };
        Step {
            ui: self.clone(),
            text: text.to_owned(),
            begun: Instant::now(),
            bar,
        }
    }

    /// Tells something in passing.
    pub fn note(&self, text: &str) {
        self.line(text);
    }

    /// Tells something the user should look at.
    pub fn warn(&self, text: &str) {
        self.line(&format!("{} {text}", self.paint("1;33", "warning:")));
    }

    /// Wraps `text` in an SGR colour if colour is on.
    pub fn paint(&self, sgr: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{sgr}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Shows an error with its reasons and advice.
    pub fn error(&self, error: &crate::error::Error) {
        let mut text = format!("{} {error}", self.paint("1;31", "error:"));
        let mut reason = std::error::Error::source(error);
        while let Some(r) = reason {
            let r_text = r.to_string();
            let r_text = r_text.trim_end();
            // Many messages already end in their reason.
            if !text.contains(r_text) {
                text.push('\n');
                text.push_str(r_text);
            }
            reason = r.source();
        }
        if let Some(help) = error.advice() {
            text.push_str(&format!("\n{} {help}", self.paint("1;32", "help:")));
        }
        self.line(&text);
    }

    fn line(&self, text: &str) {
        // A closed stderr is no reason to fail.
        let print = || drop(writeln!(std::io::stderr(), "{text}"));
        if self.progress {
            self.bars.suspend(print);
        } else {
            print();
        }
    }
}

/// A step that is going on. Dropped without [`Step::done`], it counts as abandoned and says nothing more.
#[derive(Debug)]
pub struct Step {
    ui: Ui,
    text: String,
    begun: Instant,
    bar: Option<ProgressBar>,
}

impl Step {
    /// Sets how much is done.
    pub fn set(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Shows what is being worked on.
    pub fn message(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// Ends the step well. `text` tells the result; empty: only the time is told.
    pub fn done(mut self, text: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.ui.quiet {
            return;
        }
        let took = duration(self.begun.elapsed());
        let result = if text.is_empty() { "done" } else { text };
        let mark = self.ui.paint("32", "*");
        self.ui
            .line(&format!("{mark} {}: {result} ({took})", self.text));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// A duration as people read it: `0.8 s`, `12 s`, `7 min 03 s`.
pub fn duration(d: Duration) -> String {
    match d.as_secs() {
        0..=9 => format!("{:.1} s", d.as_secs_f64()),
        s @ 10..=119 => format!("{s} s"),
        s => format!("{} min {:02} s", s / 60, s % 60),
    }
}

/// A size as people read it: `640 kB`, `167 MB`, `2.1 GB`.
pub fn size(bytes: u64) -> String {
    let b = bytes as f64;
    match bytes {
        0..1_000_000 => format!("{:.0} kB", b / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", b / 1e6),
        _ => format!("{:.1} GB", b / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        assert_eq!(duration(Duration::from_millis(840)), "0.8 s");
        assert_eq!(duration(Duration::from_secs(59)), "59 s");
        assert_eq!(duration(Duration::from_secs(423)), "7 min 03 s");
        assert_eq!(size(640_000), "640 kB");
        assert_eq!(size(167_400_000), "167 MB");
        assert_eq!(size(2_100_000_000), "2.1 GB");
    }

    #[test]
    fn colour_only_where_wanted() {
        assert!(Color::Always.wanted(false));
        assert!(!Color::Never.wanted(true));
        assert!(!Color::Auto.wanted(false));
    }
}
