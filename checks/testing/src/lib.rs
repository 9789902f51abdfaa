//! Helpers that the tests of several crates share. Nothing else may depend on it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`case`] | a program, arrays and steps from any bytes: what the fuzz target runs |
//! | [`nats`] | a server for jobs that go to workers |
//! | [`random`] | seeded random numbers |
//! | [`texts`] | random programs with all that a text may have: names, numbers of every size, comments |
//! | [`xml`] | whether a picture is well-formed |
//! | [`draws`] | random programs and numbers to run, and a comparison with the reference, bit for bit |

pub mod case;
pub mod draws;
pub mod nats;
pub mod random;
pub mod texts;
pub mod xml;
