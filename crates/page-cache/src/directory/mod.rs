//! The directory of a cache: its files, their names, and who may use them.
//!
//! ```text
//! DIR/CACHEDIR.TAG                           what this directory is, for people and backup programs
//! DIR/control                                the budget, and the bytes on which locks lie
//! DIR/heads/KEY                              one head for each key
//! DIR/pairs/KEY-VERSION-NONCE.data, .index   one pair for each version
//! DIR/aside/...                              what did not check out, until it is deleted
//! ```
//!
//! Any number of processes use a directory at once. Within a process all caches over the same directory share one
//! [`Directory`], and with it the open pairs.

mod budget;
mod charges;
mod control;
mod doubts;
mod eviction;
mod files;
mod head;
mod heads;
mod key_locks;
mod limit;
mod maintenance;
mod name;
mod open_pairs;
mod own_blocks;
mod pair;
mod pairs;
mod recount;
mod retry;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

pub(crate) use self::budget::Budget;
pub(crate) use self::head::Head;
pub(crate) use self::key_locks::KeyLock;
pub(crate) use self::name::nonce;
pub(crate) use self::open_pairs::OpenPair;
pub use self::pair::Verification;
pub(crate) use self::pair::{Damaged, Found, Object, Pair, Stored};
pub(crate) use self::pairs::OpenedPair;
pub use self::recount::Recount;

use self::control::{Control, Opened};
use self::doubts::Doubts;
use self::eviction::Evictor;
pub use self::eviction::WhenFull;
pub(crate) use self::eviction::{EVICTION_PATIENCE, Stock};
use self::files::{Files, is_damage, is_temporary};
use self::key_locks::KeyLocks;
use self::maintenance::Maintenance;
use self::name::KeyHash;
use self::pairs::Pairs;
pub(crate) use self::retry::Retry;
use self::shared::{Registration, Shared};
use crate::error::OpenError;
use crate::in_flight::InFlight;
use crate::origin::Stat;
use crate::sync::Mutex;
use crate::sys::{Access, Disk, DiskFile, FileSystemKind, LocalDisk};

const TAG_FILE: &str = "CACHEDIR.TAG";
/// The first line is the convention's, the second tells our directories from others'.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
                   # This directory is a cache of svf page-cache. Nothing in it is lost if it is removed.\n";
/// How long an opener waits to count a directory that has not been counted since the system was started.
const COUNT_PATIENCE: Duration = Duration::from_secs(10);
/// With more pairs than this, the one who opens a directory does not wait until it has been tidied up, or counted after
/// a start of the system: that would take longer than a tenth of a second.
const COUNTED_AT_OPENING: usize = 500;
/// How long the others are waited for by who counts beside them: for that long at most they do not store.
const RECOUNT_PATIENCE: Duration = Duration::from_millis(500);
/// How long who removes an object waits for a recount.
const OBJECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long who removes an object waits for those who only look at it.
const LOOK_PATIENCE: Duration = Duration::from_millis(500);
/// How long an opener waits to tidy up, which the next one can do as well.
const TIDY_PATIENCE: Duration = Duration::from_millis(20);

/// How often a process looks whether others have opened newer versions of what it has open.
const LOOKS_PAUSE: Duration = Duration::from_secs(10);

/// The directories that this process has open.
static OPEN: Shared<Directory> = Shared::new();

/// How a directory is used.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The limit in bytes, if this opener sets one.
    pub(crate) max_bytes: Option<u64>,
    /// How many pairs this process keeps open, if nobody has a handle of them.
    pub(crate) max_open_entries: usize,
    /// How long anybody waits for a lock that another process has.
    pub(crate) patience: Duration,
    /// How many requests are under way at once.
    pub(crate) max_in_flight: usize,
    /// Whether it may be on a file system of other machines.
    pub(crate) allow_remote: bool,
    /// Whether room is made ahead of need in a cache of any size, and single blocks of indexes are given back.
    pub(crate) eager: bool,
    pub(crate) disk: Arc<dyn Disk>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_bytes: None,
            max_open_entries: 64,
            patience: Duration::from_secs(30),
            max_in_flight: 16,
            allow_remote: false,
            eager: false,
            disk: Arc::new(LocalDisk),
        }
    }
}

