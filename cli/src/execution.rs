//! Options of everything that runs searches: when they end, and how they are run.

use std::cell::OnceCell;
use std::path::Path;

use clap::Args;
use symopt_cancel::CancelToken;
use symopt_dsl::shell::Command;
use symopt_live::{Live, PORT};
use symopt_search::config::{Limits, TargetFitness};

use crate::failure::Failure;
use crate::workers::Workers;
use crate::{options, progress};

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
    /// Show the search while it runs, on a page in a browser, as `symopt serve` does; 0 is any port
    /// that is free
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = DEFAULT_PORT, overrides_with = "serve")]
    serve: Option<u16>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub workers: Workers,
    /// The page that is served, from the begin of the command to its end.
    #[arg(skip)]
    live: OnceCell<Live>,
}

/// The port of `--serve` alone.
const DEFAULT_PORT: &str = "7373";
const _: () = assert!(PORT == 7373);

impl Execution {
    /// Begins to serve what was asked for, before anything takes long: whether the port can be had
    /// shows at once.
    pub fn begin(&self, cancel: &CancelToken) -> Result<(), Failure> {
        if let Some(port) = self.serve {
            // It is asked for once in a command.
            let _ = self.live.set(Live::begin(port, cancel)?);
        }
        Ok(())
    }

    /// Shows a store, or the stores of a campaign, on the page.
    pub fn show(&self, store: &Path) -> Result<(), Failure> {
        let Some(live) = self.live.get() else { return Ok(()) };
        live.show(store)?;
        progress::note(&format!("{} shows the search while it runs", live.url()));
        Ok(())
    }

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
