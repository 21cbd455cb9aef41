//! The index file: a header that says which data file it speaks of, the generation counter, the map of its allocated
//! blocks, and one word for each page.
//!
//! `docs/on-disk-format.md` draws it byte by byte. This module reads and writes it; what the words mean is the business
//! of its neighbours.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::entry_word::EntryWord;
use super::layout::{BLOCK, Layout, VITAL_OFFSET};
use super::words::Words;
use crate::checksum::crc32c;
use crate::directory::eviction::Stamp;
use crate::pages::{MAX_PAGE_SIZE, MIN_PAGE_SIZE, Pages};
use crate::sys::{BootId, DiskFile, Mapping, SharedWords};

const MAGIC: [u8; 8] = *b"SVFINDEX";
const FORMAT: u32 = 2;

/// How much is read at once for a look: all of an index of up to 1,500 pages, and the map of any other but the longest.
const AHEAD: u64 = 32 << 10;

/// Where in the words behind the header something is.
const COUNTER: u64 = 0;
const BOOT_ID: u64 = 1;
const LAST_USED: u64 = 3;
const MAP: u64 = BLOCK / 8;

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

impl Identity {
    fn layout(&self) -> io::Result<Layout> {
        Layout::of(self.pages).ok_or_else(|| io::Error::other("the object has more pages than an index can have words"))
    }
}

/// How the words are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loads {
    /// From the mapped file, without a system call.
    Mapped,
    /// By `pread`: where even a look at a hole of a mapped file takes a block.
    ByPread,
    /// The first of them together, by one `pread`, for somebody who takes a look and stores nothing.
    Ahead,
}

/// An index file that has been found to be what its header says.
#[derive(Debug)]
pub(crate) struct Index {
    file: Box<dyn DiskFile>,
    identity: Identity,
    layout: Layout,
    /// None where words are loaded by `pread`, also because nothing more can be mapped.
    mapping: Option<Box<dyn Mapping>>,
    /// What the file began with when it was opened, for somebody who takes a look.
    ahead: Vec<u8>,
    /// Counter, boot id and map, and the words; none if they cannot be mapped, so that nothing can be stored.
    writable: Option<Writable>,
}

#[derive(Debug)]
struct Writable {
    /// From the block behind the header to the end of the map.
    vital: SharedWords,
    /// None for an object without pages, as the next.
    stamps: Option<SharedWords>,
    table: Option<SharedWords>,
}

impl Index {
    /// Writes a new index to a file that is empty. Give the file its name when this has succeeded.
    pub(crate) fn create(file: &dyn DiskFile, identity: &Identity, boot_id: BootId) -> io::Result<()> {
        let layout = identity.layout()?;
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
        file.set_len(layout.file_len)?;
        file.allocate(0..layout.blocks_offset)?;
        file.write_all_at(header.as_bytes(), 0)?;
        let vital = [1, boot_id[0], boot_id[1]].map(u64::to_le_bytes);
        file.write_all_at(vital.as_flattened(), VITAL_OFFSET)
    }

