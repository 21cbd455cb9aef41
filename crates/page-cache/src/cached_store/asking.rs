//! The requests that tell the version of an object, and bring the first bytes of it.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use object_store::path::Path;
use object_store::{Attributes, Extensions, GetOptions, GetRange, ObjectMeta, Result};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error;
use super::wanted::Piece;
use crate::cache::Cache;
use crate::freshness::Unvalidated;
use crate::opening::{OPENING_HELD, check_length};
use crate::origin::{Answer, Attempt, Begun, Failure, ObjectStoreOrigin, Origin, Stat, looked_at};
use crate::runtime::{block_on, marked, unblock};

/// How long after a request's own limit its future is given up, which can only be one that blocks its thread.
const GRACE: Duration = Duration::from_secs(1);

/// What a store says of one version of an object, and what it gave of it.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) stat: Stat,
    pub(super) meta: ObjectMeta,
    pub(super) attributes: Attributes,
    pub(super) extensions: Extensions,
    pub(super) pieces: Vec<Piece>,
}

/// What was known before, and is served if nothing is heard for a while.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) cache: Cache,
    pub(super) key: String,
    pub(super) stat: Stat,
}

/// How an object is asked for.
pub(super) struct Asking<'a> {
    pub(super) origin: &'a ObjectStoreOrigin,
    pub(super) path: &'a Path,
    pub(super) extensions: Extensions,
    /// Of one answer no more bytes are taken.
    pub(super) longest: u64,
    pub(super) unvalidated: Unvalidated,
    pub(super) served: Option<Served>,
}

impl Asking<'_> {
    /// Asks for these ranges, all at once, or for the metadata alone if there are none. Blocks.
    ///
    /// What is returned is of one version: of answers that differ the newest counts, and what came with others is
    /// dropped.
    ///
    /// # Errors
    ///
    /// The first that came, if there was no answer at all.
    pub(super) fn ask(&self, ranges: Vec<GetRange>) -> Result<Answered> {
        let asked = if ranges.is_empty() {
            self.ask_together([None])
        } else {
            match self.ask_together(ranges.into_iter().map(Some)) {
                // There may be no such bytes, or no such requests with this store. The first error is the one to
                // report.
                Err(failure) if failure.may_be_of_the_range() => self.ask_together([None]).map_err(|_| failure),
                asked => asked,
            }
        };
        let answers = asked.map_err(|failure| error::of_failure(self.path, self.origin.key(), failure))?;
        self.newest(answers)
    }

    /// All answers that came, in that order; at least one.
    fn ask_together(&self, ranges: impl IntoIterator<Item = Option<GetRange>>) -> Result<Vec<Answer>, Failure> {
        let requests: Vec<_> = ranges.into_iter().map(|range| self.request(range)).collect::<Result<_, _>>()?;
        let all = async move {
            let mut pending: FuturesUnordered<_> = requests.into_iter().collect();
            let (mut answers, mut failed) = (Vec::new(), None);
            while let Some(answer) = pending.next().await {
                match answer {
                    Ok(answer) => answers.push(answer),
                    Err(failure) => _ = failed.get_or_insert(failure),
                }
            }
            match failed.filter(|_| answers.is_empty()) {
                Some(failure) => Err(failure),
                None => Ok(answers),
            }
        };
        let limit = self.origin.timeouts().total.checked_add(GRACE);
        block_on(all, limit).unwrap_or_else(|abandoned| Err(abandoned.into()))
    }

    fn request(
        &self,
        range: Option<GetRange>,
    ) -> Result<impl Future<Output = Result<Answer, Failure>> + 'static, Failure> {
        let (longest, extensions) = (if range.is_some() { self.longest } else { 0 }, self.extensions.clone());
        let options = GetOptions { head: range.is_none(), range, extensions, ..GetOptions::default() };
        let attempt = self.origin.attempt(options).map_err(|error| Failure::NotSent(error.to_string()))?;
        let served = self.served.clone();
        Ok(async move {
            let begun = match served {
                Some(served) => begin_soon(attempt, served).await?,
                None => attempt.begin().await?,
            };
            begun.finish(longest).await
        })
    }

    fn newest(&self, answers: Vec<Answer>) -> Result<Answered> {
        let stats = answers.iter().map(|answer| check_length(self.origin.key(), looked_at(&answer.meta)));
        let stats: Vec<Stat> = stats.collect::<Result<_, _>>().map_err(|error| error::of_origin(self.path, error))?;
        // Of those with the same date the one that came last.
        let newest = (0..answers.len()).max_by_key(|&at| answers[at].meta.last_modified);
        let Some(newest) = newest else { return Err(error::generic("no answer came, and no error")) };
        let stat = stats[newest].clone();
        let of_it = |at: usize| at == newest || self.unvalidated.same_version(&stat, &stats[at]);
        let mut pieces = Vec::new();
        for (_, answer) in answers.iter().enumerate().filter(|(at, _)| of_it(*at)) {
            pieces.extend(answer.bytes.clone().map(|(start, bytes)| Piece { start, bytes }));
        }
        let Some(Answer { meta, attributes, extensions, .. }) = answers.into_iter().nth(newest) else {
            return Err(error::generic("no answer came, and no error"));
        };
        Ok(Answered { stat, meta, attributes, extensions, pieces })
    }
}

/// Waits for no longer than an opening does that has something to serve. Should the store say later that the object has
/// changed, the next opening does not serve what is held.
async fn begin_soon(attempt: Attempt, served: Served) -> Result<Begun, Failure> {
    let mut begun = tokio::spawn(marked(attempt.begin()));
    match timeout(OPENING_HELD, &mut begun).await {
        Ok(begun) => begun.unwrap_or_else(|error| Err(Failure::Abandoned(error.to_string()))),
        Err(_) => {
            tokio::spawn(note_change(begun, served));
            Err(Failure::TimedOut(format!("no answer came within {OPENING_HELD:?}")))
        }
    }
}

async fn note_change(begun: JoinHandle<Result<Begun, Failure>>, served: Served) {
    // An error says nothing of the version.
    let Ok(Ok(begun)) = begun.await else { return };
    let Served { cache, key, stat } = served;
    let doubt = move || cache.doubt_if_other(&key, &stat, &begun.stat());
    if let Err(error) = unblock(doubt).await {
        tracing::warn!(%error, "what is known of a changed object could not be doubted");
    }
}
