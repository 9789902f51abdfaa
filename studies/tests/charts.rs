//! The charts: well-formed, complete, the same every time.
//!
//! The pictures are written into the `tmp` folder of the target directory, to be looked at.

use std::path::Path;

use symopt_figures::chart::{
    Axis, Better, Cell, Dot, DotChart, DotGroup, HeatMap, LineChart, Panel, Plane, Point, Series,
};
use symopt_proxy_tasks::constants::Origin;
use symopt_proxy_tasks::sample;
use symopt_proxy_tasks::tuning::grid::Trial;
use symopt_studies::tuning_map::TuningMap;
use symopt_testing::xml::assert_well_formed;

/// Checks properties that every picture has.
fn check(name: &str, svg: &str, texts: &[&str]) {
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("svg"), svg)
        .unwrap();
    assert_well_formed(svg);
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\""), "{name}");
    assert!(svg.contains("fill=\"#ffffff\""), "{name}: a background");
    // Whoever reads in the dark has all but the cells of heat maps in other colours.
    assert!(svg.contains("prefers-color-scheme:dark"), "{name}");
    for broken in ["NaN", "inf"] {
        assert!(!svg.contains(broken), "{name}: {broken}");
    }
    for text in texts {
        assert!(svg.contains(&format!(">{text}<")), "{name}: {text}");
    }
    let size = |key: &str| {
        svg.split_once(&format!("{key}=\""))
            .unwrap()
            .1
            .split_once('"')
            .unwrap()
            .0
            .parse::<f64>()
            .unwrap()
    };
    let (width, height) = (size("width"), size("height"));
    for element in svg.lines().filter(|line| line.starts_with("<text")) {
        let place = |key: &str| {
            element
                .split_once(&format!(" {key}=\""))
                .unwrap()
                .1
                .split_once('"')
                .unwrap()
                .0
                .parse::<f64>()
                .unwrap()
        };
        assert!(
            (0.0..=width).contains(&place("x")) && (0.0..=height).contains(&place("y")),
            "{name}: {element}"
        );
    }
}

/// A search as one sees it: steps up, then flat.
fn run(seed: u32, speed: f64, end: f64) -> Vec<(f64, f64)> {
    let wobble = |k: u32| f64::from((k * 7919 + seed * 104_729) % 100) / 100.0;
    let mut best = f64::NEG_INFINITY;
    (1..=120)
        .map(|k| {
            let x = f64::from(k) * 2500.0;
            best = best.max(end - 12.0 * (-x / speed).exp() + 0.8 * wobble(k));
            (x, best)
        })
        .collect()
}

fn history() -> LineChart {
    let runs = |speed, end| (0..5).map(|seed| run(seed, speed, end)).collect::<Vec<_>>();
    let fitness = vec![
        Series::over_runs("evolution", &runs(40_000.0, 1.5), sample::range),
        Series::over_runs(
            "random search at 4 × compute",
            &runs(60_000.0, -1.0),
            sample::error_band,
        ),
        Series::over_runs(
            "constants only at 4 × compute",
            &runs(20_000.0, -0.5),
            sample::error_band,
        ),
    ];
    let share = |end: f64| {
        (1..=120)
            .map(|k| (f64::from(k) * 2500.0, end * (1.0 - (-f64::from(k) / 15.0).exp())))
            .collect::<Vec<_>>()
    };
    LineChart {
        title: "Evolution against its baselines".to_owned(),
        subtitle: "suite quick, 5 seeds; bands: lowest to highest run, or ± standard error"
            .to_owned(),
        x: Axis::linear("programs generated"),
        panels: vec![
            Panel {
                y: Axis::linear("gain over tuned AdamW (%)").between(-6.0, 3.0),
                series: fitness,
            },
            Panel {
                y: Axis::linear("share (%)"),
                series: vec![
                    Series::line("cache hits", &share(93.0)),
                    Series::line("redundant statements", &share(77.0)),
                ],
            },
        ],
    }
}

