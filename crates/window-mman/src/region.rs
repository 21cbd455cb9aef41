//! Regions: pieces of files that are mapped, each shared by all who look into it.
//!
//! A [`Region`] is what the pool keeps; a [`Pin`] holds one; a [`Window`] is a pin that knows where the bytes are, on
//! which views and cursors are built.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::core::Core;
use crate::error::CopyError;
use crate::handle::Handle;
use crate::pool::{Entry, Held, Key};
use crate::source::Source;
use crate::sys::{Mapping, fault, read_fully};

/// Which region: the file, and from where to where, in bytes.
///
/// The end is part of it, since the last window of a file that has grown is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegionKey {
    pub(crate) file: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Key for RegionKey {
    type Group = u64;

    fn group(&self) -> u64 {
        self.file
    }

    #[inline]
    fn hash(&self) -> u64 {
        // Both halves of a product of both, so that every bit of the one reaches the upper bits of the other.
        let left = self.start ^ self.file.rotate_left(40) ^ 0x9E37_79B9_7F4A_7C15;
        let right = self.end ^ 0xD1B5_4A32_D192_ED03;
        let product = u128::from(left).wrapping_mul(u128::from(right.wrapping_mul(0xF135_7AEA_2E62_A9C5)));
        (product >> 64) as u64 ^ product as u64
    }
}

/// A piece of a file that is mapped as long as the pool keeps it.
pub(crate) struct Region {
    /// None in what was given up, when its memory is used for another one.
    mapping: Option<Mapping>,
    /// How many bytes of it are the file's.
    len: usize,
    source: Arc<Source>,
}

impl Region {
    pub(crate) fn new(mapping: Mapping, len: usize, source: Arc<Source>) -> Self {
        Self { mapping: Some(mapping), len, source }
    }

    /// Its memory, to be used for another one of `len` bytes, if another one can be mapped over it.
    pub(crate) fn take_mapping(&mut self, len: usize) -> Option<Mapping> {
        self.mapping.take_if(|mapping| mapping.can_be_mapped_over(len))
    }

    /// Its reference to its source, if that is this one, of a region whose memory was taken.
    pub(crate) fn take_source(old: &mut Option<Self>, source: &Arc<Source>) -> Option<Arc<Source>> {
        let hollow = old.take_if(|old| old.mapping.is_none() && Arc::ptr_eq(&old.source, source));
        hollow.map(|hollow| hollow.source)
    }

    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("len", &self.len).finish_non_exhaustive()
    }
}

/// The number of no cell: a pin on it holds nothing.
const NOTHING: u32 = u32::MAX;

/// Holds a region: it stays mapped where it is for as long as this or a clone lives.
#[derive(Debug)]
pub(crate) struct Pin {
    core: Arc<Core>,
    number: u32,
}

impl Pin {
    pub(crate) fn entry(&self) -> Option<&Entry<RegionKey, Region>> {
        #[expect(unsafe_code, reason = "reads what is pinned")]
        // SAFETY: a `Pin` has a pin on its cell from its making to its drop, or no cell.
        unsafe {
            self.core.regions.get(self.number)
        }
    }
}

impl Clone for Pin {
    fn clone(&self) -> Self {
        self.core.regions.pin_again(self.number);
        Self { core: Arc::clone(&self.core), number: self.number }
    }
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        self.core.regions.release(self.number);
    }
}

/// A held region with its address.
#[derive(Clone)]
pub(crate) struct Window {
    pin: Pin,
    place: Place,
    /// By what copies are made where they are not made from the memory: it keeps the file open.
    handle: Option<Arc<Handle>>,
}

/// Where the bytes of a window are: good as long as its pin lives.
#[derive(Clone, Copy)]
struct Place {
    address: *const u8,
    /// Which bytes of the file are there: from where, and how many.
    start: u64,
    len: u64,
}

#[expect(unsafe_code, reason = "a pointer that is good on every thread")]
// SAFETY: it is a number here. Who looks behind it says why that is right, for whatever thread: what is there is a
// mapping for the whole process, and is only read.
unsafe impl Send for Place {}
#[expect(unsafe_code, reason = "a pointer that is good on every thread")]
// SAFETY: as above.
unsafe impl Sync for Place {}

/// A region that is held, of the regions of a core.
pub(crate) type HeldRegion<'a> = Held<'a, RegionKey, Region>;

impl Window {
    /// The window of a region of `core`, of a file with this handle. `None` never happens: what is held is there.
    pub(crate) fn new(core: &Arc<Core>, held: HeldRegion<'_>, handle: &Arc<Handle>) -> Option<Self> {
        let (place, direct) = Place::of(core, &held)?;
        let handle = if direct { None } else { Some(Arc::clone(handle)) };
        Some(Self { pin: Pin { number: held.into_number(), core: Arc::clone(core) }, place, handle })
    }

    /// Holds another region, of `core`, instead of one that [was let go of](Self::change_to). `None` never happens, as
    /// for [`new`](Self::new); then it holds nothing.
    ///
    /// The reference to the tables, which are mostly the same, is kept: to count it down and up again takes as long as
    /// a lock.
    #[inline]
    pub(crate) fn hold(&mut self, core: &Arc<Core>, held: HeldRegion<'_>, handle: &Arc<Handle>) -> Option<()> {
        if Arc::ptr_eq(core, &self.pin.core) {
            let (place, direct) = Place::of(core, &held)?;
            (self.pin.number, self.place) = (held.into_number(), place);
            read_by(&mut self.handle, direct, handle);
        } else {
            *self = Self::new(core, held, handle)?;
        }
        Some(())
    }

    #[inline]
    pub(crate) fn span(&self) -> Range<u64> {
        self.place.start..self.place.start + self.place.len
    }

