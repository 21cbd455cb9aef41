//! Counting what a directory takes, and removing what nobody needs: while nobody is in a section, in any process.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;

use super::budget::{Budget, Exclusion};
use super::charges::DIRECTORY_CHARGE;
use super::files::{Files, is_damage, is_temporary};
use super::heads;
use super::key_locks::{KeyLock, KeyLocks};
use super::name::{self, KeyHash};
use super::own_blocks;
use super::pair::{self, Counted};
use super::pairs::{self, Pairs};

/// What a recount found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recount {
    /// The bytes that were charged before.
    pub charged_before: u64,
    /// The bytes that are charged now: those of whole pages, blocks of the indexes, and fixed parts.
    pub charged: u64,
    /// The bytes of the disk that data files and indexes take.
    pub allocated: u64,
    /// How many pages are charged.
    pub pages: u64,
    /// How many versions of objects are stored.
    pub pairs: u64,
}

/// Counts everything and tidies up; none if others are in sections for longer than `patience`.
///
/// # Errors
///
/// That something could not be looked at: then what is charged stays as it was, and the recount is still wanted.
pub(crate) fn recount(
    files: &Files,
    budget: &Budget,
    keys: &KeyLocks,
    open: &Pairs,
    patience: Duration,
) -> io::Result<Option<Recount>> {
    let Some(exclusion) = budget.exclude(patience)? else { return Ok(None) };
    recount_alone(files, budget, keys, open, &exclusion).map(Some)
}

/// The same, unless it turns out not to be due: others may have been faster. Whether it is not due any more.
pub(crate) fn recount_if_due(
    files: &Files,
    budget: &Budget,
    keys: &KeyLocks,
    open: &Pairs,
    patience: Duration,
) -> io::Result<bool> {
    let Some(exclusion) = budget.exclude(patience)? else { return Ok(false) };
    if exclusion.is_recount_due() {
        recount_alone(files, budget, keys, open, &exclusion)?;
    }
    Ok(true)
}

fn recount_alone(
    files: &Files,
    budget: &Budget,
    keys: &KeyLocks,
    open: &Pairs,
    exclusion: &Exclusion<'_>,
) -> io::Result<Recount> {
    // Should it fail, or this process die, somebody else has to do it.
    budget.control().want_recount(true);
    let charged_before = budget.used();
    let temporaries = remove_temporaries(files, budget, keys)?;
    for orphan in Listing::of(files)?.orphans(files) {
        open.close_if_idle(&orphan);
        match pairs::delete(files, budget, &orphan, |_| !heads::is_named(files, &orphan)) {
            Ok(Some(_)) => tracing::debug!(pair = orphan, "a pair that no head names was deleted"),
            Ok(None) => tracing::debug!(pair = orphan, "a pair that no head names is in use, and is deleted later"),
            Err(error) => tracing::warn!(pair = orphan, %error, "a pair that no head names cannot be deleted"),
        }
    }
    let directories = own_blocks::count(files, budget)?;
    let charge = DIRECTORY_CHARGE.saturating_add(directories);
    let mut total = Counted { charge, ..Counted::default() };
    let listing = Listing::of(files)?;
    let names: BTreeSet<&str> = listing.pairs_by_head().into_values().flatten().collect();
    for name in &names {
        let counted = count(files, budget, name)?;
        total.charge = total.charge.saturating_add(counted.charge);
        total.allocated = total.allocated.saturating_add(counted.allocated);
        total.pages += counted.pages;
    }
    let other = clear_aside(files)?.saturating_add(temporaries);
    total.charge = total.charge.saturating_add(other);
    // Should this process die in between it is counted again.
    budget.control().set_directories(directories);
    exclusion.set_used(total.charge);
    let pairs = names.len() as u64;
    let found = Recount {
        charged_before,
        charged: total.charge,
        allocated: total.allocated.saturating_add(other),
        pages: total.pages,
        pairs,
    };
    tracing::info!(?found, "recounted");
    Ok(found)
}

/// Whether there is anything that a recount would remove. What others are just making may look so too.
pub(crate) fn is_untidy(files: &Files, budget: &Budget, keys: &KeyLocks) -> io::Result<bool> {
    let idle = |pair: &String| {
        let [_, index] = files.pair(pair);
        files.disk.file_id(&index).is_err() || pair::exclude_live(files, &index).is_ok_and(|lock| lock.is_some())
    };
    let left = |name: &OsString| is_temporary(name) && is_left(name, budget, keys).is_some();
    let listing = Listing::of(files)?;
    Ok(files.list(&files.root)?.iter().chain(&listing.pairs).any(|name| is_temporary(name))
        || listing.heads.iter().any(left)
        || !files.list(&files.aside())?.is_empty()
        || listing.orphans(files).iter().any(idle))
}

/// Whether nobody is working on the head of which this is a temporary file, `.KEY.NONCE.svf-tmp`; then nobody does for
/// as long as the lock lives.
fn is_left<'a>(name: &OsString, budget: &'a Budget, keys: &'a KeyLocks) -> Option<Option<KeyLock<'a>>> {
    match name.to_str().and_then(|name| KeyHash::from_file_name(name.split('.').nth(1)?)) {
        Some(key) => keys.lock(budget, key, Duration::ZERO).map(Some),
        // Of what names no key nobody has a lock.
        None => Some(None),
    }
}

