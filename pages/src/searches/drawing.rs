//! The parts of a search's page.

use symopt_dsl::{Graph, parse};
use symopt_search::engine::lineage::Ancestor;
use symopt_studies::report::{Report, StoreReport};

use super::detail::{Detail, EFFORT, MOST, SIDE};
use crate::chart::{self, Axis, Bar, Bars, Dot, Dots, Lines, Point, Series};
use crate::content::{Block, Change, Figure, Line, Step};
use crate::numbers::{count, counted, rounded, short_hash};
use crate::program;
use crate::table::{Cell, Column, Kind, Rows, RowsColumn, Table};

/// The last best programs on fresh seeds.
pub(super) fn fresh(report: &Report) -> Figure {
    let mut dots = Vec::new();
    let mut rows = Vec::new();
    for store in &report.stores {
        let mut add = |kind: &str,
                       value: symopt_proxy_tasks::suite::Fitness,
                       error: Option<f64>| {
            rows.push(vec![
                Cell::text(&store.store),
                Cell::text(kind),
                match value.improvement() {
                    Some(share) => Cell::percent(share, error),
                    None => Cell::text(value.to_string()),
                },
            ]);
            if let Some(value) = value.improvement() {
                let (value, error) = (100.0 * value, error.map(|error| 100.0 * error));
                dots.push(Dot { row: store.store.clone(), kind: kind.to_owned(), value, error });
            }
        };
        add("on fresh seeds", store.best_fresh.fitness, store.best_fresh.standard_error);
        add("on the search's own seeds", store.best.fitness, None);
        if let (Some(suite), Some(last)) = (&report.validation_suite, store.validation.last()) {
            add(&format!("on {suite}"), last.validation.fitness, last.validation.standard_error);
        }
    }
    let mut table = Table::new(
        "The last best programs",
        vec![Column::text("search"), Column::text("where"), Column::number("fitness")],
    );
    table.rows = rows;
    let adamw = report.adamw().to_string();
    let drawn = Dots {
        axis: Axis::linear(format!("validation loss saved against {adamw} (%)")),
        dots,
        level: Some((0.0, adamw)),
        ..Dots::default()
    };
    let sentence = format!(
        "Right of the dashed line a program is better than {}. Bars are one standard error over {}.",
        report.adamw(),
        counted(report.seeds as u64, "seed", "seeds")
    );
    Figure::new("The last best programs on fresh seeds", sentence, drawn.specification(), table)
}

/// The best fitness over the searches.
pub(super) fn fitness_series(report: &Report) -> Vec<Series> {
    report
        .stores
        .iter()
        .map(|store| Series {
            name: store.store.clone(),
            points: store
                .curve
                .iter()
                .filter_map(|p| Some(Point::new(p.programs as f64, 100.0 * p.best.improvement()?)))
                .collect(),
        })
        .collect()
}

/// From where to where an axis of gains goes: where lines end and came from shortly before, not how
/// bad they were at the very beginning.
fn gains(series: &[Series]) -> Option<(f64, f64)> {
    let ends = || {
        series
            .iter()
            .flat_map(|line| &line.points)
            .flat_map(|point| point.band.map_or([point.y, point.y], |(low, high)| [low, high]))
    };
    let high = ends().fold(f64::NEG_INFINITY, f64::max);
    let low = ends().fold(f64::INFINITY, f64::min);
    let last = series.iter().filter_map(|line| line.points.last()).map(|point| point.y);
    let last = last.fold(f64::INFINITY, f64::min);
    if !(low.is_finite() && high.is_finite() && last.is_finite()) {
        return None;
    }
    // At least some percent, so that noise does not fill the picture.
    let floor = low.max(last - 1.5 * (high - last).max(2.0));
    let room = 0.08 * (high - floor).max(0.5);
    Some((floor - room, high + room))
}

