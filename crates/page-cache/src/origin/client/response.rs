//! The head of a response, checked before anything of it is used.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::origin::object_store::{Rejected, compare};
use crate::origin::{Stat, Validators};

/// Checks a partial response against the version that is pinned, and puts headers into the one form that the store
/// understands: what is valid HTTP must not fail for its form, and what cannot be used must not fail for being there.
/// If `encoded`, what is stored may be encoded, and is to be read as it is.
pub(super) fn check(
    status: StatusCode,
    headers: &mut HeaderMap,
    pinned: Option<&Stat>,
    encoded: bool,
) -> Result<(), Rejected> {
    normalise(headers);
    let invalid = |reason: String| Err(Rejected::Invalid(reason));
    if status.is_success()
        && let Some(encoding) =
            headers.get(CONTENT_ENCODING).filter(|encoding| !encoded && *encoding != "identity" && !encoding.is_empty())
    {
        return invalid(format!("it is encoded ({encoding:?}), which was not asked for"));
    }
    if status != StatusCode::PARTIAL_CONTENT {
        return Ok(());
    }
    let Some(value) = headers.get(CONTENT_RANGE) else {
        return invalid("it does not say which range it is (no Content-Range)".to_owned());
    };
    let Some((range, total)) = value.to_str().ok().and_then(content_range) else {
        return invalid(format!("its Content-Range is {value:?}"));
    };
    if !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    }
    match pinned {
        Some(pinned) => compare(&Stat { length: total, validators: validators(headers, pinned) }, pinned),
        None => Ok(()),
    }
}

/// The headers in which the object stores name a version.
const VERSIONS: [HeaderName; 3] = [
    HeaderName::from_static("x-amz-version-id"),
    HeaderName::from_static("x-goog-generation"),
    HeaderName::from_static("x-ms-version-id"),
];

/// How long the server wants to be left alone: seconds, or until a date by the server's own clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let after = text(RETRY_AFTER)?;
    if let Ok(seconds) = after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = date(headers).unwrap_or_else(SystemTime::now);
    // A date that is over asks for nothing.
    Some(httpdate::parse_http_date(after).ok()?.duration_since(now).unwrap_or_default())
}

/// When the server made the response, by its own clock.
pub(super) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    headers.get(DATE)?.to_str().ok().and_then(|date| httpdate::parse_http_date(date.trim()).ok())
}

fn validators(headers: &HeaderMap, pinned: &Stat) -> Validators {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // A server may name one that the store client has not looked for.
    let version = pinned.validators.version.as_ref().and_then(|_| VERSIONS.iter().find_map(text));
    Validators {
        etag: text(&ETAG).map(str::to_owned),
        version: version.map(str::to_owned),
        last_modified: text(&LAST_MODIFIED)
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .filter(|&date| date != SystemTime::UNIX_EPOCH),
        date_is_young: false,
    }
}

/// Dates come in three forms that a recipient has to take, and in others; tags come with bytes that are no text.
fn normalise(headers: &mut HeaderMap) {
    if let Some(value) = headers.get(LAST_MODIFIED) {
        let date = value.to_str().ok().and_then(|date| httpdate::parse_http_date(date).ok());
        match date.and_then(|date| HeaderValue::try_from(httpdate::fmt_http_date(date)).ok()) {
            Some(date) => _ = headers.insert(LAST_MODIFIED, date),
            None => _ = headers.remove(LAST_MODIFIED),
        }
    }
    if headers.get(ETAG).is_some_and(|value| value.to_str().is_err()) {
        headers.remove(ETAG);
    }
}

