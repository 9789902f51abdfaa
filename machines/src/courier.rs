//! Jobs by way of a NATS server with JetStream.
//!
//! The server is a courier and keeps no truth: whoever asked for a job holds it until its answer is
//! there, and publishes it again when the server or its streams are not those that it was
//! published to. Jobs wait in a work queue, one subject for each class of workers; answers come
//! back under the session of the process that asked. A worker publishes an answer, waits until the
//! server has it, and only then acknowledges the job; so a job may be done twice, which changes
//! nothing, and is not lost.

mod coordinator;
mod worker;

use std::time::Duration;

use async_nats::jetstream::{self, stream};

pub use self::coordinator::Courier;
pub use self::worker::{Served, Terms, serve};

/// The streams.
const JOBS: &str = "SYMOPT_JOBS";
const RESULTS: &str = "SYMOPT_RESULTS";

/// The oldest server that is known to keep what it acknowledged.
const OLDEST: (i64, i64) = (2, 12);

/// How long a worker may be silent about a job before it is given to another one.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How often a job is given to a worker.
const MAX_DELIVER: i64 = 4;
/// Answers are kept so long for whoever asked.
const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);
/// Jobs that wait at most. One more is refused by the server, and is tried again.
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
    /// A class that is no name.
    #[error("the class `{0}` is none: use letters, digits, - and _")]
    Class(String),
    /// The server refuses.
    #[error("{url}: {reason}; does the server run with JetStream (`nats-server -js`)?")]
    Server {
        /// Where.
        url: String,
        /// What it said.
        reason: String,
    },
    /// No thread, or no runtime.
    #[error("the courier can't be started: {0}")]
    Start(std::io::Error),
}

fn check_class(class: &str) -> Result<(), CourierError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !class.is_empty() && class.len() <= 40 && class.chars().all(fits) {
        true => Ok(()),
        false => Err(CourierError::Class(class.to_owned())),
    }
}

/// Connects to a server that will do.
async fn connect(url: &str) -> Result<jetstream::Context, CourierError> {
    let address: async_nats::ServerAddr = url.parse().map_err(|error| CourierError::Connect {
        url: url.to_owned(),
        reason: format!("{error}"),
    })?;
    let host = address.host().trim_matches(['[', ']']);
    let is_here = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if !is_here && !address.tls_required() {
        return Err(CourierError::Plain { url: url.to_owned() });
    }
    let options = async_nats::ConnectOptions::new().connection_timeout(TIMEOUT);
    let client = options.connect(address).await.map_err(|error| CourierError::Connect {
        url: url.to_owned(),
        reason: error.to_string(),
    })?;
    if !client.is_server_compatible(OLDEST.0, OLDEST.1, 0) {
        let found = client.server_info().version;
        return Err(CourierError::Version { url: url.to_owned(), found });
    }
    let mut context = jetstream::new(client);
    context.set_timeout(TIMEOUT);
    Ok(context)
}

/// Makes the streams where they are not there, and says what they are: the server, and when each
/// stream was made. Other ones do not have what these had.
async fn streams(context: &jetstream::Context) -> Result<String, String> {
    let config = |name: &str| stream::Config {
        name: name.to_owned(),
        storage: stream::StorageType::File,
        ..stream::Config::default()
    };
    let jobs = stream::Config {
        subjects: vec!["symopt.jobs.*".to_owned()],
        retention: stream::RetentionPolicy::WorkQueue,
        discard: stream::DiscardPolicy::New,
        max_messages: WAITING,
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
        let info = stream.get_info().await.map_err(|error| error.to_string())?;
        identity.push_str(&format!(" {}", info.created.unix_timestamp_nanos()));
    }
    Ok(identity)
}

fn runtime() -> Result<tokio::runtime::Runtime, CourierError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CourierError::Start)
}
