//! Where an evaluated program comes from: the operator that made it, and its parents.
//!
//! They follow from the evaluations, and are kept so that readers need not breed the search again.
//! A frame of them stands before that of the evaluations that it is of. A store of an earlier
//! release has none.

use symopt_dsl::FunctionalHash;

use super::encoding::{Bytes, put_varint};
use super::record::Origin;
use crate::engine::mutation::MutationKind;

/// Writes an origin with the number of its child: twice the number, and one more for a second
/// parent, the operator's code with 128 for a parent, the hashes.
pub(super) fn put(out: &mut Vec<u8>, child: u64, origin: &Origin) {
    let [first, second] = origin.parents;
    put_varint(out, child << 1 | u64::from(second.is_some()));
    out.push(origin.operator.code() | if first.is_some() { 0x80 } else { 0 });
    for parent in [first, second].into_iter().flatten() {
        out.extend(parent.0.to_le_bytes());
    }
}

/// Reads what [`put`] wrote.
pub(super) fn read(bytes: &mut Bytes<'_>) -> Option<(u64, Origin)> {
    let number = bytes.varint()?;
    let code = bytes.byte()?;
    let operator = MutationKind::from_code(code & 0x7f)?;
    let mut hash = |is_there: bool| match is_there {
        true => {
            let bytes = bytes.take(16)?.try_into().ok()?;
            Some(Some(FunctionalHash(u128::from_le_bytes(bytes))))
        }
        false => Some(None),
    };
    let parents = [hash(code & 0x80 != 0)?, hash(number & 1 != 0)?];
    Some((number >> 1, Origin::new(operator, parents)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let (a, b) = (FunctionalHash(5 << 100), FunctionalHash(7));
        let origins = [
            (0, Origin::new(MutationKind::Initial, [None, None])),
            (3, Origin::new(MutationKind::Insert, [Some(a), None])),
            (1 << 40, Origin::new(MutationKind::Crossover, [Some(b), Some(a)])),
        ];
        let mut bytes = Vec::new();
        origins.iter().for_each(|(child, origin)| put(&mut bytes, *child, origin));
        let mut left = Bytes(&bytes);
        for expected in origins {
            assert_eq!(read(&mut left), Some(expected));
        }
        assert!(left.0.is_empty());
    }
}
