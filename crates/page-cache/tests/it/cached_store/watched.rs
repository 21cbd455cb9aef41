//! A store over another one that notes what is asked of it, takes its time, and errs when it is told to.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// What a `get_opts` asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Head,
    All,
    Range(Range<u64>),
    Offset(u64),
    Suffix(u64),
}

/// Among the extensions of a request, and what there is then among those of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered(pub(crate) Mark);

#[derive(Debug, Default)]
struct Watch {
    asked: Mutex<Vec<Asked>>,
    lists: AtomicU64,
    bytes: AtomicU64,
    calls: AtomicU64,
    /// Errs on every so many calls; never, if 0.
    errs_on: AtomicU64,
    delay: Mutex<Duration>,
    without_validators: AtomicBool,
    date_only: Mutex<Option<DateTime<Utc>>>,
    /// Whether the time is taken once the answer is made, which is old then.
    is_late: AtomicBool,
    /// Whether answers never begin.
    is_silent: AtomicBool,
    /// How many `get_opts` are under way, and how many were at once.
    under_way: AtomicU64,
    most_at_once: AtomicU64,
    /// What is put where, before which call is answered.
    replacement: Mutex<Option<(u64, Path, Vec<u8>)>>,
}

/// Counts while something is under way.
struct UnderWay<'a>(&'a Watch);

impl<'a> UnderWay<'a> {
    fn begin(watch: &'a Watch) -> Self {
        let now = watch.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        watch.most_at_once.fetch_max(now, Ordering::SeqCst);
        Self(watch)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Watched {
    inner: Arc<dyn ObjectStore>,
    watch: Arc<Watch>,
}

impl Watched {
    pub(crate) fn new(inner: impl ObjectStore) -> Self {
        Self { inner: Arc::new(inner), watch: Arc::default() }
    }

    /// What was asked for since this was called last.
    pub(crate) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.watch.asked.lock().unwrap())
    }

    /// The bytes that were handed out since this was called last.
    pub(crate) fn take_bytes(&self) -> u64 {
        self.watch.bytes.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn take_lists(&self) -> u64 {
        self.watch.lists.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn delay(&self, delay: Duration) {
        *self.watch.delay.lock().unwrap() = delay;
    }

    /// Lets what it answers be what there was before it has taken its time.
    pub(crate) fn answer_late(&self) {
        self.watch.is_late.store(true, Ordering::SeqCst);
    }

    pub(crate) fn err_on_every(&self, calls: u64) {
        self.watch.errs_on.store(calls, Ordering::SeqCst);
    }

    /// How many `get_opts` were under way at once since this was called last.
    pub(crate) fn take_most_at_once(&self) -> u64 {
        self.watch.most_at_once.swap(0, Ordering::SeqCst)
    }

    /// Lets no answer begin, or again.
    pub(crate) fn be_silent(&self, is_silent: bool) {
        self.watch.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// Puts another object in the place of one, before the call is answered that follows after so many.
    pub(crate) fn replace_after(&self, calls: u64, path: &str, bytes: Vec<u8>) {
        let call = self.watch.calls.load(Ordering::SeqCst) + calls;
        *self.watch.replacement.lock().unwrap() = Some((call, path.into(), bytes));
    }

    async fn take_time(&self) {
        let delay = *self.watch.delay.lock().unwrap();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// Lets its answers give a date alone, by which versions could be told.
    pub(crate) fn give_date_only(&self, date: DateTime<Utc>) {
        *self.watch.date_only.lock().unwrap() = Some(date);
    }

    /// Lets its answers say nothing by which versions could be told.
    pub(crate) fn without_validators(self) -> Self {
        self.watch.without_validators.store(true, Ordering::SeqCst);
        self
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, options).await;
        // It is done, and not answered yet.
        self.take_time().await;
        put
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let asked = match &options.range {
            _ if options.head => Asked::Head,
            None => Asked::All,
            Some(GetRange::Bounded(range)) => Asked::Range(range.clone()),
            Some(GetRange::Offset(start)) => Asked::Offset(*start),
            Some(GetRange::Suffix(length)) => Asked::Suffix(*length),
        };
        self.watch.asked.lock().unwrap().push(asked);
        let _under_way = UnderWay::begin(&self.watch);
        while self.watch.is_silent.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let is_late = self.watch.is_late.load(Ordering::SeqCst);
        if !is_late {
            self.take_time().await;
        }
        let (call, errs_on) =
            (self.watch.calls.fetch_add(1, Ordering::SeqCst), self.watch.errs_on.load(Ordering::SeqCst));
        if errs_on > 0 && (call + 1).is_multiple_of(errs_on) {
            return Err(Error::Generic { store: "Watched", source: "it errs now and then".into() });
        }
        let replacement = self.watch.replacement.lock().unwrap().take_if(|(at, ..)| *at == call);
        if let Some((_, path, bytes)) = replacement {
            self.inner.put_opts(&path, bytes.into(), PutOptions::default()).await?;
        }
        let (head, mark) = (options.head, options.extensions.get::<Mark>().cloned());
        let mut result = self.inner.get_opts(location, options).await?;
        if is_late {
            self.take_time().await;
        }
        if self.watch.without_validators.load(Ordering::SeqCst) {
            (result.meta.e_tag, result.meta.version, result.meta.last_modified) = (None, None, Default::default());
        }
        if let Some(date) = *self.watch.date_only.lock().unwrap() {
            (result.meta.e_tag, result.meta.version, result.meta.last_modified) = (None, None, date);
        }
        if let Some(mark) = mark {
            result.extensions.insert(Answered(mark));
        }
        let (meta, range, attributes) = (result.meta.clone(), result.range.clone(), result.attributes.clone());
        let (watch, extensions) = (Arc::clone(&self.watch), std::mem::take(&mut result.extensions));
        let body = result.into_stream().inspect(move |part| {
            if let (Ok(part), false) = (part, head) {
                watch.bytes.fetch_add(part.len() as u64, Ordering::SeqCst);
            }
        });
        let payload = object_store::GetResultPayload::Stream(body.boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.watch.asked.lock().unwrap().extend(ranges.iter().cloned().map(Asked::Range));
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // As by one request for all of them.
        let this = self.clone();
        let deleted = async move {
            let locations: Vec<_> = locations.collect().await;
            this.take_time().await;
            let deleted: Vec<_> = this.inner.delete_stream(stream::iter(locations).boxed()).collect().await;
            stream::iter(deleted)
        };
        stream::once(deleted).flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.watch.lists.fetch_add(1, Ordering::SeqCst);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.watch.lists.fetch_add(1, Ordering::SeqCst);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({})", self.inner)
    }
}
