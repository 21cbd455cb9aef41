//! What tells two versions of a file apart.

use std::fs::Metadata;
use std::time::SystemTime;

/// What is known of the version of a file: any of its modification time, its length and its ETag, or nothing.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use svf_core::Version;
///
/// let monday = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let held = Version::new().modified(monday).len(4_096);
/// assert!(held.matches(&Version::new().len(4_096)));
/// assert!(!held.matches(&Version::new().modified(monday).len(4_097)));
/// // Nothing is known of both: that they are the same is not known either.
/// assert!(!held.matches(&Version::new().etag("\"5f3b\"")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Version {
    /// When it was modified, as its server or file system says.
    #[doc(alias = "file_mod_time")]
    pub modified: Option<SystemTime>,
    /// Its length in bytes.
    pub len: Option<u64>,
    /// Its entity tag as it was received, with its quotes.
    pub etag: Option<String>,
}

impl Version {
    /// A version of which nothing is known.
    pub const fn new() -> Self {
        Self { modified: None, len: None, etag: None }
    }

    /// With a modification time.
    #[must_use = "the version is returned, not changed in place"]
    pub fn modified(self, modified: SystemTime) -> Self {
        Self { modified: Some(modified), ..self }
    }

    /// With a length in bytes.
    #[must_use = "the version is returned, not changed in place"]
    pub fn len(self, len: u64) -> Self {
        Self { len: Some(len), ..self }
    }

    /// With an entity tag, as it was received: `"5f3b"`, or `W/"5f3b"` for a weak one.
    #[must_use = "the version is returned, not changed in place"]
    pub fn etag(self, etag: impl Into<String>) -> Self {
        Self { etag: Some(etag.into()), ..self }
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::new()
    }

    /// Whether the two are known to be the same version: nothing that is known of both differs, and something is
    /// known of both. Two versions of which nothing is known match as well.
    ///
    /// A weak ETag tells versions apart, but promises nothing about bytes: two equal ones are not by themselves enough.
    pub fn matches(&self, other: &Self) -> bool {
        let is_weak = self.etag.as_ref().is_some_and(|etag| etag.starts_with("W/"));
        let evidence = [
            both(&self.modified, &other.modified),
            both(&self.len, &other.len),
            both(&self.etag, &other.etag).filter(|&is_equal| !(is_equal && is_weak)),
        ];
        let mut known = evidence.iter().flatten().peekable();
        match known.peek() {
            Some(_) => known.all(|&is_equal| is_equal),
            None => self.is_unknown() && other.is_unknown(),
        }
    }
}

/// Whether they are equal, if both are known.
fn both<T: PartialEq>(ours: &Option<T>, theirs: &Option<T>) -> Option<bool> {
    Some(ours.as_ref()? == theirs.as_ref()?)
}

impl From<SystemTime> for Version {
    fn from(modified: SystemTime) -> Self {
        Self::new().modified(modified)
    }
}

impl From<&Metadata> for Version {
    /// Length and modification time of a local file, as far as its file system knows them.
    fn from(metadata: &Metadata) -> Self {
        Self { modified: metadata.modified().ok(), len: Some(metadata.len()), etag: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_tags_tell_apart_but_do_not_vouch() {
        let weak = Version::new().etag("W/\"1\"");
        assert!(!weak.matches(&weak.clone()), "equal weak tags alone are no evidence");
        assert!(weak.clone().len(5).matches(&weak.clone().len(5)));
        assert!(!weak.clone().len(5).matches(&Version::new().etag("W/\"2\"").len(5)));
        let strong = Version::new().etag("\"1\"");
        assert!(strong.matches(&strong.clone()));
        assert!(!strong.clone().len(5).matches(&weak.len(5)), "a strong and a weak tag are not the same tag");
    }

    #[test]
    fn what_only_one_side_knows_is_no_evidence() {
        let now = SystemTime::now();
        assert!(Version::new().matches(&Version::new()));
        assert!(!Version::new().matches(&now.into()));
        assert!(!Version::new().len(1).matches(&now.into()));
        assert!(Version::from(now).len(1).matches(&now.into()));
    }
}