pub(super) fn fitness(report: &Report) -> Figure {
    let series = fitness_series(report);
    let mut y = Axis::linear("best fitness so far (%)");
    y.domain = gains(&series);
    let falls = series.iter().any(|line| line.points.windows(2).any(|pair| pair[1].y < pair[0].y));
    let first = report.stores.first();
    let mut sentence = match (report.stores.len(), first) {
        (1, Some(store)) => format!(
            "The best fitness went from {} to {} over {} programs, on the seeds that the search sees.",
            crate::numbers::fitness(store.initial.fitness, None),
            crate::numbers::fitness(store.best.fitness, None),
            count(store.end.programs)
        ),
        _ => "The best fitness so far of each search, on the seeds that it sees.".to_owned(),
    };
    if let Some((floor, _)) = y.domain
        && series.iter().flat_map(|line| &line.points).any(|point| point.y < floor)
    {
        sentence += " Where the lines begin lies below the picture.";
    }
    if falls {
        sentence += " Where a line falls, the best program was judged again on new seeds and turned out less good than it had seemed: seeds that change keep luck from staying on top.";
    }
    let mut table = Table::new(
        "Where the best fitness changes",
        vec![Column::text("search"), Column::number("programs"), Column::number("fitness")],
    );
    for store in &report.stores {
        for point in &store.curve {
            table.rows.push(vec![
                Cell::text(&store.store),
                Cell::count(point.programs),
                match point.best.improvement() {
                    Some(share) => Cell::percent(share, None),
                    None => Cell::text(point.best.to_string()),
                },
            ]);
        }
    }
    let lines = Lines {
        x: Axis::linear("programs generated"),
        y,
        series,
        stepped: true,
        level: Some((0.0, report.adamw().to_string())),
    };
    Figure::new("Best fitness over the search", sentence, lines.specification(), table)
}

/// The sample on the other suite.
pub(super) fn validation(report: &Report) -> Option<Figure> {
    let suite = report.validation_suite.as_ref()?;
    let series: Vec<Series> = report
        .stores
        .iter()
        .map(|store| Series {
            name: store.store.clone(),
            points: store
                .validation
                .iter()
                .filter_map(|judged| {
                    let y = 100.0 * judged.validation.fitness.improvement()?;
                    let error = judged.validation.standard_error.map(|error| 100.0 * error);
                    let band = error.map(|error| (y - error, y + error));
                    Some(Point { x: judged.programs as f64, y, band })
                })
                .collect(),
        })
        .collect();
    let mut y = Axis::linear(format!("fitness on {suite} (%)"));
    y.domain = gains(&series);
    let columns = vec![
        Column::text("search"),
        Column::number("programs"),
        Column::code("program"),
        Column::number("fitness in the search"),
        Column::number(format!("on {suite}")),
    ];
    let mut table = Table::new(format!("Programs that were the best, on {suite}"), columns);
    for store in &report.stores {
        for judged in &store.validation {
            let cell = |value: symopt_proxy_tasks::suite::Fitness, error| match value.improvement()
            {
                Some(share) => Cell::percent(share, error),
                None => Cell::text(value.to_string()),
            };
            table.rows.push(vec![
                Cell::text(&store.store),
                Cell::count(judged.programs),
                Cell::text(short_hash(&judged.hash)),
                cell(judged.fitness, None),
                cell(judged.validation.fitness, judged.validation.standard_error),
            ]);
        }
    }
    let sentence = format!(
        "A sample of the programs that were the best, on {} of the suite {suite}, which the search does not see; the band is one standard error. Where this line falls while the best fitness rises, the search overfits its tasks. Programs that diverge have no point.",
        counted(report.seeds as u64, "fresh seed", "fresh seeds")
    );
    let lines = Lines {
        x: Axis::linear("programs generated"),
        y,
        series,
        stepped: false,
        level: Some((0.0, report.adamw().to_string())),
    };
    Some(Figure::new("Meta-validation", sentence, lines.specification(), table))
}

