//! Cloud-optimized GeoTIFF by the crate `async-tiff`.

use std::ops::Range;
use std::sync::Arc;

use async_tiff::TypedArray;
use async_tiff::decoder::DecoderRegistry;
use async_tiff::error::AsyncTiffResult;
use async_tiff::metadata::TiffMetadataReader;
use async_tiff::metadata::cache::ReadaheadMetadataCache;
use async_tiff::reader::{AsyncFileReader, ObjectReader};
use page_cache::TiffReader;

use super::{NAME, PROTOCOLS, Scene};
use crate::memory_origin::pattern;

/// The width and height in pixels, of a byte each, of a tile.
const TILE: usize = 128;
/// How many tiles there are in each direction, in each of the images.
const IMAGES: [usize; 2] = [8, 4];
/// In the order in which the parser reads metadata ahead.
const AHEAD: u64 = 32 << 10;

/// An image and an overview of it: directories in front, then the tiles, as they are, of the overview first.
struct Cog {
    file: Vec<u8>,
    /// Where the tiles of each image begin.
    starts: [usize; 2],
}

impl Cog {
    fn write() -> Self {
        let (mut starts, mut end) = ([0; 2], 64 << 10);
        for image in [1, 0] {
            starts[image] = end;
            end += IMAGES[image].pow(2) * TILE * TILE;
        }
        let mut file = pattern(end, 5);
        let mut header = b"II\x2a\0\x08\0\0\0".to_vec();
        for (image, across) in IMAGES.into_iter().enumerate() {
            let (tiles, width) = (across * across, across * TILE);
            let here = header.len();
            let arrays = here + 2 + 11 * 12 + 4;
            let next = if image == 0 { arrays + tiles * 8 } else { 0 };
            let tags: [(u16, u16, usize, usize); 11] = [
                (254, 4, 1, image), // an overview, if 1
                (256, 4, 1, width),
                (257, 4, 1, width),
                (258, 3, 1, 8),
                (259, 3, 1, 1), // no compression
                (262, 3, 1, 1),
                (277, 3, 1, 1),
                (322, 4, 1, TILE),
                (323, 4, 1, TILE),
                (324, 4, tiles, arrays),
                (325, 4, tiles, arrays + tiles * 4),
            ];
            header.extend(11u16.to_le_bytes());
            for (tag, kind, count, value) in tags {
                header.extend(tag.to_le_bytes().into_iter().chain(kind.to_le_bytes()));
                header.extend([count, value].iter().flat_map(|&number| (number as u32).to_le_bytes()));
            }
            header.extend((next as u32).to_le_bytes());
            let offsets = (0..tiles).map(|tile| starts[image] + tile * TILE * TILE);
            header.extend(offsets.chain(vec![TILE * TILE; tiles]).flat_map(|number| (number as u32).to_le_bytes()));
        }
        file[..header.len()].copy_from_slice(&header);
        Self { file, starts }
    }

    fn tile(&self, image: usize, (x, y): (usize, usize)) -> Range<u64> {
        let start = self.starts[image] + (y * IMAGES[image] + x) * TILE * TILE;
        start as u64..(start + TILE * TILE) as u64
    }

    fn check(&self, image: usize, tile: (usize, usize), read: &[u8]) {
        assert!(read == super::within(&self.tile(image, tile), &self.file), "{tile:?} of {image}");
    }
}

/// What is looked at: a corner of the image, beside another tile far away, and all of the overview.
fn wanted() -> [Vec<(usize, usize)>; 2] {
    let overview = (0..IMAGES[1]).flat_map(|y| (0..IMAGES[1]).map(move |x| (x, y)));
    [vec![(0, 0), (1, 0), (5, 6)], overview.collect()]
}

/// Reads it, and the directories for it.
async fn read(cog: &Cog, reader: impl AsyncFileReader + Clone) -> AsyncTiffResult<()> {
    let ahead = ReadaheadMetadataCache::new(reader.clone()).with_initial_size(AHEAD);
    let images = TiffMetadataReader::try_open(&ahead).await?.read_all_ifds(&ahead).await?;
    assert_eq!(images.len(), IMAGES.len());
    for (image, wanted) in wanted().into_iter().enumerate() {
        for (tile, place) in images[image].fetch_tiles(&wanted, &reader).await?.into_iter().zip(wanted) {
            let array = tile.decode(&DecoderRegistry::default())?;
            let TypedArray::UInt8(pixels) = array.data() else { panic!("{:?}", array.data_type()) };
            cog.check(image, place, pixels);
        }
    }
    Ok(())
}

/// One request for the directories, two for the places in the image and one for the overview; bytes that nobody asked
/// for are on none of their pages.
fn expected(scene: &Scene, cog: &Cog) -> (u64, u64) {
    let tiles = wanted().into_iter().enumerate();
    let tiles = tiles.flat_map(|(image, tiles)| tiles.into_iter().map(move |tile| cog.tile(image, tile)));
    (4, scene.pages(tiles.chain([0..AHEAD])).num_bytes())
}

#[tokio::test]
async fn the_store_reader_of_the_parser_reads_through_a_cached_store() {
    let cog = Cog::write();
    for &protocol in PROTOCOLS {
        let scene = Scene::new(protocol, cog.file.clone());
        let store = scene.store();
        read(&cog, ObjectReader::new(store.clone(), NAME.into())).await.unwrap();
        assert_eq!(scene.sent(), expected(&scene, &cog), "{protocol:?}");
        for store in [store, scene.store()] {
            read(&cog, ObjectReader::new(store, NAME.into())).await.unwrap();
            assert_eq!(scene.sent(), (0, 0), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn a_cached_file_is_read_by_the_parser() {
    let cog = Cog::write();
    for &protocol in PROTOCOLS {
        let scene = Scene::new(protocol, cog.file.clone());
        let file = scene.file();
        assert_eq!(scene.sent(), (1, 0), "the version, {protocol:?}");
        read(&cog, TiffReader::new(file.clone())).await.unwrap();
        assert_eq!(scene.sent(), expected(&scene, &cog), "{protocol:?}");
        for file in [file, scene.file()] {
            read(&cog, TiffReader::new(file)).await.unwrap();
            assert_eq!(scene.sent(), (0, 0), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn tags_that_are_read_one_by_one_cost_no_request_each() {
    let cog = Cog::write();
    let scene = Scene::new(PROTOCOLS[0], cog.file.clone());
    let reader = TiffReader::new(scene.file());
    scene.sent();
    let images = TiffMetadataReader::try_open(&reader).await.unwrap().read_all_ifds(&reader).await.unwrap();
    assert_eq!(images.len(), IMAGES.len());
    assert_eq!(scene.sent(), (1, super::PAGE));
    // What is no TIFF, and what ends too early.
    for damaged in [vec![], vec![7; 10_000], cog.file[..500].to_vec()] {
        let scene = Scene::new(PROTOCOLS[0], damaged);
        let reader = TiffReader::new(scene.file());
        let Ok(mut metadata) = TiffMetadataReader::try_open(&reader).await else { continue };
        assert!(metadata.read_all_ifds(&reader).await.is_err());
    }
    let store: Arc<dyn object_store::ObjectStore> = scene.store();
    let images = ObjectReader::new(store, NAME.into());
    assert!(images.get_bytes(0..8).await.unwrap() == cog.file[..8]);
    assert_eq!(scene.sent(), (0, 0), "the store and the file are one object in the cache");
}
