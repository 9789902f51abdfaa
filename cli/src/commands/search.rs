//! `symopt search`

mod finalists;
pub mod outcome;

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use symopt_cancel::CancelToken;
use symopt_dsl::shell::{self, Command};
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_search::Journal;
use symopt_search::config::{Preset, SearchConfig, Strategy, ZOO};
use symopt_search::launch::{self, InitialPrograms, Launch};
use symopt_studies::restarts::{self, Campaign};

use crate::commands::{campaign, resume as resume_command};
use crate::execution::{Execution, LimitArguments};
use crate::external::{self, TaskCommand};
use crate::failure::Failure;
use crate::progress::StageLine;
use crate::{files, interrupt, options, progress, table, terminal};

use outcome::execute;

#[derive(Args)]
pub struct Arguments {
    /// Settings from a TOML file; options given here go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Settings to begin with: real (directions on small real tasks, with functions of matrices), or
    /// paper (the published search: whole programs, on the suite quick) [default: real; paper with
    /// --suite or --task-command]
    #[arg(long, value_enum, conflicts_with = "config")]
    preset: Option<PresetArgument>,
    /// Write all settings as a file may have them, with comments, or those of a --preset, and end
    #[arg(long)]
    print_config: bool,
    /// Seed of every random choice
    #[arg(long, value_name = "N", value_parser = options::count, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Suite that gives programs their fitness: a name or a TOML file
    #[arg(long, conflicts_with = "task_command")]
    suite: Option<String>,
    /// Program to start from: a zoo name, a file or STORE:HASH; may be given several times, and
    /// `zoo` is every program of the zoo that fits the functions and the form [default: adamw-paper;
    /// lion and muon too with the preset real, unless --functions is given]
    #[arg(long, value_name = "PROGRAM")]
    initial: Vec<String>,
    /// Functions that mutations draw: paper, step, slots, select, reduce, matrix (each with those
    /// before it), names of functions, and `-NAME` to leave one out, such as matrix,-newton_schulz
    /// [default: matrix with the preset real, otherwise paper]
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true)]
    functions: Vec<String>,
    /// Where children come from: mutations of the fittest (regularized evolution), or nowhere
    /// (random programs, to compare with)
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
enum PresetArgument {
    Real,
    Paper,
}

