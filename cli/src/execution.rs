//! Options of everything that runs searches: when they end, and how they are run.

use clap::Args;
use symopt_dsl::shell::Command;
use symopt_search::config::{Limits, TargetFitness};

use crate::options;
use crate::workers::Workers;

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

/// How a search is run; nothing here changes what it finds, but for what a command proposes.
#[derive(Args)]
pub struct Execution {
    /// Threads that evaluate; by default one for each core, or 64, which wait, with --server
    #[arg(long, value_name = "N", value_parser = options::between::<1, 1024>, allow_negative_numbers = true, overrides_with = "threads")]
    threads: Option<u16>,
    /// Held-out seeds for the comparison at the end; 0 leaves it out [default: 16; 8 where a
    /// command of yours trains]
    #[arg(long, value_name = "N", value_parser = options::between::<0, 1000>, allow_negative_numbers = true, overrides_with = "held_out")]
    held_out: Option<u16>,
    /// Command that proposes children of the search (mutation.proposals of them, 0.1 if the
    /// settings do not say); docs/searching.md says how it is asked
    #[arg(long, value_name = "COMMAND", overrides_with = "proposals")]
    pub proposals: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub workers: Workers,
}

impl Execution {
    /// How many threads evaluate.
    pub fn threads(&self) -> usize {
        self.workers.threads(self.threads)
    }

    /// A command with the options that were given.
    pub fn given(&self, command: Command) -> Command {
        let command = self
            .threads
            .iter()
            .fold(command, |command, threads| command.option("--threads", threads));
        let command = self
            .held_out
            .iter()
            .fold(command, |command, seeds| command.option("--held-out", seeds));
        let command = self
            .proposals
            .iter()
            .fold(command, |command, asked| command.option("--proposals", asked));
        self.workers.given(command)
    }

    /// Held-out seeds. Three programs on each of them are a lot for a command that takes minutes.
    pub fn held_out(&self, external: bool) -> u16 {
        self.held_out.unwrap_or(if external { 8 } else { 16 })
    }
}

pub fn count_of(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}