/// Cache hits and redundant statements, against the published searches'.
pub(super) fn rates(report: &Report) -> Option<Figure> {
    let several = report.stores.len() > 1;
    let mut series = Vec::new();
    let mut table = Table::new(
        "Work that is saved, over all programs so far",
        vec![
            Column::text("search"),
            Column::number("programs"),
            Column::number("cache hits"),
            Column::number("redundant statements"),
        ],
    );
    for store in &report.stores {
        let of = if several { format!(", {}", store.store) } else { String::new() };
        let line = |name: &str, get: &dyn Fn(&symopt_studies::report::RatePoint) -> f64| Series {
            name: format!("{name}{of}"),
            points: store
                .rates
                .iter()
                .map(|row| Point::new(row.programs as f64, 100.0 * get(row)))
                .collect(),
        };
        series.push(line("cache hits", &|row| row.cache_hit_rate));
        series.push(line("redundant statements", &|row| row.redundant_share));
        // A row for each of a few places says as much as hundreds.
        let every = store.rates.len().div_ceil(20).max(1);
        for row in store.rates.iter().rev().step_by(every).collect::<Vec<_>>().into_iter().rev() {
            table.rows.push(vec![
                Cell::text(&store.store),
                Cell::count(row.programs),
                Cell::number(row.cache_hit_rate, format!("{:.1} %", 100.0 * row.cache_hit_rate)),
                Cell::number(row.redundant_share, format!("{:.1} %", 100.0 * row.redundant_share)),
            ]);
        }
    }
    for line in &mut series {
        // More points than pixels show nothing more.
        let every = line.points.len().div_ceil(240).max(1);
        let last = line.points.last().copied();
        line.points = line.points.iter().copied().step_by(every).chain(last).collect();
        line.points.dedup();
    }
    series.retain(|line| !line.points.is_empty());
    if series.is_empty() {
        return None;
    }
    let lines = Lines {
        x: Axis::linear("programs generated"),
        y: Axis::linear("share (%)").between(0.0, 100.0),
        series,
        stepped: false,
        level: None,
    };
    let sentence = "The share of the programs whose fitness was known from an earlier one, and the mean share of statements that nothing depends on, over all programs so far. The published searches report 89 % and 70 %.";
    Some(Figure::new("Work that is saved", sentence, lines.specification(), table))
}

/// The hall of fame: figure, front, and all that was evaluated.
pub(super) fn hall(store: &StoreReport, detail: &Detail, number: usize) -> Vec<Block> {
    let name = format!("rows-{}", number + 1);
    let best = detail.evaluated.first().map_or(0.0, |first| 100.0 * first.fitness);
    // The front's short programs and the better half of all may lie far apart.
    let middle =
        detail.evaluated.get(detail.evaluated.len() / 2).map_or(best, |e| 100.0 * e.fitness);
    let lowest = detail.front.iter().map(|e| 100.0 * e.fitness).fold(best, f64::min);
    let floor = lowest.min(middle).max(best - 25.0).min(best - 1.0);
    let below = detail.evaluated.iter().filter(|e| 100.0 * e.fitness < floor).count() as u64;
    let longest = detail.evaluated.iter().map(|e| e.live).max().unwrap_or(1) as f64;
    let mut states: Vec<usize> = detail.evaluated.iter().map(|e| e.state).collect();
    states.sort_unstable();
    states.dedup();
    let states: Vec<String> = states.iter().map(usize::to_string).collect();
    let room = 0.05 * (best - floor);
    let mut tooltip = vec![
        ("hash", "program"),
        ("fitness", "fitness (%)"),
        ("live", "live statements"),
        ("state", "state (bytes a parameter)"),
        ("moved", "moved (bytes a parameter)"),
    ];
    if detail.times.is_some() {
        tooltip.push(("time", TIME));
    }
    tooltip.extend([("child", "child"), ("operator", "operator")]);
    let range = (floor - room, best + 2.0 * room);
    let length = Axis::linear("live statements").between(0.0, longest + 1.0);
    let specification = chart::pareto(range, ("live", &length), &states, &tooltip);
    let mut sentence = format!(
        "{} on the front, filled and named: no other program beats them in all of fitness, length and state. A click on a point marks its row below, and the filter of the table is the figure's too.",
        counted(detail.front.len() as u64, "program", "programs")
    );
    if below > 0 {
        sentence += &format!(" {} lie below the picture.", counted(below, "program", "programs"));
    }
    let mut columns = vec![
        Column::number("place"),
        Column::code("program"),
        Column::number("fitness, own seeds"),
        Column::number("live"),
        Column::number("state (bytes)"),
        Column::number("moved (bytes)"),
    ];
    if detail.times.is_some() {
        columns.push(Column::number("step (ns, measured)"));
    }
    columns.extend([Column::text("does"), Column::code("update")]);
    let mut front = Table::new(
        "The front, the fittest first: live statements, bytes for each parameter",
        columns,
    );
    for entry in &detail.front {
        let words =
            [("matrix", entry.matrix), ("odd", entry.odd), ("scale-free", entry.scale_free)];
        let words: Vec<&str> = words.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect();
        let (mut update, mut moved) = (String::new(), 0);
        if let Some((parsed, graph)) =
            parse(&entry.program).ok().and_then(|p| Graph::new(&p).ok().map(|g| (p, g)))
        {
            moved = graph.cost().bytes_per_parameter;
            let pruned = parsed.pruned(&graph);
            if let Ok(graph) = Graph::new(&pruned) {
                let formula = symopt_export::Formula::new(&pruned, &graph).update;
                update = format!("{} = {}", formula.name, formula.unicode);
            }
        }
        let mut cells = vec![
            Cell::count(entry.place as u64),
            Cell::text(short_hash(&entry.hash)),
            Cell::percent(entry.fitness, Some(entry.standard_error)),
            Cell::count(entry.live_statements as u64),
            Cell::count(entry.state_bytes as u64),
            Cell::count(moved as u64),
        ];
        if detail.times.is_some() {
            let time = detail.nanoseconds(&entry.hash);
            cells.push(
                time.map_or_else(
                    || Cell::text("-"),
                    |time| Cell::number(time, format!("{time:.2}")),
                ),
            );
        }
        cells.extend([
            Cell::text(if words.is_empty() { "-".to_owned() } else { words.join(", ") }),
            Cell::text(update),
        ]);
        front.rows.push(cells);
    }
    let figure = Figure {
        title: "Fitness against length and state".to_owned(),
        sentence,
        specification,
        table: None,
        rows: Some(name.clone()),
    };
    let figure_of_times = times(detail, range, &states, &tooltip, &name);
    let of_time = match figure_of_times {
        Some(_) => format!(
            "The time of a step was measured for this page, on one thread, over an array of {SIDE} × {SIDE} parameters: the shortest of {} rounds. Another page has other times.",
            EFFORT.rounds
        ),
        None => "Bytes moved in a step stand for its time, since a step is bound by memory; --speed measures the time, which differs from page to page.".to_owned(),
    };
    let mut blocks = vec![
        Block::Paragraph(format!(
            "Fitness here is that of the search's own seeds, which it selected for, so it is too high. {of_time}"
        )),
        Block::Figure(figure),
    ];
    blocks.extend(figure_of_times.map(Block::Figure));
    blocks.extend([
        Block::Table(front),
        Block::Heading("All programs that were evaluated to the end".to_owned()),
        Block::Rows(name, rows(store, detail)),
    ]);
    if detail.left_out > 0 {
        blocks.push(Block::Note(format!(
            "The {} fittest are listed; {} less fit ones are left out. symopt top STORE --all --csv FILE writes all.",
            count(MOST as u64),
            count(detail.left_out as u64)
        )));
    }
    blocks
}

