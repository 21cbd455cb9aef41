//! How a read is answered: from what is held, from what a look has brought, or by the store below.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use object_store::{Extensions, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, Result};

use super::body::FIRST_PIECE;
use super::objects::{Name, Object};
use super::opening::{Fresh, Opened};
use super::status::CacheStatus;
use super::wanted::{Wanted, beginning, part};
use super::{Shared, body, error};
use crate::asynchronous::let_others_run;
use crate::cached_file::CachedFile;
use crate::error::ReadError;

/// How often an object that is found changed is looked at again before that is an error.
const MAX_LOOKS: u32 = 2;

impl Shared {
    /// The object, or a range of it.
    pub(super) async fn get(self: &Arc<Self>, name: Name, options: GetOptions) -> Result<GetResult> {
        let_others_run().await;
        // These ask whether it has changed, and not whether this cache thinks so.
        let asks = options.if_none_match.is_some() || options.if_modified_since.is_some();
        let mut confirm = asks && !self.cache.is_offline();
        let mut known = self.objects().fresh(&name, self.cache.freshness()).filter(|_| !confirm);
        // A change is found at the first look or, since another may follow it, at the second.
        let mut looks = 0;
        loop {
            let opened = match known.take() {
                Some(object) => Opened::Known(object),
                None => self.open(&name, Wanted::of(&options), confirm, options.extensions.clone()).await?,
            };
            if opened.passes() {
                return self.bypass(&name.path, options).await;
            }
            let last = looks == MAX_LOOKS || self.cache.is_offline();
            looks += 1;
            let range = match check(&options, opened.meta()) {
                Ok(range) => range,
                Err(error) if confirm || last || opened.is_confirmed() => return Err(error),
                Err(_) => {
                    confirm = true;
                    continue;
                }
            };
            match self.answer(&name, opened, range, &options).await? {
                Answer::Result(result) => return Ok(result),
                Answer::Changed(error) if last => return Err(error::of_read(&name.path, error)),
                Answer::Changed(_) => {
                    self.objects().forget(&name);
                    confirm = true;
                }
            }
        }
    }

    /// Answers a request from an object, of which there may be a range.
    async fn answer(
        self: &Arc<Self>,
        name: &Name,
        opened: Opened,
        range: Range<u64>,
        options: &GetOptions,
    ) -> Result<Answer> {
        let object = match opened {
            Opened::Known(object) => object,
            Opened::Looked(fresh) => match self.answer_at_once(name, fresh, &range, options) {
                Ok(result) => return Ok(Answer::Result(result)),
                Err(fresh) if fresh.is_stored => fresh.object().await?,
                Err(_) => return self.bypass(&name.path, options.clone()).await.map(Answer::Result),
            },
        };
        if options.head || range.is_empty() {
            return Ok(Answer::Result(object.result(range, stream::empty().boxed(), CacheStatus::Hit)));
        }
        let file = &object.file;
        if let Some(bytes) = file.bytes_if_checked(&range) {
            let body = stream::iter([Ok(bytes)]).boxed();
            return Ok(Answer::Result(object.result(range, body, CacheStatus::Hit)));
        }
        // The first piece before the result, as a store below has the beginning of its answer: so that an object that
        // is no longer this one is found while there is a way back.
        let mut rest = body::cut(range.clone(), file.page_size().unwrap_or(1), FIRST_PIECE);
        let first = rest.next().unwrap_or_default();
        let (all, reading, asked) = (range.clone(), file.clone(), [first.clone()]);
        let read = file.apart(&asked, move || {
            let status = if reading.holds(&all) { CacheStatus::Hit } else { CacheStatus::Miss };
            reading.bytes(first).map(|bytes| (bytes, status))
        });
        match read.await.map_err(error::generic)? {
            Ok((first, status)) => {
                let rest = self.rest(name, file.clone(), rest);
                Ok(Answer::Result(object.result(range, stream::iter([Ok(first)]).chain(rest).boxed(), status)))
            }
            Err(error) if error::is_change(&error) => Ok(Answer::Changed(error)),
            Err(error) => Err(error::of_read(&name.path, error)),
        }
    }

