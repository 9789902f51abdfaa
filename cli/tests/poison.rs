//! Programs that end the workers that have them, by way of a real server. It takes minutes, as a
//! worker counts as lost once it has been silent for half a minute:
//!
//! ```sh
//! cargo test -p symopt --test poison -- --include-ignored
//! ```

#![cfg(all(unix, feature = "nats"))]

mod common;

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use common::{run, symopt};
use symopt_testing::nats::Server;

/// The stand-in for a training script. With a few programs it kills the worker that it works for,
/// and it misbehaves with some others.
fn command() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../proxy-tasks/tests/external/script.py");
    format!("WORKER=$PPID exec python3 '{path}' poison log")
}

fn start(here: &Path, url: &str, name: &str) -> Child {
    let terms = ["worker", "--server", url, "--slots", "1", "--name", name, "--task-command"];
    let mut worker = symopt(here);
    worker.args(terms).arg(command()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
#[ignore = "it takes minutes, and starts the server of .ci/nats-server"]
fn programs_that_kill_workers_fail_once_each_and_all_others_finish() {
    let (directory, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = directory.path();
    let server = Server::start(store.path());
    let (url, command) = (server.url(), command());
    let task = ["--task-command", &command, "--task-seconds", "1", "--task-steps", "2"];
    let seeds = ["--task-checkpoints", "2", "--task-seeds", "1", "--task-tune", "20"];
    let size = ["--population", "20", "--programs", "100", "--seed", "11", "--held-out", "0"];
    let terms = ["--json", "--log-every", "0", "--store", "store", "--server", &url];
    let search = [&["search"][..], &task, &seeds, &size, &terms].concat();
    let (has_ended, deaths) = (AtomicBool::new(false), AtomicU32::new(0));
    let ended = std::thread::scope(|scope| {
        for number in 0..3 {
            let (has_ended, deaths, url) = (&has_ended, &deaths, &url);
            // As a scheduler does: one that died is started again.
            scope.spawn(move || {
                let mut worker = start(here, url, &format!("{number}-0"));
                while !has_ended.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(100));
                    if worker.try_wait().unwrap().is_some() {
                        let death = deaths.fetch_add(1, Ordering::Relaxed) + 1;
                        worker = start(here, url, &format!("{number}-{death}"));
                    }
                }
                let _ = worker.kill();
                let _ = worker.wait();
            });
        }
        let ended = run(here, &search);
        has_ended.store(true, Ordering::Relaxed);
        ended
    });
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["statistics"]["generated"], 100, "{report}");
    let failures = report["failures"].as_array().unwrap();
    let of = |kind: &str| {
        let found = failures.iter().find(|failure| failure["kind"] == kind);
        found.map_or(0, |failure| failure["count"].as_u64().unwrap())
    };
    let (lost, deaths) = (of("lost"), u64::from(deaths.into_inner()));
    assert!(lost > 0 && of("timeout") > 0, "{failures:?}");
    // Each of them has ended a few workers, and no more.
    assert!((3 * lost..=6 * lost).contains(&deaths), "{lost} programs, {deaths} deaths");
}
