//! Pictures of programs.

use std::collections::BTreeSet;

use symopt_dsl::graph::NodeKind;
use symopt_dsl::{Graph, Program, parse};
use symopt_figures::Drawing;
use symopt_figures::drawing::{Role, Shape};
use symopt_testing::texts;
use symopt_testing::xml::assert_well_formed;

fn zoo(name: &str) -> Program {
    let path = format!("{}/../programs/zoo/{name}.opt", env!("CARGO_MANIFEST_DIR"));
    parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn zoo_names() -> Vec<String> {
    let folder = format!("{}/../programs/zoo", env!("CARGO_MANIFEST_DIR"));
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".opt").map(str::to_owned)).collect();
    names.sort();
    names
}

/// The zoo, small random programs, and large ones with many shared values.
fn programs() -> Vec<Program> {
    let mut programs: Vec<Program> = zoo_names().iter().map(|name| zoo(name)).collect();
    programs.extend((0..300).map(|seed| texts::random_program(seed, false)));
    programs.extend((0..60).map(|seed| texts::dense_program(seed, 5 + seed as usize)));
    programs
}

fn drawing(program: &Program) -> Drawing {
    Drawing::new(program, &Graph::new(program).unwrap())
}

fn overlap(a: &Shape, b: &Shape) -> bool {
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}

#[test]
fn boxes_do_not_overlap_and_arrows_join_them_downwards() {
    for program in programs() {
        let drawing = drawing(&program);
        for (index, shape) in drawing.shapes.iter().enumerate() {
            assert!(
                shape.x >= -0.01 && shape.y >= -0.01 && shape.x.is_finite() && shape.y.is_finite(),
                "{shape:?}\n{program}"
            );
            for other in &drawing.shapes[..index] {
                assert!(!overlap(shape, other), "{shape:?}\n{other:?}\n{program}");
            }
        }
        for arrow in &drawing.arrows {
            let (from, to) = (&drawing.shapes[arrow.from], &drawing.shapes[arrow.to]);
            let (start, end) = (arrow.points[0], arrow.points[arrow.points.len() - 1]);
            assert!(
                (start.1 - (from.y + from.height)).abs() < 1e-6 && (end.1 - to.y).abs() < 1e-6,
                "{arrow:?}"
            );
            assert!(from.x < start.0 && start.0 < from.x + from.width, "{arrow:?}");
            assert!(to.x < end.0 && end.0 < to.x + to.width, "{arrow:?}");
            assert!(
                arrow.points.windows(2).all(|pair| pair[0].1 <= pair[1].1),
                "{arrow:?} goes up"
            );
        }
    }
}

/// Where a line is vertical it passes the boxes of a layer: at a distance.
#[test]
fn lines_pass_beside_boxes() {
    for program in programs() {
        let drawing = drawing(&program);
        for arrow in &drawing.arrows {
            for pair in arrow.points.windows(2) {
                let ((x, top), (other_x, bottom)) = (pair[0], pair[1]);
                for (index, shape) in drawing.shapes.iter().enumerate() {
                    let beside = x < shape.x - 1.0 || x > shape.x + shape.width + 1.0;
                    let same_height = top < shape.y + shape.height && shape.y < bottom;
                    let own = index == arrow.from || index == arrow.to;
                    // Between layers there are no boxes at all.
                    assert!(
                        own || !same_height || (beside && (x - other_x).abs() < 1e-6),
                        "{pair:?} meets {shape:?}\n{program}"
                    );
                }
            }
        }
    }
}

#[test]
fn all_that_is_live_is_drawn() {
    for program in programs() {
        let graph = Graph::new(&program).unwrap();
        let drawing = Drawing::new(&program, &graph);
        let count = |role: Role| drawing.shapes.iter().filter(|shape| shape.role == role).count();
        let nodes = |wanted: &dyn Fn(NodeKind) -> bool| {
            graph.nodes().iter().filter(|node| wanted(node.kind)).count()
        };
        assert_eq!(count(Role::Call), nodes(&|kind| matches!(kind, NodeKind::Call(_))));
        assert_eq!(count(Role::Slot), nodes(&|kind| matches!(kind, NodeKind::Slot(_))));
        assert_eq!(count(Role::Output), 1 + graph.live_slots().count());
        let ids: BTreeSet<&str> = drawing.shapes.iter().map(|shape| shape.id.as_str()).collect();
        assert_eq!(ids.len(), drawing.shapes.len());
        for (index, shape) in drawing.shapes.iter().enumerate() {
            let (arriving, leaving) = (
                drawing.arrows.iter().filter(|a| a.to == index).count(),
                drawing.arrows.iter().filter(|a| a.from == index).count(),
            );
            match shape.role {
                Role::Output => assert_eq!((arriving, leaving), (1, 0)),
                Role::Input | Role::Slot => assert!(arriving == 0 && leaving > 0, "{shape:?}"),
                Role::Call => assert!(leaving > 0, "{shape:?}"),
            }
        }
    }
}

