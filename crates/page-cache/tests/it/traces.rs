//! What well-known ways to read cost the origin: exact requests and bytes, as the server counts them, beside what
//! blocks of 4 MiB would fetch.
//!
//! The files are large and mostly holes; what is read of them by the parsers is what stands in them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use loopback_origin::{Object, Origin as Server};
use page_cache::{Cache, CachedFile, HttpOrigin};
use tempfile::TempDir;

use crate::memory_origin::pattern;

/// The default of a cache.
const PAGE: u64 = 64 << 10;

struct Scene {
    server: Server,
    file: CachedFile,
    directory: TempDir,
}

/// A file behind a server, written by `write`.
fn scene(write: impl FnOnce(&mut File)) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("object");
    let mut object = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    write(&mut object);
    let server = Server::builder().serve("/object", Object::from_file(&path).unwrap()).start().unwrap();
    let cache = Cache::builder(directory.path().join("cache")).open().unwrap();
    let file = cache.file(HttpOrigin::new(&server.url("/object")).unwrap()).unwrap();
    assert_eq!(file.page_size(), Some(PAGE));
    server.reset_counters();
    server.clear_requests();
    Scene { server, file, directory }
}

impl Scene {
    /// What was asked for since the last call, in pages; and what blocks of 4 MiB would have fetched of it, in bytes.
    fn cost(&self) -> (Vec<Range<u64>>, u64) {
        let requests: Vec<_> = self.server.requests().into_iter().map(|request| request.range.unwrap()).collect();
        let bytes: u64 = requests.iter().map(|range| range.end - range.start).sum();
        assert_eq!(
            (self.server.counters().body_bytes, self.server.counters().requests),
            (bytes, requests.len() as u64)
        );
        self.server.clear_requests();
        self.server.reset_counters();
        let blocks: svf_core::RangeSet = requests
            .iter()
            .map(|range| range.start & !((4 << 20) - 1)..range.end.next_multiple_of(4 << 20).min(self.file.len()))
            .collect();
        let pages = requests.iter().map(|range| range.start / PAGE..range.end.div_ceil(PAGE)).collect();
        (pages, blocks.num_bytes())
    }

    /// The same again, by somebody who opens the cache anew, costs nothing.
    fn costs_nothing_again(&self, read: impl FnOnce(&CachedFile)) {
        let cache = Cache::builder(self.directory.path().join("cache")).open().unwrap();
        read(&cache.file(HttpOrigin::new(&self.server.url("/object")).unwrap()).unwrap());
        assert_eq!(self.server.counters().requests, 0);
    }
}

/// A TIFF of 16,384 x 16,384 bytes in tiles of 256 x 256, the directory first, as a cloud-optimized one has it.
fn write_cog(file: &mut File) {
    const TILES: u32 = 64 * 64;
    const TILE: u32 = 256 * 256;
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 4, 1, 16_384),
        (257, 4, 1, 16_384),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (277, 3, 1, 1),
        (322, 3, 1, 256),
        (323, 3, 1, 256),
        (324, 4, TILES, 8 + 2 + 10 * 12 + 4),
        (325, 4, TILES, 8 + 2 + 10 * 12 + 4 + 4 * TILES),
    ];
    let mut head = b"II\x2a\0\x08\0\0\0\x0a\0".to_vec();
    for (tag, kind, count, value) in entries {
        head.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        head.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    head.extend([0; 4]);
    let first = head.len() as u32 + 8 * TILES;
    head.extend((0..TILES).flat_map(|tile| (first + tile * TILE).to_le_bytes()));
    head.extend((0..TILES).flat_map(|_| TILE.to_le_bytes()));
    file.set_len(u64::from(first) + u64::from(TILES) * u64::from(TILE)).unwrap();
    file.write_all_at(&head, 0).unwrap();
    file.write_all_at(&tile(), u64::from(first) + TILE_READ * u64::from(TILE)).unwrap();
}

const TILE_READ: u64 = 1_234;

fn tile() -> Vec<u8> {
    pattern(256 * 256, 4)
}

fn read_tile(file: &CachedFile) {
    let mut decoder = tiff::decoder::Decoder::new(file.reader()).unwrap();
    assert_eq!(decoder.dimensions().unwrap(), (16_384, 16_384));
    let tiff::decoder::DecodingResult::U8(read) = decoder.read_chunk(TILE_READ as u32).unwrap() else {
        panic!("not a byte for each pixel")
    };
    assert!(read == tile());
}

#[test]
fn header_and_one_tile_of_a_cog() {
    let scene = scene(write_cog);
    read_tile(&scene.file);
    let (requests, blocks) = scene.cost();
    // The directory and its two tables are in the first page; the tile begins in one page and ends in the next.
    let first = 32_906 / PAGE + TILE_READ;
    assert_eq!(requests, [0..1, first..first + 2]);
    assert_eq!(blocks, 8 << 20);
    scene.costs_nothing_again(read_tile);
}

