//! Sets up a cluster of the user's own: a server's configuration and keys, and a look at its
//! workers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer;
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::{ASKS_INBOX, CourierError, JOBS, Link, RESULTS, ROLL, Role, WORKS_INBOX, runtime};

/// The files of a cluster.
const CONFIGURATION: &str = "server.conf";
const COORDINATOR: &str = "coordinator.nk";
const WORKER: &str = "worker.nk";

/// How long workers have to say that they are there.
const ANSWER: Duration = Duration::from_secs(1);

/// Why a cluster can't be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A file can't be written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The keys of a cluster are there already.
    #[error("{path}: there already, and it may be in use; give another directory", path = .0.display())]
    Taken(PathBuf),
    /// Others could read and change what travels.
    #[error(
        "{0} is not this machine, so that the connection must be encrypted: give the server's \
         certificate and key with --tls-cert and --tls-key"
    )]
    Plain(String),
    /// No key can be made.
    #[error("no key can be made: {0}")]
    Key(String),
}

/// Where the server of a cluster listens, and as whom.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The files of the certificate and of its key.
    pub tls: Option<(PathBuf, PathBuf)>,
}

impl Listen {
    /// Returns the URL that workers and searches are started with.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "tls" } else { "nats" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

/// The files of a cluster that was set up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cluster {
    /// Configuration that the server is started with.
    pub configuration: PathBuf,
    /// The key of searches and studies.
    pub coordinator: PathBuf,
    /// The key of workers.
    pub worker: PathBuf,
    /// Where the server listens.
    pub url: String,
}

/// Writes the configuration of a server and the keys of those who may connect into a directory. A
/// worker may fetch jobs, acknowledge them and publish results, and nothing else.
pub fn set_up(directory: &Path, listen: &Listen) -> Result<Cluster, ClusterError> {
    let is_here = listen.host == "localhost"
        || listen.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if !is_here && listen.tls.is_none() {
        return Err(ClusterError::Plain(listen.host.clone()));
    }
    let file = |path: &Path, source| ClusterError::File { path: path.to_owned(), source };
    std::fs::create_dir_all(directory).map_err(|source| file(directory, source))?;
    let directory = directory.canonicalize().map_err(|source| file(directory, source))?;
    let cluster = Cluster {
        configuration: directory.join(CONFIGURATION),
        coordinator: directory.join(COORDINATOR),
        worker: directory.join(WORKER),
        url: listen.url(),
    };
    for path in [&cluster.configuration, &cluster.coordinator, &cluster.worker] {
        if path.exists() {
            return Err(ClusterError::Taken(path.clone()));
        }
    }
    let mut public = Vec::new();
    for path in [&cluster.coordinator, &cluster.worker] {
        let pair = nkeys::KeyPair::new_user();
        let seed = pair.seed().map_err(|error| ClusterError::Key(error.to_string()))?;
        write_secret(path, &format!("{seed}\n")).map_err(|source| file(path, source))?;
        public.push(pair.public_key());
    }
    let text = configuration(&directory, listen, &public[0], &public[1]);
    std::fs::write(&cluster.configuration, text)
        .map_err(|source| file(&cluster.configuration, source))?;
    Ok(cluster)
}

/// Writes a file that nobody else may read.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

fn configuration(directory: &Path, listen: &Listen, coordinator: &str, worker: &str) -> String {
    // Strings are written as in JSON.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let list = |subjects: &[String]| {
        let subjects: Vec<String> = subjects.iter().map(|subject| quoted(subject)).collect();
        subjects.join(", ")
    };
    let address = quoted(&format!("{}:{}", listen.host, listen.port));
    let store = quoted(&directory.join("store").display().to_string());
    let tls = listen.tls.as_ref().map_or_else(String::new, |(certificate, key)| {
        format!(
            "tls {{\n  cert_file: {}\n  key_file: {}\n}}\n",
            quoted(&certificate.display().to_string()),
            quoted(&key.display().to_string())
        )
    });
    let asks_publishes = list(&[
        "symopt.jobs.>".to_owned(),
        ROLL.to_owned(),
        "$JS.API.>".to_owned(),
        format!("$JS.ACK.{RESULTS}.>"),
    ]);
    let asks_hears = list(&[format!("{ASKS_INBOX}.>"), "symopt.beats.*".to_owned()]);
    let works_publishes = list(&[
        "symopt.results.*".to_owned(),
        "symopt.beats.*".to_owned(),
        format!("$JS.API.CONSUMER.INFO.{JOBS}.*"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{JOBS}.*"),
        format!("$JS.ACK.{JOBS}.>"),
    ]);
    let works_hears = list(&[format!("{WORKS_INBOX}.>"), ROLL.to_owned()]);
    format!(
        "# The NATS server of a symopt cluster, version 2.12 or newer: nats-server -c server.conf\n\
         listen: {address}\n\
         {tls}\
         jetstream {{\n  \
           store_dir: {store}\n  \
           # What is acknowledged is on the disk.\n  \
           sync_interval: always\n\
         }}\n\
         authorization {{\n  \
           users: [\n    \
             # Searches and studies ({COORDINATOR}).\n    \
             {{\n      \
               nkey: {coordinator}\n      \
               permissions: {{ publish: [{asks_publishes}], subscribe: [{asks_hears}] }}\n    \
             }}\n    \
             # Workers ({WORKER}): they fetch jobs, acknowledge them, and publish results.\n    \
             {{\n      \
               nkey: {worker}\n      \
               permissions: {{ publish: [{works_publishes}], subscribe: [{works_hears}], allow_responses: true }}\n    \
             }}\n  \
           ]\n\
         }}\n"
    )
}

