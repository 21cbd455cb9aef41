//! All pairs of a directory by what they take, so that one can be chosen at random.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::stamp::{PERIODS, Period};
use crate::directory::files::Files;

/// After so many periods the directory is listed anew: by then a sixteenth of what is stored is other than it was.
const LISTED_FOR: u64 = PERIODS / 16;

/// The pairs of one listing.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Each pair with the sum of what it and those before it take.
    sums: Vec<(u64, Arc<str>)>,
    listed: Option<Period>,
}

impl Roster {
    /// Lists the directory, if that was not done for long. O(pairs), in the time in which a sixteenth of the limit is
    /// filled.
    pub(super) fn refresh(&mut self, files: &Files, now: Period) -> io::Result<()> {
        let is_good = |listed: Period| u64::from(now.0.wrapping_sub(listed.0)) < LISTED_FOR;
        if self.listed.is_some_and(is_good) && !self.sums.is_empty() {
            return Ok(());
        }
        self.sums.clear();
        let mut sum = 0u64;
        for name in names(files)? {
            // What is gone by now takes nothing.
            let sizes = files.pair(&name).map(|path| files.disk.size(&path).unwrap_or_default().allocated);
            sum = sum.saturating_add(sizes.iter().sum::<u64>().max(1));
            self.sums.push((sum, name.into()));
        }
        self.listed = Some(now);
        Ok(())
    }

    /// Has the next refresh list the directory.
    pub(super) fn expire(&mut self) {
        self.listed = None;
    }

    /// A pair, the more likely the more it takes.
    pub(super) fn choose(&self, random: u64) -> Option<Arc<str>> {
        let &(total, _) = self.sums.last()?;
        let place = ((u128::from(random) * u128::from(total)) >> 64) as u64;
        self.sums.get(self.sums.partition_point(|&(sum, _)| sum <= place)).map(|(_, name)| Arc::clone(name))
    }
}

/// The names of all pairs of which there is an index, in order.
pub(super) fn names(files: &Files) -> io::Result<Vec<String>> {
    let names = files.list(&files.pairs())?;
    let pairs = names.iter().filter_map(|name| name.to_str()?.strip_suffix(".index"));
    // A set: a file system may list what is renamed meanwhile twice.
    let names: BTreeSet<&str> = pairs.filter(|name| !name.starts_with('.')).collect();
    Ok(names.into_iter().map(str::to_owned).collect())
}
