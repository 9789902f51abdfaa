//! Numbers of parameters, as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A number of parameters: 1000, 4Ki, 16Mi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(usize);

/// Units with what they stand for, the largest first.
const UNITS: [(&str, usize); 3] = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];

/// A text that is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of parameters from 1 to 1Gi, such as 1000, 4Ki or 16Mi")]
pub struct SizeError;

impl Size {
    /// The largest size.
    pub const MOST: Size = Size(1 << 30);

    /// A size, if it is one of 1 to [`Size::MOST`].
    pub const fn new(parameters: usize) -> Option<Size> {
        if parameters >= 1 && parameters <= Size::MOST.0 { Some(Size(parameters)) } else { None }
    }

    /// So many times 1024 parameters, at most [`Size::MOST`].
    pub(crate) const fn kibi(count: usize) -> Size {
        Size(count << 10)
    }

    /// The number.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Size, SizeError> {
        let unit =
            UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
        let (digits, factor) = unit.unwrap_or((text, 1));
        // `parse` takes a plus sign, too.
        let number: Option<usize> =
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        number.and_then(|number| Size::new(number.checked_mul(factor)?)).ok_or(SizeError)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0 as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, parameters) in [
            ("1", 1),
            ("1000", 1000),
            ("4Ki", 4096),
            ("64Ki", 65_536),
            ("1Mi", 1 << 20),
            ("1Gi", 1 << 30),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.get(), size.to_string().as_str()), (parameters, text));
        }
        assert_eq!("1024Ki".parse::<Size>().unwrap().to_string(), "1Mi");
        assert_eq!("838400".parse::<Size>().unwrap().to_string(), "838400");
    }

    #[test]
    fn texts_that_are_no_size_are_refused() {
        for text in [
            "",
            "0",
            "0Ki",
            "-1",
            "+1",
            "4k",
            "4 Ki",
            "4KiB",
            "Ki",
            "1.5Mi",
            "2Gi",
            "1073741825",
            "99999999999999999999",
            "١",
        ] {
            assert_eq!(text.parse::<Size>(), Err(SizeError), "{text:?}");
        }
        // The product overflows.
        assert_eq!(format!("{}Gi", usize::MAX / 2).parse::<Size>(), Err(SizeError));
    }
}
