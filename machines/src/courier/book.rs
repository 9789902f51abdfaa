//! The jobs that have no answer yet: what is to be published, what was lost on the way, and what
//! takes too long. It knows no server and no clock.
//!
//! Each publication of a job has a number of its own in the session, which is never used again: a
//! server that remembers what it had swallows equal repeats of one publication, and nothing else.
//! A publication without an answer is, at any time, either in the server's queue, or with a worker
//! that is heard of every few seconds, or lost; [`Book::look`] finds the lost ones.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use symopt_proxy_tasks::job::{Answer, Job, Outcome};

/// A worker that is silent for so long is lost: it is heard of three times as often.
pub(super) const SILENT: Duration = Duration::from_secs(35);
/// A publication of which nothing was heard is looked for in the queue after so long, and again.
const UNHEARD: Duration = Duration::from_secs(5);
/// Publications that are looked for at a time, so that the server has other things to do.
const LOOKED_FOR: usize = 16;
/// Workers that may be lost with a job before the job is blamed.
const LOST: usize = 3;
/// A job that takes so many times as long as 99 % of the others is published again.
const STRAGGLES: u32 = 3;
/// So many answers are enough to know how long jobs take, and the last so many count.
const TIMES: (usize, usize) = (20, 500);
/// Whatever the others take, no job is published again before.
const SHORTEST: Duration = Duration::from_secs(2);
/// So many copies of a job are done at a time.
const COPIES: usize = 3;

/// All jobs without an answer.
#[derive(Default)]
pub(super) struct Book {
    /// By digest.
    open: HashMap<String, Open>,
    /// Publications of open jobs, by number: the digest of the job.
    numbers: BTreeMap<u64, String>,
    last_number: u64,
    waits: u64,
    times: VecDeque<Duration>,
    /// When a worker was last heard of.
    heard: Option<Instant>,
}

/// A job without an answer.
struct Open {
    job: Arc<Job>,
    bytes: Vec<u8>,
    /// An answer is there, and is looked at before it counts.
    held: bool,
    /// Waiting calls, by number.
    waiting: Vec<(u64, Sender<Answer>)>,
    publications: Vec<Publication>,
    /// Workers that were lost while they did it.
    lost: Vec<String>,
}

struct Publication {
    number: u64,
    sent: Option<Sent>,
    begun: Option<Begun>,
}

/// The server has it.
struct Sent {
    /// Where in the stream.
    sequence: u64,
    /// When it was sent, or found in the stream.
    seen: Instant,
}

/// A worker does it.
struct Begun {
    worker: String,
    at: Instant,
    heard: Instant,
}

/// A publication that the server is to get.
pub(super) struct ToPublish {
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
}

/// State of a job when an answer to it comes.
pub(super) enum Unanswered {
    /// It has an answer, or nobody asked for it.
    Closed,
    /// It has one that is looked at.
    Held,
    /// It has none; the worker took so long.
    Open(Arc<Job>, Option<Duration>),
}

/// Result of a look.
#[derive(Default)]
pub(super) struct Looked {
    /// Publications to look for in the stream: number and sequence.
    pub(super) look_for: Vec<(u64, u64)>,
    /// Messages of the stream that are of no use.
    pub(super) useless: Vec<u64>,
}

/// Consequence of an answer.
#[derive(Default)]
pub(super) struct Answered {
    /// Messages of the stream that are of no use.
    pub(super) useless: Vec<u64>,
    /// A worker that gave a job back, and why.
    pub(super) returned: Option<(String, String)>,
}

impl Book {
    /// Opens a job, or joins those that wait for it. Gives the number of the wait.
    pub(super) fn ask(
        &mut self,
        digest: &str,
        job: &Job,
        bytes: Vec<u8>,
        sender: Sender<Answer>,
    ) -> u64 {
        self.waits += 1;
        if !self.open.contains_key(digest) {
            let open = Open {
                job: Arc::new(job.clone()),
                bytes,
                held: false,
                waiting: Vec::new(),
                publications: Vec::new(),
                lost: Vec::new(),
            };
            self.open.insert(digest.to_owned(), open);
            self.publish(digest);
        }
        if let Some(open) = self.open.get_mut(digest) {
            open.waiting.push((self.waits, sender));
        }
        self.waits
    }

