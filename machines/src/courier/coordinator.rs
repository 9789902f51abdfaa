//! The side that asks: an executor whose jobs are done by workers.

use std::pin::pin;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::Subscriber;
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use serde_json::Value;
use symopt_cancel::{CancelToken, Cancelled};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::executor::Executor;
use symopt_proxy_tasks::job::{Answer, Job, Outcome};
use tokio::sync::Notify;

use super::audit::{Auditor, Difference, Found};
use super::book::{Book, ToPublish, Unanswered};
use super::notice::Notice;
use super::{CourierError, JOBS, Link, PROBE, PUBLICATION, QUARANTINE, RESULTS, SESSION};
use super::{Role, check_class, prepare, runtime};
use crate::here::{message_error, value_of};
use crate::probe::Probe;

/// How often the server is looked at, and what could not be published is published.
const LOOK: Duration = Duration::from_secs(1);
/// After a longer pause nothing is known of the workers: they were not heard.
const DEAF: Duration = Duration::from_secs(10);
/// How long workers may be missing before somebody hears of it, and again.
const MISSING: Duration = Duration::from_secs(10);
/// An answer that is not acknowledged after so long is sent again.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);
/// Answers that wait for the auditor at most; those beyond are not looked at.
const AUDITS: usize = 64;
/// How long the server may take to forget a session that ends.
const LEAVE: Duration = Duration::from_secs(1);

/// An executor whose jobs are done by workers, by way of a server.
pub struct Courier {
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// An answer that is looked at before it counts.
struct Audit {
    number: u64,
    job: Arc<Job>,
    answer: Answer,
}

/// State that the threads that wait share with the one that talks to the server.
struct Shared {
    url: String,
    /// Names the process that asks, so that it gets no answers to others.
    session: String,
    class: String,
    /// Digest of the probe, which workers must compute too.
    probe: String,
    book: Mutex<Book>,
    /// Messages of the stream that are of no use.
    useless: Mutex<Vec<u64>>,
    auditor: Auditor,
    /// Answers that wait for the auditor.
    audits: Mutex<Option<mpsc::SyncSender<Audit>>>,
    /// Why nothing that is asked for can be trusted any more.
    broken: Mutex<Option<TaskError>>,
    cancel: CancelToken,
    changed: Notify,
    ended: Notify,
    notify: Box<dyn Fn(&Notice) + Send + Sync>,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn useless(&self) -> MutexGuard<'_, Vec<u64>> {
        self.useless.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails once results that counted are known to be wrong.
    fn check(&self) -> Result<(), TaskError> {
        match self.broken.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(TaskError::Elsewhere { place, reason }) => {
                let (place, reason) = (place.clone(), reason.clone());
                Err(TaskError::Elsewhere { place, reason })
            }
            _ => Ok(()),
        }
    }

    fn jobs(&self) -> String {
        format!("symopt.jobs.{}.{}", self.class, self.session)
    }

    fn results(&self) -> String {
        format!("symopt.results.{}", self.session)
    }
}

