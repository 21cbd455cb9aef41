//! How an object is opened: by what is known of it, or else its origin is asked; and in what it is stored.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::cache::Cache;
use crate::cached_file::CachedFile;
use crate::directory::{Directory, Head, KeyLock, OpenPair, OpenedPair, Pair};
use crate::fetch::retry;
use crate::freshness::OnUnreachable;
use crate::origin::{Origin, OriginError, Stat};

/// What is told of an object beside its version: names and values, such as its content type.
pub(crate) type Attributes = BTreeMap<String, String>;

/// What an origin says of an object.
#[derive(Debug)]
pub(crate) struct Looked<T> {
    pub(crate) stat: Stat,
    pub(crate) attributes: Attributes,
    /// Whether anything of it is to be stored.
    pub(crate) is_stored: bool,
    /// Whether its origin has said so now, and it is not only what was known before.
    pub(crate) is_confirmed: bool,
    /// What came along.
    pub(crate) with: T,
}

/// What was known of an object before its origin is asked.
pub(crate) struct Known<'a> {
    pub(crate) stat: &'a Stat,
    /// Whether all pages that a range touches are held.
    #[cfg_attr(not(feature = "object_store"), expect(dead_code, reason = "an object store asks for it"))]
    pub(crate) holds: &'a dyn Fn(&Range<u64>) -> bool,
    /// Whether it may be opened if the origin cannot say whether the object has changed.
    pub(crate) may_be_served: bool,
}

/// An object that was opened.
pub(crate) struct Opening {
    pub(crate) file: CachedFile,
    #[cfg_attr(not(feature = "object_store"), expect(dead_code, reason = "an object store asks for it"))]
    pub(crate) attributes: Attributes,
    /// How long ago its origin confirmed it; `None` if that lies in the future.
    #[cfg_attr(not(feature = "object_store"), expect(dead_code, reason = "an object store asks for it"))]
    pub(crate) age: Option<Duration>,
}

/// What an object is opened as: what its origin has said, or what was known and is good enough.
#[derive(Debug, Clone)]
struct Found {
    stat: Stat,
    attributes: Attributes,
    is_stored: bool,
    is_confirmed: bool,
    /// How long ago its origin confirmed it; `None` if that lies in the future.
    age: Option<Duration>,
}

impl Found {
    /// What a head says, for who does not ask the origin.
    fn known(head: Head) -> Self {
        let age = head.age();
        Self { stat: head.stat, attributes: head.attributes, is_stored: true, is_confirmed: false, age }
    }
}

