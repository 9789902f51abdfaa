//! What the fuzz target runs. `evaluator/tests/regressions.rs` compiles the same `case.rs` to replay the corpus on a stable toolchain.

mod case;
#[path = "../../evaluator/tests/common/mod.rs"]
mod common;

pub use case::Case;
