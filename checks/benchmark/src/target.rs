//! Targets of the engines, and the values that they reached in one run.

use serde::Serialize;

use super::cell::{Cell, Engine, PlanTime, Row};
use super::size::Size;
use super::{MODEL, SMALL};

/// Which side of the limit is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// No more than the limit.
    AtMost,
    /// No less than the limit.
    AtLeast,
}

/// How a target came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[must_use]
pub enum Verdict {
    /// Every measured value is within the limit.
    Met,
    /// One is not.
    Missed,
    /// Nothing was measured.
    NotMeasured,
}

/// One measured value of a target.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Value {
    /// Where: a size, or a name.
    pub place: String,
    /// The value.
    pub value: f64,
}

/// Something to be reached.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Target {
    /// Description of the measured quantity.
    pub what: String,
    /// Unit of the values: `x` for a ratio of times, `µs` for a time.
    pub unit: &'static str,
    /// Which side of the limit is good.
    pub bound: Bound,
    /// The limit.
    pub limit: f64,
    /// Measured values, in each place that was to be measured and could be.
    pub values: Vec<Value>,
    /// Places that were to be measured and were not.
    pub missing: Vec<String>,
    /// How it came out.
    pub verdict: Verdict,
}

impl Target {
    fn new(
        what: String,
        unit: &'static str,
        bound: Bound,
        limit: f64,
        values: Vec<(String, Option<f64>)>,
    ) -> Target {
        let missing = values
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(place, _)| place.clone())
            .collect();
        let values: Vec<Value> = values
            .into_iter()
            .filter_map(|(place, value)| Some(Value { place, value: value? }))
            .collect();
        let within = |value: &Value| match bound {
            Bound::AtMost => value.value <= limit,
            Bound::AtLeast => value.value >= limit,
        };
        let verdict = match &values[..] {
            [] => Verdict::NotMeasured,
            values if values.iter().all(within) => Verdict::Met,
            _ => Verdict::Missed,
        };
        Target { what, unit, bound, limit, values, missing, verdict }
    }

    /// The value that is furthest on the wrong side.
    pub fn worst(&self) -> Option<&Value> {
        let order = |a: &&Value, b: &&Value| a.value.total_cmp(&b.value);
        match self.bound {
            Bound::AtMost => self.values.iter().max_by(order),
            Bound::AtLeast => self.values.iter().min_by(order),
        }
    }
}

const TINY: Size = Size::kibi(4);
const CACHED: Size = Size::kibi(64);
const LARGE: Size = Size::kibi(1 << 10);
/// Far larger than any cache.
const HUGE: Size = Size::kibi(16 << 10);
/// The sizes of the targets, and of a benchmark by default.
pub const SIZES: [Size; 4] = [TINY, CACHED, LARGE, HUGE];

