//! Byte ranges as HTTP writes them: inclusive, `A-B`, `A-` and `-N`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::exit::Failure;

/// A range as it was given, before the length of the file is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// `A-B`: from the byte at A to the byte at B, both included.
    Bounded { first: u64, last: u64 },
    /// `A-`: from the byte at A to the end.
    From { first: u64 },
    /// `-N`: the last N bytes.
    Last { count: u64 },
}

impl ByteRange {
    /// Ranges as they were given; all of the file, if none was.
    pub(crate) fn parse_all(given: &[String]) -> Result<Vec<Self>, Failure> {
        if given.is_empty() {
            return Ok(vec![Self::From { first: 0 }]);
        }
        given.iter().map(|range| range.parse().map_err(Failure::Usage)).collect()
    }

    /// The half-open ranges that they mean in a file of this length and name.
    pub(crate) fn resolve_all(asked: &[Self], len: u64, name: &str) -> Result<Vec<Range<u64>>, Failure> {
        let whole = [Self::From { first: 0 }];
        if len == 0 && asked == whole {
            return Ok(Vec::new());
        }
        asked.iter().map(|range| range.resolve_in(len, name)).collect()
    }

    /// The half-open range that it means in a file of this length and name.
    pub(crate) fn resolve_in(self, len: u64, name: &str) -> Result<Range<u64>, Failure> {
        let source_name = name.to_owned();
        if len == 0 {
            return Err(Failure::Empty { source_name });
        }
        self.resolve(len).ok_or_else(|| Failure::NoSuchBytes { source_name, len, range: self.to_string() })
    }

    /// The half-open range that it means in a file of `len` bytes: clipped at the end; `None` if the file has no byte
    /// of it.
    pub(crate) fn resolve(self, len: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Bounded { first, last } => first..last.saturating_add(1).min(len),
            Self::From { first } => first..len,
            Self::Last { count } => len.saturating_sub(count)..len,
        };
        (!range.is_empty()).then_some(range)
    }
}

impl FromStr for ByteRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("{text:?} is no byte range; give A-B, A- or -N, as in --range 0-1023");
        let number = |digits: &str| {
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(malformed());
            }
            digits.parse::<u64>().map_err(|_| format!("{text}: no file has so many bytes; offsets end at {}", u64::MAX))
        };
        match text.split_once('-').ok_or_else(malformed)? {
            ("", count) => match number(count)? {
                0 => Err(format!("{text} asks for no bytes; give -N with N of at least 1")),
                count => Ok(Self::Last { count }),
            },
            (first, "") => Ok(Self::From { first: number(first)? }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return Err(format!("the range {text} is reversed; put the smaller offset first: {last}-{first}"));
                }
                Ok(Self::Bounded { first, last })
            }
        }
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bounded { first, last } => write!(f, "{first}-{last}"),
            Self::From { first } => write!(f, "{first}-"),
            Self::Last { count } => write!(f, "-{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        for (text, len, expected) in [
            ("0-0", 10, Some(0..1)),
            ("2-5", 10, Some(2..6)),
            ("2-100", 10, Some(2..10)),
            ("9-9", 10, Some(9..10)),
            ("10-12", 10, None),
            ("3-", 10, Some(3..10)),
            ("10-", 10, None),
            ("-1", 10, Some(9..10)),
            ("-100", 10, Some(0..10)),
            ("-1", 0, None),
            ("0-18446744073709551615", 10, Some(0..10)),
        ] {
            let range: ByteRange = text.parse().unwrap();
            assert_eq!(range.resolve(len), expected, "{text} of {len}");
            assert_eq!(range.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_range_says_what_is() {
        for text in
            ["", "-", "5", "a-b", "1-b", "--5", "-0", "1-2-3", " 1-2", "+1-2", "0x1-2", "9-3", "1-99999999999999999999"]
        {
            let error = text.parse::<ByteRange>().unwrap_err();
            assert!(!error.contains('\n') && error.len() > text.len() + 10, "{error}");
        }
        assert!("9-3".parse::<ByteRange>().unwrap_err().contains("reversed"));
    }
}