/// What a pair is charged. One that does not check out is charged what it takes, until it is set aside and deleted.
///
/// # Errors
///
/// That the system has not what it takes to look, which says nothing of the pair.
fn count(files: &Files, budget: &Budget, name: &str) -> io::Result<Counted> {
    let counted = pair::open_pair(files, name, None).and_then(|pair| {
        if pair.is_reconciled(budget) {
            pair.give_back()?;
        }
        pair.count(budget.boot_id())
    });
    let error = match counted {
        Ok(counted) => return Ok(counted),
        Err(error) => error,
    };
    let paths = files.pair(name);
    let [data, index] = [files.disk.size(&paths[0])?, files.disk.size(&paths[1])?];
    let allocated = data.allocated.saturating_add(index.allocated);
    if is_damage(&error) {
        tracing::debug!(pair = name, %error, "a pair does not check out, and is counted by its blocks");
        return Ok(Counted { charge: allocated, allocated, pages: 0 });
    }
    if error.raw_os_error() != Some(Errno::IO.raw_os_error()) {
        return Err(error);
    }
    // Nobody can tell what its words say, and who has it open may go on filling what they call charged.
    let charge = pair::greatest_charge(data.len, index.len, files.file_system.unit);
    let paths = paths.map(|path| path.display().to_string());
    tracing::warn!(?paths, %error, charge, "a pair cannot be read, and is charged as if all of it were stored");
    Ok(Counted { charge: charge.max(allocated), allocated, pages: 0 })
}

/// Nobody is making a pair, and what is made at other times is made under the lock of its key. How many bytes of the
/// disk those pairs take that could not be removed.
fn remove_temporaries(files: &Files, budget: &Budget, keys: &KeyLocks) -> io::Result<u64> {
    let below = |directory: PathBuf| -> io::Result<Vec<OsString>> {
        Ok(files.list(&directory)?.into_iter().filter(|name| is_temporary(name)).collect())
    };
    for name in below(files.root.clone())? {
        files.remove(&files.root.join(name));
    }
    for name in below(files.heads())? {
        if let Some(_lock) = is_left(&name, budget, keys) {
            files.remove(&files.heads().join(name));
        }
    }
    let mut left = 0u64;
    for name in below(files.pairs())? {
        let path = files.pairs().join(name);
        if !files.remove(&path) {
            left = left.saturating_add(files.disk.size(&path)?.allocated);
        }
    }
    Ok(left)
}

/// Removes what was set aside and nobody works on; how many bytes of the disk the rest takes.
fn clear_aside(files: &Files) -> io::Result<u64> {
    let names = files.list(&files.aside())?;
    let indexes: HashSet<&OsString> =
        names.iter().filter(|name| name.as_encoded_bytes().ends_with(b".index")).collect();
    let mut live = HashSet::new();
    for name in &names {
        let index = PathBuf::from(name).with_extension("index").into_os_string();
        if !indexes.contains(&index) {
            continue;
        }
        match pair::exclude_live(files, &files.aside().join(&index)) {
            Ok(Some(_)) => {}
            Ok(None) => _ = live.insert(name),
            // Of what is no file of ours nobody holds anything.
            Err(error) if is_damage(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let mut left = 0u64;
    for name in &names {
        let path = files.aside().join(name);
        if live.contains(name) || !files.remove_aside(&path) {
            left = left.saturating_add(files.disk.size(&path)?.allocated);
        }
    }
    Ok(left)
}

/// The names of all heads and of all files of pairs.
struct Listing {
    heads: HashSet<OsString>,
    pairs: Vec<OsString>,
}

impl Listing {
    fn of(files: &Files) -> io::Result<Self> {
        Ok(Self { heads: files.list(&files.heads())?.into_iter().collect(), pairs: files.list(&files.pairs())? })
    }

    /// The pairs that no head names.
    ///
    /// Of the heads only those are read whose key has several pairs, so it costs little more than the listing.
    fn orphans(&self, files: &Files) -> Vec<String> {
        let mut orphans = Vec::new();
        for (head, pairs) in self.pairs_by_head() {
            let current = match (self.heads.contains(OsStr::new(head)), pairs.len()) {
                (true, 1) => continue,
                (true, _) => match heads::read(files, &files.heads().join(head)) {
                    Ok(head) => head.map(|head| head.pair),
                    // Whoever opens the object finds out what is wrong with its head; until then its pairs may be good.
                    Err(_) => continue,
                },
                (false, _) => None,
            };
            orphans.extend(pairs.into_iter().filter(|pair| Some(*pair) != current.as_deref()).map(str::to_owned));
        }
        orphans
    }

    /// The names of all pairs of which there is a file, by the name of the head that they belong to.
    fn pairs_by_head(&self) -> HashMap<&str, BTreeSet<&str>> {
        let mut pairs_by_head = HashMap::<&str, BTreeSet<&str>>::new();
        for file in &self.pairs {
            let pair = file.to_str().and_then(|file| file.rsplit_once('.')).map(|(pair, _)| pair);
            if let Some((pair, head)) = pair.and_then(|pair| Some((pair, name::head_of_pair(pair)?))) {
                pairs_by_head.entry(head).or_default().insert(pair);
            }
        }
        pairs_by_head
    }
}