/// Quantity of the measured times, with the unit.
const TIME: &str = "time of a step (ns a parameter, measured)";

/// The same programs against the time of a step, where it was measured.
fn times(
    detail: &Detail,
    range: (f64, f64),
    states: &[String],
    tooltip: &[(&str, &str)],
    rows: &str,
) -> Option<Figure> {
    let known = || detail.times.as_ref()?.values().copied().flatten().reduce(f64::max);
    let unknown = detail.times.as_ref()?.values().filter(|time| time.is_none()).count() as u64;
    // Functions of matrices take a hundred times as long as all others: equal factors, equal steps.
    let least = detail.times.as_ref()?.values().copied().flatten().reduce(f64::min).unwrap_or(0.1);
    let axis = Axis::log(TIME).between(0.8 * least, 1.25 * known().unwrap_or(1.0));
    let mut sentence = "The same programs against the nanoseconds that a step takes for each parameter, as measured for this page; the axis is logarithmic.".to_owned();
    if unknown > 0 {
        sentence += &format!(
            " {} can't be run alone and have no point.",
            counted(unknown, "program", "programs")
        );
    }
    Some(Figure {
        title: "Fitness against the time of a step".to_owned(),
        sentence,
        specification: chart::pareto(range, ("time", &axis), states, tooltip),
        table: None,
        rows: Some(rows.to_owned()),
    })
}

