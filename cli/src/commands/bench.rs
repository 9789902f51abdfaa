//! `symopt bench`

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use symopt_benchmark::Settings;
use symopt_benchmark::cell::Cell;
use symopt_benchmark::report::Report;
use symopt_benchmark::size::Size;
use symopt_benchmark::target::{Bound, Target, Value, Verdict};
use symopt_pages::results;
use symopt_programs::ZooEntry;

use crate::failure::Failure;
use crate::progress::CellLine;
use crate::{files, interrupt, options, table, terminal, words};

#[derive(Args)]
pub struct Arguments {
    /// Program of the zoo to measure; all of them if none is given
    #[arg(long = "program", value_name = "NAME", value_parser = zoo_program)]
    programs: Vec<&'static ZooEntry>,
    /// Number of parameters, such as 1000, 64Ki or 1Mi; by default 4Ki, 64Ki, 1Mi and 16Mi, AdamW
    /// at 1000 and Lion over 200 arrays
    #[arg(long = "size", value_name = "SIZE", value_parser = size, allow_negative_numbers = true)]
    sizes: Vec<Size>,
    /// Number of threads; by default 1 and, where there is more than one core, 2
    #[arg(long, value_name = "N", value_parser = options::between::<1, 1024>, allow_negative_numbers = true)]
    threads: Vec<u16>,
    /// Time to measure each engine for, at each size and number of threads
    #[arg(long, value_name = "SECONDS", default_value_t = 0.15, value_parser = options::seconds, allow_negative_numbers = true)]
    seconds: f64,
    /// Measure the reference interpreter at sizes where it takes long, too
    #[arg(long)]
    reference_all: bool,
    /// Leave out the plain C loops
    #[arg(long)]
    no_c: bool,
    /// Measure the optimizers of the libraries that a Python interpreter has, too: NumPy, Optax,
    /// PyTorch
    #[arg(long, value_name = "PYTHON")]
    peers: Option<OsString>,
    /// Write a page for a browser into FILE: all in one file, with a figure for each size and number
    /// of threads
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn zoo_program(name: &str) -> Result<&'static ZooEntry, String> {
    symopt_programs::find(name).ok_or_else(|| match symopt_programs::nearest(name) {
        Some(nearest) => format!("the zoo has no program of this name (did you mean `{nearest}`?)"),
        None => "the zoo has no program of this name; `symopt programs` lists them".to_owned(),
    })
}

fn size(text: &str) -> Result<Size, String> {
    text.parse().map_err(|error: symopt_benchmark::size::SizeError| error.to_string())
}

/// The values without those that were there before, in their order.
fn distinct<T: Copy, K: PartialEq>(values: &[T], key: impl Fn(T) -> K) -> Vec<T> {
    let mut distinct: Vec<T> = Vec::new();
    for value in values {
        if !distinct.iter().any(|other| key(*other) == key(*value)) {
            distinct.push(*value);
        }
    }
    distinct
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments.html.iter().try_for_each(|path| files::check_writable(path))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let programs = distinct(&arguments.programs, |entry| entry.name);
    let sizes = distinct(&arguments.sizes, |size| size);
    let threads = distinct(&arguments.threads, |threads| threads);
    let compiled = symopt_programs::zoo().iter().filter(|entry| entry.is_compiled()).collect();
    let settings = Settings {
        programs: if programs.is_empty() { compiled } else { programs },
        sizes: (!sizes.is_empty()).then_some(sizes),
        threads: if threads.is_empty() {
            (1..=cores.min(2)).collect()
        } else {
            threads.into_iter().map(usize::from).collect()
        },
        seconds: arguments.seconds,
        reference_all: arguments.reference_all,
        c: !arguments.no_c,
        python: arguments.peers,
    };
    let cancel = interrupt::token()?;
    let line = CellLine::new();
    let result = symopt_benchmark::run(&settings, &mut |progress| line.draw(&progress), &cancel);
    line.finish();
    let report = result?;
    if let Some(path) = &arguments.html {
        files::write(path, &results::benchmark(&report, &words::of_page()).html())?;
    }
    let mut out = terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        return Ok(out.write_all(b"\n")?);
    }
    print(&mut out, &report)?;
    if let Some(path) = &arguments.html {
        writeln!(out, "\nwritten: {}", path.display())?;
    }
    Ok(())
}

