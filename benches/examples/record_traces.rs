//! Records which pieces of a file its reader asks for, and in which order: the files in `benches/traces`.
//!
//! ```text
//! cargo run --release --package svf-benches --example record_traces
//! ```
//!
//! A TIFF, a ZIP and a Parquet file are read by crates of others. What reads HDF5 and RP66V1 here only walks over files
//! that are laid out as theirs are: a chunk of HDF5 is behind a B-tree, and an RP66V1 file has no index at all, so that
//! who wants one reads the four bytes before each of its records. Two more have no reader.

#![expect(clippy::unwrap_used, reason = "what cannot be recorded is no trace")]

#[path = "../formats/mod.rs"]
mod formats;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use formats::FORMATS;
use svf_benches::{Random, SEED, random_reads};

/// A file that notes what is read of it.
struct Recording {
    file: File,
    reads: Arc<Mutex<Vec<Range<u64>>>>,
}

impl Read for Recording {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let start = self.file.stream_position()?;
        let count = self.file.read(out)?;
        self.reads.lock().unwrap().push(start..start + count as u64);
        Ok(count)
    }
}

impl Seek for Recording {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// Records what is read of the file at a path.
fn record(name: &str, path: &Path, read: impl FnOnce(Recording)) {
    let (file, reads) = (File::open(path).unwrap(), Arc::new(Mutex::new(Vec::new())));
    let len = file.metadata().unwrap().len();
    read(Recording { file, reads: Arc::clone(&reads) });
    write(name, len, &reads.lock().unwrap());
}

/// Writes a trace: the length of the file, and a line for each read that got anything.
fn write(name: &str, len: u64, reads: &[Range<u64>]) {
    let mut lines = format!("# of a file of {len} bytes, offset and length of each read\n");
    for read in reads.iter().filter(|read| !read.is_empty()) {
        writeln!(lines, "{} {}", read.start, read.end - read.start).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces").join(name);
    std::fs::write(path.with_extension("txt"), lines).unwrap();
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    for format in &FORMATS {
        format.write(&path);
        record(format.name, &path, |recording| format.read(recording));
    }
    write_chunks(&File::create(&path).unwrap());
    record("hdf5-slice", &path, read_slice);
    write_records(&File::create(&path).unwrap());
    record("rp66v1-index", &path, read_index);
    let len = 64 << 20;
    write("scattered", len, &random_reads(500, 4 << 10, 512, len, SEED));
    let mut random = Random::new(SEED);
    let mut at = 0;
    let forward: Vec<_> = (0..1_000)
        .map(|_| {
            let start = at + random.below(20_000);
            at = start + 100 + random.below(2_000);
            start..at
        })
        .collect();
    write("forward-with-gaps", len, &forward);
}

/// Nodes of a B-tree that has one leaf for each 64 chunks, each node with addresses of eight bytes.
const LEAVES: u64 = 32;
const CHUNKS: u64 = 64;
const CHUNK: u64 = 16 << 10;
const NODE: u64 = 24 + 65 * 24 + CHUNKS * 8;

/// A superblock, the headers of a group and of a dataset, and the tree; each leaf stands before its chunks.
fn write_chunks(file: &File) {
    let (root, first) = (2_048, 8_192);
    let leaf = |number: u64| first + number * (NODE + CHUNKS * CHUNK);
    file.set_len(leaf(LEAVES)).unwrap();
    file.write_all_at(b"\x89HDF\r\n\x1a\n", 0).unwrap();
    // Where the tree of the only dataset is, as its header says.
    file.write_all_at(&u64::to_le_bytes(root), 800).unwrap();
    for number in 0..LEAVES {
        file.write_all_at(&leaf(number).to_le_bytes(), root + 24 + number * 32).unwrap();
        for chunk in 0..CHUNKS {
            let address = leaf(number) + NODE + chunk * CHUNK;
            file.write_all_at(&address.to_le_bytes(), leaf(number) + 24 + chunk * 32).unwrap();
        }
    }
}

/// One chunk of each leaf, as a slice along the slowest axis has it.
fn read_slice(mut file: Recording) {
    let mut read = |offset: u64, length: u64| {
        let mut bytes = vec![0; length as usize];
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        bytes
    };
    let address = |node: &[u8], entry: u64| {
        let at = 24 + entry as usize * 32;
        u64::from_le_bytes(*node[at..].first_chunk().unwrap())
    };
    assert_eq!(&read(0, 96)[..4], b"\x89HDF");
    // The header of the root group, its heap and its node of symbols, and the header of the dataset.
    for (offset, length) in [(96, 40), (136, 544), (680, 88)] {
        read(offset, length);
    }
    let dataset = read(768, 272);
    let root = read(u64::from_le_bytes(*dataset[32..].first_chunk().unwrap()), NODE);
    for number in 0..LEAVES {
        let leaf = read(address(&root, number), NODE);
        read(address(&leaf, 17), CHUNK);
    }
}

const RECORD: u64 = 8 << 10;
const RECORDS: u64 = 1_500;

/// A label of a storage unit, and visible records of one segment each.
fn write_records(file: &File) {
    file.set_len(80 + RECORDS * RECORD).unwrap();
    for record in 0..RECORDS {
        let segment = ((RECORD - 4) as u16).to_be_bytes();
        let header = [(RECORD as u16).to_be_bytes(), [0xFF, 1], segment, [0, (record % 7) as u8]].concat();
        file.write_all_at(&header, 80 + record * RECORD).unwrap();
    }
}

/// The headers of all records, and then every hundredth as a whole.
fn read_index(mut file: Recording) {
    let (mut at, mut index) = (80, Vec::new());
    file.read_exact(&mut [0; 80]).unwrap();
    for _ in 0..RECORDS {
        let mut header = [0; 8];
        file.seek(SeekFrom::Start(at)).unwrap();
        // Of the visible record, and of its first segment.
        file.read_exact(&mut header[..4]).unwrap();
        file.read_exact(&mut header[4..]).unwrap();
        let length = u64::from(u16::from_be_bytes([header[0], header[1]]));
        index.push(at..at + length);
        at += length;
    }
    for record in index.iter().step_by(100) {
        let mut bytes = vec![0; (record.end - record.start) as usize];
        file.seek(SeekFrom::Start(record.start)).unwrap();
        file.read_exact(&mut bytes).unwrap();
    }
}
