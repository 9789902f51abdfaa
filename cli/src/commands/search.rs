//! `symopt search`

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde::Serialize;
use symopt_analysis::equivalence::RandomStreams;
use symopt_analysis::simplify::{Label, Options, simplify};
use symopt_dsl::shell::{self, Command};
use symopt_dsl::{Graph, Program};
use symopt_proxy_tasks::constants::Tuned;
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::{BASELINE, BaselineOrigin, Suite, WeightedTask};
use symopt_proxy_tasks::task::RunCount;
use symopt_proxy_tasks::watch::Watch;
use symopt_search::config::{DEFAULT_TOML, Form, Limits, SearchConfig, Strategy, TargetFitness};
use symopt_search::engine::SearchResult;
use symopt_search::judge::{Settled, first_seeds};
use symopt_search::launch::{self, Launch, LaunchError};
use symopt_search::store::failures::Failures;
use symopt_search::store::program_source;
use symopt_search::store::statistics::Statistics;
use symopt_search::{Journal, StopReason};
use symopt_studies::comparison::{self, Row};
use symopt_studies::restarts::{self, Campaign};
use symopt_studies::trials::TrialError;

use crate::commands::{campaign, resume as resume_command};
use crate::external::{self, TaskCommand};
use crate::failure::Failure;
use crate::progress::{CountLine, ProgressLine, StageLine, clock};
use crate::{files, hint, interrupt, options, programs, progress, table, terminal};

#[derive(Args)]
pub struct Arguments {
    /// Settings from a TOML file; options given here go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the default settings, with comments, and end
    #[arg(long)]
    print_config: bool,
    /// Seed of every random choice
    #[arg(long, value_name = "N", value_parser = options::count, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Suite that gives programs their fitness: a name or a TOML file
    #[arg(long, conflicts_with = "task_command")]
    suite: Option<String>,
    /// Program to start from: a zoo name or a file
    #[arg(long, value_name = "PROGRAM")]
    initial: Option<String>,
    /// Where children come from: mutations of the fittest (regularized evolution), or nowhere (random programs, to compare with)
    #[arg(long, value_enum)]
    strategy: Option<StrategyArgument>,
    /// Tune nothing but the constants of the initial program, by evolution, to compare with
    #[arg(long)]
    constants_only: bool,
    /// Programs in the population
    #[arg(long, value_name = "N", value_parser = options::size, allow_negative_numbers = true)]
    population: Option<usize>,
    /// Programs drawn for each tournament
    #[arg(long, value_name = "N", value_parser = options::size, allow_negative_numbers = true)]
    tournament: Option<usize>,
    /// Directory to keep everything in; by default runs/NAME
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    store: Option<PathBuf>,
    /// Name of the store under runs/; by default the suite and the seed
    #[arg(long, value_parser = options::name)]
    name: Option<String>,
    #[command(flatten)]
    command: TaskCommand,
    /// Seeds that the command judges every program on [default: 3]
    #[arg(long, value_name = "N", requires = "task_command", value_parser = options::between::<1, 1000>, help_heading = "Task by a command")]
    task_seeds: Option<u16>,
    #[command(flatten)]
    restarts: RestartArguments,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    execution: Execution,
}

