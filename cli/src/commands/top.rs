//! `symopt top`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use symopt_search::journal::CheckedStore;
use symopt_search::store::hall_of_fame::{Entry, hall_of_fame};

use crate::failure::Failure;
use crate::progress::short_form::formula;
use crate::{files, table, terminal};

#[derive(Args)]
#[command(
    after_help = "The front holds every program that has more fitness than all that are no longer and need \
                  no more state. Fitness is that on the search's own seeds, which it selected for, so it \
                  is too high: `symopt report STORE --seeds 8` judges on others."
)]
pub struct Arguments {
    /// Store of a search, also while it runs
    store: PathBuf,
    /// Write the front into FILE, with the texts of the programs
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(path) = &arguments.csv {
        files::check_writable(path)?;
    }
    let store = CheckedStore::of(&arguments.store)?;
    let front = hall_of_fame(&store)?;
    if let Some(path) = &arguments.csv {
        files::write(path, &csv(&front).map_err(|error| Failure::Work(error.to_string()))?)?;
    }
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &front)?;
        return Ok(out.write_all(b"\n")?);
    }
    let heading = ["PLACE", "FITNESS", "SEEDS", "LIVE", "BYTES", "HASH", "UPDATE"];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    lines.extend(front.iter().map(line));
    table::print(&mut out, &lines, &[0, 1, 2, 3, 4], &[(6, 60)])?;
    let own = "fitness on the search's own seeds ± standard error, live statements, bytes of state \
               for each parameter";
    table::paragraph(&mut out, own)?;
    if let Some(path) = &arguments.csv {
        writeln!(out, "written: {}", path.display())?;
    }
    Ok(())
}

fn line(entry: &Entry) -> Vec<String> {
    let error = match entry.standard_error {
        error if error > 0.0 => format!(" ± {:.2}", 100.0 * error),
        _ => String::new(),
    };
    let update = symopt_dsl::parse(&entry.program).map_or_else(|_| String::new(), |p| formula(&p));
    vec![
        entry.place.to_string(),
        format!("{:+.2} %{error}", 100.0 * entry.fitness),
        if entry.seeds == 0 { "-".to_owned() } else { entry.seeds.to_string() },
        entry.live_statements.to_string(),
        entry.state_bytes.to_string(),
        entry.hash.chars().take(12).collect(),
        update,
    ]
}

fn csv(front: &[Entry]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    front.iter().try_for_each(|entry| writer.serialize(entry))?;
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