impl Cache {
    /// See [`file`](Self::file).
    pub(crate) fn open_file(&self, origin: Arc<dyn Origin>) -> Result<CachedFile, OriginError> {
        let asked = Arc::clone(&origin);
        let ask = |known: Option<Known<'_>>| {
            let held = known.filter(|known| known.may_be_served);
            let (stat, is_confirmed) = match self.ask(&asked, held.as_ref()) {
                Ok(stat) => (stat, true),
                Err(error) => match held.filter(|_| error.is_transient()) {
                    Some(known) => {
                        tracing::warn!(%error, "whether the object has changed cannot be told; what is held is opened");
                        (known.stat.clone(), false)
                    }
                    None => return Err(error),
                },
            };
            Ok(Looked { stat, attributes: Attributes::new(), is_stored: true, is_confirmed, with: () })
        };
        self.open_by(origin, false, ask, |_, ()| {}).map(|opened| opened.file)
    }

    /// Opens an object as [`file`](Self::file) does, but for how its origin is asked: that is what `look` does, which
    /// may bring something along, for `keep` to store. If what is known is to be confirmed, the origin is asked under
    /// any policy but offline.
    pub(crate) fn open_by<T, E>(
        &self,
        origin: Arc<dyn Origin>,
        confirm: bool,
        look: impl FnOnce(Option<Known<'_>>) -> Result<Looked<T>, E>,
        keep: impl FnOnce(&CachedFile, T),
    ) -> Result<Opening, E> {
        let Some(directory) = self.inner.directory() else {
            let Looked { stat, attributes, with, .. } = look(None)?;
            let found = Found { stat, attributes, is_stored: false, is_confirmed: true, age: Some(Duration::ZERO) };
            let opening = self.opening(origin, found, None);
            keep(&opening.file, with);
            return Ok(opening);
        };
        let key = origin.key();
        let is_good = |head: &Head| self.accepts(head) && (!confirm || self.is_offline());
        // What is known and good needs no lock, and waits for nobody who is asking a slow origin.
        if let Some(head) = directory.peek_head(key).filter(is_good)
            && let Ok(OpenedPair::Good(pair)) = directory.open_pair(&head)
        {
            return Ok(self.opening(origin, Found::known(head), Some((Arc::clone(directory), pair))));
        }
        let lock = directory.lock_key(key);
        let known = match &lock {
            Some(_) => directory.load_head(key),
            // Somebody else is busy with it for too long: what it says may still be used, and stays as it is.
            None => Ok(directory.peek_head(key)),
        };
        let head = known.as_ref().ok().and_then(|head| head.as_ref());
        let (found, with) = match head.filter(|head| is_good(head) || self.is_told(head, lock.as_ref())) {
            Some(head) => (Found::known(head.clone()), None),
            None => {
                let (found, with) = self.look_by(directory, head, look)?;
                (found, Some(with))
            }
        };
        let pair = match known {
            _ if !found.is_stored => None,
            Ok(known) => self.open_or_create_pair(directory, key, &found, known, lock.as_ref()),
            Err(error) => {
                tracing::warn!(key, %error, "the head cannot be read; the object is read from its origin");
                None
            }
        };
        let (pair, new_head) = pair.unzip();
        let pair = pair.map(|pair| (Arc::clone(directory), pair));
        let opening = self.opening(Arc::clone(&origin), found.clone(), pair);
        if let Some(with) = with {
            keep(&opening.file, with);
        }
        // Only now: who finds the head finds in its pair what came along.
        if let (Some(new_head), Some((_, pair)), Some(lock)) = (new_head.flatten(), opening.file.opened().pair(), &lock)
        {
            new_head.save(directory, key, found, pair, lock);
        }
        Ok(opening)
    }

    fn opening(&self, origin: Arc<dyn Origin>, found: Found, pair: Option<(Arc<Directory>, OpenPair)>) -> Opening {
        let Found { stat, attributes, age, .. } = found;
        Opening { file: CachedFile::new(origin, stat, pair, Arc::clone(&self.inner)), attributes, age }
    }

    /// Has the origin asked by `look`, which is told what is known.
    fn look_by<T, E>(
        &self,
        directory: &Directory,
        head: Option<&Head>,
        look: impl FnOnce(Option<Known<'_>>) -> Result<Looked<T>, E>,
    ) -> Result<(Found, T), E> {
        let holds = |head: &Head, range: &Range<u64>| match directory.open_pair(head) {
            Ok(OpenedPair::Good(pair)) => pair.held(range).is_ok_and(|held| held.contains(range.clone())),
            _ => false,
        };
        let known = head.map(|head| (head, |range: &Range<u64>| holds(head, range)));
        let known = known.as_ref().map(|(head, holds)| {
            let may_be_served = self.may_serve(head) && holds(&(0..0));
            Known { stat: &head.stat, holds, may_be_served }
        });
        let Looked { stat, attributes, is_stored, is_confirmed, with } = look(known)?;
        let (attributes, age) = match head.filter(|_| !is_confirmed) {
            Some(head) => (head.attributes.clone(), head.age()),
            None => (attributes, Some(Duration::ZERO)),
        };
        Ok((Found { stat, attributes, is_stored, is_confirmed, age }, with))
    }

    /// Whether somebody has looked while this one waited: of many who ask at every opening not each has to, one by one.
    fn is_told(&self, head: &Head, lock: Option<&KeyLock<'_>>) -> bool {
        lock.is_some_and(|lock| lock.is_told())
            && !head.is_doubted()
            && self.inner.policy.unvalidated.vouches_for(&head.stat)
    }

    /// The object's length and version, from its origin, which is not tried for long if there is something to serve.
    fn ask(&self, origin: &Arc<dyn Origin>, held: Option<&Known<'_>>) -> Result<Stat, OriginError> {
        if self.inner.policy.offline {
            let what = "its length and version".to_owned();
            return Err(OriginError::Offline { key: origin.key().to_owned(), what });
        }
        let retry = self.inner.policy.retry;
        let stat = match held {
            Some(known) => self.ask_for_a_while(origin, known.stat)?,
            None => retry::stat(&**origin, retry, OPENING_UNREACHABLE)?,
        };
        check_length(origin.key(), stat)
    }

    /// The same where something may be served: after [`OPENING_HELD`] it is given up, even if the origin is silent for
    /// longer than that. Should it say later that the object has changed, the next opening does not serve what is held.
    fn ask_for_a_while(&self, origin: &Arc<dyn Origin>, known: &Stat) -> Result<Stat, OriginError> {
        let mut retry = self.inner.policy.retry;
        retry.deadline = retry.deadline.min(OPENING_HELD);
        let (sender, receiver) = mpsc::sync_channel(1);
        let (asked, known, inner) = (Arc::clone(origin), known.clone(), Arc::downgrade(&self.inner));
        let ask = move || {
            let (key, stat) = (asked.key().to_owned(), retry::stat(&*asked, retry, OPENING_UNREACHABLE));
            drop(asked);
            if let Err(mpsc::SendError(Ok(stat))) = sender.send(stat)
                && let Some(inner) = inner.upgrade()
                && !inner.policy.unvalidated.same_version(&known, &stat)
            {
                inner.doubt(&key, &known);
            }
        };
        let thread = match std::thread::Builder::new().name("page-cache opening".to_owned()).spawn(ask) {
            Ok(thread) => thread,
            Err(error) => {
                tracing::debug!(%error, "no thread for an opening, which takes as long as the origin does");
                return retry::stat(&**origin, retry, OPENING_UNREACHABLE);
            }
        };
        match receiver.recv_timeout(OPENING_HELD) {
            Ok(stat) => stat,
            Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => Err(no_answer(origin.key())),
            },
            Err(mpsc::RecvTimeoutError::Timeout) => Err(no_answer(origin.key())),
        }
    }

    /// Whether what was known before may be opened if the origin cannot be reached.
    fn may_serve(&self, head: &Head) -> bool {
        let policy = &self.inner.policy;
        policy.on_unreachable == OnUnreachable::ServeHeld
            && !head.is_doubted()
            && policy.unvalidated.vouches_for(&head.stat)
    }

    fn accepts(&self, head: &Head) -> bool {
        let policy = &self.inner.policy;
        policy.unvalidated.vouches_for(&head.stat)
            && (policy.offline || (!head.is_doubted() && policy.freshness.accepts(head.age())))
    }

    /// The pair for the version that the object has now: the one that the known head names, if it means this
    /// version and is sound, else a new one in its place; and whether there is to be a new head.
    fn open_or_create_pair(
        &self,
        directory: &Directory,
        key: &str,
        found: &Found,
        known: Option<Head>,
        lock: Option<&KeyLock<'_>>,
    ) -> Option<(OpenPair, Option<NewHead>)> {
        let (now, unvalidated) = (&found.stat, self.inner.policy.unvalidated);
        if !unvalidated.vouches_for(now) {
            tracing::warn!(key, "the origin gives no validators that vouch for the bytes; nothing of it is stored");
            return None;
        }
        let warn = |error: &io::Error| {
            tracing::warn!(key, %error, "the cache's files cannot be opened; the object is read from its origin");
        };
        let (current, superseded) = match known {
            Some(head) if unvalidated.same_version(&head.stat, now) => (Some(head), None),
            Some(head) => (None, Some(head.pair)),
            None => (None, None),
        };
        if let Some(head) = &current {
            match directory.open_pair(head) {
                Ok(OpenedPair::Good(pair)) => {
                    let new_head = NewHead { superseded: None, unconfirmed: None };
                    return Some((pair, found.is_confirmed.then_some(new_head)));
                }
                Ok(OpenedPair::Damaged) => {}
                Err(error) => {
                    warn(&error);
                    return None;
                }
            }
        }
        if lock.is_none() {
            tracing::warn!(key, "others are busy with the object for too long; it is read from its origin");
            return None;
        }
        // What cannot be found again would only be stored again and again.
        directory.check_head(key, now, &found.attributes).inspect_err(|error| warn(error)).ok()?;
        let page_size = self.inner.policy.page_size;
        let pair = directory
            .create_pair(key, now, page_size, self.inner.policy.when_full)
            .inspect_err(|error| warn(error))
            .ok()?;
        let unconfirmed = current.filter(|_| !found.is_confirmed);
        Some((pair, Some(NewHead { superseded, unconfirmed })))
    }
}