/// Several searches in one directory.
#[derive(Args)]
struct RestartArguments {
    /// So many searches from the initial program, each with the next seed
    #[arg(long, value_name = "N", value_parser = options::between::<1, 1000>, allow_negative_numbers = true)]
    repeats: Option<u16>,
    /// Then so many searches from the best program so far
    #[arg(long, value_name = "N", value_parser = options::between::<0, 1000>, allow_negative_numbers = true)]
    restarts: Option<u16>,
    /// Then a search on this suite from the best program so far; may be given several times
    #[arg(long, value_name = "SUITE")]
    then: Vec<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum StrategyArgument {
    Regularized,
    Random,
}

impl From<StrategyArgument> for Strategy {
    fn from(argument: StrategyArgument) -> Strategy {
        match argument {
            StrategyArgument::Regularized => Strategy::Regularized,
            StrategyArgument::Random => Strategy::Random,
        }
    }
}

/// Limits that end a search.
#[derive(Args)]
pub struct LimitArguments {
    /// End after this many programs generated; 0 is no limit
    #[arg(long, value_name = "N", value_parser = options::count, allow_negative_numbers = true)]
    programs: Option<u64>,
    /// End after this many programs evaluated; 0 is no limit
    #[arg(long, value_name = "N", value_parser = options::count, allow_negative_numbers = true)]
    evaluations: Option<u64>,
    /// End after this many seconds; 0 is no limit
    #[arg(long, value_name = "N", value_parser = options::count, allow_negative_numbers = true)]
    seconds: Option<u64>,
    /// End after this many programs without a better one; 0 is no limit
    #[arg(long, value_name = "N", value_parser = options::count, allow_negative_numbers = true)]
    plateau: Option<u64>,
    /// End at this fitness: 0.02 is two percent less validation loss than the suite's AdamW
    #[arg(long, value_name = "SHARE", value_parser = options::share, allow_negative_numbers = true)]
    target_fitness: Option<f64>,
    /// End when this program is found, by functional hash
    #[arg(long, value_name = "PROGRAM")]
    target_program: Option<String>,
}

impl LimitArguments {
    /// Sets the limits that were given.
    pub fn apply(self, limits: &mut Limits) {
        limits.programs = self.programs.unwrap_or(limits.programs);
        limits.evaluations = self.evaluations.unwrap_or(limits.evaluations);
        limits.seconds = self.seconds.unwrap_or(limits.seconds);
        limits.plateau = self.plateau.unwrap_or(limits.plateau);
        if let Some(target) = self.target_fitness {
            limits.target_fitness = TargetFitness::Improvement(target);
        }
        if let Some(target) = self.target_program {
            limits.target_program = target;
        }
    }
}

/// How a search is run; nothing here changes what it finds.
#[derive(Args)]
pub struct Execution {
    /// Threads that evaluate; by default one for each core
    #[arg(long, value_name = "N", value_parser = options::between::<1, 1024>, allow_negative_numbers = true, overrides_with = "threads")]
    threads: Option<u16>,
    /// Held-out seeds for the comparison at the end; 0 leaves it out [default: 16; 8 where a command of yours trains]
    #[arg(long, value_name = "N", value_parser = options::between::<0, 1000>, allow_negative_numbers = true, overrides_with = "held_out")]
    held_out: Option<u16>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Execution {
    /// How many threads evaluate.
    pub fn threads(&self) -> usize {
        self.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
    }

    /// A command with the options that were given.
    pub fn given(&self, command: Command) -> Command {
        let command = self.threads.iter().fold(command, |command, threads| command.option("--threads", threads));
        self.held_out.iter().fold(command, |command, seeds| command.option("--held-out", seeds))
    }

    /// Held-out seeds. Three programs on each of them are a lot for a command that takes minutes.
    pub fn held_out(&self, external: bool) -> u16 {
        self.held_out.unwrap_or(if external { 8 } else { 16 })
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.print_config {
        return Ok(terminal::output().write_all(DEFAULT_TOML.as_bytes())?);
    }
    let mut config = settings(&arguments)?;
    let interrupt = interrupt::flag()?;
    let Arguments { store, name, limits, execution, command, task_seeds, .. } = arguments;
    limits.apply(&mut config.limits);
    let task_seeds = usize::from(task_seeds.unwrap_or(TASK_SEEDS));
    if command.is_given() && !config.restarts.is_plain() {
        return Err(Failure::Input(
            "--task-command makes one search; for several of them put the command into a suite file, as an [[external]] table, and give that \
             with --suite"
                .to_owned(),
        ));
    }
    let is_campaign = !config.restarts.is_plain();
    let given = store.or_else(|| name.map(|name| Path::new("runs").join(name)));
    let usual = usual_stores(&config);
    // The same settings give the same search, so that what is there need not be done again.
    let is_same = |store: &PathBuf| holds(store, &config, &command, task_seeds).unwrap_or(false);
    let say = |note: &str| {
        if execution.json {
            progress::note(note);
            return Ok(());
        }
        table::paragraph(&mut terminal::output(), note)
    };
    let store = match given {
        Some(store) if is_same(&store) => {
            say(&format!("{} holds this search already, which goes on there; another --seed is another search", shell::quoted(&store)))?;
            return resume_command::go_on(&store, &execution, interrupt, |stored| *stored = config.limits);
        }
        Some(store) => {
            if let Some(other) = neighbours(&store, &usual).iter().find(|other| **other != store && is_same(other)) {
                say(&format!(
                    "{} holds this search already, which is done again in {}; `{}` goes on with what is there",
                    shell::quoted(other),
                    shell::quoted(&store),
                    Command::new("resume").operand(other)
                ))?;
            }
            store
        }
        None => {
            if let Some(store) = usual.taken.iter().find(|store| is_same(store)) {
                say(&format!(
                    "{} holds this search already, which goes on there; another --seed is another search, and --name or --store repeats this one",
                    shell::quoted(store)
                ))?;
                return resume_command::go_on(store, &execution, interrupt, |stored| *stored = config.limits);
            }
            usual.free
        }
    };
    if command.is_given() {
        let path = store.join(SUITE).display().to_string();
        config.suite.clone_from(&path);
        // What is wrong shows before anything is tuned.
        let initial = launch::initial(&config, &store, programs::color())?;
        let tuned = command.tuned(external::usual_runs(), execution.threads(), execution.json, interrupt)?;
        let Some(spec) = tuned else { return Err(Failure::Input("give --task-command COMMAND".to_owned())) };
        let source = SuiteSource::of_command(&path, &spec, task_seeds)?;
        // The suite is kept with the search, for all that comes after.
        let text = source.text.clone();
        let line = StageLine::new("AdamW is trained by the command, which fitness is measured against");
        let launch = Launch::of_parts(config, &initial, source, &store, programs::color());
        line.finish();
        let launch = launch?;
        files::write(Path::new(&path), &text)?;
        return execute(launch, &store, &execution, interrupt);
    }
    let asked = std::iter::once(&config.suite).chain(&config.restarts.then);
    command.check_tune(
        asked.map(|suite| SuiteSource::find(suite)?.untuned()).collect::<Result<Vec<_>, _>>()?.iter().any(|untuned| !untuned.is_empty()),
    )?;
    // Tasks by commands in a suite file: AdamW is tuned for them, and the suite kept with the search, with what was found.
    let mut kept: Vec<(PathBuf, String)> = Vec::new();
    let mut prepare = |source: SuiteSource| -> Result<SuiteSource, Failure> {
        let path = store.join(if kept.is_empty() { SUITE.to_owned() } else { format!("suite-{}.toml", kept.len() + 1) });
        let place = path.display().to_string();
        match command.tuned_suite(&source, &place, execution.threads(), execution.json, interrupt)? {
            None => Ok(source),
            Some(SuiteSource { text, .. }) => {
                kept.push((path, text.clone()));
                Ok(SuiteSource { name: place, text })
            }
        }
    };
    if is_campaign {
        let campaign = Campaign::create_with(config, &store, programs::color(), &mut prepare)?;
        write_all(&kept)?;
        return campaign::execute(campaign, &store, &execution, interrupt);
    }
    let source = SuiteSource::find(&config.suite)?;
    let initial = launch::initial(&config, &store, programs::color())?;
    let source = prepare(source)?;
    config.suite.clone_from(&source.name);
    let line = StageLine::new(format!("AdamW is trained on the suite {}, which fitness is measured against", config.suite));
    let launch = Launch::of_parts(config, &initial, source, &store, programs::color());
    line.finish();
    let launch = launch?;
    write_all(&kept)?;
    execute(launch, &store, &execution, interrupt)
}

fn write_all(files: &[(PathBuf, String)]) -> Result<(), Failure> {
    files.iter().try_for_each(|(path, text)| files::write(path, text))
}

/// Whether a store holds the search, or a directory the campaign, that is asked for.
fn holds(store: &Path, config: &SearchConfig, command: &TaskCommand, task_seeds: usize) -> Result<bool, Failure> {
    // Whoever does not want AdamW to be tuned has no use for a store where it is.
    let is_suite = |source: &SuiteSource, kept: &str| if command.is_untuned() { source.text == kept } else { source.is_kept_as(kept) };
    if !config.restarts.is_plain() {
        return Ok(Campaign::holds(store, config, &is_suite));
    }
    let path = store.join(SUITE);
    let source = match command.as_kept(&path) {
        Some(spec) => SuiteSource::of_command(&path.display().to_string(), &spec, task_seeds)?,
        None => SuiteSource::find(&config.suite)?,
    };
    // The standard input can be read once.
    let initial = if config.initial == "-" { return Ok(false) } else { program_source::find(&config.initial, false)? };
    let initial = if config.fitness.form == Form::Program { initial.with_constants() } else { initial.whole() };
    Ok(Launch::holds(store, config.clone(), &initial, |kept| is_suite(&source, kept)))
}

/// The suite of a search by a command, in its store.
const SUITE: &str = "suite.toml";
/// Seeds that a command judges programs on, if nobody says how many.
const TASK_SEEDS: u16 = 3;

fn settings(arguments: &Arguments) -> Result<SearchConfig, Failure> {
    let mut config = match &arguments.config {
        None => SearchConfig::default(),
        Some(path) => {
            let wrong = |e: &dyn Display| Failure::Input(format!("{}: {e}", path.display()));
            let hint = "`symopt search --print-config` writes a file to start from";
            let text = std::fs::read_to_string(path).map_err(|e| wrong(&format_args!("{e}; {hint}")))?;
            SearchConfig::from_toml(&text).map_err(|e| wrong(&e))?
        }
    };
    config.seed = arguments.seed.unwrap_or(config.seed);
    if let Some(suite) = &arguments.suite {
        config.suite.clone_from(suite);
    }
    if arguments.command.is_given() {
        config.suite = "external".to_owned();
    }
    if let Some(initial) = &arguments.initial {
        config.initial.clone_from(initial);
    }
    config.evolution.strategy = arguments.strategy.map_or(config.evolution.strategy, Strategy::from);
    config.mutation.constants_only |= arguments.constants_only;
    config.evolution.population = arguments.population.unwrap_or(config.evolution.population);
    config.evolution.tournament = arguments.tournament.unwrap_or(config.evolution.tournament);
    let RestartArguments { repeats, restarts, then } = &arguments.restarts;
    config.restarts.repeats = repeats.map_or(config.restarts.repeats, usize::from);
    config.restarts.restarts = restarts.map_or(config.restarts.restarts, usize::from);
    if !then.is_empty() {
        config.restarts.then.clone_from(then);
    }
    Ok(config)
}

/// Stores of searches without a name: `runs/SUITE-seedN`, and with a number where that is taken.
struct UsualStores {
    taken: Vec<PathBuf>,
    free: PathBuf,
}

fn usual_stores(config: &SearchConfig) -> UsualStores {
    let runs = Path::new("runs");
    let suite = Path::new(&config.suite).file_stem().map_or_else(|| "suite".into(), |stem| stem.to_string_lossy());
    let first = format!("{suite}-seed{}", config.seed);
    let mut stores = UsualStores { taken: Vec::new(), free: runs.join(&first) };
    while stores.free.exists() && (restarts::is_campaign(&stores.free) || Journal::check_vacant(&stores.free).is_err()) {
        let next = runs.join(format!("{first}-{}", stores.taken.len() + 2));
        stores.taken.push(std::mem::replace(&mut stores.free, next));
    }
    stores
}

/// Where a search may be that is asked for under another name: the directories beside its store, and the usual ones.
fn neighbours(store: &Path, usual: &UsualStores) -> Vec<PathBuf> {
    // Directories beyond these are hardly a collection of stores.
    const MOST: usize = 1000;
    let parent = store.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten().take(MOST);
    // As one would name them.
    let prefix = if store.parent().is_some_and(|parent| parent.as_os_str().is_empty()) { Path::new("") } else { parent };
    let mut beside: Vec<PathBuf> = entries.map(|entry| prefix.join(entry.file_name())).collect();
    beside.sort();
    usual.taken.iter().cloned().chain(beside).filter(|path| Journal::is_at(path) || restarts::is_campaign(path)).collect()
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    store: String,
    stop: StopReason,
    seconds: f64,
    evaluating_seconds: f64,
    /// Since the search began or was resumed, what was done in that time. Like the other times these are not the search's result, and differ from
    /// run to run.
    session_seconds: f64,
    generated_in_session_seconds: u64,
    evaluated_in_session_seconds: u64,
    statistics: Statistics,
    /// The same over the programs generated: what the paper's figure shows.
    history: Vec<Statistics>,
    cache_hit_rate: f64,
    redundant_share: f64,
    best: BestReport,
    /// Evaluations that failed, by what went wrong.
    failures: Vec<Failures>,
    /// AdamW, which all fitness is measured against: its constants on each task, and where they come from.
    baseline: Vec<BaselineReport>,
    /// Training runs of the user's commands in this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    command_runs: Option<RunCount>,
    comparison: Option<Vec<Row>>,
}

#[derive(Serialize)]
struct BaselineReport {
    task: String,
    #[serde(flatten)]
    tuned: Tuned,
}

impl BaselineReport {
    fn of(suite: &Suite) -> Vec<BaselineReport> {
        let of_task = |task: &WeightedTask| {
            let mut tuned = task.tuned.iter().find(|tuned| tuned.program == BASELINE)?.clone();
            // Said in any case.
            tuned.origin = task.origin(BASELINE);
            Some(BaselineReport { task: task.task.name().to_owned(), tuned })
        };
        suite.tasks.iter().filter_map(of_task).collect()
    }
}

#[derive(Serialize)]
struct BestReport {
    hash: String,
    fitness: symopt_proxy_tasks::suite::Fitness,
    program: String,
    pruned: String,
    /// By algebra.
    simplified: String,
    /// In which sense that is equal.
    label: Label,
}

/// Runs a search that is set up, and reports.
pub fn execute(launch: Launch, store: &Path, execution: &Execution, interrupt: &AtomicBool) -> Result<(), Failure> {
    let threads = execution.threads();
    if !execution.json {
        let config = launch.config();
        let mut out = terminal::output();
        writeln!(out, "store: {}", store.display())?;
        writeln!(out, "search from {} on the suite {}, seed {}, {}", config.initial, config.suite, config.seed, count_of(threads))?;
    }
    let (searched, limits, stored_limits) = (launch.config().suite.clone(), launch.config().limits.clone(), launch.stored_limits().clone());
    let config = launch.config().clone();
    let adamw = launch.suite().baseline_origin();
    if !execution.json && !adamw.is_tuned() {
        writeln!(terminal::output(), "fitness is measured against {adamw}")?;
    }
    let mut line = ProgressLine::new(&config.limits).against(&adamw);
    let result = launch.run(threads, interrupt, &mut |progress| line.draw(progress));
    line.finish();
    let (result, suite, history) = result.map_err(|error| interrupted_first(error, store))?;
    let graph = Graph::new(&result.best.program).map_err(|errors| Failure::Work(format!("{errors:?}")))?;
    let pruned = result.best.program.pruned(&graph);
    let derivation = simplify(&result.best.program, &Options::default(), &mut RandomStreams::default());

    let held_out = execution.held_out(suite.is_external());
    let compared = match held_out {
        // An interrupted search reports what it has at once.
        0 => Ok(None),
        _ if interrupt.load(Ordering::Relaxed) => Ok(None),
        held_out => compare(&result, &pruned, &config, &suite, usize::from(held_out), threads, interrupt),
    };
    // What the search found is reported even if the comparison fails.
    let (comparison, failed) = match compared {
        Ok(rows) => (rows, None),
        Err(error) => (None, Some(error)),
    };
    let settled = match config.fitness.form {
        Form::Program => None,
        Form::Direction => match Settled::new(&result.best.program, &result.best.settings, &suite.tasks) {
            // What an interrupted search has is reported at once, without the runs that this takes.
            Err(TaskError::Interrupted { .. }) => None,
            settled => settled?,
        },
    };
    // The search has ended, and its comparison has not: that is made again when the search is resumed as it is.
    let compared = !interrupt.load(Ordering::Relaxed) || result.stop == StopReason::Interrupted;
    let further = if compared { hint::further(&result, &limits) } else { limits };
    let resume = execution.given(hint::resume(store, &further, &stored_limits));
    let mut out = terminal::output();
    if execution.json {
        let report = Report {
            store: store.display().to_string(),
            stop: result.stop,
            seconds: result.elapsed.as_secs_f64(),
            evaluating_seconds: result.evaluating.as_secs_f64(),
            session_seconds: result.session.elapsed.as_secs_f64(),
            generated_in_session_seconds: result.session.generated,
            evaluated_in_session_seconds: result.session.evaluated,
            cache_hit_rate: result.statistics.cache_hit_rate(),
            redundant_share: result.statistics.redundant_share(),
            best: BestReport {
                hash: result.best.hash.to_string(),
                fitness: result.best.fitness,
                program: result.best.program.to_string(),
                pruned: pruned.to_string(),
                simplified: derivation.result().to_string(),
                label: derivation.label(),
            },
            statistics: result.statistics,
            failures: result.failures,
            history,
            baseline: BaselineReport::of(&suite),
            command_runs: suite.is_external().then(|| suite.run_count()),
            comparison,
        };
        serde_json::to_writer_pretty(&mut out, &report)?;
        out.write_all(b"\n")?;
        if interrupt.load(Ordering::Relaxed) {
            progress::note(&format!("interrupted; `{resume}` goes on"));
        }
        return failed.map_or(Ok(()), Err);
    }
    print_result(&mut out, &result, &pruned.to_string(), &adamw, threads)?;
    if let Some(settled) = &settled {
        print_constants(&mut out, settled, &suite)?;
    }
    if suite.is_external() {
        let RunCount { made, failed } = suite.run_count();
        writeln!(out, "\nruns of the command in this session: {made}, {failed} of them failed")?;
    }
    let (before, after) = (derivation.original.statements.len(), derivation.result().statements.len());
    if after < pruned.statements.len() {
        writeln!(
            out,
            "\nsimplified by algebra, from {before} statements to {after} (equal in the sense of the label `{}`):\n",
            derivation.label()
        )?;
        writeln!(out, "{}", derivation.result().to_string().trim_end())?;
    }
    if let Some(rows) = &comparison {
        print_comparison(&mut out, rows, &adamw, config.fitness.form, held_out)?;
    }
    let best = hint::program(store, &result.best.hash.to_string());
    writeln!(out, "\nto go on:")?;
    hint::print(&mut out, &Command::new("inspect").operand(&best).flag("--lineage"))?;
    hint::print(&mut out, &Command::new("simplify").operand(&best).flag("--ablate").option_operand("--suite", &searched))?;
    if let Some(task) = suite.tasks.first() {
        let task = format!("{searched}/{}", task.task.name());
        let train = Command::new("train").option_operand("--task", task).option_operand("--program", &best);
        hint::print(&mut out, &train.option("--vs", "adamw"))?;
    }
    hint::print(&mut out, &resume)?;
    let store = store.display();
    writeln!(out, "store: {store}")?;
    failed.map_or(Ok(()), Err)
}

/// The best program beside others on held-out seeds; `None` if somebody wants the end.
fn compare(
    result: &SearchResult,
    pruned: &Program,
    config: &SearchConfig,
    suite: &Suite,
    held_out: usize,
    threads: usize,
    interrupt: &AtomicBool,
) -> Result<Option<Vec<Row>>, Failure> {
    let contenders = comparison::contenders(result, pruned, config, suite)?;
    let line = CountLine::new("of the comparison on held-out seeds");
    let watch = Watch { interrupted: &|| interrupt.load(Ordering::Relaxed), observe: &|done, total| line.draw(done as u64, total as u64) };
    let rows = comparison::compare(suite, &contenders, &first_seeds(config, suite), held_out, threads, watch);
    line.finish();
    match rows {
        Ok(rows) => Ok(Some(rows)),
        Err(TrialError::Interrupted) => Ok(None),
        Err(error) => Err(Failure::Work(format!("no comparison on held-out seeds: {error}"))),
    }
}

/// What a direction was run with on each task.
fn print_constants(out: &mut impl Write, settled: &Settled, suite: &Suite) -> std::io::Result<()> {
    writeln!(out, "\na direction: training applies w -= lr * (direction + weight_decay * w), at its best with")?;
    for (candidate, task) in settled.candidates().iter().zip(&suite.tasks) {
        let decay = candidate.hyperparameters.first().map_or(0.0, |(_, value)| *value);
        writeln!(out, "  {}: lr {}, weight_decay {}", task.task.name(), table::rounded(candidate.peak_lr), table::rounded(decay))?;
    }
    Ok(())
}

/// A search that was interrupted before it had a result says how it goes on.
fn interrupted_first(error: LaunchError, store: &Path) -> Failure {
    if error.is_interrupt() {
        return Failure::Work(format!(
            "interrupted before the first program was judged; `{}` goes on",
            Command::new("resume").operand(store)
        ));
    }
    error.into()
}

fn count_of(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}

fn print_result(out: &mut impl Write, result: &SearchResult, pruned: &str, adamw: &BaselineOrigin, threads: usize) -> std::io::Result<()> {
    let statistics = &result.statistics;
    let seconds = result.elapsed.as_secs_f64().max(1e-3);
    let session = &result.session;
    // A resumed search has what an earlier session did, which took a time that nobody knows.
    let rate = |all: u64, now: u64| match session.rate(now) {
        _ if now == 0 && all > 0 => "none in this session".to_owned(),
        rate if now < all => format!("{now} in this session, {rate:.0}/s"),
        rate => format!("{rate:.0}/s"),
    };
    writeln!(out, "ended after {}: {}", clock(result.elapsed), result.stop)?;
    // Only a search that has screens speaks of them.
    let screened = if statistics.screened > 0 { format!("{} screened, ", statistics.screened) } else { String::new() };
    let counts = format!(
        "{} programs generated ({}), {screened}{} evaluated ({}; {} stopped as hopeless, {} diverged{})",
        statistics.generated,
        rate(statistics.generated, session.generated),
        statistics.evaluated,
        rate(statistics.evaluated, session.evaluated),
        statistics.hopeless,
        statistics.diverged,
        if statistics.failed > 0 { format!(", {} failed", statistics.failed) } else { String::new() }
    );
    table::paragraph(out, &counts)?;
    for failures in &result.failures {
        writeln!(out, "failed: {failures}")?;
    }
    let shares = format!(
        "cache hits {:.1} %, redundant statements {:.1} %, {:.1} % of the time of {} in evaluations",
        100.0 * statistics.cache_hit_rate(),
        100.0 * statistics.redundant_share(),
        100.0 * result.evaluating.as_secs_f64() / (seconds * threads as f64),
        count_of(threads)
    );
    table::paragraph(out, &shares)?;
    if result.best.index.is_none() {
        writeln!(out, "\nno program was better than the one that the search started from")?;
    }
    writeln!(
        out,
        "\nbest program, fitness {}{} (redundant statements removed):\n\n{}",
        result.best.fitness,
        adamw.behind(),
        pruned.trim_end()
    )
}

fn print_comparison(out: &mut impl Write, rows: &[Row], adamw: &BaselineOrigin, form: Form, held_out: u16) -> std::io::Result<()> {
    let directions = if form == Form::Direction { "; directions at their best learning rate and decay on each task" } else { "" };
    let text = format!(
        "validation loss saved against {adamw} (more is better; ± is the standard error over {held_out} held-out seeds{directions}):"
    );
    table::paragraph(out, &format!("\n{text}\n"))?;
    let tasks: Vec<String> =
        rows.iter().map(|row| &row.tasks).max_by_key(|tasks| tasks.len()).into_iter().flatten().map(|(t, _)| t.clone()).collect();
    let mut lines = vec![
        ["PROGRAM".to_owned(), "SEARCH SEEDS".to_owned(), "HELD-OUT SEEDS".to_owned()].into_iter().chain(tasks.clone()).collect::<Vec<_>>(),
    ];
    for row in rows {
        let spread = row.standard_error.map_or_else(String::new, |error| format!(" ± {:.2}", 100.0 * error));
        let mut cells = vec![row.name.clone(), row.search_seeds.to_string(), format!("{}{spread}", row.held_out)];
        for task in &tasks {
            let mean = row.tasks.iter().find(|(name, _)| name == task);
            cells.push(mean.map_or_else(|| "-".to_owned(), |(_, mean)| format!("{:+.2} %", 100.0 * mean)));
        }
        lines.push(cells);
    }
    let right: Vec<usize> = (1..lines[0].len()).collect();
    table::print(out, &lines, &right, &[])
}
