//! Contenders of a cell, which take turns in each round.

use std::time::{Duration, Instant};

use rayon::ThreadPool;
use symopt_evaluator::OptimizerError;

use super::engine::{Buffers, Stepper};
use super::measurement::{Samples, median};
use super::peer::{Peer, PeerError};
use crate::cell::Engine;

/// The threads of a peer may spin for a moment after their work. Nobody is measured while they do.
const REST: Duration = Duration::from_millis(3);

/// Participant in a cell: an engine, or a loop that tells the bandwidth.
pub struct Contender {
    /// `None` for the loops that tell the bandwidth.
    pub engine: Option<Engine>,
    pub name: String,
    pub version: Option<String>,
    /// In how many separate arrays its parameters lie.
    pub arrays: usize,
    pub bytes_per_parameter: usize,
    pub source: Source,
    pub samples: Samples,
}

/// Engine that runs the steps.
pub enum Source {
    /// An engine in this process, with the time of a step in nanoseconds, 0 as long as that is not
    /// known.
    Local { stepper: Box<dyn Stepper>, step: f64 },
    /// An optimizer that a peer process offers, by its place among the processes and its name
    /// there.
    Peer { process: usize, offer: String },
    /// A peer that failed.
    Gone,
}

/// A process of peers, and what they are.
pub type Peers = (Engine, Peer);

/// State that all contenders of a cell share.
pub struct Ring<'a> {
    pub pool: &'a ThreadPool,
    pub buffers: Buffers,
    pub peers: &'a mut [Peers],
    /// Lengths of the arrays of a peer.
    pub arrays: &'a [usize],
    /// How long a sample takes, where one step does not take longer.
    pub sample: Duration,
}

/// Why a turn gave no time.
#[derive(Debug)]
pub enum Fault {
    /// An engine of this workspace failed: a bug.
    Optimizer(OptimizerError),
    /// A peer failed. It has left the cell.
    Peer { offer: String, error: PeerError },
}

impl From<OptimizerError> for Fault {
    fn from(error: OptimizerError) -> Fault {
        Fault::Optimizer(error)
    }
}

impl Contender {
    /// Makes everything ready, so that each turn is short.
    pub fn prepare(&mut self, ring: &mut Ring) -> Result<(), Fault> {
        match &mut self.source {
            Source::Local { stepper, step } => {
                let least = ring.sample.as_nanos() as f64 / 4.0;
                let Ring { pool, buffers, .. } = ring;
                // Only the fastest time counts: whatever else the machine does in between makes a
                // step seem longer.
                let mut steps = 1;
                *step = time(pool, buffers, stepper.as_mut(), steps)?.min(time(
                    pool,
                    buffers,
                    stepper.as_mut(),
                    steps,
                )?);
                while *step * (steps as f64) < least {
                    steps *= 2;
                    *step = step.min(time(pool, buffers, stepper.as_mut(), steps)?);
                }
                Ok(())
            }
            Source::Peer { .. } => self.ask(ring, 0.0).map(drop),
            Source::Gone => Ok(()),
        }
    }

    /// Takes a turn, and keeps the time of a step.
    pub fn turn(&mut self, ring: &mut Ring) -> Result<(), Fault> {
        let sample = match &mut self.source {
            Source::Local { stepper, step } => {
                let steps = (ring.sample.as_nanos() as f64 / step.max(1.0)) as u64 + 1;
                if steps > 1 {
                    // Others ran since the last turn: fills the caches and wakes the threads again.
                    time(ring.pool, &mut ring.buffers, stepper.as_mut(), steps / 8 + 1)?;
                }
                Ok(Some(time(ring.pool, &mut ring.buffers, stepper.as_mut(), steps)?))
            }
            Source::Peer { .. } => self.ask(ring, ring.sample.as_secs_f64()),
            Source::Gone => Ok(None),
        };
        self.samples.push(sample.as_ref().ok().copied().flatten());
        sample.map(drop)
    }

    /// Nanoseconds of a step, for an engine in this process.
    pub fn step(&self) -> Option<f64> {
        match self.source {
            Source::Local { step, .. } => Some(step),
            Source::Peer { .. } | Source::Gone => None,
        }
    }

    fn ask(&mut self, ring: &mut Ring, seconds: f64) -> Result<Option<f64>, Fault> {
        let Source::Peer { process, offer } = &self.source else { return Ok(None) };
        let Some((_, peer)) = ring.peers.get_mut(*process) else { return Ok(None) };
        match peer.measure(offer, ring.arrays, seconds) {
            Ok(samples) => {
                std::thread::sleep(REST);
                Ok(median(samples))
            }
            Err(error) => {
                let offer = offer.clone();
                self.source = Source::Gone;
                Err(Fault::Peer { offer, error })
            }
        }
    }
}

/// Nanoseconds per step of a number of steps on the threads of a pool.
fn time(
    pool: &ThreadPool,
    buffers: &mut Buffers,
    stepper: &mut dyn Stepper,
    steps: u64,
) -> Result<f64, OptimizerError> {
    pool.install(|| {
        let start = Instant::now();
        stepper.steps(buffers, steps)?;
        Ok(start.elapsed().as_nanos() as f64 / steps as f64)
    })
}
