//! A look at a pair that nobody in this process has open: at its index alone, by a few reads, and without *live*.
//!
//! Nothing keeps others from changing or deleting the pair meanwhile, so what is seen is a guess; whoever acts on it
//! opens the pair, which makes it live, and looks again. Opening is some twenty-five system calls and this is five,
//! where making room means to look at several objects for each that goes. A deleter gives the blocks of a pair back
//! before its names go, and nothing is stored to by a look, so a file that is still open for one takes nothing.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::create::check_index;
use super::index::{Index, Loads};
use crate::directory::eviction::Stamp;
use crate::directory::files::Files;
use crate::sys::Access;

/// How many blocks are drawn from all there are, before those that are allocated are listed.
const DRAWS: u64 = 16;

/// Opens an index for a look.
///
/// # Errors
///
/// One that [`is_damage`](crate::directory::files::is_damage) if it does not check out, or is there no more; else that
/// the system cannot give what it takes.
pub(crate) fn look_at(files: &Files, name: &str) -> io::Result<Index> {
    let [_, index_path] = files.pair(name);
    let index = Index::open(files.disk.open(&index_path, Access::Read)?, Loads::Ahead)?;
    check_index(name, None, &index)?;
    Ok(index)
}

impl Index {
    /// An extent of which something is stored, any one, chosen by a number that nobody can guess; one that is to be
    /// kept only if all are. None if nothing is stored.
    pub(crate) fn any_extent(&self, random: u64) -> io::Result<Option<(u64, Stamp)>> {
        self.find_extent(random, |stamp| !stamp.is_kept())
    }

    /// Whether nothing is stored.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.find_extent(0, |_| true)?.is_none())
    }

    /// An extent that `will_do`; if there is none, one that will not.
    fn find_extent(&self, random: u64, will_do: impl Fn(Stamp) -> bool) -> io::Result<Option<(u64, Stamp)>> {
        let (blocks, mut random, mut other) = (self.layout().table_blocks(), fastrand::Rng::with_seed(random), None);
        // However many blocks there are, most of the time this does not look at all of them.
        for _ in 0..DRAWS.min(blocks.end - blocks.start) {
            let block = random.u64(blocks.clone());
            if self.is_marked(block)?
                && let Some(found) = self.find_extent_of(block, &mut random, &will_do)?
            {
                if will_do(found.1) {
                    return Ok(Some(found));
                }
                other = Some(found);
            }
        }
        // In any order: behind many blocks with nothing in them the same ones would always be found.
        let mut marked = self.marked(blocks)?;
        while !marked.is_empty() {
            let block = marked.swap_remove(random.usize(..marked.len()));
            if let Some(found) = self.find_extent_of(block, &mut random, &will_do)? {
                if will_do(found.1) {
                    return Ok(Some(found));
                }
                other = Some(found);
            }
        }
        Ok(other)
    }

    /// The same of the pages whose words are in one block.
    fn find_extent_of(
        &self,
        block: u64,
        random: &mut fastrand::Rng,
        will_do: impl Fn(Stamp) -> bool,
    ) -> io::Result<Option<(u64, Stamp)>> {
        let layout = self.layout();
        let pages = layout.pages_of(block);
        let words = self.load_run(&pages)?;
        let stored = || pages.clone().zip(&words).filter(|(_, word)| !word.is_empty());
        let count = stored().count();
        let first = random.usize(..count.max(1));
        let mut found: Option<(u64, Stamp)> = None;
        // The first is any one, and those behind it are looked at where it will not do.
        for (page, _) in stored().skip(first).chain(stored().take(first)) {
            let extent = layout.extent_of(page);
            if found.is_some_and(|(last, _)| last == extent) {
                continue;
            }
            let stamp = self.stamp(extent)?;
            found = Some((extent, stamp));
            if will_do(stamp) {
                break;
            }
        }
        Ok(found)
    }

    /// When anybody last used it, as far as that has been written down; none if nobody has.
    pub(crate) fn last_used(&self) -> io::Result<Option<SystemTime>> {
        let seconds = Some(self.last_used_second()?).filter(|&seconds| seconds > 0);
        Ok(seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))))
    }
}
