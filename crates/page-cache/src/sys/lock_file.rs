//! Open-file-description locks: they belong to a descriptor and what was duplicated from it, not to a process, and end
//! with the last of those.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

use super::fork::Descriptor;

/// How bytes of a file are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Any number of descriptors may have it at once.
    Shared,
    /// One descriptor, and no shared lock beside it.
    Exclusive,
}

/// A file opened for nothing but locks.
///
/// Locks of one `LockFile` never conflict with each other, but silently replace each other, and do not count: who uses
/// one from several threads needs a table in memory in front of it. The locks are only ever tried, since blocking ones
/// cannot time out, and deadlock unseen.
#[derive(Debug)]
pub(crate) struct LockFile {
    descriptor: Descriptor,
}

impl LockFile {
    pub(super) fn new(file: File) -> Self {
        Self { descriptor: Descriptor::new(file) }
    }

    /// Locks a range of bytes, if nobody else has a lock on any of it that forbids that; whether it did.
    ///
    /// # Errors
    ///
    /// The system's; and always in a child of the process that opened the file.
    pub(crate) fn try_lock(&self, range: Range<u64>, lock: Lock) -> io::Result<bool> {
        let kind = match lock {
            Lock::Shared => libc::F_RDLCK,
            Lock::Exclusive => libc::F_WRLCK,
        };
        match self.control(libc::F_OFD_SETLK, &mut description(&range, kind)?) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives back what is locked of a range. In a child it does nothing: the locks are its parent's.
    pub(crate) fn unlock(&self, range: Range<u64>) {
        let unlocked = description(&range, libc::F_UNLCK)
            .and_then(|mut description| self.control(libc::F_OFD_SETLK, &mut description));
        if let Err(error) = unlocked
            && self.descriptor.get().is_some()
        {
            tracing::warn!(%error, "a lock cannot be given back before its file is closed");
        }
    }

    /// The first locked range that would keep an exclusive lock from this one; none if it is free.
    pub(crate) fn conflict(&self, range: Range<u64>) -> io::Result<Option<Range<u64>>> {
        let mut found = description(&range, libc::F_WRLCK)?;
        self.control(libc::F_OFD_GETLK, &mut found)?;
        if i32::from(found.l_type) == libc::F_UNLCK {
            return Ok(None);
        }
        let start = found.l_start.unsigned_abs();
        let end = if found.l_len == 0 { u64::MAX } else { start.saturating_add(found.l_len.unsigned_abs()) };
        Ok(Some(start..end))
    }

    fn control(&self, command: libc::c_int, description: &mut libc::flock) -> io::Result<()> {
        let Some(descriptor) = self.descriptor.get() else {
            return Err(io::Error::other("the locks of a parent are not its child's"));
        };
        // SAFETY: the descriptor is open for as long as it is borrowed, and the system reads and writes nothing but
        // the structure, which is borrowed for this call.
        #[expect(unsafe_code)]
        let result = unsafe { libc::fcntl(descriptor.as_raw_fd(), command, std::ptr::from_mut(description)) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

fn description(range: &Range<u64>, kind: libc::c_int) -> io::Result<libc::flock> {
    let too_far = |_| io::Error::other("no lock reaches that far");
    // A length of 0 would mean "to the end", and nobody wants that.
    let len = range.end.checked_sub(range.start).filter(|&len| len > 0).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: range.start.try_into().map_err(too_far)?,
        l_len: len.try_into().map_err(too_far)?,
        // The system insists on 0 here.
        l_pid: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Disk, LocalDisk};

    #[test]
    fn locks_of_two_descriptors_exclude_each_other_and_end_with_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        LocalDisk.create(&path).unwrap();
        let open = || LocalDisk.open_lock(&path).unwrap();
        let (one, other) = (open(), open());
        assert!(one.try_lock(10..20, Lock::Exclusive).unwrap());
        assert!(!other.try_lock(19..21, Lock::Shared).unwrap());
        assert!(other.try_lock(20..30, Lock::Exclusive).unwrap());
        assert_eq!(other.conflict(0..100).unwrap(), Some(10..20));
        assert_eq!(one.conflict(0..100).unwrap(), Some(20..30));
        assert_eq!(other.conflict(30..1 << 62).unwrap(), None);
        one.unlock(12..14);
        assert!(other.try_lock(12..14, Lock::Shared).unwrap());
        assert!(one.try_lock(12..13, Lock::Shared).unwrap(), "shared");
        assert!(!one.try_lock(12..13, Lock::Exclusive).unwrap());
        drop(one);
        assert_eq!(other.conflict(0..100).unwrap(), None);
        assert!(other.try_lock(5..5, Lock::Shared).is_err() && other.try_lock(0..u64::MAX, Lock::Shared).is_err());
    }
}
