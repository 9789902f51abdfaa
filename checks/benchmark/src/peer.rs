//! A peer process: optimizers that others wrote, measured by a program of their own that speaks
//! JSON lines.
//!
//! | | line |
//! |---|---|
//! | the peer starts with | `{"peers":[{"name":"numpy lion","program":"lion","version":"2.1.0"},...]}` |
//! | it is asked | `{"peer":"numpy lion","arrays":[4096],"seconds":0.1}` |
//! | it answers | `{"nanoseconds":[9810.2,...]}`: for each sample the mean time of a step |
//! | or | `{"error":"..."}` |
//! | it ends | when its standard input does |
//!
//! `arrays` holds the lengths of the parameter arrays. A peer keeps its preparations for the arrays
//! of one question for the next one, so only the first question about them may take long. With
//! `seconds` 0 nothing is measured, but all is made ready.
//!
//! A peer that hangs, crashes or talks nonsense is killed with all processes that it started, and
//! the next question starts it afresh.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use symopt_cancel::{CancelToken, Cancelled};

/// Longer lines are no answers.
const LONGEST_LINE: u64 = 1 << 20;
/// Lines of the standard error stream that are kept to tell why a peer ended.
const KEPT_LINES: usize = 20;
/// How often a wait looks whether it was cancelled.
const GLANCE: Duration = Duration::from_millis(50);

/// An optimizer that a peer process offers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Offer {
    /// Its name, such as `numpy lion`.
    pub name: String,
    /// The zoo program that it is another implementation of.
    pub program: String,
    /// Version of the library.
    pub version: String,
}

#[derive(Deserialize)]
struct Greeting {
    peers: Vec<Offer>,
}

#[derive(Serialize)]
struct Question<'a> {
    peer: &'a str,
    arrays: &'a [usize],
    seconds: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Nanoseconds(Vec<f64>),
    Error(String),
}

/// Why a peer gave no times.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The program can't be run at all.
    #[error("it can't be started: {0}")]
    Start(std::io::Error),
    /// It said nothing for too long.
    #[error("no answer within {} s", limit.as_secs_f64())]
    TimedOut {
        /// How long it had.
        limit: Duration,
    },
    /// It ended, or closed its output.
    #[error("it ended ({status}){}", if message.is_empty() { String::new() } else { format!(": {message}") })]
    Ended {
        /// How it ended.
        status: String,
        /// The last line of its standard error stream.
        message: String,
    },
    /// Its output is no answer.
    #[error("it answered {line:?}, which is not of the protocol")]
    Garbage {
        /// The beginning of what it said.
        line: String,
    },
    /// It answered that it can't do it.
    #[error("{0}")]
    Refused(String),
    /// The benchmark was cancelled while it waited.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl PeerError {
    /// Whether the process is of no more use.
    fn is_fatal(&self) -> bool {
        !matches!(self, PeerError::Refused(_))
    }
}

/// How long a peer may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Before its first line: it may have large libraries to load.
    pub greeting: Duration,
    /// At the first question about some arrays: it may have to compile.
    pub preparation: Duration,
    /// At any other question, beyond the time that it was asked to measure for.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            greeting: Duration::from_secs(120),
            preparation: Duration::from_secs(300),
            answer: Duration::from_secs(60),
        }
    }
}

/// A peer process, started again where it failed.
#[derive(Debug)]
pub struct Peer {
    program: OsString,
    arguments: Vec<OsString>,
    patience: Patience,
    cancel: CancelToken,
    running: Option<Running>,
    offers: Vec<Offer>,
    /// The arrays of the last question, and who has been asked about them.
    arrays: Vec<usize>,
    prepared: BTreeSet<String>,
    /// Whether it could not be started again. It is not tried over and over.
    lost: bool,
}

impl Peer {
    /// Starts a peer process and hears what it offers.
    pub fn start(
        program: impl Into<OsString>,
        arguments: Vec<OsString>,
        patience: Patience,
        cancel: &CancelToken,
    ) -> Result<Peer, PeerError> {
        let program = program.into();
        let (arrays, prepared) = (Vec::new(), BTreeSet::new());
        let mut peer = Peer {
            program,
            arguments,
            patience,
            cancel: cancel.clone(),
            running: None,
            offers: Vec::new(),
            arrays,
            prepared,
            lost: false,
        };
        peer.offers = peer.restart()?;
        Ok(peer)
    }

