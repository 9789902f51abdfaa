//! Shapes and texts, written as SVG.

use std::fmt::Write;

use symopt_dsl::escape::xml as escaped;

/// Text, lines of axes, lines of the grid, every second row, and the paper behind it all. They and
/// the colours of series are the same as in pages, with a contrast of 4.5 to the paper and more.
pub(super) const INK: &str = "#17202e";
pub(super) const FAINT: &str = "#515d70";
pub(super) const GRID: &str = "#e7eaef";
pub(super) const STRIPE: &str = "#f6f7f9";
pub(super) const PAPER: &str = "#ffffff";
/// Behind what a picture is about.
pub(super) const MARKED: &str = "#e6f0fb";

/// Colours that colour-blind people can tell apart.
const SERIES: [&str; 7] =
    ["#0b62ad", "#c2500a", "#0a7d5c", "#a3447f", "#8a6500", "#5a54b8", "#3d4652"];
/// Better than what it is compared with, and worse.
pub(super) const ABOVE: &str = SERIES[0];
pub(super) const BELOW: &str = SERIES[1];
/// Beside the colours, lines are told apart by their dashes.
const DASHES: [&str; 7] = ["", "7 3", "2 2", "9 2 2 2", "4 4", "12 3", "1 3"];

/// Colours in the dark, by those in the light. Colours that are not here, such as those of the
/// cells of a heat map, are the same there.
const DARK: [(&str, &str); 13] = [
    (INK, "#e6eaf0"),
    (FAINT, "#a5b0c0"),
    (GRID, "#28303c"),
    (STRIPE, "#191f28"),
    (PAPER, "#12161d"),
    (MARKED, "#1d2c40"),
    (SERIES[0], "#63b3f3"),
    (SERIES[1], "#ff9a57"),
    (SERIES[2], "#43c99b"),
    (SERIES[3], "#e597c4"),
    (SERIES[4], "#e8c04f"),
    (SERIES[5], "#aaa4f5"),
    (SERIES[6], "#c9d1dc"),
];

/// A style that exchanges colours where the reader has asked for the dark, for the pictures whose
/// root has a class. Colours stay where they are written, so that what knows no styles shows the
/// picture on white.
pub(crate) fn dark_style(class: &str, colors: &[(&str, &str)]) -> String {
    let rules: String = colors
        .iter()
        .map(|(light, dark)| {
            format!(
                ".{class} [fill=\"{light}\"]{{fill:{dark}}}.{class} [stroke=\"{light}\"]{{stroke:{dark}}}"
            )
        })
        .collect();
    format!("<style>@media screen and (prefers-color-scheme:dark){{{rules}}}</style>")
}

/// The signs at the points of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

const MARKERS: [Marker; 4] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond];

/// Colour, dashes and sign of the series with a number.
pub(super) fn series_style(index: usize) -> (&'static str, &'static str, Marker) {
    let color = SERIES.get(index % SERIES.len()).copied().unwrap_or(INK);
    // The dashes of the colour's next turn are others.
    let dashes = DASHES.get((index + index / SERIES.len()) % DASHES.len()).copied();
    let marker = MARKERS.get(index % MARKERS.len()).copied().unwrap_or(Marker::Circle);
    (color, dashes.unwrap_or_default(), marker)
}

pub(super) const TITLE_SIZE: f64 = 17.0;
pub(super) const TEXT_SIZE: f64 = 12.0;
/// Between the edge of the picture and what is in it.
pub(super) const MARGIN: f64 = 16.0;

/// Where a text stands in relation to its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub size: f64,
    pub color: &'static str,
    pub bold: bool,
}

impl Style {
    pub const PLAIN: Style = Style { size: TEXT_SIZE, color: INK, bold: false };
    pub const FAINT: Style = Style { size: TEXT_SIZE, color: FAINT, bold: false };
    pub const BOLD: Style = Style { size: TEXT_SIZE, color: INK, bold: true };
    pub const TITLE: Style = Style { size: TITLE_SIZE, color: INK, bold: true };
}

/// Width of a text in a common sans-serif font, rather too wide than too narrow.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let ems = |c: char| match c {
        'i' | 'j' | 'l' | '\'' | '|' | '.' | ',' | ':' | ';' => 0.34,
        'f' | 't' | 'r' | 'I' | ' ' | '(' | ')' | '-' | '/' => 0.43,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.98,
        '−' | '+' | '±' | '<' | '>' | '=' => 0.84,
        c if c.is_ascii_uppercase() => 0.74,
        c if c >= '\u{2e80}' => 1.05,
        _ => 0.64,
    };
    text.chars().map(ems).sum::<f64>() * size
}

/// A coordinate in as few characters as the picture needs.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A picture that grows.
pub(super) struct Canvas {
    body: String,
    clips: usize,
}

