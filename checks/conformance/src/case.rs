//! The inputs of the suite.

use serde::Serialize;
use symopt_dsl::Program;

/// Steps of a case.
pub const STEPS: usize = 50;

/// Steps of a case for programs that are made for their calls.
pub const BRIEF_STEPS: usize = 3;

/// The shapes of the parameter arrays: matrices taller and wider than long, a vector, a scalar, an
/// array of one, and three dimensions.
pub const SHAPES: &[&[usize]] = &[&[5, 3], &[7], &[], &[1], &[2, 3, 4]];

/// How a case sets the hyperparameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settings {
    /// As the program has them.
    Defaults,
    /// Each moved away from its default: what lies between a half and 1 doubles its distance from
    /// 1, 0 becomes 0.1, all else grows by a half.
    Moved,
}

/// Kind of gradients in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Gradients of many sizes, some zero.
    Plain,
    /// Denormals, zeros of both signs, the largest and the smallest numbers.
    Extreme,
    /// Infinities and NaN among ordinary numbers, each in an array of its own.
    NotFinite,
    /// Gradients that cancel a momentum almost or exactly.
    NearTies,
}

/// Weights, gradients and settings.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// Purpose of the case.
    pub about: &'static str,
    /// How it sets hyperparameters.
    pub settings: Settings,
    /// Shapes of the parameter arrays.
    pub shapes: &'static [&'static [usize]],
    /// For each parameter array its numbers.
    pub weights: Vec<Vec<f32>>,
    /// For each step and parameter array the gradients.
    pub gradients: Vec<Vec<Vec<f32>>>,
    /// Share of the peak learning rate at each step.
    pub schedule: Vec<f64>,
}

impl Case {
    fn new(
        name: &'static str,
        about: &'static str,
        seed: u64,
        settings: Settings,
        kind: Kind,
    ) -> Case {
        Case::of_shapes(SHAPES, STEPS, (name, about), seed, settings, kind)
    }

    fn of_shapes(
        shapes: &'static [&'static [usize]],
        steps: usize,
        (name, about): (&'static str, &'static str),
        seed: u64,
        settings: Settings,
        kind: Kind,
    ) -> Case {
        let places = |array: usize, element: usize| 31 * array as u64 + element as u64;
        let length = |array: usize| shapes[array].iter().product::<usize>();
        let weights = (0..shapes.len())
            .map(|array| (0..length(array)).map(|i| unit(seed, places(array, i))).collect())
            .collect();
        let mut gradients: Vec<Vec<Vec<f32>>> = Vec::with_capacity(steps);
        for step in 0..steps {
            let before = gradients.last();
            let of_array = |array: usize| {
                let of_element = |i: usize| {
                    let place = places(array, i);
                    let draw = unit(seed + 1, 1_000 * step as u64 + place);
                    gradient(kind, draw, step, array, place, before.map(|before| before[array][i]))
                };
                (0..length(array)).map(of_element).collect()
            };
            gradients.push((0..shapes.len()).map(of_array).collect());
        }
        // Up for five steps, then down along half a cosine; constant where settings move.
        let schedule = |step: usize| match settings {
            Settings::Moved => 1.0,
            Settings::Defaults if step < 5 => (step + 1) as f64 / 5.0,
            Settings::Defaults => {
                0.5 + 0.5 * (std::f64::consts::PI * (step - 5) as f64 / (STEPS - 5) as f64).cos()
            }
        };
        // Twelve binary digits after the point are enough, and the same on every machine.
        let schedule = (0..steps).map(|step| (schedule(step) * 4096.0).round() / 4096.0).collect();
        Case { name, about, settings, shapes, weights, gradients, schedule }
    }

    /// The hyperparameters of a program that the case sets.
    pub fn hyperparameters(&self, program: &Program) -> Vec<(String, f64)> {
        let moved = |value: f64| match value {
            0.0 => 0.1,
            value if value > 0.5 && value < 1.0 => 1.0 - 2.0 * (1.0 - value),
            value => 1.5 * value,
        };
        match self.settings {
            Settings::Defaults => Vec::new(),
            Settings::Moved => program
                .signature()
                .hyperparameters()
                .map(|(_, p)| (p.name.clone(), moved(p.default.unwrap_or_default())))
                .collect(),
        }
    }

    /// The learning rate of each step for a program that takes one.
    pub fn learning_rates(&self, program: &Program) -> Vec<f64> {
        let peak = program.signature().peak_learning_rate();
        self.schedule.iter().map(|share| peak * share).collect()
    }
}

/// The gradient at a place. `draw` is a number in [-1, 1); `before` the gradient of the step
/// before.
fn gradient(
    kind: Kind,
    draw: f32,
    step: usize,
    array: usize,
    place: u64,
    before: Option<f32>,
) -> f32 {
    let sized = draw * 0.25_f32.powi((place % 7) as i32);
    let is_zero = lowbias32(977 * step as u64 + place).is_multiple_of(13);
    match kind {
        _ if place.is_multiple_of(16) => 0.0,
        Kind::Plain if is_zero => 0.0,
        Kind::Plain => sized,
        Kind::Extreme => match (step as u64 + place) % 6 {
            0 => draw * 1e-40,
            1 => f32::MIN_POSITIVE * draw,
            2 => -0.0,
            3 => draw * 1e18,
            4 => draw * 1e-18,
            _ => sized,
        },
        Kind::NotFinite => match (array, step) {
            (0, 20) if place.is_multiple_of(4) => f32::INFINITY,
            (1, 10) if place % 3 == 1 => f32::NAN,
            (4, 30) if place % 5 == 2 => f32::NEG_INFINITY,
            _ => sized,
        },
        // With the momentum 0.01 g after the first step, Lion's blend 0.1 h + 0.9 * 0.01 g is zero
        // but for roundings where h = -0.09 g.
        Kind::NearTies => match before {
            Some(before) if step % 2 == 1 => -0.09 * before,
            _ if step.is_multiple_of(4) => sized,
            Some(before) => -before,
            None => sized,
        },
    }
}