    /// Checks the header of an index against itself and its length.
    ///
    /// An error of kind `InvalidData` or `UnexpectedEof` means that it is damaged.
    pub(crate) fn open(file: Box<dyn DiskFile>, loads: Loads) -> io::Result<Self> {
        let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let len = file.len()?;
        let mut start = vec![0; len.min(if loads == Loads::Ahead { AHEAD } else { VITAL_OFFSET + 8 }) as usize];
        file.read_exact_at(&mut start, 0)?;
        let header = Header::read_from_prefix(&start).map_err(|_| damaged(format!("it is {len} bytes long")))?.0;
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
        let identity = Identity {
            pages,
            nonce: header.nonce.get(),
            data_inode: header.data_inode.get(),
            key_hash: header.key_hash,
            version_hash: header.version_hash,
        };
        let layout = Layout::of(pages).ok_or_else(|| damaged(format!("its object has {} bytes", pages.length)))?;
        if len != layout.file_len {
            return Err(damaged(format!("it is {len} bytes long, not {}", layout.file_len)));
        }
        let counter = word_in(&start, VITAL_OFFSET).unwrap_or_default();
        // A pair that has used its generations up is replaced by a new one, as a damaged one is.
        if !(1..u64::from(EntryWord::MAX_GENERATION)).contains(&counter) {
            return Err(damaged(format!("its generation counter is {counter}")));
        }
        let warn = |error: &io::Error| tracing::warn!(%error, "an index cannot be mapped, and is used less well");
        let mapping = match loads {
            Loads::Mapped => file.map(0..layout.file_len).inspect_err(|error| warn(error)).ok(),
            Loads::ByPread | Loads::Ahead => None,
        };
        let (ahead, writable) = match loads {
            Loads::Ahead => (start, None),
            _ => (Vec::new(), Writable::map(&*file, &layout).inspect_err(|error| warn(error)).ok()),
        };
        Ok(Self { file, identity, layout, mapping, ahead, writable })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn file(&self) -> &dyn DiskFile {
        &*self.file
    }

    /// Gives out `count` generations that no word of this file has had, and returns the first.
    pub(crate) fn reserve_generations(&self, count: u32) -> io::Result<u32> {
        let counter = self.vital(COUNTER)?;
        let limit = u64::from(EntryWord::MAX_GENERATION);
        let raise =
            |next: u64| u64::from_le(next).checked_add(count.into()).filter(|&end| end <= limit).map(u64::to_le);
        let used_up = |_| io::Error::other("this pair has used up its generations, and is to be superseded");
        let first = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise).map_err(used_up)?;
        u32::try_from(u64::from_le(first)).map_err(io::Error::other)
    }

