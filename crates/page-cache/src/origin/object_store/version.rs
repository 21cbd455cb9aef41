//! Which version of an object a store speaks of.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use object_store::{GetOptions, GetRange, ObjectMeta};

use super::failure::Rejected;
use crate::origin::{Stat, Validators};

/// A bucket that keeps no versions any more calls every new one so.
pub(crate) const UNVERSIONED: &str = "null";
/// How far another machine's clock may be off ours.
const CLOCKS: Duration = Duration::from_secs(60);

/// What a look at an object found, just now.
pub(crate) fn looked_at(meta: &ObjectMeta) -> Stat {
    let Stat { length, validators } = stat_of(meta);
    Stat { length, validators: validators.looked_at(SystemTime::now(), CLOCKS) }
}

/// What a response says, to be compared with what was found by a look.
pub(super) fn stat_of(meta: &ObjectMeta) -> Stat {
    Stat {
        length: meta.size,
        validators: Validators {
            etag: meta.e_tag.clone(),
            version: meta.version.clone().filter(|version| version != UNVERSIONED),
            // Stores fill in the epoch where a server sent no date.
            last_modified: Some(SystemTime::from(meta.last_modified)).filter(|&date| date != SystemTime::UNIX_EPOCH),
            date_is_young: false,
        },
    }
}

/// A request for a range, to be refused if the object is no longer the pinned version.
///
/// A version id is sent only where no ETag does it: reading by it takes a permission of its own, and an object that was
/// replaced would go on to be read as it was in some stores and not in others.
pub(in crate::origin) fn conditional(range: Range<u64>, pinned: &Stat) -> GetOptions {
    let Validators { version, last_modified, .. } = &pinned.validators;
    let range = Some(GetRange::Bounded(range));
    let options = GetOptions { range, ..GetOptions::default() };
    match (pinned.validators.strong_etag(), version, last_modified) {
        (Some(etag), _, _) => GetOptions { if_match: Some(etag.to_owned()), ..options },
        (None, Some(version), _) => GetOptions { version: Some(version.clone()), ..options },
        (None, None, Some(date)) => GetOptions { if_unmodified_since: Some((*date).into()), ..options },
        (None, None, None) => options,
    }
}

/// Whether a response is of the pinned version.
pub(in crate::origin) fn compare(now: &Stat, pinned: &Stat) -> Result<(), Rejected> {
    let changed = |reason: String| Err(Rejected::Changed(reason));
    if now.length != pinned.length {
        return changed(format!("its length was {} and is {}", pinned.length, now.length));
    }
    match (pinned.validators.identity(), now.validators.identity()) {
        (Some(pinned), Some(now)) if pinned == now => Ok(()),
        (Some(pinned), Some(now)) => changed(format!("it was {pinned:?} and is {now:?}")),
        (Some(pinned), None) => {
            Err(Rejected::Invalid(format!("it carries no validator, and the object was opened as {pinned:?}")))
        }
        // Nothing vouches for equal bytes, but what the server sends may still show that they differ.
        (None, _) => match (&pinned.validators.etag, &now.validators.etag) {
            (Some(pinned), Some(now)) if pinned != now => changed(format!("its ETag was {pinned:?} and is {now:?}")),
            _ => match (pinned.validators.last_modified, now.validators.last_modified) {
                (Some(pinned), Some(now)) if pinned != now => changed("its date of modification changed".to_owned()),
                _ => Ok(()),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn pinned(etag: Option<&str>, version: Option<&str>, seconds: u64) -> Stat {
        let date = Some(UNIX_EPOCH + Duration::from_secs(seconds)).filter(|_| seconds > 0);
        let validators = Validators {
            etag: etag.map(str::to_owned),
            version: version.map(str::to_owned),
            last_modified: date,
            ..Validators::default()
        };
        Stat { length: 100, validators }
    }

    #[test]
    fn the_best_validator_is_the_condition() {
        let conditions = |stat: &Stat| {
            let options = conditional(0..10, stat);
            assert_eq!(options.range, Some(GetRange::Bounded(0..10)));
            (options.if_match, options.version, options.if_unmodified_since.map(|date| date.timestamp()))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(conditions(&pinned(Some("\"1\""), Some("v"), 5)), (text("\"1\""), None, None));
        assert_eq!(conditions(&pinned(Some("W/\"1\""), Some("v"), 5)), (None, text("v"), None));
        assert_eq!(conditions(&pinned(Some("W/\"1\""), None, 5)), (None, None, Some(5)));
        assert_eq!(conditions(&pinned(None, None, 0)), (None, None, None));
    }

    #[test]
    fn a_bucket_that_keeps_no_versions_has_none() {
        let meta = |version: &str| ObjectMeta {
            location: "a".into(),
            last_modified: UNIX_EPOCH.into(),
            size: 100,
            e_tag: Some("\"1\"".to_owned()),
            version: Some(version.to_owned()),
        };
        assert_eq!(stat_of(&meta("null")), pinned(Some("\"1\""), None, 0));
        assert_eq!(stat_of(&meta("3")), pinned(Some("\"1\""), Some("3"), 0));
    }

    #[test]
    fn by_our_own_clock_a_date_is_young_for_longer() {
        let meta = |age: u64| ObjectMeta {
            location: "a".into(),
            last_modified: (SystemTime::now() - Duration::from_secs(age)).into(),
            size: 100,
            e_tag: None,
            version: None,
        };
        assert_eq!(looked_at(&meta(10)).validators.identity(), None);
        assert!(looked_at(&meta(1_000)).validators.identity().is_some());
        // What was found when it was young still shows a change.
        let (found, now) = (looked_at(&meta(10)), stat_of(&meta(5)));
        assert!(matches!(compare(&now, &found), Err(Rejected::Changed(_))));
        assert!(conditional(0..1, &found).if_unmodified_since.is_some());
        assert!(matches!(compare(&stat_of(&meta(5)), &looked_at(&meta(1_000))), Err(Rejected::Changed(_))));
    }

    #[test]
    fn another_version_or_none_is_told_apart() {
        let one = pinned(Some("\"1\""), Some("1"), 5);
        assert_eq!(compare(&one, &one), Ok(()));
        let other = pinned(Some("\"1\""), Some("2"), 5);
        assert!(matches!(compare(&other, &one), Err(Rejected::Changed(_))));
        assert!(matches!(compare(&pinned(None, None, 0), &one), Err(Rejected::Invalid(_))));
        assert!(matches!(compare(&Stat { length: 99, ..one.clone() }, &one), Err(Rejected::Changed(_))));
    }
}
