//! What is done to all objects of a cache: listing, checking, counting and evicting what is held.

use std::io;
use std::time::{Duration, SystemTime};

use svf_core::RangeSet;

use crate::cache::Cache;
use crate::directory::{Directory, EVICTION_PATIENCE, Head, OpenedPair, Recount, Verification};
use crate::error::MaintenanceError;
use crate::origin::Stat;
use crate::retention;

/// What is held of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// What names the object.
    pub key: String,
    /// The version that is held.
    pub stat: Stat,
    /// When the origin last confirmed that this is the current version.
    pub checked: SystemTime,
    /// When something of it was last read or stored, to about a second, by the clock of the system; `None` if never.
    pub last_used: Option<SystemTime>,
    /// The size in bytes of the pages in which it is stored.
    pub page_size: u64,
    /// The bytes that are stored, in whole pages.
    pub held: RangeSet,
    /// The bytes that are [to be kept](crate::CachedFile::keep), whether they are stored or not, in whole extents.
    pub kept: RangeSet,
    /// What is charged for it, in bytes: whole blocks of pages and indexes, and its fixed part.
    pub charged: u64,
}

/// How much of the disk a cache uses, all processes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The bytes that are charged: whole blocks of pages and indexes, and fixed parts.
    pub charged: u64,
    /// The limit in bytes.
    pub max_bytes: u64,
    /// How much of what is charged stands for the directory itself, in bytes: that cannot go, whatever is evicted.
    pub fixed: u64,
}

/// What verifying an object came to, behind its key.
type Verified = (String, Result<Verification, MaintenanceError>);

impl Cache {
    /// What is held of the object behind `key`, without asking its origin; `None` if nothing is known of it.
    ///
    /// O(pages that are stored). Waits for nobody.
    pub fn entry(&self, key: &str) -> Option<Entry> {
        let directory = self.inner.directory()?;
        self.entry_of(directory, directory.peek_head(key)?)
    }

    /// What is held of all objects, in no order.
    ///
    /// O(objects and pages that are stored). Where the directory, or an object's files, cannot be read nothing is
    /// listed, with a warning in the log.
    pub fn entries(&self) -> Vec<Entry> {
        let Some(directory) = self.inner.directory() else { return Vec::new() };
        match directory.heads() {
            Ok(heads) => heads.filter_map(|head| self.entry_of(directory, head)).collect(),
            Err(error) => {
                tracing::warn!(path = %self.dir().display(), %error, "the objects of the cache cannot be listed");
                Vec::new()
            }
        }
    }

    fn entry_of(&self, directory: &Directory, head: Head) -> Option<Entry> {
        let entry = || Entry {
            key: head.key.clone(),
            stat: head.stat.clone(),
            checked: head.checked(),
            last_used: None,
            page_size: self.inner.policy.page_size,
            held: RangeSet::new(),
            kept: RangeSet::new(),
            charged: 0,
        };
        let opened = directory.open_pair(&head).and_then(|opened| match opened {
            OpenedPair::Good(pair) => Ok(Entry {
                last_used: pair.last_used()?,
                page_size: pair.pages().page_size,
                held: pair.held(&(0..head.stat.length))?,
                kept: retention::kept(&pair)?,
                charged: pair.count(directory.budget().boot_id())?.charge,
                ..entry()
            }),
            OpenedPair::Damaged => Ok(entry()),
        });
        let warn = |error: &io::Error| {
            tracing::warn!(key = head.key, %error, "the files of an object cannot be opened");
        };
        opened.inspect_err(warn).ok()
    }

    /// Reads and checks all that is held of all objects: what came of it, for the key of each. What is damaged is held
    /// no more afterwards, unless others keep it from being taken away just now.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`]: of all, that the directory cannot be listed; of one object, that its files cannot be
    /// opened or read, which says nothing of the others.
    pub fn verify(&self) -> Result<Vec<Verified>, MaintenanceError> {
        let directory = self.directory()?;
        let heads = directory.heads().map_err(self.cannot("verified"))?;
        let verified = heads.map(|head| {
            let verification = verify(directory, &head);
            (head.key, verification)
        });
        Ok(verified.collect())
    }

