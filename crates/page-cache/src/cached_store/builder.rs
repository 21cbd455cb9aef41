//! The options of a cached store.

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::objects::DEFAULT_MAX;
use super::rules::Rules;
use super::{CachedStore, Shared};
use crate::cache::Cache;
use crate::origin::Timeouts;
use crate::sys::PerProcess;

/// Options of a [`CachedStore`]. All of its rules must admit an object, else it is read from the store below.
#[must_use = "a builder does nothing until build() is called"]
pub struct CachedStoreBuilder {
    inner: Arc<dyn ObjectStore>,
    cache: Cache,
    namespace: String,
    rules: Rules,
    max_objects: usize,
    timeouts: Timeouts,
}

impl CachedStoreBuilder {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, cache: Cache, namespace: String) -> Self {
        let (rules, timeouts) = (Rules::default(), Timeouts::default());
        Self { inner, cache, namespace, rules, max_objects: DEFAULT_MAX, timeouts }
    }

    /// Objects below this prefix are cached, and others only if they are below another one that is given. By whole
    /// segments of paths: `a` is none of `ab/c`. Default: all.
    pub fn admit_prefix(mut self, prefix: impl Into<Path>) -> Self {
        self.rules.prefixes.push(prefix.into());
        self
    }

    /// Only objects of these lengths in bytes are cached. Default: all.
    pub fn admit_sizes(mut self, sizes: impl RangeBounds<u64>) -> Self {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let start = match sizes.start_bound() {
            Included(&start) => start,
            Excluded(&start) => start.saturating_add(1),
            Unbounded => 0,
        };
        let end = match sizes.end_bound() {
            Included(&end) => end.saturating_add(1),
            Excluded(&end) => end,
            Unbounded => u64::MAX,
        };
        self.rules.sizes = Some(start..end);
        self
    }

    /// Only objects for which `rule` is true are cached. It is asked when an object is opened, on any thread, and must
    /// not block. Default: all.
    pub fn admit(mut self, rule: impl Fn(&ObjectMeta) -> bool + Send + Sync + 'static) -> Self {
        self.rules.rule = Some(Arc::new(rule));
        self
    }

    /// How many objects are remembered in memory, so that reading what is held of them takes no look at the disk.
    /// Default: 128. With each go its files, which take four descriptors.
    pub fn max_objects(self, count: usize) -> Self {
        Self { max_objects: count, ..self }
    }

    /// How long one request to the store below may take that is made for the cache, retries of that store included: a
    /// store that never answers is an error then, and not a read that never ends. Default: nothing may come for 30 s
    /// within an answer, and all of it takes 2 min at most. What passes, as writes, lists and objects that are not
    /// admitted, takes as long as the store below lets it.
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// The store.
    pub fn build(self) -> CachedStore {
        let Self { inner, cache, namespace, rules, max_objects, timeouts } = self;
        let (own, objects, behind) =
            (PerProcess::new(Some(Arc::clone(&inner))), PerProcess::empty(), PerProcess::empty());
        let shared = Shared { inner, own, cache, namespace, rules, timeouts, max_objects, objects, behind };
        CachedStore { shared: Arc::new(shared) }
    }
}

impl fmt::Debug for CachedStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The store below may show its credentials; its name for people does not.
        f.debug_struct("CachedStoreBuilder")
            .field("inner", &format_args!("{}", self.inner))
            .field("namespace", &self.namespace)
            .field("dir", &self.cache.dir())
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