/// All targets, with what the cells say about them.
pub fn targets(cells: &[Cell], plans: &[PlanTime]) -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    use Engine::{C, Compiled, CompiledBf16, TileMachine};

    let cell = |program: &str, size: Size, threads: usize| {
        cells
            .iter()
            .find(|cell| (cell.program, cell.parameters, cell.threads) == (program, size, threads))
    };
    // Applies `value` to the cells of some sizes.
    let at =
        |program: &str, sizes: &[Size], threads: usize, value: &dyn Fn(&Cell) -> Option<f64>| {
            sizes
                .iter()
                .map(|size| (size.to_string(), cell(program, *size, threads).and_then(value)))
                .collect::<Vec<_>>()
        };
    let ratio = |slow: Option<&Row>, fast: Option<&Row>| slow?.ratio(fast?);
    let compiled_against = |peer: &str| {
        let peer = peer.to_owned();
        move |cell: &Cell| ratio(cell.peer(&peer), cell.row(Compiled, 1))
    };
    let model = Size::new(MODEL.iter().sum());
    let arrays = MODEL.len();
    // The fastest of the Python peers; as a ratio, the smallest.
    let fastest_peer = |arrays: usize| {
        move |cell: &Cell| {
            let compiled = cell.row(Compiled, arrays)?;
            let peers =
                cell.rows.iter().filter(|row| row.engine == Engine::Python && row.arrays == arrays);
            peers.filter_map(|peer| peer.ratio(compiled)).min_by(f64::total_cmp)
        }
    };

    let mut targets = Vec::new();
    let mut add = |what: String, bound, limit, values| {
        targets.push(Target::new(what, "x", bound, limit, values))
    };
    let programs = ["lion", "adamw"];
    let on = |threads: usize| {
        if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
    };
    for threads in [1, 2] {
        for program in programs {
            let value = |cell: &Cell| ratio(cell.row(Compiled, 1), cell.row(C, 1));
            add(
                format!("compiled {program} / C loop, {}", on(threads)),
                AtMost,
                1.10,
                at(program, &SIZES, threads, &value),
            );
        }
    }
    for threads in [1, 2] {
        for program in programs {
            let value = |cell: &Cell| cell.row(Compiled, 1)?.ratio_to_bandwidth;
            add(
                format!("compiled {program} / bandwidth limit, {}", on(threads)),
                AtMost,
                1.08,
                at(program, &[HUGE], threads, &value),
            );
        }
    }
    for threads in [1, 2] {
        let value = |cell: &Cell| ratio(cell.row(Compiled, 1), cell.row(CompiledBf16, 1));
        add(
            format!("lion, f32 momentum / bf16 momentum, {}", on(threads)),
            AtLeast,
            1.12,
            at("lion", &[HUGE], threads, &value),
        );
    }
    let tile = |cell: &Cell| ratio(cell.row(TileMachine, 1), cell.row(Compiled, 1));
    for threads in [1, 2] {
        for program in programs {
            let what = format!("tile machine / compiled {program}, {}", on(threads));
            add(what.clone(), AtMost, 1.7, at(program, &[TINY, CACHED], threads, &tile));
            add(what, AtMost, 1.15, at(program, &[HUGE], threads, &tile));
        }
    }
    add(
        "numpy lion / compiled, 1 thread".to_owned(),
        AtLeast,
        12.0,
        at("lion", &[TINY], 1, &compiled_against("numpy lion")),
    );
    let compile = compiled_against("torch.compile lion");
    add(
        "torch.compile lion / compiled, 1 thread".to_owned(),
        AtLeast,
        25.0,
        at("lion", &[TINY], 1, &compile),
    );
    add(
        "fastest Python lion / compiled, 1 thread".to_owned(),
        AtLeast,
        4.0,
        at("lion", &[CACHED], 1, &fastest_peer(1)),
    );
    add(
        "torch.compile lion / compiled, 1 thread".to_owned(),
        AtLeast,
        1.0,
        at("lion", &[HUGE], 1, &compile),
    );
    let fused = compiled_against("torch fused adamw");
    add(
        "torch fused adamw / compiled, 1 thread".to_owned(),
        AtLeast,
        1.0,
        at("adamw", &[HUGE], 1, &fused),
    );
    add(
        "torch fused adamw / compiled, 2 threads".to_owned(),
        AtLeast,
        1.0,
        at("adamw", &[LARGE, HUGE], 2, &fused),
    );
    if let Some(model) = model {
        let what = format!("fastest Python lion / compiled, {arrays} arrays, 1 thread");
        add(what, AtLeast, 3.0, at("lion", &[model], 1, &fastest_peer(arrays)));
        for threads in [1, 2] {
            for (engine, name) in [(Compiled, "compiled"), (TileMachine, "tile machine")] {
                let value = |cell: &Cell| ratio(cell.row(engine, arrays), cell.row(engine, 1));
                add(
                    format!("{name} lion, {arrays} arrays / flat, {}", on(threads)),
                    AtMost,
                    1.10,
                    at("lion", &[model], threads, &value),
                );
            }
        }
    }
    let step = |cell: &Cell| Some(cell.row(TileMachine, 1)?.nanoseconds_per_step / 1e3);
    targets.push(Target::new(
        "tile machine, a step of adamw".to_owned(),
        "µs",
        AtMost,
        0.8,
        at("adamw", &[SMALL], 1, &step),
    ));
    let worst = plans.iter().max_by(|a, b| a.microseconds.total_cmp(&b.microseconds));
    let worst = worst.map_or(("zoo".to_owned(), None), |plan| {
        (plan.program.to_owned(), Some(plan.microseconds))
    });
    targets.push(Target::new(
        "a plan from a graph, the slowest of the zoo".to_owned(),
        "µs",
        AtMost,
        5.0,
        vec![worst],
    ));
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(engine: Engine, name: &str, samples: [f64; 3]) -> Row {
        Row {
            engine,
            name: name.to_owned(),
            version: None,
            arrays: 1,
            nanoseconds_per_step: samples[1],
            range: [samples[0], samples[2]],
            rounds: 3,
            nanoseconds_per_parameter: 0.0,
            bytes_per_parameter: 20,
            gigabytes_per_second: 0.0,
            ratio_to_bandwidth: Some(1.05),
            samples: samples.map(Some).to_vec(),
        }
    }

    fn cell(size: Size, rows: Vec<Row>) -> Cell {
        Cell {
            program: "lion",
            parameters: size,
            threads: 1,
            bandwidth_gigabytes_per_second: None,
            rows,
        }
    }

    #[test]
    fn targets_are_read_off_the_cells() {
        let tiny = vec![
            row(Engine::Compiled, "compiled", [1.0, 2.0, 3.0]),
            row(Engine::C, "C loop", [1.0, 2.0, 3.0]),
        ];
        let huge = vec![
            row(Engine::Compiled, "compiled", [2.0, 4.0, 6.0]),
            row(Engine::C, "C loop", [1.0, 2.0, 3.0]),
            row(Engine::Python, "torch.compile lion", [3.0, 6.0, 9.0]),
        ];
        let plans = [
            PlanTime { program: "nadam", microseconds: 4.0 },
            PlanTime { program: "sgd", microseconds: 1.0 },
        ];
        let targets = targets(&[cell(TINY, tiny), cell(HUGE, huge)], &plans);
        let target = |what: &str, limit: f64| {
            targets.iter().find(|target| target.what == what && target.limit == limit).unwrap()
        };

        let against_c = target("compiled lion / C loop, 1 thread", 1.10);
        assert_eq!(against_c.verdict, Verdict::Missed);
        assert_eq!(
            against_c.worst().map(|worst| (worst.place.as_str(), worst.value)),
            Some(("16Mi", 2.0))
        );
        assert_eq!(against_c.missing, ["64Ki", "1Mi"]);
        assert_eq!(target("compiled lion / bandwidth limit, 1 thread", 1.08).verdict, Verdict::Met);
        let against_torch = target("torch.compile lion / compiled, 1 thread", 1.0);
        assert_eq!((against_torch.verdict, against_torch.values[0].value), (Verdict::Met, 1.5));
        assert_eq!(
            target("torch.compile lion / compiled, 1 thread", 25.0).verdict,
            Verdict::NotMeasured
        );
        assert_eq!(target("compiled lion / C loop, 2 threads", 1.10).verdict, Verdict::NotMeasured);
        assert_eq!(
            target("a plan from a graph, the slowest of the zoo", 5.0).worst().unwrap().place,
            "nadam"
        );
    }
}