/// The half-open range and the total of `bytes A-B/TOTAL`.
fn content_range(value: &str) -> Option<(Range<u64>, u64)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total) = (first.parse().ok()?, last.parse::<u64>().ok()?, total.parse().ok()?);
    let end = last.checked_add(1)?;
    (first < end && end <= total).then_some((first..end, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn pinned(etag: &str) -> Stat {
        Stat { length: 100, validators: Validators { etag: Some(etag.to_owned()), ..Validators::default() } }
    }

    fn check_partial(pairs: &[(&'static str, &'static str)], pinned: &Stat) -> Result<(), Rejected> {
        check(StatusCode::PARTIAL_CONTENT, &mut headers(pairs), Some(pinned), false)
    }

    const RANGE: (&str, &str) = ("content-range", "bytes 0-9/100");

    #[test]
    fn a_response_of_the_pinned_version_passes() {
        let etag = ("etag", "\"1\"");
        assert_eq!(check_partial(&[RANGE, etag], &pinned("\"1\"")), Ok(()));
        assert_eq!(check_partial(&[RANGE, etag, ("content-encoding", "identity")], &pinned("\"1\"")), Ok(()));
    }

    #[test]
    fn another_total_or_validator_is_a_change() {
        for pairs in [&[("content-range", "bytes 0-9/101"), ("etag", "\"1\"")][..], &[RANGE, ("etag", "\"2\"")]] {
            assert!(matches!(check_partial(pairs, &pinned("\"1\"")), Err(Rejected::Changed(_))), "{pairs:?}");
        }
        // A weak tag vouches for nothing, but tells a change.
        assert_eq!(check_partial(&[RANGE, ("etag", "W/\"1\"")], &pinned("W/\"1\"")), Ok(()));
        assert!(matches!(check_partial(&[RANGE, ("etag", "W/\"2\"")], &pinned("W/\"1\"")), Err(Rejected::Changed(_))));
    }

    #[test]
    fn a_version_id_is_looked_at_where_one_is_pinned() {
        let etag = ("etag", "\"1\"");
        let mut versioned = pinned("\"1\"");
        versioned.validators.version = Some("7".to_owned());
        for name in ["x-amz-version-id", "x-goog-generation", "x-ms-version-id"] {
            assert_eq!(check_partial(&[RANGE, etag, (name, "7")], &versioned), Ok(()));
            let changed = check_partial(&[RANGE, etag, (name, "8")], &versioned);
            assert!(matches!(changed, Err(Rejected::Changed(_))), "{changed:?}");
            // Who reads it as a page of a web server has pinned the ETag alone.
            assert_eq!(check_partial(&[RANGE, etag, (name, "8")], &pinned("\"1\"")), Ok(()));
        }
    }

    #[test]
    fn what_is_no_answer_is_rejected() {
        let etag = ("etag", "\"1\"");
        for pairs in [
            &[etag][..],
            &[RANGE],
            &[RANGE, etag, ("content-encoding", "gzip")],
            &[("content-range", "bytes 0-18446744073709551615/100"), etag],
            &[("content-range", "bytes 9-0/100"), etag],
            &[("content-range", "bytes 0-100/100"), etag],
            &[("content-range", "bytes 0-9/*"), etag],
            &[("content-range", "0-9/100"), etag],
        ] {
            assert!(matches!(check_partial(pairs, &pinned("\"1\"")), Err(Rejected::Invalid(_))), "{pairs:?}");
        }
    }

    #[test]
    fn a_time_to_come_back_is_seconds_or_a_date_of_the_servers_clock() {
        let after = |pairs: &[(&'static str, &'static str)]| retry_after(&headers(pairs));
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[("retry-after", " 120 ")]), Some(Duration::from_secs(120)));
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(after(&[date, ("retry-after", "Sun, 06 Nov 1994 08:50:00 GMT")]), Some(Duration::from_secs(23)));
        assert_eq!(after(&[date, ("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT")]), Some(Duration::ZERO));
        assert_eq!(after(&[("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT")]), Some(Duration::ZERO));
        for nonsense in ["soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(after(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn headers_are_put_into_the_form_that_is_understood() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        for date in [DATE, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            let mut headers = headers(&[("last-modified", date)]);
            assert_eq!(check(StatusCode::OK, &mut headers, None, false), Ok(()));
            assert_eq!(headers[LAST_MODIFIED], DATE, "{date}");
        }
        let mut headers = headers(&[("last-modified", "2024-01-01T00:00:00Z"), RANGE]);
        headers.insert(ETAG, HeaderValue::from_bytes(b"\"\xff\"").unwrap());
        assert_eq!(check(StatusCode::PARTIAL_CONTENT, &mut headers, None, false), Ok(()));
        assert!(!headers.contains_key(LAST_MODIFIED) && !headers.contains_key(ETAG));
        assert_eq!(headers[CONTENT_LENGTH], "10");
    }
}
