//! The control file: the one budget of a directory, and the bytes on which its locks lie.
//!
//! `docs/on-disk-format.md` draws it. It is made whole and given its name by a link, which never replaces another's; it
//! is repaired in place, and never renamed or removed, so that all processes always look at the same one.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::charges::DIRECTORY_CHARGE;
use super::files::{Files, is_damage, temporary};
use crate::checksum::crc32c;
use crate::sys::{Access, BootId, DiskFile, Lock, LockFile, SharedWords};

const MAGIC: [u8; 8] = *b"SVF CTRL";
pub(crate) const FORMAT: u32 = 2;
const LEN: u64 = 4096;

/// The first bytes, which never change.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    format: U32,
    /// CRC-32C of all bytes before it.
    checksum: U32,
}

/// Which word of the file is what, counted from its start.
const BOOT_ID: u64 = 8;
const MAX_BYTES: u64 = 10;
const USED: u64 = 11;
const RECOUNT_WANTED: u64 = 12;
const GATE_HINT: u64 = 13;
const IN_SECTIONS: u64 = 14;
const FILLED: u64 = 16;
const PERIOD: u64 = 17;
const DIRECTORIES: u64 = 18;

/// The bytes that are locked lie far behind the end.
const GATE: Range<u64> = 1 << 48..(1 << 48) + 1;
const SECTION: Range<u64> = (1 << 48) + 1..(1 << 48) + 2;
const EVICTOR: Range<u64> = (1 << 48) + 2..(1 << 48) + 3;
/// Who changes the limit has it, on a descriptor of its own, until what is beyond a smaller one has gone.
pub(crate) const LIMIT: Range<u64> = (1 << 48) + 3..(1 << 48) + 4;
const KEYS: u64 = 1 << 49;

/// What the control file of a directory turned out to be.
#[derive(Debug)]
pub(crate) enum Opened {
    Good(Control),
    /// It is of another format, and somebody may be using it.
    OtherFormat(u32),
    /// Parts of files cannot be given back here, so nothing could be evicted.
    WithoutPunching,
}

/// The open control file.
#[derive(Debug)]
pub(crate) struct Control {
    words: SharedWords,
    /// The section lock, which is shared by the threads of this process.
    sections: LockFile,
    /// The gate and the locks of keys.
    others: LockFile,
}

impl Control {
    /// Opens the control file, and makes or repairs it where that is needed. A new one says that it has to be
    /// recounted.
    pub(crate) fn open(files: &Files) -> io::Result<Opened> {
        let path = files.control();
        if let Err(error) = files.disk.open(&path, Access::ReadWrite) {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            create(files)?;
        }
        let file = files.disk.open(&path, Access::ReadWrite)?;
        let sections = files.disk.open_lock(&path)?;
        let others = files.disk.open_lock(&path)?;
        match check(&*file) {
            Ok(Ok(())) => {}
            Ok(Err(format)) => return Ok(Opened::OtherFormat(format)),
            Err(error) if is_damage(&error) => repair(&*file, &sections, &error)?,
            Err(error) => return Err(error),
        }
        // Behind the end, where there is nothing to give back: it tells whether the file system can.
        if file.punch(LEN..2 * LEN).is_err_and(|error| is_unsupported(&error)) {
            return Ok(Opened::WithoutPunching);
        }
        Ok(Opened::Good(Self { words: file.map_words(0..LEN)?, sections, others }))
    }

    pub(crate) fn boot_id(&self) -> BootId {
        [self.load(BOOT_ID), self.load(BOOT_ID + 1)]
    }

    pub(crate) fn set_boot_id(&self, [high, low]: BootId) {
        // An id that is torn is nobody's, and means only another recount.
        self.store(BOOT_ID, high);
        self.store(BOOT_ID + 1, low);
    }

    /// The limit in bytes; none if nobody has set one yet.
    pub(crate) fn max_bytes(&self) -> Option<u64> {
        Some(self.load(MAX_BYTES)).filter(|&bytes| bytes > 0)
    }

    /// Whoever reserves something looks at the limit again once that is charged; and whoever lowers it looks at what is
    /// charged afterwards. All of these are in one order, so that one of the two sees the other.
    pub(crate) fn set_max_bytes(&self, bytes: u64) {
        self.store(MAX_BYTES, bytes);
    }