/// A head that is to be written for a pair.
struct NewHead {
    /// The pair of the version that the object had before.
    superseded: Option<String>,
    /// What was known, if its origin has not confirmed it now: another pair makes it no younger, and no less doubted.
    unconfirmed: Option<Head>,
}

impl NewHead {
    /// Writes it, tells those who wait for it, and deletes what it supersedes. If it cannot be written, all stays as it
    /// was.
    fn save(self, directory: &Directory, key: &str, found: Found, pair: &Pair, lock: &KeyLock<'_>) {
        let name = pair.name().to_owned();
        let head = match self.unconfirmed {
            Some(head) => head.with_pair(name),
            None => Head::new(key.to_owned(), found.stat, name).with_attributes(found.attributes),
        };
        if let Err(error) = directory.save_head(&head, pair, lock) {
            tracing::warn!(key, %error, "a head cannot be written; the next opening will ask the origin again");
            return;
        }
        if found.is_confirmed {
            lock.tell_confirmed();
        }
        if let Some(superseded) = self.superseded {
            tracing::info!(key, "the object has changed; the pieces of its old version are deleted once nobody reads");
            directory.delete_pair(&superseded);
        }
    }
}

/// For how long an opening tries an origin again that cannot be reached at all: where an address is wrong, it shows
/// here.
const OPENING_UNREACHABLE: Duration = Duration::from_secs(5);
/// For how long it tries an origin in trouble, where there is something to open that was asked for before.
pub(crate) const OPENING_HELD: Duration = Duration::from_secs(2);

fn no_answer(key: &str) -> OriginError {
    let (key, request) = (key.to_owned(), "the object's length".to_owned());
    let reason = format!("no answer came within {OPENING_HELD:?}");
    OriginError::Unreachable { key, request, reason, attempts: 1 }
}

/// No object is longer, in bytes: 1 PiB. What says so is a server in error, and its pages could not even be counted.
const MAX_LENGTH: u64 = 1 << 50;

pub(crate) fn check_length(key: &str, stat: Stat) -> Result<Stat, OriginError> {
    if stat.length <= MAX_LENGTH {
        return Ok(stat);
    }
    let reason = format!("it says {} bytes, and no object has more than {MAX_LENGTH}", stat.length);
    let request = "the object's length".to_owned();
    Err(OriginError::InvalidResponse { key: key.to_owned(), request, reason, attempts: 1 })
}
