//! `symopt cluster`

mod demo;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::options;

#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Write the configuration of a NATS server and the keys of searches and workers into DIR, and
    /// print the commands that start them
    Init(Init),
    /// Show the workers, what they did, and the jobs that wait
    Status(Status),
    /// Show a cluster at work on this machine: a search by three workers, with all that can be
    /// killed killed and started again, and the same search in threads
    Demo(demo::Arguments),
}

#[derive(Args)]
struct Init {
    /// Directory, which is made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Host that the server listens on; any but this machine needs a certificate
    #[arg(long, default_value = "127.0.0.1", value_parser = options::name)]
    host: String,
    /// Port
    #[arg(long, default_value_t = 4222, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Certificate of the server, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of the certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

#[derive(Args)]
struct Status {
    /// NATS server: nats://HOST:PORT on this machine, tls://HOST:PORT beyond it
    #[arg(long, value_name = "URL")]
    server: String,
    /// File with the key of searches, as `symopt cluster init` writes it
    #[arg(long, value_name = "FILE")]
    server_key: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[cfg(not(feature = "nats"))]
pub fn run(_: Arguments) -> Result<(), Failure> {
    Err(crate::workers::without())
}

#[cfg(feature = "nats")]
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.action {
        Action::Init(arguments) => init(arguments),
        Action::Status(arguments) => status(arguments),
        Action::Demo(arguments) => demo::run(&arguments),
    }
}

#[cfg(feature = "nats")]
fn init(arguments: Init) -> Result<(), Failure> {
    use symopt_dsl::shell::Command;
    use symopt_machines::courier::cluster::{Listen, set_up};

    let tls = arguments.tls_cert.zip(arguments.tls_key);
    let listen = Listen { host: arguments.host, port: arguments.port, tls };
    let cluster =
        set_up(&arguments.directory, &listen).map_err(|error| Failure::Input(error.to_string()))?;
    let mut out = crate::terminal::output();
    writeln!(out, "written: {}", cluster.configuration.display())?;
    writeln!(out, "the key of searches: {}", cluster.coordinator.display())?;
    writeln!(out, "the key of workers, for their machines: {}\n", cluster.worker.display())?;
    let with = |name: &str, key: &std::path::Path| {
        Command::new(name).option("--server", &cluster.url).option("--server-key", key.display())
    };
    let configuration = symopt_dsl::shell::quoted(&cluster.configuration);
    writeln!(out, "the server:  nats-server -c {configuration}")?;
    writeln!(out, "a worker:    {}", with("worker", &cluster.worker))?;
    writeln!(out, "a search:    {}", with("search", &cluster.coordinator))?;
    Ok(())
}

#[cfg(feature = "nats")]
fn status(arguments: Status) -> Result<(), Failure> {
    use symopt_machines::courier::{Link, cluster};

    use crate::table;

    let link = Link { url: arguments.server, key: arguments.server_key };
    let status = cluster::status(&link)?;
    let mut out = crate::terminal::output();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &status)?;
        return Ok(out.write_all(b"\n")?);
    }
    writeln!(out, "{}: NATS server {}, {} answers kept", link.url, status.server, status.answers)?;
    let texts = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
    let mut lines: Vec<Vec<String>> = vec![texts(&["CLASS", "WAITING", "IN WORK", "GIVEN AGAIN"])];
    for queue in &status.queues {
        lines.push(vec![
            queue.class.clone(),
            queue.waiting.to_string(),
            queue.in_work.to_string(),
            queue.given_again.to_string(),
        ]);
    }
    writeln!(out)?;
    table::print(&mut out, &lines, &[1, 2, 3], &[])?;
    let mut lines: Vec<Vec<String>> =
        vec![texts(&["WORKER", "CLASS", "BUSY", "SLOTS", "JOBS", "A MINUTE", "FAILED"])];
    for worker in &status.workers {
        let rate = worker.jobs as f64 * 60.0 / worker.seconds.max(1) as f64;
        lines.push(vec![
            worker.name.clone(),
            worker.class.clone(),
            worker.busy.to_string(),
            worker.slots.to_string(),
            worker.jobs.to_string(),
            format!("{rate:.1}"),
            worker.failed.to_string(),
        ]);
    }
    writeln!(out)?;
    table::print(&mut out, &lines, &[2, 3, 4, 5, 6], &[])?;
    Ok(())
}
