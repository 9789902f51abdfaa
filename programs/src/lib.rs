//! The zoo: optimizer programs of the literature, Lion first, each in a `.opt` file that states its source and its equation.
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
//!
//! A program whose `lr` has a default takes the learning rate, and the default is its conventional peak. The programs of the published
//! search have a plain `lr`: it is the value of a schedule with peak 1, and the peak learning rate is a constant inside.
//!
//! ```
//! let lion = symopt_programs::lion();
//! assert_eq!(lion.signature().peak_learning_rate(), 1e-4);
//!
//! let entry = symopt_programs::find("adabelief").expect("it is in the zoo");
//! assert_eq!(entry.summary(), "AdaBelief: Adam that divides by how far gradients stray from their average.");
//!
//! assert!(symopt_programs::find("adabeleif").is_none());
//! assert_eq!(symopt_programs::nearest("adabeleif"), Some("adabelief"));
//! ```
//!
//! To add a program, put its `.opt` file into `zoo/`, add its name to the list in this file, and add its published equations to
//! `tests/equations.rs`, which fails as long as they are missing.

use std::sync::OnceLock;

use symopt_dsl::Program;

pub mod benchmark;

/// A program of the zoo.
#[derive(Debug)]
pub struct ZooEntry {
    /// Name on the command line: the function's name with hyphens.
    pub name: &'static str,
    /// The text of its `.opt` file.
    pub source: &'static str,
    program: OnceLock<Program>,
}

impl ZooEntry {
    const fn new(name: &'static str, source: &'static str) -> ZooEntry {
        ZooEntry { name, source, program: OnceLock::new() }
    }

    /// The program. The text is parsed once; a clone shares the head.
    pub fn program(&self) -> Program {
        let parse = || {
            // The texts are compiled in and a test parses each of them.
            symopt_dsl::parse(self.source).unwrap_or_else(|faults| panic!("the zoo program {} does not parse:\n{faults}", self.name))
        };
        self.program.get_or_init(parse).clone()
    }

    /// What it is, in one line: the first line of its doc string.
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

static ZOO: [ZooEntry; 22] = zoo![
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
];

/// All programs of the zoo, Lion first.
pub fn zoo() -> &'static [ZooEntry] {
    &ZOO
}

/// The program of this name. The name of its function (`adamw_paper`) does as well.
pub fn find(name: &str) -> Option<&'static ZooEntry> {
    ZOO.iter().find(|entry| entry.name.bytes().eq(name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte })))
}

/// The name in the zoo that comes closest to one that is not there; `None` if none is close enough to be what was meant.
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
    let (best, entry) = ZOO.iter().map(|entry| (similarity(entry), entry)).max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best >= CLOSE_ENOUGH).then_some(entry.name)
}

/// Lion, as its authors published it.
pub fn lion() -> Program {
    ZOO[0].program()
}

/// AdamW, with bias correction and epsilon.
pub fn adamw() -> Program {
    ZOO[1].program()
}
