//! The zoo as native code: what `build.rs` writes from the plans of its programs.

#![allow(clippy::needless_range_loop, clippy::neg_multiply)]

include!(concat!(env!("OUT_DIR"), "/compiled.rs"));
