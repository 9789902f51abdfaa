//! Text that the files of all programs share.

use std::sync::LazyLock;

use crate::runtime::{self, Helpers};

/// Under the program's own doc string.
pub const TITLE: &str = "PyTorch: an optimizer whose steps are single operations in the program's order, and a\nTriton kernel that does the same in one pass where tensors are on CUDA.";

/// The same, where steps are not element by element.
pub const TITLE_WITHOUT_KERNEL: &str =
    "PyTorch: an optimizer whose steps are single operations in the program's order.";

/// Under the doc string of a plain file.
pub const TITLE_OF_PLAIN: &str = "PyTorch: an optimizer that steps tensor by tensor.";

/// The licence of what is written, as symopt's own.
pub const LICENSE: &str = "SPDX-License-Identifier: MIT OR Apache-2.0";

/// Helpers that the functions of a program call.
pub static HELPERS: Helpers =
    LazyLock::new(|| runtime::helpers(include_str!("../../../runtime/pytorch/helpers.py")));

/// Types and helpers that all files need.
pub const BASICS: &str = include_str!("../../../runtime/pytorch/basics.py");

/// Hyperparameters under the names that `torch.optim` has for them.
pub const SETTLE: &str = include_str!("../../../runtime/pytorch/settle.py");

/// Sums over all arrays of all groups.
pub const REDUCE: &str = include_str!("../../../runtime/pytorch/reduce.py");

/// On CPU: tensors in blocks.
pub const BLOCKS: &str = include_str!("../../../runtime/pytorch/blocks.py");

/// The launch of the kernel.
pub const FUSED: &str = include_str!("../../../runtime/pytorch/fused.py");

/// One batch's step.
pub const APPLY: &str = include_str!("../../../runtime/pytorch/apply.py");

/// Parameters that are in a group more than once.
pub const ROUNDS: &str = include_str!("../../../runtime/pytorch/rounds.py");

/// A state that is loaded.
pub const HIDE: &str = include_str!("../../../runtime/pytorch/hide.py");

/// The class.
pub const OPTIMIZER: &str = include_str!("../../../runtime/pytorch/optimizer.py");

/// The sums of a plain file.
pub const PLAIN_REDUCE: &str = include_str!("../../../runtime/pytorch/plain_reduce.py");

/// The class of a plain file.
pub const PLAIN: &str = include_str!("../../../runtime/pytorch/plain.py");
