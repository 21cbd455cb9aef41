//! The head of a key: which version of the object was current when it was last looked at, and which pair holds it.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32c;
use crate::origin::Stat;

const MAGIC: [u8; 8] = *b"SVF HEAD";
const FORMAT: u32 = 1;
/// No head, in bytes, is written that is longer; a longer file is not read. It takes a block, for which its pair is
/// charged, and another one while it is replaced.
pub(crate) const MAX_LEN: u64 = 4 << 10;

#[derive(Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Preamble {
    magic: [u8; 8],
    format: U32,
    /// CRC-32C of the body.
    checksum: U32,
}

/// What is known of the object behind a key without asking its origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) key: String,
    pub(crate) stat: Stat,
    /// When the origin last confirmed it, in milliseconds since 1970.
    checked: u64,
    /// The name of the pair that holds it.
    pub(crate) pair: String,
    /// What else the origin told of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Head {
    /// A head that was confirmed at this moment.
    pub(crate) fn new(key: String, stat: Stat, pair: String) -> Self {
        Self { key, stat, checked: to_millis(SystemTime::now()), pair, attributes: BTreeMap::new() }
    }

    pub(crate) fn with_attributes(self, attributes: BTreeMap<String, String>) -> Self {
        Self { attributes, ..self }
    }

    /// The same of another pair: as old, and as doubtful.
    pub(crate) fn with_pair(self, pair: String) -> Self {
        Self { pair, ..self }
    }

    /// The same, to be checked by the next who opens it under any policy.
    pub(crate) fn doubted(self) -> Self {
        Self { checked: 0, ..self }
    }

    /// Whether a reader has found that the object is no longer this.
    pub(crate) fn is_doubted(&self) -> bool {
        self.checked == 0
    }

    pub(crate) fn checked(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.checked)
    }

    /// How long ago it was confirmed; `None` if that lies in the future, as after a clock was set back.
    pub(crate) fn age(&self) -> Option<Duration> {
        to_millis(SystemTime::now()).checked_sub(self.checked).map(Duration::from_millis)
    }

    /// An error if it is too long to be read again.
    pub(crate) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let body = serde_json::to_vec(self)?;
        let len = size_of::<Preamble>() + body.len();
        if len as u64 > MAX_LEN {
            let what = format!(
                "the key, the validators and the attributes take {len} bytes in a head, and no head has more than {MAX_LEN}"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let preamble = Preamble { magic: MAGIC, format: FORMAT.into(), checksum: crc32c(&body).into() };
        Ok([preamble.as_bytes(), &body].concat())
    }

    /// An error says why it is not a head.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (preamble, body) = Preamble::read_from_prefix(bytes).map_err(|_| "it is too short".to_owned())?;
        if preamble.magic != MAGIC {
            return Err("it does not begin as a head does".to_owned());
        }
        if preamble.format != FORMAT {
            return Err(format!("its format is {}, not {FORMAT}", preamble.format));
        }
        if preamble.checksum != crc32c(body) {
            return Err("its checksum is wrong".to_owned());
        }
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }
}

fn to_millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Validators;

    fn head() -> Head {
        let validators = Validators {
            etag: Some("\"a\"".into()),
            version: None,
            date_is_young: false,
            last_modified: Some(UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123_456_789)),
        };
        Head::new("http://host/a".into(), Stat { length: u64::MAX, validators }, "pair".into())
    }

    #[test]
    fn a_head_comes_back_as_it_was() {
        let head = head();
        assert_eq!(Head::from_bytes(&head.to_bytes().unwrap()).unwrap(), head);
        assert!(head.age().unwrap() < Duration::from_secs(60));
        assert!(head.doubted().age().unwrap() > Duration::from_secs(1_000_000_000));
    }

    #[test]
    fn a_head_from_the_future_has_no_age() {
        let head = Head { checked: to_millis(SystemTime::now()) + 60_000, ..head() };
        assert_eq!(head.age(), None);
    }

    #[test]
    fn any_flipped_bit_and_any_other_length_is_found() {
        let good = head().to_bytes().unwrap();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Head::from_bytes(&bytes).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(Head::from_bytes(&good[..len]).is_err(), "length {len}");
        }
        assert!(Head::from_bytes(&[&good[..], b" "].concat()).is_err());
    }
}