impl From<PresetArgument> for Preset {
    fn from(argument: PresetArgument) -> Preset {
        match argument {
            PresetArgument::Real => Preset::Real,
            PresetArgument::Paper => Preset::Paper,
        }
    }
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

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.print_config {
        let preset = arguments.preset.map_or(Preset::Paper, Preset::from);
        return Ok(terminal::output().write_all(preset.text().as_bytes())?);
    }
    let mut config = settings(&arguments)?;
    let cancel = interrupt::token()?;
    let Arguments { store, name, limits, execution, command, task_seeds, .. } = arguments;
    execution.begin(&cancel)?;
    limits.apply(&mut config.limits);
    if execution.proposals.is_some() && config.mutation.proposals == 0.0 {
        config.mutation.proposals = PROPOSALS;
    } else if execution.proposals.is_none() && config.mutation.proposals > 0.0 {
        return Err(Failure::Input(format!(
            "mutation.proposals = {} asks a command for children; give one with --proposals COMMAND",
            config.mutation.proposals
        )));
    }
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
    let is_same =
        |store: &PathBuf| holds(store, &config, &command, task_seeds, &cancel).unwrap_or(false);
    let say = |note: &str| {
        if execution.json {
            progress::note(note);
            return Ok(());
        }
        table::paragraph(&mut terminal::output(), note)
    };
    let store = match given {
        Some(store) if is_same(&store) => {
            say(&format!(
                "{} holds this search already, which goes on there; another --seed is another search",
                shell::quoted(&store)
            ))?;
            return resume_command::go_on(&store, &execution, &cancel, |stored| {
                *stored = config.limits
            });
        }
        Some(store) => {
            if let Some(other) =
                neighbours(&store, &usual).iter().find(|other| **other != store && is_same(other))
            {
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
                return resume_command::go_on(store, &execution, &cancel, |stored| {
                    *stored = config.limits
                });
            }
            usual.free
        }
    };
    let launcher = execution.workers.launcher()?;
    if command.is_given() {
        let path = store.join(SUITE).display().to_string();
        config.suite.clone_from(&path);
        // Faults show before anything is tuned.
        let initial = launch::initial(&config, &store, &cancel)?;
        say_left_out(&initial, &say)?;
        let tuned =
            command.tuned(external::usual_runs(), execution.threads(), execution.json, &cancel)?;
        let Some(spec) = tuned else {
            return Err(Failure::Input("give --task-command COMMAND".to_owned()));
        };
        let source = SuiteSource::of_command(&path, &spec, task_seeds)?;
        // The suite is kept with the search, for all that comes after.
        let text = source.text.clone();
        let line =
            StageLine::new("AdamW is trained by the command, which fitness is measured against");
        let launch = launcher.begin_with(config, &initial.programs, source, &store, &cancel);
        line.finish();
        let launch = launch?;
        files::write(Path::new(&path), &text)?;
        return execute(launch, &store, &execution, &cancel);
    }
    let asked = std::iter::once(&config.suite).chain(&config.restarts.then);
    command.check_tune(
        asked
            .map(|suite| SuiteSource::find(suite)?.untuned())
            .collect::<Result<Vec<_>, _>>()?
            .iter()
            .any(|untuned| !untuned.is_empty()),
    )?;
    // Tasks by commands in a suite file: AdamW is tuned for them, and the suite kept with the
    // search, with what was found.
    let mut kept: Vec<(PathBuf, String)> = Vec::new();
    let mut prepare = |source: SuiteSource| -> Result<SuiteSource, Failure> {
        let path = store.join(if kept.is_empty() {
            SUITE.to_owned()
        } else {
            format!("suite-{}.toml", kept.len() + 1)
        });
        let place = path.display().to_string();
        match command.tuned_suite(&source, &place, execution.threads(), execution.json, &cancel)? {
            None => Ok(source),
            Some(SuiteSource { text, .. }) => {
                kept.push((path, text.clone()));
                Ok(SuiteSource { name: place, text })
            }
        }
    };
    if is_campaign {
        // The standard input can be read once.
        if config.initial.names().iter().any(|name| name == ZOO) {
            say_left_out(&launch::named(&config, &cancel)?, &say)?;
        }
        let campaign =
            Campaign::create_with(config, &store, &cancel, &mut prepare)?.launched_by(launcher);
        write_all(&kept)?;
        return campaign::execute(campaign, &store, &execution, &cancel);
    }
    let source = SuiteSource::find(&config.suite)?;
    let initial = launch::initial(&config, &store, &cancel)?;
    say_left_out(&initial, &say)?;
    let source = prepare(source)?;
    config.suite.clone_from(&source.name);
    let line = StageLine::new(format!(
        "AdamW is trained on the suite {}, which fitness is measured against",
        config.suite
    ));
    let launch = launcher.begin_with(config, &initial.programs, source, &store, &cancel);
    line.finish();
    let launch = launch?;
    write_all(&kept)?;
    execute(launch, &store, &execution, &cancel)
}

fn write_all(files: &[(PathBuf, String)]) -> Result<(), Failure> {
    files.iter().try_for_each(|(path, text)| files::write(path, text))
}

/// Says which programs the search does not start from, and why.
fn say_left_out(
    initial: &InitialPrograms,
    say: &dyn Fn(&str) -> std::io::Result<()>,
) -> std::io::Result<()> {
    if initial.left_out.is_empty() { Ok(()) } else { say(&initial.to_string()) }
}

/// Whether a store holds the search, or a directory the campaign, that is asked for.
fn holds(
    store: &Path,
    config: &SearchConfig,
    command: &TaskCommand,
    task_seeds: usize,
    cancel: &CancelToken,
) -> Result<bool, Failure> {
    // Whoever does not want AdamW to be tuned has no use for a store where it is.
    let is_suite = |source: &SuiteSource, kept: &str| {
        if command.is_untuned() { source.text == kept } else { source.is_kept_as(kept) }
    };
    if !config.restarts.is_plain() {
        return Ok(Campaign::holds(store, config, &is_suite, cancel)?);
    }
    let path = store.join(SUITE);
    let source = match command.as_kept(&path) {
        Some(spec) => SuiteSource::of_command(&path.display().to_string(), &spec, task_seeds)?,
        None => SuiteSource::find(&config.suite)?,
    };
    // The standard input can be read once.
    if config.initial.names().iter().any(|name| name == "-") {
        return Ok(false);
    }
    let initial = InitialPrograms::find(config, cancel)?;
    Ok(Launch::holds(store, config.clone(), &initial.programs, |kept| is_suite(&source, kept)))
}

