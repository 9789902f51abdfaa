//! TODO crate docs
pub mod model;
pub mod rng;
