//! Commands to go on with, which can be copied as they are.

use std::io::Write;
use std::path::Path;

use symopt_dsl::shell::Command;
use symopt_search::StopReason;
use symopt_search::config::{Limits, TargetFitness};
use symopt_search::engine::SearchResult;

/// Prints a command on a line of its own.
pub fn print(out: &mut impl Write, command: &Command) -> std::io::Result<()> {
    if command.is_portable() {
        writeln!(out, "  {command}")
    } else {
        writeln!(
            out,
            "  in bash or zsh, since a name holds characters that a terminal can't show:\n    {command}"
        )
    }
}

/// A program of a store, by the first digits of its hash.
pub fn program(store: &Path, hash: &str) -> std::ffi::OsString {
    let mut program = store.as_os_str().to_owned();
    program.push(":");
    program.push(hash.get(..12).unwrap_or(hash));
    program
}

/// Resumes a search under limits, of which those are named that a resumed search would not have by
/// itself, or that are not the usual ones.
pub fn resume(store: &Path, limits: &Limits, stored: &Limits) -> Command {
    let usual = Limits::default();
    let mut command = Command::new("resume").operand(store);
    let counts = [
        ("--programs", limits.programs, stored.programs, usual.programs),
        ("--evaluations", limits.evaluations, stored.evaluations, usual.evaluations),
        ("--seconds", limits.seconds, stored.seconds, usual.seconds),
        ("--plateau", limits.plateau, stored.plateau, usual.plateau),
    ];
    for (option, value, stored, usual) in counts {
        if value != stored || value != usual {
            command = command.option(option, value);
        }
    }
    if let TargetFitness::Improvement(target) = limits.target_fitness {
        command = command.option("--target-fitness", target);
    }
    if limits.target_program != stored.target_program || !limits.target_program.is_empty() {
        command = command.option_operand("--target-program", &limits.target_program);
    }
    command
}

/// The limits with which a search goes on: an interrupted one to the end that it was to have,
/// another one as far again.
pub fn further(result: &SearchResult, limits: &Limits) -> Limits {
    let mut limits = limits.clone();
    let statistics = &result.statistics;
    match result.stop {
        // Time already used does not come back.
        StopReason::Cancelled if limits.seconds > 0 => {
            limits.seconds = limits.seconds.saturating_sub(result.elapsed.as_secs()).max(1)
        }
        StopReason::Cancelled => {}
        StopReason::Programs => limits.programs = 2 * statistics.generated,
        StopReason::Evaluations => limits.evaluations = 2 * statistics.evaluated,
        // Every session has its own time.
        StopReason::Seconds => {}
        StopReason::Plateau => limits.plateau *= 2,
        StopReason::TargetFitness => {
            if let TargetFitness::Improvement(target) = limits.target_fitness {
                let reached = result.best.fitness.improvement().unwrap_or(target).max(target);
                limits.target_fitness =
                    TargetFitness::Improvement((100.0 * (reached + 0.01)).ceil() / 100.0);
            }
        }
        StopReason::TargetProgram => limits.target_program.clear(),
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named_where_a_resumed_search_would_not_have_them() {
        let (usual, store) = (Limits::default(), Path::new("runs/a b"));
        let command = |limits: &Limits, stored: &Limits| resume(store, limits, stored).to_string();
        assert_eq!(command(&usual, &usual), r#"symopt resume "runs/a b""#);
        let given = Limits {
            programs: 3000,
            target_fitness: TargetFitness::Improvement(-0.5),
            ..usual.clone()
        };
        assert_eq!(
            command(&given, &usual),
            r#"symopt resume "runs/a b" --programs 3000 --target-fitness=-0.5"#
        );
        assert_eq!(command(&given, &given), command(&given, &usual));
        // Where the store has a limit that was taken away.
        let stored = Limits { seconds: 60, target_program: "lion".to_owned(), ..usual.clone() };
        assert_eq!(
            command(&usual, &stored),
            r#"symopt resume "runs/a b" --seconds 0 --target-program """#
        );
    }
}
