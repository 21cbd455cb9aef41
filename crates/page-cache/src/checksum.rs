//! CRC-32C (Castagnoli), the checksum of pages, headers and heads.

use crc_fast::{CrcAlgorithm, Digest, checksum};

pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// The checksum of a page: over the pair's nonce and the page's number, then the page's valid bytes. A page that
/// stands in the wrong place, or in another pair's file, does not have it.
pub(crate) fn page_checksum(nonce: u64, page: u64, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&nonce.to_le_bytes());
    digest.update(&page.to_le_bytes());
    digest.update(bytes);
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_castagnolis() {
        // The check value of the CRC catalogue for CRC-32/ISCSI.
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn a_page_in_another_place_has_another_checksum() {
        let bytes = [7; 4096];
        let here = page_checksum(1, 1, &bytes);
        assert_ne!(here, page_checksum(1, 2, &bytes));
        assert_ne!(here, page_checksum(2, 1, &bytes));
        assert_ne!(page_checksum(1, 1, &[0; 4096]), 0, "zeros are not vouched for by zeros");
        let mut seeded = [1u64.to_le_bytes(), 1u64.to_le_bytes()].concat();
        seeded.extend_from_slice(&bytes);
        assert_eq!(here, crc32c(&seeded));
    }
}
