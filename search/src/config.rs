//! All settings of a search. `default.toml`, which `symopt search --print-config` writes, says what
//! each means.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use symopt_dsl::Numerics;

use crate::space::{Space, SpaceError};

/// The last remainder by 2^20 of the seed of a search whose problem seeds change. Seeds that follow
/// from larger remainders are for reports, funnels and the rediscovery, which judge on seeds that
/// no search has.
pub const LAST_SEED: u64 = 0xf_feff;

/// The program that a search starts from if nobody says which.
const DEFAULT_INITIAL: &str = "adamw-paper";

/// The commented default settings, as TOML.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// The settings of the preset [`Preset::Real`], as TOML.
pub const REAL_TOML: &str = include_str!("real.toml");

/// Settings to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Small real tasks and directions: what serves whoever wants an optimizer that is better
    /// elsewhere too.
    Real,
    /// The published search: whole programs on the suite `quick`. It is what a file leaves out.
    Paper,
}

impl Preset {
    /// The settings, as a TOML text that leaves out what [`DEFAULT_TOML`] says.
    pub fn text(self) -> &'static str {
        match self {
            Preset::Real => REAL_TOML,
            Preset::Paper => DEFAULT_TOML,
        }
    }

    /// The settings.
    pub fn config(self) -> Result<SearchConfig, ConfigError> {
        SearchConfig::from_toml(self.text())
    }
}

/// All settings of a search that decide what it finds; `default.toml` has them with their defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// Every random choice follows from this number.
    pub seed: u64,
    /// The suite that gives a program its fitness: the name of a built-in one, or a path.
    pub suite: String,
    /// The programs that the search starts from.
    pub initial: Initial,
    /// The numerics that programs are bred in.
    pub numerics: NumericsSetting,
    /// The fitness.
    pub fitness: FitnessConfig,
    /// The evolution.
    pub evolution: EvolutionConfig,
    /// The mutations.
    pub mutation: MutationConfig,
    /// The early stopping of hopeless evaluations.
    pub hurdle: HurdleConfig,
    /// The fitness cache.
    pub cache: CacheConfig,
    /// When the search ends.
    pub limits: Limits,
    /// The searches of a campaign.
    pub restarts: RestartConfig,
}

/// The name that stands for all programs of the zoo among those that a search starts from.
pub const ZOO: &str = "zoo";

/// The programs that a search starts from, by name: zoo names, paths, or [`ZOO`]. A text in a file,
/// or a list of texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Names", into = "Names")]
pub struct Initial(Vec<String>);

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the name of a program, or a list of names")]
enum Names {
    One(String),
    Several(Vec<String>),
}

impl Initial {
    /// The names, in order.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl From<Names> for Initial {
    fn from(names: Names) -> Initial {
        match names {
            Names::One(name) => Initial(vec![name]),
            Names::Several(names) => Initial(names),
        }
    }
}

impl From<Initial> for Names {
    fn from(Initial(mut names): Initial) -> Names {
        match names.pop() {
            // As releases wrote it that knew one only.
            Some(name) if names.is_empty() => Names::One(name),
            last => {
                names.extend(last);
                Names::Several(names)
            }
        }
    }
}

impl From<Vec<String>> for Initial {
    fn from(names: Vec<String>) -> Initial {
        Initial(names)
    }
}

impl From<String> for Initial {
    fn from(name: String) -> Initial {
        Initial(vec![name])
    }
}

impl From<&str> for Initial {
    fn from(name: &str) -> Initial {
        Initial(vec![name.to_owned()])
    }
}

impl fmt::Display for Initial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// The numerics that a search breeds in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumericsSetting {
    /// The published search's protected functions.
    Guarded,
    /// IEEE 754.
    Ieee,
}

impl From<NumericsSetting> for Numerics {
    fn from(setting: NumericsSetting) -> Numerics {
        match setting {
            NumericsSetting::Guarded => Numerics::Guarded,
            NumericsSetting::Ieee => Numerics::Ieee,
        }
    }
}