    /// Ends a wait. If nobody else waits for the job, it is closed; its messages are of no use then.
    pub(super) fn leave(&mut self, digest: &str, wait: u64) -> Vec<u64> {
        let Some(open) = self.open.get_mut(digest) else { return Vec::new() };
        open.waiting.retain(|(number, _)| *number != wait);
        match open.waiting.is_empty() {
            true => self.close(digest).map_or_else(Vec::new, |open| sequences(&open.publications)),
            false => Vec::new(),
        }
    }

    /// The job of a digest, if it has no answer, also none that is held, and how long the worker of
    /// a publication has been at it.
    pub(super) fn unanswered(&self, digest: &str, number: u64, now: Instant) -> Unanswered {
        let Some(open) = self.open.get(digest) else { return Unanswered::Closed };
        if open.held {
            return Unanswered::Held;
        }
        let own = open.publications.iter().find(|publication| publication.number == number);
        let begun = own.and_then(|publication| publication.begun.as_ref());
        let took = begun.map(|begun| now.saturating_duration_since(begun.at));
        Unanswered::Open(Arc::clone(&open.job), took)
    }

    /// An answer to a job is there, and is looked at before it counts: nobody else need do the job.
    pub(super) fn hold(&mut self, digest: &str) {
        if let Some(open) = self.open.get_mut(digest) {
            open.held = true;
        }
    }

    /// Jobs without an answer.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether a worker does one of the jobs, or did one so short a time ago.
    pub(super) fn is_worked_on(&self, now: Instant, ago: Duration) -> bool {
        self.heard.is_some_and(|heard| now.saturating_duration_since(heard) < ago)
            || self.publications().any(|publication| publication.begun.is_some())
    }

    /// Returns the messages to publish, the oldest first.
    pub(super) fn to_publish(&self) -> Vec<ToPublish> {
        let unsent = self.numbers.iter().filter_map(|(number, digest)| {
            let open = self.open.get(digest)?;
            let publication = open.publications.iter().find(|p| p.number == *number)?;
            let is_wanted = publication.sent.is_none() && !open.held;
            let bytes = is_wanted.then(|| open.bytes.clone())?;
            Some(ToPublish { number: *number, bytes })
        });
        unsent.collect()
    }

    /// The server has a publication.
    pub(super) fn sent(&mut self, number: u64, sequence: u64, now: Instant) {
        if let Some(publication) = self.publication(number) {
            publication.sent = Some(Sent { sequence, seen: now });
        }
    }

    /// A worker does a publication, or still does.
    pub(super) fn heard(&mut self, number: u64, worker: &str, now: Instant) {
        self.heard = Some(now);
        let Some(publication) = self.publication(number) else { return };
        match &mut publication.begun {
            Some(begun) if begun.worker == worker => begun.heard = now,
            begun => {
                // The server gave it to another one, since this one was silent.
                let before =
                    begun.replace(Begun { worker: worker.to_owned(), at: now, heard: now });
                let digest = self.numbers.get(&number).cloned();
                let open = digest.and_then(|digest| self.open.get_mut(&digest));
                // Whoever was heard of just now may be in its place by a message of somebody else.
                let is_lost =
                    |before: &Begun| now.saturating_duration_since(before.heard) > SILENT * 2 / 3;
                if let (Some(before), Some(open)) = (before.filter(is_lost), open) {
                    open.lost.push(before.worker);
                }
            }
        }
    }

    /// A publication is in the stream.
    pub(super) fn found(&mut self, number: u64, now: Instant) {
        if let Some(sent) = self.publication(number).and_then(|p| p.sent.as_mut()) {
            sent.seen = now;
        }
    }

    /// A publication is in the stream no more, and there is no answer: the job is published again.
    pub(super) fn gone(&mut self, number: u64) {
        self.publish_again(number);
    }

    /// The server is another one, or has lost what it had: all is published again. Gives the
    /// messages that are of no use then, if the stream still is the one that had them.
    pub(super) fn begin_again(&mut self) -> Vec<u64> {
        let digests: Vec<String> = self.open.keys().cloned().collect();
        let mut useless = Vec::new();
        for digest in digests {
            if let Some(open) = self.open.get_mut(&digest) {
                let publications = std::mem::take(&mut open.publications);
                for publication in &publications {
                    self.numbers.remove(&publication.number);
                }
                useless.extend(sequences(&publications));
            }
            self.publish(&digest);
        }
        useless
    }