fn rows(store: &StoreReport, detail: &Detail) -> Rows {
    let numbers = |of: &dyn Fn(&super::detail::Evaluated) -> Option<f64>| {
        detail.evaluated.iter().map(of).collect::<Vec<_>>()
    };
    let texts = |of: &dyn Fn(&super::detail::Evaluated) -> String| {
        detail.evaluated.iter().map(of).collect::<Vec<_>>()
    };
    let fitness = numbers(&|e| Some(rounded((1e6 * e.fitness).round() / 1e4, 7)));
    let mut columns = vec![
        RowsColumn::texts("program", "hash", Kind::Code, texts(&|e| short_hash(&e.program.hash))),
        RowsColumn { signed: true, ..RowsColumn::numbers("fitness (%)", "fitness", 2, fitness) },
        RowsColumn::numbers("live statements", "live", 0, numbers(&|e| Some(e.live as f64))),
        RowsColumn {
            kind: Kind::Number,
            ..RowsColumn::words("state (bytes)", "state", &texts(&|e| e.state.to_string()))
        },
        RowsColumn::numbers("moved (bytes)", "moved", 0, numbers(&|e| Some(e.moved as f64))),
    ];
    if detail.times.is_some() {
        let times = numbers(&|e| Some(rounded(detail.nanoseconds(&e.program.hash)?, 4)));
        columns.push(RowsColumn::numbers("step (ns, measured)", "time", 2, times));
    }
    columns.extend([
        RowsColumn::numbers("child", "child", 0, numbers(&|e| e.program.child.map(|c| c as f64))),
        RowsColumn::words(
            "operator",
            "operator",
            &texts(&|e| e.program.operator.clone().unwrap_or_else(|| "-".to_owned())),
        ),
        RowsColumn::words(
            "front",
            "front",
            &texts(&|e| if e.front { "yes" } else { "no" }.to_owned()),
        ),
    ]);
    Rows { caption: format!("Programs of {}, the fittest first", store.store), columns }
}

/// The mutations from the initial program to the best one.
pub(super) fn lineage(detail: &Detail) -> Vec<Block> {
    let ancestors = match &detail.lineage {
        Ok(ancestors) => ancestors,
        Err(reason) => return vec![Block::Paragraph(reason.clone())],
    };
    let is_neutral =
        |ancestor: &Ancestor| ancestor.change.as_ref().is_some_and(|change| change.neutral);
    let neutral = ancestors.iter().filter(|ancestor| is_neutral(ancestor)).count();
    let mutations = ancestors.len().saturating_sub(1);
    let points: Vec<Point> = ancestors
        .iter()
        .enumerate()
        .filter_map(|(number, a)| Some(Point::new(number as f64, 100.0 * a.fitness.improvement()?)))
        .collect();
    let series = vec![Series { name: "fitness".to_owned(), points }];
    let mut y = Axis::linear("fitness when it came in (%)");
    y.domain = gains(&series);
    let mut table = Table::new(
        "The ancestors",
        vec![Column::number("mutation"), Column::text("child"), Column::number("fitness")],
    );
    for (number, ancestor) in ancestors.iter().enumerate() {
        let child = ancestor.index.map_or_else(|| "initial".to_owned(), count);
        table.rows.push(vec![
            Cell::count(number as u64),
            Cell::text(child),
            match ancestor.fitness.improvement() {
                Some(share) => Cell::percent(share, None),
                None => Cell::text(ancestor.fitness.to_string()),
            },
        ]);
    }
    let lines = Lines {
        x: Axis::linear("mutations from the initial program"),
        y,
        series,
        stepped: true,
        level: None,
    };
    let figure = Figure::new(
        "Fitness along the lineage",
        "A search keeps what is young, not only what is better: so the fitness of an ancestor may fall. Ancestors without a fitness have no point, and those far down lie below the picture.",
        lines.specification(),
        table,
    );
    let mut steps = Vec::new();
    let mut folded = 0u64;
    for ancestor in ancestors {
        if is_neutral(ancestor) {
            folded += 1;
            continue;
        }
        fold(&mut steps, &mut folded);
        steps.push(step(ancestor));
    }
    fold(&mut steps, &mut folded);
    vec![
        Block::Paragraph(format!(
            "{} from the initial program, {} of them change what it computes.",
            counted(mutations as u64, "mutation", "mutations"),
            mutations - neutral
        )),
        Block::Figure(figure),
        Block::Steps(steps),
    ]
}