/// Settings of the fitness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitnessConfig {
    /// Form of the programs.
    pub form: Form,
    /// Seeds that judge a direction.
    pub seeds: usize,
    /// Other seeds, which a direction is tuned on.
    pub tuning_seeds: usize,
    /// Children after which the seeds change; 0 is never.
    pub rotate: u64,
    /// Programs that are judged again when the seeds change.
    pub elite: usize,
    /// Standard errors that selection takes off the fitness.
    pub penalty: f64,
    /// Conditions that a direction must meet before it is trained.
    pub screens: Vec<Screen>,
}

/// Form of a search's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The whole update, as in the paper: the learning rate and the weight decay are constants
    /// inside the program.
    Program,
    /// A direction. The training loop applies `w -= lr * (direction + weight_decay * w)`, with the
    /// peak learning rate and the decay that suit the direction best.
    Direction,
}

/// A screen: what a direction must do on recorded gradients before it is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Screen {
    /// Gradients of the other sign give the direction of the other sign.
    Odd,
    /// Gradients thirty times as large give the same direction, of the same size: the scale of the
    /// loss makes no difference.
    Invariant,
    /// On a long stream its size settles.
    Steady,
}

/// Settings of regularized evolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvolutionConfig {
    /// Where children come from.
    pub strategy: Strategy,
    /// Programs in the population, over all islands.
    pub population: usize,
    /// Programs that are drawn for each child, of which the fittest is the parent.
    pub tournament: usize,
    /// Children that are pending at most: child i is bred when the results up to i - lag are in.
    pub lag: usize,
    /// Islands that the population is divided into.
    pub islands: usize,
    /// The probability of a parent from any island, from 0 to 1.
    pub migration: f64,
    /// Difference of fitness below which the shorter program wins a tournament.
    pub parsimony: f64,
    /// Largest share of the population that one key may have, above 0 and up to 1.
    pub copies: f64,
}

/// Where children come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Regularized evolution: a mutation of the fittest of a few.
    Regularized,
    /// Random search, for comparison: every child is a random program, whatever came before.
    Random,
}

/// Settings of the mutations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MutationConfig {
    /// Functions and profiles that mutations draw from; see [`space`](crate::space).
    pub functions: Vec<String>,
    /// Whether only constants change.
    pub constants_only: bool,
    /// Weight of the insertion of a statement.
    pub insert: f64,
    /// Weight of the deletion of a statement.
    pub delete: f64,
    /// Weight of the change of an argument.
    pub modify: f64,
    /// The probability that a new argument is a constant.
    pub constant: f64,
    /// The probability that a changed constant is multiplied, and not replaced.
    pub scale: f64,
    /// The probability that an inserted statement assigns a new variable.
    pub new_variable: f64,
    /// Statements from which on nothing is inserted.
    pub max_statements: usize,
    /// Parameters that no new argument is.
    pub hidden: Vec<String>,
    /// Values that new weights of `interp` are drawn from; any argument if it is empty.
    pub interp_weights: Vec<f64>,
    /// The probability that a child has a block of statements of a second parent.
    #[serde(skip_serializing_if = "is_zero")]
    pub crossover: f64,
    /// The probability that a command is asked for a child.
    #[serde(skip_serializing_if = "is_zero")]
    pub proposals: f64,
    /// Seconds that the command may take for an answer.
    #[serde(skip_serializing_if = "is_proposal_seconds")]
    pub proposal_seconds: f64,
    /// Whether the shares of the operators follow what they bring.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bandit: bool,
}

/// Seconds that a command may take for a proposal, if nobody says how many.
const PROPOSAL_SECONDS: f64 = 60.0;

fn is_proposal_seconds(value: &f64) -> bool {
    *value == PROPOSAL_SECONDS
}

/// Returns whether a setting is off: then it is not written, so that releases that do not know it
/// can read the settings.
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// Settings of the early stopping of hopeless evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HurdleConfig {
    /// The quantile of the population at a checkpoint that an evaluation is held against; 0 stops
    /// none.
    pub quantile: f64,
    /// How far below that an evaluation is hopeless, as a fitness.
    pub margin: f64,
    /// Children after which the quantiles are taken anew.
    pub every: u64,
}

/// Settings of the fitness cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Key by which two programs count as one.
    pub key: CacheKey,
}

