//! The open pairs of a directory: opening, making and removing them.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use dashmap::DashMap;

use super::files::{Files, is_damage, temporary};
use super::head::Head;
use super::index::{Identity, Index};
use super::name::{self, KeyHash};
use super::pair::Pair;
use crate::origin::Stat;
use crate::pages::Pages;
use crate::sys::Access;

/// The pairs that this process has open, by name, so that all who read one share what it knows and fetches.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    open: DashMap<String, Weak<Pair>>,
}

/// What came of opening the pair that a head names.
pub(crate) enum OpenedPair {
    Good(Arc<Pair>),
    /// It was not what the head says, and has been set aside.
    Damaged,
}

impl Pairs {
    /// The pair that `head` names, shared with whoever else in this process has it open.
    ///
    /// # Errors
    ///
    /// Only that the system could not give what it takes: descriptors, or reading at all.
    pub(crate) fn open(&self, files: &Files, head: &Head) -> io::Result<OpenedPair> {
        if let Some(pair) = self.open.get(&head.pair).and_then(|pair| pair.upgrade()) {
            return Ok(OpenedPair::Good(pair));
        }
        match open(files, head) {
            Ok(pair) => Ok(OpenedPair::Good(self.share(pair))),
            Err(error) if is_damage(&error) => {
                for path in files.pair(&head.pair) {
                    files.set_aside(&path, &error.to_string());
                }
                Ok(OpenedPair::Damaged)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes an empty pair for a version of an object.
    pub(crate) fn create(&self, files: &Files, key: &str, stat: &Stat, page_size: u64) -> io::Result<Arc<Pair>> {
        let (key_hash, version_hash, nonce) = (KeyHash::of(key), name::version_hash(stat), name::nonce());
        let name = name::pair_name(&key_hash, &version_hash, nonce);
        let paths = files.pair(&name);
        // Under temporary names until they are whole.
        let temporaries = paths.each_ref().map(|path| temporary(path));
        let identity = Identity {
            pages: Pages { page_size, length: stat.length },
            nonce,
            data_inode: 0,
            key_hash: key_hash.0,
            version_hash,
        };
        let created = create(files, &name, identity, &temporaries, &paths);
        if created.is_err() {
            for path in temporaries.iter().chain(&paths) {
                files.remove(path);
            }
        }
        Ok(self.share(created?))
    }

    /// Removes the files of a pair. Who has it open reads on.
    pub(crate) fn remove(&self, files: &Files, name: &str) {
        self.open.remove(name);
        for path in files.pair(name) {
            files.remove(&path);
        }
    }

    fn share(&self, pair: Pair) -> Arc<Pair> {
        let pair = Arc::new(pair);
        self.open.retain(|_, pair| pair.strong_count() > 0);
        self.open.insert(pair.name().to_owned(), Arc::downgrade(&pair));
        pair
    }
}

/// Makes the two files, the index, which vouches for the data, last.
fn create(
    files: &Files,
    name: &str,
    identity: Identity,
    [data_temporary, index_temporary]: &[impl AsRef<Path>; 2],
    [data_path, index_path]: &[impl AsRef<Path>; 2],
) -> io::Result<Pair> {
    let data = files.disk.create(data_temporary.as_ref())?;
    data.set_len(identity.pages.length)?;
    let identity = Identity { data_inode: data.inode()?, ..identity };
    let index = Index::create(files.disk.create(index_temporary.as_ref())?, identity)?;
    files.disk.rename(data_temporary.as_ref(), data_path.as_ref())?;
    files.disk.rename(index_temporary.as_ref(), index_path.as_ref())?;
    Ok(Pair::new(name.to_owned(), data, index))
}

/// Opens the two files, and checks each against the other and against the head.
fn open(files: &Files, head: &Head) -> io::Result<Pair> {
    let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let [data_path, index_path] = files.pair(&head.pair);
    let index = Index::open(&*files.disk, &index_path)?;
    let data = files.disk.open(&data_path, Access::ReadWrite)?;
    let found = *index.identity();
    let expected = Identity {
        pages: Pages { length: head.stat.length, ..found.pages },
        nonce: found.nonce,
        data_inode: data.inode()?,
        key_hash: KeyHash::of(&head.key).0,
        version_hash: name::version_hash(&head.stat),
    };
    let its_name = name::pair_name(&KeyHash(found.key_hash), &found.version_hash, found.nonce);
    if found != expected || its_name != head.pair {
        return Err(damaged("it belongs to another object, version or data file".to_owned()));
    }
    let len = data.len()?;
    if len != head.stat.length {
        return Err(damaged(format!("its data file is {len} bytes long, not {}", head.stat.length)));
    }
    Ok(Pair::new(head.pair.clone(), data, index))
}
