//! Line charts as self-contained SVG.

use std::fmt::Write as _;

use crate::plan::report::scale::{Scale, Tick};
use crate::timeline::escaped;

/// A line of a picture.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) label: String,
    /// Which of the colours.
    pub(super) colour: usize,
    pub(super) style: Style,
    pub(super) points: Vec<(f64, f64)>,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// A full line with a dot at each point.
    Full,
    /// A broken line with a dot at each point.
    Broken,
    /// A fine dotted line without dots.
    Limit,
    /// A full line without dots.
    Smooth,
    /// A broken line without dots.
    SmoothBroken,
}

/// A picture.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x_axis: String,
    pub(super) y_axis: String,
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// Ticks of the x axis, where they are not those of its scale.
    pub(super) x_ticks: Option<Vec<Tick>>,
    pub(super) lines: Vec<Curve>,
}

const WIDTH: f64 = 620.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 12.0;
const PLOT: f64 = 270.0;
/// Under the frame: marks and the axis label.
const AXIS: f64 = 46.0;
const LEGEND_ROW: f64 = 20.0;
const LEGEND_COLUMN: f64 = 272.0;

/// How many colours the style sheet has.
const COLOURS: usize = 6;

impl Chart {
    /// The picture as an `svg` element.
    pub(super) fn svg(&self) -> String {
        let rows = self.lines.len().div_ceil(2) as f64;
        let height = TOP + PLOT + AXIS + rows * LEGEND_ROW + 6.0;
        let mut out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n",
            escaped(&self.title)
        );
        self.grid(&mut out);
        for line in &self.lines {
            self.line(&mut out, line);
        }
        self.legend(&mut out);
        out + "</svg>\n"
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let across = LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT);
        (across, TOP + (1.0 - self.y.place(y)) * PLOT)
    }

    fn grid(&self, out: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, TOP + PLOT);
        for tick in self.y.ticks() {
            let (_, y) = self.at(0.0, tick.at);
            put(out, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
            let (x, y, label) = (LEFT - 8.0, y + 4.0, &tick.label);
            put(out, format_args!("<text class=\"mark end\" x=\"{x}\" y=\"{y:.1}\">{label}</text>"));
        }
        for tick in self.x_ticks.clone().unwrap_or_else(|| self.x.ticks()) {
            let (x, _) = self.at(tick.at, 0.0);
            put(out, format_args!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>"));
            let (y, label) = (bottom + 17.0, &tick.label);
            put(out, format_args!("<text class=\"mark middle\" x=\"{x:.1}\" y=\"{y}\">{label}</text>"));
        }
        put(out, format_args!("<path class=\"frame\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>"));
        let (x, y) = ((LEFT + right) / 2.0, bottom + 37.0);
        let label = escaped(&self.x_axis);
        put(out, format_args!("<text class=\"axis middle\" x=\"{x}\" y=\"{y}\">{label}</text>"));
        let (y, label) = (TOP + PLOT / 2.0, escaped(&self.y_axis));
        put(
            out,
            format_args!(
                "<text class=\"axis middle\" transform=\"translate(14 {y}) rotate(-90)\">{label}</text>"
            ),
        );
    }

    fn line(&self, out: &mut String, line: &Curve) {
        let colour = line.colour % COLOURS;
        let class = line.style.class();
        let mut path = String::new();
        for (nth, (x, y)) in line.points.iter().enumerate() {
            let (x, y) = self.at(*x, *y);
            let _ = write!(path, "{}{x:.1} {y:.1}", if nth == 0 { "M" } else { "L" });
        }
        if !path.is_empty() {
            put(out, format_args!("<path class=\"line {class} c{colour}\" d=\"{path}\"/>"));
        }
        if !line.style.has_dots() {
            return;
        }
        for (x, y) in &line.points {
            let (across, down) = self.at(*x, *y);
            let told = escaped(&format!("{}: {} at {}", line.label, short(*y), short(*x)));
            put(
                out,
                format_args!(
                    "<circle class=\"dot {class} c{colour}\" cx=\"{across:.1}\" cy=\"{down:.1}\" r=\"3.6\"><title>{told}</title></circle>"
                ),
            );
        }
    }

    fn legend(&self, out: &mut String) {
        let top = TOP + PLOT + AXIS + 10.0;
        for (nth, line) in self.lines.iter().enumerate() {
            let (column, row) = ((nth % 2) as f64, (nth / 2) as f64);
            let (x, y) = (LEFT + column * LEGEND_COLUMN, top + row * LEGEND_ROW);
            let (class, colour) = (line.style.class(), line.colour % COLOURS);
            put(out, format_args!("<path class=\"line {class} c{colour}\" d=\"M{x} {y}h30\"/>"));
            if line.style.has_dots() {
                let middle = x + 15.0;
                put(
                    out,
                    format_args!(
                        "<circle class=\"dot {class} c{colour}\" cx=\"{middle}\" cy=\"{y}\" r=\"3.6\"/>"
                    ),
                );
            }
            let (x, y, label) = (x + 38.0, y + 4.0, escaped(&line.label));
            put(out, format_args!("<text class=\"legend\" x=\"{x}\" y=\"{y}\">{label}</text>"));
        }
    }
}

impl Style {
    const fn class(self) -> &'static str {
        match self {
            Self::Full | Self::Smooth => "full",
            Self::Broken | Self::SmoothBroken => "broken",
            Self::Limit => "limit",
        }
    }

    const fn has_dots(self) -> bool {
        matches!(self, Self::Full | Self::Broken)
    }
}

fn put(out: &mut String, element: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{element}");
}

/// A value with three digits that count.
fn short(value: f64) -> String {
    let digits = if value.abs() < 1e-9 { 0 } else { 2 - value.abs().log10().floor() as i32 };
    format!("{value:.*}", digits.max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let line = |style| Curve {
            label: "a <b>".to_owned(),
            colour: 7,
            style,
            points: vec![(0.0, 1.0), (2.0, 3.0)],
        };
        Chart {
            title: "t".to_owned(),
            x_axis: "seconds & more".to_owned(),
            y_axis: "MB/s".to_owned(),
            x: Scale::new(false, [2.0].into_iter()),
            y: Scale::new(false, [3.0].into_iter()),
            x_ticks: None,
            lines: vec![line(Style::Full), line(Style::Limit)],
        }
    }

    #[test]
    fn a_picture_names_its_axes_and_its_lines() {
        let svg = chart().svg();
        for text in ["seconds &amp; more", "MB/s", "a &lt;b&gt;", "c1"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 3);
    }

    #[test]
    fn a_point_lies_where_its_values_are() {
        let chart = chart();
        assert_eq!(chart.at(0.0, 0.0), (LEFT, TOP + PLOT));
        let (x, y) = chart.at(2.0, 3.0);
        assert!((x - (WIDTH - RIGHT)).abs() < 1e-9 && (y - TOP).abs() < 1e-9);
    }
}
