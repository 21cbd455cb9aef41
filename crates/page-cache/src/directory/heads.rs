//! Finding, writing and distrusting heads.

use std::io;
use std::path::Path;

use super::files::{Files, is_damage};
use super::head::{self, Head};
use super::name::KeyHash;
use crate::sys::Access;

/// The head of `key`, if there is one that can be read and trusted.
pub(crate) fn peek(files: &Files, key: &str) -> Option<Head> {
    read(files, &files.head(&KeyHash::of(key))).ok().flatten().filter(|head| head.key == key)
}

/// The head of `key`, if there is one that can be trusted. One that cannot is set aside, so this is done under its lock.
///
/// # Errors
///
/// That it cannot be read now: what it says may be right, so nothing may take its place.
pub(crate) fn load(files: &Files, key: &str) -> io::Result<Option<Head>> {
    let path = files.head(&KeyHash::of(key));
    let reason = match read(files, &path) {
        Ok(Some(head)) if head.key == key => return Ok(Some(head)),
        Ok(None) => return Ok(None),
        Ok(Some(_)) => "it belongs to another key".to_owned(),
        Err(error) if is_damage(&error) => error.to_string(),
        Err(error) => return Err(error),
    };
    files.set_aside(&path, &reason);
    Ok(None)
}

/// Writes the head of a key, in the place of the one there was.
pub(crate) fn save(files: &Files, head: &Head) -> io::Result<()> {
    files.replace(&files.head(&KeyHash::of(&head.key)), &head.to_bytes()?)
}

/// The head in a file, whosever it is; none if there is no such file.
pub(crate) fn read(files: &Files, path: &Path) -> io::Result<Option<Head>> {
    let file = match files.disk.open(path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let len = file.len()?;
    if len > head::MAX_LEN {
        return Err(damaged(format!("it is {len} bytes long")));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Head::from_bytes(&bytes).map(Some).map_err(damaged)
}