/// Key by which two programs count as one in the fitness cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheKey {
    /// The functional hash.
    Functional,
    /// The functional hash of the program simplified by exact identities.
    Exact,
    /// The same with identities over the reals.
    Real,
    /// The same with identities that hold on a domain.
    Domain,
    /// The effect of a direction on recorded gradients.
    Probe,
}

/// When a search ends. Zero is no limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Programs generated.
    pub programs: u64,
    /// Programs evaluated.
    pub evaluations: u64,
    /// Seconds since the search, or its resumption, began.
    pub seconds: u64,
    /// Programs generated since the best one was found.
    pub plateau: u64,
    /// A fitness that is enough.
    pub target_fitness: TargetFitness,
    /// A program whose rediscovery is enough: a zoo name or a path; empty is none.
    pub target_program: String,
}

/// Settings of a campaign of several searches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestartConfig {
    /// Searches from the initial program.
    pub repeats: usize,
    /// Further searches, each from the best program so far.
    pub restarts: usize,
    /// Suites of the searches after that.
    pub then: Vec<String>,
}

impl Limits {
    /// The moment when the time is over that begins now; `None` without a limit.
    pub fn end(&self) -> Option<Instant> {
        if self.seconds == 0 {
            None
        } else {
            Instant::now().checked_add(Duration::from_secs(self.seconds))
        }
    }
}

impl RestartConfig {
    /// Whether there is just one search.
    pub fn is_plain(&self) -> bool {
        *self == RestartConfig::default()
    }
}

/// A fitness that ends a search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a share, such as 0.02, or \"none\"")]
pub enum TargetFitness {
    /// Relative improvement over tuned AdamW.
    Improvement(f64),
    /// No such limit.
    None(NoTarget),
}

/// The word for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoTarget {
    /// `"none"`
    None,
}

/// In place of the names of Rust's types.
const WHOLE: &str = "expected a whole number of 0 or more";

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The functions that mutations draw.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The text is no TOML, or has an unknown name or a value of the wrong kind.
    #[error("{}", .0.to_string().replace("expected u64", WHOLE).replace("expected usize", WHOLE))]
    Toml(#[from] toml::de::Error),
    /// A value is out of range.
    #[error("{name} = {value} is out of range; expected {expected}")]
    Range {
        /// Name of the setting, with its table.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Accepted values, in words.
        expected: &'static str,
    },
    /// A setting that is for directions only.
    #[error("{name} is only for directions; set fitness.form = \"direction\", or leave it out")]
    OnlyForDirections {
        /// Name of the setting, with its table.
        name: &'static str,
    },
    /// There is nothing to start from.
    #[error("initial = [] names no program to start from; leave it out for {DEFAULT_INITIAL}")]
    NoInitial,
    /// A setting that another one leaves without effect.
    #[error(
        "{name} does nothing with {other}, which makes children in another way; leave one of them out"
    )]
    Idle {
        /// Name of the setting, with its table.
        name: &'static str,
        /// The other one, with its value.
        other: &'static str,
    },
    /// Two settings that do not go together.
    #[error(
        "evolution.strategy = \"random\" and mutation.constants_only = true do not go together: random programs are not mutated; leave one of \
         them out"
    )]
    RandomConstants,
}

