//! The types of the language and how they broadcast, and how an array is seen as a matrix.
//!
//! Three types make up the language of the paper: `Scalar` < `PerArray` < `Tree`. The functions of
//! profile [`matrix`](crate::Profile::Matrix) add three more, which differ from `Tree` in their
//! shape only: [`Type::Transposed`], [`Type::RowsByRows`] and [`Type::ColumnsByColumns`].
//!
//! # Arrays as matrices
//!
//! Every parameter array is one matrix, for every function of that profile ([`matrix_shape`]):
//!
//! | array of shape | is a matrix of rows x columns |
//! |---|---|
//! | `(a, b, c, ...)`, two dimensions or more | a x (b * c * ...) |
//! | `(n)`, a vector | n x 1 |
//! | `()`, a single number | 1 x 1 |
//!
//! A value of type `Scalar` or `PerArray` is a number, or one for each array, and so 1 x 1 wherever
//! a matrix is wanted. So each function has a meaning for vectors, and none of them fails on one:
//! `row_mean(x)` is x itself, `column_mean(x)` its mean at every place, `newton_schulz(x)` a
//! polynomial of x over its norm. In particular the factored second moment of Adafactor,
//! `row_mean(x) * column_mean(x) / mean`, is x itself for a vector. Zero rows or columns are no
//! exception: there is nothing to compute.

use std::fmt;

/// The type of a value. `Scalar` broadcasts into `PerArray`, and both into each of the others,
/// which have one number for each place of an array, and do not broadcast into each other. The
/// order of the variants is that of broadcasting, as far as there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Type {
    /// One number: a constant, a hyperparameter, `lr`, `t`, or a value reduced over all parameter
    /// arrays. Computed in f64.
    Scalar,
    /// One number for each parameter array, such as `norm(g)`. Computed in f64.
    PerArray,
    /// One number for each parameter: an array of the shape of every parameter array, rows x
    /// columns as a matrix. Computed in f32 (or f64 in the oracle).
    Tree,
    /// For every parameter array a matrix of columns x rows, such as `transpose(g)`.
    Transposed,
    /// For every parameter array a matrix of rows x rows, such as `matmul(g, transpose(g))`.
    RowsByRows,
    /// For every parameter array a matrix of columns x columns, such as `matmul(transpose(g), g)`.
    ColumnsByColumns,
}

/// The rows and columns of an array, seen as a matrix. A product that does not fit a `usize` is the
/// largest one.
pub fn matrix_shape(array: &[usize]) -> [usize; 2] {
    match array {
        [] => [1, 1],
        [rows, rest @ ..] => {
            [*rows, rest.iter().fold(1, |columns, axis| columns.saturating_mul(*axis))]
        }
    }
}

impl Type {
    /// The smallest type that both broadcast into. Two of different shapes have none, and then this
    /// is one of the two: see [`Type::fits`].
    pub fn join(self, other: Type) -> Type {
        self.max(other)
    }

    /// Whether one of the two broadcasts into the other: they are not of different shapes.
    pub fn fits(self, other: Type) -> bool {
        self == other || !self.is_array() || !other.is_array()
    }

    /// Whether it has one number for each place of an array, and not one for the whole.
    pub fn is_array(self) -> bool {
        self >= Type::Tree
    }

    /// Rows and columns of this type's matrix for a parameter array of `rows` x `columns`; 1 x 1
    /// for what is no array.
    pub fn shape(self, [rows, columns]: [usize; 2]) -> [usize; 2] {
        match self {
            Type::Scalar | Type::PerArray => [1, 1],
            Type::Tree => [rows, columns],
            Type::Transposed => [columns, rows],
            Type::RowsByRows => [rows, rows],
            Type::ColumnsByColumns => [columns, columns],
        }
    }

    /// The type of the transposed matrix.
    pub fn transposed(self) -> Type {
        match self {
            Type::Tree => Type::Transposed,
            Type::Transposed => Type::Tree,
            other => other,
        }
    }

    /// The type of a product of matrices. `None` where the columns of the first are not the rows of
    /// the second: numbers are 1 x 1.
    pub fn product(self, other: Type) -> Option<Type> {
        use Type::{ColumnsByColumns, RowsByRows, Transposed, Tree};
        Some(match (self, other) {
            (Tree, ColumnsByColumns) | (RowsByRows, Tree) => Tree,
            (Transposed, RowsByRows) | (ColumnsByColumns, Transposed) => Transposed,
            (Tree, Transposed) | (RowsByRows, RowsByRows) => RowsByRows,
            (Transposed, Tree) | (ColumnsByColumns, ColumnsByColumns) => ColumnsByColumns,
            (x, y) if !x.is_array() && !y.is_array() => x.join(y),
            _ => return None,
        })
    }

    /// Rows and columns in words.
    pub fn shape_text(self) -> &'static str {
        match self {
            Type::Scalar | Type::PerArray => "1 x 1",
            Type::Tree => "rows x columns",
            Type::Transposed => "columns x rows",
            Type::RowsByRows => "rows x rows",
            Type::ColumnsByColumns => "columns x columns",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Scalar => "Scalar",
            Type::PerArray => "PerArray",
            Type::Tree => "Tree",
            Type::Transposed => "Transposed",
            Type::RowsByRows => "RowsByRows",
            Type::ColumnsByColumns => "ColumnsByColumns",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRAYS: [Type; 4] =
        [Type::Tree, Type::Transposed, Type::RowsByRows, Type::ColumnsByColumns];

    #[test]
    fn an_array_is_its_first_dimension_by_the_rest() {
        let shapes: [(&[usize], [usize; 2]); 8] = [
            (&[], [1, 1]),
            (&[7], [7, 1]),
            (&[2, 3], [2, 3]),
            (&[2, 3, 4], [2, 12]),
            (&[2, 3, 4, 5], [2, 60]),
            (&[0], [0, 1]),
            (&[0, 3], [0, 3]),
            (&[3, 0], [3, 0]),
        ];
        for (array, expected) in shapes {
            assert_eq!(matrix_shape(array), expected, "{array:?}");
        }
    }

    /// With all of rows, columns and 1 different, the algebra of types is that of shapes.
    #[test]
    fn products_and_transposes_of_types_are_those_of_their_shapes() {
        let shape = |ty: Type| ty.shape([2, 3]);
        for x in ARRAYS {
            assert_eq!(shape(x.transposed()), [shape(x)[1], shape(x)[0]], "{x}");
            for y in ARRAYS {
                let expected = (shape(x)[1] == shape(y)[0]).then(|| [shape(x)[0], shape(y)[1]]);
                assert_eq!(x.product(y).map(shape), expected, "{x} {y}");
                assert_eq!(x.fits(y), shape(x) == shape(y), "{x} {y}");
            }
            for small in [Type::Scalar, Type::PerArray] {
                assert!(x.fits(small) && small.fits(x) && x.join(small) == x);
                assert_eq!((x.product(small), small.product(x)), (None, None));
            }
        }
        assert_eq!(Type::Scalar.product(Type::PerArray), Some(Type::PerArray));
    }
}