impl Courier {
    /// Connects to a server. Jobs go to the workers of a class, and `notify` hears what the user
    /// should.
    pub fn new(
        link: &Link,
        class: &str,
        notify: Box<dyn Fn(&Notice) + Send + Sync>,
    ) -> Result<Courier, CourierError> {
        check_class(class)?;
        let probe = Probe::here(&CancelToken::new()).map_err(CourierError::Probe)?.line();
        let runtime = runtime()?;
        let server = |reason: String| CourierError::Server { url: link.url.clone(), reason };
        let (context, identity) = runtime.block_on(async {
            let context = link.connect(Role::Asks).await?;
            let identity = prepare(&context, class).await.map_err(server)?;
            Ok::<_, CourierError>((context, identity))
        })?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let session = Job::digest(
            format!("{identity} {} {:?}", std::process::id(), now.unwrap_or_default()).as_bytes(),
        );
        let (to_auditor, audits) = mpsc::sync_channel(AUDITS);
        let shared = Arc::new(Shared {
            url: link.url.clone(),
            session,
            class: class.to_owned(),
            probe,
            book: Mutex::default(),
            useless: Mutex::default(),
            auditor: Auditor::default(),
            audits: Mutex::new(Some(to_auditor)),
            broken: Mutex::default(),
            cancel: CancelToken::new(),
            changed: Notify::new(),
            ended: Notify::new(),
            notify,
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("courier".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let results = tokio::spawn(receive(context.clone(), Arc::clone(&of_thread)));
                    let talks = pin!(talk(&context, identity, &of_thread));
                    let ended = pin!(of_thread.ended.notified());
                    select(talks, ended).await;
                    results.abort();
                    // If the server is away, it forgets all by itself after a while.
                    let _ = tokio::time::timeout(LEAVE, leave(&context, &of_thread)).await;
                });
            })
            .map_err(CourierError::Start)?;
        let of_auditor = Arc::clone(&shared);
        let auditor = std::thread::Builder::new()
            .name("auditor".to_owned())
            .spawn(move || audits.into_iter().for_each(|audit| look_into(audit, &of_auditor)))
            .map_err(CourierError::Start);
        let mut courier = Courier { shared, threads: vec![thread] };
        courier.threads.push(auditor?);
        Ok(courier)
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.shared.cancel.cancel();
        self.shared.ended.notify_one();
        self.shared.audits.lock().unwrap_or_else(PoisonError::into_inner).take();
        for thread in self.threads.drain(..) {
            // If it panicked, there is nobody left to hear of it.
            let _ = thread.join();
        }
    }
}

impl Executor for Courier {
    fn execute(&self, job: &Job, cancel: &CancelToken) -> Result<Value, TaskError> {
        let bytes = job.encode().map_err(|error| message_error("a job", &error))?;
        let digest = Job::digest(&bytes);
        let (sender, receiver) = mpsc::channel();
        self.shared.check()?;
        let wait = self.shared.book().ask(&digest, job, bytes, sender);
        self.shared.changed.notify_one();
        loop {
            match receiver.recv_timeout(Duration::from_millis(50)) {
                Ok(answer) => return value_of(answer, &job.suite.name),
                Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => {
                    let useless = self.shared.book().leave(&digest, wait);
                    self.shared.useless().extend(useless);
                    return Err(Cancelled::during("a worker had the job").into());
                }
                Err(RecvTimeoutError::Timeout) => self.shared.check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(TaskError::Elsewhere {
                        place: self.shared.url.clone(),
                        reason: "the courier has ended; please report this".to_owned(),
                    });
                }
            }
        }
    }
}

/// Publishes what is to be published, and looks whether the server is the same and whether
/// anything was lost, without end.
async fn talk(context: &jetstream::Context, identity: String, shared: &Shared) {
    let mut known = identity;
    let mut looked = Instant::now();
    // When it was last known of the workers that they are there, or need not be.
    let mut worked = Instant::now();
    let mut is_away = false;
    loop {
        publish(context, shared).await;
        // Woken by a new job, or after a while.
        let _ = tokio::time::timeout(LOOK, shared.changed.notified()).await;
        if looked.elapsed() < LOOK {
            continue;
        }
        // A server that does not answer now does so later.
        let found = match prepare(context, &shared.class).await {
            Ok(found) => found,
            Err(_) => {
                if !is_away && looked.elapsed() > DEAF {
                    is_away = true;
                    (shared.notify)(&Notice::Away { url: shared.url.clone() });
                }
                continue;
            }
        };
        if std::mem::take(&mut is_away) {
            (shared.notify)(&Notice::Back { url: shared.url.clone() });
        }
        let was_deaf = looked.elapsed() > DEAF;
        looked = Instant::now();
        if found != known || was_deaf {
            // Where a message is in a stream says nothing of another one.
            let is_same = found.split_once(' ').map(|(_, streams)| streams)
                == known.split_once(' ').map(|(_, streams)| streams);
            known = found;
            let before = shared.book().begin_again();
            let mut useless = shared.useless();
            useless.extend(before);
            if !is_same {
                useless.clear();
            }
            continue;
        }
        if let Ok(stream) = context.get_stream_no_info(JOBS).await {
            look(&stream, shared).await;
        }
        let (is_idle, is_worked_on) = {
            let book = shared.book();
            (book.len() == 0, book.is_worked_on(Instant::now(), MISSING))
        };
        if is_idle || is_worked_on {
            worked = Instant::now();
        } else if worked.elapsed() > MISSING {
            let (url, class) = (shared.url.clone(), shared.class.clone());
            (shared.notify)(&Notice::NoWorker { url, class, waited: worked.elapsed() });
            worked = Instant::now();
        }
    }
}

