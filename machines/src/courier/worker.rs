//! The side that does the work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, AckKind};
use futures_util::StreamExt;
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::job::{Answer, Job, Outcome};

use super::cluster::Presence;
use super::{ACK_WAIT, CourierError, JOBS, Link, MAX_DELIVER, PROBE, PUBLICATION, QUARANTINE};
use super::{ROLL, Role, SESSION, check_class, runtime, workers_of};
use crate::here::Here;
use crate::probe::Probe;

/// How often a worker says that it still works on a job.
const BEAT: Duration = Duration::from_secs(10);
/// How long a worker waits for a job in one request: its end is noticed between two.
const FETCH: Duration = Duration::from_secs(1);
/// A request without any answer of the server is given up after so long.
const DEAF: Duration = Duration::from_secs(5);
/// A pause before what failed is tried again.
const PAUSE: Duration = Duration::from_millis(300);
/// How often an answer is sent, with a pause between, before the job is left to others.
const SENDS: usize = 60;

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The server.
    pub link: Link,
    /// Whose jobs it does.
    pub class: String,
    /// Its name in answers.
    pub name: String,
    /// Jobs at a time.
    pub slots: usize,
    /// Ends after so long without a job.
    pub idle_exit: Option<Duration>,
    /// A command for external tasks.
    pub command: Option<String>,
    /// A job that takes longer is given up.
    pub limit: Duration,
    /// Its probe, which must equal the coordinator's.
    pub probe: Probe,
}

/// Work that a worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Jobs that it answered.
    pub jobs: u64,
}

/// State that the slots of a worker share.
struct Worker<'a> {
    terms: &'a Terms,
    drain: &'a CancelToken,
    cancel: &'a CancelToken,
    jobs: AtomicU64,
    busy: AtomicU64,
    failed: AtomicU64,
    begin: Instant,
    has_ended: CancelToken,
    /// Why it may not take part.
    differs: OnceLock<String>,
}

/// Checks that there is a server that a worker on these terms may work for.
pub fn reach(terms: &Terms) -> Result<(), CourierError> {
    check_class(&terms.class)?;
    runtime()?.block_on(terms.link.connect(Role::Works))?;
    Ok(())
}

/// Does jobs until `drain` is cancelled, when it ends with those that it has, or until there were
/// none for as long as the terms say. Once `cancel` is cancelled it ends soon, and gives back what
/// it had.
pub fn serve(
    terms: &Terms,
    drain: &CancelToken,
    cancel: &CancelToken,
) -> Result<Served, CourierError> {
    // Faults show before any slot begins.
    reach(terms)?;
    let worker = Worker {
        terms,
        drain,
        cancel,
        jobs: AtomicU64::new(0),
        busy: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        begin: Instant::now(),
        has_ended: CancelToken::new(),
        differs: OnceLock::new(),
    };
    let shared = Arc::new(Here::new(None));
    std::thread::scope(|scope| {
        let slots: Vec<_> = (0..terms.slots.max(1))
            .map(|number| {
                // A slot that runs a command has a device of its own.
                let here = match &terms.command {
                    None => Arc::clone(&shared),
                    Some(command) => Arc::new(Here::new(Some(on_device(command, number)))),
                };
                let worker = &worker;
                scope.spawn(move || worker.slot(here))
            })
            .collect();
        let present = scope.spawn(|| worker.answer_the_roll());
        let ended = slots.into_iter().try_for_each(|slot| slot.join().unwrap_or(Ok(())));
        worker.has_ended.cancel();
        // Nobody needs what it says.
        let _ = present.join();
        ended
    })?;
    if let Some(reason) = worker.differs.into_inner() {
        return Err(CourierError::Differs(reason));
    }
    Ok(Served { jobs: worker.jobs.into_inner() })
}

/// A command that sees one device: the one of the slot's number, among those that this process
/// sees.
fn on_device(command: &str, slot: usize) -> String {
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
    let visible: Vec<&str> = visible.split(',').map(str::trim).filter(|d| !d.is_empty()).collect();
    // Names of devices have letters, digits and these signs: nothing that a shell would read.
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_/:.".contains(c);
    let device = match visible.is_empty() {
        true => slot.to_string(),
        false => visible[slot % visible.len()].chars().filter(|c| fits(*c)).collect(),
    };
    format!("export CUDA_VISIBLE_DEVICES={device}; {command}")
}

