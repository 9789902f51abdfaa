//! C and Rust: loops over the elements of arrays.

pub mod c;
pub mod fused_loops;
pub mod loops;
pub mod rust_function;
