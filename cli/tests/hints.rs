//! Recommended commands can be typed in as they stand: every command that is printed is run by a
//! shell, as it was printed.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::{Ended, copy, run, run_with, symopt};

/// A name that a shell would take apart.
const STORE: &str = "it's \"my\" $(store) `x`";

/// The commands that a text recommends: whole lines, and those within backquotes.
fn commands(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("symopt "));
    let quoted = text.split("`symopt ").skip(1).map(|rest| {
        // A quoted name may hold backquotes itself.
        let (mut quote, mut escaped) = (None, false);
        let end = rest.find(|c| {
            let is_escaped = std::mem::replace(&mut escaped, c == '\\' && quote != Some('\''));
            match c {
                _ if is_escaped => escaped = false,
                '\'' | '"' if quote == Some(c) => quote = None,
                '\'' | '"' if quote.is_none() => quote = Some(c),
                '`' => return quote.is_none(),
                _ => {}
            }
            false
        });
        format!("symopt {}", &rest[..end.unwrap_or(rest.len())])
    });
    lines.map(str::to_owned).chain(quoted).collect()
}

/// Runs what a shell makes of a text.
fn shell(directory: &Path, script: &str) -> Ended {
    let binary = Path::new(env!("CARGO_BIN_EXE_symopt")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).current_dir(directory).env("PATH", path).env("NO_COLOR", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    run_with(command, b"")
}

/// Runs `symopt ARGUMENTS`, and then, each in a copy of what is there, all that it recommends.
/// Gives the names of the commands that were recommended.
fn follow(directory: &Path, arguments: &[&str], code: i32) -> Vec<String> {
    let ended = run(directory, &[&["--log-every", "0"], arguments].concat());
    assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
    let mut names = Vec::new();
    for (number, command) in
        commands(&format!("{}\n{}", ended.stdout, ended.stderr)).into_iter().enumerate()
    {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().join(number.to_string());
        copy(directory, &place);
        // A funnel goes through suites that take minutes, if nobody says otherwise.
        let bound =
            if command.starts_with("symopt funnel ") { " --through smoke --keep 1" } else { "" };
        let followed = shell(&place, &format!("{command}{bound}"));
        assert_eq!(followed.code, Some(0), "{arguments:?} says {command}\n{}", followed.stderr);
        names.push(command.split(' ').nth(1).unwrap().to_owned());
    }
    names
}

const SEARCH: &[&str] = &["search", "--suite", "smoke", "--population", "40", "--threads", "1"];

#[test]
fn what_a_search_and_its_resumption_recommend_runs_as_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let given = format!("--store={STORE}");
    let search = [SEARCH, &["--programs", "300", "--held-out", "2"], &[given.as_str()]].concat();
    assert_eq!(follow(path, &search, 0), ["inspect", "resume", "simplify", "train"]);
    // A short search is among the runs with all that it found.
    let runs = run(path, &["runs", ".", "--json"]);
    let runs: serde_json::Value = serde_json::from_str(&runs.stdout).unwrap();
    assert!((250..=300).contains(&runs[0]["programs"].as_u64().unwrap()), "{runs}");
    assert!(runs[0]["evaluated"].as_u64().unwrap() > 20 && !runs[0]["best"].is_null(), "{runs}");
    let resume = ["resume", STORE, "--programs", "500", "--held-out", "2", "--threads", "1"];
    assert_eq!(follow(path, &resume, 0), ["inspect", "resume", "simplify", "train"]);
    // The same work under another name, and another search in the same place.
    let again = [SEARCH, &["--programs", "300", "--held-out", "0", "--store=other"]].concat();
    assert!(follow(path, &again, 0).contains(&"resume".to_owned()));
    let taken = [SEARCH, &["--seed", "9", given.as_str()]].concat();
    assert_eq!(follow(path, &taken, 2), ["resume"]);
    // The end of the log is lost.
    let log = path.join(STORE).join("journal/log");
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(follow(path, &["resume", STORE], 2), ["resume"]);
    let unknown = follow(path, &["inspect", &format!("{STORE}:no-hash")], 2);
    assert!(unknown.len() < 2, "{unknown:?}");
}

#[test]
fn what_campaigns_funnels_reports_and_landscapes_recommend_runs_as_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let given = format!("--store={STORE}");
    let campaign = ["--programs", "200", "--repeats", "2", "--held-out", "2", given.as_str()];
    let campaign = [SEARCH, &campaign].concat();
    let recommended = follow(path, &campaign, 0);
    assert!(["funnel", "inspect"].iter().all(|name| recommended.iter().any(|r| r == name)));
    let resume = ["resume", STORE, "--held-out", "2", "--threads", "1"];
    assert_eq!(follow(path, &resume, 0), recommended);
    let funnel = ["funnel", STORE, "--through", "smoke", "--keep", "2", "--threads", "1"];
    follow(path, &funnel, 0);
    let stores = [format!("{STORE}/repeat-1"), format!("{STORE}/repeat-2")];
    let report =
        [&["report"], &[stores[0].as_str(), &stores[1]][..], &["-o", "out", "--seeds", "2"]];
    follow(path, &report.concat(), 0);
    // The page says how it was made.
    let page = fs::read_to_string(path.join("out/report.md")).unwrap();
    let made = page.lines().find(|line| line.starts_with("symopt ")).unwrap();
    let again = shell(path, made);
    assert_eq!(again.code, Some(0), "{made}\n{}", again.stderr);
    assert_eq!(fs::read_to_string(path.join("out/report.md")).unwrap(), page);
    let landscape = ["tasks", "--landscape", "smoke", "--program", "sgd", "--seeds", "2"];
    let few = ["--tuning-seeds", "1", "--budget", "8", "--markdown", "map.md"];
    follow(path, &[&landscape[..], &few].concat(), 0);
    let tune = ["tune", "--task", "smoke/smoke-linear", "--program", "sgd", "--budget", "8"];
    follow(path, &tune, 0);
    assert!(symopt(path).arg("--version").output().unwrap().status.success());
}
