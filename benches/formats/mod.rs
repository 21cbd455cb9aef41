//! Files as parsers have them, each with one part that is read of it: by crates that read anything with `Read + Seek`.
//!
//! A program that measures or records takes this as a module of its own; it is no part of the library, so that its
//! workloads need none of these crates.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use parquet::basic::Type;
use parquet::data_type::Int64Type;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::RowAccessor;
use parquet::schema::types::Type as Schema;
use svf_benches::{SEED, pattern};

/// Whatever a parser reads from.
pub(crate) trait Source: Read + Seek + Send + 'static {}

impl<T: Read + Seek + Send + 'static> Source for T {}

/// A format, a file of it, and a part of that.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    write: fn(&mut File),
    read: fn(Box<dyn Source>) -> Vec<u8>,
    part: fn() -> Vec<u8>,
}

/// Those that are read by crates of others.
pub(crate) const FORMATS: [Format; 3] = [
    Format { name: "tiff-tile", write: write_tiff, read: read_tile, part: tile },
    Format { name: "zip-member", write: write_zip, read: read_member, part: || member(MEMBER) },
    Format { name: "parquet-row-group", write: write_parquet, read: read_row_group, part: row_group },
];

impl Format {
    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) {
        (self.write)(&mut File::options().create(true).truncate(true).read(true).write(true).open(path).unwrap());
    }

    /// Opens a file and reads the part of it, and nothing that is not needed for that; panics if the part is not right.
    pub(crate) fn read(&self, source: impl Source) {
        assert!((self.read)(Box::new(source)) == (self.part)(), "{}: another part", self.name);
    }
}

/// How many tiles of 256 x 256 bytes a row of the image has, and a column.
const TILES: u32 = 64;
const TILE: u32 = 1_234;

fn tile() -> Vec<u8> {
    pattern(256 * 256, SEED)
}

/// A TIFF in tiles with the directory first, as a cloud-optimized one has it. All tiles but one are holes.
fn write_tiff(file: &mut File) {
    let (side, count, length) = (TILES * 256, TILES * TILES, 256 * 256);
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (277, 3, 1, 1),
        (322, 3, 1, 256),
        (323, 3, 1, 256),
        (324, 4, count, 8 + 2 + 10 * 12 + 4),
        (325, 4, count, 8 + 2 + 10 * 12 + 4 + 4 * count),
    ];
    let mut head = b"II\x2a\0\x08\0\0\0\x0a\0".to_vec();
    for (tag, kind, count, value) in entries {
        head.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        head.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    head.extend([0; 4]);
    let first = head.len() as u32 + 8 * count;
    head.extend((0..count).flat_map(|tile| (first + tile * length).to_le_bytes()));
    head.extend((0..count).flat_map(|_| length.to_le_bytes()));
    file.set_len(u64::from(first) + u64::from(count) * u64::from(length)).unwrap();
    file.write_all_at(&head, 0).unwrap();
    file.write_all_at(&tile(), u64::from(first) + u64::from(TILE) * u64::from(length)).unwrap();
}

fn read_tile(source: Box<dyn Source>) -> Vec<u8> {
    let mut decoder = tiff::decoder::Decoder::new(source).unwrap();
    match decoder.read_chunk(TILE).unwrap() {
        tiff::decoder::DecodingResult::U8(read) => read,
        other => panic!("not a byte for each pixel: {other:?}"),
    }
}

const MEMBERS: u64 = 400;
const MEMBER: u64 = 200;

fn member(number: u64) -> Vec<u8> {
    pattern(100_000, number)
}

/// An archive of members that are stored as they are.
fn write_zip(file: &mut File) {
    let mut writer = zip::ZipWriter::new(file);
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for number in 0..MEMBERS {
        writer.start_file(format!("directory/member-{number:03}.bin"), stored).unwrap();
        writer.write_all(&member(number)).unwrap();
    }
    writer.finish().unwrap();
}

fn read_member(source: Box<dyn Source>) -> Vec<u8> {
    let (mut archive, mut read) = (zip::ZipArchive::new(source).unwrap(), Vec::new());
    archive.by_name(&format!("directory/member-{MEMBER:03}.bin")).unwrap().read_to_end(&mut read).unwrap();
    read
}

const GROUPS: i64 = 20;
const ROWS: i64 = 50_000;
const GROUP: i64 = 7;

fn ids(group: i64) -> Vec<i64> {
    (group * ROWS..(group + 1) * ROWS).map(|row| row.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64)).collect()
}

fn row_group() -> Vec<u8> {
    ids(GROUP).into_iter().flat_map(i64::to_le_bytes).collect()
}

/// Two columns of numbers in row groups of 800 KB.
fn write_parquet(file: &mut File) {
    let field = |name| Arc::new(Schema::primitive_type_builder(name, Type::INT64).build().unwrap());
    let fields = vec![field("id"), field("other")];
    let schema = Schema::group_type_builder("rows").with_fields(fields).build().unwrap();
    let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).unwrap();
    for group in 0..GROUPS {
        let mut row_group = writer.next_row_group().unwrap();
        for column in 0..2 {
            let mut writer = row_group.next_column().unwrap().unwrap();
            let values = ids(group + column * GROUPS);
            writer.typed::<Int64Type>().write_batch(&values, Some(&vec![1; values.len()]), None).unwrap();
            writer.close().unwrap();
        }
        row_group.close().unwrap();
    }
    writer.finish().unwrap();
}

/// The first column of a row group.
fn read_row_group(source: Box<dyn Source>) -> Vec<u8> {
    let reader = SerializedFileReader::new(Chunks::new(source)).unwrap();
    let schema = reader.metadata().file_metadata().schema();
    let first = Schema::group_type_builder("rows").with_fields(vec![schema.get_fields()[0].clone()]).build().unwrap();
    let group = reader.get_row_group(GROUP as usize).unwrap();
    let rows = group.get_row_iter(Some(first)).unwrap();
    rows.flat_map(|row| row.unwrap().get_long(0).unwrap().to_le_bytes()).collect()
}

/// What `parquet` reads from, of what everybody else does.
struct Chunks {
    source: Arc<Mutex<Box<dyn Source>>>,
    len: u64,
}

impl Chunks {
    fn new(mut source: Box<dyn Source>) -> Self {
        let len = source.seek(SeekFrom::End(0)).unwrap();
        Self { source: Arc::new(Mutex::new(source)), len }
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Chunks {
    type T = io::BufReader<Place>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(io::BufReader::new(Place { source: Arc::clone(&self.source), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut bytes = vec![0; length];
        let mut place = Place { source: Arc::clone(&self.source), at: start };
        place.read_exact(&mut bytes).map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(bytes.into())
    }
}

/// A place in a source that others read too.
pub(crate) struct Place {
    source: Arc<Mutex<Box<dyn Source>>>,
    at: u64,
}

impl Read for Place {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut source = self.source.lock().unwrap();
        source.seek(SeekFrom::Start(self.at))?;
        let count = source.read(out)?;
        self.at += count as u64;
        Ok(count)
    }
}
