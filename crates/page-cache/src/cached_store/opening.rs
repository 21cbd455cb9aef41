//! How an object is opened: from what is known of it, or by one request that tells its version and brings bytes.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{Attributes, Error, Extensions, GetOptions, GetRange, ObjectMeta, ObjectStore, Result};

use super::body::FIRST_PIECE;
use super::objects::{Name, Object};
use super::{Shared, attributes, error};
use crate::cache::{Known, Looked, check_length};
use crate::fetch::MAX_REQUEST;
use crate::origin::{ObjectStoreOrigin, Origin, OriginError, Stat, looked_at};
use crate::runtime::{block_on, unblock};

/// What is to be read of an object that may have to be looked at before.
pub(super) enum Wanted {
    Metadata,
    Range(GetRange),
    Ranges(Vec<Range<u64>>),
}

/// Bytes that came along with the version.
pub(super) struct Piece {
    start: u64,
    bytes: Bytes,
}

impl Piece {
    /// What it has of a range, if that is all of it.
    pub(super) fn part(&self, range: &Range<u64>) -> Option<Bytes> {
        let (start, end) = (range.start.checked_sub(self.start)?, range.end.checked_sub(self.start)?);
        (end <= self.bytes.len() as u64).then(|| self.bytes.slice(start as usize..end as usize))
    }
}

impl Wanted {
    pub(super) fn of(options: &GetOptions) -> Self {
        match &options.range {
            _ if options.head => Self::Metadata,
            Some(range) => Self::Range(range.clone()),
            None => Self::Range(GetRange::Offset(0)),
        }
    }

    /// What it is of an object of this length; none if nothing, or what cannot be.
    fn within(&self, length: u64) -> Vec<Range<u64>> {
        match self {
            Self::Metadata => Vec::new(),
            Self::Range(range) => range.as_range(length).into_iter().collect(),
            Self::Ranges(ranges) => ranges.clone(),
        }
    }

    /// What to ask for of an object of which nothing is known: whole pages around it, as far as one request goes.
    fn request(&self, page_size: u64) -> Option<GetRange> {
        let around = |start: u64, end: u64| {
            let start = start - start % page_size;
            let longest = MAX_REQUEST.max(page_size);
            let end = end.min(start.saturating_add(longest)).checked_next_multiple_of(page_size).unwrap_or(end);
            (start < end).then_some(GetRange::Bounded(start..end))
        };
        match self {
            Self::Metadata => None,
            Self::Range(GetRange::Bounded(range)) => around(range.start, range.end),
            Self::Range(GetRange::Offset(start)) => around(*start, start.saturating_add(FIRST_PIECE)),
            // In so many more bytes there is the beginning of the first page that is touched.
            &Self::Range(GetRange::Suffix(length)) if length <= MAX_REQUEST => {
                (length > 0).then_some(GetRange::Suffix(length + page_size))
            }
            Self::Range(GetRange::Suffix(_)) => None,
            Self::Ranges(ranges) => {
                let (start, end) = (ranges.iter().map(|r| r.start).min()?, ranges.iter().map(|r| r.end).max()?);
                let all_at_once = end.saturating_sub(start) <= FIRST_PIECE;
                let first = ranges.first().filter(|_| !all_at_once).map_or(start..end, Range::clone);
                around(first.start, first.end)
            }
        }
    }
}

impl Shared {
    /// The object in its present version, if what is known is to be confirmed, or else in one that is fresh.
    pub(super) async fn open(
        self: &Arc<Self>,
        name: &Name,
        wanted: Wanted,
        confirm: bool,
        extensions: Extensions,
    ) -> Result<(Arc<Object>, Option<Piece>)> {
        let (shared, name) = (Arc::clone(self), name.clone());
        unblock(move || shared.open_blocking(name, &wanted, confirm, extensions)).await.map_err(error::generic)?
    }

