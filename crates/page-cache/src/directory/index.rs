//! The index file: a header that says which data file it speaks of, a counter, and one word for each page.
//!
//! `docs/on-disk-format.md` draws it byte by byte. This module reads and writes it; what the words mean for the
//! reading and filling of pages is the business of [`pair`](super::pair).

use std::io;
use std::path::Path;

use parking_lot::Mutex;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::entry_word::EntryWord;
use crate::checksum::crc32c;
use crate::pages::{MAX_PAGE_SIZE, MIN_PAGE_SIZE, Pages};
use crate::sys::{Access, Disk, DiskFile};

const MAGIC: [u8; 8] = *b"SVFINDEX";
const FORMAT: u32 = 1;
/// Where the generation counter stands: in a block of its own, which is written while the header never is.
const COUNTER_OFFSET: u64 = 4096;
/// Where the words begin.
const TABLE_OFFSET: u64 = 8192;

/// The first bytes of an index file.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    format: U32,
    reserved: U32,
    page_size: U64,
    length: U64,
    nonce: U64,
    data_inode: U64,
    key_hash: [u8; 32],
    version_hash: [u8; 32],
    /// CRC-32C of all bytes before it.
    checksum: U32,
}

impl Header {
    fn computed_checksum(&self) -> u32 {
        let bytes = self.as_bytes();
        crc32c(&bytes[..bytes.len() - size_of::<U32>()])
    }
}

/// What an index must say to be the one that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pages: Pages,
    pub(crate) nonce: u64,
    pub(crate) data_inode: u64,
    pub(crate) key_hash: [u8; 32],
    pub(crate) version_hash: [u8; 32],
}

/// An index file that has been found to be what its header says.
#[derive(Debug)]
pub(crate) struct Index {
    file: Box<dyn DiskFile>,
    identity: Identity,
    /// The next generation to be given out; the counter in the file is never below it.
    next_generation: Mutex<u32>,
}

impl Index {
    /// Writes a new index to a file that is empty. Give the file its name when this has succeeded.
    pub(crate) fn create(file: Box<dyn DiskFile>, identity: Identity) -> io::Result<Self> {
        let mut header = Header {
            magic: MAGIC,
            format: FORMAT.into(),
            reserved: 0.into(),
            page_size: identity.pages.page_size.into(),
            length: identity.pages.length.into(),
            nonce: identity.nonce.into(),
            data_inode: identity.data_inode.into(),
            key_hash: identity.key_hash,
            version_hash: identity.version_hash,
            checksum: 0.into(),
        };
        header.checksum = header.computed_checksum().into();
        file.set_len(file_len(&identity.pages)?)?;
        file.write_all_at(header.as_bytes(), 0)?;
        let index = Self { file, identity, next_generation: Mutex::new(1) };
        index.write_counter(1)?;
        Ok(index)
    }

    /// Opens an index and checks its header against itself and its length.
    ///
    /// An error of kind `InvalidData` or `UnexpectedEof` means that it is damaged.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let file = disk.open(path, Access::ReadWrite)?;
        let mut header = Header::new_zeroed();
        file.read_exact_at(header.as_mut_bytes(), 0)?;
        if header.magic != MAGIC {
            return Err(damaged("it does not begin as an index does".to_owned()));
        }
        if header.format != FORMAT {
            return Err(damaged(format!("its format is {}, not {FORMAT}", header.format)));
        }
        if header.checksum != header.computed_checksum() {
            return Err(damaged("the checksum of its header is wrong".to_owned()));
        }
        let pages = Pages { page_size: header.page_size.get(), length: header.length.get() };
        if !pages.page_size.is_power_of_two() || !(MIN_PAGE_SIZE..=MAX_PAGE_SIZE).contains(&pages.page_size) {
            return Err(damaged(format!("its page size is {}", pages.page_size)));
        }
        let (len, expected) = (file.len()?, file_len(&pages)?);
        if len != expected {
            return Err(damaged(format!("it is {len} bytes long, not {expected}")));
        }
        let mut counter = [0; 8];
        file.read_exact_at(&mut counter, COUNTER_OFFSET)?;
        let counter = u64::from_le_bytes(counter);
        // A pair that has used its generations up is replaced by a new one, as a damaged one is.
        let next_generation = u32::try_from(counter)
            .ok()
            .filter(|generation| (1..EntryWord::MAX_GENERATION).contains(generation))
            .ok_or_else(|| damaged(format!("its generation counter is {counter}")))?;
        let next_generation = Mutex::new(next_generation);
        let identity = Identity {
            pages,
            nonce: header.nonce.get(),
            data_inode: header.data_inode.get(),
            key_hash: header.key_hash,
            version_hash: header.version_hash,
        };
        Ok(Self { file, identity, next_generation })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Loads the words of as many pages as `words` has room for, from `first_page` on.
    pub(crate) fn load(&self, first_page: u64, words: &mut [[u8; 8]]) -> io::Result<()> {
        self.file.read_exact_at(words.as_flattened_mut(), TABLE_OFFSET + first_page * EntryWord::LEN)
    }

    /// The first page at or behind `page` whose word is not in a hole of the file, and so may be something else than
    /// `EMPTY`; none if there is no such page.
    pub(crate) fn next_stored(&self, page: u64) -> io::Result<Option<u64>> {
        let data = self.file.next_data(TABLE_OFFSET + page * EntryWord::LEN)?;
        Ok(data.map(|offset| (offset.saturating_sub(TABLE_OFFSET) / EntryWord::LEN).max(page)))
    }

