//! What page-cache says in the log of a process of its own.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What was said since [`listen`].
#[derive(Debug, Default)]
pub(crate) struct Log {
    evictions: AtomicU64,
    returns: AtomicU64,
    warnings: Mutex<Vec<String>>,
}

static LOG: Log = Log { evictions: AtomicU64::new(0), returns: AtomicU64::new(0), warnings: Mutex::new(Vec::new()) };

/// Listens from now on, in the whole process; so this is for those that a test has started.
pub(crate) fn listen() -> &'static Log {
    tracing::subscriber::set_global_default(&LOG).unwrap();
    &LOG
}

impl Log {
    /// How many extents this process has evicted.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// How often this process has given blocks of indexes back.
    pub(crate) fn returns(&self) -> u64 {
        self.returns.load(Ordering::Relaxed)
    }

    /// All that was more than a remark.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Subscriber for &'static Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("page_cache") && *metadata.level() <= Level::DEBUG
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        if *event.metadata().level() <= Level::WARN {
            self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text.0);
        } else if text.0.contains("message=evicted") {
            self.evictions.fetch_add(1, Ordering::Relaxed);
        } else if text.0.contains("were given back") {
            self.returns.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// All fields of an event, as `name=value` and a space.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}
