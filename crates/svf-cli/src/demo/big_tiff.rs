//! A BigTIFF of more than 2 GiB that takes up next to no disk: almost all of it is a hole.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tiff::encoder::TiffEncoder;
use tiff::tags::Tag;

use crate::exit::Failure;

const TILE: u32 = 512;
const COLUMNS: u32 = 96;
const ROWS: u32 = 96;
/// One byte a sample: a tile of 256 KiB.
const TILE_BYTES: u64 = TILE as u64 * TILE as u64;
/// Where the tiles begin: behind the directory, with room to spare.
const DATA_OFFSET: u64 = 1 << 20;
const LEN: u64 = DATA_OFFSET + COLUMNS as u64 * ROWS as u64 * TILE_BYTES;

/// The path of the sample in `directory`, which makes it if it is not there yet.
pub(crate) fn make_once(directory: &Path) -> Result<PathBuf, Failure> {
    let path = directory.join("sample.tif");
    if path.metadata().is_ok_and(|metadata| metadata.len() == LEN) {
        return Ok(path);
    }
    let cannot = || format!("cannot make the sample {}", path.display());
    // Under another name until it is whole: a process that dies in here leaves no half sample.
    let temporary = directory.join(format!("sample.tif.{}.part", std::process::id()));
    let mut file = File::create(&temporary).map_err(Failure::io(cannot()))?;
    write_directory(&mut file).map_err(|error| Failure::Unreadable(format!("{}: {error}", cannot())))?;
    write_middle_tile(&mut file).map_err(Failure::io(cannot()))?;
    file.set_len(LEN).map_err(Failure::io(cannot()))?;
    std::fs::rename(&temporary, &path).map_err(Failure::io(cannot()))?;
    Ok(path)
}

fn write_directory(file: &mut File) -> tiff::TiffResult<()> {
    let tiles = u64::from(COLUMNS) * u64::from(ROWS);
    let offsets: Vec<u64> = (0..tiles).map(|tile| DATA_OFFSET + tile * TILE_BYTES).collect();
    let lengths = vec![TILE_BYTES as u32; tiles as usize];
    let mut encoder = TiffEncoder::new_big(BufWriter::new(file))?;
    let mut directory = encoder.image_directory()?;
    directory.write_tag(Tag::ImageWidth, COLUMNS * TILE)?;
    directory.write_tag(Tag::ImageLength, ROWS * TILE)?;
    directory.write_tag(Tag::BitsPerSample, 8u16)?;
    directory.write_tag(Tag::Compression, 1u16)?;
    directory.write_tag(Tag::PhotometricInterpretation, 1u16)?;
    directory.write_tag(Tag::SamplesPerPixel, 1u16)?;
    directory.write_tag(Tag::ImageDescription, "A sparse sample: all but the tile in the middle is a hole")?;
    directory.write_tag(Tag::TileWidth, TILE)?;
    directory.write_tag(Tag::TileLength, TILE)?;
    directory.write_tag(Tag::TileOffsets, &offsets[..])?;
    directory.write_tag(Tag::TileByteCounts, &lengths[..])?;
    directory.finish()
}

/// Rings around the middle of the image, so that there is something to see and to check.
fn write_middle_tile(file: &mut File) -> std::io::Result<()> {
    let tile = u64::from(ROWS / 2) * u64::from(COLUMNS) + u64::from(COLUMNS / 2);
    let half = f64::from(TILE) / 2.0;
    let pixels: Vec<u8> = (0..TILE)
        .flat_map(|y| (0..TILE).map(move |x| (f64::from(x) - half).hypot(f64::from(y) - half)))
        .map(|distance| (127.5 + 127.5 * (distance / 6.0).cos()) as u8)
        .collect();
    file.seek(SeekFrom::Start(DATA_OFFSET + tile * TILE_BYTES))?;
    file.write_all(&pixels)
}
