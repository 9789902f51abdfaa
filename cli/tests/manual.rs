//! The front page and the manual show what their commands print.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::symopt;

/// The transcripts of a page: blocks of `text` that begin with a command, as (command, output) in
/// order.
fn transcripts(page: &str) -> Vec<Vec<(String, String)>> {
    let blocks = page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    let sessions = blocks.filter(|block| block.starts_with("$ symopt "));
    sessions
        .map(|session| {
            let parts = session.split("$ ").filter(|part| !part.is_empty());
            parts
                .filter_map(|part| part.split_once('\n'))
                .map(|(command, output)| (command.to_owned(), output.to_owned()))
                .collect()
        })
        .collect()
}

/// Runs the commands of a block in one directory, as a reader would.
fn check(commands: &[(String, String)]) {
    let directory = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_symopt"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    for (command, expected) in commands {
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", command])
            .current_dir(directory.path())
            .env("PATH", &path)
            .env("NO_COLOR", "1")
            .env_remove("COLUMNS");
        let output = shell.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(&printed, expected, "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The pages: the front page, and those of the manual that people wrote.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manual = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        manual.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    paths.push(root.join("README.md"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn the_transcripts_of_the_manual_are_what_the_commands_print() {
    let all = pages().into_iter().flat_map(|(_, page)| transcripts(&page));
    // The rediscovery takes minutes, and its times differ.
    let sessions: Vec<_> = all.filter(|session| !session[0].0.contains("rediscover")).collect();
    assert!(sessions.len() >= 4, "there are transcripts of inspect, simplify and identify");
    sessions.iter().for_each(|session| check(session));
    // The binary that ran is the one of this test.
    assert!(symopt(Path::new(".")).arg("--version").output().unwrap().status.success());
}

#[test]
fn the_pages_show_the_examples_word_for_word() {
    let pages = pages();
    for (name, example) in [
        ("README.md", include_str!("../examples/lion.rs")),
        ("rust.md", include_str!("../../programs/examples/model.rs")),
    ] {
        let (_, page) = pages.iter().find(|(path, _)| path.ends_with(name)).unwrap();
        let body = example
            .split_once("\n\n")
            .map(|(_, body)| body.trim_end())
            .expect("a line that says what it is, then the code");
        assert!(page.contains(body), "{name} should hold the example without its first line");
    }
}

/// Returns the targets of a page's links and pictures, but for addresses and places of the page
/// itself.
fn targets(page: &str) -> Vec<&str> {
    page.split("](")
        .skip(1)
        .chain(page.split("src=\"").skip(1))
        .filter_map(|rest| rest.split([')', '"', '#']).next())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.contains(' '))
        .collect()
}

#[test]
fn links_of_the_manual_lead_to_files() {
    for (path, page) in pages() {
        for target in targets(&page) {
            let file = path.parent().unwrap().join(target);
            assert!(file.exists(), "{}: no {target}", path.display());
            // Beyond that they would lead nowhere in the book.
            let is_front_page = !path.parent().unwrap().ends_with("docs");
            assert!(is_front_page || !target.contains("../"), "{}: {target}", path.display());
        }
    }
}

/// The pages below a directory, as paths from there.
fn pages_below(directory: &Path, prefix: &str) -> BTreeSet<String> {
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            pages.extend(pages_below(&path, &format!("{name}/")));
        } else if name.ends_with(".md") {
            pages.insert(name);
        }
    }
    pages
}

#[test]
fn the_table_of_contents_has_every_page_of_the_manual_once() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed = targets(&summary);
    let mut pages = pages_below(&docs, "");
    pages.remove("SUMMARY.md");
    assert_eq!(listed.iter().map(|page| (*page).to_owned()).collect::<BTreeSet<_>>(), pages);
    assert_eq!(listed.len(), pages.len(), "a page is there twice");
}

#[test]
fn pages_that_commands_made_say_by_which() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/generated");
    for name in pages_below(&docs, "") {
        let page = std::fs::read_to_string(docs.join(&name)).unwrap();
        assert!(page.contains("Made by"), "{name} does not say which command made it");
    }
}
