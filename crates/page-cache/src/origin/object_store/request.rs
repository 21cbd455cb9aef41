//! What a request is for.

use std::fmt;
use std::ops::Range;

/// What a request was for, as the messages say it.
#[derive(Debug, Clone)]
pub(in crate::origin) enum Request {
    Length,
    Bytes(Range<u64>),
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("the object's length"),
            Self::Bytes(range) => write!(f, "bytes {}..{}", range.start, range.end),
        }
    }
}
