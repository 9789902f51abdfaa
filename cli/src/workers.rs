//! `--server`: training runs that are done by workers on other machines.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use symopt_dsl::shell::Command;
use symopt_proxy_tasks::executor::Executor;
use symopt_proxy_tasks::spec::SuiteSource;
use symopt_proxy_tasks::suite::Suite;
use symopt_search::launch::Launcher;

use crate::failure::Failure;

/// The class of workers, if nobody says which.
pub const CLASS: &str = "cpu";

/// Jobs that are asked for at a time: the threads do nothing but wait for them.
const ASKED: usize = 64;

/// Workers that do the training runs; the results are the same as in this process.
#[derive(Args)]
pub struct Workers {
    /// Have training runs done by workers (`symopt worker`) by way of a NATS server:
    /// nats://HOST:PORT on this machine, tls://HOST:PORT beyond it
    #[arg(long, value_name = "URL", help_heading = "Many machines")]
    server: Option<String>,
    /// Class of the workers [default: cpu]
    #[arg(long, value_name = "NAME", requires = "server", help_heading = "Many machines")]
    class: Option<String>,
    /// File with the key that the server knows this process by, as `symopt cluster init` writes it
    #[arg(long, value_name = "FILE", requires = "server", help_heading = "Many machines")]
    server_key: Option<PathBuf>,
}

impl Workers {
    /// Whether there are any.
    pub fn are_given(&self) -> bool {
        self.server.is_some()
    }

    /// Threads that train or wait for workers, if nobody says how many.
    pub fn threads(&self, asked: Option<u16>) -> usize {
        match asked {
            Some(threads) => usize::from(threads),
            None if self.are_given() => ASKED,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// A command with the options that were given.
    pub fn given(&self, command: Command) -> Command {
        let command =
            self.server.iter().fold(command, |command, server| command.option("--server", server));
        let command =
            self.class.iter().fold(command, |command, class| command.option("--class", class));
        self.server_key
            .iter()
            .fold(command, |command, key| command.option("--server-key", key.display()))
    }

    /// Returns the executor of the training runs, if this process does not do them.
    pub fn executor(&self) -> Result<Option<Arc<dyn Executor>>, Failure> {
        let Some(server) = &self.server else { return Ok(None) };
        let class = self.class.as_deref().unwrap_or(CLASS);
        courier(server, class, self.server_key.clone()).map(Some)
    }

    /// Returns the launcher of searches, whose training runs the workers do, if there are any.
    pub fn launcher(&self) -> Result<Launcher, Failure> {
        Ok(Launcher::new(self.executor()?))
    }

    /// A suite, with the training runs done by the workers, if there are any.
    pub fn suite(&self, source: &SuiteSource) -> Result<Suite, Failure> {
        Ok(source.suite_on(self.executor()?.as_ref())?)
    }
}

#[cfg(feature = "nats")]
fn courier(server: &str, class: &str, key: Option<PathBuf>) -> Result<Arc<dyn Executor>, Failure> {
    use symopt_machines::courier::{Courier, Link};

    let link = Link { url: server.to_owned(), key };
    let notify = Box::new(|notice: &_| crate::progress::note(&format!("{notice}")));
    Ok(Arc::new(Courier::new(&link, class, notify)?))
}

#[cfg(not(feature = "nats"))]
fn courier(_: &str, _: &str, _: Option<PathBuf>) -> Result<Arc<dyn Executor>, Failure> {
    Err(without())
}

/// Why a symopt without the courier does not do it.
#[cfg(not(feature = "nats"))]
pub fn without() -> Failure {
    Failure::Input(
        "this symopt was built without the courier that workers need; build it with \
         `cargo build --release --features nats`"
            .to_owned(),
    )
}

#[cfg(feature = "nats")]
impl From<symopt_machines::courier::CourierError> for Failure {
    fn from(error: symopt_machines::courier::CourierError) -> Failure {
        match error.is_input() {
            true => Failure::Input(error.to_string()),
            false => Failure::Work(error.to_string()),
        }
    }
}
