//! The picture as SVG.

use std::fmt::Write;

use symopt_dsl::escape::xml as escaped;

use super::{Arrow, Drawing, Role, Shape};
use crate::canvas::dark_style;

/// Fonts whose characters are all 0.6 of their size wide, so that boxes can be measured without
/// them.
const FONTS: &str = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace";
const CHARACTER: f64 = 0.605;

const LABEL_SIZE: f64 = 14.0;
const DETAIL_SIZE: f64 = 11.0;
const PORT_SIZE: f64 = 10.0;
const TITLE_SIZE: f64 = 20.0;

const MARGIN: f64 = 24.0;
/// Height of the title and the line below it.
const HEAD: f64 = 64.0;
/// Height of the key to the colours.
const FOOT: f64 = 44.0;
const ARROW: f64 = 7.0;

pub(super) fn fill(role: Role) -> &'static str {
    match role {
        Role::Input => "#dbeafe",
        Role::Slot => "#fef3c7",
        Role::Call => "#f1f5f9",
        Role::Output => "#dcfce7",
    }
}

pub(super) fn stroke(role: Role) -> &'static str {
    match role {
        Role::Input => "#3b82f6",
        Role::Slot => "#d97706",
        Role::Call => "#64748b",
        Role::Output => "#16a34a",
    }
}

/// Width of a text. Characters of the East Asian scripts take two places.
fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| if c >= '\u{2e80}' { 2.0 } else { 1.0 }).sum::<f64>() * size * CHARACTER
}

/// Width and height of a box, with a line for the names of arguments if it has any.
pub(super) fn size(shape: &Shape, has_ports: bool) -> (f64, f64) {
    let label = text_width(&shape.label, LABEL_SIZE);
    let detail = shape.detail.as_deref().map_or(0.0, |detail| text_width(detail, DETAIL_SIZE));
    let ports = if has_ports { PORT_SIZE + 3.0 } else { 0.0 };
    let detail_height = if shape.detail.is_some() { DETAIL_SIZE + 5.0 } else { 0.0 };
    ((label.max(detail) + 24.0).max(48.0), LABEL_SIZE + 16.0 + ports + detail_height)
}

/// A number in as few characters as the picture needs.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

/// Colours in the dark, by those in the light.
const DARK: [(&str, &str); 12] = [
    ("#ffffff", "#12161d"),
    ("#64748b", "#93a1b5"),
    ("#0f172a", "#eef2f7"),
    ("#475569", "#b7c1cf"),
    ("#dbeafe", "#16304f"),
    ("#3b82f6", "#63a4f5"),
    ("#fef3c7", "#3d3013"),
    ("#d97706", "#e0a13a"),
    ("#f1f5f9", "#232b37"),
    ("#dcfce7", "#15351f"),
    ("#16a34a", "#4cc076"),
    ("#000000", "#eef2f7"),
];

/// The picture as a file of its own, which is dark where the reader has asked for that.
pub(super) fn write_file(drawing: &Drawing) -> String {
    let style = dark_style("symopt-flow", &DARK);
    write(drawing).replacen(" role=\"img\"", " role=\"img\" class=\"symopt-flow\"", 1).replacen(
        "</title>\n",
        &format!("</title>\n{style}\n"),
        1,
    )
}

