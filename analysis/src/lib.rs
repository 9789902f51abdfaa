//! The relations between optimizer programs: which one is shorter, which ones are equal, which one
//! is known.
//!
//! | module | what it holds |
//! |---|---|
//! | [`simplify`](mod@simplify) | from a program to a shorter one that does the same, step by step |
//! | [`compare`](mod@compare) | the closest relation of two programs |
//! | [`equivalence`], [`behaviour`] | whether two programs do the same on random streams, and how far apart they are |
//! | [`identify`](mod@identify) | the programs of the zoo by their distance from a program |
//! | [`structure`] | the family that a program belongs to: Lion, Signum, AdamW or another |

pub mod behaviour;
pub mod compare;
pub mod equivalence;
pub mod identify;
pub mod simplify;
pub mod structure;

pub use equivalence::RandomStreams;
