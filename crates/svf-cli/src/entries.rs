//! What is known of the objects of a cache, in the words of the command.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytesize::ByteSize;
use serde::Serialize;
use svf::page_cache::{Cache, Entry, Origin, UrlOrigin};
use svf::svf_core::RangeSet;

use crate::cache_options::CacheOptions;
use crate::exit::Failure;

/// One object, as JSON shows it: offsets and sizes in bytes, times in seconds since 1970, both ends of a range
/// included.
#[derive(Debug, Serialize)]
pub(crate) struct Object {
    pub(crate) url: String,
    pub(crate) length: u64,
    pub(crate) held: u64,
    pub(crate) page_size: u64,
    pub(crate) etag: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) last_modified: Option<u64>,
    pub(crate) checked: u64,
    pub(crate) last_used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ranges: Option<Vec<Inclusive>>,
}

/// A byte range as HTTP and the command line write it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Inclusive {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// The ranges of a set, none of which is empty.
pub(crate) fn inclusive<'a>(ranges: impl IntoIterator<Item = &'a std::ops::Range<u64>>) -> Vec<Inclusive> {
    ranges.into_iter().map(|range| Inclusive { first: range.start, last: range.end.saturating_sub(1) }).collect()
}

impl Object {
    /// Without its ranges, of which there may be many.
    pub(crate) fn of(entry: &Entry) -> Self {
        let validators = &entry.stat.validators;
        Self {
            url: entry.key.clone(),
            length: entry.stat.length,
            held: entry.held.num_bytes(),
            page_size: entry.page_size,
            etag: validators.etag.clone(),
            version: validators.version.clone(),
            last_modified: validators.last_modified.map(seconds),
            checked: seconds(entry.checked),
            last_used: entry.last_used.map(seconds),
            ranges: None,
        }
    }

    pub(crate) fn with_ranges(self, held: &RangeSet) -> Self {
        Self { ranges: Some(inclusive(&held.iter().collect::<Vec<_>>())), ..self }
    }
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How long ago something was, in one unit or two.
pub(crate) fn ago(seconds_since_1970: u64) -> String {
    match seconds(SystemTime::now()).saturating_sub(seconds_since_1970) {
        0 => "now".to_owned(),
        age => {
            let age = humantime::format_duration(Duration::from_secs(age)).to_string();
            let short = age.split(' ').take(2).collect::<Vec<_>>().join(" ");
            format!("{short} ago")
        }
    }
}

pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// How much of something there is: nothing only of nothing, and all only of all.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let share = 100.0 * part as f64 / whole as f64;
    match part {
        _ if whole == 0 => "-".to_owned(),
        0 => "0 %".to_owned(),
        _ if part < whole && share < 0.001 => "< 0.001 %".to_owned(),
        _ if part < whole && share < 1.0 => format!("{share:.3} %"),
        _ if part < whole => format!("{:.1} %", share.min(99.9)),
        _ => "100.0 %".to_owned(),
    }
}

/// The key of a URL, which is what the cache knows an object by. No request is sent.
pub(crate) fn key_of(url: &str) -> Result<String, Failure> {
    if svf::is_local(url) {
        let message = format!("{url:?} is a local path, of which nothing is kept; give a URL");
        return Err(Failure::Usage(message));
    }
    // What a store's key looks like is listed, and taken as it is listed.
    if url.starts_with("object-store:") || url.starts_with("version:") {
        return Ok(url.to_owned());
    }
    Ok(UrlOrigin::new(url).map_err(svf::Error::from)?.key().to_owned())
}

/// The cache, if there is one: it is not made by looking at it. The error says where it would be.
pub(crate) fn existing(options: &CacheOptions) -> Result<Result<Cache, String>, Failure> {
    let stack = options.stack();
    let dir = stack.cache_dir().ok_or(svf::Error::NoCacheDir)?;
    if is_empty(&dir).map_err(Failure::io(format!("cannot read {}", dir.display())))? {
        return Ok(Err(dir.display().to_string()));
    }
    Ok(Ok(stack.cache()?))
}

/// Whether there is nothing at all in a directory, or it is not there.
pub(crate) fn is_empty(dir: &Path) -> io::Result<bool> {
    match dir.read_dir() {
        Ok(mut names) => Ok(names.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        // Whoever opens it says better what is wrong with it.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_at_most_two_units() {
        let now = seconds(SystemTime::now());
        assert_eq!(ago(now + 100), "now");
        assert_eq!(ago(now - 90_061), "1day 1h ago");
    }

    #[test]
    fn shares_are_not_rounded_to_nothing_or_all() {
        let cases = [(0, 0, "-"), (0, 9, "0 %"), (1, 1 << 60, "< 0.001 %"), (1, 6_000, "0.017 %"), (1, 8, "12.5 %")];
        for (part, whole, shown) in cases.into_iter().chain([(99_999, 100_000, "99.9 %"), (9, 9, "100.0 %")]) {
            assert_eq!(percent(part, whole), shown);
        }
    }
}
