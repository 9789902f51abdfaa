//! `symopt simplify`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use symopt_analysis::equivalence::RandomStreams;
use symopt_analysis::simplify::{Derivation, Label, Limits, Options, simplify};
use symopt_cancel::CancelToken;
use symopt_dsl::program::Signature;
use symopt_dsl::{Graph, Program};
use symopt_proxy_tasks::sample::Criterion;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_search::judge::form::with_parameters;
use symopt_search::judge::judge_of_directions;
use symopt_search::judge::purpose::Purpose;
use symopt_search::store::program_source::Found;
use symopt_studies::simplification::simplify_on_tasks;
use symopt_studies::trials::Trials;

use crate::failure::Failure;
use crate::progress::CountLine;
use crate::{files, interrupt, named_program, options, table, terminal, words};

#[derive(Args)]
pub struct Arguments {
    /// Zoo name, file, `-` or STORE:HASH
    program: String,
    /// Take only steps that are at least as strong as this
    #[arg(long, value_enum, default_value_t = Strength::Domain, value_name = "LABEL")]
    label: Strength,
    /// Also leave out what makes no difference on the tasks of a suite
    #[arg(long)]
    ablate: bool,
    /// With --ablate: the suite, a name or a TOML file
    #[arg(long, default_value = "quick", requires = "ablate")]
    suite: String,
    /// With --ablate: how many seeds to train with
    #[arg(long, default_value_t = 32, value_name = "N", requires = "ablate", value_parser = options::between::<2, 1000>, allow_negative_numbers = true)]
    seeds: u16,
    /// With --ablate: how much fitness may be lost, 0.02 for two percentage points
    #[arg(long, default_value_t = Criterion::default().tolerance, value_name = "SHARE", requires = "ablate", value_parser = options::share, allow_negative_numbers = true)]
    tolerance: f64,
    /// With --ablate: how sure that has to be, 0.95 for 95 percent
    #[arg(long, default_value_t = Criterion::default().confidence, value_name = "SHARE", requires = "ablate", value_parser = options::confidence, allow_negative_numbers = true)]
    confidence: f64,
    /// Terms that a search for identities holds at most: with more it finds more, and takes longer
    #[arg(long, default_value_t = Limits::default().nodes, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    nodes: usize,
    /// Rounds of all rules in a search for identities at most
    #[arg(long, default_value_t = Limits::default().rounds, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    rounds: usize,
    /// Write the derivation into FILE: to be read for .md, for programs for .json
    #[arg(long, value_name = "FILE")]
    derivation: Option<PathBuf>,
    /// Write a page for a browser into FILE: each step with what it changes and why it is right
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the simplified program into FILE
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Labels of steps, the strongest first.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Strength {
    /// Equal bit for bit
    Exact,
    /// Equal over the real numbers
    Real,
    /// Equal where the stated conditions hold, and as closely as they say
    Domain,
}

/// Output of `--json` and content of a .json file.
#[derive(Serialize)]
struct Json<'a> {
    statements_before: usize,
    statements_after: usize,
    label: Label,
    hash: String,
    result: String,
    /// Whole program, for a direction that was simplified on tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    whole: Option<String>,
    derivation: &'a Derivation,
}

impl<'a> Json<'a> {
    fn of(derivation: &'a Derivation, whole: Option<&Program>) -> Json<'a> {
        let result = derivation.result();
        Json {
            statements_before: derivation.original.statements.len(),
            statements_after: result.statements.len(),
            label: derivation.label(),
            hash: Graph::new(result)
                .map_or_else(|_| String::new(), |graph| graph.hash().to_string()),
            result: result.to_string(),
            whole: whole.map(Program::to_string),
            derivation,
        }
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    // Output paths are checked before any work begins.
    let as_json = arguments.derivation.as_deref().map(is_json).transpose()?;
    arguments
        .derivation
        .iter()
        .chain(&arguments.output)
        .chain(&arguments.html)
        .try_for_each(|path| files::check_writable(path))?;
    let found = named_program::found(&arguments.program)?;
    let derivation = derive(&arguments, &found)?;
    // The direction itself is simplified on tasks.
    let whole = match found.direction {
        Some(direction) if arguments.ablate => Some(
            Found { program: with_parameters(derivation.result()), direction: Some(direction) }
                .with_constants(&interrupt::token()?)?,
        ),
        _ => None,
    };
    if let (Some(path), Some(as_json)) = (&arguments.derivation, as_json) {
        let text = if as_json {
            serde_json::to_string_pretty(&Json::of(&derivation, whole.as_ref()))? + "\n"
        } else {
            markdown(&derivation, whole.as_ref())
        };
        files::write(path, &text)?;
    }
    if let Some(path) = &arguments.html {
        let page = symopt_pages::program::derivation_page(&derivation, &words::of_page());
        files::write(path, &page.html())?;
    }
    if let Some(path) = &arguments.output {
        files::write(path, &documented(&derivation, whole.as_ref()).to_string())?;
    }
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &Json::of(&derivation, whole.as_ref()))?;
        out.write_all(b"\n")?;
    } else {
        table::print_markdown(&mut out, &markdown(&derivation, whole.as_ref()))?;
    }
    match derivation.rejected.len() {
        0 => Ok(()),
        count => Err(Failure::Work(format!(
            "{count} steps broke their own label and were not taken; please report this with the program"
        ))),
    }
}