    /// The same of the object behind `key` alone; `None` if nothing is known of it.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`]: its files cannot be opened or read.
    pub fn verify_entry(&self, key: &str) -> Result<Option<Verification>, MaintenanceError> {
        let directory = self.directory()?;
        directory.peek_head(key).map(|head| verify(directory, &head)).transpose()
    }

    /// How much of the disk is used, as it is accounted for: at any moment at least what is taken.
    pub fn usage(&self) -> Usage {
        let budget = self.inner.directory().map(|directory| directory.budget());
        budget.map_or(Usage { charged: 0, max_bytes: 0, fixed: 0 }, |budget| Usage {
            charged: budget.used(),
            max_bytes: budget.max_bytes(),
            fixed: budget.fixed(),
        })
    }

    /// Evicts until no more than so many bytes are charged, all objects and processes together: first what can best be
    /// done without. What is to be kept stays, and so does what others are working on. Returns what is used then, which
    /// is more than `bytes` if the rest could not go, or others fill what goes: no more than twice what was to go, or
    /// 16 MiB more than that, is evicted for it.
    ///
    /// Blocks for as long as that takes: about a millisecond an extent.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`]: the directory cannot be listed, files of it not be opened or written, or others count what
    /// is stored, or do not stop storing for it to be counted, for more than ten seconds.
    pub fn evict_to(&self, bytes: u64) -> Result<Usage, MaintenanceError> {
        self.directory()?.evict_to(bytes, EVICTION_PATIENCE).map_err(self.cannot("evicted from"))?;
        Ok(self.usage())
    }

    /// Evicts all objects of which nobody has read or stored anything for so long, by the clock of the system; what is
    /// to be kept stays. Returns what is used then. Blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// As of [`evict_to`](Self::evict_to). What cannot
    /// be opened does not keep the rest from going.
    pub fn evict_older_than(&self, age: Duration) -> Result<Usage, MaintenanceError> {
        self.directory()?.evict_older_than(age).map_err(self.cannot("evicted from"))?;
        Ok(self.usage())
    }

    /// Counts anew what is stored, gives back what dead processes left, and removes what nobody needs. None if other
    /// threads or processes are storing for longer than `patience`.
    ///
    /// It is done by itself where that is needed: at the first opening after a start of the system, and when somebody
    /// has found traces of a death. While it goes on nothing is stored, and reads go on.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`]: the directory cannot be locked, or something in it cannot be looked at: then what is
    /// charged stays as it was.
    pub fn recount(&self, patience: Duration) -> Result<Option<Recount>, MaintenanceError> {
        self.directory()?.recount(patience).map_err(self.cannot("counted"))
    }

    /// Counts what is stored, if that has not been done since the system was started: nothing is stored before. Whether
    /// it has been done then; it has not if other threads or processes are storing or counting for longer than
    /// `patience`.
    ///
    /// Whoever opens a directory of more than 500 objects as the first after a start of the system does not wait for
    /// the count, which a thread of the cache does. A process that lives for less than that takes, about 10 to 30 us an
    /// object, calls this, or nothing of what it reads is kept. Else it costs a load from memory.
    ///
    /// # Errors
    ///
    /// As of [`recount`](Self::recount).
    pub fn ensure_counted(&self, patience: Duration) -> Result<bool, MaintenanceError> {
        self.directory()?.ensure_counted(patience).map_err(self.cannot("counted"))
    }

    /// What is open in this process, or the error that nothing is.
    pub(crate) fn directory(&self) -> Result<&Directory, MaintenanceError> {
        let directory = self.inner.directory().map(AsRef::as_ref);
        directory.ok_or_else(|| MaintenanceError::NotOpen { path: self.dir().to_owned() })
    }

    fn cannot(&self, operation: &'static str) -> impl FnOnce(io::Error) -> MaintenanceError + use<> {
        let path = self.dir().to_owned();
        move |source| MaintenanceError::Directory { path, operation, source }
    }
}

fn verify(directory: &Directory, head: &Head) -> Result<Verification, MaintenanceError> {
    let opened = directory.open_pair(head).and_then(|opened| match opened {
        OpenedPair::Good(pair) => pair.verify(directory.budget()),
        OpenedPair::Damaged => Ok(Verification::default()),
    });
    let (key, range) = (head.key.clone(), 0..head.stat.length);
    opened.map_err(|source| MaintenanceError::Object { key, range, operation: "verified", source })
}
