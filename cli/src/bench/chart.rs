// SPDX-License-Identifier: GPL-2.0-only
//! Bar charts as SVG: figures of very different size, so the axis is logarithmic. Legible on light and on dark ground.

use std::fmt::Write;

/// Width of the drawing.
const WIDTH: f64 = 860.0;
/// Where bars begin: labels are to the left.
const LEFT: f64 = 280.0;
/// Room for the figure behind the longest bar.
const RIGHT: f64 = 80.0;
/// Height of one bar.
const HEIGHT: f64 = 14.0;
/// Space between groups of bars.
const GAP: f64 = 10.0;
/// Where the first group begins: title and key are above.
const TOP: f64 = 78.0;

/// A chart.
#[derive(Clone, PartialEq, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What the numbers are.
    pub unit: String,
    /// Where bars begin on the axis.
    pub from: f64,
    /// A line that bars should not cross, with what is written at it.
    pub bar: Option<(f64, String)>,
    /// The kinds of bars.
    pub series: Vec<String>,
    /// The bars.
    pub groups: Vec<Group>,
}

/// Bars that belong together.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// What stands to the left.
    pub label: String,
    /// One for each kind, where there is one.
    pub bars: Vec<Option<Bar>>,
}

impl Group {
    /// A bar that is missing takes no space.
    fn height(&self) -> f64 {
        self.bars.iter().flatten().count().max(1) as f64 * HEIGHT + GAP
    }
}

/// One bar.
#[derive(Clone, PartialEq, Debug)]
pub struct Bar {
    /// Where it ends on the axis.
    pub value: f64,
    /// What stands behind it.
    pub text: String,
}

impl Chart {
    /// The drawing.
    pub fn to_svg(&self) -> String {
        let below: f64 = self.groups.iter().map(Group::height).sum();
        let height = TOP + below + 30.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">\n{STYLE}",
            escape(&self.title)
        );
        text(&mut svg, (10.0, 20.0), "title", &self.title);
        text(&mut svg, (10.0, 40.0), "dim", &self.unit);
        self.key(&mut svg);
        self.axis(&mut svg, height - 30.0);
        let mut y = TOP;
        for group in &self.groups {
            let middle = y + (group.height() - GAP) / 2.0 + 4.0;
            text(&mut svg, (LEFT - 8.0, middle), "label", &group.label);
            let bars = group.bars.iter().enumerate();
            let bars = bars.filter_map(|(series, bar)| Some((series, bar.as_ref()?)));
            for (place, (series, bar)) in bars.enumerate() {
                self.draw(&mut svg, y + place as f64 * HEIGHT, series, bar);
            }
            y += group.height();
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn largest(&self) -> f64 {
        let bars = self.groups.iter().flat_map(|g| &g.bars).flatten();
        let largest = bars.map(|b| b.value).fold(self.from, f64::max);
        let bar = self.bar.as_ref().map_or(self.from, |(at, _)| *at);
        largest.max(bar).max(self.from * 1.5)
    }

    fn x(&self, value: f64) -> f64 {
        let part = (value.max(self.from) / self.from).ln() / (self.largest() / self.from).ln();
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }

    fn draw(&self, svg: &mut String, y: f64, series: usize, bar: &Bar) {
        let width = (self.x(bar.value) - LEFT).max(1.5);
        let height = HEIGHT - 2.0;
        let _ = writeln!(
            svg,
            "<rect class=\"s{series}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height}\" rx=\"1.5\"/>"
        );
        text(svg, (LEFT + width + 5.0, y + 10.0), "value", &bar.text);
    }

    fn key(&self, svg: &mut String) {
        let mut x = LEFT;
        for (series, name) in self.series.iter().enumerate() {
            let _ = writeln!(
                svg,
                "<rect class=\"s{series}\" x=\"{x}\" y=\"52\" width=\"12\" height=\"12\" rx=\"2\"/>"
            );
            text(svg, (x + 18.0, 62.0), "value", name);
            x += 40.0 + 7.0 * name.chars().count() as f64;
        }
    }

    fn axis(&self, svg: &mut String, bottom: f64) {
        let mut tick = 10f64.powf(self.from.log10().ceil());
        while tick <= self.largest() {
            let x = self.x(tick);
            line(svg, x, bottom, "grid");
            let name = match tick {
                t if t >= 1e9 => format!("{:.0}G", t / 1e9),
                t if t >= 1e6 => format!("{:.0}M", t / 1e6),
                t if t >= 1e3 => format!("{:.0}k", t / 1e3),
                t => format!("{t}"),
            };
            text(svg, (x, bottom + 16.0), "tick", &name);
            tick *= 10.0;
        }
        if let Some((at, name)) = &self.bar {
            line(svg, self.x(*at), bottom, "bar");
            text(svg, (self.x(*at) + 4.0, bottom + 16.0), "value", name);
        }
    }
}

/// Two sets of colours: the viewer's settings choose.
const STYLE: &str = "<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.dim, .tick { fill: #57606a }
.tick { text-anchor: middle }
.label { text-anchor: end }
.grid { stroke: #d0d7de }
.bar { stroke: #cf222e; stroke-dasharray: 4 3 }
.s0 { fill: #bc5a1c } .s1 { fill: #3b6fb6 } .s2 { fill: #6e7781 } .s3 { fill: #2f8f5b } .s4 { fill: #8250df }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.dim, .tick { fill: #9198a1 }
.grid { stroke: #3d444d }
.bar { stroke: #ff7b72 }
.s0 { fill: #f0883e } .s1 { fill: #6ea8fe } .s2 { fill: #8b949e } .s3 { fill: #57c88c } .s4 { fill: #bc8cff }
}
</style>
";

fn line(svg: &mut String, x: f64, bottom: f64, class: &str) {
    let top = TOP - 6.0;
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>"
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), class: &str, text: &str) {
    let text = escape(text);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(label: &str, values: [Option<f64>; 2]) -> Group {
        let bar = |value: f64| Bar {
            value,
            text: value.to_string(),
        };
        Group {
            label: label.to_owned(),
            bars: values.iter().map(|v| v.map(bar)).collect(),
        }
    }

    fn chart() -> Chart {
        Chart {
            title: "a < b & \"c\"".to_owned(),
            unit: "times".to_owned(),
            from: 1.0,
            bar: Some((1.1, "bar".to_owned())),
            series: vec!["rust".to_owned(), "c".to_owned()],
            groups: vec![
                group("map 4K", [Some(1.05), Some(100.0)]),
                group("unmap 4K", [None, Some(0.9)]),
            ],
        }
    }

    #[test]
    fn the_axis_is_logarithmic_and_ends_with_the_longest_bar() {
        let chart = chart();
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        assert!((chart.x(10.0) - middle).abs() < 0.1);
        assert_eq!(chart.x(100.0), WIDTH - RIGHT);
        assert_eq!(chart.x(0.5), LEFT);
    }

    #[test]
    fn every_bar_is_drawn_and_texts_are_escaped() {
        let svg = chart().to_svg();
        // Two in the key, three in the groups.
        assert_eq!(svg.matches("<rect").count(), 5);
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;</text>"), "{svg}");
        assert!(svg.contains("prefers-color-scheme: dark"));
        // Ticks at 1, 10 and 100.
        assert_eq!(svg.matches("class=\"tick\"").count(), 3);
    }

    #[test]
    fn a_chart_without_figures_is_drawn_too() {
        let empty = Chart {
            groups: Vec::new(),
            bar: None,
            ..chart()
        };
        let svg = empty.to_svg();
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
    }
}
