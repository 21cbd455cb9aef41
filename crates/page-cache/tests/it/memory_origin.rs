//! An origin in memory that counts what it is asked, changes, and fails on demand.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use page_cache::{Origin, OriginError, Stat, Validators};

/// Clones are the same origin.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryOrigin(Arc<State>);

#[derive(Debug, Default)]
struct State {
    key: String,
    object: Mutex<(Bytes, Validators)>,
    stats: AtomicU64,
    reads: Mutex<Vec<Range<u64>>>,
    failing: AtomicBool,
    delay_millis: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that differ from place to place, so that one in the wrong place shows.
pub(crate) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

impl MemoryOrigin {
    pub(crate) fn new(key: &str, object: Vec<u8>) -> Self {
        let origin = Self(Arc::new(State { key: format!("memory:{key}"), ..State::default() }));
        origin.set(object, "\"1\"");
        origin
    }

    /// Puts another version in its place.
    pub(crate) fn set(&self, object: Vec<u8>, etag: &str) {
        let validators = Validators { etag: Some(etag.to_owned()), ..Validators::default() };
        *lock(&self.0.object) = (object.into(), validators);
    }

    pub(crate) fn set_validators(&self, validators: Validators) {
        lock(&self.0.object).1 = validators;
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.0.failing.store(failing, Ordering::SeqCst);
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.0.delay_millis.store(delay.as_millis() as u64, Ordering::SeqCst);
    }

    /// How often its length was asked for.
    pub(crate) fn stats(&self) -> u64 {
        self.0.stats.load(Ordering::SeqCst)
    }

    /// The ranges that were read since the last call.
    pub(crate) fn take_reads(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut *lock(&self.0.reads))
    }

    /// How many clones there are.
    pub(crate) fn owners(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    fn check(&self) -> Result<(), OriginError> {
        if self.0.failing.load(Ordering::SeqCst) {
            return Err(OriginError::Unreachable {
                key: self.0.key.clone(),
                request: "anything".into(),
                reason: "it is failing".into(),
                attempts: 1,
            });
        }
        Ok(())
    }
}

impl Origin for MemoryOrigin {
    fn key(&self) -> &str {
        &self.0.key
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        self.0.stats.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        let (object, validators) = lock(&self.0.object).clone();
        Ok(Stat { length: object.len() as u64, validators })
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        lock(&self.0.reads).push(range.clone());
        std::thread::sleep(Duration::from_millis(self.0.delay_millis.load(Ordering::SeqCst)));
        self.check()?;
        let (object, validators) = lock(&self.0.object).clone();
        if validators != pinned.validators {
            return Err(OriginError::Changed { key: self.0.key.clone(), reason: "it was set anew".into() });
        }
        Ok(object.slice(range.start as usize..range.end as usize))
    }
}