    /// Makes sure that no generation up to this one is given out again.
    pub(crate) fn skip_generations(&self, last_seen: u32) -> io::Result<()> {
        let raise = |next: u64| (u64::from_le(next) <= last_seen.into()).then(|| (u64::from(last_seen) + 1).to_le());
        // That nothing had to be raised is good as well.
        _ = self.vital(COUNTER)?.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise);
        Ok(())
    }

    /// The boot of the system in which the pair was last made to agree with itself.
    pub(crate) fn boot_id(&self) -> io::Result<BootId> {
        let load = |index| Ok::<_, io::Error>(u64::from_le(self.vital(index)?.load(Ordering::Acquire)));
        Ok([load(BOOT_ID)?, load(BOOT_ID + 1)?])
    }

    pub(crate) fn set_boot_id(&self, boot_id: BootId) -> io::Result<()> {
        // An id that is torn is nobody's, and means only that it is done again.
        for (index, part) in (BOOT_ID..).zip(boot_id) {
            self.vital(index)?.store(part.to_le(), Ordering::Release);
        }
        Ok(())
    }

    /// When anybody last used it, in seconds since 1970, by the clock of that time; 0 if nobody has.
    pub(crate) fn last_used_second(&self) -> io::Result<u64> {
        self.load_vital(LAST_USED)
    }

    pub(crate) fn set_last_used(&self, seconds: u64) -> io::Result<()> {
        self.vital(LAST_USED)?.store(seconds.to_le(), Ordering::Relaxed);
        Ok(())
    }

    /// Whether a block of the table is allocated. Only inside a section does that hold for longer than the look.
    pub(crate) fn is_marked(&self, block: u64) -> io::Result<bool> {
        Ok(self.load_vital(MAP + block / 64)? >> (block % 64) & 1 == 1)
    }

    /// Says that a block is allocated, or that it is not.
    pub(crate) fn mark(&self, block: u64, allocated: bool) -> io::Result<()> {
        let (word, bit) = (self.vital(MAP + block / 64)?, (1u64 << (block % 64)).to_le());
        if allocated {
            word.fetch_or(bit, Ordering::AcqRel);
        } else {
            word.fetch_and(!bit, Ordering::AcqRel);
        }
        Ok(())
    }

    /// The blocks of the table that are allocated, of those in `blocks`. Where there are none it costs next to nothing.
    pub(crate) fn marked(&self, blocks: Range<u64>) -> io::Result<Vec<u64>> {
        let mut marked = Vec::new();
        let mut block = blocks.start;
        while block < blocks.end {
            let bits = self.load_vital(MAP + block / 64)? >> (block % 64);
            if bits == 0 {
                block = (block / 64 + 1) * 64;
                continue;
            }
            block += u64::from(bits.trailing_zeros());
            if block < blocks.end {
                marked.push(block);
            }
            block += 1;
        }
        Ok(marked)
    }

    /// The pages of `pages` whose words are in blocks that are allocated, as runs of at most a block. The words of all
    /// others are `EMPTY`.
    pub(crate) fn runs_with_words(&self, pages: &Range<u64>) -> io::Result<impl Iterator<Item = Range<u64>> + use<>> {
        let (layout, wanted) = (self.layout, pages.clone());
        let blocks =
            if pages.is_empty() { 0..0 } else { layout.block_of(pages.start)..layout.block_of(pages.end - 1) + 1 };
        let runs = self.marked(blocks)?.into_iter().map(move |block| {
            let run = layout.pages_of(block);
            run.start.max(wanted.start)..run.end.min(wanted.end)
        });
        Ok(runs.filter(|run| !run.is_empty()))
    }

    /// The words of a run of pages, by one read.
    pub(crate) fn load_run(&self, run: &Range<u64>) -> io::Result<Vec<EntryWord>> {
        let mut bytes = vec![[0; 8]; (run.end - run.start) as usize];
        self.read(bytes.as_flattened_mut(), self.layout.word(run.start))?;
        Ok(bytes.into_iter().map(|word| EntryWord::from_bits(u64::from_le_bytes(word))).collect())
    }

    /// How an extent was used, as far as that is known.
    pub(crate) fn stamp(&self, extent: u64) -> io::Result<Stamp> {
        if !self.is_marked(self.layout.stamp_block_of(extent))? {
            return Ok(Stamp::NEVER);
        }
        let offset = self.layout.stamp(extent);
        Ok(Stamp::from_bits((self.load_bits(offset / 8 * 8)? >> stamp_shift(offset)) as u16))
    }

    /// All stamps of a block of them.
    pub(crate) fn stamps_of(&self, block: u64) -> io::Result<Vec<Stamp>> {
        let mut bytes = [[0; 2]; (BLOCK / 2) as usize];
        self.read(bytes.as_flattened_mut(), self.layout.block(block).start)?;
        Ok(bytes.into_iter().map(|bits| Stamp::from_bits(u16::from_le_bytes(bits))).collect())
    }

    /// Changes the stamp of an extent, whose block is marked and allocated; only inside a section does it stay so.
    pub(crate) fn restamp(&self, extent: u64, change: impl Fn(Stamp) -> Stamp) -> io::Result<()> {
        let offset = self.layout.stamp(extent);
        // A disk that cannot read the block says so here, by an error, and not by a signal below.
        self.load_bits(offset / 8 * 8)?;
        let stamps = self.writable.as_ref().and_then(|writable| writable.stamps.as_ref());
        let word = stamps.and_then(|stamps| stamps.get((offset - self.layout.blocks_offset) / 8));
        let shift = stamp_shift(offset);
        let changed = |bits: u64| {
            let bits = u64::from_le(bits);
            let stamp = change(Stamp::from_bits((bits >> shift) as u16));
            Some((bits & !(0xFFFF << shift) | u64::from(stamp.to_bits()) << shift).to_le())
        };
        // Stamps are a matter of good guesses, and nothing else depends on them.
        _ = word.ok_or(io::ErrorKind::Unsupported)?.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
        Ok(())
    }

    /// The eight bytes at an offset, which is a multiple of eight.
    #[inline]
    fn load_bits(&self, offset: u64) -> io::Result<u64> {
        match &self.mapping {
            Some(mapping) => Ok(mapping.load(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?),
            None => {
                let mut word = [0; 8];
                self.read(&mut word, offset)?;
                Ok(u64::from_le_bytes(word))
            }
        }
    }

    /// Bytes of the file, by a system call unless they were read ahead.
    fn read(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let start = offset.min(self.ahead.len() as u64) as usize;
        match self.ahead[start..].get(..out.len()) {
            Some(ahead) => {
                out.copy_from_slice(ahead);
                Ok(())
            }
            None => self.file.read_exact_at(out, offset),
        }
    }

    /// One of the words between the header and the end of the map.
    #[inline]
    fn load_vital(&self, index: u64) -> io::Result<u64> {
        match &self.writable {
            Some(_) => Ok(u64::from_le(self.vital(index)?.load(Ordering::Acquire))),
            None => self.load_bits(VITAL_OFFSET + index * 8),
        }
    }

    #[inline]
    fn vital(&self, index: u64) -> io::Result<&AtomicU64> {
        let no_mapping = || io::Error::other("the index could not be mapped, so nothing is stored");
        self.writable.as_ref().and_then(|writable| writable.vital.get(index)).ok_or_else(no_mapping)
    }
}