fn print(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let Report { machine, .. } = report;
    let cores =
        if machine.cores == 1 { "1 core".to_owned() } else { format!("{} cores", machine.cores) };
    table::paragraph(out, &format!("machine: {}, {cores}, {}", machine.processor, machine.simd))?;
    if let Some(compiler) = &report.c_compiler {
        table::paragraph(out, &format!("C loops: {compiler}"))?;
    }
    if !report.complete {
        writeln!(out, "interrupted: not all was measured")?;
    }
    for note in &report.notes {
        table::paragraph(out, &format!("note: {note}"))?;
    }
    writeln!(out)?;
    print_cells(out, &report.cells)?;
    writeln!(out)?;
    print_targets(out, &report.targets)
}

fn print_cells(out: &mut impl Write, cells: &[Cell]) -> std::io::Result<()> {
    let heading =
        ["PROGRAM", "SIZE", "THREADS", "ENGINE", "STEP", "NS/PARAM", "GB/S", "BANDWIDTH", "RATIO"];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    for cell in cells {
        let limit = cell
            .bandwidth_gigabytes_per_second
            .map_or_else(|| "-".to_owned(), |limit| format!("{limit:.1}"));
        for row in &cell.rows {
            lines.push(vec![
                cell.program.to_owned(),
                cell.parameters.to_string(),
                cell.threads.to_string(),
                if row.arrays == 1 {
                    row.name.clone()
                } else {
                    format!("{}, {} arrays", row.name, row.arrays)
                },
                time(row.nanoseconds_per_step),
                format!("{:.3}", row.nanoseconds_per_parameter),
                format!("{:.1}", row.gigabytes_per_second),
                limit.clone(),
                row.ratio_to_bandwidth
                    .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            ]);
        }
    }
    table::print(out, &lines, &[1, 2, 4, 5, 6, 7, 8], &[(3, usize::MAX)])?;
    table::paragraph(
        out,
        "\nmedians; BANDWIDTH is this machine's, in GB/s, for the array traffic of the program with next to no arithmetic, at the\n\
         same size and threads, and RATIO the time over that of this traffic, round by round",
    )
}

/// A time in a unit in which it is easy to read.
fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ..1e3 => (nanoseconds, "ns"),
        ..1e6 => (nanoseconds / 1e3, "µs"),
        ..1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    format!("{value:.*} {unit}", if value < 10.0 { 2 } else { 1 })
}

fn print_targets(out: &mut impl Write, targets: &[Target]) -> std::io::Result<()> {
    let mut lines =
        vec![["TARGET", "LIMIT", "WORST", "VERDICT", "MEASURED"].map(str::to_owned).to_vec()];
    for target in targets {
        let unit = target.unit;
        let value = |value: &Value| format!("{} {:.2}", value.place, value.value);
        let missing = target.missing.iter().map(|place| format!("{place} -"));
        let measured: Vec<String> = target.values.iter().map(value).chain(missing).collect();
        lines.push(vec![
            target.what.clone(),
            format!(
                "{} {} {unit}",
                if target.bound == Bound::AtMost { "≤" } else { "≥" },
                target.limit
            ),
            target
                .worst()
                .map_or_else(|| "-".to_owned(), |worst| format!("{:.2} {unit}", worst.value)),
            match target.verdict {
                Verdict::Met => "met",
                Verdict::Missed => "MISSED",
                Verdict::NotMeasured => "not measured",
            }
            .to_owned(),
            measured.join(", "),
        ]);
    }
    table::print(out, &lines, &[1, 2], &[(0, 36), (4, 38)])
}
