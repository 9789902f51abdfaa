//! Jobs by way of a NATS server with JetStream.
//!
//! The server is a courier and keeps no truth: whoever asked for a job holds it until its answer is
//! there, and publishes it again when the server or its streams are not those that it was
//! published to, or when it was lost in any other way. Jobs wait in a work queue, one subject for
//! each class of workers and each session, which is a process that asks; answers come back under
//! the session. A worker publishes an answer, waits until the server has it, and only then
//! acknowledges the job; so a job may be done twice, which changes nothing, and is not lost. While
//! it works it tells the session so, by messages that nobody keeps.
//!
//! | subject | what goes there |
//! |---|---|
//! | `symopt.jobs.CLASS.SESSION` | jobs, in the stream `SYMOPT_JOBS` |
//! | `symopt.results.SESSION` | answers, in the stream `SYMOPT_RESULTS` |
//! | `symopt.beats.SESSION` | "this worker does this publication" |
//! | `symopt.roll` | "who is there", which workers answer |

mod audit;
mod book;
pub mod cluster;
mod coordinator;
mod notice;
mod signals;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};

pub use self::coordinator::Courier;
pub use self::notice::Notice;
pub use self::signals::drain_on_signals;
pub use self::worker::{Served, Terms, reach, serve};

/// The streams.
const JOBS: &str = "SYMOPT_JOBS";
const RESULTS: &str = "SYMOPT_RESULTS";

/// Where workers are asked who is there.
const ROLL: &str = "symopt.roll";
/// Where replies go, so that workers do not hear those to others.
const ASKS_INBOX: &str = "_INBOX.asks";
const WORKS_INBOX: &str = "_INBOX.works";

/// Headers of a message: the session, the number of the publication in it, and the probe of whoever
/// asks.
const SESSION: &str = "Symopt-Session";
const PUBLICATION: &str = "Symopt-Publication";
const PROBE: &str = "Symopt-Probe";
/// A header of jobs: the names of workers that gave wrong results, with commas between.
const QUARANTINE: &str = "Symopt-Quarantine";

/// The oldest server that is known to keep what it acknowledged.
const OLDEST: (u32, u32) = (2, 12);

/// How long a worker may be silent about a job before it is given to another one.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How often a publication is given to a worker, whoever counts. The server has no such limit: it
/// would keep, and give to nobody, what is over it.
const MAX_DELIVER: i64 = 4;
/// Answers are kept so long for whoever asked.
const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);
/// Jobs are kept so long for workers. One that is still wanted is published again then.
const QUEUED: Duration = Duration::from_secs(24 * 3600);
/// Jobs of a session that wait at most. One more is refused by the server, and is tried again.
const WAITING: i64 = 4096;
/// How long an answer of the server is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no courier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CourierError {
    /// There is no server.
    #[error("{url}: no NATS server answers: {reason}; start one with `nats-server -js`")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// The server is too old.
    #[error(
        "{url}: the NATS server has version {found}, and at least {}.{} is needed: older ones lose \
         what they acknowledged",
        OLDEST.0,
        OLDEST.1
    )]
    Version {
        /// Where.
        url: String,
        /// Its version.
        found: String,
    },
    /// Others could read and change what travels.
    #[error(
        "{url}: beyond this machine the connection must be encrypted; give a URL that begins with \
         tls://"
    )]
    Plain {
        /// Where.
        url: String,
    },
    /// The file with the key will not do.
    #[error("{path}: {reason}; a key is a file as `symopt cluster init` writes them", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Description of the fault.
        reason: String,
    },
    /// A class that is no name.
    #[error("the class `{0}` is none: use letters, digits, - and _")]
    Class(String),
    /// The server refuses.
    #[error("{url}: {reason}; does the server run with JetStream (`nats-server -js`)?")]
    Server {
        /// Where.
        url: String,
        /// Reason that it gave.
        reason: String,
    },
    /// The text is no address.
    #[error("{url}: {reason}; give nats://HOST:PORT, or tls://HOST:PORT beyond this machine")]
    Url {
        /// The text.
        url: String,
        /// Description of the fault.
        reason: String,
    },
    /// The machine computes something else than the one that asks.
    #[error("this worker may not take part: {0}")]
    Differs(String),
    /// The probe of this machine failed.
    #[error("the probe that shows whether machines compute the same failed: {0}")]
    Probe(symopt_proxy_tasks::error::TaskError),
    /// No thread, or no runtime.
    #[error("the courier can't be started: {0}")]
    Start(std::io::Error),
}

impl CourierError {
    /// Whether what was asked for is wrong, and not the work.
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            CourierError::Plain { .. }
                | CourierError::Key { .. }
                | CourierError::Class(_)
                | CourierError::Url { .. }
        )
    }
}