    /// Stores the words of neighbouring pages.
    pub(crate) fn store(&self, first_page: u64, words: &[EntryWord]) -> io::Result<()> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.file.write_all_at(&bytes, TABLE_OFFSET + first_page * EntryWord::LEN)
    }

    /// Gives out `count` generations that no word of this file has had, and returns the first.
    ///
    /// The counter in the file is raised first: whatever comes to be written, none is given out again.
    pub(crate) fn reserve_generations(&self, count: u32) -> io::Result<u32> {
        let mut next = self.next_generation.lock();
        let first = *next;
        let end = first
            .checked_add(count)
            .filter(|&end| end <= EntryWord::MAX_GENERATION)
            .ok_or_else(|| io::Error::other("this pair has used up its generations, and is to be superseded"))?;
        self.write_counter(end)?;
        *next = end;
        Ok(first)
    }

    fn write_counter(&self, counter: u32) -> io::Result<()> {
        self.file.write_all_at(&u64::from(counter).to_le_bytes(), COUNTER_OFFSET)
    }
}

fn file_len(pages: &Pages) -> io::Result<u64> {
    let table = pages.count().checked_mul(EntryWord::LEN);
    table
        .and_then(|table| table.checked_add(TABLE_OFFSET))
        .ok_or_else(|| io::Error::other("the object has more pages than an index can have words"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::LocalDisk;

    const IDENTITY: Identity = Identity {
        pages: Pages { page_size: 65_536, length: 1_000_000 },
        nonce: 0x0102_0304_0506_0708,
        data_inode: 42,
        key_hash: [1; 32],
        version_hash: [2; 32],
    };

    fn create(path: &Path) -> Index {
        Index::create(LocalDisk.create(path).unwrap(), IDENTITY).unwrap()
    }

    #[test]
    fn the_header_on_disk_is_as_documented() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        create(&path).store(3, &[EntryWord::present(0xAABB_CCDD, 5)]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 8192 + 16 * 8);
        assert_eq!(&bytes[..16], b"SVFINDEX\x01\0\0\0\0\0\0\0");
        assert_eq!(bytes[16..24], 65_536u64.to_le_bytes());
        assert_eq!(bytes[24..32], 1_000_000u64.to_le_bytes());
        assert_eq!(bytes[32..40], 0x0102_0304_0506_0708u64.to_le_bytes());
        assert_eq!(bytes[40..48], 42u64.to_le_bytes());
        assert_eq!(bytes[48..80], [1; 32]);
        assert_eq!(bytes[80..112], [2; 32]);
        assert_eq!(bytes[112..116], crc32c(&bytes[..112]).to_le_bytes());
        assert_eq!(bytes[4096..4104], 1u64.to_le_bytes());
        assert_eq!(bytes[8192 + 24..8192 + 32], EntryWord::present(0xAABB_CCDD, 5).to_le_bytes());
        assert!(bytes[116..4096].iter().chain(&bytes[4104..8192 + 24]).all(|&byte| byte == 0));
    }

    #[test]
    fn any_damage_to_the_header_or_the_length_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        drop(create(&path));
        assert_eq!(Index::open(&LocalDisk, &path).unwrap().identity(), &IDENTITY);
        let good = std::fs::read(&path).unwrap();
        let damaged = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let kind = Index::open(&LocalDisk, &path).unwrap_err().kind();
            assert!(matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof), "{kind}");
        };
        for bit in 0..size_of::<Header>() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            damaged(&bytes);
        }
        for len in [0, 1, 100, 4096, 8192, good.len() - 1] {
            damaged(&good[..len]);
        }
        damaged(&[&good[..], &[0]].concat());
        std::fs::write(&path, &good).unwrap();
        assert!(Index::open(&LocalDisk, &path).is_ok());
    }

    #[test]
    fn generations_never_repeat_over_a_restart_and_run_out_with_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let index = create(&path);
        assert_eq!(index.reserve_generations(3).unwrap(), 1);
        assert_eq!(index.reserve_generations(1).unwrap(), 4);
        let index = Index::open(&LocalDisk, &path).unwrap();
        assert_eq!(index.reserve_generations(1).unwrap(), 5);
        assert!(index.reserve_generations(EntryWord::MAX_GENERATION - 6).is_ok());
        assert!(index.reserve_generations(1).is_err());
        assert!(Index::open(&LocalDisk, &path).is_err(), "it is to be replaced");
    }

    #[test]
    fn a_counter_that_cannot_be_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        drop(create(&path));
        for counter in [0, u64::from(EntryWord::MAX_GENERATION), 1 << 32 | 5, u64::MAX] {
            let file = LocalDisk.open(&path, Access::ReadWrite).unwrap();
            file.write_all_at(&counter.to_le_bytes(), COUNTER_OFFSET).unwrap();
            assert_eq!(Index::open(&LocalDisk, &path).unwrap_err().kind(), io::ErrorKind::InvalidData, "{counter}");
        }
    }

    #[test]
    fn an_object_with_too_many_pages_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let pages = Pages { page_size: MIN_PAGE_SIZE, length: u64::MAX };
        let file = LocalDisk.create(&directory.path().join("index")).unwrap();
        assert!(Index::create(file, Identity { pages, ..IDENTITY }).is_err());
    }
}
