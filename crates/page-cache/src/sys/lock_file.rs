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
    pub(super) fn open(open: impl FnOnce() -> io::Result<File>) -> io::Result<Self> {
        Ok(Self { descriptor: Descriptor::open(open)? })
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

    /// A fork copies descriptors first and memory later. What its child takes for its parent's locks must be just that,
    /// whatever other threads were opening and closing meanwhile.
    #[test]
    fn a_fork_in_the_middle_of_opening_and_closing() {
        // The test starts itself again, in a process that has no other threads than its own.
        if let Some(forks) = std::env::var("FORKS").ok().and_then(|forks| forks.parse().ok()) {
            return open_and_close_beside_forks(forks);
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let name = "sys::lock_file::tests::a_fork_in_the_middle_of_opening_and_closing";
        child.args(["--exact", "--nocapture", "--test-threads=1", name]);
        let mut child = child.stdout(std::process::Stdio::null()).env("FORKS", "500").spawn().unwrap();
        let start = std::time::Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > std::time::Duration::from_secs(60) {
                child.kill().unwrap();
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert!(status.success(), "{status}: see what it says");
    }

    fn open_and_close_beside_forks(forks: u64) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("locked");
        LocalDisk.create(&path).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        let mut found = [0; 3];
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        assert!(LocalDisk.open_lock(&path).unwrap().try_lock(0..1, Lock::Shared).unwrap());
                        std::thread::yield_now();
                    }
                });
            }
            for _ in 0..forks {
                found[fork_and_look(&path)] += 1;
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(
            found[1..],
            [0, 0],
            "children that lost a descriptor of their own, and that kept a lock, of {found:?}"
        );
    }

    /// Has a child open files of its own, do what it does before its first miss, and look at all that it has open: 1 if
    /// one of its own is gone, 2 if it has a lock on `path`.
    fn fork_and_look(path: &std::path::Path) -> usize {
        // SAFETY: the child opens and reads files, and ends.
        #[expect(unsafe_code)]
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // SAFETY: it has no other thread, and ends here, also if it gets stuck.
            #[expect(unsafe_code)]
            unsafe {
                libc::alarm(20);
                libc::_exit(look(path));
            }
        }
        let mut status = -1;
        // SAFETY: it is a child of this process, and the status is written to a variable that outlives the call.
        #[expect(unsafe_code)]
        unsafe {
            libc::waitpid(pid, &raw mut status, 0)
        };
        assert!(libc::WIFEXITED(status), "a child was stuck, or died: {status}");
        libc::WEXITSTATUS(status) as usize
    }

    fn look(path: &std::path::Path) -> i32 {
        let own: Vec<_> = (0..50).map(|_| File::open("/dev/zero").unwrap()).collect();
        crate::sys::PerProcess::empty().get(|| ());
        let target = |descriptor: &str| std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
        let is_zero = |file: &File| {
            target(&file.as_raw_fd().to_string()).is_ok_and(|target| target == std::path::Path::new("/dev/zero"))
        };
        let lost = !own.iter().all(is_zero);
        // What is gone must not be closed once more.
        std::mem::forget(own);
        let locked = std::fs::read_dir("/proc/self/fd").unwrap().any(|entry| {
            let descriptor = entry.unwrap().file_name().into_string().unwrap();
            target(&descriptor).is_ok_and(|target| target == path)
                && std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap().contains("OFDLCK")
        });
        if lost { 1 } else { 2 * i32::from(locked) }
    }
}
