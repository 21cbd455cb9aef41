//! The memory that chunks are made of: exact, growing, or wiped when it is given back.

use bytes::{Bytes, BytesMut};
use zeroize::Zeroize;

/// Bytes in memory of their own.
pub(super) fn copy_of(parts: &[&[u8]], scrub: bool) -> Bytes {
    let mut copy = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        copy.extend_from_slice(part);
    }
    if scrub { scrubbed(copy) } else { Bytes::from(copy) }
}

/// Takes over bytes that are to be wiped when the last handle to them is dropped.
pub(super) fn scrubbed(bytes: Vec<u8>) -> Bytes {
    Bytes::from_owner(Scrubbed(bytes))
}

/// Bytes in memory that has room for more behind them. They are shareable as they are; [`extend`] goes on where they
/// end for as long as nobody shares them.
pub(super) fn growing(parts: &[&[u8]], capacity: usize) -> (Bytes, usize) {
    let mut buffer = BytesMut::with_capacity(capacity);
    for part in parts {
        buffer.extend_from_slice(part);
    }
    let capacity = buffer.capacity();
    // A buffer that has been split once remembers its capacity when it is frozen, and costs no allocation then.
    drop(buffer.split_off(capacity));
    (buffer.freeze(), capacity)
}

/// Writes `data` behind `bytes`, if there is room and nobody shares them.
pub(super) fn extend(bytes: &mut Bytes, data: &[u8]) -> bool {
    match std::mem::take(bytes).try_into_mut() {
        Ok(mut buffer) => {
            let fits = data.len() <= buffer.capacity() - buffer.len();
            if fits {
                buffer.extend_from_slice(data);
            }
            *bytes = buffer.freeze();
            fits
        }
        Err(shared) => {
            *bytes = shared;
            false
        }
    }
}

/// The bytes, and the size of the allocation that they keep alive, as far as it is known: it can be asked for only
/// if nobody else shares it.
#[inline]
pub(super) fn with_capacity(bytes: Bytes) -> (Bytes, usize) {
    match bytes.try_into_mut() {
        Ok(buffer) => {
            let capacity = buffer.capacity();
            (buffer.freeze(), capacity)
        }
        Err(bytes) => {
            let len = bytes.len();
            (bytes, len)
        }
    }
}

#[derive(Debug)]
struct Scrubbed(Vec<u8>);

impl AsRef<[u8]> for Scrubbed {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Scrubbed {
    fn drop(&mut self) {
        #[cfg(test)]
        let len = self.0.len();
        // Wipes all of the capacity, and makes the vector empty.
        self.0.zeroize();
        #[cfg(test)]
        wiped::add(len, self.0.spare_capacity_mut().len());
    }
}

/// How many bytes this thread has wiped, for tests.
#[cfg(test)]
pub(crate) mod wiped {
    use std::cell::Cell;

    thread_local! {
        static WIPED: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn add(len: usize, capacity: usize) {
        assert_eq!(len, capacity, "scrubbed memory has no room that is not wiped");
        WIPED.set(WIPED.get() + len as u64);
    }

    pub(crate) fn take() -> u64 {
        WIPED.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_bytes_grow_in_place_until_somebody_shares_them() {
        let (mut bytes, capacity) = growing(&[b"ab", b"c"], 64);
        assert!(capacity >= 64);
        let address = bytes.as_ptr();
        assert!(extend(&mut bytes, b"def"));
        assert_eq!((bytes.as_ptr(), &bytes[..]), (address, &b"abcdef"[..]));
        let reader = bytes.slice(2..4);
        assert!(!extend(&mut bytes, b"ghi"));
        assert_eq!((&bytes[..], &reader[..]), (&b"abcdef"[..], &b"cd"[..]));
        drop(reader);
        assert!(!extend(&mut bytes, &[0; 64]), "there is no room for so many");
        assert!(extend(&mut bytes, b"ghi"));
        assert_eq!((bytes.as_ptr(), &bytes[..]), (address, &b"abcdefghi"[..]));
    }

    #[test]
    fn the_allocation_behind_unshared_bytes_is_known() {
        let parent = Bytes::from(vec![1; 10_000]);
        let mut part = parent.slice(9_000..9_010);
        assert_eq!(with_capacity(part.clone()).1, 10, "the parent is alive anyway");
        drop(parent);
        let capacity;
        (part, capacity) = with_capacity(part);
        assert_eq!((capacity, part.len()), (1_000, 10));
        assert_eq!(with_capacity(Bytes::from_static(b"abc")).1, 3);
    }

    #[test]
    fn scrubbed_bytes_are_wiped_when_the_last_handle_goes() {
        wiped::take();
        let bytes = copy_of(&[b"secret"], true);
        let part = bytes.slice(1..3);
        drop(bytes);
        assert_eq!((wiped::take(), &part[..]), (0, &b"ec"[..]));
        drop(part);
        assert_eq!(wiped::take(), 6);
    }
}
