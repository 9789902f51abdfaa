//! A process of a command: what is said to it and heard from it, and its end.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{ioctl_fionbio, ioctl_fionread};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use symopt_cancel::CancelToken;

use super::guard::Guard;
use crate::error::{Failure, FailureKind};

/// Bytes of a line, at most.
const LONGEST_LINE: usize = 1 << 20;
/// Bytes of the answers to one request, at most.
const MOST_OUTPUT: usize = 16 << 20;
/// Bytes of the standard error stream that are kept.
const KEPT_STDERR: usize = 2000;
/// Whether a run is cancelled is looked at so often.
const LOOK: Duration = Duration::from_millis(50);
/// The same while a process is about to end.
const LOOK_AT_END: Duration = Duration::from_millis(2);

/// Result of listening.
pub(super) enum Heard {
    /// A line, without its end.
    Line(Vec<u8>),
    /// There will be no more.
    Closed,
    /// Nothing until the deadline.
    Late,
    /// The run was cancelled.
    Cancelled,
    /// Too much.
    Flood(String),
}

/// A process, with its group. Dropped, all of the group is killed.
pub(super) struct Worker {
    child: Child,
    group: Pid,
    guard: Guard,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// Bytes that are to be written, and the length of the request.
    outgoing: VecDeque<u8>,
    request: usize,
    /// Bytes that came, the place from which they were not heard yet, and the place to which they
    /// were searched for the end of a line.
    pending: Vec<u8>,
    heard: usize,
    searched: usize,
    /// Bytes that came for this request.
    received: usize,
    /// The last of the standard error stream.
    complaints: VecDeque<u8>,
    started: Instant,
    ready: bool,
    stops: bool,
    /// The last request that was answered; their numbers rise.
    answered: u64,
    over: bool,
}

impl Worker {
    /// Starts a command.
    pub(super) fn start(command: &str) -> Result<Worker, Failure> {
        Worker::try_start(command).map_err(|error| Failure {
            kind: FailureKind::Start,
            reason: format!("the command can't be started: {error}"),
            stderr: String::new(),
        })
    }

    fn try_start(command: &str) -> io::Result<Worker> {
        // The guard is there before what it guards.
        let mut guard = Guard::new()?;
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let group = Pid::from_child(&child);
        let watched = guard.watch(child.id());
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let worker = Worker {
            child,
            group,
            guard,
            stdin,
            stdout,
            stderr,
            outgoing: VecDeque::new(),
            request: 0,
            pending: Vec::new(),
            heard: 0,
            searched: 0,
            received: 0,
            complaints: VecDeque::new(),
            started: Instant::now(),
            ready: false,
            stops: false,
            answered: 0,
            over: false,
        };
        // From here on the process ends with the worker.
        watched?;
        for pipe in [
            worker.stdin.as_ref().map(AsFd::as_fd),
            worker.stdout.as_ref().map(AsFd::as_fd),
            worker.stderr.as_ref().map(AsFd::as_fd),
        ] {
            ioctl_fionbio(pipe.ok_or(ErrorKind::BrokenPipe)?, true)?;
        }
        Ok(worker)
    }

    /// When it was started.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Whether it has said that it is ready, or has answered something.
    pub(super) fn is_ready(&self) -> bool {
        self.ready || self.has_answered()
    }

    /// Notes that it is ready. Whether that is new.
    pub(super) fn note_ready(&mut self, stops: bool) -> bool {
        self.stops |= stops;
        !std::mem::replace(&mut self.ready, true)
    }

    /// Whether it listens for stop lines.
    pub(super) fn stops(&self) -> bool {
        self.stops
    }

    /// Whether it has answered a request.
    pub(super) fn has_answered(&self) -> bool {
        self.answered > 0
    }

    /// Notes that a request was answered.
    pub(super) fn note_answered(&mut self, id: u64) {
        self.answered = id;
    }

    /// Whether a request is one of those that were answered.
    pub(super) fn knows(&self, id: u64) -> bool {
        (1..=self.answered).contains(&id)
    }

    /// Whether it can take a request: it runs, and has said nothing by halves.
    pub(super) fn is_fit(&self) -> bool {
        let by_halves = self.pending.len() > self.heard && self.pending.last() != Some(&b'\n');
        !by_halves && self.stdin.is_some() && self.stdout.is_some() && !self.has_ended()
    }

    /// Begins a request: what was counted and kept of the last one goes. Before the first one it
    /// may have said why it ends.
    pub(super) fn begin(&mut self, line: &str) {
        self.say(line);
        self.request = self.outgoing.len();
        self.received = 0;
        self.read_stderr();
        if self.has_answered() {
            self.complaints.clear();
        }
    }

    /// Passes over what was said that nobody asked for, as far as it has come.
    pub(super) fn forget(&mut self) {
        self.read_stdout();
        self.pending.clear();
        (self.heard, self.searched) = (0, 0);
    }

    /// Says a line. It is written while the worker listens, so that a process that does not read
    /// holds nobody up.
    pub(super) fn say(&mut self, line: &str) {
        self.outgoing.extend(line.as_bytes());
        self.outgoing.push_back(b'\n');
    }

    /// Whether nothing of the request was read.
    pub(super) fn was_not_taken(&self) -> bool {
        let Some(pipe) = &self.stdin else { return true };
        // The pipe tells how many bytes are still in it, though nobody will read them.
        let unread =
            ioctl_fionread(pipe).ok().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        self.outgoing.len() + unread >= self.request
    }

