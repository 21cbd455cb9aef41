//! Giving back blocks of indexes in which nothing is any more: many of them together, since everybody is kept out of
//! sections for it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use svf_core::RangeSet;

use super::evictor::Stock;
use crate::directory::pair::Pair;

/// How long fillers are waited for that are to be kept out for a moment.
const EXCLUSION_PATIENCE: Duration = Duration::from_millis(20);
/// For about so long they are then kept out at most.
const LONGEST_EXCLUSION: Duration = Duration::from_millis(1);
/// Nor less than one part of so many of the limit: while it goes nothing is stored.
const GIVEN_BACK_PART: u64 = 256;
/// The pause behind each time is so many times as long, so that most of the time fillers store something.
const PAUSE: u32 = 8;
/// So often in a row.
const EXCLUSIONS: usize = 64;
/// Less than this, in bytes, is not given back of indexes.
const MIN_GIVEN_BACK: u64 = 256 << 10;
/// How far it came.
#[derive(Debug)]
enum GivenBack {
    All,
    Some,
    /// Somebody else did not go out of a section.
    NotNow,
}

impl Stock<'_> {
    /// Gives back blocks of indexes in which nothing is any more, once there are so many that it is worth keeping all
    /// fillers out for it: for a moment at a time, with longer ones in between. Not if they do not all go out soon.
    pub(crate) fn give_back_blocks(&self) {
        let hollow = &self.evictor.hollow;
        let bytes = hollow.count().saturating_mul(self.files.file_system.unit);
        let is_worth_it = if self.budget.is_eager() {
            bytes > 0
        } else {
            bytes > MIN_GIVEN_BACK.max(self.budget.max_bytes() / GIVEN_BACK_PART)
        };
        if !is_worth_it || !hollow.returns.is_due() {
            return;
        }
        for _ in 0..EXCLUSIONS {
            let start = Instant::now();
            match self.give_back_some() {
                Ok(GivenBack::Some) => std::thread::sleep(start.elapsed() * PAUSE),
                Ok(GivenBack::All) => break,
                Ok(GivenBack::NotNow) => return,
                Err(error) => return tracing::warn!(%error, "blocks of an index cannot be given back"),
            }
        }
        hollow.returns.succeeded();
    }

    fn give_back_some(&self) -> io::Result<GivenBack> {
        let mut blocks = self.take_hollow();
        let given_back = if blocks.is_empty() { Ok(true) } else { self.give_back_now(&mut blocks) };
        for (pair, blocks) in blocks {
            blocks.iter().for_each(|blocks| self.evictor.hollow.note(pair.name().into(), blocks));
        }
        Ok(match given_back? {
            false => GivenBack::NotNow,
            true if self.evictor.hollow.count() == 0 => GivenBack::All,
            true => GivenBack::Some,
        })
    }

    /// Takes out of `blocks` what has gone; whether everybody could be kept out for it.
    fn give_back_now(&self, blocks: &mut [(Arc<Pair>, RangeSet)]) -> io::Result<bool> {
        let Some(exclusion) = self.budget.exclude(EXCLUSION_PATIENCE)? else { return Ok(false) };
        let end = Instant::now() + LONGEST_EXCLUSION;
        // Should it fail, or this process die, what is charged is too much, and no more.
        let due = self.budget.control().recount_wanted();
        self.budget.control().want_recount(true);
        blocks.iter_mut().try_for_each(|(pair, blocks)| pair.give_back_hollow(&exclusion, blocks, end))?;
        self.budget.control().want_recount(due);
        tracing::debug!(pairs = blocks.len(), "blocks of indexes were given back");
        Ok(true)
    }

    /// Blocks that may be given back and still seem to have nothing in them, by the pairs they are in, which this opens
    /// before anybody is kept out.
    fn take_hollow(&self) -> Vec<(Arc<Pair>, RangeSet)> {
        let look = |(name, blocks): (Arc<str>, RangeSet)| -> io::Result<Option<(Arc<Pair>, RangeSet)>> {
            let pair = self.open(&name)?.filter(|pair| pair.is_reconciled(self.budget));
            pair.map(|pair| pair.hollow_blocks(&blocks).map(|hollow| (pair, hollow))).transpose()
        };
        let warn = |error: &io::Error| tracing::warn!(%error, "an index cannot be looked at");
        let looked_at =
            self.evictor.hollow.take().into_iter().filter_map(|hollow| look(hollow).inspect_err(warn).ok().flatten());
        looked_at.filter(|(_, blocks)| !blocks.is_empty()).collect()
    }
}