/// An open cache directory, shared by all caches of this process that are open over it.
#[derive(Debug)]
pub(crate) struct Directory {
    files: Files,
    pairs: Pairs,
    keys: KeyLocks,
    budget: Budget,
    evictor: Evictor,
    maintenance: Maintenance,
    /// Pairs of old versions that somebody was still reading.
    superseded: Mutex<HashSet<String>>,
    /// Looks for such among the pairs that this process has open.
    looks: Retry,
    /// Attempts to count what is charged.
    recounts: Retry,
    /// Attempts to evict what is beyond the limit.
    excesses: Retry,
    patience: Duration,
    in_flight: InFlight,
    doubts: Doubts,
    /// Whether its thread is to tidy up, since whoever opened it did not wait for that.
    is_to_be_tidied: AtomicBool,
    /// Fields drop in order: the next one finds the place free when all else is closed.
    _registration: Registration<Self>,
}

impl Directory {
    /// Opens the directory at `path` and creates it if it is missing.
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<Arc<Self>, OpenError> {
        let disk = &settings.disk;
        let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
        let in_use = || OpenError::InUse { path: path.to_owned() };
        let mut tried = false;
        disk.create_dir(path).map_err(unusable)?;
        let metadata = path.metadata().map_err(unusable)?;
        check_permissions(path, &metadata)?;
        let file_system = disk.file_system(path).map_err(unusable)?;
        check_file_system(path, file_system.kind, settings.allow_remote)?;
        let directory = OPEN.get_or_open((metadata.dev(), metadata.ino()), in_use, |registration| {
            if let FileSystemKind::CopyOnWrite(kind) = file_system.kind {
                tracing::warn!(
                    path = %path.display(), kind,
                    "the file system copies on write: should it run full, a store into an index may end the process"
                );
            }
            let files = Files { root: path.to_owned(), disk: Arc::clone(disk), file_system };
            prepare(&files)?;
            let control = match Control::open(&files) {
                Ok(Opened::Good(control)) => control,
                Ok(Opened::OtherFormat(found)) => {
                    return Err(OpenError::OtherFormat { path: path.to_owned(), found, ours: control::FORMAT });
                }
                Ok(Opened::WithoutPunching) => {
                    return Err(OpenError::NoHoles { path: path.to_owned(), kind: "without hole punching" });
                }
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Err(in_use()),
                Err(source) => return Err(unusable(source)),
            };
            let budget = Budget::new(control, disk.boot_id().map_err(unusable)?);
            let directory = Self {
                files,
                pairs: Pairs::new(settings.max_open_entries),
                keys: KeyLocks::default(),
                budget,
                evictor: Evictor::default(),
                maintenance: Maintenance::default(),
                superseded: Mutex::default(),
                looks: Retry::new(LOOKS_PAUSE, LOOKS_PAUSE),
                recounts: Retry::new(Duration::from_millis(500), Duration::from_secs(60)),
                excesses: Retry::new(Duration::from_millis(500), Duration::from_secs(60)),
                patience: settings.patience,
                in_flight: InFlight::new(settings.max_in_flight),
                doubts: Doubts::default(),
                is_to_be_tidied: AtomicBool::new(false),
                _registration: registration,
            };
            if directory.is_large() {
                // Who counts tidies up as well.
                directory.is_to_be_tidied.store(directory.budget.is_counted(), Ordering::Relaxed);
            } else {
                directory.tidy_up();
                tried = true;
            }
            Ok(directory)
        })?;
        if settings.eager {
            directory.budget.be_eager();
        }
        directory.set_limit(settings.max_bytes, tried)?;
        let has_thread = directory.maintenance.start(&directory);
        if !tried && !has_thread {
            directory.tidy_up();
        } else if !directory.budget.is_counted() {
            directory.maintenance.fold_uses();
        }
        Ok(directory)
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// The smallest unit in which the file system allocates, in bytes.
    pub(crate) fn allocation_unit(&self) -> u64 {
        self.files.file_system.unit
    }

    /// Counts everything and removes what nobody needs; none if others are at work for longer than `patience`.
    pub(crate) fn recount(&self, patience: Duration) -> io::Result<Option<Recount>> {
        self.with_descriptors(|| recount::recount(&self.files, &self.budget, &self.keys, &self.pairs, patience))
    }

    /// Whether listing and counting everything takes longer than an opener should wait. One that cannot be listed is
    /// small: the count tells what is wrong.
    fn is_large(&self) -> bool {
        let most = COUNTED_AT_OPENING * 2;
        self.files.disk.some_of_dir(&self.files.pairs(), most + 1).is_ok_and(|names| names.len() > most)
    }

    /// Counts what is charged, if that has not been done since the system was started. Whether it has been done then.
    pub(crate) fn ensure_counted(&self, patience: Duration) -> io::Result<bool> {
        Ok(self.budget.is_counted() || (self.recount_if_due(patience)? && self.budget.is_counted()))
    }

    /// Counts what is charged, if that is due and was not tried just now.
    fn keep_count(&self) {
        if !self.budget.is_recount_due() || !self.recounts.is_due() {
            return;
        }
        match self.recount_if_due(RECOUNT_PATIENCE) {
            Ok(true) => self.recounts.succeeded(),
            Ok(false) => {}
            Err(error) => {
                let path = self.files.root.display();
                tracing::warn!(%path, %error, "what the directory takes cannot be counted, which is tried again later");
            }
        }
    }

    /// Evicts what is beyond the limit, as what a recount finds after a power cut, in which the counter was lost. If
    /// that cannot go, as what is to be kept, it is tried again in pauses that grow.
    fn keep_to_limit(&self) {
        if !self.excesses.is_due() {
            return;
        }
        let path = self.files.root.display();
        match self.evict_to(self.budget.max_bytes().max(self.budget.fixed()), RECOUNT_PATIENCE) {
            Ok(true) => self.excesses.succeeded(),
            Ok(false) => tracing::warn!(%path, "more is charged than the limit, and is kept or in use"),
            Err(error) => tracing::warn!(%path, %error, "what is beyond the limit cannot be evicted"),
        }
    }

    /// Whether a recount is not due any more; it still is if others are at work for longer than `patience`.
    fn recount_if_due(&self, patience: Duration) -> io::Result<bool> {
        self.with_descriptors(|| recount::recount_if_due(&self.files, &self.budget, &self.keys, &self.pairs, patience))
    }

    /// Does what the first who comes has to do.
    fn tidy_up(&self) {
        let path = self.files.root.display();
        let untidy = || {
            recount::is_untidy(&self.files, &self.budget, &self.keys).unwrap_or_else(|error| {
                tracing::warn!(%path, %error, "the directory cannot be listed, and is not tidied up");
                false
            })
        };
        if self.budget.control().in_sections() > 0 {
            self.budget.look_for_the_dead();
        }
        let (counted, due) = (self.budget.is_counted(), self.budget.is_recount_due());
        if !due && !untidy() {
            return;
        }
        let patience = if counted { TIDY_PATIENCE } else { COUNT_PATIENCE.min(self.patience) };
        let done =
            if due { self.recount_if_due(patience) } else { self.recount(patience).map(|found| found.is_some()) };
        match done {
            Ok(true) => {}
            Ok(false) if counted => tracing::debug!(%path, "others are at work, and tidying up is left to the next"),
            Ok(false) => tracing::warn!(%path, "others are at work, and nothing is stored until it has been counted"),
            Err(error) => tracing::warn!(%path, %error, "what the directory takes cannot be counted"),
        }
    }

    /// Makes the caller the only one, in any process, who looks at the head of `key` again, makes it or replaces it,
    /// until the lock drops. None if somebody else is busy with it for too long.
    pub(crate) fn lock_key(&self, key: &str) -> Option<KeyLock<'_>> {
        let mut lock = self.keys.lock(&self.budget, KeyHash::of(key), self.patience)?;
        lock.since = self.doubts.now();
        Some(lock)
    }

