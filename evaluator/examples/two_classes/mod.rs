//! Parts that the examples share: two classes of points that wind around each other in two spirals,
//! the programs that are to be compared, and the table of their losses.

use std::error::Error;

use symopt_evaluator::{Layout, Optimizer};

/// Points in all.
pub const POINTS: usize = 200;

/// Inputs, hidden numbers of both layers, output of the network.
pub const SIZES: [usize; 4] = [2, 32, 32, 1];

/// Steps of training, each on all points.
pub const STEPS: usize = 600;

/// Steps between two rows of the table.
pub const EVERY: usize = 60;

/// SplitMix64 (Steele et al. 2014): the same numbers in every framework.
pub struct Random(pub u64);

impl Random {
    /// In [-1, 1).
    pub fn signed(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 40) as f32 / (1 << 23) as f32) - 1.0
    }
}

/// The points, row after row, and the class of each: 1 or -1.
pub fn points() -> (Vec<f32>, Vec<f32>) {
    let mut random = Random(1);
    let (mut inputs, mut classes) = (Vec::new(), Vec::new());
    for point in 0..POINTS {
        let class = if point % 2 == 0 { 1.0 } else { -1.0 };
        let along = (point / 2) as f32 / (POINTS / 2) as f32;
        let (angle, radius) = (1.0 + 7.0 * along, 0.2 + 1.3 * along);
        inputs.extend(
            [class * radius * angle.cos(), class * radius * angle.sin()]
                .map(|x| x + 0.05 * random.signed()),
        );
        classes.push(class);
    }
    (inputs, classes)
}

/// The weights of a layer before training, row after row: `from` rows of `to` numbers.
pub fn initial_weights(layer: usize, from: usize, to: usize) -> Vec<f32> {
    let mut random = Random(100 + layer as u64);
    let scale = (3.0 / from as f32).sqrt();
    (0..from * to).map(|_| scale * random.signed()).collect()
}

/// A program and the learning rate that it trains at.
pub struct Contestant {
    /// Name of the program.
    pub name: String,
    /// The program with its hyperparameters; the layout comes from the model.
    pub program: Optimizer,
    /// The usual rate by the program's signature, times 10: the network is small.
    pub learning_rate: f64,
}

/// Lion, and the program of the file that is named on the command line; without a name, of the file
/// beside the examples.
pub fn contestants() -> Result<Vec<Contestant>, Box<dyn Error>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/soft-lion.opt");
    let path = std::env::args().nth(1).unwrap_or_else(|| beside.to_owned());
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut contestants = Vec::new();
    for (name, text) in [("lion", include_str!("../../../programs/zoo/lion.opt")), (&path, &text)] {
        let program = symopt_dsl::parse(text).map_err(|faults| format!("{name}:\n{faults}"))?;
        contestants.push(Contestant {
            name: program.signature().name.clone(),
            program: Optimizer::new(&program, &Layout::default())?,
            learning_rate: 10.0 * program.signature().peak_learning_rate(),
        });
    }
    Ok(contestants)
}

/// Prints the losses side by side: a column for each program, a row for each measurement.
pub fn print(curves: &[(String, Vec<f32>)]) {
    print!("{:>6}", "step");
    curves.iter().for_each(|(name, _)| print!("  {name:>12}"));
    println!();
    for row in 0..=STEPS / EVERY {
        print!("{:>6}", row * EVERY);
        curves.iter().for_each(|(_, curve)| print!("  {:>12.6}", curve[row]));
        println!();
    }
}
