//! Windows of mapped memory over many huge local files.
//!
//! A program that parses a file of a few hundred gigabytes wants to look at it as memory, a few
//! megabytes at a time, without mapping all of it and without copying what it looks at.
//! A [`MapManager`] maps the pieces that are asked for, shares each piece among all who look at
//! it, and hands them out as a [`View`], which is a `&[u8]` that may be kept, cloned, sent to
//! another thread, and turned into [`bytes::Bytes`] without a copy.
//!
//! ```
//! use window_mman::MapManager;
//!
//! # fn main() -> Result<(), window_mman::Error> {
//! # let directory = tempfile::tempdir().expect("a temporary directory");
//! # let path = directory.path().join("survey.las");
//! # std::fs::write(&path, b"LASF and a few hundred gigabytes").expect("a file");
//! let manager = MapManager::new(); // one for an application
//! let file = manager.open(&path)?;
//!
//! // Copying reads are safe on any file, whoever else writes to it.
//! let mut magic = [0; 4];
//! file.read_exact_at(&mut magic, 0)?;
//! assert_eq!(&magic, b"LASF");
//!
//! // SAFETY: nobody truncates or writes to this file while this example runs.
//! let file = unsafe { file.assume_stable() };
//! let view = file.view(9..14)?;
//! assert_eq!(&view[..], b"a few");
//!
//! // The view keeps its memory mapped, whatever happens to the file and the manager.
//! drop((file, manager));
//! let bytes = bytes::Bytes::from(view);
//! assert_eq!(&bytes[2..], b"few");
//! # Ok(())
//! # }
//! ```
//!
//! # What to take when
//!
//! | you want | take | promise |
//! |---|---|---|
//! | bytes, now and then, of any file | [`MappedFile::read_at`], [`bytes`](MappedFile::bytes) | none |
//! | small pieces from the same place, often, of any file | [`MappedFile::copy_view`] | none |
//! | an array or a reader over any file, in constant memory | [`PagedFile`] | none |
//! | a range as memory, to keep or to hand on | [`StableFile::view`] | [`assume_stable`](MappedFile::assume_stable) |
//! | many looks close to each other | [`StableFile::cursor`] | the same |
//! | an array or a reader without copies | [`StableFile::buffer`] | the same |
//! | your own file, which several processes share | [`CopyMapping`] | none |
//!
//! # Memory
//!
//! ```text
//! file       |<------------------------------ len ---------------------------->|
//! grid       |    window 0    |    window 1    |    window 2    |  window 3    |
//!
//! regions    [================]                [================]                mapped once, shared
//!                   [===================]                                        covers what crosses
//!
//! views          [---]                           [----]  [--]
//!                 [-------]
//!                     [-----------------]
//! ```
//!
//! * The file is divided by a grid of windows of [`MapManager::window_size`] bytes, 1 MiB unless
//!   told otherwise. A range inside one window is a view of that whole window, which is mapped
//!   once, is found in constant time and is shared by everybody who looks into it, also through
//!   another [`MappedFile`] of the same file (on Unix, where device and inode tell files apart).
//! * A range that crosses from one window to the next, or is longer than a window, gets a region
//!   of its own, from the page in which it starts to the page in which it ends. So a view is
//!   contiguous, whatever the window size. Such a region is shared by views that need exactly the
//!   same pages. [`Strategy::Static`] maps whole files instead.
//! * The last window ends where the file ends: what a page shows behind the end of the file is
//!   never part of a view.
//! * A region stays mapped as long as a view, a cursor, or anything made of one, holds it; and then until it is the
//!   one that was used the longest ago, over all files, and a [limit](MapManagerBuilder) is reached; or until the last
//!   handle of its file is dropped. [`MapManager::stats`] counts what is mapped, exactly.
//!
//! # What a view promises
//!
//! * Its bytes are the bytes of the file in [`View::range`], all of them, contiguous.
//! * It outlives the file handle, the manager, and the name of the file.
//! * It never changes, *if* the promise of [`MappedFile::assume_stable`] is kept.
//!
//! # The promise, for who has never thought about it
//!
//! `assume_stable` is the only `unsafe` of this crate's interface. It is there because of what a mapping is: not a copy
//! of a file, but a window onto it. When you look through a window, and somebody moves the furniture, you see it move.
//!
//! The compiler does not expect that of a `&[u8]`. It may read a length once to check it, and once more to use it,
//! since nobody can have changed it; if somebody has, the check was worth nothing, and the program may do anything. And
//! if somebody *truncates* the file there is nothing behind the window any more: looking at a byte that is gone ends
//! the process, at once, with the signal SIGBUS.
//!
//! No program can see to it alone that nobody does either. So you say it, in one place, for one file:
//!
//! ```no_run
//! # fn main() -> Result<(), window_mman::Error> {
//! # let manager = window_mman::MapManager::new();
//! let file = manager.open("archive-2024.tar")?;
//! // SAFETY: archives of past years are never written to again; they are replaced by renaming, if at all.
//! let file = unsafe { file.assume_stable() };
//! # Ok(())
//! # }
//! ```
//!
//! Ask yourself who writes to the file. *Nobody, it is released data, or mounted read-only*: promise. *It is written
//! under another name and renamed, as most programs do*: promise; what you have mapped is the old file, and it stays.
//! *It is appended to*: promise; what is there does not change, and what comes is not in your views. *A program writes
//! it in place, a log is rotated by truncating, somebody may `cp` over it, I do not know*: do not promise. Read by
//! copies, which are safe on any file, and report one that was cut short as an error; [`CopyView`] does that at the
//! speed of memory.
//!
//! [`MappedFile::assume_stable`] has the exact words. What it does not cover is the disk: where that may fail, use
//! [`View::try_copy_to`].
//!
//! # A signal handler in a library
//!
//! [`CopyView::try_copy_to`], [`View::try_copy_to`] and [`CopyMapping`] copy out of mappings that others may cut short,
//! and return an error where the processor raises a fault. On Linux, on x86-64 and aarch64, a handler of SIGBUS does
//! that. A signal handler belongs to the whole process, so you should know what this one does, and what it asks of you:
//!
//! * It is installed when the first such copy is made, once, and stays. A program that makes none has none; a manager
//!   that is built with [`fault_recovery(false)`](MapManagerBuilder::fault_recovery) makes none, and reads by `pread`.
//! * It acts only if the fault happened inside of the copying routine, a few hundred bytes of code. For any other
//!   SIGBUS, of your code or sent by somebody, it does what was there before: it calls the handler that was installed,
//!   with the same arguments, or lets the process end as it would have.
//! * A handler that you install *later* takes its place, and gets its faults. Hand on to the previous one what is not
//!   yours, as handlers should (`sigaction` returns it); or install yours before the first copy is made.
//! * A thread that *blocks* SIGBUS could not be helped: the system ends the process at the fault. So the first copy
//!   that a thread makes unblocks the signal for it, for good. Do not block it again behind that.
//! * A signal that is *sent* (`kill -BUS`) does what it would have done, and copies go on: if the handler before this
//!   one takes itself away, as that of Rust's standard library does, the next signal that is sent ends the process.
//! * Memory that is copied *to* is your own: a fault of that is handed on.
//! * It runs on the alternative stack, if a thread has one, and so does the handler that it hands on to.
//! * It costs nothing until there is a fault, and then a few microseconds.
//! * Debuggers stop at the signal, as they do at every one: `handle SIGBUS nostop noprint pass`, in gdb.
//!
//! On other systems and processors the same functions read by the descriptor.
//!
//! # Errors
//!
//! Each kind of operation has its own error, and all of them turn into [`Error`] and into
//! [`std::io::Error`]. Nothing here panics, whatever the ranges.

#![deny(unsafe_code)]

mod advice;
mod buffer;
mod builder;
mod copy_view;
mod core;
mod cursor;
mod error;
mod fork;
mod handle;
mod manager;
mod mapped_file;
mod paged_file;
mod piece;
mod pool;
#[cfg(test)]
mod pool_tests;
mod position;
mod region;
mod slot;
#[cfg(test)]
mod slot_tests;
mod source;
mod stable_file;
mod stats;
mod sync;
mod sys;
mod view;
mod window;

pub use advice::Advice;
pub use buffer::WindowBuffer;
pub use builder::{LimitPolicy, MapManagerBuilder};
pub use copy_view::{CopyMapping, CopyView};
pub use cursor::Cursor;
pub use error::{BuildError, CopyError, Error, FileState, Holding, OpenError, ReadError, ReopenError, ViewError};
pub use manager::MapManager;
pub use mapped_file::{Change, MappedFile};
pub use paged_file::PagedFile;
pub use stable_file::StableFile;
pub use stats::{Collected, RegionInfo, Stats};
pub use sys::FileKind;
pub use view::View;
pub use window::{Grid, Strategy};

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
