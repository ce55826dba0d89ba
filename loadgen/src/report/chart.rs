//! Line charts as SVG, without anything from elsewhere.

use std::fmt::{self, Write as _};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 32.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 46.0;

/// Colors that differ also for the color-blind (Okabe and Ito).
const COLORS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d3b", "#7f7f7f"];

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// An axis: from where to where, and what is written along it.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) title: &'static str,
    min: f64,
    max: f64,
    logarithmic: bool,
    ticks: Vec<(f64, String)>,
}

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    /// Parts of the x axis with a name.
    pub(super) bands: Vec<(f64, f64, String)>,
}

impl Axis {
    /// From 0 to at least `max`, with round numbers along it.
    pub(super) fn linear(title: &'static str, max: f64, label: impl Fn(f64) -> String) -> Self {
        const TICKS: f64 = 6.0;
        let max = if max > 0.0 { max } else { 1.0 };
        let rough = max / TICKS;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0];
        let step = steps.into_iter().map(|step| step * magnitude).find(|&step| step >= rough);
        let step = step.unwrap_or(rough);
        let ticks = (0_u8..12)
            .map(|index| f64::from(index) * step)
            .take_while(|&tick| tick < max + step)
            .map(|tick| (tick, label(tick)))
            .collect::<Vec<_>>();
        let max = ticks.last().map_or(max, |&(tick, _)| tick);
        Self { title, min: 0.0, max, logarithmic: false, ticks }
    }

    /// From a power of ten to a power of ten around these positive numbers.
    pub(super) fn logarithmic(
        title: &'static str,
        min: f64,
        max: f64,
        label: impl Fn(f64) -> String,
    ) -> Self {
        let (min, max) = (min.max(1e-3), max.max(min.max(1e-3) * 1.001));
        let first = min.log10().floor();
        let decades = (max.log10().ceil() - first).clamp(1.0, 12.0);
        let ticks = (0_u8..=12)
            .map(f64::from)
            .take_while(|&decade| decade <= decades)
            .map(|decade| 10_f64.powf(first + decade))
            .map(|tick| (tick, label(tick)))
            .collect();
        let (min, max) = (10_f64.powf(first), 10_f64.powf(first + decades));
        Self { title, min, max, logarithmic: true, ticks }
    }

    /// With these places written along it.
    pub(super) const fn fixed(title: &'static str, max: f64, ticks: Vec<(f64, String)>) -> Self {
        Self { title, min: 0.0, max, logarithmic: false, ticks }
    }

    /// Where a number lies: 0 at the start, 1 at the end.
    fn place(&self, number: f64) -> f64 {
        let share = if self.logarithmic {
            (number.max(self.min) / self.min).log10() / (self.max / self.min).log10()
        } else {
            (number - self.min) / (self.max - self.min)
        };
        share.clamp(0.0, 1.0)
    }
}

impl Chart {
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM),
        )
    }

    /// The chart with its legend, as HTML.
    pub(super) fn html(&self) -> String {
        let mut html = String::new();
        let written = self.write(&mut html);
        debug_assert!(written.is_ok(), "a string takes everything");
        html
    }

    fn write(&self, html: &mut String) -> fmt::Result {
        write!(html, "<figure><figcaption>")?;
        for (line, color) in self.lines.iter().zip(COLORS.iter().cycle()) {
            let name = escaped(&line.name);
            write!(html, "<span><i style=\"background:{color}\"></i>{name}</span>")?;
        }
        write!(html, "</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">")?;
        self.write_bands(html)?;
        self.write_axes(html)?;
        for (line, color) in self.lines.iter().zip(COLORS.iter().cycle()) {
            write!(html, "<polyline fill=\"none\" stroke=\"{color}\" points=\"")?;
            for &point in &line.points {
                let (x, y) = self.at(point);
                write!(html, "{x:.1},{y:.1} ")?;
            }
            write!(html, "\"><title>{}</title></polyline>", escaped(&line.name))?;
        }
        writeln!(html, "</svg></figure>")
    }

    fn write_bands(&self, html: &mut String) -> fmt::Result {
        for (index, (from, to, name)) in self.bands.iter().enumerate() {
            let ((left, top), (right, bottom)) =
                (self.at((*from, self.y.max)), self.at((*to, self.y.min)));
            let (width, height) = ((right - left).max(0.0), bottom - top);
            let class = if index % 2 == 0 { "even" } else { "odd" };
            write!(
                html,
                "<rect class=\"band {class}\" x=\"{left:.1}\" y=\"{top:.1}\" \
                 width=\"{width:.1}\" height=\"{height:.1}\"><title>{}</title></rect>",
                escaped(name)
            )?;
            const ROOM_FOR_NAME: f64 = 90.0;
            if width > ROOM_FOR_NAME {
                let (x, y) = (left + width / 2.0, top - 8.0);
                let name = escaped(name);
                write!(html, "<text class=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{name}</text>")?;
            }
        }
        Ok(())
    }

    fn write_axes(&self, html: &mut String) -> fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (tick, label) in &self.y.ticks {
            let (_, y) = self.at((self.x.min, *tick));
            write!(html, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>")?;
            let (x, y, label) = (LEFT - 6.0, y + 4.0, escaped(label));
            write!(html, "<text class=\"end\" x=\"{x}\" y=\"{y:.1}\">{label}</text>")?;
        }
        for (tick, label) in &self.x.ticks {
            let (x, _) = self.at((*tick, self.y.min));
            write!(html, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>")?;
            let (y, label) = (bottom + 16.0, escaped(label));
            write!(html, "<text class=\"middle\" x=\"{x:.1}\" y=\"{y}\">{label}</text>")?;
        }
        let (middle, below) = ((LEFT + right) / 2.0, HEIGHT - 8.0);
        let (x, y) = (escaped(self.x.title), escaped(self.y.title));
        write!(html, "<text class=\"middle\" x=\"{middle}\" y=\"{below}\">{x}</text>")?;
        let center = (TOP + bottom) / 2.0;
        write!(
            html,
            "<text class=\"middle\" transform=\"translate(12 {center}) rotate(-90)\">{y}</text>"
        )
    }
}

/// Text that means itself in HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers_beyond_what_they_show() {
        let axis = Axis::linear("n", 43.0, |tick| format!("{tick}"));
        let labels: Vec<_> = axis.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["0", "10", "20", "30", "40", "50"]);
        let axis = Axis::logarithmic("t", 35.0, 12_000.0, |tick| format!("{tick}"));
        assert_eq!((axis.min, axis.max, axis.ticks.len()), (10.0, 100_000.0, 5));
        assert!((axis.place(1000.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn odd_numbers_make_no_odd_chart() {
        for max in [0.0, -1.0, f64::MIN_POSITIVE, 1e15] {
            let axis = Axis::linear("n", max, |tick| format!("{tick}"));
            assert!(axis.max > 0.0 && (2..=12).contains(&axis.ticks.len()), "{max}: {axis:?}");
        }
        let x = Axis::linear("s", 1.0, |tick| format!("{tick}"));
        let y = Axis::logarithmic("t", 0.0, 0.0, |tick| format!("{tick}"));
        let line = Line { name: "a<b".to_owned(), points: vec![(0.0, 0.0), (5.0, f64::MAX)] };
        let html = Chart { x, y, lines: vec![line], bands: Vec::new() }.html();
        assert!(html.contains("a&lt;b") && !html.contains("NaN") && !html.contains("inf"));
    }
}