#[test]
fn pictures_are_well_formed_and_the_same_every_time() {
    for program in programs() {
        let picture = drawing(&program);
        assert_well_formed(&picture.svg());
        assert_well_formed(&picture.svg_file());
        // For a page, whose policy allows no styles but its own.
        assert!(!picture.svg().contains("<style") && picture.svg_file().contains("<style>@media"));
        assert_eq!(picture.svg(), drawing(&program).svg());
        assert_eq!(picture.dot(), drawing(&program).dot());
    }
}

#[test]
fn names_cannot_break_out_of_the_picture() {
    let mut program = zoo("lion");
    let mut signature = program.signature().clone();
    signature.name = "a\"b<c>&'d\\\n".to_string();
    signature.parameters[0].name = "<w>\"\\".to_string();
    signature.parameters[1].name = "gradient_".repeat(100);
    program = program.with_signature(signature);
    let picture = drawing(&program);
    assert_well_formed(&picture.svg());
    assert!(picture.svg().contains("a&quot;b&lt;c&gt;&amp;&apos;d\\"));
    assert!(
        picture.dot().starts_with("digraph \"a\\\"b<c>&'d\\\\\\\\u000a\" {"),
        "{}",
        picture.dot()
    );
    let longest = picture.shapes.iter().map(|shape| shape.label.chars().count()).max();
    assert_eq!(longest, Some(40));
    for line in picture.dot().lines() {
        let quotes = line.replace("\\\\", "").replace("\\\"", "").matches('"').count();
        assert_eq!(quotes % 2, 0, "{line}");
    }
}

/// Texts fit into their boxes, at 0.602 of the font size for each character.
#[test]
fn texts_fit_into_their_boxes() {
    for program in programs() {
        for shape in drawing(&program).shapes {
            let width = |text: &str, size: f64| text.chars().count() as f64 * size * 0.602;
            assert!(width(&shape.label, 14.0) + 8.0 < shape.width, "{shape:?}");
            assert!(
                shape.detail.as_ref().is_none_or(|detail| width(detail, 11.0) + 8.0 < shape.width),
                "{shape:?}"
            );
        }
    }
}

/// Nothing here may take time that grows with the square of a large program, or worse.
#[test]
fn large_programs_are_drawn() {
    let mut text = "def long(w, g, m, lr):\n  x = g + m\n".to_string();
    for index in 0..3000 {
        text.push_str(if index % 3 == 0 { "  x = x * lr\n" } else { "  x = x + w\n" });
    }
    text.push_str("  m = x + m\n  return x, m\n");
    let picture = drawing(&parse(&text).unwrap());
    assert_eq!(picture.shapes.iter().filter(|shape| shape.role == Role::Call).count(), 3002);
    assert_well_formed(&picture.svg());
}

#[test]
fn numbers_and_hyperparameters_are_parts_of_calls() {
    let labels = |name: &str| -> Vec<String> {
        let shapes = drawing(&zoo(name)).shapes.into_iter();
        shapes
            .map(|shape| {
                [Some(shape.label), shape.detail]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" | ")
            })
            .collect()
    };
    insta::assert_snapshot!("labels_adamw", labels("adamw").join("\n"));
    insta::assert_snapshot!("labels_lion_raw", labels("lion-raw").join("\n"));
}

#[test]
fn the_picture_of_lion() {
    insta::assert_snapshot!("lion_dot", drawing(&zoo("lion")).dot());
    insta::assert_snapshot!("lion_svg", drawing(&zoo("lion")).svg());
}
