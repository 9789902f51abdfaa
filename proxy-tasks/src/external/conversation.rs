//! A command that answers each line with one line.

use std::time::{Duration, Instant};

use symopt_cancel::{CancelToken, Cancelled};

use super::worker::{Heard, Worker};
use crate::error::{Failure, FailureKind};

/// How long a process that is no longer needed may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// A command that answers each line with one line. It is started when it is first asked something,
/// in a process group of its own, and kept running; one that has ended is started again. The group
/// is killed with the conversation, and by a guard when symopt is killed.
pub struct Conversation {
    command: String,
    worker: Option<Worker>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Silence {
    /// Somebody wants the end.
    Cancelled,
    /// The command failed. Its process is gone.
    Failed(Failure),
}

impl From<Cancelled> for Silence {
    fn from(_: Cancelled) -> Silence {
        Silence::Cancelled
    }
}

impl Conversation {
    /// With a command of the shell.
    pub fn new(command: &str) -> Conversation {
        Conversation { command: command.to_owned(), worker: None }
    }

    /// Says a line, and waits so long for a line.
    pub fn ask(
        &mut self,
        line: &str,
        most: Duration,
        cancel: &CancelToken,
    ) -> Result<Vec<u8>, Silence> {
        let deadline = Instant::now() + most;
        let failed = |worker: Worker, kind: FailureKind, reason: String| {
            Silence::Failed(Failure { kind, reason, stderr: worker.end() })
        };
        loop {
            let mut worker = match self.worker.take().filter(Worker::is_fit) {
                Some(worker) => worker,
                None => Worker::start(&self.command).map_err(Silence::Failed)?,
            };
            // More than one line for an answer, or words that no question led to.
            worker.forget();
            worker.begin(line);
            return match worker.listen(deadline, cancel) {
                Heard::Line(answer) => {
                    worker.note_answered(1);
                    self.worker = Some(worker);
                    Ok(answer)
                }
                Heard::Cancelled => Err(Silence::Cancelled),
                // It was about to end after its last answer; a new one has not answered anything.
                Heard::Closed if worker.has_answered() && worker.was_not_taken() => continue,
                Heard::Closed => {
                    let reason = "the command ended, or closed its output, without an answer";
                    Err(failed(worker, FailureKind::Ended, reason.to_owned()))
                }
                Heard::Late => {
                    let reason = format!("no answer in {} s", most.as_secs_f64());
                    Err(failed(worker, FailureKind::Timeout, reason))
                }
                Heard::Flood(reason) => Err(failed(worker, FailureKind::Flood, reason)),
            };
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.retire(Instant::now() + GRACE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(conversation: &mut Conversation, line: &str) -> Result<String, FailureKind> {
        let answer = conversation.ask(line, Duration::from_secs(2), &CancelToken::new());
        answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|silence| {
            match silence {
                Silence::Failed(failure) => failure.kind,
                Silence::Cancelled => panic!("nobody cancels"),
            }
        })
    }

    #[test]
    fn a_process_is_kept_and_one_that_ended_or_failed_is_started_again() {
        let mut kept =
            Conversation::new("n=0; while read -r line; do n=$((n+1)); echo $n $line; done");
        assert_eq!(ask(&mut kept, "a").as_deref(), Ok("1 a"));
        assert_eq!(ask(&mut kept, "b").as_deref(), Ok("2 b"));
        let mut once = Conversation::new("read -r line; echo $line");
        for word in ["a", "b", "c"] {
            assert_eq!(ask(&mut once, word).as_deref(), Ok(word));
        }
        let mut chatty = Conversation::new("while read -r line; do echo $line; echo more; done");
        for word in ["a", "b", "c"] {
            assert_eq!(ask(&mut chatty, word).as_deref(), Ok(word));
            std::thread::sleep(Duration::from_millis(200));
        }
        let mut failing =
            Conversation::new("read -r line; case $line in die) exit 1;; esac; echo $line");
        assert_eq!(ask(&mut failing, "die"), Err(FailureKind::Ended));
        assert_eq!(ask(&mut failing, "a").as_deref(), Ok("a"));
    }

    #[test]
    fn floods_and_silence_end_the_process() {
        let flood = &mut Conversation::new("yes | tr -d '\\n'");
        assert_eq!(ask(flood, "a"), Err(FailureKind::Flood));
        let silent = &mut Conversation::new("sleep 600");
        let begin = Instant::now();
        assert_eq!(ask(silent, "a"), Err(FailureKind::Timeout));
        assert!(begin.elapsed() < Duration::from_secs(60));
        let cancel = CancelToken::new();
        cancel.cancel();
        let answer = silent.ask("a", Duration::from_secs(60), &cancel);
        assert!(matches!(answer, Err(Silence::Cancelled)));
    }
}
