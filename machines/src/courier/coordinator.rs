//! The side that asks: an executor whose jobs are done by workers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::message::PublishMessage;
use futures_util::StreamExt;
use serde_json::Value;
use symopt_cancel::{CancelToken, Cancelled};
use symopt_proxy_tasks::error::TaskError;
use symopt_proxy_tasks::executor::Executor;
use symopt_proxy_tasks::job::{Answer, Job};
use tokio::sync::Notify;

use super::{CourierError, RESULTS, check_class, connect, runtime, streams};
use crate::here::{message_error, value_of};

/// How often the server is looked at, and what could not be published is published.
const LOOK: Duration = Duration::from_secs(1);
/// A job without an answer is given out again after so long, and then after twice as long.
const OVERDUE: Duration = Duration::from_secs(600);

/// An executor whose jobs are done by workers, by way of a server.
pub struct Courier {
    url: String,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the threads that wait have in common with the one that talks to the server.
struct Shared {
    /// Names the process that asks, so that it gets no answers to others.
    session: String,
    class: String,
    open: Mutex<HashMap<String, Open>>,
    changed: Notify,
    /// How many waits there were.
    waits: AtomicU64,
    ended: CancelToken,
}

/// A job without an answer.
struct Open {
    bytes: Vec<u8>,
    /// How often it was published.
    attempt: u32,
    /// When it was published last; `None` if it is to be published.
    published: Option<Instant>,
    /// Who waits for it, by number.
    waiting: Vec<(u64, mpsc::Sender<Answer>)>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Courier {
    /// Connects to a server. Jobs go to the workers of a class.
    pub fn new(url: &str, class: &str) -> Result<Courier, CourierError> {
        check_class(class)?;
        let runtime = runtime()?;
        let server = |reason: String| CourierError::Server { url: url.to_owned(), reason };
        let (context, identity) = runtime.block_on(async {
            let context = connect(url).await?;
            let identity = streams(&context).await.map_err(server)?;
            Ok::<_, CourierError>((context, identity))
        })?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let session = Job::digest(
            format!("{identity} {} {:?}", std::process::id(), now.unwrap_or_default()).as_bytes(),
        );
        let shared = Arc::new(Shared {
            session,
            class: class.to_owned(),
            open: Mutex::default(),
            changed: Notify::new(),
            waits: AtomicU64::new(0),
            ended: CancelToken::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("courier".to_owned())
            .spawn(move || runtime.block_on(talk(context, identity, of_thread)))
            .map_err(CourierError::Start)?;
        Ok(Courier { url: url.to_owned(), shared, thread: Some(thread) })
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.shared.ended.cancel();
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
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
        let own = self.shared.waits.fetch_add(1, Ordering::Relaxed);
        self.shared
            .open()
            .entry(digest.clone())
            .or_insert_with(|| Open { bytes, attempt: 0, published: None, waiting: Vec::new() })
            .waiting
            .push((own, sender));
        self.shared.changed.notify_one();
        loop {
            match receiver.recv_timeout(Duration::from_millis(50)) {
                Ok(answer) => return value_of(answer),
                Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => {
                    let mut open = self.shared.open();
                    // Others may wait for the same job.
                    let nobody = open.get_mut(&digest).is_some_and(|open| {
                        open.waiting.retain(|(number, _)| *number != own);
                        open.waiting.is_empty()
                    });
                    if nobody {
                        open.remove(&digest);
                    }
                    return Err(Cancelled::during("a worker had the job").into());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(TaskError::Elsewhere {
                        place: self.url.clone(),
                        reason: "the courier has ended; please report this".to_owned(),
                    });
                }
            }
        }
    }
}

/// Publishes what is to be published, takes in answers, and looks whether the server is the same,
/// until the courier ends.
async fn talk(context: jetstream::Context, identity: String, shared: Arc<Shared>) {
    let results = tokio::spawn(receive(context.clone(), Arc::clone(&shared)));
    let mut known = identity;
    let mut looked = Instant::now();
    while !shared.ended.is_cancelled() {
        publish(&context, &shared).await;
        // Woken by a new job, or after a while.
        let _ = tokio::time::timeout(LOOK, shared.changed.notified()).await;
        if looked.elapsed() < LOOK {
            continue;
        }
        looked = Instant::now();
        // A server that does not answer now does so later.
        let Ok(found) = streams(&context).await else { continue };
        let is_other = found != known;
        known = found;
        for open in shared.open().values_mut() {
            let overdue = OVERDUE * 2u32.saturating_pow(open.attempt.saturating_sub(1).min(10));
            if is_other || open.published.is_some_and(|then| then.elapsed() > overdue) {
                open.published = None;
            }
        }
    }
    results.abort();
}

/// Publishes the jobs that are not, each under an id of its own for each attempt.
async fn publish(context: &jetstream::Context, shared: &Shared) {
    let waiting: Vec<(String, u32, Vec<u8>)> = shared
        .open()
        .iter()
        .filter(|(_, open)| open.published.is_none())
        .map(|(digest, open)| (digest.clone(), open.attempt + 1, open.bytes.clone()))
        .collect();
    for (digest, attempt, bytes) in waiting {
        let message = PublishMessage::build()
            .message_id(format!("{}.{digest}.{attempt}", shared.session))
            .header("Symopt-Session", shared.session.as_str())
            .payload(bytes.into());
        let subject = format!("symopt.jobs.{}", shared.class);
        let sent = context.send_publish(subject, message).await;
        let done = match sent {
            Ok(acknowledged) => acknowledged.await.is_ok(),
            Err(_) => false,
        };
        // What the server does not take now, since it is full or away, is tried again.
        if !done {
            return;
        }
        if let Some(open) = shared.open().get_mut(&digest) {
            open.attempt = attempt;
            open.published = Some(Instant::now());
        }
    }
}

/// Takes in answers. The consumer is made anew whenever it is silent or gone.
async fn receive(context: jetstream::Context, shared: Arc<Shared>) {
    let subject = format!("symopt.results.{}", shared.session);
    loop {
        if let Err(error) = receive_some(&context, &shared, &subject).await {
            drop(error);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

async fn receive_some(
    context: &jetstream::Context,
    shared: &Shared,
    subject: &str,
) -> Result<(), async_nats::Error> {
    let stream = context.get_stream(RESULTS).await?;
    // What is known already is passed over: nothing is open under its digest.
    let consumer = stream
        .create_consumer(pull::Config {
            filter_subject: subject.to_owned(),
            ack_policy: AckPolicy::None,
            deliver_policy: DeliverPolicy::All,
            inactive_threshold: Duration::from_secs(60),
            ..pull::Config::default()
        })
        .await?;
    let builder = consumer.stream().expires(Duration::from_secs(10));
    let mut messages = builder.heartbeat(Duration::from_secs(2)).messages().await?;
    let mut silent = 0;
    while let Some(message) = messages.next().await {
        match message {
            Ok(message) => {
                silent = 0;
                // Whatever is no answer is none of ours.
                let Ok(answer) = Answer::decode(&message.payload) else { continue };
                let Some(open) = shared.open().remove(&answer.job) else { continue };
                for (_, waiting) in open.waiting {
                    // Whoever waits no longer has been cancelled.
                    let _ = waiting.send(answer.clone());
                }
            }
            Err(_) if silent < 1 => silent += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
