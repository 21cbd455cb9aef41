//! Preconditions (RFC 9110, section 13): what a request asks of the object's validators.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::object::Object;

/// The precondition fields of a request as received; a field sent twice is joined by a comma.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preconditions {
    pub(crate) if_match: Option<String>,
    pub(crate) if_unmodified_since: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) if_modified_since: Option<String>,
    pub(crate) if_range: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Proceed,
    /// 304: the client has this already.
    NotModified,
    /// 412: this is not what the client wants.
    Failed,
}

impl Preconditions {
    /// The verdict on a GET or HEAD, in the order of section 13.2.2: the two `Match` fields come
    /// before the two dates, each of which counts only where its tag field is absent. A date that
    /// is malformed, or has nothing to be compared with, is ignored.
    pub(crate) fn evaluate(&self, object: &Object) -> Verdict {
        let modified = object.last_modified().and_then(seconds);
        if let Some(list) = &self.if_match {
            if !any_tag(list, object, strongly_equal) {
                return Verdict::Failed;
            }
        } else if let (Some(since), Some(modified)) = (date(&self.if_unmodified_since), modified)
            && modified > since
        {
            return Verdict::Failed;
        }
        if let Some(list) = &self.if_none_match {
            if any_tag(list, object, weakly_equal) {
                return Verdict::NotModified;
            }
        } else if let (Some(since), Some(modified)) = (date(&self.if_modified_since), modified)
            && modified <= since
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Whether a `Range` counts (section 13.1.5): there is no `If-Range`, or it names the object's
    /// strong ETag, or its exact last-modified time. An object does not change while it is served,
    /// so its time is as good as a strong validator here.
    pub(crate) fn range_counts(&self, object: &Object) -> bool {
        let Some(validator) = self.if_range.as_deref().map(str::trim) else {
            return true;
        };
        let by_tag = object.etag().is_some_and(|etag| strongly_equal(validator, etag));
        let by_date = || {
            let modified = object.last_modified().and_then(seconds);
            modified.is_some() && modified == date(&self.if_range)
        };
        by_tag || by_date()
    }
}

fn any_tag(list: &str, object: &Object, equal: fn(&str, &str) -> bool) -> bool {
    if list.trim() == "*" {
        return true;
    }
    object.etag().is_some_and(|etag| entity_tags(list).any(|listed| equal(listed, etag)))
}

/// The members of a list of entity tags. A comma within quotes belongs to its tag.
fn entity_tags(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    list.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
    .map(str::trim)
    .filter(|tag| !tag.is_empty())
}

fn strongly_equal(one: &str, other: &str) -> bool {
    one == other && !one.starts_with("W/")
}

fn weakly_equal(one: &str, other: &str) -> bool {
    let opaque = |tag| str::strip_prefix(tag, "W/").unwrap_or(tag);
    opaque(one) == opaque(other)
}

/// A date field in whole seconds since 1970.
fn date(field: &Option<String>) -> Option<u64> {
    let time = httpdate::parse_http_date(field.as_deref()?.trim()).ok()?;
    seconds(time)
}

/// The whole seconds since 1970 of a time that an HTTP date can say.
fn seconds(time: SystemTime) -> Option<u64> {
    /// The start of the year 10000; HTTP dates have four digits for a year.
    const END_OF_DATES: u64 = 253_402_300_800;
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds < END_OF_DATES).then_some(seconds)
}