/// Publishes the jobs that are not.
async fn publish(context: &jetstream::Context, shared: &Shared) {
    let wanted = shared.book().to_publish();
    for ToPublish { number, bytes } in wanted {
        // An equal repeat of a publication may vanish: the server has it, or had it.
        let message = PublishMessage::build()
            .message_id(format!("{}.{number}", shared.session))
            .header(SESSION, shared.session.as_str())
            .header(PUBLICATION, number.to_string())
            .header(PROBE, shared.probe.as_str())
            .header(QUARANTINE, shared.auditor.quarantined())
            .payload(bytes.into());
        let sent = match context.send_publish(shared.jobs(), message).await {
            Ok(acknowledged) => acknowledged.await.ok(),
            Err(_) => None,
        };
        // A job that the server does not take now, since it is full or away, is tried again.
        let Some(acknowledged) = sent else { return };
        shared.book().sent(number, acknowledged.sequence, Instant::now());
    }
}

/// Looks for what was lost, and removes what is of no use.
async fn look(stream: &Stream<()>, shared: &Shared) {
    let looked = shared.book().look(Instant::now());
    for (number, sequence) in looked.look_for {
        match stream.get_raw_message(sequence).await {
            Ok(message) => {
                let header = |name: &str| message.headers.get(name).map(|value| value.as_str());
                let is_ours = header(SESSION) == Some(shared.session.as_str())
                    && header(PUBLICATION) == Some(number.to_string().as_str());
                match is_ours {
                    true => shared.book().found(number, Instant::now()),
                    false => shared.book().gone(number),
                }
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                shared.book().gone(number);
            }
            Err(_) => break,
        }
    }
    let useless: Vec<u64> = shared.useless().drain(..).chain(looked.useless).collect();
    for sequence in useless {
        // It may be gone, or goes with the session.
        let _ = stream.delete_message(sequence).await;
    }
}

/// Has the server forget what belongs to the session.
async fn leave(context: &jetstream::Context, shared: &Shared) {
    for (stream, subject) in [(JOBS, shared.jobs()), (RESULTS, shared.results())] {
        if let Ok(stream) = context.get_stream_no_info(stream).await {
            let _ = stream.purge().filter(subject).await;
        }
    }
}

