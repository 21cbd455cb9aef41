//! Taking what is held of a file out of the cache, and into another.
//!
//! `docs/on-disk-format.md` draws the list that goes beside an exported file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use svf_core::RangeSet;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::cached_file::CachedFile;
use crate::checksum::{crc32c, page_checksum};
use crate::directory::{Found, Object, Stored};
use crate::error::TransferError;
use crate::pages::{MAX_PAGE_SIZE, MIN_PAGE_SIZE, Pages};
use crate::sys::check_size_limit;

const MAGIC: [u8; 8] = *b"SVFPAGES";
const FORMAT: u32 = 1;
/// As many verified bytes are gathered before they are stored.
const GATHERED: u64 = 8 << 20;

/// What goes before the list of the pages that an exported file has.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ListHeader {
    magic: [u8; 8],
    format: U32,
    /// CRC-32C of everything behind it.
    checksum: U32,
    page_size: U64,
    length: U64,
    nonce: U64,
    key_hash: [u8; 32],
    version_hash: [u8; 32],
    /// How many pages follow.
    count: U64,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ListedPage {
    page: U64,
    /// As in the index of a pair, with the list's nonce.
    checksum: U32,
}

/// The path of the list beside an exported file.
fn list_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".svf-pages");
    name.into()
}

impl CachedFile {
    /// Copies what is held to a new file at `path`, private to this user: as long as the object, with holes where
    /// nothing is held; and beside it, at `path.svf-pages`, the list of what is held, without which nobody could tell a
    /// hole from zeros. Every page is checked on the way. What is copied is returned.
    ///
    /// # Errors
    ///
    /// [`TransferError::Io`]: there is a file of that name already, or it cannot be written. Nothing is left of it
    /// then.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<RangeSet, TransferError> {
        let (path, list) = (path.as_ref(), list_path(path.as_ref()));
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| TransferError::Io { path, source }
        };
        let create =
            |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(fail(path));
        let data = create(path)?;
        let exported = create(&list).and_then(|list_file| {
            let written = self.write_pages(&data).map_err(fail(path)).and_then(|(held, bytes)| {
                check_size_limit(bytes.len() as u64)
                    .and_then(|()| list_file.write_all_at(&bytes, 0))
                    .map_err(fail(&list))?;
                Ok(held)
            });
            // What is left of it would only be in the way; the error that is reported is the one that matters.
            written.inspect_err(|_| _ = std::fs::remove_file(&list))
        });
        exported.inspect_err(|_| _ = std::fs::remove_file(path))
    }

    /// Writes what is held to `data`, and returns it together with the list of it.
    fn write_pages(&self, data: &File) -> io::Result<(RangeSet, Vec<u8>)> {
        check_size_limit(self.len())?;
        data.set_len(self.len())?;
        let object = self.object();
        let (mut held, mut listed) = (RangeSet::new(), Vec::new());
        let (nonce, mut page_size) = (crate::directory::nonce(), MIN_PAGE_SIZE);
        if let Some((_, pair)) = self.opened().pair() {
            page_size = pair.pages().page_size;
            let pages = pair.held(&(0..self.len()))?;
            let mut buffer = Vec::new();
            for page in pages.iter().flat_map(|range| pair.pages().touching(&range)) {
                let bytes = pair.pages().bytes(page);
                buffer.resize((bytes.end - bytes.start) as usize, 0);
                let mut found = Found::default();
                pair.copy_present(&bytes, &mut buffer, &mut found);
                // What is damaged, or is taken away meanwhile, is not held.
                if found.absent.is_empty() {
                    data.write_all_at(&buffer, bytes.start)?;
                    let checksum = page_checksum(nonce, page, &buffer).into();
                    listed.push(ListedPage { page: page.into(), checksum });
                    held.insert(bytes);
                }
            }
        }
        let mut header = ListHeader {
            magic: MAGIC,
            format: FORMAT.into(),
            checksum: 0.into(),
            page_size: page_size.into(),
            length: self.len().into(),
            nonce: nonce.into(),
            key_hash: object.key.0,
            version_hash: object.version,
            count: (listed.len() as u64).into(),
        };
        header.checksum = crc32c(&[&header.as_bytes()[16..], listed.as_bytes()].concat()).into();
        Ok((held, [header.as_bytes(), listed.as_bytes()].concat()))
    }

    /// Stores what an exported file has and this one does not hold yet: all pages of this file that lie in it as a
    /// whole, whatever the size of its own pages. Every page is checked against the list beside the file; what does not
    /// agree is passed over, and so is what is not stored because there is no room. Only what was exported of the very
    /// same version of the same object is taken. What was stored is returned.
    ///
    /// # Errors
    ///
    /// [`TransferError`]: there are no such files, they are damaged, or of another object or version.
    pub fn import(&self, path: impl AsRef<Path>) -> Result<RangeSet, TransferError> {
        let path = path.as_ref();
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |source| TransferError::Io { path, source }
        };
        let list = list_path(path);
        let (header, listed) = read_list(&list, self.len())
            .map_err(io_error(&list))?
            .map_err(|reason| TransferError::NotExported { path: list.clone(), reason })?;
        let object = self.object();
        let theirs = (header.key_hash, header.version_hash, header.length.get());
        if theirs != (object.key.0, object.version, object.length) {
            return Err(TransferError::OtherObject { path: path.to_owned(), key: self.key().to_owned() });
        }
        let not_a_file = || io::Error::new(io::ErrorKind::InvalidInput, NOT_A_FILE);
        let data = open_regular(path).and_then(|file| file.ok_or_else(not_a_file)).map_err(io_error(path))?;
        let pages = Pages { page_size: header.page_size.get(), length: header.length.get() };
        let (mut stored, mut gathered) = (RangeSet::new(), Gathered::default());
        for ListedPage { page, checksum } in &listed {
            let bytes = pages.bytes(page.get());
            if gathered.end() != bytes.start {
                self.store_gathered(&mut gathered, &mut stored).map_err(io_error(path))?;
                // Behind a gap nothing completes a page that was begun before it.
                gathered.restart(bytes.start);
            }
            let is_good = |read: &[u8]| page_checksum(header.nonce.get(), page.get(), read) == checksum.get();
            if !gathered.read(&data, bytes.end, is_good) {
                tracing::warn!(path = %path.display(), page = page.get(), "an exported page is damaged and passed over");
            } else if gathered.bytes.len() as u64 >= GATHERED {
                self.store_gathered(&mut gathered, &mut stored).map_err(io_error(path))?;
            }
        }
        self.store_gathered(&mut gathered, &mut stored).map_err(io_error(path))?;
        Ok(stored)
    }

    /// Stores the whole pages of what was gathered, of those that are not held and nobody else is fetching. A page at
    /// the end that is not whole yet stays gathered.
    fn store_gathered(&self, gathered: &mut Gathered, stored: &mut RangeSet) -> io::Result<()> {
        let Some((directory, pair)) = self.opened().pair() else { return Ok(()) };
        if !pair.may_be_filled(directory.budget()) {
            return Ok(());
        }
        let room = directory.stock(self.when_full());
        let pages = pair.pages();
        let (start, end) = (gathered.start, gathered.end());
        let first = start.div_ceil(pages.page_size);
        let last = if end == pages.length { pages.count() } else { end / pages.page_size };
        for page in first..last {
            let bytes = pages.bytes(page);
            let Some(_claim) = pair.page_locks().try_claim_all(page..page + 1)? else { continue };
            let part = &gathered.bytes[(bytes.start - start) as usize..(bytes.end - start) as usize];
            if pair.held(&bytes)?.is_empty() && pair.store(directory.budget(), &room, bytes.start, part) == Stored::All
            {
                stored.insert(bytes);
            }
        }
        if first < last {
            gathered.forget_before(pages.bytes(last - 1).end);
        }
        Ok(())
    }

    fn object(&self) -> Object {
        Object::of(self.key(), self.stat())
    }
}