impl SearchConfig {
    /// The settings of a TOML text over the defaults.
    pub fn from_toml(text: &str) -> Result<SearchConfig, ConfigError> {
        let config: SearchConfig = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Checks the ranges.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Self { fitness, evolution, mutation, hurdle, .. } = self;
        let check = |name, value: f64, good: bool, expected| {
            if good { Ok(()) } else { Err(ConfigError::Range { name, value, expected }) }
        };
        let whole = |name, value: usize, least: usize, most: usize, expected| {
            check(name, value as f64, (least..=most).contains(&value), expected)
        };
        Space::parse(&mutation.functions)?;
        if self.initial.names().is_empty() {
            return Err(ConfigError::NoInitial);
        }
        whole(
            "evolution.population",
            evolution.population,
            1,
            1_000_000,
            "a whole number from 1 to 1000000",
        )?;
        whole(
            "evolution.tournament",
            evolution.tournament,
            1,
            1_000_000,
            "a whole number from 1 to 1000000",
        )?;
        whole("evolution.lag", evolution.lag, 1, 100_000, "a whole number from 1 to 100000")?;
        whole(
            "evolution.islands",
            evolution.islands,
            1,
            evolution.population,
            "a whole number from 1 to the population",
        )?;
        check(
            "evolution.migration",
            evolution.migration,
            (0.0..=1.0).contains(&evolution.migration),
            "a probability from 0 to 1",
        )?;
        let parsimony = evolution.parsimony;
        check(
            "evolution.parsimony",
            parsimony,
            parsimony.is_finite() && parsimony >= 0.0,
            "a share of 0 or more, such as 0.002",
        )?;
        check(
            "evolution.copies",
            evolution.copies,
            evolution.copies > 0.0 && evolution.copies <= 1.0,
            "a share above 0, up to 1 (off)",
        )?;
        whole("fitness.seeds", fitness.seeds, 1, 1_000, "a whole number from 1 to 1000")?;
        whole(
            "fitness.tuning_seeds",
            fitness.tuning_seeds,
            1,
            1_000,
            "a whole number from 1 to 1000",
        )?;
        whole("fitness.elite", fitness.elite, 0, 1_000, "a whole number from 0 to 1000")?;
        let penalty = fitness.penalty;
        check(
            "fitness.penalty",
            penalty,
            penalty.is_finite() && penalty >= 0.0,
            "0 or more standard errors",
        )?;
        if let Some(weight) = mutation.interp_weights.iter().find(|weight| !weight.is_finite()) {
            check("mutation.interp_weights", *weight, false, "finite numbers")?;
        }
        if fitness.form == Form::Program {
            let of_directions = [
                ("fitness.screens", !fitness.screens.is_empty()),
                ("cache.key = \"probe\"", self.cache.key == CacheKey::Probe),
            ];
            if let Some((name, _)) = of_directions.into_iter().find(|(_, set)| *set) {
                return Err(ConfigError::OnlyForDirections { name });
            }
        }
        if fitness.form == Form::Direction || fitness.rotate > 0 {
            let expected = "a seed with a remainder by 2^20 of up to 1048319: the problem seeds that follow from the others are those of reports";
            check("seed", self.seed as f64, self.seed & 0xf_ffff <= LAST_SEED, expected)?;
        }
        whole(
            "mutation.max_statements",
            mutation.max_statements,
            1,
            5_000,
            "a whole number from 1 to 5000",
        )?;
        for (name, value) in [
            ("mutation.insert", mutation.insert),
            ("mutation.delete", mutation.delete),
            ("mutation.modify", mutation.modify),
        ] {
            check(name, value, value.is_finite() && value >= 0.0, "a weight of 0 or more")?;
        }
        let sum = mutation.insert + mutation.delete + mutation.modify;
        check(
            "mutation.insert + mutation.delete + mutation.modify",
            sum,
            sum > 0.0,
            "at least one weight above 0",
        )?;
        let probabilities = [
            ("mutation.constant", mutation.constant),
            ("mutation.scale", mutation.scale),
            ("mutation.new_variable", mutation.new_variable),
            ("mutation.crossover", mutation.crossover),
            ("mutation.proposals", mutation.proposals),
        ];
        for (name, value) in probabilities {
            check(name, value, (0.0..=1.0).contains(&value), "a probability from 0 to 1")?;
        }
        let sum = mutation.crossover + mutation.proposals;
        check("mutation.crossover + mutation.proposals", sum, sum <= 1.0, "up to 1")?;
        let seconds = mutation.proposal_seconds;
        check(
            "mutation.proposal_seconds",
            seconds,
            seconds > 0.0 && seconds <= 86_400.0,
            "seconds above 0, up to 86400",
        )?;
        check(
            "hurdle.quantile",
            hurdle.quantile,
            (0.0..1.0).contains(&hurdle.quantile),
            "from 0 (off) to below 1",
        )?;
        check(
            "hurdle.margin",
            hurdle.margin,
            hurdle.margin.is_finite() && hurdle.margin >= 0.0,
            "a share of 0 or more, such as 0.05",
        )?;
        check("hurdle.every", hurdle.every as f64, hurdle.every >= 1, "1 or more children")?;
        whole(
            "restarts.repeats",
            self.restarts.repeats,
            1,
            1_000,
            "a whole number from 1 to 1000",
        )?;
        whole(
            "restarts.restarts",
            self.restarts.restarts,
            0,
            1_000,
            "a whole number from 0 to 1000",
        )?;
        if evolution.strategy == Strategy::Random && mutation.constants_only {
            return Err(ConfigError::RandomConstants);
        }
        let beside = [
            ("evolution.strategy = \"random\"", evolution.strategy == Strategy::Random),
            ("mutation.constants_only = true", mutation.constants_only),
        ];
        let operators = [
            ("mutation.crossover", mutation.crossover > 0.0),
            ("mutation.proposals", mutation.proposals > 0.0),
            ("mutation.bandit", mutation.bandit),
        ];
        for (name, _) in operators.into_iter().filter(|(_, is_on)| *is_on) {
            if let Some((other, _)) = beside.into_iter().find(|(_, is_on)| *is_on) {
                return Err(ConfigError::Idle { name, other });
            }
        }
        if let TargetFitness::Improvement(value) = self.limits.target_fitness {
            check(
                "limits.target_fitness",
                value,
                value.is_finite(),
                "a finite share, such as 0.02",
            )?;
        }
        Ok(())
    }
}