/// Takes in answers, and what is heard of workers, without end. All is made anew whenever it is
/// silent or gone.
async fn receive(context: jetstream::Context, shared: Arc<Shared>) {
    loop {
        if let Err(error) = receive_some(&context, &shared).await {
            drop(error);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

async fn receive_some(
    context: &jetstream::Context,
    shared: &Shared,
) -> Result<(), async_nats::Error> {
    let mut beats: Subscriber =
        context.client().subscribe(format!("symopt.beats.{}", shared.session)).await?;
    let stream = context.get_stream_no_info(RESULTS).await?;
    // One that was there before may have lost what was on its way. Answers that are known already
    // are passed over: nothing is open under their digest.
    let consumer = stream
        .create_consumer(pull::Config {
            filter_subject: shared.results(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: UNACKNOWLEDGED,
            deliver_policy: DeliverPolicy::All,
            inactive_threshold: Duration::from_secs(60),
            ..pull::Config::default()
        })
        .await?;
    let builder = consumer.stream().expires(Duration::from_secs(10));
    let mut messages = builder.heartbeat(Duration::from_secs(2)).messages().await?;
    let mut silent = 0;
    loop {
        let message = match select(messages.next(), beats.next()).await {
            Either::Left((message, _)) => message,
            Either::Right((Some(beat), _)) => {
                heard(&beat.payload, shared);
                continue;
            }
            Either::Right((None, _)) => return Ok(()),
        };
        match message {
            Some(Ok(message)) => {
                silent = 0;
                take(&message, shared);
                message.ack().await?;
            }
            Some(Err(_)) if silent < 1 => silent += 1,
            Some(Err(error)) => return Err(error.into()),
            None => return Ok(()),
        }
    }
}

/// Takes in what a worker says while it works: the number of a publication, and its name.
fn heard(beat: &[u8], shared: &Shared) {
    let text = std::str::from_utf8(beat).ok();
    let parts = text.and_then(|text| text.split_once(' '));
    if let Some((Ok(number), worker)) = parts.map(|(number, name)| (number.parse(), name)) {
        shared.book().heard(number, worker, Instant::now());
    }
}

/// Takes in an answer.
fn take(message: &jetstream::Message, shared: &Shared) {
    // Whatever is no answer is none of ours.
    let Ok(answer) = Answer::decode(&message.payload) else { return };
    let number = message.headers.as_ref().and_then(|headers| headers.get(PUBLICATION));
    let number = number.and_then(|number| number.as_str().parse().ok()).unwrap_or_default();
    if shared.auditor.is_quarantined(&answer.worker) {
        let outcome = Outcome::Returned("it is in quarantine".to_owned());
        shared.book().answered(number, Answer { outcome, ..answer }, Instant::now());
        shared.changed.notify_one();
        return;
    }
    let unanswered = shared.book().unanswered(&answer.job, number, Instant::now());
    match unanswered {
        Unanswered::Open(job, took) if shared.auditor.wants(&job, &answer, took) => {
            let digest = answer.job.clone();
            let audits = shared.audits.lock().unwrap_or_else(PoisonError::into_inner);
            let audit = Audit { number, job, answer };
            shared.book().hold(&digest);
            match audits.as_ref().map(|audits| audits.try_send(audit)) {
                None | Some(Ok(())) => {}
                Some(Err(
                    mpsc::TrySendError::Full(audit) | mpsc::TrySendError::Disconnected(audit),
                )) => count(number, &audit.job, audit.answer, shared),
            }
        }
        Unanswered::Open(job, _) => count(number, &job, answer, shared),
        Unanswered::Held => {}
        Unanswered::Closed => {
            if let Some(Difference { first, second }) = shared.auditor.compare(&answer) {
                (shared.notify)(&Notice::Differs { first, second });
            }
        }
    }
}

/// Gives an answer to those who wait for it.
fn count(number: u64, job: &Job, answer: Answer, shared: &Shared) {
    shared.auditor.took(job, &answer);
    let answered = shared.book().answered(number, answer, Instant::now());
    shared.useless().extend(answered.useless);
    if let Some((worker, reason)) = answered.returned {
        shared.changed.notify_one();
        (shared.notify)(&Notice::Returned { worker, reason });
    }
}

/// Computes a job here before its answer counts.
fn look_into(audit: Audit, shared: &Shared) {
    let Audit { number, job, answer } = audit;
    let own = match shared.auditor.audit(&job, &answer, &shared.cancel) {
        Found::Right | Found::Unknown => return count(number, &job, answer, shared),
        Found::Wrong(own) => own,
    };
    let worker = answer.worker.clone();
    let right = Answer { job: answer.job, worker: "here".to_owned(), outcome: own };
    count(number, &job, right, shared);
    let (others, wrong) = shared.auditor.do_again(&worker, &shared.cancel);
    (shared.notify)(&Notice::Wrong { worker: worker.clone(), others, wrong });
    if wrong > 0 {
        let reason = format!(
            "{wrong} of its results are wrong, and counted before that was known; what was made of \
             them can't be trusted: begin again, in another store, without that worker"
        );
        let error = TaskError::Elsewhere { place: format!("worker {worker}"), reason };
        *shared.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}