/// The cases, in order.
pub fn cases() -> Vec<Case> {
    use Settings::{Defaults, Moved};
    vec![
        Case::new(
            "plain",
            "gradients of many sizes, some of them zero; a warm-up and a cosine",
            1,
            Defaults,
            Kind::Plain,
        ),
        Case::new(
            "settings",
            "every hyperparameter away from its default; a constant learning rate",
            3,
            Moved,
            Kind::Plain,
        ),
        Case::new(
            "extremes",
            "denormal numbers, zeros of both signs, the very large and the very small",
            5,
            Defaults,
            Kind::Extreme,
        ),
        Case::new(
            "not-finite",
            "infinities and NaN in some places from some step on",
            7,
            Defaults,
            Kind::NotFinite,
        ),
        Case::new(
            "near-ties",
            "gradients that cancel the momentum but for roundings",
            9,
            Defaults,
            Kind::NearTies,
        ),
    ]
}

/// Few steps on arrays of some shapes: for programs that are made for their calls.
pub fn brief(shapes: &'static [&'static [usize]]) -> Vec<Case> {
    use Settings::{Defaults, Moved};
    let case = |name, about, seed, settings| {
        Case::of_shapes(shapes, BRIEF_STEPS, (name, about), seed, settings, Kind::Plain)
    };
    vec![
        case("plain", "gradients of many sizes, some of them zero", 1, Defaults),
        case("settings", "every hyperparameter away from its default", 3, Moved),
    ]
}

/// One step on arrays of some shapes: for programs that roundings lead apart later.
pub fn first(shapes: &'static [&'static [usize]]) -> Case {
    Case::of_shapes(shapes, 1, ("first", "one step"), 13, Settings::Moved, Kind::Plain)
}

/// Few steps on arrays of some shapes.
pub fn brief_case(
    shapes: &'static [&'static [usize]],
    (name, about): (&'static str, &'static str),
) -> Case {
    Case::of_shapes(shapes, BRIEF_STEPS, (name, about), 11, Settings::Defaults, Kind::Plain)
}

/// One step from weights of 1 on gradients whose norms and cosines are known: the norm is 5.94,
/// that of each array 5.48 and 2.29.
pub fn known() -> Case {
    Case {
        name: "known",
        about: "one step from weights of 1 on the gradients [[1, -2], [3, 4]] and [0.5, -1, 2]",
        settings: Settings::Moved,
        shapes: &[&[2, 2], &[3]],
        weights: vec![vec![1.0; 4], vec![1.0; 3]],
        gradients: vec![vec![vec![1.0, -2.0, 3.0, 4.0], vec![0.5, -1.0, 2.0]]],
        schedule: vec![1.0],
    }
}

/// The integer hash lowbias32.
fn lowbias32(x: u64) -> u32 {
    let mut x = x as u32;
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846ca68b);
    x ^ (x >> 16)
}

/// A number in [-1, 1) for a seed and a place.
fn unit(seed: u64, place: u64) -> f32 {
    (lowbias32(seed * 0x9e37_79b9 + place) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// The bit patterns of numbers in hexadecimal digits, one after another.
pub fn hexadecimal(numbers: &[f32]) -> String {
    numbers.iter().map(|number| format!("{:08x}", number.to_bits())).collect()
}

/// `inputs.json`: what does not depend on the program.
#[derive(Serialize)]
pub struct Inputs {
    /// Goes up when the files change their form.
    format: u32,
    /// Shapes of the parameter arrays, in all cases that have none of their own.
    shapes: Vec<Vec<usize>>,
    cases: Vec<CaseInputs>,
}

#[derive(Serialize)]
struct CaseInputs {
    name: String,
    about: String,
    /// Shapes of the parameter arrays, where they are others than those of the first case.
    #[serde(skip_serializing_if = "Option::is_none")]
    shapes: Option<Vec<Vec<usize>>>,
    /// For each array its numbers in f32.
    weights: Vec<String>,
    /// For each step and array the gradients in f32.
    gradients: Vec<Vec<String>>,
}

impl Inputs {
    /// The inputs of cases.
    pub fn new(cases: &[Case]) -> Inputs {
        let arrays = |arrays: &Vec<Vec<f32>>| {
            arrays.iter().map(|array| hexadecimal(array)).collect::<Vec<String>>()
        };
        let shapes = cases.first().map_or(SHAPES, |case| case.shapes);
        let owned = |shapes: &[&[usize]]| {
            shapes.iter().map(|shape| shape.to_vec()).collect::<Vec<Vec<usize>>>()
        };
        let case = |case: &Case| CaseInputs {
            name: case.name.to_owned(),
            about: case.about.to_owned(),
            shapes: (case.shapes != shapes).then(|| owned(case.shapes)),
            weights: arrays(&case.weights),
            gradients: case.gradients.iter().map(arrays).collect(),
        };
        Inputs { format: 1, shapes: owned(shapes), cases: cases.iter().map(case).collect() }
    }
}
