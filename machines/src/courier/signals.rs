//! The signals that end a worker.

use std::sync::mpsc::{self, Sender};

use symopt_cancel::CancelToken;

use super::{CourierError, runtime};

/// From now on the first of the signals that a scheduler sends before it takes a machine away
/// (SIGTERM, SIGUSR1, and Ctrl-C) cancels `drain`, and the next one `cancel`. `heard` is told
/// whether it was the first.
pub fn drain_on_signals(
    drain: &CancelToken,
    cancel: &CancelToken,
    heard: &'static (dyn Fn(bool) + Sync),
) -> Result<(), CourierError> {
    let (drain, cancel) = (drain.clone(), cancel.clone());
    let runtime = runtime()?;
    // A signal that comes before the thread listens would end the process.
    let (ready, is_ready) = mpsc::channel();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                let Some(mut signals) = Signals::new(&ready) else { return };
                signals.next().await;
                drain.cancel();
                heard(true);
                signals.next().await;
                cancel.cancel();
                heard(false);
            });
        })
        .map_err(CourierError::Start)?;
    match is_ready.recv() {
        Ok(result) => result.map_err(CourierError::Start),
        Err(_) => Err(CourierError::Start(std::io::Error::other("no thread listens to signals"))),
    }
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn new(ready: &Sender<std::io::Result<()>>) -> Option<Signals> {
        use tokio::signal::unix::{SignalKind, signal};

        let kinds = [SignalKind::terminate(), SignalKind::user_defined1(), SignalKind::interrupt()];
        let mut signals = Vec::new();
        for kind in kinds {
            match signal(kind) {
                Ok(signal) => signals.push(signal),
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return None;
                }
            }
        }
        let _ = ready.send(Ok(()));
        signals.try_into().ok().map(Signals)
    }

    async fn next(&mut self) {
        use std::pin::pin;

        use futures_util::future::select;

        let [terminate, user, interrupt] = &mut self.0;
        let (terminate, user) = (pin!(terminate.recv()), pin!(user.recv()));
        let interrupt = pin!(interrupt.recv());
        select(terminate, select(user, interrupt)).await;
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new(ready: &Sender<std::io::Result<()>>) -> Option<Signals> {
        let _ = ready.send(Ok(()));
        Some(Signals)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
