//! Searches as they run, on a page in a browser.
//!
//! | module | what it holds |
//! |---|---|
//! | `watch` | reads the stores again and again, and keeps what pages may ask for |
//! | `tracked` | a store: its entries so far, numbered, and what is to be said of it |
//! | `position` | how far a page has come in each journal, and whether it is still that journal |
//! | `http` | the page and its events over HTTP, for this machine alone |
//!
//! A page gets the entries of each journal in order, each once, with how far it has come as the
//! event's id: the number of entries of each journal, and a digest of them. A page that connects
//! again says that id, to this process or to a later one, and gets what comes after it; if the
//! journal is another one by now, all of it from the first entry on, in place of what the page has.
//!
//! Stores are only read, without a lock and without a file being open between two looks, so that a
//! search does not notice. The hall of fame, which takes longer, is made at most every so often
//! that it takes a twentieth of one core, and only while a page is open.
//!
//! Nothing but this machine can connect, and no page of another origin can read what is served: the
//! address is 127.0.0.1, and a request must name this machine as its host, since a name of another
//! one that resolves to 127.0.0.1 would make a foreign page one of this origin.

mod http;
mod position;
mod tracked;
mod watch;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use symopt_cancel::CancelToken;
use symopt_search::journal::JournalError;
use symopt_studies::StudyError;

use crate::watch::Watched;

/// The port, if nobody names one.
pub const PORT: u16 = 7373;

/// Why searches can't be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// Another program has the port.
    #[error(
        "port {port} is taken by another program, perhaps by another symopt; give another port, or 0 for any that is free"
    )]
    Taken {
        /// The port.
        port: u16,
    },
    /// The port can't be had.
    #[error(
        "can't listen on 127.0.0.1, port {port}: {reason}; give another port, or 0 for any that is free"
    )]
    Listen {
        /// The port.
        port: u16,
        /// The system's reason.
        reason: String,
    },
    /// The system gives no thread, or not what waits for connections.
    #[error("can't serve: {0}")]
    System(String),
    /// More stores than a page shows.
    #[error("{count} stores are more than a page shows; name at most {most} of them")]
    Many {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A store.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A campaign.
    #[error(transparent)]
    Campaign(#[from] StudyError),
}

/// A page that is served until it is dropped or cancelled.
#[derive(Debug)]
pub struct Live {
    address: SocketAddr,
    cancel: CancelToken,
    watched: Arc<Watched>,
    threads: Vec<JoinHandle<()>>,
}

impl Live {
    /// Begins to serve a page on 127.0.0.1, without any store yet. Port 0 is any that is free.
    pub fn begin(port: u16, cancel: &CancelToken) -> Result<Live, LiveError> {
        let system = |error: std::io::Error| LiveError::System(error.to_string());
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
                ErrorKind::AddrInUse => LiveError::Taken { port },
                _ => LiveError::Listen { port, reason: error.to_string() },
            })?;
        listener.set_nonblocking(true).map_err(system)?;
        let address = listener.local_addr().map_err(system)?;
        let mut live = Live {
            address,
            cancel: cancel.child(),
            watched: Arc::new(Watched::new()),
            threads: Vec::new(),
        };
        let (watched, token) = (Arc::clone(&live.watched), live.cancel.clone());
        live.start("live http", move || http::serve(listener, watched, token))?;
        let (watched, token) = (Arc::clone(&live.watched), live.cancel.clone());
        live.start("live journals", move || watched.follow(&token))?;
        let (watched, token) = (Arc::clone(&live.watched), live.cancel.clone());
        live.start("live hall", move || watched.make_halls(&token))?;
        Ok(live)
    }

    /// Shows a store, or the stores of a campaign, also those that come later.
    pub fn show(&self, path: &Path) -> Result<(), LiveError> {
        self.watched.add(path)
    }

    /// The same for several.
    pub fn show_all(&self, paths: &[PathBuf]) -> Result<(), LiveError> {
        paths.iter().try_for_each(|path| self.show(path))
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Waits until the token that this began with is cancelled.
    pub fn wait(mut self) {
        self.join();
    }

    fn start(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), LiveError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        self.threads.push(thread.map_err(|error| LiveError::System(error.to_string()))?);
        Ok(())
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.join();
    }
}