/// Bytes of an exported file that were found right, without a gap.
#[derive(Debug, Default)]
struct Gathered {
    start: u64,
    bytes: Vec<u8>,
}

impl Gathered {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Begins anew at an offset.
    fn restart(&mut self, start: u64) {
        self.start = start;
        self.bytes.clear();
    }

    /// Adds the bytes up to `end`, if they can be read and are good; whether they are.
    fn read(&mut self, data: &File, end: u64, is_good: impl FnOnce(&[u8]) -> bool) -> bool {
        let (before, offset) = (self.bytes.len(), self.end());
        self.bytes.resize((end - self.start) as usize, 0);
        let added = &mut self.bytes[before..];
        let good = data.read_exact_at(added, offset).is_ok() && is_good(added);
        if !good {
            self.bytes.truncate(before);
        }
        good
    }

    fn forget_before(&mut self, offset: u64) {
        self.bytes.drain(..(offset - self.start) as usize);
        self.start = offset;
    }
}

const NOT_A_FILE: &str = "it is not a regular file";

/// Opens a file to read it, if it is one.
fn open_regular(path: &Path) -> io::Result<Option<File>> {
    // A FIFO in its place must not keep its opener waiting.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

/// The list beside an exported file of an object of this length; the inner error says why it is none. No more of it is
/// read than a list can have.
fn read_list(path: &Path, length: u64) -> io::Result<Result<(ListHeader, Vec<ListedPage>), String>> {
    let Some(file) = open_regular(path)? else { return Ok(Err(NOT_A_FILE.to_owned())) };
    let len = file.metadata()?.len();
    let listed = Pages { page_size: MIN_PAGE_SIZE, length }.count();
    let longest = listed.saturating_mul(size_of::<ListedPage>() as u64).saturating_add(size_of::<ListHeader>() as u64);
    if len > longest {
        return Ok(Err(format!("it is {len} bytes long, and of this object no list has more than {longest}")));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len as usize).map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.take(len).read_to_end(&mut bytes)?;
    Ok(parse_list(&bytes))
}

fn parse_list(bytes: &[u8]) -> Result<(ListHeader, Vec<ListedPage>), String> {
    let (header, rest) = ListHeader::read_from_prefix(bytes).map_err(|_| "it is too short".to_owned())?;
    if header.magic != MAGIC {
        return Err("it does not begin as a list of pages does".to_owned());
    }
    if header.format != FORMAT {
        return Err(format!("its format is {}, not {FORMAT}", header.format));
    }
    if header.checksum != crc32c(&bytes[16..]) {
        return Err("its checksum is wrong".to_owned());
    }
    let listed = <[ListedPage]>::ref_from_bytes(rest).map_err(|_| "it ends within an entry".to_owned())?;
    let pages = Pages { page_size: header.page_size.get(), length: header.length.get() };
    let sound = pages.page_size.is_power_of_two() && (MIN_PAGE_SIZE..=MAX_PAGE_SIZE).contains(&pages.page_size);
    let places = || listed.iter().all(|listed| listed.page.get() < pages.count());
    if !sound || header.count != listed.len() as u64 || !places() {
        return Err("it lists pages that cannot be".to_owned());
    }
    Ok((header, listed.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cache, FnOrigin, Stat, Validators};

    #[test]
    fn any_flipped_bit_and_any_other_length_of_the_list_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let validators = Validators { version: Some("1".into()), ..Validators::default() };
        let origin = FnOrigin::new("sevens:", Stat { length: 10_000, validators }, |range| {
            Ok(vec![7; (range.end - range.start) as usize].into())
        });
        let cache = Cache::builder(directory.path().join("cache")).page_size(4096).open().unwrap();
        let file = cache.file(origin).unwrap();
        file.bytes(5_000..10_000).unwrap();
        file.export(directory.path().join("out")).unwrap();
        let good = std::fs::read(directory.path().join("out.svf-pages")).unwrap();
        let (header, listed) = parse_list(&good).unwrap();
        assert_eq!((header.page_size.get(), header.length.get()), (4096, 10_000));
        assert_eq!(listed.iter().map(|listed| listed.page.get()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((good.len(), &good[..12]), (112 + 2 * 12, &b"SVFPAGES\x01\0\0\0"[..]));
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(parse_list(&bytes).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(parse_list(&good[..len]).is_err(), "length {len}");
        }
        assert!(parse_list(&[&good[..], b" "].concat()).is_err());
    }
}