#[test]
fn lines_share_an_axis_and_have_their_names_at_their_ends() {
    let svg = history().svg();
    check(
        "lines",
        &svg,
        &[
            "Evolution against its baselines",
            "programs generated",
            "gain over tuned AdamW (%)",
            "share (%)",
            "evolution",
            "random search at 4 × compute",
            "cache hits",
            "300K",
            "−6",
            "0",
        ],
    );
    assert_eq!(svg, history().svg());
    // The band of the range, and of the standard errors; five lines, with their names at their
    // ends, two of which are apart from them by a dotted line.
    assert_eq!(svg.matches("<polygon").count(), 3);
    let dotted = svg.matches("stroke-width=\"0.8\"").count();
    assert_eq!(svg.matches("<polyline").count(), 5 + dotted);
    assert!(dotted <= 5, "{dotted}");
    assert_eq!(svg.matches(">programs generated<").count(), 1);
}

#[test]
fn logarithmic_axes_and_hostile_numbers() {
    let points = [(1.0, 1e-5), (10.0, f64::NAN), (100.0, 0.0), (1000.0, 3.0), (1e6, f64::INFINITY)];
    let banded = [(1.0, 1.0, (-1.0, 2.0)), (1e6, 0.5, (0.1, 1.0))];
    let chart = LineChart {
        title: "a\"b<c>&'d\u{7}".to_owned(),
        subtitle: String::new(),
        x: Axis::log("steps"),
        panels: vec![Panel {
            y: Axis::log("loss (nats)"),
            series: vec![
                Series::line("<first>", &points),
                Series {
                    name: "band".to_owned(),
                    points: banded.map(|(x, y, band)| Point { x, y, band: Some(band) }).to_vec(),
                    ..Series::default()
                },
                Series::line("empty", &[]),
                Series::line("single", &[(30.0, 0.01)]),
            ],
        }],
    };
    check(
        "log",
        &chart.svg(),
        &[
            "steps",
            "loss (nats)",
            "&lt;first&gt;",
            "empty",
            "10K",
            "1M",
            "a&quot;b&lt;c&gt;&amp;&apos;d\\u0007",
        ],
    );

    let nothing = LineChart { panels: Vec::new(), ..chart.clone() };
    check("nothing", &nothing.svg(), &["steps"]);
    let flat = Panel {
        y: Axis::linear("y"),
        series: vec![Series::line("flat", &[(1.0, 0.0), (2.0, 0.0)])],
    };
    check("flat", &LineChart { panels: vec![flat], ..chart.clone() }.svg(), &["y"]);
    // More series than colours.
    let many = (0..15)
        .map(|i| {
            Series::line(&format!("program {i}"), &[(1.0, f64::from(i)), (100.0, f64::from(i * i))])
        })
        .collect();
    check(
        "many",
        &LineChart { panels: vec![Panel { y: Axis::linear("y"), series: many }], ..chart }.svg(),
        &["program 0", "program 14"],
    );
}

#[test]
fn few_samples_have_signs_and_what_the_picture_is_about_is_in_front() {
    let few = |name: &str, slope: f64| {
        let points: Vec<(f64, f64)> =
            [16.0, 64.0, 256.0].iter().map(|x: &f64| (*x, slope * x.ln())).collect();
        Series::line(name, &points)
    };
    let series = vec![
        few("lion", 1.0).highlighted(),
        few("adamw", 1.1),
        few("another", 1.2),
        few("published", 0.5).reference(),
    ];
    let chart = LineChart {
        title: "Few samples".to_owned(),
        subtitle: String::new(),
        x: Axis::log("batch (examples)").with_ticks(&[16.0, 64.0, 256.0]),
        panels: vec![Panel { y: Axis::linear("loss (nats)"), series }],
    };
    let svg = chart.svg();
    check("few", &svg, &["16", "64", "256", "lion", "adamw", "published"]);
    // Each line has signs of its own, but for the one that others are compared with.
    let signs = |element: &str| svg.matches(&format!("<{element}")).count();
    assert_eq!((signs("circle"), signs("polygon")), (3, 3));
    let lion = svg.rfind("stroke-width=\"3.2\"").unwrap();
    assert!(lion > svg.rfind("stroke-width=\"1.8\"").unwrap());
    assert!(svg.contains("font-weight=\"bold\">lion<"), "{svg}");

    // Each value of a stepped line holds until the next.
    let stepped = Panel { y: Axis::linear("y"), series: vec![few("a", 1.0).stepped()] };
    let svg = LineChart { panels: vec![stepped], ..chart }.svg();
    let line = svg.lines().find(|line| line.starts_with("<polyline")).unwrap();
    assert_eq!(line.split('"').nth(1).unwrap().split(' ').count(), 5, "{line}");
}

