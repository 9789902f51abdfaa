//! The README shows what its commands print.

mod common;

use std::path::Path;

use common::symopt;

/// The transcripts of the README: blocks of `text` that begin with a command, as (command, output) in order.
fn transcripts(readme: &str) -> Vec<Vec<(String, String)>> {
    let blocks = readme.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    let sessions = blocks.filter(|block| block.starts_with("$ symopt "));
    sessions
        .map(|session| {
            let parts = session.split("$ ").filter(|part| !part.is_empty());
            parts.filter_map(|part| part.split_once('\n')).map(|(command, output)| (command.to_owned(), output.to_owned())).collect()
        })
        .collect()
}

/// Runs the commands of a block in one directory, as a reader would.
fn check(commands: &[(String, String)]) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("docs")).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_symopt"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    for (command, expected) in commands {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", command]).current_dir(directory.path()).env("PATH", &path).env("NO_COLOR", "1").env_remove("COLUMNS");
        let output = shell.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(&printed, expected, "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_transcripts_of_the_readme_are_what_the_commands_print() {
    // The rediscovery takes minutes, and its times differ.
    let readme = include_str!("../../README.md");
    let sessions: Vec<_> = transcripts(readme).into_iter().filter(|session| !session[0].0.contains("rediscover")).collect();
    assert!(sessions.len() >= 3, "the README has transcripts of inspect, simplify and identify");
    sessions.iter().for_each(|session| check(session));
    // The binary that ran is the one of this test.
    assert!(symopt(Path::new(".")).arg("--version").output().unwrap().status.success());
}
