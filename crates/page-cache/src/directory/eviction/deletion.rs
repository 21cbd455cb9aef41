//! Pairs that go as a whole, with their heads: of which nothing is left, or all goes.

use std::io;
use std::time::Duration;

use super::evictor::Stock;
use crate::directory::budget::Section;
use crate::directory::heads;
use crate::directory::name::{self, KeyHash};
use crate::directory::pair::{Counted, Pair};
use crate::directory::pairs;

impl Stock<'_> {
    /// Deletes a pair of which nothing is stored any more, with its head, unless somebody works on it, and returns how
    /// much less is charged.
    pub(super) fn delete_empty(&self, section: &Section<'_>, name: &str) -> u64 {
        self.delete(section, name, Pair::is_empty)
    }

    /// The same with all that is stored of it. So a small object goes by one opening, where it would else be opened to
    /// be evicted from, and once more to be deleted.
    pub(crate) fn delete_all_of(&self, section: &Section<'_>, name: &str) -> u64 {
        self.delete(section, name, |pair| Ok(pair.is_reconciled(self.budget)))
    }

    /// Deletes a pair with its head, if nobody works on it, nothing of it is to be kept, and it `may_go` then; returns
    /// how much less is charged.
    fn delete(&self, section: &Section<'_>, name: &str, may_go: impl Fn(&Pair) -> io::Result<bool>) -> u64 {
        self.pairs.close_if_idle(name);
        let Some(head) = name::head_of_pair(name) else { return 0 };
        let lock = KeyHash::from_file_name(head).and_then(|key| self.keys.lock(self.budget, key, Duration::ZERO));
        // Somebody is just opening the object.
        let Some(_lock) = lock else { return 0 };
        let path = self.files.heads().join(head);
        let unwanted = |pair: Option<&Pair>| {
            let may_go = |pair: &Pair| Ok::<_, io::Error>(may_go(pair)? && pair.kept()?.is_empty());
            // The head first: without it the pair is nobody's, and the next recount deletes it.
            pair.is_some_and(|pair| may_go(pair).unwrap_or(false))
                && match heads::read(self.files, &path) {
                    Ok(Some(head)) if head.pair == name => self.files.remove(&path),
                    Ok(_) => true,
                    Err(_) => false,
                }
        };
        let delete = || pairs::delete(self.files, self.budget, name, unwanted);
        match self.pairs.with_descriptors(delete) {
            Ok(Some(Counted { charge, pages, .. })) => {
                section.uncharge(charge);
                section.count_evicted(pages);
                charge
            }
            Ok(None) => 0,
            Err(error) => {
                section.want_recount();
                tracing::warn!(pair = name, %error, "a pair that nothing is left of cannot be deleted");
                0
            }
        }
    }
}