    /// Takes an answer in: whoever waits for the job gets it, unless the worker gave the job back,
    /// which is then published again.
    pub(super) fn answered(&mut self, number: u64, answer: Answer, now: Instant) -> Answered {
        self.heard = Some(now);
        let known = self.numbers.get(&number).is_some_and(|digest| *digest == answer.job);
        match &answer.outcome {
            Outcome::Returned(reason) => {
                let returned = Some((answer.worker, reason.clone()));
                if known {
                    self.publish_again(number);
                }
                return Answered { returned, ..Answered::default() };
            }
            Outcome::Lost(reason) => {
                // The server counts how often it gave a job out, also to workers that never got it.
                if let Some(open) = self.open.get_mut(&answer.job).filter(|_| known) {
                    open.lost.push(reason.clone());
                    if open.lost.len() < LOST {
                        self.publish_again(number);
                        return Answered::default();
                    }
                }
            }
            Outcome::Done(_) | Outcome::Failed(_) | Outcome::Refused(_) => {}
        }
        // The first answer counts, whatever the publication.
        let Some(open) = self.close(&answer.job) else { return Answered::default() };
        let own = open.publications.iter().find(|publication| publication.number == number);
        if let Some(begun) = own.and_then(|publication| publication.begun.as_ref()) {
            self.times.push_back(now.saturating_duration_since(begun.at));
            if self.times.len() > TIMES.1 {
                self.times.pop_front();
            }
        }
        for (_, waiting) in &open.waiting {
            // Whoever waits no longer has been cancelled.
            let _ = waiting.send(answer.clone());
        }
        // The worker takes its own message from the stream.
        let others = open.publications.into_iter().filter(|other| other.number != number);
        Answered { useless: sequences(&others.collect::<Vec<_>>()), returned: None }
    }

    /// Looks for what was lost, and for what takes too long.
    pub(super) fn look(&mut self, now: Instant) -> Looked {
        let mut looked = Looked::default();
        let bound = self.bound();
        let digests: Vec<String> = self.open.keys().cloned().collect();
        for digest in digests {
            self.look_at(&digest, now, bound, &mut looked);
        }
        looked.look_for.sort_unstable();
        looked.look_for.truncate(LOOKED_FOR);
        looked
    }

    fn look_at(&mut self, digest: &str, now: Instant, bound: Option<Duration>, to: &mut Looked) {
        let Some(open) = self.open.get_mut(digest).filter(|open| !open.held) else { return };
        let mut copies = 0;
        let mut straggles = false;
        for publication in std::mem::take(&mut open.publications) {
            let silent = |begun: &Begun| now.saturating_duration_since(begun.heard) > SILENT;
            if publication.begun.as_ref().is_some_and(silent) {
                // The server may give it to another worker, which must not be.
                to.useless.extend(publication.sent.iter().map(|sent| sent.sequence));
                self.numbers.remove(&publication.number);
                open.lost.extend(publication.begun.map(|begun| begun.worker));
                continue;
            }
            let begun = publication.begun.as_ref();
            let heard = begun.map(|begun| begun.heard);
            if let Some(sent) = &publication.sent {
                let last = heard.map_or(sent.seen, |heard| heard.max(sent.seen));
                if now.saturating_duration_since(last) > UNHEARD {
                    to.look_for.push((publication.number, sent.sequence));
                }
            }
            copies += 1;
            // The newest copy decides, each has twice the time of the one before.
            straggles = begun.zip(bound).is_some_and(|(begun, bound)| {
                let allowed = bound.saturating_mul(1 << open.publications.len().min(10));
                now.saturating_duration_since(begun.at) > allowed
            });
            open.publications.push(publication);
        }
        if open.lost.len() >= LOST {
            let mut lost = open.lost.clone();
            lost.dedup();
            let reason = format!(
                "{} workers were lost, or silent for {} s, while they did this job: {}",
                open.lost.len(),
                SILENT.as_secs(),
                lost.join(", ")
            );
            if let Some(open) = self.close(digest) {
                to.useless.extend(sequences(&open.publications));
                let outcome = Outcome::Lost(reason);
                let worker = open.lost.last().cloned().unwrap_or_default();
                let answer = Answer { job: digest.to_owned(), worker, outcome };
                for (_, waiting) in open.waiting {
                    let _ = waiting.send(answer.clone());
                }
            }
        } else if copies == 0 || (straggles && copies < COPIES) {
            self.publish(digest);
        }
    }