/// The suite of a search by a command, in its store.
const SUITE: &str = "suite.toml";
/// The share of the children that a command proposes, if nobody says which.
const PROPOSALS: f64 = 0.1;
/// Seeds that a command judges programs on, if nobody says how many.
const TASK_SEEDS: u16 = 3;

fn settings(arguments: &Arguments) -> Result<SearchConfig, Failure> {
    let mut config = match &arguments.config {
        None => {
            // Whoever names a task wants the search of the paper on it, unless a preset is named.
            let has_task = arguments.suite.is_some() || arguments.command.is_given();
            let usual = if has_task { Preset::Paper } else { Preset::Real };
            let mut config = arguments.preset.map_or(usual, Preset::from).config()?;
            if !arguments.functions.is_empty() {
                // Those of the preset need functions that may not be among these.
                config.initial = SearchConfig::default().initial;
            }
            config
        }
        Some(path) => {
            let wrong = |e: &dyn Display| Failure::Input(format!("{}: {e}", path.display()));
            let hint = "`symopt search --print-config` writes a file to start from";
            let text =
                std::fs::read_to_string(path).map_err(|e| wrong(&format_args!("{e}; {hint}")))?;
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
    if !arguments.initial.is_empty() {
        config.initial = arguments.initial.clone().into();
    }
    config.evolution.strategy =
        arguments.strategy.map_or(config.evolution.strategy, Strategy::from);
    if !arguments.functions.is_empty() {
        config.mutation.functions.clone_from(&arguments.functions);
    }
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
    let suite = Path::new(&config.suite)
        .file_stem()
        .map_or_else(|| "suite".into(), |stem| stem.to_string_lossy());
    let first = format!("{suite}-seed{}", config.seed);
    let mut stores = UsualStores { taken: Vec::new(), free: runs.join(&first) };
    while stores.free.exists()
        && (restarts::is_campaign(&stores.free) || Journal::check_vacant(&stores.free).is_err())
    {
        let next = runs.join(format!("{first}-{}", stores.taken.len() + 2));
        stores.taken.push(std::mem::replace(&mut stores.free, next));
    }
    stores
}

/// Where a search may be that is asked for under another name: the directories beside its store,
/// and the usual ones.
fn neighbours(store: &Path, usual: &UsualStores) -> Vec<PathBuf> {
    // Directories beyond these are hardly a collection of stores.
    const MOST: usize = 1000;
    let parent =
        store.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten().take(MOST);
    // As one would name them.
    let prefix = if store.parent().is_some_and(|parent| parent.as_os_str().is_empty()) {
        Path::new("")
    } else {
        parent
    };
    let mut beside: Vec<PathBuf> = entries.map(|entry| prefix.join(entry.file_name())).collect();
    beside.sort();
    usual
        .taken
        .iter()
        .cloned()
        .chain(beside)
        .filter(|path| Journal::is_at(path) || restarts::is_campaign(path))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use symopt_search::config::Form;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn settings_of(options: &str) -> SearchConfig {
        let line = Line::parse_from(std::iter::once("search").chain(options.split_whitespace()));
        settings(&line.arguments).unwrap()
    }

    #[test]
    fn a_search_without_a_task_is_on_real_ones_and_one_with_a_task_is_the_papers() {
        let real = settings_of("");
        assert_eq!((real.suite.as_str(), real.fitness.form), ("real-1x", Form::Direction));
        assert_eq!(real, Preset::Real.config().unwrap());
        assert_eq!(settings_of("--preset paper"), SearchConfig::default());
        let smoke = SearchConfig { suite: "smoke".to_owned(), ..SearchConfig::default() };
        assert_eq!(settings_of("--suite smoke"), smoke);
        let both = SearchConfig { suite: "smoke".to_owned(), ..real.clone() };
        assert_eq!(settings_of("--suite smoke --preset real"), both);
        assert_eq!(settings_of("--task-command true").fitness.form, Form::Program);
        // Muon has functions that are not among those of the paper.
        assert_eq!(settings_of("--functions paper").initial.names(), ["adamw-paper"]);
        assert_eq!(settings_of("--initial lion").initial.names(), ["lion"]);
        assert_eq!(real.initial.names(), ["adamw-paper", "lion", "muon"]);
    }

    #[test]
    fn the_programs_that_a_search_starts_from_fit_its_settings() {
        let config = Preset::Real.config().unwrap();
        let found = InitialPrograms::find(&config, &CancelToken::new()).unwrap();
        assert_eq!((found.programs.len(), found.left_out.len()), (3, 0));
    }
}