pub(super) fn write(drawing: &Drawing) -> String {
    let subtitle = "one step: inputs above, results below";
    let key = key();
    let key_width =
        key.iter().map(|(_, text)| 30.0 + text_width(text, DETAIL_SIZE) + 22.0).sum::<f64>() - 22.0;
    let head = text_width(&drawing.title, TITLE_SIZE).max(text_width(subtitle, DETAIL_SIZE));
    let width = drawing.width.max(key_width).max(head) + 2.0 * MARGIN;
    let height = drawing.height + HEAD + FOOT + 2.0 * MARGIN;
    let (left, top) = ((width - drawing.width) / 2.0, MARGIN + HEAD);

    let mut svg = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = writeln!(svg, "{text}");
    };
    let (w, h) = (short(width), short(height));
    line(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" font-family="{FONTS}" role="img">"#
    ));
    line(format_args!("<title>Data flow of {}</title>", escaped(&drawing.title)));
    line(format_args!(r##"<rect width="{w}" height="{h}" fill="#ffffff"/>"##));
    let y = MARGIN + TITLE_SIZE - 4.0;
    line(format_args!(
        r##"<text x="{MARGIN}" y="{y}" font-size="{TITLE_SIZE}" font-weight="bold" fill="#0f172a">{}</text>"##,
        escaped(&drawing.title)
    ));
    line(format_args!(
        r##"<text x="{MARGIN}" y="{}" font-size="{DETAIL_SIZE}" fill="#64748b">{subtitle}</text>"##,
        short(y + DETAIL_SIZE + 8.0)
    ));

    line(format_args!(r#"<g transform="translate({} {})">"#, short(left), short(top)));
    let mut by_start: Vec<&Arrow> = drawing.arrows.iter().collect();
    by_start.sort_by_key(|arrow| arrow.from);
    for same_start in by_start.chunk_by(|a, b| a.from == b.from) {
        // A white edge tells lines apart where they cross. Lines of one value are drawn over all of
        // their edges: they run together.
        for arrow in same_start {
            line(format_args!(
                r##"<path d="{}" fill="none" stroke="#ffffff" stroke-width="5"/>"##,
                path(arrow)
            ));
        }
        for arrow in same_start {
            let (width, dashes) = if arrow.ty.is_array() {
                ("1.6", "")
            } else {
                ("1.2", r#" stroke-dasharray="5 3""#)
            };
            line(format_args!(
                r##"<path d="{}" fill="none" stroke="#64748b" stroke-width="{width}"{dashes}/>"##,
                path(arrow)
            ));
        }
    }
    for arrow in &drawing.arrows {
        if let Some((x, y)) = arrow.points.last() {
            let half = ARROW * 0.45;
            line(format_args!(
                r##"<path d="M{} {} L{} {} L{} {} Z" fill="#64748b"/>"##,
                short(*x),
                short(*y),
                short(x - half),
                short(y - ARROW),
                short(x + half),
                short(y - ARROW)
            ));
        }
    }
    for (index, shape) in drawing.shapes.iter().enumerate() {
        let arriving = drawing.arrows.iter().filter(|arrow| arrow.to == index);
        write_shape(shape, arriving, &mut line);
    }
    line(format_args!("</g>"));

    let y = top + drawing.height + FOOT;
    let mut x = MARGIN;
    for (role, text) in key {
        match role {
            Some(role) => line(format_args!(
                r#"<rect x="{}" y="{}" width="22" height="14" rx="4" fill="{}" stroke="{}"/>"#,
                short(x),
                short(y - 11.0),
                fill(role),
                stroke(role)
            )),
            None => {
                let dashes = if text == ONE_NUMBER { r#" stroke-dasharray="5 3""# } else { "" };
                line(format_args!(
                    r##"<path d="M{} {} H{}" fill="none" stroke="#64748b" stroke-width="1.6"{dashes}/>"##,
                    short(x),
                    short(y - 4.0),
                    short(x + 22.0)
                ));
            }
        }
        line(format_args!(
            r##"<text x="{}" y="{}" font-size="{DETAIL_SIZE}" fill="#475569">{text}</text>"##,
            short(x + 30.0),
            short(y)
        ));
        x += 30.0 + text_width(text, DETAIL_SIZE) + 22.0;
    }
    line(format_args!("</svg>"));
    svg
}

const ONE_NUMBER: &str = "one number";

/// Returns the key to colours and lines.
fn key() -> [(Option<Role>, &'static str); 6] {
    [
        (Some(Role::Input), "input"),
        (Some(Role::Slot), "slot"),
        (Some(Role::Call), "call"),
        (Some(Role::Output), "result"),
        (None, "arrays"),
        (None, ONE_NUMBER),
    ]
}

fn write_shape<'a>(
    shape: &Shape,
    arriving: impl Iterator<Item = &'a Arrow>,
    line: &mut impl FnMut(std::fmt::Arguments<'_>),
) {
    let (middle, bottom) = (shape.x + shape.width / 2.0, shape.y + shape.height);
    line(format_args!("<g>"));
    if !shape.statements.is_empty() {
        line(format_args!("<title>{}</title>", escaped(&shape.statements.join("; "))));
    }
    let radius = if shape.role == Role::Call { 6.0 } else { 15.0 };
    line(format_args!(
        r#"<rect x="{}" y="{}" width="{}" height="{}" rx="{radius}" fill="{}" stroke="{}" stroke-width="1.4"/>"#,
        short(shape.x),
        short(shape.y),
        short(shape.width),
        short(shape.height),
        fill(shape.role),
        stroke(shape.role)
    ));
    for arrow in arriving {
        if let (Some(argument), Some((x, _))) = (arrow.argument, arrow.points.last()) {
            line(format_args!(
                r##"<text x="{}" y="{}" font-size="{PORT_SIZE}" text-anchor="middle" fill="#64748b">{argument}</text>"##,
                short(*x),
                short(shape.y + PORT_SIZE + 2.0)
            ));
        }
    }
    let mut baseline = bottom - 12.0;
    if let Some(detail) = &shape.detail {
        line(format_args!(
            r##"<text x="{}" y="{}" font-size="{DETAIL_SIZE}" text-anchor="middle" fill="#475569">{}</text>"##,
            short(middle),
            short(bottom - 9.0),
            escaped(detail)
        ));
        baseline -= DETAIL_SIZE + 4.0;
    }
    line(format_args!(
        r##"<text x="{}" y="{}" font-size="{LABEL_SIZE}" text-anchor="middle" fill="#0f172a">{}</text>"##,
        short(middle),
        short(baseline),
        escaped(&shape.label)
    ));
    line(format_args!("</g>"));
}

/// The line of an arrow: smooth between layers, straight down past the boxes of a layer, up to the
/// head.
fn path(arrow: &Arrow) -> String {
    let mut path = String::new();
    let mut last: Option<(f64, f64)> = None;
    let end = arrow.points.len().saturating_sub(1);
    for (index, (x, y)) in arrow.points.iter().enumerate() {
        let (x, mut y) = (*x, *y);
        if index == end {
            y = (y - ARROW + 1.0).max(last.map_or(0.0, |(_, before)| before));
        }
        match last {
            None => path.push_str(&format!("M{} {}", short(x), short(y))),
            Some((before_x, _)) if (before_x - x).abs() < 0.05 => {
                path.push_str(&format!(" L{} {}", short(x), short(y)))
            }
            Some((before_x, before_y)) => {
                let middle = short((before_y + y) / 2.0);
                path.push_str(&format!(
                    " C{} {middle} {} {middle} {} {}",
                    short(before_x),
                    short(x),
                    short(x),
                    short(y)
                ));
            }
        }
        last = Some((x, y));
    }
    path
}
