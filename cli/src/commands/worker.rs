//! `symopt worker`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::options;
use crate::workers::CLASS;

#[derive(Args)]
pub struct Arguments {
    /// NATS server that jobs come from: nats://HOST:PORT on this machine, tls://HOST:PORT beyond it
    #[arg(long, value_name = "URL")]
    server: String,
    /// File with the key that the server knows this worker by, as `symopt cluster init` writes it
    #[arg(long, value_name = "FILE")]
    server_key: Option<PathBuf>,
    /// Class of the jobs: cpu, gpu or any name that searches have with --class
    #[arg(long, value_name = "NAME", default_value = CLASS)]
    class: String,
    /// Jobs at a time; by default one for each core, and 1 with a command
    #[arg(long, value_name = "N", value_parser = options::between::<1, 1024>, allow_negative_numbers = true)]
    slots: Option<u16>,
    /// End after so long without a job, such as 90s, 10m or 2h; by default a worker waits for more
    #[arg(long, value_name = "TIME", value_parser = options::time)]
    idle_exit: Option<Duration>,
    /// Command for external tasks, in place of the one of the suite, which is never run here. Each
    /// slot has a CUDA device of its own (CUDA_VISIBLE_DEVICES) and a process group of its own
    #[arg(long, value_name = "COMMAND")]
    task_command: Option<String>,
    /// Give a job up that takes longer
    #[arg(long, value_name = "TIME", value_parser = options::time, default_value = "6h")]
    job_limit: Duration,
    /// Name that others see; by default that of the machine, and the number of the process
    #[arg(long, value_parser = options::name)]
    name: Option<String>,
}

#[cfg(not(feature = "nats"))]
pub fn run(_: Arguments) -> Result<(), Failure> {
    Err(crate::workers::without())
}

#[cfg(feature = "nats")]
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    use symopt_cancel::CancelToken;
    use symopt_machines::courier::{
        CourierError, Link, Served, Terms, drain_on_signals, reach, serve,
    };
    use symopt_machines::probe::Probe;

    use crate::progress;

    let (drain, cancel) = (CancelToken::new(), CancelToken::new());
    drain_on_signals(&drain, &cancel, &|is_first| {
        progress::note(match is_first {
            true => {
                "ends with the jobs that it has, and takes no more; once more gives them back too"
            }
            false => "gives back the jobs that it has",
        });
    })?;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let slots = match (arguments.slots, &arguments.task_command) {
        (Some(slots), _) => usize::from(slots),
        (None, Some(_)) => 1,
        (None, None) => cores(),
    };
    let terms = Terms {
        link: Link { url: arguments.server, key: arguments.server_key },
        class: arguments.class,
        name: arguments.name.unwrap_or_else(usual_name),
        slots,
        idle_exit: arguments.idle_exit,
        command: arguments.task_command,
        limit: arguments.job_limit,
        probe: Probe::here(&cancel).map_err(CourierError::Probe)?,
    };
    reach(&terms)?;
    progress::note(&format!(
        "worker {} of the class {} with {} waits for jobs at {}",
        terms.name,
        terms.class,
        if slots == 1 { "1 slot".to_owned() } else { format!("{slots} slots") },
        terms.link.url
    ));
    let Served { jobs, .. } = serve(&terms, &drain, &cancel)?;
    progress::note(&format!("worker {} ends after {jobs} jobs", terms.name));
    Ok(())
}

/// The name of the machine and the number of the process.
#[cfg(feature = "nats")]
fn usual_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let host: String = host.trim().chars().filter(fits).take(60).collect();
    let host = if host.is_empty() { "worker".to_owned() } else { host };
    format!("{host}-{}", std::process::id())
}
