//! `symopt conformance`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use symopt_dsl::codegen::Target;
use symopt_programs::ZooEntry;
use symopt_programs::conformance::{self, exports};
use symopt_programs::conformance::{case, report::Report};

use crate::failure::Failure;
use crate::files;

#[derive(Args)]
#[command(
    after_help = "Each program takes 50 steps under five cases, several parameter arrays at once. A cell of the table is the largest \
                        distance from the reference interpreter in f32 over all cases, as a share of the largest number there; 0 says that \
                        every bit is the same. The exit code is 1 if an engine is further away than its order of rounding explains."
)]
pub struct Arguments {
    /// Program of the zoo to run (default: all)
    #[arg(long = "program", value_name = "NAME")]
    programs: Vec<String>,
    /// Exports to run (default: all that can be run)
    #[arg(long = "to", value_name = "TARGET", value_parser = super::export::target)]
    targets: Vec<Target>,
    /// Python with the libraries that the exports need
    #[arg(long, value_name = "COMMAND", default_value = "python3")]
    python: String,
    /// Run the engines of this library alone
    #[arg(long, conflicts_with = "targets")]
    no_exports: bool,
    /// Keep the suite and the exported files in a directory
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
    /// Write the table as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if let Some(path) = &arguments.markdown {
        files::check_writable(path)?;
    }
    let entries = entries(&arguments.programs)?;
    let targets: Vec<Target> = match (arguments.no_exports, arguments.targets.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => Target::ALL.iter().copied().filter(|target| exports::is_run(*target)).collect(),
        (false, false) => arguments.targets.clone(),
    };
    if let Some(target) = targets.iter().find(|target| !exports::is_run(**target)) {
        return Err(Failure::Input(format!("exports to {target} are nothing that can be run")));
    }
    let report = conformance::measure(&entries, &targets, &arguments.python, arguments.keep.as_deref(), |what| {
        let _ = writeln!(std::io::stderr(), "{what}");
    })?;
    let table = report.markdown(&entries.iter().map(|entry| entry.name).collect::<Vec<&str>>(), conformance::tolerance);
    if let Some(path) = &arguments.markdown {
        files::write(path, &document(&report, &table))?;
    }
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        out.write_all(b"\n")?;
    } else {
        out.write_all(table.as_bytes())?;
    }
    let faults = report.faults(conformance::tolerance);
    if faults.is_empty() { Ok(()) } else { Err(Failure::Work(format!("outside of the tolerance:\n{}", faults.join("\n")))) }
}

fn entries(names: &[String]) -> Result<Vec<&'static ZooEntry>, Failure> {
    if names.is_empty() {
        return Ok(symopt_programs::zoo().iter().collect());
    }
    let find = |name: &String| {
        symopt_programs::find(name).ok_or_else(|| {
            let hint = symopt_programs::nearest(name).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
            Failure::Input(format!("there is no program `{name}` in the zoo{hint} (`symopt programs` lists them)"))
        })
    };
    names.iter().map(find).collect()
}

/// The table with what its reader has to know.
fn document(report: &Report, table: &str) -> String {
    let cases: String = case::cases().iter().map(|case| format!("- **{}**: {}\n", case.name, case.about)).collect();
    let tolerances: String =
        report.engines().into_iter().map(|engine| format!("- **{engine}**: {}\n", conformance::tolerance(engine).explained())).collect();
    format!(
        "# Every program in every engine\n\nThe largest deviation from the reference interpreter in f32 after {} steps, over five cases and over the \
         weights and each slot, as a share of the largest number there. `0`: every bit is the same. Made by `symopt conformance --markdown \
         docs/conformance.md`.\n\n{table}\nThe cases, each with parameter arrays of the shapes 5×3, 7, a single number, 1 and 2×3×4:\n\n{cases}\nHow far \
         an engine may be away, by its order of rounding:\n\n{tolerances}",
        case::STEPS
    )
}
