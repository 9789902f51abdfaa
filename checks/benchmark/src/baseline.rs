//! The plain C loops that compiled kernels are measured against.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SOURCE: &str = include_str!("../peers/baseline.c");

/// Flags to try, the best first: not every compiler has OpenMP, and not every one knows
/// `-march=native`.
const FLAGS: [&[&str]; 3] = [&["-march=native", "-fopenmp"], &["-march=native"], &[]];

/// How long a compiler may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The loops, compiled.
#[derive(Debug)]
pub struct Baseline {
    /// The program to run.
    pub executable: PathBuf,
    /// How it was compiled.
    pub command: String,
    /// Whether it has loops for several threads.
    pub parallel: bool,
}

impl Baseline {
    /// Compiles the loops with `$CC`, or `cc`, into a directory. An error says why that can't be
    /// done and what to do about it.
    pub fn compile(directory: &Path) -> Result<Baseline, String> {
        let compiler = std::env::var("CC")
            .ok()
            .filter(|text| !text.trim().is_empty())
            .unwrap_or_else(|| "cc".to_owned());
        Baseline::compile_with(&compiler, directory)
    }

    fn compile_with(compiler: &str, directory: &Path) -> Result<Baseline, String> {
        let (source, executable) = (directory.join("baseline.c"), directory.join("baseline"));
        std::fs::write(&source, SOURCE)
            .map_err(|error| format!("can't write {}: {error}", source.display()))?;
        // As make takes it: a command with its first arguments.
        let words: Vec<&str> = compiler.split_whitespace().collect();
        let mut reason = String::new();
        for flags in FLAGS {
            let flags: Vec<&str> = ["-O3", "-ffp-contract=off", "-fno-math-errno"]
                .iter()
                .chain(flags)
                .copied()
                .collect();
            let mut command = Command::new(words.first().copied().unwrap_or("cc"));
            command
                .args(&words[1.min(words.len())..])
                .args(&flags)
                .arg(&source)
                .arg("-o")
                .arg(&executable)
                .arg("-lm");
            match run(command) {
                Ok(()) => {
                    let parallel = flags.contains(&"-fopenmp");
                    return Ok(Baseline {
                        executable,
                        command: format!("{compiler} {}", flags.join(" ")),
                        parallel,
                    });
                }
                Err(error) => reason = error,
            }
        }
        Err(format!("no C loops: no C compiler that works: set CC (`{compiler}`: {reason})"))
    }
}

/// Runs a compiler to its end.
fn run(mut command: Command) -> Result<(), String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(status.to_string()),
            Ok(None) if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("not done within {} s", PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_compiler_the_reason_says_what_to_set() {
        let directory = tempfile::tempdir().unwrap();
        for compiler in ["no-such-compiler", "false", "no such compiler"] {
            let reason = Baseline::compile_with(compiler, directory.path()).unwrap_err();
            assert!(reason.contains("set CC") && reason.contains(compiler), "{reason}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn without_openmp_there_are_loops_for_one_thread() {
        let directory = tempfile::tempdir().unwrap();
        let compiler = directory.path().join("cc-without-openmp");
        std::fs::write(&compiler, "case \"$*\" in *openmp*) exit 1;; esac\n").unwrap();
        let baseline =
            Baseline::compile_with(&format!("sh {}", compiler.display()), directory.path())
                .unwrap();
        assert!(!baseline.parallel && baseline.command.ends_with("-march=native"), "{baseline:?}");
    }
}
