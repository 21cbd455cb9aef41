//! Making the two files of a pair, and opening them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::data::Data;
use super::index::{Identity, Index};
use super::layout::Layout;
use super::{Pair, Room, fixed_charge};
use crate::directory::budget::Section;
use crate::directory::files::{Files, temporary};
use crate::directory::name::{self, KeyHash};
use crate::origin::Stat;
use crate::pages::Pages;
use crate::sys::{Access, BootId, DiskFile, Lock, LockFile};

/// The byte that stands for *live*.
const LIVE: std::ops::Range<u64> = 0..1;
/// How often a pair is opened anew because its files were replaced meanwhile.
const ATTEMPTS: usize = 8;

/// Which version of which object a pair is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) key: KeyHash,
    pub(crate) version: [u8; 32],
    pub(crate) length: u64,
}

impl Object {
    pub(crate) fn of(key: &str, stat: &Stat) -> Self {
        Self { key: KeyHash::of(key), version: name::version_hash(stat), length: stat.length }
    }
}

/// Makes an empty pair, if there is room for it. It is charged first, and then made; what fails is taken back.
pub(crate) fn create(
    files: &Files,
    section: &Section<'_>,
    room: &dyn Room,
    object: &Object,
    page_size: u64,
    boot_id: BootId,
) -> io::Result<Pair> {
    let nonce = name::nonce();
    let name = name::pair_name(&object.key, &object.version, nonce);
    let pages = Pages { page_size, length: object.length };
    let layout = Layout::of(pages).ok_or_else(|| io::Error::other("the object has too many pages for an index"))?;
    let charge = fixed_charge(&layout, files.file_system.unit);
    if !room.reserve(section, charge) {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "the cache's limit leaves no room for another file"));
    }
    let identity = Identity { pages, nonce, data_inode: 0, key_hash: object.key.0, version_hash: object.version };
    let (finals, temporaries) = (files.pair(&name), files.pair(&name).map(|path| temporary(&path)));
    let created =
        write(files, identity, &temporaries, &finals, boot_id).and_then(|()| open_pair(files, &name, Some(object)));
    if created.is_err() {
        let removed = temporaries.iter().chain(&finals).all(|path| files.remove(path));
        if removed {
            section.uncharge(charge);
        } else {
            section.want_recount();
        }
    }
    created
}

/// Both files get all that they have before they get their names: the index, which vouches for the data, last.
fn write(
    files: &Files,
    identity: Identity,
    [data_temporary, index_temporary]: &[impl AsRef<Path>; 2],
    [data_path, index_path]: &[impl AsRef<Path>; 2],
    boot_id: BootId,
) -> io::Result<()> {
    let data = files.disk.create(data_temporary.as_ref())?;
    data.set_len(identity.pages.length)?;
    let identity = Identity { data_inode: data.id()?.1, ..identity };
    Index::create(&*files.disk.create(index_temporary.as_ref())?, &identity, boot_id)?;
    files.disk.rename(data_temporary.as_ref(), data_path.as_ref())?;
    files.disk.rename(index_temporary.as_ref(), index_path.as_ref())
}

/// Opens a pair by its name, makes it live, and checks each file against the other, the name, and what it is to be for.
///
/// # Errors
///
/// One that [`is_damage`](crate::directory::files::is_damage) if the pair does not check out; else that the system
/// cannot give what it takes, or somebody deletes it just now.
pub(crate) fn open_pair(files: &Files, name: &str, object: Option<&Object>) -> io::Result<Pair> {
    let [_, index_path] = files.pair(name);
    for _ in 0..ATTEMPTS {
        let live = files.disk.open_lock(&index_path)?;
        let index = files.disk.open(&index_path, Access::ReadWrite)?;
        let busy = !live.try_lock(LIVE, Lock::Shared)?;
        // Who deletes it has the lock, or has had it: then the file has no name any more, or another has it.
        if busy || files.disk.file_id(&index_path)? != index.id()? {
            std::thread::sleep(std::time::Duration::from_millis(1));
            continue;
        }
        return open_files(files, name, object, index, Arc::new(live));
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process is deleting the files"))
}

/// The same for who has *live* exclusively already, by [`exclude_live`].
pub(crate) fn open_excluded(files: &Files, name: &str, live: &Arc<LockFile>) -> io::Result<Pair> {
    let [_, index_path] = files.pair(name);
    let index = files.disk.open(&index_path, Access::ReadWrite)?;
    open_files(files, name, None, index, Arc::clone(live))
}

fn open_files(
    files: &Files,
    name: &str,
    object: Option<&Object>,
    index: Box<dyn DiskFile>,
    live: Arc<LockFile>,
) -> io::Result<Pair> {
    let [data_path, index_path] = files.pair(name);
    let index = Index::open(index, files.loads())?;
    check_index(name, object, &index)?;
    let data = files.disk.open(&data_path, Access::ReadWrite)?;
    check_data(&index, &*data)?;
    let data = Data::new(data, index.identity().pages.length, files.loads());
    let locks = files.disk.open_lock(&index_path)?;
    Ok(Pair::new(name.to_owned(), data, index, live, locks, files.file_system.unit))
}

fn check_data(index: &Index, data: &dyn DiskFile) -> io::Result<()> {
    let (expected, len) = (index.identity(), data.len()?);
    if expected.data_inode != data.id()?.1 {
        return Err(damaged("it belongs to another data file".to_owned()));
    }
    if len != expected.pages.length {
        return Err(damaged(format!("its data file is {len} bytes long, not {}", expected.pages.length)));
    }
    Ok(())
}

/// Whether an index belongs to the pair of this name, and is for this object.
pub(super) fn check_index(name: &str, object: Option<&Object>, index: &Index) -> io::Result<()> {
    let found = index.identity();
    let its_name = name::pair_name(&KeyHash(found.key_hash), &found.version_hash, found.nonce);
    let its_object = Object { key: KeyHash(found.key_hash), version: found.version_hash, length: found.pages.length };
    if its_name != name || object.is_some_and(|object| *object != its_object) {
        return Err(damaged("it belongs to another object or version".to_owned()));
    }
    Ok(())
}

fn damaged(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Takes *live* exclusively on a descriptor of its own, so that also this process counts: while the result is there,
/// nobody works on the pair of this index. None if somebody does, or there is no such file.
pub(crate) fn exclude_live(files: &Files, index_path: &Path) -> io::Result<Option<LockFile>> {
    let lock = match files.disk.open_lock(index_path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(if lock.try_lock(LIVE, Lock::Exclusive)? { Some(lock) } else { None })
}
