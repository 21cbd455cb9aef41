//! The objects of a store that this process has opened, so that a hit needs no look at the disk to find its file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use object_store::path::Path;
use object_store::{Attributes, ObjectMeta};

use crate::cached_file::CachedFile;
use crate::freshness::Freshness;

/// So many are remembered, unless the builder says otherwise; with each go four descriptors.
pub(super) const DEFAULT_MAX: usize = 128;

/// So long an object is read from the store below that could not be stored, before that is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What names an object in a store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) path: Path,
    /// The version that was asked for, if one was.
    pub(super) version: Option<String>,
}

impl Name {
    /// Of the current version.
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.clone(), version: None }
    }
}

/// An object as it was when it was last looked at.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) file: CachedFile,
    pub(super) meta: ObjectMeta,
    pub(super) attributes: Attributes,
    /// When the store below confirmed it; `None` if the clock says that it is still to come.
    confirmed: Option<Instant>,
    /// When it is opened again all the same: it could not be stored, and perhaps can be then.
    retry: Option<Instant>,
    last_used: AtomicU64,
}

impl Object {
    /// One that was confirmed so long ago.
    pub(super) fn new(file: CachedFile, meta: ObjectMeta, attributes: Attributes, age: Option<Duration>) -> Self {
        let confirmed = age.and_then(|age| Instant::now().checked_sub(age));
        Self { file, meta, attributes, confirmed, retry: None, last_used: AtomicU64::new(0) }
    }

    /// One that is to be stored: if that could not be done it is opened again soon.
    pub(super) fn meant_to_be_stored(self) -> Self {
        let retry = (!self.is_stored()).then(|| Instant::now() + RETRY);
        Self { retry, ..self }
    }

    /// Whether anything of it can be kept.
    pub(super) fn is_stored(&self) -> bool {
        self.file.page_size().is_some()
    }

    fn is_fresh(&self, freshness: Freshness) -> bool {
        let is_tried_again = self.retry.is_some_and(|retry| retry <= Instant::now());
        !is_tried_again && freshness.accepts(self.confirmed.map(|confirmed| confirmed.elapsed()))
    }
}

/// Objects by their names, of which the least recently used are forgotten.
#[derive(Debug)]
pub(super) struct Objects {
    by_name: DashMap<Name, Arc<Object>>,
    max: usize,
    /// Counts uses.
    clock: AtomicU64,
    /// Counts what was forgotten because it may have changed.
    changes: AtomicU64,
}

impl Objects {
    pub(super) fn new(max: usize) -> Self {
        Self { by_name: DashMap::new(), max: max.max(1), clock: AtomicU64::new(1), changes: AtomicU64::new(0) }
    }

    /// The object, if it is known and need not be looked at again. O(1).
    pub(super) fn fresh(&self, name: &Name, freshness: Freshness) -> Option<Arc<Object>> {
        let object = Arc::clone(self.by_name.get(name)?.value());
        // Only who comes next in time needs to know it: one that is used all the time stores nothing.
        let now = self.clock.load(Ordering::Relaxed);
        if object.last_used.load(Ordering::Relaxed) != now {
            object.last_used.store(now, Ordering::Relaxed);
        }
        object.is_fresh(freshness).then_some(object)
    }

    /// A moment, to be given to [`insert`](Self::insert).
    pub(super) fn now(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Remembers what was looked at since a moment; not if anything was forgotten since then, for it may be this.
    pub(super) fn insert(&self, name: Name, object: &Arc<Object>, since: u64) {
        object.last_used.store(self.clock.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        // Whoever forgets counts first and then waits for the entry, so nobody finds what is to be forgotten.
        let entry = self.by_name.entry(name);
        if self.now() == since {
            entry.insert(Arc::clone(object));
        } else {
            drop(entry);
        }
        if self.by_name.len() > self.max {
            self.forget_oldest();
        }
    }

    /// Forgets an object, which may have changed.
    pub(super) fn forget(&self, name: &Name) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.by_name.remove(name);
    }

    /// Forgets the quarter that was not used for the longest: O(objects), and so rarely that it costs each the same.
    fn forget_oldest(&self) {
        let mut uses: Vec<u64> = self.by_name.iter().map(|object| object.last_used.load(Ordering::Relaxed)).collect();
        let mut excess = uses.len() / 4 + 1;
        if excess >= uses.len() {
            return;
        }
        let (_, &mut oldest_kept, _) = uses.select_nth_unstable(excess);
        self.by_name.retain(|_, object| {
            // Many may have been used at the same moment.
            let forgotten = excess > 0 && object.last_used.load(Ordering::Relaxed) <= oldest_kept;
            excess -= usize::from(forgotten);
            !forgotten
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;
    use crate::origin::{FnOrigin, Stat, Validators};

    /// Who forgets an object has written it: it is not to be found then, not even for the moment in which somebody who
    /// has looked before remembers it.
    #[test]
    fn what_is_forgotten_is_not_found_by_who_comes_later() {
        const ROUNDS: usize = 20_000;
        let directory = tempfile::tempdir().unwrap();
        let cache = crate::Cache::builder(directory.path()).open().unwrap();
        let validators = Validators { version: Some("1".into()), ..Validators::default() };
        let origin = FnOrigin::new("a", Stat { length: 1, validators }, |_| Ok(vec![7].into()));
        let meta = ObjectMeta {
            location: "a".into(),
            last_modified: Default::default(),
            size: 1,
            e_tag: None,
            version: Some("1".to_owned()),
        };
        let object = Object::new(cache.file(origin).unwrap(), meta, Attributes::default(), Some(Duration::ZERO));
        let (object, objects, name) = (Arc::new(object), Objects::new(10), Name::of(&"a".into()));
        let (barrier, is_over) = (Barrier::new(2), AtomicBool::new(false));
        let mut found = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let since = objects.now();
                    barrier.wait();
                    objects.insert(name.clone(), &object, since);
                    is_over.store(true, Ordering::SeqCst);
                    barrier.wait();
                }
            });
            for _ in 0..ROUNDS {
                is_over.store(false, Ordering::SeqCst);
                barrier.wait();
                objects.forget(&name);
                loop {
                    let is_last = is_over.load(Ordering::SeqCst);
                    found += usize::from(objects.fresh(&name, Freshness::Immutable).is_some());
                    if is_last {
                        break;
                    }
                }
                barrier.wait();
            }
        });
        assert_eq!(found, 0);
    }
}
