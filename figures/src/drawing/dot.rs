//! The description for Graphviz.

use symopt_dsl::escape;

use super::svg::{fill, stroke};
use super::{Drawing, Role};

/// A text between quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escape::line(text).replace('\\', "\\\\").replace('"', "\\\""))
}

pub(super) fn write(drawing: &Drawing) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&drawing.title));
    text.push_str(&format!(
        "  label={}; labelloc=t; fontname=\"Helvetica\"; fontsize=18; bgcolor=\"#ffffff\";\n",
        quoted(&drawing.title)
    ));
    text.push_str(
        "  node [fontname=\"Helvetica\", fontsize=12, style=\"filled,rounded\", shape=box];\n",
    );
    text.push_str(
        "  edge [fontname=\"Helvetica\", fontsize=10, color=\"#64748b\", arrowsize=0.7];\n",
    );
    for shape in &drawing.shapes {
        let label = match &shape.detail {
            // `\n` is Graphviz's own line break, so it is put in after the quotes are.
            Some(detail) => format!(
                "{}\\n{}",
                quoted(&shape.label).trim_end_matches('"'),
                quoted(detail).trim_start_matches('"')
            ),
            None => quoted(&shape.label),
        };
        let tooltip = if shape.statements.is_empty() {
            shape.label.clone()
        } else {
            shape.statements.join("; ")
        };
        text.push_str(&format!(
            "  {} [label={label}, tooltip={}, fillcolor=\"{}\", color=\"{}\"];\n",
            shape.id,
            quoted(&tooltip),
            fill(shape.role),
            stroke(shape.role)
        ));
    }
    for (rank, roles) in [("source", &[Role::Input, Role::Slot][..]), ("sink", &[Role::Output][..])]
    {
        let ids: Vec<&str> = drawing
            .shapes
            .iter()
            .filter(|shape| roles.contains(&shape.role))
            .map(|shape| shape.id.as_str())
            .collect();
        if !ids.is_empty() {
            text.push_str(&format!("  {{ rank={rank}; {}; }}\n", ids.join("; ")));
        }
    }
    for arrow in &drawing.arrows {
        let mut attributes = Vec::new();
        if let Some(argument) = arrow.argument {
            attributes.push(format!("label={}", quoted(argument)));
        }
        if !arrow.ty.is_array() {
            attributes.push("style=dashed".to_string());
        }
        let attributes = if attributes.is_empty() {
            String::new()
        } else {
            format!(" [{}]", attributes.join(", "))
        };
        text.push_str(&format!(
            "  {} -> {}{attributes};\n",
            drawing.shapes[arrow.from].id, drawing.shapes[arrow.to].id
        ));
    }
    text.push_str("}\n");
    text
}
