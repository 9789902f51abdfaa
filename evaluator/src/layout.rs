//! The parameter arrays of a model: their names and shapes, and where each lies in one flat buffer.

use std::collections::BTreeSet;
use std::ops::Range;

/// One parameter array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArraySpec {
    /// Name, unique within the model.
    pub name: String,
    /// Lengths of the axes, outermost first; empty for a single number.
    pub shape: Vec<usize>,
    /// The part of the flat buffer that holds the array, in row-major order.
    pub range: Range<usize>,
}

/// The arrays of a model, one after another in a flat buffer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Layout {
    arrays: Vec<ArraySpec>,
    length: usize,
}

/// Why a list of arrays is not a layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Two arrays have one name.
    #[error("the parameter array {name:?} is there twice; names must be unique")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The arrays together are larger than the address space.
    #[error("the parameter array {name:?} of shape {shape:?} is too large")]
    TooLarge {
        /// The array's name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}

impl Layout {
    /// Lays out arrays, given by name and shape, in their order.
    pub fn new<N: Into<String>>(
        arrays: impl IntoIterator<Item = (N, Vec<usize>)>,
    ) -> Result<Layout, LayoutError> {
        let mut layout = Layout::default();
        let mut names = BTreeSet::new();
        for (name, shape) in arrays {
            let name = name.into();
            if !names.insert(name.clone()) {
                return Err(LayoutError::Duplicate { name });
            }
            let end = shape
                .iter()
                .try_fold(1_usize, |size, axis| size.checked_mul(*axis))
                .and_then(|size| layout.length.checked_add(size))
                .filter(|end| *end <= isize::MAX as usize / size_of::<f64>());
            let Some(end) = end else { return Err(LayoutError::TooLarge { name, shape }) };
            layout.arrays.push(ArraySpec { name, shape, range: layout.length..end });
            layout.length = end;
        }
        Ok(layout)
    }

    /// A layout of one nameless vector.
    pub fn flat(length: usize) -> Layout {
        Layout {
            arrays: vec![ArraySpec {
                name: "weights".to_owned(),
                shape: vec![length],
                range: 0..length,
            }],
            length,
        }
    }

    /// Number of parameters in all arrays together.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The arrays, in order.
    pub fn arrays(&self) -> &[ArraySpec] {
        &self.arrays
    }
}
