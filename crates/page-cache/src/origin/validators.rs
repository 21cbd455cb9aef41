//! What tells one version of an object from another.

use std::ops::Not;
#[cfg(feature = "object_store")]
use std::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// An object's length and validators at one moment: which version of it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Its length in bytes.
    pub length: u64,
    /// What the origin said to tell this version from others.
    pub validators: Validators,
}

impl Stat {
    /// Whether both mean the same bytes: equal lengths and equal [identities](Validators::identity). Without an
    /// identity nothing vouches for that, so two such never do.
    pub fn same_version(&self, other: &Self) -> bool {
        self.length == other.length
            && self.validators.identity().is_some_and(|identity| other.validators.identity() == Some(identity))
    }
}

/// The validators of an object as the origin sent them, by the rules of RFC 9110, section 8.8.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Validators {
    /// The ETag, quotes and `W/` included.
    pub etag: Option<String>,
    /// The object store's version id.
    pub version: Option<String>,
    /// The time of the last modification.
    pub last_modified: Option<SystemTime>,
    /// Whether that was so short a time before the look at it that another version may have the same date. Such a date
    /// tells of changes, but vouches for nothing.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub date_is_young: bool,
}

impl Validators {
    /// The ETag, if it is a strong one: only that promises equal bytes.
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().map(str::trim).filter(|etag| !etag.is_empty() && !is_weak(etag))
    }

    /// What these validators identify a version by, in a normal form: the version id, else the strong ETag, else the
    /// date of modification, unless it is [young](Self::date_is_young), together with a weak ETag if there is one.
    ///
    /// `None` if nothing vouches for the bytes; a weak ETag alone does not.
    pub fn identity(&self) -> Option<String> {
        if let Some(version) = &self.version {
            return Some(format!("version {version}"));
        }
        if let Some(etag) = self.strong_etag() {
            return Some(format!("etag {etag}"));
        }
        if self.date_is_young {
            return None;
        }
        // Before 1970 nothing was put on a server: such a date means that there is none.
        let since_1970 = self.last_modified?.duration_since(UNIX_EPOCH).ok().filter(|time| !time.is_zero())?;
        let weak = self.etag.as_deref().map_or("", |etag| etag.trim()).trim_start_matches(['W', 'w']);
        Some(format!("date {}.{:09} {weak}", since_1970.as_secs(), since_1970.subsec_nanos()))
    }

    /// The same, looked at when it was `now`, by a clock that the one of the date may be off by less than `margin`.
    #[cfg(feature = "object_store")]
    pub(super) fn looked_at(self, now: SystemTime, margin: Duration) -> Self {
        // A date in the future is younger than any.
        let is_young = |date| now.duration_since(date).map_or(true, |age| age < margin);
        Self { date_is_young: self.last_modified.is_some_and(is_young), ..self }
    }
}

fn is_weak(etag: &str) -> bool {
    etag.starts_with("W/") || etag.starts_with("w/")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn etag(etag: &str) -> Validators {
        Validators { etag: Some(etag.into()), ..Validators::default() }
    }

    fn dated(seconds: u64) -> Validators {
        Validators { last_modified: Some(UNIX_EPOCH + Duration::from_secs(seconds)), ..Validators::default() }
    }

    #[test]
    fn a_strong_etag_identifies_whatever_the_date_says() {
        let with_date = Validators { last_modified: dated(5).last_modified, ..etag("\"a\"") };
        assert_eq!(with_date.identity(), etag(" \"a\" ").identity());
        assert_ne!(etag("\"a\"").identity(), etag("\"b\"").identity());
    }

    #[test]
    fn a_weak_etag_vouches_only_together_with_a_date() {
        assert_eq!(etag("W/\"a\"").identity(), None);
        assert_eq!(etag("").identity(), None);
        assert_eq!(etag("W/\"a\"").strong_etag(), None);
        let one = Validators { etag: Some("W/\"a\"".into()), ..dated(5) };
        let other = Validators { etag: Some("W/\"b\"".into()), ..dated(5) };
        assert!(one.identity().is_some());
        assert_ne!(one.identity(), other.identity());
    }

    #[test]
    fn the_epoch_is_no_date() {
        assert_eq!(dated(0).identity(), None);
        assert_ne!(dated(1).identity(), dated(2).identity());
    }

    #[cfg(feature = "object_store")]
    #[test]
    fn a_date_vouches_only_once_it_is_over() {
        let looked_at = |seconds| {
            dated(1_000).looked_at(UNIX_EPOCH + Duration::from_secs(seconds), Duration::from_secs(2)).identity()
        };
        assert_eq!((looked_at(0), looked_at(1_000), looked_at(1_001)), (None, None, None));
        assert_eq!(looked_at(1_002), dated(1_000).identity());
        let tagged = Validators { last_modified: dated(1_000).last_modified, ..etag("\"a\"") };
        let young = tagged.clone().looked_at(UNIX_EPOCH, Duration::from_secs(2));
        assert_eq!(young.identity(), tagged.identity(), "a strong ETag needs no date");
    }

    #[test]
    fn versions_are_the_same_only_if_something_vouches_for_it() {
        let stat = |length, validators| Stat { length, validators };
        assert!(stat(5, etag("\"a\"")).same_version(&stat(5, etag("\"a\""))));
        assert!(!stat(5, etag("\"a\"")).same_version(&stat(6, etag("\"a\""))));
        assert!(!stat(5, Validators::default()).same_version(&stat(5, Validators::default())));
    }
}
