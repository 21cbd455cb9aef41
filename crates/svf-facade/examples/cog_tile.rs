//! Reads the metadata and one tile of a remote cloud-optimized GeoTIFF.
//!
//! `cargo run -p svf-facade --example cog_tile [-- URL]`

mod sample;

use std::error::Error;
use std::io::Cursor;

use tiff::decoder::{Decoder, DecodingResult};
use tiff::encoder::TiffEncoder;
use tiff::tags::Tag;

use self::sample::{Sample, cost};

fn main() -> Result<(), Box<dyn Error>> {
    let sample = Sample::from_arguments("/image.tif", make)?;
    let file = sample.stack.open(&sample.url)?;
    let cached = file.as_cached().cloned();

    let mut decoder = Decoder::new(file)?;
    let (width, height) = decoder.dimensions()?;
    let (tile_width, tile_height) = decoder.chunk_dimensions();
    println!("{width} x {height} pixels, {:?}, in tiles of {tile_width} x {tile_height}", decoder.colortype()?);
    let (across, down) = (width.div_ceil(tile_width), height.div_ceil(tile_height));
    let tile = down / 2 * across + across / 2;
    match decoder.read_chunk(tile)? {
        DecodingResult::U8(pixels) => println!("tile {tile}: {} samples, the first is {}", pixels.len(), pixels[0]),
        _ => println!("tile {tile}: samples that are no bytes"),
    }

    println!("{}", cached.map_or("a local file".to_owned(), |cached| cost(&cached)));
    Ok(())
}

/// 8 x 8 tiles of 256 x 256 grey pixels behind their directory, each tile of one shade.
fn make() -> Result<Vec<u8>, Box<dyn Error>> {
    const ACROSS: u32 = 8;
    const TILE: u32 = 256;
    const START: u32 = 64 << 10;
    let tiles = 0..ACROSS * ACROSS;
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file)?;
    let mut directory = encoder.image_directory()?;
    directory.write_tag(Tag::ImageWidth, ACROSS * TILE)?;
    directory.write_tag(Tag::ImageLength, ACROSS * TILE)?;
    directory.write_tag(Tag::BitsPerSample, 8u16)?;
    directory.write_tag(Tag::Compression, 1u16)?;
    directory.write_tag(Tag::PhotometricInterpretation, 1u16)?;
    directory.write_tag(Tag::SamplesPerPixel, 1u16)?;
    directory.write_tag(Tag::TileWidth, TILE)?;
    directory.write_tag(Tag::TileLength, TILE)?;
    directory
        .write_tag(Tag::TileOffsets, &tiles.clone().map(|tile| START + tile * TILE * TILE).collect::<Vec<_>>()[..])?;
    directory.write_tag(Tag::TileByteCounts, &tiles.clone().map(|_| TILE * TILE).collect::<Vec<_>>()[..])?;
    directory.finish()?;
    let mut file = file.into_inner();
    file.resize(START as usize, 0);
    file.extend(tiles.flat_map(|tile| [tile as u8; (TILE * TILE) as usize]));
    Ok(file)
}