    /// Returns the optimizers that the process offers.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    fn restart(&mut self) -> Result<Vec<Offer>, PeerError> {
        self.running = None;
        self.prepared.clear();
        let mut running = Running::start(&self.program, &self.arguments)?;
        let line = running.line(self.patience.greeting, &self.cancel)?;
        let greeting: Greeting = serde_json::from_slice(&line).map_err(|_| garbage(&line))?;
        self.running = Some(running);
        Ok(greeting.peers)
    }

    /// Nanoseconds per step of one of the offers, in samples that take so many seconds together; at
    /// least one sample if `seconds` is not 0.
    pub fn measure(
        &mut self,
        name: &str,
        arrays: &[usize],
        seconds: f64,
    ) -> Result<Vec<f64>, PeerError> {
        if self.lost {
            return Err(PeerError::Ended {
                status: "it could not be started again".to_owned(),
                message: String::new(),
            });
        }
        if self.running.is_none() {
            self.restart().inspect_err(|_| self.lost = true)?;
        }
        if self.arrays != arrays {
            self.arrays = arrays.to_vec();
            self.prepared.clear();
        }
        let limit = if self.prepared.contains(name) {
            self.patience.answer
        } else {
            self.patience.preparation
        };
        let limit = limit + Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let result = self.ask(&Question { peer: name, arrays, seconds }, limit);
        match &result {
            Ok(_) => {
                self.prepared.insert(name.to_owned());
            }
            Err(error) if error.is_fatal() => self.running = None,
            Err(_) => {}
        }
        result
    }

    fn ask(&mut self, question: &Question, limit: Duration) -> Result<Vec<f64>, PeerError> {
        let Some(running) = &mut self.running else {
            return Err(PeerError::Ended {
                status: "not running".to_owned(),
                message: String::new(),
            });
        };
        let mut text =
            serde_json::to_vec(question).map_err(|error| PeerError::Refused(error.to_string()))?;
        text.push(b'\n');
        // A question is shorter than a pipe is deep, and the last one was answered: this does not
        // wait for a peer that hangs.
        if running.questions.write_all(&text).is_err() {
            return Err(running.ended());
        }
        let line = running.line(limit, &self.cancel)?;
        match serde_json::from_slice(&line) {
            Ok(Answer::Nanoseconds(samples))
                if samples.iter().all(|sample| sample.is_finite() && *sample > 0.0)
                    && (question.seconds <= 0.0 || !samples.is_empty()) =>
            {
                Ok(samples)
            }
            Ok(Answer::Error(message)) => Err(PeerError::Refused(message)),
            _ => Err(garbage(&line)),
        }
    }
}

fn garbage(line: &[u8]) -> PeerError {
    let text = String::from_utf8_lossy(line);
    PeerError::Garbage { line: text.trim_end().chars().take(60).collect() }
}

/// A process with its streams; killed with all that it started when it is dropped.
#[derive(Debug)]
struct Running {
    child: Child,
    questions: ChildStdin,
    answers: Receiver<Vec<u8>>,
    complaints: Arc<Mutex<VecDeque<String>>>,
    /// Disconnected when there are no more complaints.
    complaining: Receiver<()>,
}

impl Running {
    fn start(program: &OsString, arguments: &[OsString]) -> Result<Running, PeerError> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: it can be killed as a whole, and a Ctrl-C in the terminal does not
        // reach it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(PeerError::Start)?;
        let (Some(questions), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            // All three were asked for above.
            return Err(PeerError::Start(std::io::ErrorKind::BrokenPipe.into()));
        };
        // A peer that writes without end has to wait.
        let (sender, answers) = sync_channel(1);
        let complaints = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&complaints);
        // Nobody waits for these threads: a process that escaped the group may hold the streams
        // open.
        let (until_the_end, complaining) = sync_channel(1);
        let begin =
            |work: Box<dyn FnOnce() + Send>| std::thread::Builder::new().spawn(work).map(drop);
        let begun = begin(Box::new(move || read_answers(stdout, &sender))).and_then(|()| {
            begin(Box::new(move || {
                keep_complaints(stderr, &kept);
                drop(until_the_end);
            }))
        });
        // Dropped, it ends the child.
        let running = Running { child, questions, answers, complaints, complaining };
        begun.map_err(PeerError::Start)?;
        Ok(running)
    }

    /// The next line that it says.
    fn line(&mut self, limit: Duration, cancel: &CancelToken) -> Result<Vec<u8>, PeerError> {
        let start = Instant::now();
        loop {
            cancel.check()?;
            let left = limit.saturating_sub(start.elapsed());
            match self.answers.recv_timeout(left.min(GLANCE)) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Timeout) if start.elapsed() >= limit => {
                    return Err(PeerError::TimedOut { limit });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    /// Why there are no more answers.
    fn ended(&mut self) -> PeerError {
        // Its end follows that of its output by a moment, if at all.
        let deadline = Instant::now() + Duration::from_secs(1);
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status.to_string(),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5))
                }
                _ => break "it closed its output".to_owned(),
            }
        };
        // Its last complaint may still be on its way.
        let _ = self.complaining.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        PeerError::Ended { status, message: complaints.back().cloned().unwrap_or_default() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A group that has ended altogether is no error; one whose leader was waited for may still
        // have members.
        #[cfg(unix)]
        if let Some(group) =
            i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends lines until there are no more, or nobody wants them.
fn read_answers(stdout: impl Read, answers: &SyncSender<Vec<u8>>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(1..) if answers.send(line).is_ok() => {}
            _ => return,
        }
    }
}

