//! The guard of a process group: a shell that kills it when symopt is no more.
//!
//! It waits for the end of a pipe that only symopt holds, so it does not matter how symopt ends: by
//! a signal, a panic or `kill -9`. It has a process group of its own, which an interrupt at the
//! terminal does not reach.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Reads the group, and then nothing, or the word that releases it. `--` before the group is not
/// for every shell.
const SCRIPT: &str =
    r#"read -r group || exit 0; read -r word; [ "$word" = released ] || kill -9 "-$group""#;

/// A guard, which ends when it is dropped.
pub(super) struct Guard {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// A guard that watches nothing yet.
    pub(super) fn new() -> io::Result<Guard> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take();
        Ok(Guard { shell, pipe })
    }

    /// Watches a group.
    pub(super) fn watch(&mut self, group: u32) -> io::Result<()> {
        match &mut self.pipe {
            Some(pipe) => writeln!(pipe, "{group}"),
            None => Ok(()),
        }
    }

    /// Lets the group go: it is over.
    pub(super) fn release(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // If it is no longer there, there is nothing to release.
            let _ = writeln!(pipe, "released");
            drop(pipe);
            let _ = self.shell.wait();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.release();
    }
}
