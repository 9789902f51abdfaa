//! `symopt resume`

use std::path::PathBuf;

use clap::Args;
use symopt_search::launch::Launch;
use symopt_search::restarts::{self, Campaign};

use crate::commands::campaign;
use crate::commands::search::{Execution, LimitArguments, execute};
use crate::failure::Failure;
use crate::{interrupt, programs};

#[derive(Args)]
pub struct Arguments {
    /// The store directory, or that of a campaign
    store: PathBuf,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    execution: Execution,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let interrupt = interrupt::flag()?;
    if restarts::is_campaign(&arguments.store) {
        let mut campaign = Campaign::open(&arguments.store)?;
        let mut config = campaign.config().clone();
        arguments.limits.apply(&mut config);
        campaign.set_limits(config.limits)?;
        return campaign::execute(campaign, &arguments.store, &arguments.execution, interrupt);
    }
    let launch = Launch::resume(&arguments.store, programs::color(), |config| arguments.limits.apply(config))?;
    execute(launch, &arguments.store, &arguments.execution, interrupt)
}
