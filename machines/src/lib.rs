//! Training runs on many machines.
//!
//! | module | what it holds |
//! |---|---|
//! | [`here`] | does jobs in the calling thread: what tests compare with, and what a worker is made of |
//! | [`probe`] | whether two machines compute the same |
//! | `courier` | jobs by way of a NATS server, with the feature `nats` |
//!
//! Whoever needs training runs asks an
//! [`Executor`](symopt_proxy_tasks::executor::Executor), and does not know who that is.

#[cfg(feature = "nats")]
pub mod courier;
pub mod here;
pub mod probe;
