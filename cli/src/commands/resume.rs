//! `symopt resume`

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use symopt_cancel::CancelToken;
use symopt_dsl::shell::Command;
use symopt_search::config::Limits;
use symopt_search::journal::Lost;
use symopt_studies::restarts::{self, Campaign};

use crate::commands::campaign;
use crate::commands::search::outcome::execute;
use crate::execution::{Execution, LimitArguments};
use crate::failure::Failure;
use crate::interrupt;

#[derive(Args)]
pub struct Arguments {
    /// The store directory, or that of a campaign
    store: PathBuf,
    /// Go on from what is whole of a store that has lost some of what was acknowledged; what is
    /// missing is evaluated again
    #[arg(long)]
    salvage: bool,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    execution: Execution,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let cancel = interrupt::token()?;
    arguments.execution.begin(&cancel)?;
    if arguments.salvage {
        return salvage(arguments, &cancel);
    }
    go_on(&arguments.store, &arguments.execution, &cancel, |limits| arguments.limits.apply(limits))
}

/// Goes on with a search or a campaign, with limits that may be changed.
pub fn go_on(
    store: &Path,
    execution: &Execution,
    cancel: &CancelToken,
    change_limits: impl FnOnce(&mut Limits),
) -> Result<(), Failure> {
    if restarts::is_campaign(store) {
        let mut campaign = Campaign::open(store)?.launched_by(execution.workers.launcher()?);
        let mut limits = campaign.config().limits.clone();
        change_limits(&mut limits);
        campaign.set_limits(limits)?;
        return campaign::execute(campaign, store, execution, cancel);
    }
    let launcher = execution.workers.launcher()?;
    let launch = launcher.resume(store, |config| change_limits(&mut config.limits), cancel)?;
    execute(launch, store, execution, cancel)
}

/// Goes on from what is whole of a store, and says what was lost.
fn salvage(arguments: Arguments, cancel: &CancelToken) -> Result<(), Failure> {
    let Arguments { store: path, limits, execution, .. } = arguments;
    let store = path.display();
    if restarts::is_campaign(&path) {
        let command = Command::new("resume").operand(path.join("repeat-1")).flag("--salvage");
        return Err(Failure::Input(format!(
            "{store}: a campaign, which has a store for each of its searches; name the damaged one: `{command}`"
        )));
    }
    let launcher = execution.workers.launcher()?;
    let (launch, lost) =
        launcher.salvage(&path, |config| limits.apply(&mut config.limits), cancel)?;
    let text = match lost {
        None => format!("{store}: nothing was lost"),
        Some(Lost { there, acknowledged, bytes }) => format!(
            "{store}: {there} of {acknowledged} acknowledged evaluations are whole and taken up; {} are lost and made again{}",
            acknowledged.saturating_sub(there),
            launch.kept_end().map_or_else(String::new, |file| format!(
                ", the other {bytes} bytes of the log are kept in {}",
                file.display()
            ))
        ),
    };
    // If nobody reads that, the search goes on all the same.
    let _ = writeln!(std::io::stderr(), "{text}");
    execute(launch, &path, &execution, cancel)
}