#[test]
fn runs_of_different_lengths_have_a_mean() {
    let runs = [vec![(0.0, 1.0), (10.0, 3.0)], vec![(5.0, 5.0)]];
    let points = Series::over_runs("mean", &runs, sample::range).points;
    let wanted = [(5.0, 3.0, (1.0, 5.0)), (10.0, 4.0, (3.0, 5.0))];
    assert_eq!(points, wanted.map(|(x, y, band)| Point { x, y, band: Some(band) }));
    let points = Series::over_runs("mean", &runs, sample::error_band).points;
    assert_eq!((points[0].band, points[1].band), (Some((1.0, 5.0)), Some((3.0, 5.0))));
    assert_eq!(
        Series::over_runs("one", &runs[..1], sample::range).points[1],
        Point { x: 10.0, y: 3.0, band: None }
    );
    assert_eq!(Series::over_runs("none", &[], sample::range).points, []);
}

#[test]
fn dots_say_what_is_sure_and_what_is_far_away() {
    let programs = [
        "lion",
        "tiger",
        "signum",
        "adamw",
        "nadam",
        "adam",
        "adabelief",
        "qhm",
        "momentum",
        "sgd",
        "adagrad",
        "signsgd",
    ];
    let group = |name: &str, shift: f64| DotGroup {
        name: name.to_owned(),
        dots: (0..programs.len())
            .map(|i| match i {
                3 => Some(Dot { value: 0.0, error: Some(0.0) }),
                4 => Some(Dot { value: -0.004, error: Some(0.0) }),
                11 => None,
                9 => Some(Dot { value: -312.0, error: Some(4.0) }),
                _ => Some(Dot {
                    value: 1.8 + shift - 0.5 * i as f64,
                    error: Some(0.1 + 0.03 * i as f64),
                }),
            })
            .collect(),
    };
    let chart = DotChart {
        title: "Landscape of the suite lion".to_owned(),
        subtitle:
            "each program tuned with the same budget; 32 held-out seeds, paired, ± standard error"
                .to_owned(),
        label: "validation loss saved against tuned AdamW (%)".to_owned(),
        categories: programs.iter().map(|name| (*name).to_owned()).collect(),
        groups: [
            "whole suite",
            "signs-32",
            "signs-64",
            "signs-64-short",
            "a-task-with-a-very-long-name-indeed",
        ]
        .iter()
        .enumerate()
        .map(|(index, name)| group(name, -0.3 * index as f64))
        .collect(),
        missing: "diverged".to_owned(),
        highlighted: vec!["lion".to_owned()],
    };
    let svg = chart.svg();
    check(
        "dots",
        &svg,
        &[
            "Landscape of the suite lion",
            "signs-64-short",
            "lion",
            "signsgd",
            "diverged",
            "−312.0",
            "validation loss saved against tuned AdamW (%)",
        ],
    );
    assert_eq!(svg, chart.clone().svg());
    assert_eq!(svg.matches(">diverged<").count(), 5);
    // Those far away are triangles; the others are dots, or squares where they are surely below.
    assert_eq!(svg.matches("<polygon").count(), 5);
    let filled = |color: &str| svg.matches(&format!("r=\"4\" fill=\"{color}\"")).count();
    let squares = svg.matches("stroke=\"#c2500a\" stroke-width=\"1.6\"/>").count();
    assert!(squares > 5 && filled("#0b62ad") >= 5, "{squares}");
    // A gain over itself, and one that reads 0.00, are drawn as neither.
    assert!(filled("#ffffff") > 2 * 5, "{svg}");
    assert!(svg.contains("font-weight=\"bold\">lion<"), "{svg}");
    check(
        "no-dots",
        &DotChart { categories: Vec::new(), groups: Vec::new(), ..chart }.svg(),
        &["within two"],
    );
}