    /// How long a job may take before it is published again; `None` as long as too few are done.
    fn bound(&self) -> Option<Duration> {
        if self.times.len() < TIMES.0 {
            return None;
        }
        let mut times: Vec<Duration> = self.times.iter().copied().collect();
        times.sort_unstable();
        let of_most = times.get(times.len() * 99 / 100).or(times.last())?;
        Some(of_most.saturating_mul(STRAGGLES).max(SHORTEST))
    }

    fn publications(&self) -> impl Iterator<Item = &Publication> {
        self.open.values().flat_map(|open| &open.publications)
    }

    fn publication(&mut self, number: u64) -> Option<&mut Publication> {
        let open = self.open.get_mut(self.numbers.get(&number)?)?;
        open.publications.iter_mut().find(|publication| publication.number == number)
    }

    fn publish(&mut self, digest: &str) {
        if let Some(open) = self.open.get_mut(digest) {
            self.last_number += 1;
            let number = self.last_number;
            self.numbers.insert(number, digest.to_owned());
            open.publications.push(Publication { number, sent: None, begun: None });
        }
    }

    fn publish_again(&mut self, number: u64) {
        let Some(digest) = self.numbers.remove(&number) else { return };
        if let Some(open) = self.open.get_mut(&digest) {
            open.publications.retain(|publication| publication.number != number);
        }
        self.publish(&digest);
    }

    fn close(&mut self, digest: &str) -> Option<Open> {
        let open = self.open.remove(digest)?;
        for publication in &open.publications {
            self.numbers.remove(&publication.number);
        }
        Some(open)
    }
}

