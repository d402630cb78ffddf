//! Two kinds of plots, as plain SVG, and what other pictures share with them.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const COLOURS: [&str; 4] = ["#1f6feb", "#8c959f", "#bf8700", "#1a7f37"];

pub struct Bar {
    pub label: String,
    pub value: f64,
    /// The index of the bar's colour.
    pub kind: usize,
}

/// Draws horizontal bars.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    let (left, row) = (330.0, 22.0);
    let height = 50.0 + row * bars.len() as f64;
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let mut svg = start(title, WIDTH, height);
    for (i, bar) in bars.iter().enumerate() {
        let y = 38.0 + row * i as f64;
        let width = bar.value / most * (WIDTH - left - 70.0);
        let (label, colour, value) = (escaped(&bar.label), COLOURS[bar.kind], bar.value);
        let _ = write!(
            svg,
            r#"<text x="{:.0}" y="{:.0}" text-anchor="end">{label}</text><rect x="{left}" y="{y}" width="{width:.1}" height="16" fill="{colour}"/><text x="{:.1}" y="{:.0}">{value:.2}</text>"#,
            left - 8.0,
            y + 13.0,
            left + width + 6.0,
            y + 13.0,
        );
        svg.push('\n');
    }
    svg + "</svg>\n"
}

/// Draws lines on two logarithmic axes.
pub fn lines(title: &str, x_axis: &str, series: &[(String, &[(f64, f64)])]) -> String {
    let (left, top, height) = (70.0, 40.0, 360.0);
    let plot = (WIDTH - left - 30.0, height - top - 50.0);
    let all = || series.iter().flat_map(|(_, points)| points.iter());
    let range = |of: fn(&(f64, f64)) -> f64| {
        let logs = || all().map(|p| of(p).log10());
        let (low, high) = (
            logs().fold(f64::MAX, f64::min).floor(),
            logs().fold(f64::MIN, f64::max).ceil(),
        );
        (low, high.max(low + 1.0))
    };
    let (xs, ys) = (range(|p| p.0), range(|p| p.1));
    let x_of = |x: f64| left + (x.log10() - xs.0) / (xs.1 - xs.0) * plot.0;
    let y_of = |y: f64| top + plot.1 - (y.log10() - ys.0) / (ys.1 - ys.0) * plot.1;
    let mut svg = start(title, WIDTH, height + 18.0 * series.len() as f64);
    let ticks = |(low, high): (f64, f64)| (low as i32..=high as i32).map(|e| 10_f64.powi(e));
    for x in ticks(xs) {
        let at = x_of(x);
        let _ = writeln!(
            svg,
            r##"<path d="M{at:.1} {top}v{:.1}" stroke="#d0d7de"/><text x="{at:.1}" y="{:.1}" text-anchor="middle">{x:e}</text>"##,
            plot.1,
            top + plot.1 + 16.0
        );
    }
    for y in ticks(ys) {
        let at = y_of(y);
        let _ = writeln!(
            svg,
            r##"<path d="M{left} {at:.1}h{:.1}" stroke="#d0d7de"/><text x="{:.1}" y="{:.1}" text-anchor="end">{y:e}</text>"##,
            plot.0,
            left - 6.0,
            at + 4.0
        );
    }
    let _ = writeln!(
        svg,
        r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
        left + plot.0 / 2.0,
        top + plot.1 + 36.0,
        escaped(x_axis)
    );
    for (i, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let path: Vec<_> = points
            .iter()
            .map(|p| format!("{:.1},{:.1}", x_of(p.0), y_of(p.1)))
            .collect();
        let y = height + 18.0 * i as f64;
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/><rect x="{left}" y="{y}" width="12" height="12" fill="{colour}"/><text x="{}" y="{}">{}</text>"#,
            path.join(" "),
            left + 18.0,
            y + 11.0,
            escaped(name),
        );
    }
    svg + "</svg>\n"
}

/// Begins a picture of this size with a white background and a title.
pub fn start(title: &str, width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"12\" y=\"22\" font-size=\"15\">{}</text>\n",
        escaped(title)
    )
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace(['*', '`'], "")
}
