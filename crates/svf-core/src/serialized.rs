//! Feature `serde`: how what is held is written down and taken up again, with its version, its options and the order
//! in which it was used.
//!
//! What is read is checked, and never trusted: it may come from anywhere. Bytes that are scrubbed in memory are not
//! scrubbed where a serializer puts them.

use std::ops::Range;

use bytes::Bytes;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::block_map::{BlockMap, BlockMapOptions, LATEST};
use crate::range_set::RangeSet;
use crate::sparse_virtual_file::{SparseVirtualFile, SparseVirtualFileOptions};
use crate::version::Version;

/// As the list of its ranges.
impl Serialize for RangeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

/// From ranges in any order, none of them empty or reversed.
impl<'de> Deserialize<'de> for RangeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ranges: Vec<Range<u64>> = Vec::deserialize(deserializer)?;
        match ranges.iter().find(|range| range.is_empty()) {
            Some(empty) => Err(D::Error::custom(format_args!("the range {empty:?} is empty"))),
            None => Ok(ranges.into_iter().collect()),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "BlockMap")]
struct SerializedMap {
    #[serde(default)]
    options: BlockMapOptions,
    /// The clock of uses.
    epoch: u64,
    chunks: Vec<SerializedChunk>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Chunk")]
struct SerializedChunk {
    offset: u64,
    /// When it was used last.
    epoch: u64,
    bytes: Bytes,
}

impl From<&BlockMap> for SerializedMap {
    fn from(map: &BlockMap) -> Self {
        let chunks = map.chunks_with_epochs().map(|(offset, bytes, epoch)| SerializedChunk { offset, epoch, bytes });
        let chunks = chunks.collect();
        // Looked at last: other threads may use the map meanwhile, and nothing is used later than now.
        Self { options: map.options(), epoch: map.epoch(), chunks }
    }
}

impl TryFrom<SerializedMap> for BlockMap {
    type Error = String;

    fn try_from(serialized: SerializedMap) -> Result<Self, String> {
        let SerializedMap { options, epoch, chunks } = serialized;
        if LATEST < epoch {
            return Err(format!("the epoch {epoch} is later than any can be"));
        }
        let mut map = Self::with_options(options);
        map.set_epoch(epoch);
        for chunk in chunks {
            let (offset, len) = (chunk.offset, chunk.bytes.len() as u64);
            if len == 0 {
                return Err(format!("the chunk at offset {offset} is empty"));
            }
            if epoch < chunk.epoch {
                return Err(format!("the chunk at offset {offset} was used at {}, later than {epoch}", chunk.epoch));
            }
            if offset.checked_add(len).is_none() {
                return Err(format!("the {len} bytes at offset {offset} end beyond 2^64 - 1"));
            }
            if offset < map.end() {
                return Err(format!("the chunk at offset {offset} starts before the end of the one before it"));
            }
            map.append_chunk(offset, chunk.bytes, chunk.epoch);
        }
        match options.max_bytes {
            Some(limit) if limit < map.num_bytes() => {
                Err(format!("{} bytes are held, more than the limit of {limit}", map.num_bytes()))
            }
            _ => Ok(map),
        }
    }
}

/// As its options and its chunks, each with the time of its last use. The bytes are shared, not copied.
impl Serialize for BlockMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SerializedMap::from(self).serialize(serializer)
    }
}

/// Checked: chunks that overlap, that are out of order, that reach too far, or that exceed the limit are an error.
impl<'de> Deserialize<'de> for BlockMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SerializedMap::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "SparseVirtualFile")]
struct SerializedFile {
    id: Box<str>,
    #[serde(default)]
    version: Option<Version>,
    #[serde(default)]
    times: Option<bool>,
    map: BlockMap,
}

/// As one state of it: id, version, options, bytes and the order of their use. Counters are not part of it.
impl Serialize for SparseVirtualFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The serializer is foreign code, and runs with nothing locked.
        let (version, map) = self.version_and_snapshot();
        let times = Some(self.options().times);
        SerializedFile { id: self.id().into(), version, times, map }.serialize(serializer)
    }
}

/// Checked, as [`BlockMap`] is.
impl<'de> Deserialize<'de> for SparseVirtualFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SerializedFile { id, version, times, map } = SerializedFile::deserialize(deserializer)?;
        Ok(Self::from_map(id, version, map, times.unwrap_or(SparseVirtualFileOptions::new().times)))
    }
}

#[cfg(feature = "dashmap")]
mod file_system {
    use super::{Deserialize, Deserializer, Serialize, Serializer, SparseVirtualFile};
    use crate::sparse_virtual_file_system::{SparseVirtualFileSystem, SparseVirtualFileSystemOptions};
    use serde::de::Error as _;
    use std::sync::Arc;

    #[derive(Serialize, Deserialize)]
    #[serde(rename = "SparseVirtualFileSystem")]
    struct SerializedFileSystem<File> {
        #[serde(default)]
        options: SparseVirtualFileSystemOptions,
        files: Vec<File>,
    }

    /// As its options and its files, each at some moment of its own, in order of their ids.
    impl Serialize for SparseVirtualFileSystem {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut held = self.files();
            held.sort_by(|one, other| one.id().cmp(other.id()));
            let files: Vec<&SparseVirtualFile> = held.iter().map(Arc::as_ref).collect();
            SerializedFileSystem { options: self.options(), files }.serialize(serializer)
        }
    }

    /// Checked: two files of one id are an error. What exceeds the limit is dropped, since files that were in use were
    /// written down one after the other.
    impl<'de> Deserialize<'de> for SparseVirtualFileSystem {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let serialized = SerializedFileSystem::<SparseVirtualFile>::deserialize(deserializer)?;
            let files = Self::with_options(serialized.options);
            for file in serialized.files {
                files.insert(file).map_err(D::Error::custom)?;
            }
            Ok(files)
        }
    }
}
