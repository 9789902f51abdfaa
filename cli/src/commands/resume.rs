//! `symopt resume`

use std::path::PathBuf;

use clap::Args;
use symopt_search::launch::Launch;

use crate::commands::search::{Execution, LimitArguments, execute};
use crate::failure::Failure;
use crate::{interrupt, programs};

#[derive(Args)]
pub struct Arguments {
    /// The store directory
    store: PathBuf,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    execution: Execution,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let interrupt = interrupt::flag()?;
    let launch = Launch::resume(&arguments.store, programs::color(), |config| arguments.limits.apply(config))?;
    execute(launch, &arguments.store, &arguments.execution, interrupt)
}
