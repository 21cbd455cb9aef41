//! The `Range` header: what a single byte range means for an object of a known length.

use std::ops::Range;

/// What a `Range` header asks of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Everything: there is no header, or one that is to be ignored.
    Whole,
    /// These bytes, half-open, within the object and not empty.
    Part(Range<u64>),
    /// Bytes of which the object has none.
    Unsatisfiable,
}

/// Resolves a `Range` header against an object of `len` bytes, by RFC 9110, section 14.
///
/// A header that is malformed, has another unit or lists several ranges is ignored, as section 14.2
/// permits. Numbers beyond 64 bits are taken for the largest there is: they are valid, only far away.
pub(crate) fn resolve(header: Option<&str>, len: u64) -> Asked {
    match header.and_then(parse) {
        None => Asked::Whole,
        Some(Form::FromTo(first, last)) if first > last => Asked::Whole,
        Some(Form::FromTo(first, _) | Form::From(first)) if first >= len => Asked::Unsatisfiable,
        Some(Form::FromTo(first, last)) => Asked::Part(first..last.saturating_add(1).min(len)),
        Some(Form::From(first)) => Asked::Part(first..len),
        Some(Form::Last(0)) => Asked::Unsatisfiable,
        // The last bytes of an empty object are satisfiable, but no Content-Range can say so.
        Some(Form::Last(_)) if len == 0 => Asked::Whole,
        Some(Form::Last(count)) => Asked::Part(len.saturating_sub(count)..len),
    }
}

/// The three forms of a range, with numbers as written: both ends included.
enum Form {
    FromTo(u64, u64),
    From(u64),
    Last(u64),
}

fn parse(header: &str) -> Option<Form> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    // A list of several ranges fails here at the comma.
    match set.trim().split_once('-')? {
        ("", count) => Some(Form::Last(number(count)?)),
        (first, "") => Some(Form::From(number(first)?)),
        (first, last) => Some(Form::FromTo(number(first)?, number(last)?)),
    }
}

/// Digits and nothing else: `str::parse` alone would take a sign.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_resolves() {
        let part = |range| Asked::Part(range);
        for (header, len, expected) in [
            ("bytes=0-0", 10, part(0..1)),
            ("bytes=2-5", 10, part(2..6)),
            ("bytes=9-9", 10, part(9..10)),
            ("bytes=9-", 10, part(9..10)),
            ("bytes=0-", 10, part(0..10)),
            ("bytes=-1", 10, part(9..10)),
            ("bytes=-10", 10, part(0..10)),
            ("Bytes=0-1", 10, part(0..2)),
            ("bytes= 0-1 ", 10, part(0..2)),
            // Clipped at the end.
            ("bytes=5-10", 10, part(5..10)),
            ("bytes=5-99999999999999999999999", 10, part(5..10)),
            ("bytes=5-18446744073709551615", 10, part(5..10)),
            ("bytes=-11", 10, part(0..10)),
            ("bytes=-99999999999999999999999", 10, part(0..10)),
            // Outside.
            ("bytes=10-", 10, Asked::Unsatisfiable),
            ("bytes=10-10", 10, Asked::Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Asked::Unsatisfiable),
            ("bytes=-0", 10, Asked::Unsatisfiable),
            ("bytes=0-", 0, Asked::Unsatisfiable),
            ("bytes=0-0", 0, Asked::Unsatisfiable),
            ("bytes=-0", 0, Asked::Unsatisfiable),
            ("bytes=-5", 0, Asked::Whole),
            // The largest length there is.
            ("bytes=-1", u64::MAX, part(u64::MAX - 1..u64::MAX)),
            ("bytes=0-18446744073709551615", u64::MAX, part(0..u64::MAX)),
        ] {
            assert_eq!(resolve(Some(header), len), expected, "{header} of {len}");
        }
        assert_eq!(resolve(None, 10), Asked::Whole);
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=--1",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=+1-2",
            "bytes=5-2",
            "bytes=1 - 2",
            "bytes=1",
            "bytes=0x1-0x2",
            "lines=1-2",
            "bytes=0-1,3-4",
            "bytes=0-1, bytes=3-4",
            "bytes=,0-1",
            "0-1",
            "=0-1",
            "bytes==0-1",
            "bytes=\u{fffd}-1",
            "bytes=1-2-3",
        ] {
            assert_eq!(resolve(Some(header), 10), Asked::Whole, "{header}");
        }
    }
}
