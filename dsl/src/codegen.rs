//! From a [`Plan`](crate::Plan) to source text of other languages.

pub mod rust;
