//! Searches whose training runs are done by other processes, by way of a real server: the one of
//! `.ci/nats-server`.
//!
//! ```sh
//! cargo test -p symopt --test workers -- --include-ignored
//! SYMOPT_KILLS=100 cargo test -p symopt --test workers -- --include-ignored kills   # hours
//! ```

#![cfg(all(unix, feature = "nats"))]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{run, symopt};
use symopt_search::journal::Journal;
use symopt_testing::nats::Server;

/// A process that is killed when it is dropped.
struct Process(Child);

impl Process {
    fn new(directory: &Path, arguments: &[&str]) -> Process {
        // Nobody reads what it prints, which may be more than a pipe holds.
        let mut command = symopt(directory);
        Process(command.args(arguments).stdout(Stdio::null()).spawn().unwrap())
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

/// Random numbers, the same in each run (SplitMix64, Steele et al. 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % limit
    }
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn kills_at_random_times_change_nothing_in_both_modes_of_the_server() {
    let kills: u64 = std::env::var("SYMOPT_KILLS").map_or(6, |kills| kills.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    // Each kill costs the search some seconds, in which it does little.
    let programs = (2000 * kills).to_string();
    let search = [&["search", "--programs", &programs][..], &SEARCH[1..3], &SEARCH[5..]].concat();
    let plain = run(here, &[&search[..], &["--store", "plain"]].concat());
    assert_eq!(plain.code, Some(0), "{}", plain.stderr);
    let expected = contents(&here.join("plain"));
    let always = here.join("always.conf");
    std::fs::write(&always, "jetstream { sync_interval: always }\n").unwrap();
    for (mode, options) in [("usual", &[][..]), ("always", &["-c", always.to_str().unwrap()])] {
        let (store, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut server = Server::with(store.path(), options);
        let url = server.url();
        let mut random = Random(kills);
        let mut workers: Vec<Process> =
            (0..2).map(|number| worker(here, &server, &format!("{mode}-{number}"))).collect();
        let asked = [&search[..], &["--store", mode, "--server", &url]].concat();
        let mut process = Process::new(here, &asked);
        wait_for(|| has_begun(&here.join(mode)));
        let resume = ["resume", mode, "--held-out", "4", "--json", "--server", &url];
        for kill in 0..kills {
            std::thread::sleep(Duration::from_millis(random.below(700)));
            match random.below(3) {
                0 => {
                    let which = usize::from(random.below(2) == 1);
                    workers[which] = worker(here, &server, &format!("{mode}-kill-{kill}"));
                }
                1 => {
                    server.kill();
                    // Once all that it kept is lost.
                    match kill == kills / 2 {
                        true => server.restart_without(empty.path()),
                        false => server.restart(),
                    }
                }
                _ => {
                    drop(process);
                    process = Process::new(here, &resume);
                }
            }
        }
        // Workers that were started while the server was away have ended.
        drop((process, workers));
        let _workers = [worker(here, &server, "last-1"), worker(here, &server, "last-2")];
        let ended = run(here, &resume);
        assert_eq!(ended.code, Some(0), "{mode}: {}", ended.stderr);
        assert!(contents(&here.join(mode)) == expected, "{mode}: the journals differ");
    }
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn the_demonstration_ends_with_two_equal_journals() {
    let directory = tempfile::tempdir().unwrap();
    let server = symopt_testing::nats::program();
    let demo = ["cluster", "demo", "--nats-server", &server, "--programs", "6000"];
    let ended = run(directory.path(), &demo);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("equal, bit for bit"), "{}", ended.stdout);
    let none = run(directory.path(), &["cluster", "demo", "--nats-server", "./none"]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
    assert!(none.stderr.contains("--nats-server"), "{}", none.stderr);
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn keys_open_what_they_should_and_nothing_else() {
    let (directory, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = directory.path();
    let made = run(here, &["cluster", "init", "c"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(made.stdout.contains("nats-server -c"), "{}", made.stdout);
    let again = run(here, &["cluster", "init", "c"]);
    assert_eq!(again.code, Some(2), "{}", again.stderr);
    // The server of the tests has its store elsewhere.
    let text = std::fs::read_to_string(here.join("c/server.conf")).unwrap();
    let lines = text.lines().filter(|line| !line.contains("store_dir"));
    let configuration = here.join("server.conf");
    std::fs::write(&configuration, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let server = Server::with(store.path(), &["-c", configuration.to_str().unwrap()]);
    let url = server.url();
    let key = |name: &str| here.join("c").join(name).display().to_string();
    let (asks, works) = (key("coordinator.nk"), key("worker.nk"));
    let terms = ["worker", "--server", &url, "--server-key", &works, "--name", "w"];
    let worker = Process::new(here, &terms);
    let search = [&SEARCH[..], &["--store", "s", "--server", &url, "--server-key", &asks]].concat();
    let search = Process::new(here, &search);
    wait_for(|| {
        let status = ["cluster", "status", "--json", "--server", &url, "--server-key", &asks];
        let status = run(here, &status);
        assert_eq!(status.code, Some(0), "{}", status.stderr);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        let worker = &status["workers"][0];
        worker["name"] == "w" && worker["jobs"].as_u64() > Some(0)
    });
    let (code, said) = search.end();
    assert_eq!(code, Some(0), "{said}");
    drop(worker);
    // A worker can't ask, and nobody comes in without a key.
    for refused in [&["--server-key", &works][..], &[]] {
        let asked = [&SEARCH[..], &["--store", "t", "--server", &url], refused].concat();
        let asked = run(here, &asked);
        assert_eq!(asked.code, Some(1), "{}", asked.stderr);
    }
}

/// The stand-in for a training script, which misbehaves with some programs, the same ones each time.
fn script() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../proxy-tasks/tests/external/script.py");
    format!("exec python3 '{path}' mixed log")
}

#[test]
#[ignore = "it starts the server of .ci/nats-server: `.ci/run` runs it"]
fn a_search_by_a_command_of_workers_is_that_of_threads_failures_and_all() {
    let (directory, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, command) = (directory.path(), script());
    let server = Server::start(store.path());
    let url = server.url();
    let task = ["--task-command", &command, "--task-seconds", "1", "--task-steps", "2"];
    let seeds = ["--task-checkpoints", "2", "--task-seeds", "1", "--task-tune", "20"];
    let size = ["--population", "20", "--programs", "60", "--seed", "11", "--held-out", "0"];
    let search = [&["search"][..], &task, &seeds, &size, &["--json", "--log-every", "0"]].concat();
    let plain = run(here, &[&search[..], &["--store", "plain"]].concat());
    assert_eq!(plain.code, Some(0), "{}", plain.stderr);
    let _workers = ["first", "second"].map(|name| {
        let terms = ["worker", "--server", &url, "--slots", "1", "--name", name];
        Process::new(here, &[&terms[..], &["--task-command", &command]].concat())
    });
    let asked = run(here, &[&search[..], &["--store", "asked", "--server", &url]].concat());
    assert_eq!(asked.code, Some(0), "{}", asked.stderr);
    let numbers = |text: &str| {
        let report: serde_json::Value = serde_json::from_str(text).unwrap();
        assert!(report["statistics"]["failed"].as_u64().unwrap() > 0, "{report}");
        (report["best"].clone(), report["statistics"].clone(), report["failures"].clone())
    };
    assert_eq!(numbers(&plain.stdout), numbers(&asked.stdout));
    let [plain, asked] = ["plain", "asked"].map(|name| evaluations(&contents(&here.join(name))));
    assert!(plain.len() > 20 && plain == asked, "the evaluations differ");
}

/// The evaluations of a journal. Where a script answered nonsense, it quotes the number of the
/// request, which each process counts by itself.
fn evaluations(contents: &str) -> Vec<serde_json::Value> {
    let of_line = |line: &str| {
        let mut evaluation: serde_json::Value =
            serde_json::from_str(line.strip_prefix("evaluation/")?.split_once('\t')?.1).unwrap();
        if let Some(failure) = evaluation["failure"].as_object_mut() {
            failure.remove("reason");
        }
        Some(evaluation)
    };
    contents.lines().filter_map(of_line).collect()
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