    /// The head of `key`, if there is one that can be trusted; doubted, if a reader has found the object changed.
    ///
    /// # Errors
    ///
    /// That it cannot be read now, so that nothing is known of the object.
    pub(crate) fn load_head(&self, key: &str) -> io::Result<Option<Head>> {
        let head = self.with_descriptors(|| heads::load(&self.files, key))?;
        let doubted = self.doubts.has(&KeyHash::of(key));
        Ok(head.map(|head| if doubted { head.doubted() } else { head }))
    }

    /// What the head of `key` says, looked at without its lock; none if it cannot be read or trusted.
    pub(crate) fn peek_head(&self, key: &str) -> Option<Head> {
        let head = self.with_descriptors(|| heads::peek(&self.files, key)).ok().flatten()?;
        let doubted = self.doubts.has(&KeyHash::of(key));
        Some(if doubted { head.doubted() } else { head })
    }

    /// All heads that can be trusted, in no order.
    pub(crate) fn heads(&self) -> io::Result<impl Iterator<Item = Head> + '_> {
        let heads = self.files.heads();
        let names = self.with_descriptors(|| self.files.list(&heads))?;
        let names = names.into_iter().filter(|name| !is_temporary(name));
        let read = |path: &Path| self.with_descriptors(|| heads::read(&self.files, path));
        Ok(names.filter_map(move |name| read(&self.files.heads().join(name)).ok().flatten()))
    }

    /// Whether a version of an object can have a head at all.
    ///
    /// # Errors
    ///
    /// That what is to be written into it is too long.
    pub(crate) fn check_head(&self, key: &str, stat: &Stat, attributes: &BTreeMap<String, String>) -> io::Result<()> {
        heads::check(key, stat, attributes)
    }

    /// Writes the head of a key that was confirmed just now, or was [loaded](Self::load_head) under this lock, in the
    /// place of the one there was; doubted, if a doubt has come since it was locked. Only under its lock. With the head
    /// what is to be kept of its `pair` would be lost.
    pub(crate) fn save_head(&self, head: &Head, pair: &Pair, lock: &KeyLock<'_>) -> io::Result<()> {
        let (durable, key) = (!pair.kept()?.is_empty(), KeyHash::of(&head.key));
        // Who came to doubt it meanwhile may have given up waiting for the lock.
        let doubted = self.doubts.has_since(&key, lock.since).then(|| head.clone().doubted());
        let head = doubted.as_ref().unwrap_or(head);
        self.with_descriptors(|| heads::save(&self.files, head, durable))?;
        self.doubts.end(&key, lock.since);
        Ok(())
    }

    /// Waits until the head of a key and the names of all files are on the medium.
    pub(crate) fn sync_names(&self, key: &str) -> io::Result<()> {
        self.with_descriptors(|| heads::sync(&self.files, key))
    }

    /// Lets whoever opens `key` next in this process ask its origin, under any policy.
    pub(crate) fn begin_doubt(&self, key: &str) {
        self.doubts.begin(KeyHash::of(key));
    }

    /// Lets whoever opens `key` next ask its origin, under any policy: also in this process if the disk cannot be
    /// written, and in the next one if it can. Only if what is known is still this version, if one is given.
    pub(crate) fn doubt(&self, key: &str, stat: Option<&Stat>) {
        self.begin_doubt(key);
        let Some(lock) = self.lock_key(key) else {
            // A thread of this process sees the doubt when it saves what it has found.
            tracing::debug!(key, "others are busy with the object for too long to write down that it may have changed");
            return;
        };
        let head = self.with_descriptors(|| heads::load(&self.files, key));
        let written = head.and_then(|head| match head {
            Some(head) if stat.is_none_or(|stat| head.stat.same_version(stat) || head.stat == *stat) => {
                let doubted = head.doubted();
                self.with_descriptors(|| heads::save(&self.files, &doubted, false))
            }
            // Somebody has opened the new version already: there is nothing to doubt any more.
            _ => {
                self.doubts.end(&KeyHash::of(key), lock.since);
                Ok(())
            }
        });
        if let Err(error) = written {
            tracing::warn!(key, %error, "a head cannot be written; another process may open the old version");
        }
    }

    /// See [`Pairs::open`]. The pair can be filled afterwards, unless others keep it from being made ready for that.
    pub(crate) fn open_pair(&self, head: &Head) -> io::Result<OpenedPair> {
        let opened = self.with_descriptors(|| self.pairs.open(&self.files, &self.budget, head))?;
        if let OpenedPair::Good(pair) = &opened {
            pair.reconcile(&self.budget);
        }
        Ok(opened)
    }

    /// Makes an empty pair for a version of an object.
    pub(crate) fn create_pair(
        &self,
        key: &str,
        stat: &Stat,
        page_size: u64,
        when_full: WhenFull,
    ) -> io::Result<OpenPair> {
        let room = self.stock(when_full);
        self.with_descriptors(|| self.pairs.create(&self.files, &self.budget, &room, key, stat, page_size))
    }

    /// See [`Pairs::with_descriptors`].
    fn with_descriptors<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        self.pairs.with_descriptors(open)
    }

    /// Deletes the files of a pair, unless somebody works on it.
    pub(crate) fn delete_pair(&self, name: &str) {
        if !self.pairs.delete(&self.files, &self.budget, name) {
            self.superseded.lock().insert(name.to_owned());
        }
    }

    /// Deletes the pair of a key and its head, unless anybody works on it for longer than a look at it takes; whether
    /// they are gone.
    pub(crate) fn delete_object(&self, key: &str, name: &str) -> io::Result<bool> {
        let delete = || -> io::Result<bool> {
            let section = self.budget.enter_within(OBJECT_PATIENCE).ok_or(io::ErrorKind::ResourceBusy)?;
            self.stock(WhenFull::Evict).delete_all_of(&section, name);
            drop(section);
            Ok(self.with_descriptors(|| heads::peek(&self.files, key))?.is_none_or(|head| head.pair != name))
        };
        // The thread of this directory, or of another process, may be writing down its uses.
        let gone = budget::within(LOOK_PATIENCE, || delete().map(|gone| gone.then_some(())).transpose());
        Ok(gone.transpose()?.is_some())
    }

    /// Removes the head of a key that has no pair which could be opened; whether it is gone.
    pub(crate) fn forget(&self, key: &str) -> io::Result<bool> {
        let _lock = self.lock_key(key).ok_or(io::ErrorKind::ResourceBusy)?;
        match self.with_descriptors(|| heads::load(&self.files, key))? {
            // Somebody has just made one.
            Some(head) if self.pairs.exists(&self.files, &head.pair) => Ok(false),
            Some(_) => Ok(self.files.remove(&self.files.head(&KeyHash::of(key)))),
            None => Ok(true),
        }
    }

    /// Evicts what was not used for so long, by the clock, and is not to be kept.
    pub(crate) fn evict_older_than(&self, age: Duration) -> io::Result<()> {
        self.fold_uses();
        self.stock(WhenFull::Evict).evict_unused_since(SystemTime::now().checked_sub(age))
    }

    /// Writes down what this process has used.
    fn fold_uses(&self) {
        self.evictor.note_fold(&self.budget);
        for pair in self.pairs.all_open() {
            pair.fold_uses(&self.budget);
        }
    }

    /// What is evicted from.
    pub(crate) fn stock(&self, when_full: WhenFull) -> Stock<'_> {
        let Self { files, budget, pairs, keys, evictor, maintenance, .. } = self;
        Stock { files, budget, pairs, keys, evictor, maintenance, when_full, insists: false }
    }

    /// Finds those of the open pairs of which another process has opened a newer version. As long as this process has
    /// one open, also one that nobody uses, nobody else can delete it; and who opened the newer one may have ended.
    fn look_for_superseded(&self) {
        if !self.looks.is_due() {
            return;
        }
        for pair in self.pairs.all_open() {
            if !heads::is_named(&self.files, pair.name()) {
                self.superseded.lock().insert(pair.name().to_owned());
            }
        }
    }

    /// Does what has to be done now and then: counts what is charged where that is due, writes down what was used,
    /// deletes what nobody reads any more, and sees to it that who stores something next finds room.
    fn maintain(&self, room_is_wanted: bool) {
        if self.is_to_be_tidied.swap(false, Ordering::Relaxed) {
            self.tidy_up();
        }
        self.keep_count();
        self.fold_uses();
        self.look_for_superseded();
        let superseded = self.superseded.lock().clone();
        for name in superseded {
            // One that was just being made may have seemed to be nobody's.
            if heads::is_named(&self.files, &name) || self.pairs.delete(&self.files, &self.budget, &name) {
                self.superseded.lock().remove(&name);
            }
        }
        if self.budget.is_exceeded() {
            self.keep_to_limit();
        } else if room_is_wanted {
            self.stock(WhenFull::Evict).evict_ahead();
        }
        self.stock(WhenFull::Evict).give_back_blocks();
    }
}

