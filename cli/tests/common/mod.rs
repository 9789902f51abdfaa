//! Runs the real binary.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Result of a command.
pub struct Ended {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The binary in a directory, with nothing in the environment that changes what it prints.
pub fn symopt(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_symopt"));
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in ["COLUMNS", "LINES", "CLICOLOR_FORCE", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    // Leftovers of a killed command go with the directory.
    command.env("NO_COLOR", "1").env("TMPDIR", directory);
    command
}

/// Runs a command to its end, with bytes for its standard input.
pub fn run_with(mut command: Command, input: &[u8]) -> Ended {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that is refused does not read its input.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("the output is text");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs `symopt ARGUMENTS` in a directory.
pub fn run(directory: &Path, arguments: &[&str]) -> Ended {
    let mut command = symopt(directory);
    command.args(arguments);
    run_with(command, b"")
}

/// The standard output of `symopt ARGUMENTS`, which must succeed and be silent on the standard
/// error stream, but for how far it is: on a loaded machine every command may take so long that it
/// would say that.
pub fn output(directory: &Path, arguments: &[&str]) -> String {
    let ended = run(directory, &[&["--log-every", "0"], arguments].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "symopt {arguments:?}");
    ended.stdout
}

/// Message that answers an interrupt, at once.
pub const INTERRUPTED: &str =
    "interrupted: the runs under way are stopped; Ctrl-C again ends at once\n";

/// All that is below a directory: the bytes of files, `None` for directories.
pub fn tree(directory: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path.clone());
                found.insert(path, None);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path, Some(bytes));
            }
        }
    }
    found
}

/// Copies a directory of files.
pub fn copy(from: &Path, to: &Path) {
    for (path, bytes) in tree(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        match bytes {
            None => std::fs::create_dir_all(&target).unwrap(),
            Some(bytes) => {
                std::fs::create_dir_all(target.parent().unwrap()).unwrap();
                std::fs::write(&target, bytes).unwrap();
            }
        }
    }
}

/// A name that would be a script in a page, if it did not stay text.
pub const HOSTILE: &str = "<script>alert(1)";

/// A page that a command wrote: one file in which every script is its own, and which says the
/// command that makes it again.
pub fn page(directory: &Path, name: &str) -> String {
    let html = std::fs::read_to_string(directory.join(name)).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"), "{name}");
    assert!(!html.contains("<script>alert") && !html.contains("'unsafe-"), "{name}");
    // Data, three libraries and the page's own script, and no other.
    assert_eq!(html.matches("<script>").count(), 4, "{name}");
    assert_eq!(html.matches("<script").count(), html.matches("</script>").count(), "{name}");
    assert!(html.contains("symopt") && html.contains("--html FILE"), "{name}");
    assert!(!html.contains(&directory.display().to_string()), "{name}");
    html
}
