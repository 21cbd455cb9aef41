//! Checking all that a pair holds, as a first read of each page would.

use std::io;

use svf_core::RangeSet;

use super::words::copy_vouched;
use super::{Pair, Words, with_buffer};
use crate::directory::budget::Budget;

/// What checking all that is held came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Verification {
    /// The bytes that are held and agree with their checksums.
    pub good: RangeSet,
    /// The bytes that were held and did not: they are held no more, and the next read fetches them.
    pub damaged: RangeSet,
    /// The bytes that do not agree and could not be taken away now, since others are at work on them or everything is
    /// being counted. They are still listed as held; no read returns them.
    pub still_held: RangeSet,
}

impl Pair {
    /// Reads and checks every page that is present, and takes away those that do not agree with their words. A page
    /// that somebody changes meanwhile is in neither set.
    pub(crate) fn verify(&self, budget: &Budget) -> io::Result<Verification> {
        let mut verification = Verification::default();
        let pages = self.pages();
        for run in self.index.runs_with_words(&(0..pages.count()))? {
            for page in run {
                let word = self.index.load(page)?;
                if !word.is_present() {
                    continue;
                }
                let (bytes, mut good) = (pages.bytes(page), false);
                let unchanged = copy_vouched(&self.index, page, &[word], || {
                    good = with_buffer((bytes.end - bytes.start) as usize, |out| {
                        self.read_checked(page, word, &bytes, out)
                    });
                    true
                });
                if unchanged && good {
                    self.verified.insert(page, word);
                    verification.good.insert(bytes);
                } else if unchanged {
                    let claim = self.page_locks().try_claim_all(page..page + 1)?;
                    if claim.is_some() && self.index.load(page)? != word {
                        continue;
                    }
                    if claim.is_some() && self.withdraw_damaged(budget, &[(page, word)]) {
                        verification.damaged.insert(bytes);
                    } else {
                        verification.still_held.insert(bytes);
                    }
                }
            }
        }
        Ok(verification)
    }
}
