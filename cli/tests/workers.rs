//! Searches whose training runs are done by other processes, by way of a real server: the one of
//! `.ci/nats-server`.
//!
//! ```sh
//! cargo test -p symopt --test workers -- --include-ignored
//! ```

#![cfg(all(unix, feature = "nats"))]

mod common;

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use common::{run, symopt};
use symopt_search::journal::Journal;
use symopt_testing::nats::Server;

/// A process that is killed when it is dropped.
struct Process(Child);

impl Process {
    fn new(directory: &Path, arguments: &[&str]) -> Process {
        Process(symopt(directory).args(arguments).spawn().unwrap())
    }

    fn signal(&self, signal: &str) {
        let number = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &number]).status().unwrap().success());
    }

    /// The exit code and what it wrote to its standard error stream.
    fn end(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        let mut errors = self.0.stderr.take().unwrap();
        std::io::Read::read_to_string(&mut errors, &mut text).unwrap();
        (self.0.wait().unwrap().code(), text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn worker(directory: &Path, server: &Server, name: &str) -> Process {
    let url = server.url();
    let terms = ["worker", "--server", &url, "--slots", "1", "--name", name, "--idle-exit", "2m"];
    Process::new(directory, &terms)
}

const SEARCH: [&str; 12] = [
    "search",
    "--suite",
    "smoke",
    "--programs",
    "6000",
    "--seed",
    "5",
    "--held-out",
    "4",
    "--json",
    "--log-every",
    "0",
];

fn contents(store: &Path) -> String {
    Journal::open(store).unwrap().contents().unwrap()
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn a_search_by_two_worker_processes_is_that_of_threads_while_all_are_killed() {
    let (directory, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = directory.path();
    let plain = run(here, &[&SEARCH[..], &["--store", "plain"]].concat());
    assert_eq!(plain.code, Some(0), "{}", plain.stderr);
    let mut server = Server::start(store.path());
    let url = server.url();
    let first = worker(here, &server, "first");
    let killed = worker(here, &server, "killed");
    let asked = [&SEARCH[..], &["--store", "asked", "--server", &url]].concat();
    let mut search = Process::new(here, &asked);
    wait_for(|| has_begun(&here.join("asked")));
    // A worker, the server, and whoever asks.
    drop(killed);
    let second = worker(here, &server, "second");
    std::thread::sleep(Duration::from_millis(300));
    server.kill();
    std::thread::sleep(Duration::from_millis(300));
    server.restart();
    std::thread::sleep(Duration::from_millis(300));
    assert!(search.0.try_wait().unwrap().is_none(), "the search ended before it was killed");
    drop(search);
    let ended = run(
        here,
        &["resume", "asked", "--held-out", "4", "--json", "--log-every", "0", "--server", &url],
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(contents(&here.join("plain")) == contents(&here.join("asked")), "the journals differ");
    let numbers = |text: &str| {
        let report: serde_json::Value = serde_json::from_str(text).unwrap();
        (report["best"].clone(), report["statistics"].clone(), report["comparison"].clone())
    };
    assert_eq!(numbers(&plain.stdout), numbers(&ended.stdout));
    // The signals that a scheduler sends.
    for (worker, signal) in [(first, "-TERM"), (second, "-USR1")] {
        worker.signal(signal);
        let (code, said) = worker.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("takes no more") && said.contains("ends after"), "{said}");
    }
}

fn has_begun(store: &Path) -> bool {
    Journal::is_at(store)
}

fn wait_for(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn servers_and_terms_that_will_not_do_are_refused_with_a_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    for (arguments, code, expected) in [
        (&["worker", "--server", "nats://192.0.2.1:4222"][..], 2, "tls://"),
        (&["worker", "--server", "not a url"], 2, "nats://HOST:PORT"),
        (&["worker", "--server", "nats://127.0.0.1:1"], 1, "nats-server -js"),
        (&["worker", "--server", "nats://127.0.0.1:1", "--class", "a.b"], 2, "letters"),
        (&["worker", "--server", "nats://127.0.0.1:1", "--idle-exit", "10"], 2, "90s, 10m or 2h"),
        (&["worker", "--server", "nats://127.0.0.1:1", "--server-key", "none"], 2, "none"),
        (&["search", "--suite", "smoke", "--server", "nats://127.0.0.1:1"], 1, "nats-server -js"),
        (&["search", "--suite", "smoke", "--class", "gpu"], 2, "--server"),
    ] {
        let ended = run(here, arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{arguments:?}: {}", ended.stderr);
    }
    assert!(!here.join("runs").exists());
}
