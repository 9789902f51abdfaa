//! The three types of the language and how they broadcast.

use std::fmt;

/// The type of a value: the smaller types broadcast into the larger ones, so the order of the variants is the order of the lattice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Type {
    /// One number: a constant, a hyperparameter, `lr`, `t`, or a value reduced over all parameter arrays. Computed in f64.
    Scalar,
    /// One number for each parameter array, such as `norm(g)`. Computed in f64.
    PerArray,
    /// One number for each parameter: an array of the shape of every parameter array. Computed in f32 (or f64 in the oracle).
    Tree,
}

impl Type {
    /// The smallest type that both broadcast into.
    pub fn join(self, other: Type) -> Type {
        self.max(other)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Scalar => "Scalar",
            Type::PerArray => "PerArray",
            Type::Tree => "Tree",
        })
    }
}