impl Writable {
    fn map(file: &dyn DiskFile, layout: &Layout) -> io::Result<Self> {
        let map = |range: Range<u64>| if range.is_empty() { Ok(None) } else { file.map_words(range).map(Some) };
        Ok(Self {
            vital: file.map_words(VITAL_OFFSET..layout.blocks_offset)?,
            stamps: map(layout.blocks_offset..layout.table_offset)?,
            table: map(layout.table_offset..layout.file_len)?,
        })
    }
}

/// The word at an offset of bytes, if they go so far.
fn word_in(bytes: &[u8], offset: u64) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(offset as usize..)?.first_chunk()?))
}

/// Where in its word of four the stamp at an offset is.
fn stamp_shift(offset: u64) -> u64 {
    offset % 8 * 8
}

impl Words for Index {
    #[inline]
    fn load(&self, page: u64) -> io::Result<EntryWord> {
        let bits = self.load_bits(self.layout.word(page))?;
        // What was written before the word is seen with it.
        fence(Ordering::Acquire);
        Ok(EntryWord::from_bits(bits))
    }

    /// Only into a block that is allocated, which is found out before.
    fn store(&self, page: u64, word: EntryWord) -> io::Result<()> {
        // A disk that cannot read the block says so here, by an error, and not by a signal below.
        self.load(page)?;
        let table = self.writable.as_ref().and_then(|writable| writable.table.as_ref());
        let stored = table.and_then(|table| table.get(page)).ok_or(io::ErrorKind::Unsupported)?;
        stored.store(word.to_bits().to_le(), Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sys::{Access, Disk, LocalDisk};

    const IDENTITY: Identity = Identity {
        pages: Pages { page_size: 65_536, length: 1_000_000 },
        nonce: 0x0102_0304_0506_0708,
        data_inode: 42,
        key_hash: [1; 32],
        version_hash: [2; 32],
    };

    fn open(path: &Path) -> io::Result<Index> {
        Index::open(LocalDisk.open(path, Access::ReadWrite)?, Loads::Mapped)
    }

    fn create(path: &Path) -> Index {
        Index::create(&*LocalDisk.create(path).unwrap(), &IDENTITY, [5, 6]).unwrap();
        open(path).unwrap()
    }

    #[test]
    fn the_header_on_disk_is_as_documented() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let index = create(&path);
        index.file().allocate(index.layout().block(1)).unwrap();
        index.mark(1, true).unwrap();
        index.store(3, EntryWord::present(0xAABB_CCDD, 5)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 20_480);
        assert_eq!(&bytes[..16], b"SVFINDEX\x02\0\0\0\0\0\0\0");
        assert_eq!(bytes[16..24], 65_536u64.to_le_bytes());
        assert_eq!(bytes[24..32], 1_000_000u64.to_le_bytes());
        assert_eq!(bytes[32..40], 0x0102_0304_0506_0708u64.to_le_bytes());
        assert_eq!(bytes[40..48], 42u64.to_le_bytes());
        assert_eq!(bytes[48..80], [1; 32]);
        assert_eq!(bytes[80..112], [2; 32]);
        assert_eq!(bytes[112..116], crc32c(&bytes[..112]).to_le_bytes());
        assert_eq!(bytes[4096..4104], 1u64.to_le_bytes());
        assert_eq!(bytes[4104..4120], [5u64.to_le_bytes(), 6u64.to_le_bytes()].concat());
        assert_eq!(bytes[8192], 0b10);
        assert_eq!(bytes[16_408..16_416], EntryWord::present(0xAABB_CCDD, 5).to_bits().to_le_bytes());
        let rest = [116..4096, 4120..8192, 8193..16_408, 16_416..20_480];
        assert!(rest.into_iter().flat_map(|range| &bytes[range]).all(|&byte| byte == 0));
    }

    #[test]
    fn any_damage_to_the_header_or_the_length_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        assert_eq!(create(&path).identity(), &IDENTITY);
        let good = std::fs::read(&path).unwrap();
        let damaged = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let kind = open(&path).unwrap_err().kind();
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
        for counter in [0, u64::from(EntryWord::MAX_GENERATION), 1 << 32 | 5, u64::MAX] {
            let mut bytes = good.clone();
            bytes[4096..4104].copy_from_slice(&counter.to_le_bytes());
            damaged(&bytes);
        }
        std::fs::write(&path, &good).unwrap();
        assert!(open(&path).is_ok());
    }