/// Keeps the last lines that say something.
fn keep_complaints(stderr: impl Read, kept: &Mutex<VecDeque<String>>) {
    let mut reader = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            _ => return,
        }
        let text: String = String::from_utf8_lossy(&line).trim().chars().take(200).collect();
        if text.is_empty() {
            continue;
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(text);
        if kept.len() > KEPT_LINES {
            kept.pop_front();
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const GREETING: &str = r#"echo '{"peers":[{"name":"a","program":"lion","version":"1"}]}'; "#;

    /// A peer that is a shell script.
    fn script(text: &str) -> Result<Peer, PeerError> {
        let moment = Duration::from_millis(500);
        let patience = Patience { greeting: moment, preparation: moment, answer: moment };
        Peer::start("sh", vec!["-c".into(), text.into()], patience, &CancelToken::new())
    }

    fn greeted(text: &str) -> Peer {
        script(&format!("{GREETING}{text}")).unwrap()
    }

    #[test]
    fn a_peer_is_asked_and_answers() {
        let mut peer =
            greeted(r#"while read -r line; do echo "{\"nanoseconds\":[1.5,${#line}]}"; done"#);
        assert_eq!(
            peer.offers(),
            [Offer { name: "a".into(), program: "lion".into(), version: "1".into() }]
        );
        let length = r#"{"peer":"a","arrays":[4,5],"seconds":0.5}"#.len() as f64;
        assert_eq!(peer.measure("a", &[4, 5], 0.5).unwrap(), [1.5, length]);
        assert_eq!(peer.measure("a", &[4, 5], 0.5).unwrap(), [1.5, length]);
    }

    #[test]
    fn a_peer_that_refuses_is_asked_again() {
        let mut peer = greeted(
            r#"read -r _; echo '{"error":"not that one"}'; read -r _; echo '{"nanoseconds":[2]}'"#,
        );
        assert!(
            matches!(peer.measure("a", &[1], 0.1), Err(PeerError::Refused(message)) if message == "not that one")
        );
        assert_eq!(peer.measure("a", &[1], 0.1).unwrap(), [2.0]);
    }

    #[test]
    fn a_peer_that_hangs_is_killed_with_what_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let mut peer =
            greeted(&format!("sleep 1000 & echo $! > '{}'; read -r _; sleep 1000", file.display()));
        let start = Instant::now();
        assert!(matches!(peer.measure("a", &[1], 0.1), Err(PeerError::TimedOut { .. })));
        assert!(start.elapsed() < Duration::from_secs(10));
        let pid: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        // An orphan that was killed is gone as soon as its new parent has noticed, and a zombie
        // until then.
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(10);
        let gone = || {
            if std::path::Path::new("/proc/self/stat").exists() {
                !stat().contains(") S")
            } else {
                true
            }
        };
        while !gone() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(gone(), "{}", stat());
        // The next question starts it afresh.
        assert!(matches!(peer.measure("a", &[1], 0.1), Err(PeerError::TimedOut { .. })));
    }

    #[test]
    fn a_peer_that_crashes_says_why() {
        let mut peer = greeted("read -r _; echo 'no such loop' >&2; exit 3");
        match peer.measure("a", &[1], 0.1) {
            Err(PeerError::Ended { status, message }) => {
                assert!(status.contains('3') && message == "no such loop", "{status} {message}")
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(script("exit 1"), Err(PeerError::Ended { .. })));
        assert!(matches!(script("kill -s SEGV $$"), Err(PeerError::Ended { .. })));
    }

    #[test]
    fn garbage_is_no_answer() {
        for text in [
            "nonsense",
            "{}",
            "[1]",
            "{\"nanoseconds\":[]}",
            "{\"nanoseconds\":[-1]}",
            "{\"nanoseconds\":[1e999]}",
            "{\"nanoseconds\":\"1\"}",
        ] {
            let mut peer = greeted(&format!("read -r _; echo '{text}'; sleep 1000"));
            assert!(
                matches!(peer.measure("a", &[1], 0.1), Err(PeerError::Garbage { .. })),
                "{text}"
            );
        }
        for text in ["yes", "cat /dev/zero", "echo '{\"peers\":[{}]}'; sleep 1000"] {
            assert!(matches!(script(text), Err(PeerError::Garbage { .. })), "{text}");
        }
        let mut peer = greeted("while :; do echo words; done");
        assert!(matches!(peer.measure("a", &[1], 0.1), Err(PeerError::Garbage { .. })));
    }

    #[test]
    fn what_is_no_program_can_t_be_started() {
        let cancel = CancelToken::new();
        let start = |program: &str| Peer::start(program, Vec::new(), Patience::default(), &cancel);
        assert!(matches!(start("no/such/program"), Err(PeerError::Start(_))));
        assert!(matches!(start("/"), Err(PeerError::Start(_))));
    }

    #[test]
    fn a_wait_that_is_cancelled_ends() {
        let cancel = CancelToken::new();
        cancel.cancel();
        let peer = Peer::start("sleep", vec!["1000".into()], Patience::default(), &cancel);
        assert!(matches!(peer, Err(PeerError::Cancelled(_))));
    }
}