impl Worker<'_> {
    fn is_over(&self, last: Instant) -> bool {
        self.drain.is_cancelled()
            || self.cancel.is_cancelled()
            || self.differs.get().is_some()
            || self.terms.idle_exit.is_some_and(|limit| last.elapsed() > limit)
    }

    fn slot(&self, here: Arc<Here>) -> Result<(), CourierError> {
        runtime()?.block_on(async {
            let context = self.terms.link.connect(Role::Works).await?;
            let mut last = Instant::now();
            while !self.is_over(last) {
                // The server may be away, or have lost its streams, which whoever asks makes anew.
                let _ = self.take(&context, &here, &mut last).await;
                if !self.is_over(last) {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            Ok(())
        })
    }

    /// Says that it is there, and what it does, whenever that is asked.
    fn answer_the_roll(&self) -> Result<(), CourierError> {
        runtime()?.block_on(async {
            let client = self.terms.link.connect(Role::Works).await?.client();
            let Ok(mut calls) = client.subscribe(ROLL).await else { return Ok(()) };
            while !self.has_ended.is_cancelled() {
                let call = match tokio::time::timeout(PAUSE, calls.next()).await {
                    Ok(Some(call)) => call,
                    Ok(None) => break,
                    Err(_) => continue,
                };
                let presence = Presence {
                    name: self.terms.name.clone(),
                    class: self.terms.class.clone(),
                    slots: self.terms.slots.max(1),
                    busy: self.busy.load(Ordering::Relaxed),
                    jobs: self.jobs.load(Ordering::Relaxed),
                    failed: self.failed.load(Ordering::Relaxed),
                    seconds: self.begin.elapsed().as_secs(),
                };
                let bytes = serde_json::to_vec(&presence).unwrap_or_default();
                if let Some(reply) = call.reply {
                    let _ = client.publish(reply, bytes.into()).await;
                }
            }
            Ok(())
        })
    }

    /// Takes jobs, one by one, until something is wrong or it is over.
    async fn take(
        &self,
        context: &jetstream::Context,
        here: &Arc<Here>,
        last: &mut Instant,
    ) -> Result<(), async_nats::Error> {
        let name = workers_of(&self.terms.class);
        let consumer =
            context.get_consumer_from_stream::<pull::Config, _, _>(name.as_str(), JOBS).await?;
        while !self.is_over(*last) {
            let fetch = consumer.fetch().max_messages(1).expires(FETCH).messages();
            let mut messages = tokio::time::timeout(DEAF, fetch).await??;
            // A request that the server does not end, it has not heard.
            while let Some(message) = tokio::time::timeout(DEAF, messages.next()).await? {
                let message = message?;
                self.busy.fetch_add(1, Ordering::Relaxed);
                let worked = self.work(context, here, &message).await;
                self.busy.fetch_sub(1, Ordering::Relaxed);
                worked?;
                *last = Instant::now();
            }
        }
        Ok(())
    }

    /// Does a job, publishes the answer and acknowledges the job, in this order.
    async fn work(
        &self,
        context: &jetstream::Context,
        here: &Arc<Here>,
        message: &jetstream::Message,
    ) -> Result<(), async_nats::Error> {
        let header = |name: &str| {
            let value = message.headers.as_ref()?.get(name)?.as_str();
            let fits = !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric());
            fits.then(|| value.to_owned())
        };
        let (Some(session), Some(publication)) = (header(SESSION), header(PUBLICATION)) else {
            // Nobody waits for an answer.
            return message.ack_with(AckKind::Term).await;
        };
        let line = |name: &str| {
            let value = message.headers.as_ref().and_then(|headers| headers.get(name));
            value.map_or("", |line| line.as_str())
        };
        let beat = Beat {
            client: context.client(),
            subject: format!("symopt.beats.{session}"),
            text: format!("{publication} {}", self.terms.name),
        };
        beat.send().await;
        let delivered = message.info().map_or(1, |info| info.delivered);
        let is_quarantined = line(QUARANTINE).split(',').any(|name| name == self.terms.name);
        let difference = match is_quarantined {
            true => Some("it gave a result that whoever asked does not confirm".to_owned()),
            false => self.terms.probe.difference(line(PROBE)),
        };
        let job = Job::decode(&message.payload);
        let outcome = match job {
            _ if difference.is_some() => {
                let reason = difference.unwrap_or_default();
                let _ = self.differs.set(reason.clone());
                Outcome::Returned(reason)
            }
            Err(error) => Outcome::Refused(format!("the job can't be read: {error}")),
            // A job that ended the workers before this one would end it too.
            Ok(_) if delivered >= MAX_DELIVER => Outcome::Lost(format!(
                "{} workers were lost, or silent for {} s, while they did this job",
                delivered - 1,
                ACK_WAIT.as_secs()
            )),
            Ok(job) => self.outcome(job, here, message, &beat).await,
        };
        let was_done = !matches!(outcome, Outcome::Returned(_));
        let has_failed = was_done && !matches!(outcome, Outcome::Done(_));
        self.failed.fetch_add(u64::from(has_failed), Ordering::Relaxed);
        let worker = self.terms.name.clone();
        let answer = Answer { job: Job::digest(&message.payload), worker, outcome };
        let bytes = answer.encode().or_else(|error| {
            let outcome = Outcome::Failed(format!("the answer can't be sent: {error}"));
            Answer { outcome, ..answer.clone() }.encode()
        })?;
        self.answer(context, &session, &publication, bytes).await?;
        self.jobs.fetch_add(u64::from(was_done), Ordering::Relaxed);
        message.double_ack().await
    }

    /// Sends an answer until the server has it.
    async fn answer(
        &self,
        context: &jetstream::Context,
        session: &str,
        publication: &str,
        bytes: Vec<u8>,
    ) -> Result<(), async_nats::Error> {
        // Equal answers to one publication may vanish, and no others.
        let id = format!("{session}.{publication}.{}", Job::digest(&bytes));
        let mut sends = 0;
        loop {
            let publish = PublishMessage::build()
                .message_id(&id)
                .header(PUBLICATION, publication)
                .payload(bytes.clone().into());
            let sent = context.send_publish(format!("symopt.results.{session}"), publish).await;
            let error = match sent {
                Ok(acknowledged) => match acknowledged.await {
                    Ok(_) => return Ok(()),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            sends += 1;
            if sends >= SENDS || self.cancel.is_cancelled() {
                return Err(error.into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Returns the outcome of a job, which a thread does while the server and the coordinator hear
    /// that it is being done.
    async fn outcome(
        &self,
        job: Job,
        here: &Arc<Here>,
        message: &jetstream::Message,
        beat: &Beat,
    ) -> Outcome {
        let limit = self.terms.limit;
        let in_time = self.cancel.child_until(Instant::now().checked_add(limit));
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        let (here, of_job) = (Arc::clone(here), in_time.clone());
        let thread = std::thread::Builder::new().spawn(move || {
            // Nobody to tell is no fault.
            let _ = sender.send(here.outcome(&job, &of_job));
        });
        if let Err(error) = thread {
            return Outcome::Returned(format!("no thread can be started: {error}"));
        }
        loop {
            match tokio::time::timeout(BEAT, &mut receiver).await {
                Ok(Ok(Ok(outcome))) => return outcome,
                Ok(Ok(Err(_))) if self.cancel.is_cancelled() => {
                    return Outcome::Returned("the worker was ended".to_owned());
                }
                Ok(Ok(Err(_))) => {
                    return Outcome::Failed(format!(
                        "it took longer than the worker's limit of {} s",
                        limit.as_secs()
                    ));
                }
                Ok(Err(_)) => return Outcome::Failed("it failed inside the worker".to_owned()),
                Err(_) => {
                    // A server that is away hears it the next time.
                    let _ = message.ack_with(AckKind::Progress).await;
                    beat.send().await;
                }
            }
        }
    }
}

/// Tells the coordinator that a job is being done.
struct Beat {
    client: async_nats::Client,
    subject: String,
    text: String,
}

impl Beat {
    async fn send(&self) {
        // It is no loss: the next one comes soon.
        let _ = self.client.publish(self.subject.clone(), self.text.clone().into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::on_device;

    #[test]
    fn each_slot_of_a_command_has_a_device_of_its_own() {
        // The tests of this process do not set the variable.
        let commands: Vec<String> = (0..2).map(|slot| on_device("train", slot)).collect();
        assert!(commands[0] != commands[1] || std::env::var("CUDA_VISIBLE_DEVICES").is_ok());
        assert!(commands[0].starts_with("export CUDA_VISIBLE_DEVICES="), "{commands:?}");
        assert!(commands[0].ends_with("; train"), "{commands:?}");
    }
}