    /// The answer that needs no more than what has come, or only later; else that is given back.
    fn answer_at_once(
        self: &Arc<Self>,
        name: &Name,
        mut fresh: Box<Fresh>,
        range: &Range<u64>,
        options: &GetOptions,
    ) -> Result<GetResult, Box<Fresh>> {
        let body = if options.head || range.is_empty() {
            stream::empty().boxed()
        } else if let Some(bytes) = part(&fresh.pieces, range) {
            stream::iter([Ok(bytes)]).boxed()
        } else if let Some(first) = beginning(&fresh.pieces, range).filter(|_| fresh.is_stored) {
            let rest = range.start + first.len() as u64..range.end;
            let rest = body::cut(rest, self.cache.page_size(), 2 * FIRST_PIECE);
            let (shared, name, object) = (Arc::clone(self), name.clone(), fresh.take_object());
            let rest = object.map(move |object| match object {
                Ok(object) => shared.rest(&name, object.file.clone(), rest),
                Err(error) => stream::iter([Err(error)]).boxed(),
            });
            stream::iter([Ok(first)]).chain(rest.flatten_stream()).boxed()
        } else {
            return Err(fresh);
        };
        let status = if fresh.is_stored { CacheStatus::Miss } else { CacheStatus::Bypass };
        let Fresh { meta, attributes, mut extensions, .. } = *fresh;
        extensions.insert(status);
        let payload = GetResultPayload::Stream(body);
        Ok(GetResult { payload, meta, range: range.clone(), attributes, extensions })
    }

    /// The bytes behind those that are there.
    fn rest(
        self: &Arc<Self>,
        name: &Name,
        file: CachedFile,
        pieces: impl Iterator<Item = Range<u64>> + Send + 'static,
    ) -> BoxStream<'static, Result<Bytes>> {
        let (shared, path, name) = (Arc::clone(self), name.path.clone(), name.clone());
        body::pieces(file, path, move || shared.objects().forget(&name), pieces)
    }

    /// Several ranges of an object, all of one version.
    pub(super) async fn ranges(self: &Arc<Self>, name: Name, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        let_others_run().await;
        let mut known = self.objects().fresh(&name, self.cache.freshness());
        let mut confirm = false;
        let mut looks = 0;
        loop {
            let opened = match known.take() {
                Some(object) => Opened::Known(object),
                None => self.open(&name, Wanted::Ranges(ranges.clone()), confirm, Extensions::new()).await?,
            };
            if opened.passes() {
                return self.bypass_ranges(&name.path, &ranges).await;
            }
            let last = looks == MAX_LOOKS || self.cache.is_offline();
            looks += 1;
            let size = opened.meta().size;
            let within = ranges.iter().map(|range| GetRange::Bounded(range.clone()).as_range(size));
            let within: Vec<_> = match within.collect::<Result<_, _>>() {
                Ok(within) => within,
                Err(error) if confirm || last || opened.is_confirmed() => return Err(error::generic(error)),
                Err(_) => {
                    confirm = true;
                    continue;
                }
            };
            let (mut parts, object) = match opened {
                Opened::Known(object) => (vec![None; within.len()], object),
                Opened::Looked(fresh) => {
                    let parts: Vec<_> = within.iter().map(|range| part(&fresh.pieces, range)).collect();
                    if parts.iter().all(Option::is_some) {
                        return Ok(parts.into_iter().flatten().collect());
                    }
                    if !fresh.is_stored {
                        return self.bypass_ranges(&name.path, &ranges).await;
                    }
                    (parts, fresh.object().await?)
                }
            };
            let missing = within.iter().zip(&parts).filter(|(_, part)| part.is_none());
            let missing: Vec<_> = missing.map(|(range, _)| range.clone()).collect();
            match object.file.read_ranges_async(missing).await {
                Ok(read) => {
                    let missing = parts.iter_mut().filter(|part| part.is_none());
                    missing.zip(read).for_each(|(part, bytes)| *part = Some(bytes));
                    return Ok(parts.into_iter().flatten().collect());
                }
                Err(error) if error::is_change(&error) && !last => {
                    self.objects().forget(&name);
                    confirm = true;
                }
                Err(error) => return Err(error::of_read(&name.path, error)),
            }
        }
    }
}

/// Whether the object is as is wanted, and what its range is then.
fn check(options: &GetOptions, meta: &ObjectMeta) -> Result<Range<u64>> {
    options.check_preconditions(meta)?;
    match &options.range {
        Some(range) => range.as_range(meta.size).map_err(error::generic),
        None => Ok(0..meta.size),
    }
}

/// What came of a request to an object that was open.
enum Answer {
    Result(GetResult),
    /// It is no longer that object, and nothing of it was handed out.
    Changed(ReadError),
}

impl Opened {
    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Known(object) => &object.meta,
            Self::Looked(fresh) => &fresh.meta,
        }
    }

    /// Whether the store below has said so just now.
    fn is_confirmed(&self) -> bool {
        matches!(self, Self::Looked(_))
    }

    /// Whether it is known that the store below is to answer instead: nothing that is kept of such an object is as
    /// good.
    fn passes(&self) -> bool {
        matches!(self, Self::Known(object) if !object.is_stored())
    }
}

impl Object {
    fn result(&self, range: Range<u64>, body: BoxStream<'static, Result<Bytes>>, status: CacheStatus) -> GetResult {
        let mut extensions = Extensions::new();
        extensions.insert(status);
        GetResult {
            payload: GetResultPayload::Stream(body),
            meta: self.meta.clone(),
            range,
            attributes: self.attributes.clone(),
            extensions,
        }
    }
}