fn map(baseline: Option<f64>) -> TuningMap {
    let rates: Vec<f64> = (0..=16)
        .map(|i| format!("{:.2e}", 10f64.powf(-4.0 + f64::from(i) / 4.0)).parse().unwrap())
        .collect();
    let mut trials = Vec::new();
    for peak_lr in rates {
        for weight_decay in [0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0] {
            let far: f64 = (peak_lr.log10() + 1.5).powi(2)
                + (f64::ln(weight_decay + 0.01) + 1.0).powi(2) / 40.0;
            let loss = (peak_lr < 0.5 || weight_decay < 0.3).then_some(0.98 + 0.4 * far);
            trials.push(Trial { peak_lr, weight_decay, loss, failure: None });
        }
    }
    let baseline = baseline.map(|loss| (loss, Origin::Stated));
    TuningMap {
        program: "lion".to_owned(),
        task: "digits-linear".to_owned(),
        seeds: 8,
        trials,
        baseline,
    }
}

#[test]
fn maps_show_gains_or_losses() {
    let gains = map(Some(1.0));
    let svg = gains.chart().svg();
    let texts = [
        "lion on digits-linear",
        "peak learning rate",
        "weight decay",
        "0.0316",
        "3",
        "×",
        "gain (%)",
    ];
    check("map-gain", &svg, &texts);
    let diverged = gains.trials.iter().filter(|trial| trial.loss.is_none()).count();
    assert!(diverged > 5);
    assert_eq!(svg.matches(">×<").count(), diverged + 1);
    // One is outlined; and the legend says where each class ends.
    assert_eq!(svg.matches("stroke-width=\"2.4\"").count(), 1);
    assert!(svg.contains(">colour: points below the best<") && svg.contains(">up to 1 points<"));
    check("map-loss", &map(None).chart().svg(), &["loss (nats)"]);

    let csv = gains.csv().unwrap();
    assert_eq!(csv.lines().count(), 1 + gains.trials.len());
    assert!(csv.starts_with("task,program,peak_lr,weight_decay,validation_loss,gain,against\ndigits-linear,lion,0.0001,0,"), "{csv}");
    assert!(csv.lines().any(|line| line.ends_with("0.562,0.3,,,tuned AdamW")), "{csv}");

    // The baseline of the gains is named as it is.
    let untuned = TuningMap { baseline: Some((1.0, Origin::Untuned)), ..gains.clone() };
    assert!(untuned.chart().subtitle.contains("saved against untuned AdamW (%)"));
    assert!(untuned.csv().unwrap().lines().skip(1).all(|line| line.ends_with(",untuned AdamW")));

    // Programs without a decay have one row; and what was not tried stays white.
    let chart = gains.chart();
    let cells = vec![vec![Cell::Untried, Cell::Value(f64::NAN), Cell::Diverged]];
    let plane = Plane {
        name: "lion".to_owned(),
        rows: vec!["0".to_owned()],
        columns: ["a", "b", "c"].map(str::to_owned).to_vec(),
        cells,
        ..Plane::default()
    };
    let row = HeatMap { better: Better::Lower, planes: vec![plane.clone(); 2], ..chart };
    assert_eq!(row.svg().matches(">×<").count(), 2 * 2 + 1);
    let svg = row.svg();
    check("map-row", &svg, &["a", "c", "lion"]);
    // The names of the axes don't stand upon anything, however small the plane.
    assert!(!svg.contains("rotate("), "{svg}");
    let one = Plane { columns: vec!["a".to_owned()], ..plane };
    check("map-cell", &HeatMap { planes: vec![one], ..row.clone() }.svg(), &["a"]);
    check("map-none", &HeatMap { planes: Vec::new(), ..row }.svg(), &["the best"]);
}