    fn open_blocking(
        &self,
        name: Name,
        wanted: &Wanted,
        confirm: bool,
        extensions: Extensions,
    ) -> Result<(Arc<Object>, Option<Piece>)> {
        let since = self.objects.now();
        let origin = Arc::new(self.origin_of(&name));
        let asked = Arc::clone(&origin);
        let look = |known: Option<Known<'_>>| {
            // Not for who wants to know whether it has changed.
            let served = known.as_ref().filter(|known| known.may_be_served && !confirm).map(|known| known.stat.clone());
            match (self.look(&asked, &name, wanted, known, extensions), served) {
                (Err(error), Some(stat)) if !is_answer(&error) => {
                    let key = asked.key();
                    tracing::warn!(key, %error, "whether the object has changed cannot be told; what is held is opened");
                    let is_stored = self.rules.admit(&meta_of(&name.path, &stat));
                    Ok(Looked { stat, attributes: Default::default(), is_stored, is_confirmed: false, with: None })
                }
                (looked, _) => looked,
            }
        };
        let (opened, piece) = self.cache.open_by(origin, confirm, look)?;
        let piece = piece.flatten();
        let meta = meta_of(&name.path, opened.file.stat());
        let attributes = attributes::from_head(&opened.attributes);
        let object = Arc::new(Object::new(opened.file, meta, attributes, opened.age));
        if let Some(piece) = &piece {
            object.file.keep_piece(piece.start, &piece.bytes);
        }
        self.objects.insert(name, &object, since);
        Ok((object, piece))
    }

    /// Asks the store below for the version, and for bytes unless they are held.
    fn look(
        &self,
        origin: &ObjectStoreOrigin,
        name: &Name,
        wanted: &Wanted,
        known: Option<Known<'_>>,
        extensions: Extensions,
    ) -> Result<Looked<Option<Piece>>> {
        if self.cache.is_offline() {
            let what = "its length and version".to_owned();
            return Err(error::of_origin(&name.path, OriginError::Offline { key: origin.key().to_owned(), what }));
        }
        let store = origin.store().map_err(|error| error::of_origin(&name.path, error))?;
        let held = known.is_some_and(|known| wanted.within(known.stat.length).iter().all(|range| (known.holds)(range)));
        let range = wanted.request(self.cache.page_size()).filter(|_| !held);
        let options = GetOptions { version: name.version.clone(), extensions, ..GetOptions::default() };
        let head = || GetOptions { head: true, ..options.clone() };
        let Some(range) = range else { return self.looked(origin, ask(store, &name.path, head(), 0)?) };
        let longest = MAX_REQUEST.max(self.cache.page_size()) + self.cache.page_size();
        match ask(store, &name.path, GetOptions { range: Some(range), ..options.clone() }, longest) {
            Ok(answer) => self.looked(origin, answer),
            // No other request fares better.
            Err(error) if is_answer(&error) => Err(error),
            // There may be no such bytes, or no such requests with this store. The first error is the one to report.
            Err(error) => {
                ask(store, &name.path, head(), 0).map_err(|_| error).and_then(|answer| self.looked(origin, answer))
            }
        }
    }

    fn looked(&self, origin: &ObjectStoreOrigin, (meta, attributes, piece): Asked) -> Result<Looked<Option<Piece>>> {
        let stat = check_length(origin.key(), looked_at(&meta));
        Ok(Looked {
            stat: stat.map_err(|error| error::of_origin(&meta.location, error))?,
            attributes: attributes::to_head(&attributes),
            is_stored: self.rules.admit(&meta),
            is_confirmed: true,
            with: piece,
        })
    }
}

/// Whether an error says something of the object, and not of the way to it.
fn is_answer(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. } | Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
}

type Asked = (ObjectMeta, Attributes, Option<Piece>);

/// One request to the store below; of the bytes no more than `longest` are taken.
fn ask(store: &Arc<dyn ObjectStore>, path: &Path, options: GetOptions, longest: u64) -> Result<Asked> {
    let (inner, path) = (Arc::clone(store), path.clone());
    let asked = async move {
        let head = options.head;
        let result = inner.get_opts(&path, options).await?;
        let (meta, attributes, range) = (result.meta.clone(), result.attributes.clone(), result.range.clone());
        let expected = range.end.saturating_sub(range.start);
        if head || expected > longest {
            return Ok((meta, attributes, None));
        }
        let mut body = result.into_stream();
        let mut bytes = BytesMut::with_capacity(expected as usize);
        while let Some(part) = body.next().await {
            bytes.extend_from_slice(&part?);
            if bytes.len() as u64 > expected {
                break;
            }
        }
        // What is not as long as it says is fetched again, with all checks.
        let piece = (bytes.len() as u64 == expected).then(|| Piece { start: range.start, bytes: bytes.freeze() });
        Ok((meta, attributes, piece))
    };
    // How long it may take is the store's own affair, as in all that goes to it directly.
    let answer = block_on(asked, None);
    answer.map_err(error::generic)?
}

/// The metadata of a version that is known.
fn meta_of(path: &Path, stat: &Stat) -> ObjectMeta {
    let validators = &stat.validators;
    ObjectMeta {
        location: path.clone(),
        // As a store gives it where there is none.
        last_modified: validators.last_modified.unwrap_or(SystemTime::UNIX_EPOCH).into(),
        size: stat.length,
        e_tag: validators.etag.clone(),
        version: validators.version.clone(),
    }
}