    /// Changes to the region of another key, if the same tables have it mapped. The one held before is let go of in any
    /// case, and first, so that no more is held than is looked at: if the other one is not there the window holds
    /// nothing, and has no bytes.
    #[inline]
    pub(crate) fn change_to(&mut self, key: &RegionKey, handle: &Arc<Handle>) -> bool {
        let Self { pin, place, handle: reader } = self;
        // Before the old one is let go of, which takes as long as the processor needs for it.
        let trail = pin.core.regions.trail(key);
        // Whatever comes between here and the next.
        place.len = 0;
        pin.core.regions.release(std::mem::replace(&mut pin.number, NOTHING));
        if let Some(found) = pin.core.regions.find_along(trail, key)
            && let Some((there, direct)) = Place::of(&pin.core, &found)
        {
            (pin.number, *place) = (found.into_number(), there);
            read_by(reader, direct, handle);
            return true;
        }
        false
    }

    /// Lets go of it, and has it unmapped at once if it was mapped for this one, and nobody else has ever asked for it.
    pub(crate) fn discard(self) {
        self.pin.core.regions.dismiss_own(self.pin.number);
    }

    /// Whether the byte at this offset is there.
    #[inline]
    pub(crate) fn has(&self, offset: u64) -> bool {
        offset.wrapping_sub(self.place.start) < self.place.len
    }

    /// The address of these bytes, if all of them are there.
    #[inline]
    pub(crate) fn address_of(&self, range: &Range<u64>) -> Option<*const u8> {
        // What is before the start or reversed comes out as more than any region has.
        let Place { address, start, len } = self.place;
        let place = range.start.wrapping_sub(start);
        let there = place <= len && range.end.wrapping_sub(range.start) <= len - place;
        // Within the region, whose length is that of memory.
        there.then(|| address.wrapping_add(place as usize))
    }

    /// These bytes, if all of them are there.
    ///
    /// # Safety
    ///
    /// As long as the slice is used, nobody changes or cuts off these bytes of the file.
    #[expect(unsafe_code, reason = "hands out memory on a promise about a file")]
    #[inline]
    pub(crate) unsafe fn slice(&self, range: &Range<u64>) -> Option<&[u8]> {
        let address = self.address_of(range)?;
        // SAFETY: the bytes are in the mapping, as `address_of` has checked, which stays as long as `self` does, by
        // its pin; that nobody changes them the caller promises. A mapping is not longer than a slice may be.
        Some(unsafe { std::slice::from_raw_parts(address, (range.end - range.start) as usize) })
    }

    /// Copies the bytes from `offset` on, all of which are there, into `out`; an error if the file does not give them.
    #[inline]
    pub(crate) fn copy_to(&self, offset: u64, out: &mut [u8]) -> Result<(), CopyError> {
        let range = offset..offset.saturating_add(out.len() as u64);
        let Some(from) = self.address_of(&range) else {
            return Err(CopyError::OutOfBounds { range, within: self.span() });
        };
        let Some(handle) = &self.handle else {
            #[expect(unsafe_code, reason = "copies from an address")]
            // SAFETY: the bytes are in a mapping that is held by the pin, and `out` is a slice of its own.
            let copied = unsafe { fault::copy(out.as_mut_ptr(), from, out.len()) };
            return copied.map_err(|fault::Fault| CopyError::Fault { path: self.path(), range });
        };
        read_to(handle, range, out)
    }

    pub(crate) fn mapping(&self) -> Option<&Mapping> {
        self.region().and_then(|region| region.mapping.as_ref())
    }

    /// The region itself.
    pub(crate) fn region(&self) -> Option<&Region> {
        self.pin.entry().map(|entry| &entry.value)
    }

    fn path(&self) -> Option<std::path::PathBuf> {
        self.region().and_then(|region| region.source.path.as_deref().map(std::path::Path::to_path_buf))
    }
}

impl Place {
    /// Where the bytes of a region are, and whether copies can be made from there.
    #[inline]
    fn of(core: &Core, held: &HeldRegion<'_>) -> Option<(Self, bool)> {
        let Entry { key, value: region, .. } = held.entry()?;
        let mapping = region.mapping.as_ref()?;
        // The region is no longer than the mapping, and the key says how long it is.
        let len = Some(region.len as u64).filter(|len| key.start.checked_add(*len) == Some(key.end))?;
        let direct = fault::SUPPORTED && core.settings.fault_recovery && mapping.shows_the_file();
        Some((Self { address: mapping.address(), start: key.start, len }, direct))
    }
}

/// Has copies made from the memory or by the handle: one region of a file may be mapped, and another one read because
/// it could not be.
#[inline]
fn read_by(reader: &mut Option<Arc<Handle>>, direct: bool, handle: &Arc<Handle>) {
    if direct != reader.is_none() {
        *reader = if direct { None } else { Some(Arc::clone(handle)) };
    }
}

/// Copies these bytes by the descriptor.
#[cold]
fn read_to(handle: &Handle, range: Range<u64>, out: &mut [u8]) -> Result<(), CopyError> {
    let Handle { core, source, path, .. } = handle;
    let path = || path.clone();
    match source.with_file(core, |file| read_fully(&*core.settings.sys, file, out, range.start)) {
        Ok(Ok(count)) if count == out.len() => Ok(()),
        Ok(Ok(_)) => Err(CopyError::Fault { path: path(), range }),
        Ok(Err(source)) => Err(CopyError::Io { path: path(), range, source }),
        Err(error) => Err(CopyError::Reopen { path: path(), range, source: error.into() }),
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("span", &self.span()).finish_non_exhaustive()
    }
}