/// Only a directory of our own, which nobody else may write to, can be trusted.
fn check_permissions(path: &Path, metadata: &Metadata) -> Result<(), OpenError> {
    let path = || path.to_owned();
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != us {
        return Err(OpenError::NotOurs { path: path(), owner, us });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(OpenError::WritableByOthers { path: path(), mode: metadata.mode() & 0o7777 });
    }
    Ok(())
}

/// Only where locks and mappings hold what they promise, and holes take no room, can a cache be.
fn check_file_system(path: &Path, kind: FileSystemKind, allow_remote: bool) -> Result<(), OpenError> {
    match kind {
        FileSystemKind::Remote(kind) if !allow_remote => {
            Err(OpenError::RemoteFileSystem { path: path.to_owned(), kind })
        }
        FileSystemKind::WithoutHoles(kind) => Err(OpenError::NoHoles { path: path.to_owned(), kind }),
        _ => Ok(()),
    }
}

/// Checks that the directory is a cache's or empty, and makes what is missing in it.
fn prepare(files: &Files) -> Result<(), OpenError> {
    let Files { root, disk, .. } = files;
    let unusable = |source| OpenError::Unusable { path: root.clone(), source };
    let tag_path = root.join(TAG_FILE);
    match disk.open(&tag_path, Access::Read) {
        Ok(tag) if is_our_tag(&*tag) => {}
        // Its name may have reached the disk before a power cut, and its bytes not.
        Ok(tag) if tag.len().is_ok_and(|len| len == 0) && files.pairs().exists() => {
            files.replace(&tag_path, TAG.as_bytes()).map_err(unusable)?;
        }
        Ok(_) => return Err(OpenError::NotACache { path: root.clone() }),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let not_a_file = is_damage(&error) && error.kind() != io::ErrorKind::PermissionDenied;
            return Err(if not_a_file { OpenError::NotACache { path: root.clone() } } else { unusable(error) });
        }
        Err(_) => {
            // A file system's root has one name from the start, and a creation that was cut short leaves ours.
            let names = disk.read_dir(root).map_err(unusable)?;
            let others = names.iter().any(|name| name != "lost+found" && !is_temporary(name));
            // Another process may have made it a cache between the two looks.
            let ours = || disk.open(&tag_path, Access::Read).is_ok_and(|tag| is_our_tag(&*tag));
            if others && !ours() {
                return Err(OpenError::NotACache { path: root.clone() });
            }
            let replaced = files.replace(&tag_path, TAG.as_bytes());
            // Who tidies up may have taken the half of it for a dead process's.
            replaced.or_else(|error| if ours() { Ok(()) } else { Err(unusable(error)) })?;
        }
    }
    for directory in [files.heads(), files.pairs(), files.aside()] {
        disk.create_dir(&directory).map_err(unusable)?;
    }
    // That nothing can be written is found out now, and not by the first read.
    [files.heads(), files.pairs()].iter().try_for_each(|directory| disk.check_writable(directory)).map_err(unusable)
}

fn is_our_tag(tag: &dyn DiskFile) -> bool {
    let mut bytes = [0; TAG.len()];
    tag.read_exact_at(&mut bytes, 0).is_ok() && bytes == TAG.as_bytes()
}