/// Report of a worker about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Its name.
    pub name: String,
    /// Whose jobs it does.
    pub class: String,
    /// Jobs that it can do at a time.
    pub slots: usize,
    /// Jobs that it does now.
    pub busy: u64,
    /// Jobs that it answered.
    pub jobs: u64,
    /// Those of them that failed or were refused.
    pub failed: u64,
    /// Seconds since it was started.
    pub seconds: u64,
}

/// The jobs of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Queue {
    /// The class.
    pub class: String,
    /// Jobs that no worker has.
    pub waiting: u64,
    /// Jobs that a worker has.
    pub in_work: usize,
    /// Jobs that were given to another worker, since the first was lost.
    pub given_again: usize,
}

/// State of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The version of the server.
    pub server: String,
    /// The workers, by name.
    pub workers: Vec<Presence>,
    /// The classes, by name.
    pub queues: Vec<Queue>,
    /// Answers that the server keeps.
    pub answers: u64,
}

/// Looks at what goes on in a cluster.
pub fn status(link: &Link) -> Result<Status, CourierError> {
    let server = |error: String| CourierError::Server { url: link.url.clone(), reason: error };
    runtime()?.block_on(async {
        let context = link.connect(Role::Asks).await?;
        let client = context.client();
        let workers = roll_call(&client).await.map_err(|error| server(error.to_string()))?;
        let queues = queues(&context).await.map_err(|error| server(error.to_string()))?;
        let results = context.get_stream(RESULTS).await.ok();
        let answers = results.map_or(0, |stream| stream.cached_info().state.messages);
        Ok(Status { server: client.server_info().version, workers, queues, answers })
    })
}

async fn roll_call(client: &async_nats::Client) -> Result<Vec<Presence>, async_nats::Error> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await?;
    client.publish_with_reply(ROLL, inbox, "".into()).await?;
    client.flush().await?;
    let mut workers: Vec<Presence> = Vec::new();
    let deadline = tokio::time::Instant::now() + ANSWER;
    while let Ok(Some(answer)) = tokio::time::timeout_at(deadline, answers.next()).await {
        // Whatever else answers is no worker.
        if let Ok(presence) = serde_json::from_slice(&answer.payload) {
            workers.push(presence);
        }
    }
    workers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(workers)
}

async fn queues(context: &jetstream::Context) -> Result<Vec<Queue>, async_nats::Error> {
    // Without the stream, nobody has asked for anything yet.
    let Ok(stream) = context.get_stream(JOBS).await else { return Ok(Vec::new()) };
    let consumers: Vec<consumer::Info> = stream.consumers().try_collect().await?;
    let mut queues: Vec<Queue> = consumers
        .into_iter()
        .filter_map(|info| {
            Some(Queue {
                class: info.name.strip_prefix("workers-")?.to_owned(),
                waiting: info.num_pending,
                in_work: info.num_ack_pending,
                given_again: info.num_redelivered,
            })
        })
        .collect();
    queues.sort_by(|a, b| a.class.cmp(&b.class));
    Ok(queues)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_once_and_off_this_machine_only_with_a_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let listen = Listen { host: "127.0.0.1".to_owned(), port: 4222, tls: None };
        let cluster = set_up(directory.path(), &listen).unwrap();
        let text = std::fs::read_to_string(&cluster.configuration).unwrap();
        for path in [&cluster.coordinator, &cluster.worker] {
            let seed = std::fs::read_to_string(path).unwrap();
            let pair = nkeys::KeyPair::from_seed(seed.trim()).unwrap();
            assert!(text.contains(&pair.public_key()) && !text.contains(seed.trim()), "{text}");
            #[cfg(unix)]
            {
                let metadata = std::fs::metadata(path).unwrap();
                let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
                assert_eq!(mode & 0o77, 0);
            }
        }
        assert!(matches!(set_up(directory.path(), &listen), Err(ClusterError::Taken(_))));
        let other = Listen { host: "10.0.0.1".to_owned(), ..listen };
        let elsewhere = directory.path().join("other");
        assert!(matches!(set_up(&elsewhere, &other), Err(ClusterError::Plain(_))));
        let tls = Some((PathBuf::from("c\"ert.pem"), PathBuf::from("key.pem")));
        let cluster = set_up(&elsewhere, &Listen { tls, ..other }).unwrap();
        assert_eq!(cluster.url, "tls://10.0.0.1:4222");
        let text = std::fs::read_to_string(&cluster.configuration).unwrap();
        assert!(text.contains("cert_file: \"c\\\"ert.pem\""), "{text}");
    }
}
