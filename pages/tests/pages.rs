//! Pages: the same bytes for the same content, what others wrote stays text, the libraries are those
//! of their list.

use std::path::Path;

use sha2::{Digest, Sha256};
use symopt_cancel::CancelToken;
use symopt_dsl::{Graph, parse};
use symopt_pages::chart::{Axis, HeatCell, HeatMap, Lines, Point, Series};
use symopt_pages::content::{Block, Figure};
use symopt_pages::page::{Page, Section};
use symopt_pages::table::{Cell, Column, Table};
use symopt_pages::vendor::{LIBRARIES, LICENCES};
use symopt_pages::{program, searches};
use symopt_search::SearchConfig;
use symopt_search::launch::{Launch, Launcher};
use symopt_studies::report::{Options, report};

const HOSTILE: &str = "<script>alert(1)</script>\"'&\u{2028}\u{202e}</title><!--";

/// Whether nothing of the hostile text could begin or end anything.
fn is_tame(html: &str) -> bool {
    !html.contains("<script>alert") && !html.contains(['\u{2028}', '\u{202e}'])
}

#[test]
fn the_libraries_are_those_of_their_list() {
    for library in LIBRARIES {
        let digest: String =
            Sha256::digest(library.file).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, library.sha256, "{}", library.name);
        assert!(LICENCES.contains(&format!("{} {}", library.name, library.version)));
        assert!(
            !library.script().contains("</script")
                && !library.script().contains("sourceMappingURL")
        );
    }
}

#[test]
fn what_others_wrote_stays_text_wherever_it_stands() {
    let mut table = Table::new(HOSTILE, vec![Column::text(HOSTILE), Column::number("n")]);
    table.rows.push(vec![Cell::text(HOSTILE), Cell::number(1.0, "1")]);
    let mut long = table.clone();
    long.rows = vec![long.rows[0].clone(); 100];
    let series = vec![Series { name: HOSTILE.to_owned(), points: vec![Point::new(0.0, 1.0)] }];
    let lines = Lines { x: Axis::linear(HOSTILE), series, ..Lines::default() };
    let doc = format!("\"\"\"{}\"\"\"", HOSTILE.replace(['"', '\u{2028}', '\u{202e}'], ""));
    let source = format!("{doc}\ndef f(w, g, lr):\n  update = g * lr\n  return update\n");
    let parsed = parse(&source).unwrap();
    let mut blocks = vec![
        Block::Paragraph(HOSTILE.to_owned()),
        Block::Code(HOSTILE.to_owned()),
        Block::Table(table.clone()),
        Block::Table(long),
        Block::Figure(Figure::new(HOSTILE, HOSTILE, lines.specification(), table)),
        Block::Details(
            HOSTILE.to_owned(),
            vec![Block::Facts(vec![(HOSTILE.to_owned(), HOSTILE.to_owned())])],
        ),
    ];
    blocks.extend(program::blocks(&parsed, &Graph::new(&parsed).unwrap()));
    let page = Page {
        title: HOSTILE.to_owned(),
        kind: HOSTILE.to_owned(),
        verdict: vec![HOSTILE.to_owned()],
        sections: vec![Section::new(HOSTILE, blocks)],
        ..Page::default()
    };
    let html = page.html();
    assert!(is_tame(&html));
    // Data, three libraries and the page's own script, and no other.
    assert_eq!(html.matches("</script>").count(), html.matches("<script").count());
    assert_eq!(html.matches("<script>").count(), 4);
    assert!(!html.contains("unsafe"));
}

#[test]
fn a_drawing_has_the_colours_of_the_page() {
    for entry in symopt_programs::zoo() {
        let parsed = entry.program();
        let blocks = program::blocks(&parsed, &Graph::new(&parsed).unwrap());
        let drawing = blocks.iter().find_map(|block| match block {
            Block::Drawing(drawing) => Some(&drawing.svg),
            _ => None,
        });
        assert!(drawing.is_some_and(|svg| !svg.contains("=\"#")), "{}", entry.name);
    }
}

#[test]
fn the_page_of_a_search_is_the_same_every_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("<script>alert(1)");
    let mut config = SearchConfig { suite: "smoke".to_owned(), ..SearchConfig::default() };
    config.evolution.population = 50;
    config.limits.programs = 2000;
    let cancel = CancelToken::new();
    let _ = Launch::new(config, &store, &cancel).unwrap().run(1, &cancel, &mut |_| {}).unwrap();
    let html = |path: &Path, speed: bool| {
        let options = Options {
            validate: None,
            seeds: 2,
            sample: 4,
            over: None,
            threads: 1,
            launcher: Launcher::default(),
        };
        let report = report(&[path.to_owned()], &options, &cancel, &|_, _| {}).unwrap();
        searches::page(&report, "symopt report", speed, &cancel, &mut |_| {}).unwrap().html()
    };
    let page = html(&store, false);
    assert_eq!(page, html(&store, false));
    assert!(is_tame(&page));
    // Measured times are there on request alone, and the page says so.
    let timed = html(&store, true);
    for part in
        ["Fitness against the time of a step", "step (ns, measured)", "other measured times"]
    {
        assert!(timed.contains(part) && !page.contains(part), "{part}");
    }
    for title in [
        "Fresh seeds",
        "Hall of fame",
        "Lineage of the best",
        "Data flow",
        "Derivation",
        "Failures",
    ] {
        assert!(page.contains(title), "{title}");
    }
    // The store can't be read where it is not, which is an error.
    assert!(
        report(
            &[directory.path().join("none")],
            &Options {
                validate: None,
                seeds: 2,
                sample: 4,
                over: None,
                threads: 1,
                launcher: Launcher::default()
            },
            &cancel,
            &|_, _| {}
        )
        .is_err()
    );
}

#[test]
fn a_heat_map_keeps_its_whole_range_apart_and_has_one_row() {
    let columns: Vec<String> = (0..4).map(|column| column.to_string()).collect();
    let cells = vec![vec![
        HeatCell::Value(1.0),
        HeatCell::Value(1.04),
        HeatCell::Value(9e9),
        HeatCell::Diverged,
    ]];
    let map = HeatMap {
        columns,
        rows: vec!["0".to_owned()],
        cells,
        close: Some(0.05),
        ..HeatMap::default()
    };
    let specification = map.specification();
    let fills: Vec<&str> = specification["data"]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value["fill"].as_str().unwrap())
        .collect();
    let mut different = fills.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!((fills.len(), different.len()), (4, 4));
}