fn sequences(publications: &[Publication]) -> Vec<u64> {
    publications.iter().filter_map(|p| p.sent.as_ref()).map(|sent| sent.sequence).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use serde_json::json;
    use symopt_proxy_tasks::job::{JobKind, SuiteText};

    use super::*;

    /// A book with one job, published under the number 1.
    fn one() -> (Book, Receiver<Answer>, Instant) {
        let (mut book, now, (sender, receiver)) = (Book::default(), Instant::now(), channel());
        book.ask("job", &job(), vec![1], sender);
        assert_eq!(published(&mut book, now), [1]);
        (book, receiver, now)
    }

    fn job() -> Job {
        let suite = SuiteText { name: String::new(), text: String::new() };
        Job { kind: JobKind::TrainingRun, hash_version: 1, suite, body: json!(null) }
    }

    /// Publishes all that is to be published.
    fn published(book: &mut Book, now: Instant) -> Vec<u64> {
        let numbers: Vec<u64> = book.to_publish().iter().map(|p| p.number).collect();
        for number in &numbers {
            book.sent(*number, 100 + number, now);
        }
        numbers
    }

    fn answer(outcome: Outcome) -> Answer {
        Answer { job: "job".to_owned(), worker: "w".to_owned(), outcome }
    }

    fn after(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[test]
    fn no_number_is_used_twice_also_when_a_job_is_asked_for_again() {
        let (mut book, receiver, now) = one();
        book.answered(1, answer(Outcome::Done(json!(1))), now);
        assert!(matches!(receiver.recv().unwrap().outcome, Outcome::Done(_)));
        let (sender, receiver) = channel();
        book.ask("job", &job(), vec![1], sender);
        assert_eq!(published(&mut book, now), [2]);
        // A late answer to the first publication is one too.
        book.answered(1, answer(Outcome::Done(json!(1))), now);
        assert!(receiver.recv().is_ok() && book.len() == 0);
    }

    #[test]
    fn what_is_given_back_is_published_again_and_does_not_count() {
        let (mut book, receiver, now) = one();
        for number in 1..20 {
            let returned = book.answered(number, answer(Outcome::Returned(String::new())), now);
            assert!(returned.returned.is_some());
            // A repeat of that changes nothing.
            book.answered(number, answer(Outcome::Returned(String::new())), now);
            assert_eq!(published(&mut book, now), [number + 1]);
        }
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn what_is_in_no_queue_and_with_no_worker_is_published_again_within_seconds() {
        let (mut book, _receiver, now) = one();
        assert!(book.look(after(now, 4)).look_for.is_empty());
        assert_eq!(book.look(after(now, 6)).look_for, [(1, 101)]);
        book.found(1, after(now, 6));
        assert!(book.look(after(now, 8)).look_for.is_empty());
        assert_eq!(book.look(after(now, 12)).look_for, [(1, 101)]);
        book.gone(1);
        assert_eq!(published(&mut book, after(now, 12)), [2]);
        assert_eq!(book.begin_again(), [102]);
        assert_eq!(published(&mut book, after(now, 13)), [3]);
    }

    #[test]
    fn a_job_that_ends_its_workers_is_lost_and_no_other() {
        let (mut book, receiver, mut now) = one();
        for number in 1..=LOST as u64 {
            book.heard(number, &format!("w{number}"), now);
            now = after(now, 40);
            let looked = book.look(now);
            assert_eq!(looked.useless, [100 + number]);
            published(&mut book, now);
        }
        let Outcome::Lost(reason) = receiver.recv().unwrap().outcome else { panic!() };
        assert!(reason.contains("w1, w2, w3"), "{reason}");
        assert!(book.len() == 0 && book.numbers.is_empty());
        // A worker that is heard of is not lost.
        let (mut book, _receiver, mut now) = one();
        for _ in 0..30 {
            book.heard(1, "w", now);
            now = after(now, 10);
            assert!(book.look(now).useless.is_empty());
        }
    }

    #[test]
    fn what_takes_far_longer_than_the_others_is_done_by_others_too() {
        let (mut book, receiver, now) = one();
        book.times = std::iter::repeat_n(Duration::from_secs(1), TIMES.0).collect();
        book.heard(1, "slow", now);
        book.look(after(now, 2));
        assert!(book.to_publish().is_empty());
        book.look(after(now, 4));
        assert_eq!(published(&mut book, now), [2]);
        // In the queue, it takes no time.
        book.look(after(now, 20));
        assert!(book.to_publish().is_empty());
        let answered = book.answered(1, answer(Outcome::Done(json!(1))), after(now, 5));
        assert_eq!(answered.useless, [102]);
        assert!(receiver.recv().is_ok());
        assert_eq!(book.times.back(), Some(&Duration::from_secs(5)));
    }

    #[test]
    fn what_is_held_is_not_done_again() {
        let (mut book, receiver, now) = one();
        assert!(!book.is_worked_on(now, SHORTEST));
        book.hold("job");
        assert!(matches!(book.unanswered("job", 1, now), Unanswered::Held));
        let looked = book.look(after(now, 100));
        assert!(looked.look_for.is_empty() && looked.useless.is_empty());
        book.begin_again();
        assert!(book.to_publish().is_empty());
        book.answered(1, answer(Outcome::Done(json!(1))), now);
        assert!(receiver.recv().is_ok());
        assert!(book.is_worked_on(after(now, 1), SHORTEST));
        assert!(!book.is_worked_on(after(now, 3), SHORTEST));
        assert!(matches!(book.unanswered("job", 1, now), Unanswered::Closed));
    }

    #[test]
    fn who_leaves_takes_nothing_from_others() {
        let (mut book, first, now) = one();
        let (sender, second) = channel();
        let wait = book.ask("job", &job(), vec![1], sender);
        assert!(book.leave("job", 1).is_empty());
        drop(first);
        assert!(book.answered(1, answer(Outcome::Done(json!(1))), now).useless.is_empty());
        assert!(second.recv().is_ok());
        assert!(book.leave("job", wait).is_empty());
        let (mut book, _receiver, _) = one();
        assert_eq!(book.leave("job", 1), [101]);
        assert!(book.to_publish().is_empty() && book.numbers.is_empty());
    }
}