    /// Takes back a limit that one has set, unless somebody has set another one since.
    pub(crate) fn restore_max_bytes(&self, own: u64, before: u64) {
        if let Some(limit) = self.word(MAX_BYTES) {
            // Another one's stays.
            _ = limit.compare_exchange(own.to_le(), before.to_le(), Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.load(USED)
    }

    pub(crate) fn set_used(&self, bytes: u64) {
        self.store(USED, bytes);
    }

    /// Changes `used`, unless `change` gives nothing; whether it did.
    pub(crate) fn update_used(&self, mut change: impl FnMut(u64) -> Option<u64>) -> bool {
        self.word(USED).is_some_and(|used| {
            let change = |bytes| change(u64::from_le(bytes)).map(u64::to_le);
            used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, change).is_ok()
        })
    }

    /// How many of the bytes in `used` stand for what the directories themselves take beyond the fixed part.
    pub(crate) fn directories(&self) -> u64 {
        self.load(DIRECTORIES)
    }

    pub(crate) fn set_directories(&self, bytes: u64) {
        self.store(DIRECTORIES, bytes);
    }

    /// Raises it from what it was found to be, unless somebody has changed it meanwhile; whether it did.
    pub(crate) fn raise_directories(&self, from: u64, to: u64) -> bool {
        self.word(DIRECTORIES).is_some_and(|word| {
            word.compare_exchange(from.to_le(), to.to_le(), Ordering::SeqCst, Ordering::SeqCst).is_ok()
        })
    }

    /// How often a part of the limit has been filled: the time by which uses are compared.
    pub(crate) fn period(&self) -> u64 {
        self.load(PERIOD)
    }

    /// How many bytes of the current period have been filled.
    pub(crate) fn filled(&self) -> u64 {
        self.load(FILLED)
    }

    /// Counts bytes that are filled, and the periods of `length` bytes that are full by them.
    pub(crate) fn pass(&self, bytes: u64, length: u64) {
        let (Some(filled), Some(period)) = (self.word(FILLED), self.word(PERIOD)) else { return };
        let count = |before| Some(u64::from_le(before).saturating_add(bytes).to_le());
        let before = filled.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).unwrap_or_default();
        let sum = u64::from_le(before).saturating_add(bytes);
        // One of those who see a full period counts it; that the others' bytes belong to the next does not matter.
        if sum >= length
            && filled
                .compare_exchange(sum.to_le(), (sum % length).to_le(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let count = |period| Some(u64::from_le(period).wrapping_add(sum / length).to_le());
            _ = period.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        }
    }

    /// Whether somebody has seen that `used` may be too high.
    pub(crate) fn recount_wanted(&self) -> bool {
        self.load(RECOUNT_WANTED) != 0
    }

    pub(crate) fn want_recount(&self, wanted: bool) {
        self.store(RECOUNT_WANTED, wanted.into());
    }

    /// Whether another process holds the gate. A hint in memory saves the system call: it is set before the gate is
    /// used, and what a dead process leaves of it costs only this look.
    pub(crate) fn gate_is_closed(&self) -> bool {
        // Who cannot find out stays out.
        self.load(GATE_HINT) != 0 && self.others.conflict(GATE).map_or(true, |conflict| conflict.is_some())
    }

    /// Keeps all other processes from entering sections, until [`open_gate`](Self::open_gate) or this process's end.
    pub(crate) fn try_close_gate(&self) -> io::Result<bool> {
        let closed = self.others.try_lock(GATE, Lock::Exclusive)?;
        if closed {
            self.store(GATE_HINT, 1);
        }
        Ok(closed)
    }

    pub(crate) fn open_gate(&self) {
        self.store(GATE_HINT, 0);
        self.others.unlock(GATE);
    }

    /// The lock of the sections of this process, of which there is one, however many threads are in one.
    pub(crate) fn try_lock_sections(&self, lock: Lock) -> io::Result<bool> {
        self.sections.try_lock(SECTION, lock)
    }

    pub(crate) fn unlock_sections(&self) {
        self.sections.unlock(SECTION);
    }

    /// Makes this process the one that evicts ahead of need, until it lets go or ends.
    pub(crate) fn try_lock_evictor(&self) -> io::Result<bool> {
        self.others.try_lock(EVICTOR, Lock::Exclusive)
    }

    pub(crate) fn unlock_evictor(&self) {
        self.others.unlock(EVICTOR);
    }

    /// Whether another process is in a section, or recounts. This one's lock does not count.
    pub(crate) fn others_in_sections(&self) -> io::Result<bool> {
        Ok(self.sections.conflict(SECTION)?.is_some())
    }

    /// How many processes are in sections; and how many were, and died. Exact only while nobody is in one.
    pub(crate) fn in_sections(&self) -> u64 {
        self.load(IN_SECTIONS)
    }

    /// Notes, under its section lock, that this process is in a section, and gives what stood there before.
    pub(crate) fn note_in_section(&self) -> u64 {
        self.change_in_sections(|count| count.saturating_add(1))
    }

    /// The opposite, before the lock is given back.
    pub(crate) fn note_out_of_section(&self) {
        self.change_in_sections(|count| count.saturating_sub(1));
    }

    /// While nobody is in a section: who is noted is dead.
    pub(crate) fn forget_the_dead(&self) {
        self.store(IN_SECTIONS, 0);
    }

    fn change_in_sections(&self, change: impl Fn(u64) -> u64) -> u64 {
        let change = |count| Some(change(u64::from_le(count)).to_le());
        let before = self.word(IN_SECTIONS).map(|word| word.fetch_update(Ordering::AcqRel, Ordering::Acquire, change));
        before.map_or(0, |before| u64::from_le(before.unwrap_or_default()))
    }

    /// The lock of a key by its number, which excludes other processes; threads are excluded before.
    pub(crate) fn try_lock_key(&self, number: u64) -> io::Result<bool> {
        self.others.try_lock(key_byte(number), Lock::Exclusive)
    }

    pub(crate) fn unlock_key(&self, number: u64) {
        self.others.unlock(key_byte(number));
    }

    fn word(&self, index: u64) -> Option<&AtomicU64> {
        self.words.get(index)
    }

    fn load(&self, index: u64) -> u64 {
        self.word(index).map_or(0, |word| u64::from_le(word.load(Ordering::SeqCst)))
    }

    fn store(&self, index: u64, value: u64) {
        if let Some(word) = self.word(index) {
            word.store(value.to_le(), Ordering::SeqCst);
        }
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(libc::EOPNOTSUPP)
}

fn key_byte(number: u64) -> Range<u64> {
    KEYS + number..KEYS + number + 1
}

/// Makes a control file that is whole, and gives it its name unless there is one by now.
fn create(files: &Files) -> io::Result<()> {
    let temporary = temporary(&files.control());
    let file = files.disk.create(&temporary)?;
    let linked = write(&*file).and_then(|()| files.disk.link(&temporary, &files.control()));
    files.remove(&temporary);
    match linked {
        // Another process was faster; and if it has tidied up since, the file for the link is gone as well.
        Err(_) if files.disk.file_id(&files.control()).is_ok() => Ok(()),
        linked => linked,
    }
}

/// All of it allocated, so that no store into it ever needs a block; and the directory itself charged, though nobody
/// has counted anything yet.
fn write(file: &dyn DiskFile) -> io::Result<()> {
    file.set_len(LEN)?;
    file.allocate(0..LEN)?;
    let mut header = Header { magic: MAGIC, format: FORMAT.into(), checksum: 0.into() };
    header.checksum = computed_checksum(&header).into();
    let mut bytes = [0; LEN as usize];
    bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
    bytes[USED as usize * 8..][..8].copy_from_slice(&DIRECTORY_CHARGE.to_le_bytes());
    file.write_all_at(&bytes, 0)
}

fn computed_checksum(header: &Header) -> u32 {
    let bytes = header.as_bytes();
    crc32c(&bytes[..bytes.len() - size_of::<U32>()])
}

/// Whether it is a control file of our format; else the number of the format that it is of, or what is wrong.
fn check(file: &dyn DiskFile) -> io::Result<Result<(), u32>> {
    let damaged = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    if file.len()? != LEN {
        return damaged("it has the wrong length");
    }
    let mut header = Header::new_zeroed();
    file.read_exact_at(header.as_mut_bytes(), 0)?;
    if header.magic != MAGIC || header.checksum != computed_checksum(&header) {
        return damaged("it does not begin as a control file does");
    }
    Ok(if header.format == FORMAT { Ok(()) } else { Err(header.format.get()) })
}

/// Writes it anew, while nobody is in a section. What it counted is lost, so it has to be recounted.
fn repair(file: &dyn DiskFile, sections: &LockFile, reason: &io::Error) -> io::Result<()> {
    tracing::warn!(%reason, "the control file is damaged, is written anew, and everything will be counted");
    if !sections.try_lock(SECTION, Lock::Exclusive)? {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "the control file is damaged and in use"));
    }
    // Another process may have been faster.
    let repaired = if check(file).is_ok() { Ok(()) } else { write(file) };
    sections.unlock(SECTION);
    repaired
}
