//! The zoo: optimizer programs of the literature, Lion first, each in a `.opt` file that states its
//! source and its equation.
//!
//! | name | what it is | slots |
//! |---|---|---|
//! | `lion` | the sign of a blend of gradient and momentum (Chen et al. 2023) | 1 |
//! | `adamw` | Adam with decoupled weight decay (Loshchilov and Hutter 2019) | 2 |
//! | `adamw-paper` | AdamW without bias correction and epsilon: where the published search starts | 2 |
//! | `lion-raw`, `lion-found` | Lion as the search returned it, and without redundant statements | 1 live of 2 |
//! | `published-regularized`, `published-adagrad-like`, `published-adabelief-like` | three other finds of the published searches | 2 |
//! | `sgd`, `momentum`, `nesterov`, `qhm` | gradient descent and its momentums | 0, 1, 1, 1 |
//! | `signsgd`, `signum`, `tiger` | the sign of the gradient or of its average | 0, 1, 1 |
//! | `addsign`, `powersign` | gradients weighted by their agreement with the average (Bello et al. 2017) | 1 |
//! | `rmsprop`, `adagrad` | the gradient over the root of its squares | 1 |
//! | `adam`, `nadam`, `adabelief` | momentum over the root of squares, with bias correction | 2 |
//! | `lion-smooth`, `lion-refined` | Lion with a softer sign (the modes of Optax's `scale_by_lion`) | 1 |
//! | `cautious-lion`, `cautious-adamw` | steps only where they agree with the gradient (Liang et al. 2024) | 1, 2 |
//! | `cautious-decay-lion`, `cautious-decay-adamw` | decay only where the step agrees with it (Chen et al. 2025) | 1, 2 |
//! | `mars-lion`, `grams`, `sophia-clip` | other steps of a known size | 2 |
//! | `lars`, `lamb`, `novograd` | a scale for each parameter array | 1, 2, 2 |
//! | `adamax`, `amsgrad`, `radam`, `adopt`, `laprop`, `yogi` | other means of squares | 2, 3, 2, 2, 2, 2 |
//! | `adan`, `ademamix` | Adam with more than one momentum | 4, 3 |
//! | `adadelta`, `rprop` | step sizes that find themselves | 2 |
//! | `schedule-free-sgd`, `schedule-free-adamw` | averages in place of a schedule (Defazio et al. 2024) | 1, 2 |
//! | `muon`, `adafactor` | matrices made orthogonal; squares known by their rows and columns (not compiled: run by the tile machine) | 1, 2 |
//!
//! A program whose `lr` has a default takes the learning rate, and the default is its conventional
//! peak. The programs of the published search have a plain `lr`: it is the value of a schedule with
//! peak 1, and the peak learning rate is a constant inside.
//!
//! ```
//! use symopt_evaluator::Layout;
//!
//! let lion = symopt_programs::lion();
//! assert_eq!(lion.program().signature().peak_learning_rate(), 1e-4);
//!
//! // Compiled: one fused loop over weights, gradients and momentum.
//! let mut optimizer = lion.optimizer(&Layout::flat(2));
//! let mut weights = [1.0, 1.0];
//! optimizer.step(&mut weights, &[0.5, -0.5], 0.25)?;
//! assert_eq!(weights, [0.75, 1.25]);
//!
//! let entry = symopt_programs::find("adabelief").expect("it is in the zoo");
//! assert_eq!(entry.summary(), "AdaBelief: Adam that divides by how far gradients stray from their average.");
//!
//! assert!(symopt_programs::find("adabeleif").is_none());
//! assert_eq!(symopt_programs::nearest("adabeleif"), Some("adabelief"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! To add a program, put its `.opt` file into `zoo/`, add its name to the list in this file, add
//! its published equations to `tests/equations.rs`, and an implementation that is not ours to
//! `tests/golden/reference_optimizers.py`: both tests fail as long as they are missing.

mod compiled;
pub mod source;

use std::sync::OnceLock;

use symopt_dsl::{Graph, Plan, Program};
use symopt_evaluator::engine::stretch::CompiledPass;
use symopt_evaluator::{Layout, Optimizer, OptimizerError, Options};

/// A program of the zoo.
#[derive(Debug)]
pub struct ZooEntry {
    /// Name on the command line: the function's name with hyphens.
    pub name: &'static str,
    /// The text of its `.opt` file.
    pub source: &'static str,
    parsed: OnceLock<Parsed>,
}

/// Results that are made of a program's text once.
#[derive(Debug)]
struct Parsed {
    program: Program,
    graph: Graph,
    /// `None` for a program with functions of matrices.
    compiled: Option<(Plan, &'static [CompiledPass])>,
}

impl ZooEntry {
    const fn new(name: &'static str, source: &'static str) -> ZooEntry {
        ZooEntry { name, source, parsed: OnceLock::new() }
    }

