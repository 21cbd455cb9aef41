//! The form of gzip (RFC 1952), with nothing compressed: a client that decodes it gets the bytes.

/// The bytes in stored blocks (RFC 1951, section 3.2.4).
pub(crate) fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    if bytes.is_empty() {
        encoded.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let len = block.len() as u16;
        encoded.push(u8::from(blocks.peek().is_none()));
        encoded.extend(len.to_le_bytes());
        encoded.extend((!len).to_le_bytes());
        encoded.extend_from_slice(block);
    }
    encoded.extend(crc32(bytes).to_le_bytes());
    encoded.extend((bytes.len() as u32).to_le_bytes());
    encoded
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |state, byte| {
        (0..8).fold(state ^ u32::from(*byte), |state: u32, _| (state >> 1) ^ (0xedb8_8320 * (state & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_other_programs_make() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let encoded = stored(b"abc");
        assert_eq!(encoded[10..], [1, 3, 0, 0xfc, 0xff, b'a', b'b', b'c', 0xc2, 0x41, 0x24, 0x35, 3, 0, 0, 0]);
        assert_eq!(stored(&[7; 70_000]).len(), 10 + 2 * 5 + 70_000 + 8);
        assert_eq!(stored(b"").len(), 23);
    }
}