/// The derivation to be read; of a direction with the whole program at the end.
fn markdown(derivation: &Derivation, whole: Option<&Program>) -> String {
    let whole = whole.map(|whole| {
        format!("\n## As a whole program\n\n```\n{}\n```\n", whole.to_string().trim_end())
    });
    derivation.markdown() + &whole.unwrap_or_default()
}

fn derive(arguments: &Arguments, found: &Found) -> Result<Derivation, Failure> {
    let label = match arguments.label {
        Strength::Exact => Label::Exact,
        Strength::Real => Label::Real,
        Strength::Domain => Label::Domain,
    };
    let limits = Limits { nodes: arguments.nodes, rounds: arguments.rounds, ..Limits::default() };
    let options = Options { label, limits, ..Options::default() };
    let mut streams = RandomStreams::default();
    if !arguments.ablate {
        return Ok(simplify(&found.with_constants(&CancelToken::new())?, &options, &mut streams));
    }
    let program = &found.program;
    let suite = Arc::new(SuiteSource::find(&arguments.suite)?.suite()?);
    let cancel = interrupt::token()?;
    let line = CountLine::new("trainings");
    let observe = |done: usize, total: usize| line.draw(done as u64, total as u64);
    let zoo_name = symopt_programs::find(&arguments.program).map(|entry| entry.name);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let criterion = Criterion { tolerance: arguments.tolerance, confidence: arguments.confidence };
    let seeds = usize::from(arguments.seeds);
    let judge = found.direction.as_ref();
    let judge = judge.map(|direction| {
        let tuning_seeds = direction.fitness.tuning_seeds;
        judge_of_directions(&suite, Purpose::Simplification, seeds, tuning_seeds, &cancel)
    });
    let judge = judge.transpose()?;
    let trials = match &judge {
        Some(judge) => {
            Trials::of_directions(&suite, judge, seeds, criterion, threads, &cancel, &observe)
        }
        None => {
            let seeds = Trials::seeds(seeds);
            Trials::new(&suite, zoo_name, &seeds, criterion, threads, &cancel, &observe)
        }
    };
    let derivation = trials
        .and_then(|mut trials| simplify_on_tasks(program, &options, &mut streams, &mut trials));
    line.finish();
    Ok(derivation?)
}

/// By the ending of the file's name: true for JSON, false for Markdown.
fn is_json(path: &Path) -> Result<bool, Failure> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("json") => Ok(true),
        Some("md") => Ok(false),
        _ => Err(Failure::Input(format!(
            "can't tell from `{}` how to write the derivation: the file's name must end with .md (to be read) or .json",
            path.display()
        ))),
    }
}

/// The simplified program with a doc string that says where it comes from.
fn documented(derivation: &Derivation, whole: Option<&Program>) -> Program {
    let result = whole.unwrap_or(derivation.result());
    let original = &derivation.original;
    let signature = result.signature();
    // An unchanged program keeps its own doc string.
    let doc = if derivation.steps.is_empty() {
        signature.doc.clone()
    } else {
        Some(format!(
            "{}, simplified from {} statements to {}: equal in the sense of the label `{}`.{}",
            original.signature().name,
            original.statements.len(),
            derivation.result().statements.len(),
            derivation.label(),
            if let Some(whole) = whole {
                let doc = whole.signature().doc.as_deref().unwrap_or_default();
                format!("\n\n{doc}")
            } else if signature.peak_learning_rate() == original.signature().peak_learning_rate() {
                String::new()
            } else {
                "\n\n`lr` is the learning rate now; the program that was simplified took the value of the schedule and held the peak itself."
                    .to_owned()
            }
        ))
    };
    result.with_signature(Signature { doc, ..signature.clone() })
}
