//! Line plots as SVG: categories across, nanoseconds up on a logarithmic axis.

use std::fmt::Write as _;

/// One line of a plot.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// For each category: median, least and most, where measured.
    pub values: Vec<Option<(f64, f64, f64)>>,
    /// Drawn dashed: a target or limit, not a measurement.
    pub dashed: bool,
    /// Which color; lines that belong together share one.
    pub color: usize,
}

/// A plot.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// What is shown.
    pub title: String,
    /// The axis upward, with its unit.
    pub unit: String,
    /// The categories across.
    pub categories: Vec<String>,
    /// The lines.
    pub series: Vec<Series>,
}

/// Distinct also for the color-blind (Okabe and Ito).
const COLORS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a8a00"];

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 230.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

impl Plot {
    /// The drawing.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        let (low, high) = self.decades();
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>",
            escape(&self.title)
        );
        self.axes(&mut svg, low, high);
        for (index, series) in self.series.iter().enumerate() {
            self.line(&mut svg, series, low, high);
            legend(&mut svg, series, index);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// The powers of ten that hold every value.
    fn decades(&self) -> (i32, i32) {
        let values = self.series.iter().flat_map(|series| series.values.iter().flatten());
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for &(median, least, most) in values {
            low = low.min(least.min(median));
            high = high.max(most.max(median));
        }
        let exponent =
            |value: f64| (-9..=12).rev().find(|&power| 10_f64.powi(power) <= value).unwrap_or(-9);
        if low > high { (0, 1) } else { (exponent(low), exponent(high) + 1) }
    }

    fn x(&self, category: usize) -> f64 {
        let steps = self.categories.len().max(2) - 1;
        LEFT + 20.0 + (WIDTH - LEFT - RIGHT - 40.0) * category as f64 / steps as f64
    }

    fn axes(&self, svg: &mut String, low: i32, high: i32) {
        let right = WIDTH - RIGHT;
        for power in low..=high {
            let y = y(10_f64.powi(power), low, high);
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#ccc\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                10_f64.powi(power)
            );
        }
        for (index, category) in self.categories.iter().enumerate() {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                self.x(index),
                HEIGHT - BOTTOM + 20.0,
                escape(category)
            );
        }
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        let _ = writeln!(
            svg,
            "<text transform=\"translate(18 {middle:.1}) rotate(-90)\" \
             text-anchor=\"middle\">{}</text>",
            escape(&self.unit)
        );
    }

    fn line(&self, svg: &mut String, series: &Series, low: i32, high: i32) {
        let color = color(series);
        let mut path = String::new();
        let mut pen = 'M';
        for (index, value) in series.values.iter().enumerate() {
            let Some((median, least, most)) = *value else {
                pen = 'M';
                continue;
            };
            let x = self.x(index);
            let _ = write!(path, "{pen}{x:.1} {:.1} ", y(median, low, high));
            pen = 'L';
            if !series.dashed {
                let (bottom, top) = (y(least, low, high), y(most, low, high));
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{color}\"/>\
                     <line x1=\"{x:.1}\" y1=\"{bottom:.1}\" x2=\"{x:.1}\" y2=\"{top:.1}\" \
                     stroke=\"{color}\"/>",
                    y(median, low, high)
                );
            }
        }
        let _ = writeln!(
            svg,
            "<path d=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.6\"{}/>",
            path.trim_end(),
            dashes(series)
        );
    }
}

fn legend(svg: &mut String, series: &Series, index: usize) {
    let x = WIDTH - RIGHT + 14.0;
    let y = TOP + 14.0 + 18.0 * index as f64;
    let _ = writeln!(
        svg,
        "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{}\" stroke-width=\"2\"{}/>\
         <text x=\"{}\" y=\"{}\">{}</text>",
        x + 26.0,
        color(series),
        dashes(series),
        x + 32.0,
        y + 4.0,
        escape(&series.name)
    );
}

fn y(value: f64, low: i32, high: i32) -> f64 {
    let share = (value.max(1e-9).log10() - f64::from(low)) / f64::from(high - low);
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share.clamp(0.0, 1.0)
}

fn color(series: &Series) -> &'static str {
    COLORS[series.color % COLORS.len()]
}

const fn dashes(series: &Series) -> &'static str {
    if series.dashed { " stroke-dasharray=\"5 4\"" } else { "" }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(values: Vec<Option<(f64, f64, f64)>>) -> Plot {
        Plot {
            title: "a < b & c".to_owned(),
            unit: "ns".to_owned(),
            categories: vec!["1e2".to_owned(), "1e3".to_owned(), "1e4".to_owned()],
            series: vec![Series { name: "tree".to_owned(), values, dashed: false, color: 9 }],
        }
    }

    #[test]
    fn a_gap_in_the_values_is_a_gap_in_the_line() {
        let whole = plot(vec![Some((10.0, 9.0, 12.0)), Some((20.0, 9.0, 30.0)), None]).svg();
        assert_eq!(whole.matches('M').count(), 1);
        assert!(whole.contains("a &lt; b &amp; c"));
        let gap = plot(vec![Some((10.0, 9.0, 12.0)), None, Some((20.0, 9.0, 30.0))]).svg();
        assert_eq!(gap.matches('M').count(), 2);
    }

    #[test]
    fn the_axis_holds_every_value() {
        assert_eq!(plot(vec![Some((25.0, 9.0, 120.0))]).decades(), (0, 3));
        assert_eq!(plot(vec![Some((0.5, 0.5, 0.5))]).decades(), (-1, 0));
        assert_eq!(plot(vec![None]).decades(), (0, 1));
        assert!((y(100.0, 0, 2) - TOP).abs() < 1e-9);
        assert!((y(1.0, 0, 2) - (HEIGHT - BOTTOM)).abs() < 1e-9);
    }
}