/// A time as an HTTP date, if an HTTP date can say it. (`httpdate` would panic where it cannot.)
pub(crate) fn http_date(time: SystemTime) -> Option<String> {
    seconds(time).map(|_| httpdate::fmt_http_date(time))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn object() -> Object {
        Object::from_bytes("x")
            .with_etag("\"a,b\"")
            .with_last_modified(UNIX_EPOCH + Duration::from_millis(784_111_777_500))
    }

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn verdict(set: impl FnOnce(&mut Preconditions), object: &Object) -> Verdict {
        let mut preconditions = Preconditions::default();
        set(&mut preconditions);
        preconditions.evaluate(object)
    }

    #[test]
    fn if_match_compares_strongly() {
        for (list, object, expected) in [
            ("\"a,b\"", object(), Verdict::Proceed),
            ("\"x\", \"a,b\"", object(), Verdict::Proceed),
            ("\"x\",,\"a,b\",", object(), Verdict::Proceed),
            ("*", object(), Verdict::Proceed),
            (" * ", object().without_etag(), Verdict::Proceed),
            ("\"a\"", object(), Verdict::Failed),
            ("\"a\", \"b\"", object(), Verdict::Failed),
            ("W/\"a,b\"", object(), Verdict::Failed),
            ("W/\"w\"", object().with_etag("W/\"w\""), Verdict::Failed),
            ("", object(), Verdict::Failed),
            ("\"", object(), Verdict::Failed),
            ("\"a,b\"", object().without_etag(), Verdict::Failed),
        ] {
            assert_eq!(verdict(|p| p.if_match = Some(list.into()), &object), expected, "{list}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (list, object, expected) in [
            ("\"a,b\"", object(), Verdict::NotModified),
            ("W/\"a,b\"", object(), Verdict::NotModified),
            ("\"w\"", object().with_etag("W/\"w\""), Verdict::NotModified),
            ("*", object(), Verdict::NotModified),
            ("\"other\"", object(), Verdict::Proceed),
            ("\"a,b\"", object().without_etag(), Verdict::Proceed),
        ] {
            let actual = verdict(|p| p.if_none_match = Some(list.into()), &object);
            assert_eq!(actual, expected, "{list}");
        }
    }

    #[test]
    fn dates_compare_in_seconds() {
        for (since, unmodified, modified) in [
            (BEFORE, Verdict::Failed, Verdict::Proceed),
            (SAME, Verdict::Proceed, Verdict::NotModified),
            (AFTER, Verdict::Proceed, Verdict::NotModified),
            ("yesterday", Verdict::Proceed, Verdict::Proceed),
        ] {
            let set = Some(since.to_owned());
            assert_eq!(verdict(|p| p.if_unmodified_since = set.clone(), &object()), unmodified);
            assert_eq!(verdict(|p| p.if_modified_since = set.clone(), &object()), modified);
        }
        let undated = object().without_last_modified();
        let actual = verdict(|p| p.if_unmodified_since = Some(BEFORE.into()), &undated);
        assert_eq!(actual, Verdict::Proceed);
    }

    #[test]
    fn a_tag_goes_before_a_date() {
        let failed_by_date = |p: &mut Preconditions| {
            p.if_match = Some("\"a,b\"".into());
            p.if_unmodified_since = Some(BEFORE.into());
        };
        assert_eq!(verdict(failed_by_date, &object()), Verdict::Proceed);
        let fresh_by_date = |p: &mut Preconditions| {
            p.if_none_match = Some("\"other\"".into());
            p.if_modified_since = Some(AFTER.into());
        };
        assert_eq!(verdict(fresh_by_date, &object()), Verdict::Proceed);
    }

    #[test]
    fn if_range_wants_the_same_object() {
        let weak = object().with_etag("W/\"w\"");
        for (validator, object, expected) in [
            (None, object(), true),
            (Some("\"a,b\""), object(), true),
            (Some("\"other\""), object(), false),
            (Some("W/\"w\""), weak, false),
            (Some(SAME), object(), true),
            (Some(BEFORE), object(), false),
            (Some(AFTER), object(), false),
            (Some("nonsense"), object().without_last_modified(), false),
        ] {
            let if_range = validator.map(str::to_owned);
            let preconditions = Preconditions { if_range, ..Preconditions::default() };
            assert_eq!(preconditions.range_counts(&object), expected, "{validator:?}");
        }
    }

    #[test]
    fn times_without_an_http_date_are_none() {
        assert_eq!(http_date(UNIX_EPOCH - Duration::from_secs(1)), None);
        assert_eq!(http_date(UNIX_EPOCH + Duration::from_secs(253_402_300_800)), None);
        let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        assert_eq!(http_date(last).unwrap(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