    fn parsed(&self) -> &Parsed {
        // The texts are compiled in, the build script makes the same plans of them, and a test
        // takes every entry.
        self.parsed.get_or_init(|| {
            let program = symopt_dsl::parse(self.source)
                .unwrap_or_else(|faults| panic!("zoo program {}:\n{faults}", self.name));
            let graph = Graph::new(&program)
                .unwrap_or_else(|errors| panic!("zoo program {}: {errors:?}", self.name));
            let passes = || {
                compiled::COMPILED
                    .iter()
                    .find(|(name, _)| *name == self.name)
                    .map(|(_, passes)| *passes)
            };
            let compiled = Plan::try_new(&graph, &program).ok().map(|plan| {
                (
                    plan,
                    passes().unwrap_or_else(|| panic!("zoo program {}: not compiled", self.name)),
                )
            });
            Parsed { program, graph, compiled }
        })
    }

    /// The program. The text is parsed once; a clone shares the head.
    pub fn program(&self) -> Program {
        self.parsed().program.clone()
    }

    /// The compiled program in use, with f32 state. A program with functions of matrices is run
    /// by the tile machine.
    pub fn optimizer(&self, layout: &Layout) -> Optimizer {
        self.optimizer_with(layout, Options::default())
    }

    /// The same with other options.
    pub fn optimizer_with(&self, layout: &Layout, options: Options) -> Optimizer {
        let Parsed { program, graph, compiled } = self.parsed();
        match compiled {
            Some((plan, passes)) => {
                Optimizer::from_compiled(graph, program, plan.clone(), passes, layout, options)
            }
            None => Optimizer::from_graph(graph, program, layout, options),
        }
    }

    /// Whether there is native code for it: not for a program with functions of matrices.
    pub fn is_compiled(&self) -> bool {
        self.parsed().compiled.is_some()
    }

    /// Returns its description in one line: the first line of its doc string.
    pub fn summary(&self) -> &'static str {
        let doc = self.source.split("\"\"\"").nth(1).unwrap_or_default();
        doc.trim_start().lines().next().unwrap_or_default().trim_end()
    }
}

macro_rules! zoo {
    ($($name:literal,)*) => {
        [$(ZooEntry::new($name, include_str!(concat!("../zoo/", $name, ".opt")))),*]
    };
}

static ZOO: [ZooEntry; 48] = zoo![
    "lion",
    "adamw",
    "adamw-paper",
    "lion-raw",
    "lion-found",
    "published-regularized",
    "published-adagrad-like",
    "published-adabelief-like",
    "sgd",
    "momentum",
    "nesterov",
    "qhm",
    "signsgd",
    "signum",
    "rmsprop",
    "adagrad",
    "adam",
    "nadam",
    "adabelief",
    "addsign",
    "powersign",
    "tiger",
    "lion-smooth",
    "lion-refined",
    "cautious-lion",
    "cautious-adamw",
    "cautious-decay-lion",
    "cautious-decay-adamw",
    "mars-lion",
    "grams",
    "sophia-clip",
    "lars",
    "lamb",
    "novograd",
    "adamax",
    "amsgrad",
    "radam",
    "adopt",
    "laprop",
    "yogi",
    "adan",
    "ademamix",
    "adadelta",
    "rprop",
    "schedule-free-sgd",
    "schedule-free-adamw",
    "muon",
    "adafactor",
];

/// All programs of the zoo, Lion first.
pub fn zoo() -> &'static [ZooEntry] {
    &ZOO
}

/// The program of this name. The name of its function (`adamw_paper`) does as well.
pub fn find(name: &str) -> Option<&'static ZooEntry> {
    ZOO.iter().find(|entry| {
        entry.name.bytes().eq(name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte }))
    })
}

/// The name in the zoo that comes closest to one that is not there; `None` if none is close enough
/// to be what was meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    /// Below this share of letters in place, two names have no more in common than any two.
    const CLOSE_ENOUGH: f64 = 0.6;
    /// Longer than any misspelling, so that a hostile name costs nothing.
    const LONGEST: usize = 100;

    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase().replace('_', "-");
    let similarity = |entry: &ZooEntry| strsim::normalized_damerau_levenshtein(&name, entry.name);
    let (best, entry) = ZOO
        .iter()
        .map(|entry| (similarity(entry), entry))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best >= CLOSE_ENOUGH).then_some(entry.name)
}

/// Any program in use: compiled if it computes what a program of the zoo does in the same way, by
/// the tile machine if not. The results have the same bits.
pub fn optimizer(
    program: &Program,
    layout: &Layout,
    options: Options,
) -> Result<Optimizer, OptimizerError> {
    let graph = Graph::new(program).map_err(|errors| OptimizerError::Type {
        program: program.signature().name.clone(),
        errors,
    })?;
    for known in ZOO.iter().map(ZooEntry::parsed).filter(|known| known.graph.hash() == graph.hash())
    {
        // Equal programs may still number their slots and hyperparameters otherwise.
        if let (Ok(plan), Some((known, passes))) = (Plan::try_new(&graph, program), &known.compiled)
            && plan == *known
        {
            return Ok(Optimizer::from_compiled(&graph, program, plan, passes, layout, options));
        }
    }
    Ok(Optimizer::from_graph(&graph, program, layout, options))
}

/// Lion, as its authors published it: the canonical compiled program.
pub fn lion() -> &'static ZooEntry {
    &ZOO[0]
}

/// AdamW, with bias correction and epsilon.
pub fn adamw() -> &'static ZooEntry {
    &ZOO[1]
}