fn fold(steps: &mut Vec<Step>, folded: &mut u64) {
    if *folded > 0 {
        let verb = if *folded == 1 { "changes" } else { "change" };
        let title = format!("{} that {verb} nothing", counted(*folded, "mutation", "mutations"));
        steps.push(Step { title, ..Step::default() });
    }
    *folded = 0;
}

fn step(ancestor: &Ancestor) -> Step {
    let title = match ancestor.index {
        Some(index) => format!("child {}", count(index)),
        None => "initial program".to_owned(),
    };
    let value = crate::numbers::fitness(ancestor.fitness, None);
    let Some(change) = &ancestor.change else {
        return Step { title, value, ..Step::default() };
    };
    let mut note = format!("{}, statement {}", change.kind, change.statement + 1);
    if let Some(second) = &change.second {
        let of = second
            .index
            .map_or("the initial program".to_owned(), |i| format!("child {}", count(i)));
        note += &format!(", with {} statements of {of}", second.statements);
    }
    let line = |change: Change, text: &Option<String>| {
        text.iter().map(move |text| Line { change, text: text.clone() }).collect::<Vec<_>>()
    };
    let mut lines = line(Change::Gone, &change.before);
    lines.extend(line(Change::New, &change.after));
    Step { title, value, note, lines }
}

/// The best program.
pub(super) fn program(store: &StoreReport) -> Vec<Block> {
    let Ok(parsed) = parse(&store.best.program) else {
        return vec![Block::Code(store.best.program.clone())];
    };
    let Ok(graph) = Graph::new(&parsed) else {
        return vec![Block::Code(store.best.program.clone())];
    };
    let bred = match store.best.index {
        Some(index) => format!("child {} of the search", count(index)),
        None => "the program that the search started from".to_owned(),
    };
    let mut blocks = vec![Block::Paragraph(format!(
        "{}, {bred}, as it was bred; fitness {} on the search's own seeds.",
        super::name_of(store),
        crate::numbers::fitness(store.best.fitness, None)
    ))];
    blocks.extend(program::blocks(&parsed, &graph));
    blocks.push(Block::Heading("Derivation".to_owned()));
    blocks.extend(program::simplified(&parsed));
    blocks
}

/// Returns the blocks on the outcomes of the programs that were evaluated, and on failures.
pub(super) fn outcomes(store: &StoreReport, detail: &Detail) -> Vec<Block> {
    let meaning = |name: &str| match name {
        "completed" => "trained to the end",
        "hopeless" => "stopped, far behind what the population had reached",
        "diverged" => "the loss was not finite, or far above the beginning",
        "screened" => "did what no program of the search may do",
        _ => "a run failed, which says nothing about the program",
    };
    let total: u64 = detail.outcomes.iter().map(|(_, count)| count).sum();
    let share = |part: u64| if total == 0 { 0.0 } else { part as f64 / total as f64 };
    let mut table = Table::new(
        "Evaluations",
        vec![
            Column::text("outcome"),
            Column::number("evaluations"),
            Column::number("share"),
            Column::text("meaning"),
        ],
    );
    let mut bars = Vec::new();
    for (name, number) in detail.outcomes.iter().filter(|(_, number)| *number > 0) {
        let text = format!("{:.1} %", 100.0 * share(*number));
        table.rows.push(vec![
            Cell::text(*name),
            Cell::count(*number),
            Cell::number(share(*number), text),
            Cell::text(meaning(name)),
        ]);
        bars.push(Bar {
            name: (*name).to_owned(),
            value: *number as f64,
            label: count(*number),
            highlighted: *name == "completed",
            error: None,
        });
    }
    let completed = detail.outcomes.first().map_or(0, |(_, number)| *number);
    let sentence = format!(
        "Of {} {} were trained to the end.",
        counted(total, "evaluation", "evaluations"),
        count(completed)
    );
    let drawn = Bars { axis: Axis::linear("evaluations"), bars };
    let mut blocks =
        vec![Block::Figure(Figure::new("Outcomes", sentence, drawn.specification(), table))];
    blocks.push(Block::Heading("Failures".to_owned()));
    if store.failures.is_empty() {
        blocks.push(Block::Paragraph("No evaluation failed.".to_owned()));
    } else {
        blocks.push(Block::Paragraph(
            "Evaluations that failed, which says nothing about their programs:".to_owned(),
        ));
        blocks.push(Block::List(store.failures.iter().map(ToString::to_string).collect()));
    }
    blocks
}
