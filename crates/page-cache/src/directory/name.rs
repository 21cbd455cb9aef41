//! The names of heads and pairs: hashes, so that any key makes a legal file name and no secret shows in one.

use std::hash::{BuildHasher, RandomState};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::origin::Stat;

/// The SHA-256 of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KeyHash(pub(crate) [u8; 32]);

impl KeyHash {
    pub(crate) fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The beginning of the hash, as far as the file name of a head has it: enough to take the key's lock.
    pub(crate) fn from_file_name(name: &str) -> Option<Self> {
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(0..name.len().min(64) / 2) {
            *byte = u8::from_str_radix(name.get(2 * digits..2 * digits + 2)?, 16).ok()?;
        }
        (name.len() == 32).then_some(Self(hash))
    }

    /// The number of the key's lock. Two keys that share one wait for each other, and come to no other harm.
    pub(crate) fn lock_number(&self) -> u64 {
        self.0[..5].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    /// The file name of the key's head.
    pub(crate) fn file_name(&self) -> String {
        hex(&self.0[..16])
    }
}

/// The SHA-256 of what identifies a version: its length and its validators in their normal form.
pub(crate) fn version_hash(stat: &Stat) -> [u8; 32] {
    let identity = stat.validators.identity().unwrap_or_default();
    Sha256::new_with_prefix(stat.length.to_le_bytes()).chain_update(identity).finalize().into()
}

/// The name of a pair, without the endings of its two files: `key hash-version hash-nonce`.
pub(crate) fn pair_name(key: &KeyHash, version: &[u8; 32], nonce: u64) -> String {
    format!("{}-{}-{nonce:016x}", key.file_name(), hex(&version[..8]))
}

/// Whether a pair could have this name, and would then belong to the head of this file name: what else stands there may
/// be the path of any file.
pub(crate) fn is_pair_of(pair: &str, head: &str) -> bool {
    let is_hex =
        |part: &str, len| part.len() == len && part.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&str> = pair.split('-').collect();
    matches!(parts[..], [key, version, nonce] if key == head && is_hex(key, 32) && is_hex(version, 16) && is_hex(nonce, 16))
}

/// The file name of the head that a pair of this name belongs to.
pub(crate) fn head_of_pair(pair: &str) -> Option<&str> {
    pair.split_once('-').map(|(head, _)| head)
}

/// A number that no two pairs share. It needs to be unique, not secret.
pub(crate) fn nonce() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    // The hasher's own keys come from the system's source of randomness.
    RandomState::new().hash_one((SystemTime::now(), process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
