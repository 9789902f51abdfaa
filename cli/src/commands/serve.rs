//! `symopt serve`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use symopt_live::{Live, PORT};

use crate::failure::Failure;
use crate::{interrupt, table, terminal};

#[derive(Args)]
#[command(
    after_help = "The page is for this machine alone, at 127.0.0.1. Stores are read and not touched, \
                  also while a search writes, and a page that was cut off goes on where it was. \
                  `symopt report STORE --html FILE` makes a page to keep."
)]
pub struct Arguments {
    /// Stores of searches, also while they run, or directories of campaigns
    #[arg(required = true, value_name = "STORE")]
    stores: Vec<PathBuf>,
    /// Port that the page is served at; 0 is any that is free
    #[arg(long, value_name = "N", default_value_t = PORT)]
    port: u16,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let cancel = interrupt::token_saying("interrupted: the page is no longer served")?;
    let live = Live::begin(arguments.port, &cancel)?;
    live.show_all(&arguments.stores)?;
    let mut out = terminal::output();
    table::paragraph(&mut out, &format!("{} shows it; Ctrl-C ends that", live.url()))?;
    out.flush()?;
    live.wait();
    Ok(())
}