    #[test]
    fn generations_never_repeat_over_a_restart_and_run_out_with_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let index = create(&path);
        assert_eq!(index.reserve_generations(3).unwrap(), 1);
        assert_eq!(open(&path).unwrap().reserve_generations(1).unwrap(), 4);
        index.skip_generations(3).unwrap();
        assert_eq!(index.reserve_generations(1).unwrap(), 5);
        index.skip_generations(9).unwrap();
        assert_eq!(index.reserve_generations(1).unwrap(), 10);
        assert!(index.reserve_generations(EntryWord::MAX_GENERATION - 11).is_ok());
        assert!(index.reserve_generations(1).is_err());
        assert!(open(&path).is_err(), "it is to be replaced");
    }

    #[test]
    fn the_map_tells_where_words_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let identity = Identity { pages: Pages { page_size: 4096, length: 1 << 30 }, ..IDENTITY };
        Index::create(&*LocalDisk.create(&path).unwrap(), &identity, [5, 6]).unwrap();
        let index = open(&path).unwrap();
        let all = 0..index.layout().pages.count();
        assert_eq!(index.runs_with_words(&all).unwrap().count(), 0);
        for block in [1, 64, 200, 512] {
            index.mark(block, true).unwrap();
        }
        assert_eq!(index.marked(2..512).unwrap(), [64, 200]);
        let runs = |pages| index.runs_with_words(&pages).unwrap().collect::<Vec<_>>();
        assert_eq!(runs(all.clone()), [0..512, 63 * 512..64 * 512, 199 * 512..200 * 512, 511 * 512..512 * 512]);
        assert_eq!(runs(10..63 * 512 + 5), [10..512, 63 * 512..63 * 512 + 5]);
        index.mark(64, false).unwrap();
        assert!(!index.is_marked(64).unwrap() && index.is_marked(200).unwrap());
    }

    #[test]
    fn an_object_with_too_many_pages_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let pages = Pages { page_size: MIN_PAGE_SIZE, length: u64::MAX };
        let file = LocalDisk.create(&directory.path().join("index")).unwrap();
        assert!(Index::create(&*file, &Identity { pages, ..IDENTITY }, [5, 6]).is_err());
    }
}
