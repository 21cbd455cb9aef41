//! Filling, beside the calls that it takes at least.

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};
use criterion::Criterion;
use page_cache::{Advice, CachedFile, FnOrigin, Stat, Validators};
use rustix::process::Resource;
use svf_benches::{Turn, in_turn, page_aligned, timed};
use tempfile::TempDir;

use super::{PAGE, Workload, cache};

/// One page: fetched, given to the caller, checked, charged, locked, written, published; beside a bare `pwrite` of it,
/// beside giving it to the caller and a `pwrite`, and beside all calls and copies that it takes.
pub(super) fn fill_a_page(_: &mut Criterion) {
    const PAGES: u64 = 1 << 10;
    let workload = Workload::new(32 << 20);
    let mut source = page_aligned(PAGE as usize);
    source.copy_from_slice(&workload.content[..PAGE as usize]);
    let source = Bytes::from_owner(source);

    let fresh_file = || {
        let validators = Validators { version: Some("1".into()), ..Validators::default() };
        let (stat, source) = (Stat { length: PAGES * PAGE, validators }, source.clone());
        let origin = FnOrigin::new("pages", stat, move |range| Ok(source.slice(..(range.end - range.start) as usize)));
        let directory = workload.fresh_directory();
        let file = cache(directory.path()).file(origin).unwrap();
        // A page at a time, and none ahead.
        file.advise(0..u64::MAX, Advice::Random);
        (file, directory)
    };
    let (mut file, mut out, mut page) = (None::<(CachedFile, TempDir)>, page_aligned(PAGE as usize), 0);
    let ours = || {
        let (file, _directory) = match &mut file {
            Some(file) if page < PAGES => file,
            used_up => {
                page = 0;
                used_up.insert(fresh_file())
            }
        };
        let took = timed(|| file.read_exact_at(black_box(&mut out), page * PAGE).unwrap());
        page += 1;
        took
    };

    let bare = |gives, keeps_order| {
        let (workload, source, directory) = (&workload, &source[..], workload.fresh_directory());
        let order = Order::new(directory.path());
        let (mut copy, mut out, mut page) = (None, page_aligned(PAGE as usize), 0);
        move || {
            // As in ours, there is one file at a time, with its final length from the start.
            let copy = match &mut copy {
                Some(copy) if page < PAGES => copy,
                used_up => {
                    page = 0;
                    used_up.insert(workload.empty_copy(directory.path(), PAGES * PAGE))
                }
            };
            let write = |copy: &File| copy.write_all_at(black_box(source), page * PAGE);
            let took = timed(|| {
                if gives {
                    black_box(&mut out).copy_from_slice(black_box(source));
                }
                if keeps_order {
                    order.lock_pages(page, 1);
                    black_box(checksum(CrcAlgorithm::Crc32Iscsi, black_box(source)));
                    order.write(copy, PAGES * PAGE, write);
                    order.unlock_pages(page, 1);
                } else {
                    write(copy).unwrap();
                }
            });
            page += 1;
            took
        }
    };
    let mut turns: [(&str, Turn<'_>); 4] = [
        ("ours", Box::new(ours)),
        ("bare-pwrite", Box::new(bare(false, false))),
        ("bare-copy-and-pwrite", Box::new(bare(true, false))),
        ("bare-all-calls", Box::new(bare(true, true))),
    ];
    in_turn("page-cache/fill-a-page", PAGE, &mut turns);
}

/// A whole file by requests of 1 MiB, of which nothing is held, beside copying it in pieces of 1 MiB, and beside all
/// calls and checksums that it takes. Once into memory that begins with a page, and once into such as an allocator has
/// from the system, 16 bytes behind the beginning of one.
pub(super) fn fill(_: &mut Criterion) {
    fill_into("page-cache/fill-by-1MiB", 0);
    fill_into("page-cache/fill-by-1MiB-behind-a-page", 16);
}

fn fill_into(group: &str, behind_a_page: usize) {
    let memory = || page_aligned(behind_a_page + (1 << 20));
    let workload = Workload::new(16 << 20);
    let len = workload.len();
    let offsets = || (0..len).step_by(1 << 20);
    let empty = || {
        let directory = workload.fresh_directory();
        (workload.open(&cache(directory.path())), directory)
    };
    let mut out = memory();
    let out = &mut out[behind_a_page..];
    let (file, directory) = empty();
    assert!(file.held().is_empty());
    for offset in offsets() {
        file.read_exact_at(out, offset).unwrap();
        assert!(*out == workload.content[offset as usize..][..out.len()]);
    }
    assert!(file.held().contains(0..len));
    drop((file, directory));

    let ours = || {
        let (file, _directory) = empty();
        timed(|| offsets().for_each(|offset| file.read_exact_at(black_box(out), offset).unwrap()))
    };
    let mut piece = memory();
    let piece = &mut piece[behind_a_page..];
    let bare = || {
        let directory = workload.fresh_directory();
        let copy = File::create_new(directory.path().join("copy")).unwrap();
        timed(|| {
            for offset in offsets() {
                workload.plain.read_exact_at(black_box(piece), offset).unwrap();
                copy.write_all_at(piece, offset).unwrap();
            }
        })
    };
    let mut piece = memory();
    let piece = &mut piece[behind_a_page..];
    let in_order = || {
        let directory = workload.fresh_directory();
        let order = Order::new(directory.path());
        let copy = workload.empty_copy(directory.path(), len);
        timed(|| offsets().for_each(|offset| fill_in_order(&workload, &order, &copy, offset, piece)))
    };
    let mut turns: [(&str, Turn<'_>); 3] =
        [("ours", Box::new(ours)), ("bare", Box::new(bare)), ("bare-all-calls", Box::new(in_order))];
    in_turn(group, len, &mut turns);
}

/// One piece of the origin's file, which is seen to be the same before and behind the read, is checked, and written in
/// the order of a fill: what is promised takes no less.
fn fill_in_order(workload: &Workload, order: &Order, copy: &File, offset: u64, piece: &mut [u8]) {
    let (first, count) = (offset / PAGE, piece.len() as u64 / PAGE);
    order.lock_pages(first, count);
    assert!(workload.path.metadata().unwrap().is_file());
    let origin = File::open(&workload.path).unwrap();
    let before = origin.metadata().unwrap().modified().unwrap();
    origin.read_exact_at(black_box(piece), offset).unwrap();
    assert_eq!(origin.metadata().unwrap().modified().unwrap(), before);
    drop(origin);
    piece.chunks(PAGE as usize).for_each(|page| _ = black_box(checksum(CrcAlgorithm::Crc32Iscsi, page)));
    order.write(copy, workload.len(), |copy| copy.write_all_at(black_box(piece), offset));
    order.unlock_pages(first, count);
}

/// The calls that a fill takes beside its write, since processes may be killed and files cut short: locks of the pages
/// and of the section, and looks at the limit of file sizes and at the length.
struct Order {
    pages: File,
    section: File,
    /// As every process that has the pages open.
    _present: File,
}

impl Order {
    fn new(directory: &Path) -> Self {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let [pages, present, section] =
            ["pages", "pages", "section"].map(|name| options.open(directory.join(name)).unwrap());
        lock(&present, libc::F_RDLCK, 0, 1);
        Self { pages, section, _present: present }
    }

    fn lock_pages(&self, first: u64, count: u64) {
        lock(&self.pages, libc::F_WRLCK, 1 + first, count);
    }

    fn unlock_pages(&self, first: u64, count: u64) {
        lock(&self.pages, libc::F_UNLCK, 1 + first, count);
    }

    fn write(&self, copy: &File, len: u64, write: impl FnOnce(&File) -> io::Result<()>) {
        let look_at_len = || assert_eq!(rustix::fs::seek(copy, rustix::fs::SeekFrom::End(0)).unwrap(), len);
        lock(&self.section, libc::F_RDLCK, 0, 1);
        black_box(rustix::process::getrlimit(Resource::Fsize));
        look_at_len();
        write(copy).unwrap();
        look_at_len();
        lock(&self.section, libc::F_UNLCK, 0, 1);
    }
}

/// Sets a lock of a kind on bytes of a file.
fn lock(file: &File, kind: libc::c_int, start: u64, len: u64) {
    let (start, len) = (start.cast_signed(), len.cast_signed());
    let mut lock = libc::flock { l_type: kind as libc::c_short, l_whence: 0, l_start: start, l_len: len, l_pid: 0 };
    // SAFETY: the descriptor is open, and the system reads nothing but the structure.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw mut lock) }, 0);
}
