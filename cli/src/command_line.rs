//! The command line of symopt: thin, no logic of its own.

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use symopt_dsl::escape;

use crate::failure::Failure;
use crate::{commands, options, progress, terminal, words};

/// Discover, inspect and run optimizers that are written as programs.
///
/// A PROGRAM is the name of a zoo program (`symopt programs`), a file, `-` for the standard input,
/// or a program of a search: STORE:HASH, STORE:best, or STORE:3 for the third of `symopt top STORE`.
#[derive(Parser)]
#[command(version, propagate_version = true, max_term_width = 110)]
struct CommandLine {
    /// Where the standard error stream is no terminal, print how far a long command is every so
    /// many seconds; 0 for never
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30.0, value_parser = options::interval, allow_negative_numbers = true)]
    log_every: f64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Evolve optimizer programs on proxy tasks
    Search(Box<commands::search::Arguments>),
    /// Go on with a search that was interrupted
    Resume(commands::resume::Arguments),
    /// Show the hall of fame of a search: what no other program beats in fitness, length and memory
    Top(commands::top::Arguments),
    /// List the stores of searches under a directory
    Runs(commands::runs::Arguments),
    /// Find Lion or Muon again, from AdamW, under many seeds
    Rediscover(commands::rediscover::Arguments),
    /// Search for an optimizer that is better on tasks which the search has not seen, and compare it
    /// with those of the literature
    Discover(commands::discover::Arguments),
    /// Take the best programs of searches through ever larger suites: who keeps beating AdamW
    Funnel(commands::funnel::Arguments),
    /// Study programs on tasks: how robust they are, which batches they prefer, at which sizes, with
    /// which state
    Study(commands::study::Arguments),
    /// Show what searches did: figures and tables from their stores, with fresh seeds and
    /// meta-validation
    Report(commands::report::Arguments),
    /// Show searches while they run, on a page in a browser
    Serve(commands::serve::Arguments),
    /// Show what a program is: types, slots, live and redundant statements, hash, cost
    Inspect(commands::inspect::Arguments),
    /// Simplify a program, step by step: what each step is, why it is right, and what its check has
    /// seen
    Simplify(commands::simplify::Arguments),
    /// Compare two programs: their texts, and what they compute
    Diff(commands::diff::Arguments),
    /// Name the nearest programs of the zoo, with what differs
    Identify(commands::identify::Arguments),
    /// Write a program as source text for a framework or a language
    Export(commands::export::Arguments),
    /// Train with programs on a task, and compare them
    Train(commands::train::Arguments),
    /// Find the best learning rate and weight decay of a program on a task
    Tune(commands::tune::Arguments),
    /// List the programs of the zoo
    Programs(commands::programs::Arguments),
    /// List the suites and their tasks, or measure how well the optimizers of the zoo do on one
    Tasks(commands::tasks::Arguments),
    /// Measure how fast the programs of the zoo run on this machine
    Bench(commands::bench::Arguments),
    /// Run the conformance suite: how far every engine and every export is from the reference
    /// interpreter
    Conformance(commands::conformance::Arguments),
    /// Do training runs for searches and studies of other processes, on this machine or others
    Worker(commands::worker::Arguments),
    /// Set up, look at and try out what workers on other machines need
    Cluster(commands::cluster::Arguments),
    /// Print a completion script for a shell
    Completions(commands::completions::Arguments),
}

/// The command line, or the exit code where there is none: with the help, the version, or a fault.
fn command_line() -> Result<CommandLine, u8> {
    CommandLine::try_parse_from(words::all()).map_err(|error| {
        let is_plain = |argument: &OsString| {
            argument.to_str().is_some_and(|text| escape::message(text) == text)
        };
        if !error.use_stderr() || words::all().iter().all(is_plain) {
            // If nobody reads it, the exit code must do.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
        // The fault quotes the arguments, so it is shown without the colours that can't be told
        // from theirs.
        terminal::say(error.render().to_string().trim_end());
        2
    })
}

/// Runs a command, the name of the program before its arguments, and returns the exit code: 0, 1
/// where the work failed, or 2 where the usage or the input is bad. It is called once in a process:
/// it takes over Ctrl-C and the threads that computations share.
///
/// ```
/// assert_eq!(symopt::command_line::main(["symopt", "diff", "lion", "lion", "--json"].map(Into::into)), 0);
/// ```
pub fn main(words: impl IntoIterator<Item = OsString>) -> u8 {
    words::set(words.into_iter().collect());
    let command_line = match command_line() {
        Ok(command_line) => command_line,
        Err(code) => return code,
    };
    progress::log_every(command_line.log_every);
    match start_threads().and_then(|()| run(command_line.command)) {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}

/// Starts the threads that computations share, where it can be said if that fails: where they are
/// first used, it could not.
fn start_threads() -> Result<(), Failure> {
    rayon::ThreadPoolBuilder::new().build_global().map_err(|error| {
        Failure::Work(format!(
            "can't start threads: {error}; allow this user more processes (`ulimit -u`), or fewer threads with RAYON_NUM_THREADS=1"
        ))
    })
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Search(arguments) => commands::search::run(*arguments),
        Command::Resume(arguments) => commands::resume::run(arguments),
        Command::Top(arguments) => commands::top::run(&arguments),
        Command::Runs(arguments) => commands::runs::run(&arguments),
        Command::Rediscover(arguments) => commands::rediscover::run(arguments),
        Command::Discover(arguments) => commands::discover::run(arguments),
        Command::Funnel(arguments) => commands::funnel::run(arguments),
        Command::Study(arguments) => commands::study::run(arguments),
        Command::Report(arguments) => commands::report::run(arguments),
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(arguments),
        Command::Simplify(arguments) => commands::simplify::run(arguments),
        Command::Diff(arguments) => commands::diff::run(arguments),
        Command::Identify(arguments) => commands::identify::run(arguments),
        Command::Export(arguments) => commands::export::run(arguments),
        Command::Train(arguments) => commands::train::run(arguments),
        Command::Tune(arguments) => commands::tune::run(arguments),
        Command::Programs(arguments) => commands::programs::run(arguments),
        Command::Tasks(arguments) => commands::tasks::run(arguments),
        Command::Bench(arguments) => commands::bench::run(arguments),
        Command::Conformance(arguments) => commands::conformance::run(arguments),
        Command::Worker(arguments) => commands::worker::run(arguments),
        Command::Cluster(arguments) => commands::cluster::run(arguments),
        Command::Completions(arguments) => commands::completions::run::<CommandLine>(arguments),
    }
}
