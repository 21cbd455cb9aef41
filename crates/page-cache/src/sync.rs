//! The one place from which this crate takes what synchronises threads.
//!
//! The mutexes are the standard library's, since those are words of their own: what parks threads in a table of the
//! process, as faster ones do, would be inherited by a forked child in whatever state it was. The atomics can be those
//! of a model checker: `cargo xtask model` runs the publishing, withdrawing and reading of pages under it.

use std::sync::atomic::AtomicUsize;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(all(test, page_cache_loom))]
pub(crate) use loom::sync::atomic::AtomicU64;
#[cfg(page_cache_loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(all(test, not(page_cache_loom)))]
pub(crate) use std::sync::atomic::AtomicU64;
#[cfg(not(page_cache_loom))]
pub(crate) use std::sync::atomic::{Ordering, fence};

/// A mutex that a panic of its holder does not spoil: what this crate keeps under one is right at every moment.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where threads wait for a change of what is under a [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    changed: std::sync::Condvar,
    /// How many threads wait. Mostly none does, and then a notification is no system call.
    waiting: AtomicUsize,
}

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self { changed: std::sync::Condvar::new(), waiting: AtomicUsize::new(0) }
    }

    /// Wakes who waits for a change that was made under the mutex before.
    pub(crate) fn notify_all(&self) {
        // Who waits has counted itself before it gave the mutex back, so whoever changes something later sees it.
        if self.waiting.load(std::sync::atomic::Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }

    /// The same for one of them.
    pub(crate) fn notify_one(&self) {
        if self.waiting.load(std::sync::atomic::Ordering::Relaxed) > 0 {
            self.changed.notify_one();
        }
    }

    /// Waits for a notification, for no longer than `timeout`.
    pub(crate) fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
        self.waiting.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (guard, _) = self.changed.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        guard
    }
}

/// How long a waiter sleeps before it looks again: about an eighth of what it has waited for, since nobody tells it
/// when another process is done, and what it is late by should be little beside that.
#[derive(Debug)]
pub(crate) struct BackOff(Duration);

impl BackOff {
    const MAX: Duration = Duration::from_millis(5);

    pub(crate) fn new() -> Self {
        Self(Duration::from_micros(50))
    }

    /// How long to wait this time.
    pub(crate) fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 9 / 8).min(Self::MAX);
        now
    }
}