impl Default for SearchConfig {
    fn default() -> SearchConfig {
        SearchConfig {
            seed: 0,
            suite: "quick".to_owned(),
            initial: DEFAULT_INITIAL.into(),
            numerics: NumericsSetting::Guarded,
            fitness: FitnessConfig::default(),
            evolution: EvolutionConfig::default(),
            mutation: MutationConfig::default(),
            hurdle: HurdleConfig::default(),
            cache: CacheConfig::default(),
            limits: Limits::default(),
            restarts: RestartConfig::default(),
        }
    }
}

impl Default for FitnessConfig {
    fn default() -> FitnessConfig {
        FitnessConfig {
            form: Form::Program,
            seeds: 8,
            tuning_seeds: 4,
            rotate: 0,
            elite: 32,
            penalty: 0.0,
            screens: Vec::new(),
        }
    }
}

impl Default for EvolutionConfig {
    fn default() -> EvolutionConfig {
        EvolutionConfig {
            strategy: Strategy::Regularized,
            population: 1000,
            tournament: 2,
            lag: 256,
            islands: 1,
            migration: 0.01,
            parsimony: 0.0,
            copies: 1.0,
        }
    }
}

impl Default for MutationConfig {
    fn default() -> MutationConfig {
        MutationConfig {
            functions: vec!["paper".to_owned()],
            constants_only: false,
            insert: 1.0,
            delete: 1.0,
            modify: 1.0,
            constant: 0.5,
            scale: 0.5,
            new_variable: 0.5,
            max_statements: 100,
            hidden: Vec::new(),
            interp_weights: Vec::new(),
            crossover: 0.0,
            proposals: 0.0,
            proposal_seconds: PROPOSAL_SECONDS,
            bandit: false,
        }
    }
}

impl Default for HurdleConfig {
    fn default() -> HurdleConfig {
        HurdleConfig { quantile: 0.1, margin: 0.3, every: 100 }
    }
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        CacheConfig { key: CacheKey::Functional }
    }
}

