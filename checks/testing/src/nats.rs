//! A NATS server for a test: the one of `.ci/nats-server`.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server on a port of its own, killed when it is dropped.
pub struct Server {
    child: Child,
    port: u16,
    store: PathBuf,
    options: Vec<String>,
}

impl Server {
    /// Starts a server with its store in a directory.
    pub fn start(store: &Path) -> Server {
        Server::with(store, &[])
    }

    /// The same with more options.
    pub fn with(store: &Path, options: &[&str]) -> Server {
        // The port of a socket that is closed is not given out again at once.
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("the port of a socket").port();
        drop(socket);
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        Server { child: run(port, store, &options), port, store: store.to_owned(), options }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills it, as a crash of the machine does.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("the server ends");
    }

    /// Starts it again, where it was, with what it kept.
    pub fn restart(&mut self) {
        self.child = run(self.port, &self.store, &self.options);
    }

    /// Starts it again with another, empty store.
    pub fn restart_without(&mut self, store: &Path) {
        self.store = store.to_owned();
        self.restart();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, which is installed once.
pub fn program() -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/nats-server");
    let printed = Command::new(script).output().expect(".ci/nats-server runs");
    let path = String::from_utf8(printed.stdout).expect("a path");
    assert!(!path.trim().is_empty(), ".ci/nats-server has no server");
    path.trim().to_owned()
}

fn run(port: u16, store: &Path, options: &[String]) -> Child {
    let mut child = Command::new(program())
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(store)
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = child.try_wait().expect("the server is watched");
        assert!(ended.is_none(), "the server ended: {ended:?}");
        assert!(begin.elapsed() < Duration::from_secs(20), "the server does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}