fn check_class(class: &str) -> Result<(), CourierError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !class.is_empty() && class.len() <= 40 && class.chars().all(fits) {
        true => Ok(()),
        false => Err(CourierError::Class(class.to_owned())),
    }
}

/// Role of a connection.
#[derive(Clone, Copy)]
enum Role {
    Asks,
    Works,
}

/// A server, and how it knows who connects.
#[derive(Clone, Debug)]
pub struct Link {
    /// The server: `nats://HOST:PORT` on this machine, `tls://HOST:PORT` beyond it.
    pub url: String,
    /// A file with the seed of an NKey, or credentials that a server wrote.
    pub key: Option<PathBuf>,
}

impl Link {
    /// A server that asks for no key.
    pub fn new(url: &str) -> Link {
        Link { url: url.to_owned(), key: None }
    }

    fn options(&self, role: Role) -> Result<async_nats::ConnectOptions, CourierError> {
        let inbox = match role {
            Role::Asks => ASKS_INBOX,
            Role::Works => WORKS_INBOX,
        };
        let options = async_nats::ConnectOptions::new().connection_timeout(TIMEOUT);
        let options = options.custom_inbox_prefix(inbox);
        let Some(path) = &self.key else { return Ok(options) };
        let wrong = |reason: String| CourierError::Key { path: path.clone(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        match text.contains("BEGIN") {
            true => options.credentials(&text).map_err(|error| wrong(error.to_string())),
            false => Ok(options.nkey(text.trim().to_owned())),
        }
    }

    /// Connects to the server, if it will do.
    async fn connect(&self, role: Role) -> Result<jetstream::Context, CourierError> {
        let url = &self.url;
        let away = |reason: String| CourierError::Connect { url: url.clone(), reason };
        let address: async_nats::ServerAddr = url.parse().map_err(|error: std::io::Error| {
            CourierError::Url { url: url.clone(), reason: error.to_string() }
        })?;
        let host = address.host().trim_matches(['[', ']']);
        let is_here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if !is_here && !address.tls_required() {
            return Err(CourierError::Plain { url: url.clone() });
        }
        let client = self.options(role)?.connect(address).await;
        let client = client.map_err(|error| away(error.to_string()))?;
        let found = client.server_info().version;
        if !is_new_enough(&found) {
            return Err(CourierError::Version { url: url.clone(), found });
        }
        let mut context = jetstream::new(client);
        context.set_timeout(TIMEOUT);
        Ok(context)
    }
}

/// Whether a server's version is at least the oldest that will do.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split(['.', '-']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST,
        _ => false,
    }
}

/// The consumer that the workers of a class share.
fn workers_of(class: &str) -> String {
    format!("workers-{class}")
}

/// Makes the streams where they are not there, and the consumer of a class, and says what the
/// streams are: the server, and when each was made. Other ones do not have what these had.
async fn prepare(context: &jetstream::Context, class: &str) -> Result<String, String> {
    let config = |name: &str| stream::Config {
        name: name.to_owned(),
        storage: stream::StorageType::File,
        ..stream::Config::default()
    };
    let jobs = stream::Config {
        subjects: vec!["symopt.jobs.*.*".to_owned()],
        retention: stream::RetentionPolicy::WorkQueue,
        discard: stream::DiscardPolicy::New,
        discard_new_per_subject: true,
        max_messages_per_subject: WAITING,
        max_age: QUEUED,
        ..config(JOBS)
    };
    let results = stream::Config {
        subjects: vec!["symopt.results.*".to_owned()],
        max_age: KEPT,
        ..config(RESULTS)
    };
    let mut identity = context.client().server_info().server_id;
    for config in [jobs, results] {
        let stream = context.get_or_create_stream(config).await.map_err(|e| e.to_string())?;
        identity.push_str(&format!(" {}", stream.cached_info().created.unix_timestamp_nanos()));
    }
    let jobs = context.get_stream_no_info(JOBS).await.map_err(|error| error.to_string())?;
    let workers = consumer::pull::Config {
        durable_name: Some(workers_of(class)),
        filter_subject: format!("symopt.jobs.{class}.*"),
        ack_policy: consumer::AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_deliver: -1,
        max_ack_pending: 100_000,
        ..consumer::pull::Config::default()
    };
    jobs.create_consumer(workers).await.map_err(|error| error.to_string())?;
    Ok(identity)
}

fn runtime() -> Result<tokio::runtime::Runtime, CourierError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CourierError::Start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_lose_what_they_acknowledged_are_known_by_their_version() {
        for (version, expected) in [
            ("2.12.0", true),
            ("2.15.1", true),
            ("v3.0.0-RC.1", true),
            ("2.11.9", false),
            ("2.9.10", false),
            ("", false),
            ("2", false),
            ("99999999999999999999.1.1", false),
        ] {
            assert_eq!(is_new_enough(version), expected, "{version}");
        }
    }
}
