//! The side that does the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, AckKind};
use futures_util::StreamExt;
use symopt_cancel::CancelToken;
use symopt_proxy_tasks::job::{Answer, Job, Outcome};

use super::{ACK_WAIT, CourierError, JOBS, MAX_DELIVER, check_class, connect, runtime, streams};
use crate::here::Here;

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The server.
    pub url: String,
    /// Whose jobs it does.
    pub class: String,
    /// What it is called in answers.
    pub name: String,
    /// Jobs at a time.
    pub slots: usize,
    /// Ends after so long without a job.
    pub idle_exit: Option<Duration>,
    /// A command for external tasks.
    pub command: Option<String>,
    /// A job that takes longer is given up.
    pub limit: Duration,
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Jobs that it answered.
    pub jobs: u64,
}

/// Does jobs until `drain` is cancelled, when it ends with those that it has, or until there were
/// none for as long as the terms say. Once `cancel` is cancelled it ends soon, and others do what
/// it had.
pub fn serve(
    terms: &Terms,
    drain: &CancelToken,
    cancel: &CancelToken,
) -> Result<Served, CourierError> {
    check_class(&terms.class)?;
    let here = Arc::new(Here::new(terms.command.clone()));
    let done = AtomicU64::new(0);
    // What is wrong shows before any slot begins.
    runtime()?.block_on(async {
        let context = connect(&terms.url).await?;
        let server = |reason| CourierError::Server { url: terms.url.clone(), reason };
        streams(&context).await.map(drop).map_err(server)
    })?;
    std::thread::scope(|scope| {
        let slots: Vec<_> = (0..terms.slots.max(1))
            .map(|_| scope.spawn(|| slot(terms, &here, drain, cancel, &done)))
            .collect();
        slots.into_iter().try_for_each(|slot| slot.join().unwrap_or(Ok(())))
    })?;
    Ok(Served { jobs: done.load(Ordering::Relaxed) })
}

fn slot(
    terms: &Terms,
    here: &Arc<Here>,
    drain: &CancelToken,
    cancel: &CancelToken,
    done: &AtomicU64,
) -> Result<(), CourierError> {
    runtime()?.block_on(async {
        let context = connect(&terms.url).await?;
        let mut last = Instant::now();
        let is_over = |last: Instant| {
            drain.is_cancelled()
                || cancel.is_cancelled()
                || terms.idle_exit.is_some_and(|limit| last.elapsed() > limit)
        };
        while !is_over(last) {
            // The server may be away, or have lost its streams and consumers: all is made anew.
            let _ = take(&context, terms, here, cancel, done, &mut last, &is_over).await;
            if !is_over(last) {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        Ok(())
    })
}

/// Takes jobs, one by one, until something is wrong or it is over.
async fn take(
    context: &jetstream::Context,
    terms: &Terms,
    here: &Arc<Here>,
    cancel: &CancelToken,
    done: &AtomicU64,
    last: &mut Instant,
    is_over: &dyn Fn(Instant) -> bool,
) -> Result<(), async_nats::Error> {
    streams(context).await?;
    let stream = context.get_stream(JOBS).await?;
    let name = format!("workers-{}", terms.class);
    let config = pull::Config {
        durable_name: Some(name.clone()),
        filter_subject: format!("symopt.jobs.{}", terms.class),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_deliver: MAX_DELIVER,
        max_ack_pending: 100_000,
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer(&name, config).await?;
    while !is_over(*last) {
        // Short enough that the end of the worker is noticed.
        let batch = consumer.fetch().max_messages(1).expires(Duration::from_secs(1));
        let mut messages = batch.messages().await?;
        while let Some(message) = messages.next().await {
            let message = message?;
            work(context, terms, here, cancel, &message).await?;
            done.fetch_add(1, Ordering::Relaxed);
            *last = Instant::now();
        }
    }
    Ok(())
}

/// Does a job, publishes the answer and acknowledges the job, in this order.
async fn work(
    context: &jetstream::Context,
    terms: &Terms,
    here: &Arc<Here>,
    cancel: &CancelToken,
    message: &jetstream::Message,
) -> Result<(), async_nats::Error> {
    let headers = message.headers.as_ref();
    let session = headers.and_then(|headers| headers.get("Symopt-Session"));
    let fits = |c: char| c.is_ascii_alphanumeric();
    let session =
        session.map(|session| session.as_str()).filter(|session| session.chars().all(fits));
    let Some(session) = session.filter(|session| !session.is_empty()) else {
        // Nobody waits for an answer.
        return message.ack_with(AckKind::Term).await;
    };
    let delivered = message.info().map_or(1, |info| info.delivered);
    let outcome = match Job::decode(&message.payload) {
        Err(error) => Outcome::Refused(format!("the job can't be read: {error}")),
        // What ended the workers before this one would end it too.
        Ok(_) if delivered >= MAX_DELIVER => Outcome::Lost(format!(
            "{} workers were lost, or silent for {} s, while they did this job",
            delivered - 1,
            ACK_WAIT.as_secs()
        )),
        Ok(job) => match done(job, here, terms.limit, cancel, message).await {
            Some(outcome) => outcome,
            // Given up: others do it.
            None => return message.ack_with(AckKind::Nak(None)).await,
        },
    };
    let answer = Answer { job: Job::digest(&message.payload), worker: terms.name.clone(), outcome };
    let bytes = answer.encode().or_else(|error| {
        let outcome = Outcome::Failed(format!("the answer can't be sent: {error}"));
        Answer { outcome, ..answer.clone() }.encode()
    })?;
    let id = format!("{session}.{}.{}", answer.job, Job::digest(&bytes));
    let publish = PublishMessage::build().message_id(id).payload(bytes.into());
    context.send_publish(format!("symopt.results.{session}"), publish).await?.await?;
    message.double_ack().await
}

/// What comes of a job, which a thread does while the server hears that it is being done. `None`
/// if it is given up.
async fn done(
    job: Job,
    here: &Arc<Here>,
    limit: Duration,
    cancel: &CancelToken,
    message: &jetstream::Message,
) -> Option<Outcome> {
    let in_time = cancel.child_until(Instant::now().checked_add(limit));
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    let (here, of_job) = (Arc::clone(here), in_time.clone());
    std::thread::spawn(move || {
        // Nobody to tell is no fault.
        let _ = sender.send(here.outcome(&job, &of_job));
    });
    loop {
        match tokio::time::timeout(ACK_WAIT / 3, &mut receiver).await {
            Ok(Ok(Ok(outcome))) => return Some(outcome),
            Ok(Ok(Err(_))) if !cancel.is_cancelled() => {
                return Some(Outcome::Failed(format!(
                    "it took longer than the worker's limit of {} s",
                    limit.as_secs()
                )));
            }
            Ok(Ok(Err(_))) => return None,
            Ok(Err(_)) => return Some(Outcome::Failed("it failed inside the worker".to_owned())),
            // A server that is away hears it the next time.
            Err(_) => drop(message.ack_with(AckKind::Progress).await),
        }
    }
}
