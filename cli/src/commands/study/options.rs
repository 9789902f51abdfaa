//! The options of studies.

use std::path::PathBuf;

use clap::Args;
use symopt_proxy_tasks::tuning::pattern_search::Protocol;
use symopt_studies::landscape;
use symopt_studies::study::runner::Plane;
use symopt_studies::study::{Study, batch_size, betas, lr_decay, memory_speed, scale};

use crate::options;

/// Options that all studies have.
#[derive(Args)]
pub struct Common {
    /// The suite: a name or a TOML file
    #[arg(long, value_name = "SUITE", default_value = "real-1x")]
    pub suite: String,
    /// A program: a zoo name, file, `-` or STORE:HASH; may be repeated. The first is what the study is
    /// about, and the others are held against AdamW, or else the last
    #[arg(long = "program", value_name = "PROGRAM", default_values = ["lion", "adamw"])]
    pub programs: Vec<String>,
    /// Threads that train; by default one for each core
    #[arg(long, value_name = "N", value_parser = options::between::<1, 1024>, allow_negative_numbers = true)]
    pub threads: Option<u16>,
    /// Directory for the finished runs and the results; by default runs/study-NAME
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How cells are tuned and reported.
#[derive(Args)]
pub struct Tuning {
    /// Seeds that the tuned programs are reported on, which no tuning sees
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    seeds: u16,
    /// Seeds that each setting is tuned on
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    tuning_seeds: u16,
    /// Training runs, at most, that each program is tuned with in each cell
    #[arg(long, value_name = "N", default_value_t = 160, value_parser = options::between::<1, 60000>, allow_negative_numbers = true)]
    budget: u16,
}

impl Tuning {
    fn settings(&self) -> landscape::Settings {
        landscape::Settings {
            tuning: Protocol {
                seeds: usize::from(self.tuning_seeds),
                budget: usize::from(self.budget),
                shares: false,
            },
            seeds: usize::from(self.seeds),
        }
    }
}

#[derive(Args)]
pub struct LrDecay {
    #[command(flatten)]
    pub common: Common,
    /// A peak learning rate; may be repeated [default: 1e-5 to 1, two to a decade]
    #[arg(long = "lr", value_name = "RATE", value_parser = options::factor, allow_negative_numbers = true)]
    rates: Vec<f64>,
    /// A weight decay; may be repeated [default: 0.01 to 10, two to a decade]
    #[arg(long = "decay", value_name = "DECAY", value_parser = options::share, allow_negative_numbers = true)]
    decays: Vec<f64>,
    /// Seeds that each pair is tried on
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    tuning_seeds: u16,
    /// Seeds that the best pairs are reported on, which no tuning sees
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    seeds: u16,
}

impl LrDecay {
    pub fn settings(&self) -> lr_decay::Settings {
        let default = lr_decay::Settings::default().plane;
        let chosen = |asked: &Vec<f64>, default: Vec<f64>| {
            if asked.is_empty() { default } else { asked.clone() }
        };
        lr_decay::Settings {
            plane: Plane {
                peak_lr: chosen(&self.rates, default.peak_lr),
                weight_decay: chosen(&self.decays, default.weight_decay),
                seeds: usize::from(self.tuning_seeds),
            },
            seeds: usize::from(self.seeds),
        }
    }
}

#[derive(Args)]
pub struct BatchSize {
    #[command(flatten)]
    pub common: Common,
    /// A batch; may be repeated [default: a quarter of each task's own to eight times that]
    #[arg(long = "batch", value_name = "N", value_parser = options::size, allow_negative_numbers = true)]
    batches: Vec<usize>,
    #[command(flatten)]
    tuning: Tuning,
}

impl BatchSize {
    pub fn settings(&self) -> batch_size::Settings {
        batch_size::Settings {
            batches: self.batches.clone(),
            tuning: self.tuning.settings(),
            ..batch_size::Settings::default()
        }
    }
}

#[derive(Args)]
pub struct Betas {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    tuning: Tuning,
}

impl Betas {
    pub fn settings(&self) -> betas::Settings {
        betas::Settings { tuning: self.tuning.settings() }
    }
}

#[derive(Args)]
pub struct Scale {
    #[command(flatten)]
    pub common: Common,
    /// A width as a multiple of each task's own; may be repeated [default: 0.5, 1, 2]
    #[arg(long = "width", value_name = "TIMES", value_parser = options::factor, allow_negative_numbers = true)]
    widths: Vec<f64>,
    /// A horizon as a multiple of each task's own; may be repeated [default: 0.5, 1, 2, 4]
    #[arg(long = "horizon", value_name = "TIMES", value_parser = options::factor, allow_negative_numbers = true)]
    horizons: Vec<f64>,
    #[command(flatten)]
    tuning: Tuning,
}

impl Scale {
    pub fn settings(&self) -> scale::Settings {
        let default = scale::Settings::default();
        let (widths, horizons) = match (self.widths.as_slice(), self.horizons.as_slice()) {
            ([], []) => (default.widths, default.horizons),
            (widths, horizons) => (widths.to_vec(), horizons.to_vec()),
        };
        scale::Settings { widths, horizons, tuning: self.tuning.settings() }
    }
}

#[derive(Args)]
pub struct MemorySpeed {
    #[command(flatten)]
    pub common: Common,
    /// How often each time is measured
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    repeats: u16,
}

impl MemorySpeed {
    pub fn settings(&self) -> memory_speed::Settings {
        memory_speed::Settings { repeats: usize::from(self.repeats) }
    }
}

#[derive(Args)]
pub struct Lion {
    /// The suite: a name or a TOML file
    #[arg(long, value_name = "SUITE", default_value = "real-1x")]
    pub suite: String,
    /// A smaller size: two tuning seeds, 48 runs of tuning and 8 reporting seeds in each cell
    #[arg(long)]
    small: bool,
    /// Threads that train; by default one for each core
    #[arg(long, value_name = "N", value_parser = options::between::<1, 1024>, allow_negative_numbers = true)]
    pub threads: Option<u16>,
    /// Directory for the finished runs and the results; by default runs/study-lion
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Lion {
    pub fn studies(&self) -> Vec<Study> {
        let mut studies = Study::all();
        if self.small {
            let tuning = landscape::Settings {
                tuning: Protocol { seeds: 2, budget: 48, shares: false },
                seeds: 8,
            };
            for study in &mut studies {
                match study {
                    Study::LrDecay(settings) => (settings.plane.seeds, settings.seeds) = (2, 8),
                    Study::BatchSize(settings) => settings.tuning = tuning,
                    Study::Betas(settings) => settings.tuning = tuning,
                    Study::Scale(settings) => settings.tuning = tuning,
                    Study::MemorySpeed(settings) => settings.repeats = 5,
                }
            }
        }
        studies.into()
    }
}