impl Default for RestartConfig {
    fn default() -> RestartConfig {
        RestartConfig { repeats: 1, restarts: 0, then: Vec::new() }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            programs: 450_000,
            evaluations: 0,
            seconds: 0,
            plateau: 0,
            target_fitness: TargetFitness::None(NoTarget::None),
            target_program: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_text_holds_the_default_settings_which_are_the_papers() {
        let config = SearchConfig::from_toml(DEFAULT_TOML).unwrap();
        assert_eq!(config, SearchConfig::default());
        assert_eq!((config.evolution.population, config.evolution.tournament), (1000, 2));
        assert_eq!(config.limits.target_fitness, TargetFitness::None(NoTarget::None));
    }

    #[test]
    fn a_file_changes_what_it_names_and_nothing_else() {
        let config = SearchConfig::from_toml("seed = 7\n[limits]\ntarget_fitness = 0.5\n").unwrap();
        let mut expected = SearchConfig { seed: 7, ..SearchConfig::default() };
        expected.limits.target_fitness = TargetFitness::Improvement(0.5);
        assert_eq!(config, expected);
    }

    #[test]
    fn initial_programs_are_one_name_or_a_list_and_one_is_written_as_before() {
        let initial = |text: &str| SearchConfig::from_toml(text).map(|config| config.initial);
        let one = initial("initial = \"lion\"\n").unwrap();
        assert_eq!(initial("initial = [\"lion\"]\n").unwrap(), one);
        assert_eq!(serde_json::to_string(&one).unwrap(), "\"lion\"");
        let several = initial("initial = [\"lion\", \"zoo\"]\n").unwrap();
        assert_eq!(several.names(), ["lion", "zoo"]);
        assert_eq!(serde_json::to_string(&several).unwrap(), r#"["lion","zoo"]"#);
        assert!(matches!(initial("initial = []\n"), Err(ConfigError::NoInitial)));
        let error = initial("initial = 5\n").unwrap_err().to_string();
        assert!(error.contains("the name of a program, or a list of names"), "{error}");
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_line() {
        let error = SearchConfig::from_toml("seed = 1\n[evolution]\npopulatoin = 5\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 3") && error.contains("populatoin"), "{error}");
    }
    #[test]
    fn values_out_of_range_are_refused_by_name() {
        let refused = [
            ("evolution.islands", "0"),
            ("evolution.islands", "1001"),
            ("evolution.migration", "1.1"),
            ("evolution.migration", "nan"),
            ("evolution.parsimony", "-0.001"),
            ("evolution.parsimony", "inf"),
            ("evolution.copies", "0.0"),
            ("evolution.copies", "1.5"),
            ("evolution.copies", "nan"),
            ("fitness.seeds", "0"),
            ("fitness.tuning_seeds", "1001"),
            ("fitness.elite", "1001"),
            ("fitness.penalty", "-1.0"),
            ("fitness.penalty", "nan"),
            ("mutation.interp_weights", "[0.5, inf]"),
        ];
        for (name, value) in refused {
            let error =
                SearchConfig::from_toml(&format!("{name} = {value}\n")).unwrap_err().to_string();
            assert!(error.starts_with(name), "{name} = {value}: {error}");
        }
        for kind in [
            "cache.key = \"probes\"",
            "fitness.form = \"both\"",
            "fitness.screens = [\"even\"]",
            "fitness.rotate = -1",
        ] {
            assert!(matches!(SearchConfig::from_toml(kind), Err(ConfigError::Toml(_))), "{kind}");
        }
        let good = "evolution.islands = 1000\nevolution.copies = 0.001\nfitness.elite = 0\nfitness.rotate = 1\nmutation.interp_weights = [-1.0]\n";
        SearchConfig::from_toml(good).unwrap();
    }

    #[test]
    fn seeds_that_lead_to_those_of_reports_are_refused_where_seeds_change() {
        for (seed, settings) in [
            (0xf_ffff, "fitness.form = \"direction\""),
            (0x70_0000 + 0xf_fff0, "fitness.rotate = 1000"),
        ] {
            let error = SearchConfig::from_toml(&format!("seed = {seed}\n{settings}\n"))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("seed"), "{error}");
            SearchConfig::from_toml(&format!("seed = {seed}\n")).unwrap();
            SearchConfig::from_toml(&format!("seed = {}\n{settings}\n", LAST_SEED)).unwrap();
        }
    }

    #[test]
    fn what_only_directions_have_is_refused_without_them() {
        for (name, value) in [("cache.key", "\"probe\""), ("fitness.screens", "[\"odd\"]")] {
            let error =
                SearchConfig::from_toml(&format!("{name} = {value}\n")).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("direction"), "{error}");
            SearchConfig::from_toml(&format!("{name} = {value}\nfitness.form = \"direction\"\n"))
                .unwrap();
        }
    }
}
