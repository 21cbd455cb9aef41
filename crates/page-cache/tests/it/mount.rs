//! Small file systems of our own, mounted for a test.
//!
//! Only root may mount, and not everywhere. Who may not says so on stderr, and the test goes without; with
//! `PAGE_CACHE_MUST_MOUNT` set, as `cargo xtask ci` does for root, that is a failure.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FallocateFlags, StatVfs, fallocate, fsync, statvfs};

/// What an image has beyond what is to fit: for the file system's own tables, its journal, and what it holds back.
const EXTRA: u64 = 48 << 20;

/// What kind of file system.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// In an image, with blocks of so many bytes.
    Ext4(u64),
    /// In memory.
    Tmpfs,
}

/// A file system that has room for exactly so many bytes, mounted until this drops.
#[derive(Debug)]
pub(crate) struct Mounted {
    at: PathBuf,
    /// How many bytes were free when there was nothing in it, with what it holds back.
    free_at_first: u64,
    _directory: tempfile::TempDir,
}

impl Mounted {
    /// None if nothing may be mounted here.
    pub(crate) fn with_room_for(kind: Kind, bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let (at, image) = (directory.path().join("mounted"), directory.path().join("image"));
        fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        match kind {
            Kind::Ext4(block) => {
                File::create(&image).unwrap().set_len(bytes + EXTRA).unwrap();
                let mut make = Command::new("mkfs.ext4");
                run(make.args(["-q", "-F", "-m", "0", "-b", &block.to_string()]).arg(&image)).unwrap();
                mount.args(["-o", "loop"]).arg(&image).arg(&at);
            }
            Kind::Tmpfs => _ = mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(&at),
        }
        if let Err(refused) = run(&mut mount) {
            assert!(std::env::var_os("PAGE_CACHE_MUST_MOUNT").is_none(), "{kind:?}: {refused}");
            eprintln!("nothing can be mounted here, and what should be tested on {kind:?} is not: {refused}");
            return None;
        }
        let mut mounted = Self { at, free_at_first: 0, _directory: directory };
        // What there is beyond the room goes to a file, whose own tree takes some of it.
        let ballast = File::create(mounted.at.join("ballast")).unwrap();
        let mut taken = 0;
        while let more @ 1.. = mounted.available().saturating_sub(bytes) {
            fallocate(ballast.as_fd(), FallocateFlags::empty(), taken, more).unwrap();
            fsync(&ballast).unwrap();
            taken += more;
        }
        assert_eq!(mounted.available(), bytes, "the ballast's own tree has taken of the room");
        mounted.free_at_first = mounted.free();
        Some(mounted)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// How many bytes the file system says are taken of those that were free at first.
    pub(crate) fn taken(&self) -> u64 {
        self.free_at_first.saturating_sub(self.free())
    }

    /// What it holds back, beyond the room, for its own trees.
    pub(crate) fn held_back(&self) -> u64 {
        self.free() - self.available()
    }

    fn statistics(&self) -> StatVfs {
        statvfs(&self.at).unwrap()
    }

    fn free(&self) -> u64 {
        let found = self.statistics();
        found.f_bfree * found.f_frsize
    }

    /// What whoever stores something may have.
    fn available(&self) -> u64 {
        let found = self.statistics();
        found.f_bavail * found.f_frsize
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A process that a failed test has left behind may still be in it.
        if let Err(busy) = run(Command::new("umount").arg("--lazy").arg(&self.at)) {
            eprintln!("{busy}");
        }
    }
}

/// What it complains about is the error.
fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}