impl Canvas {
    pub fn new() -> Canvas {
        Canvas { body: String::new(), clips: 0 }
    }

    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing into a String does not fail.
        let _ = writeln!(self.body, "{element}");
    }

    pub fn rectangle(&mut self, [x, y, width, height]: [f64; 4], attributes: &str) {
        let [x, y, width, height] = [x, y, width.max(0.0), height.max(0.0)].map(short);
        self.element(format_args!(
            r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" {attributes}/>"#
        ));
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(short);
        let width = short(width);
        self.element(format_args!(r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{color}" stroke-width="{width}"/>"#));
    }

    pub fn circle(&mut self, (x, y): (f64, f64), radius: f64, attributes: &str) {
        let [x, y, radius] = [x, y, radius].map(short);
        self.element(format_args!(r#"<circle cx="{x}" cy="{y}" r="{radius}" {attributes}/>"#));
    }

    fn points(points: &[(f64, f64)]) -> String {
        let points: Vec<String> =
            points.iter().map(|(x, y)| format!("{},{}", short(*x), short(*y))).collect();
        points.join(" ")
    }

    pub fn polyline(&mut self, points: &[(f64, f64)], color: &str, dashes: &str, width: f64) {
        let dashes = if dashes.is_empty() {
            String::new()
        } else {
            format!(r#" stroke-dasharray="{dashes}""#)
        };
        let (points, width) = (Canvas::points(points), short(width));
        self.element(format_args!(
            r#"<polyline points="{points}" fill="none" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"{dashes}/>"#
        ));
    }

    /// A sign around a point.
    pub fn marker(&mut self, (x, y): (f64, f64), marker: Marker, radius: f64, attributes: &str) {
        // All cover about the same area.
        let corners = |reach: f64, corners: &[(f64, f64)]| -> Vec<(f64, f64)> {
            corners.iter().map(|(dx, dy)| (x + reach * dx, y + reach * dy)).collect()
        };
        match marker {
            Marker::Circle => self.circle((x, y), radius, attributes),
            Marker::Square => {
                let half = 0.89 * radius;
                self.rectangle([x - half, y - half, 2.0 * half, 2.0 * half], attributes);
            }
            Marker::Triangle => {
                let places = corners(1.3 * radius, &[(0.0, -1.0), (0.9, 0.65), (-0.9, 0.65)]);
                self.polygon(&places, attributes);
            }
            Marker::Diamond => {
                let places =
                    corners(1.25 * radius, &[(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]);
                self.polygon(&places, attributes);
            }
        }
    }

    pub fn polygon(&mut self, points: &[(f64, f64)], attributes: &str) {
        let points = Canvas::points(points);
        self.element(format_args!(r#"<polygon points="{points}" {attributes}/>"#));
    }

    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, style: Style, text: &str) {
        self.turned_text((x, y), anchor, style, 0.0, text);
    }

    /// A text turned clockwise by an angle in degrees.
    pub fn turned_text(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        style: Style,
        angle: f64,
        text: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let [x, y, size] = [x, y, style.size].map(short);
        let weight = if style.bold { r#" font-weight="bold""# } else { "" };
        let turn = if angle == 0.0 {
            String::new()
        } else {
            format!(r#" transform="rotate({} {x} {y})""#, short(angle))
        };
        let (color, text) = (style.color, escaped(text));
        self.element(format_args!(
            r#"<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{color}"{weight}{turn}>{text}</text>"#
        ));
    }

    /// Clips drawings to the rectangle until [`Canvas::end_clip`].
    pub fn begin_clip(&mut self, rectangle: [f64; 4]) {
        let [x, y, width, height] = rectangle.map(short);
        let id = self.clips;
        self.clips += 1;
        self.element(format_args!(r#"<clipPath id="clip{id}"><rect x="{x}" y="{y}" width="{width}" height="{height}"/></clipPath>"#));
        self.element(format_args!(r##"<g clip-path="url(#clip{id})">"##));
    }

    pub fn end_clip(&mut self) {
        self.element(format_args!("</g>"));
    }

    /// Title and, unless it is empty, subtitle at the top left; returns where the rest can begin.
    pub fn head(&mut self, title: &str, subtitle: &str) -> f64 {
        let mut y = MARGIN + TITLE_SIZE;
        self.text((MARGIN, y), Anchor::Start, Style::TITLE, title);
        if !subtitle.is_empty() {
            y += TEXT_SIZE + 8.0;
            self.text((MARGIN, y), Anchor::Start, Style::FAINT, subtitle);
        }
        y + 14.0
    }

    /// The whole picture.
    pub fn finish(self, title: &str, width: f64, height: f64) -> String {
        let [width, height] = [width.ceil(), height.ceil()].map(short);
        let (title, style) = (escaped(title), dark_style("symopt-chart", &DARK));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" role=\"img\" class=\"symopt-chart\">\n<title>{title}</title>\n{style}\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{PAPER}\"/>\n{}</svg>\n",
            self.body
        )
    }
}

/// A text that is cut where it would not fit; bold if need be.
pub(super) fn fitting(text: &str, width: f64) -> String {
    if 1.08 * text_width(text, TEXT_SIZE) <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    for character in text.chars() {
        if 1.08 * text_width(&format!("{cut}{character}…"), TEXT_SIZE) > width {
            break;
        }
        cut.push(character);
    }
    format!("{cut}…")
}

/// How wide a head is.
pub(super) fn head_width(title: &str, subtitle: &str) -> f64 {
    // Bold letters are wider.
    2.0 * MARGIN + (1.08 * text_width(title, TITLE_SIZE)).max(text_width(subtitle, TEXT_SIZE))
}
