//! `symopt resume`

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Args;
use symopt_search::config::Limits;
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
    go_on(&arguments.store, &arguments.execution, interrupt, |limits| arguments.limits.apply(limits))
}

/// Goes on with a search or a campaign, with limits that may be changed.
pub fn go_on(
    store: &Path,
    execution: &Execution,
    interrupt: &'static AtomicBool,
    change_limits: impl FnOnce(&mut Limits),
) -> Result<(), Failure> {
    if restarts::is_campaign(store) {
        let mut campaign = Campaign::open(store)?;
        let mut limits = campaign.config().limits.clone();
        change_limits(&mut limits);
        campaign.set_limits(limits)?;
        return campaign::execute(campaign, store, execution, interrupt);
    }
    let launch = Launch::resume(store, programs::color(), |config| change_limits(&mut config.limits))?;
    execute(launch, store, execution, interrupt)
}