/// An archive of 400 members of 100,000 bytes each.
fn write_zip(file: &mut File) {
    let mut writer = zip::ZipWriter::new(file);
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for member in 0..400 {
        writer.start_file(format!("directory/member-{member:03}.bin"), stored).unwrap();
        writer.write_all(&self::member(member)).unwrap();
    }
    writer.finish().unwrap();
}

fn member(number: u64) -> Vec<u8> {
    pattern(100_000, number)
}

fn read_member(file: &CachedFile) {
    let mut archive = zip::ZipArchive::new(file.reader()).unwrap();
    assert_eq!(archive.len(), 400);
    let mut read = Vec::new();
    archive.by_name("directory/member-200.bin").unwrap().read_to_end(&mut read).unwrap();
    assert!(read == member(200));
}

#[test]
fn central_directory_and_one_member_of_a_zip() {
    let scene = scene(write_zip);
    read_member(&scene.file);
    let (requests, blocks) = scene.cost();
    // The end of the directory, its start in the page before, and the member as it is read.
    assert_eq!(requests, [611..612, 610..611, 305..306, 306..307]);
    assert_eq!(blocks, (4 << 20) + scene.file.len() % (4 << 20));
    scene.costs_nothing_again(read_member);
}

/// A file of eight row groups of three columns of 4, 8 and 16 MiB less something, and its footer.
const COLUMNS: [u64; 3] = [(4 << 20) - 1_000, (8 << 20) - 77, (16 << 20) - 5];
const FOOTER: u64 = 200_000;
const GROUP_READ: u64 = 5;

fn column(group: u64, column: usize) -> Range<u64> {
    let start = 4 + group * COLUMNS.iter().sum::<u64>() + COLUMNS[..column].iter().sum::<u64>();
    start..start + COLUMNS[column]
}

fn write_parquet(file: &mut File) {
    let end = column(8, 0).start;
    file.write_all_at(b"PAR1", 0).unwrap();
    file.write_all_at(&pattern(FOOTER as usize, 7), end).unwrap();
    file.write_all_at(&(FOOTER as u32).to_le_bytes(), end + FOOTER).unwrap();
    file.write_all_at(b"PAR1", end + FOOTER + 4).unwrap();
    file.write_all_at(&pattern(COLUMNS[1] as usize, 8), column(GROUP_READ, 1).start).unwrap();
}

/// The length of the footer, the footer, and two columns of a row group.
fn read_row_group(file: &CachedFile) {
    let (mut reader, mut end) = (file.reader(), [0; 8]);
    let end_of_footer = reader.seek(SeekFrom::End(-8)).unwrap();
    reader.read_exact(&mut end).unwrap();
    assert_eq!(&end[4..], b"PAR1");
    let footer = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
    reader.seek(SeekFrom::Start(end_of_footer - footer)).unwrap();
    let mut read = vec![0; footer as usize];
    reader.read_exact(&mut read).unwrap();
    assert!(read == pattern(FOOTER as usize, 7));
    let columns = file.read_ranges(&[column(GROUP_READ, 0), column(GROUP_READ, 1)]).unwrap();
    assert!(columns[1] == pattern(COLUMNS[1] as usize, 8));
}

#[test]
fn footer_and_one_row_group_of_a_parquet() {
    let scene = scene(write_parquet);
    read_row_group(&scene.file);
    let (mut requests, blocks) = scene.cost();
    // Both columns are asked for at once, in requests of at most 8 MiB.
    requests[2..].sort_by_key(|request| request.start);
    let columns = [2239..2239 + 128, 2239 + 128..2432];
    assert_eq!(requests, [&[3586..3587, 3583..3586], &columns[..]].concat());
    assert_eq!(blocks, (20 << 20) + scene.file.len() % (4 << 20));
    scene.costs_nothing_again(read_row_group);
}

/// A thousand reads of 4 KiB each, here and there, of which no two are in one page: what they cost more than they give.
#[test]
fn a_thousand_scattered_reads() {
    for (page_size, times) in [(4 << 10, 1), (64 << 10, 16)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("object");
        File::create(&path).unwrap().set_len(1 << 30).unwrap();
        let server = Server::builder().serve("/object", Object::from_file(&path).unwrap()).start().unwrap();
        let cache = Cache::builder(directory.path().join("cache")).page_size(page_size).open().unwrap();
        let file = cache.file(HttpOrigin::new(&server.url("/object")).unwrap()).unwrap();
        server.reset_counters();
        let places = (1 << 30) / (64 << 10);
        let mut out = vec![1; 4 << 10];
        for read in 0..1000 {
            // A step that has no factor in common with the number of places leads to none twice.
            file.read_exact_at(&mut out, read * 7_919 % places * (64 << 10)).unwrap();
            assert!(out.iter().all(|&byte| byte == 0));
        }
        let counters = server.counters();
        assert_eq!((counters.get_requests, counters.body_bytes), (1000, 1000 * times * (4 << 10)));
    }
}
