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
//!   same pages.
//! * The last window ends where the file ends: what a page shows behind the end of the file is
//!   never part of a view.
//! * A region stays mapped as long as a view, or anything made of one, holds it, and is unmapped
//!   by the last holder. [`MapManager::stats`] counts what is mapped, exactly.
//!
//! # What a view promises
//!
//! * Its bytes are the bytes of the file in [`View::range`], all of them, contiguous.
//! * It outlives the file handle, the manager, and the name of the file.
//! * It never changes, *if* the promise of [`MappedFile::assume_stable`] is kept. That is the only
//!   `unsafe` of this crate's interface, and it is there because no program can see to it alone
//!   that nobody truncates a file: please read it once.
//!
//! Where the promise cannot be given, the copying reads of [`MappedFile`] are safe, and report a
//! file that was cut short as an error.
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
mod manager;
mod mapped_file;
mod paged_file;
mod pool;
mod position;
mod region;
mod slot;
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