    /// The next line that is not blank.
    pub(super) fn listen(&mut self, deadline: Instant, cancel: &CancelToken) -> Heard {
        loop {
            while let Some(line) = self.line() {
                if line.len() > LONGEST_LINE {
                    return too_long();
                }
                if !line.iter().all(u8::is_ascii_whitespace) {
                    return Heard::Line(line);
                }
            }
            if self.pending.len() - self.heard > LONGEST_LINE {
                return too_long();
            }
            if self.received > MOST_OUTPUT {
                return Heard::Flood(format!(
                    "more than {} MiB of output for one run",
                    MOST_OUTPUT >> 20
                ));
            }
            if self.stdout.is_none() {
                // A last line may lack its end; what is half a line is no JSON.
                let rest = self.pending.split_off(self.heard);
                self.searched = self.heard;
                return if rest.iter().all(u8::is_ascii_whitespace) {
                    Heard::Closed
                } else {
                    Heard::Line(rest)
                };
            }
            if cancel.is_cancelled() {
                return Heard::Cancelled;
            }
            let now = Instant::now();
            if now >= deadline {
                return Heard::Late;
            }
            self.wait(LOOK.min(deadline - now));
            self.write();
            self.read_stdout();
            self.read_stderr();
        }
    }

    /// A whole line of what came.
    fn line(&mut self) -> Option<Vec<u8>> {
        match self.pending[self.searched..].iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                let end = self.searched + at;
                let line = self.pending[self.heard..end].to_vec();
                self.heard = end + 1;
                self.searched = self.heard;
                Some(line)
            }
            None => {
                self.searched = self.pending.len();
                None
            }
        }
    }

    /// Waits until there is something to read, or room to write.
    fn wait(&self, most: Duration) {
        let mut pipes = Vec::with_capacity(3);
        pipes.extend(self.stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        pipes.extend(self.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        if !self.outgoing.is_empty() {
            pipes.extend(self.stdin.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        }
        let timeout =
            Timespec { tv_sec: most.as_secs() as i64, tv_nsec: i64::from(most.subsec_nanos()) };
        if poll(&mut pipes, Some(&timeout)).is_err() {
            // Interrupted by a signal, or out of memory: not at once again.
            std::thread::sleep(LOOK_AT_END);
        }
    }

    fn write(&mut self) {
        let Some(pipe) = &mut self.stdin else { return };
        while !self.outgoing.is_empty() {
            match pipe.write(self.outgoing.as_slices().0) {
                Ok(0) => break,
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        if !self.outgoing.is_empty() {
            // Nobody reads any more. The consequences show on the other pipes.
            self.stdin = None;
            self.outgoing.clear();
        }
    }

    /// Reads once, so that no flood keeps the deadline from being seen.
    fn read_stdout(&mut self) {
        let mut buffer = [0; 1 << 16];
        match self.stdout.as_mut().map(|pipe| pipe.read(&mut buffer)) {
            Some(Ok(0)) => self.stdout = None,
            Some(Ok(count)) => {
                self.received += count;
                self.pending.drain(..self.heard);
                self.searched -= self.heard;
                self.heard = 0;
                self.pending.extend_from_slice(&buffer[..count]);
            }
            Some(Err(error)) if !is_passing(&error) => self.stdout = None,
            _ => {}
        }
    }

    fn read_stderr(&mut self) {
        let mut buffer = [0; 1 << 16];
        match self.stderr.as_mut().map(|pipe| pipe.read(&mut buffer)) {
            Some(Ok(0)) => self.stderr = None,
            Some(Ok(count)) => {
                self.complaints.extend(&buffer[count.saturating_sub(KEPT_STDERR)..count]);
                let surplus = self.complaints.len().saturating_sub(KEPT_STDERR);
                self.complaints.drain(..surplus);
            }
            Some(Err(error)) if !is_passing(&error) => self.stderr = None,
            _ => {}
        }
    }

    /// Whether the process has ended. It is not waited for, so that its number stays its own until
    /// its group is killed.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.group), options), Ok(None))
    }

    /// Waits for the process to end by itself; how it did, or `None` if it runs on.
    pub(super) fn wait_for_end(
        &mut self,
        deadline: Instant,
        cancel: &CancelToken,
    ) -> Option<ExitStatus> {
        while !self.has_ended() {
            if Instant::now() >= deadline || cancel.is_cancelled() {
                return None;
            }
            self.read_stderr();
            std::thread::sleep(LOOK_AT_END);
        }
        self.kill()
    }

    /// Kills what is left of the group, and waits for the process. How it ended.
    fn kill(&mut self) -> Option<ExitStatus> {
        if !self.over {
            self.over = true;
            // There is none if all have ended.
            let _ = kill_process_group(self.group, Signal::KILL);
            let status = self.child.wait();
            self.guard.release();
            return status.ok();
        }
        self.child.wait().ok()
    }

    /// Kills the group. The last of what it complained of.
    pub(super) fn end(mut self) -> String {
        self.kill();
        // All that the group wrote is in the pipe by now; something that has left the group may
        // hold it open for ever.
        for _ in 0..64 {
            self.read_stderr();
        }
        let (first, second) = self.complaints.as_slices();
        String::from_utf8_lossy(&[first, second].concat()).trim_end().to_owned()
    }

    /// Says that there will be no more requests.
    pub(super) fn dismiss(&mut self) {
        self.stdin = None;
    }

    /// Lets the process end by itself, but not for longer than to the deadline.
    pub(super) fn retire(mut self, deadline: Instant) {
        self.dismiss();
        self.wait_for_end(deadline, &CancelToken::new());
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn too_long() -> Heard {
    Heard::Flood(format!("a line longer than {} MiB", LONGEST_LINE >> 20))
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}
