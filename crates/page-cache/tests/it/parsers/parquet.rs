//! Parquet by the crate `parquet`.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use page_cache::ParquetReader;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use svf_core::RangeSet;

use super::{PROTOCOLS, Scene};

const GROUPS: i64 = 3;
const ROWS_A_GROUP: i64 = 5_000;

/// Two columns in three row groups: which row it is, and something longer.
fn write() -> Vec<u8> {
    let schema = parse_message_type("message rows { required int64 id; required binary text (UTF8); }").unwrap();
    let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).unwrap();
    for group in 0..GROUPS {
        let ids: Vec<i64> = (group * ROWS_A_GROUP..(group + 1) * ROWS_A_GROUP).collect();
        let texts: Vec<ByteArray> = ids.iter().map(|id| format!("the text of row {id}").into_bytes().into()).collect();
        let mut row_group = writer.next_row_group().unwrap();
        let mut column = row_group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = row_group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
        row_group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

/// The first column of all rows.
async fn ids(reader: impl AsyncFileReader + Unpin + 'static) -> Result<Vec<i64>> {
    let rows = ParquetRecordBatchStreamBuilder::new(reader).await?;
    let first = ProjectionMask::leaves(rows.parquet_schema(), [0]);
    let batches: Vec<_> = rows.with_projection(first).with_batch_size(1_000).build()?.try_collect().await?;
    let values = |data: &[i64], rows: usize| data[..rows].to_vec();
    Ok(batches.iter().flat_map(|batch| values(batch.column(0).to_data().buffer(0), batch.num_rows())).collect())
}

/// The bytes of the first column in the file, and of the metadata.
fn places(file: &[u8]) -> (RangeSet, std::ops::Range<u64>) {
    let metadata = ArrowReaderMetadata::load(&Bytes::copy_from_slice(file), Default::default()).unwrap();
    let chunks = metadata.metadata().row_groups().iter().map(|group| group.column(0).byte_range());
    let chunks: RangeSet = chunks.map(|(start, length)| start..start + length).collect();
    let length = file.len() as u64;
    let footer = u64::from(u32::from_le_bytes(*file[..file.len() - 4].last_chunk().unwrap())) + 8;
    (chunks, length - footer..length)
}

#[tokio::test]
async fn the_store_reader_of_the_parser_reads_through_a_cached_store() {
    #[expect(deprecated, reason = "it is what programs have")]
    use parquet::arrow::async_reader::ParquetObjectReader;

    let object = write();
    let (chunks, footer) = places(&object);
    for &protocol in PROTOCOLS {
        let scene = Scene::new(protocol, object.clone());
        #[expect(deprecated, reason = "it is what programs have")]
        let read = |store| ids(ParquetObjectReader::new(store, super::NAME.into()));
        let store = scene.store();
        assert!(read(store.clone()).await.unwrap().into_iter().eq(0..GROUPS * ROWS_A_GROUP));
        // The length of the metadata, which brings them as well, and a column chunk of each row group.
        let (sent, kept) = scene.end(8);
        assert!(kept.contains(&footer.start), "the metadata are in the last page");
        let mut pages = scene.pages(chunks.iter());
        pages.remove(kept);
        assert_eq!(scene.sent(), (4, sent + pages.num_bytes()), "{protocol:?}");
        for store in [store, scene.store()] {
            assert!(read(store).await.unwrap().into_iter().eq(0..GROUPS * ROWS_A_GROUP));
            assert_eq!(scene.sent(), (0, 0), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn a_cached_file_is_read_by_the_parser() {
    let object = write();
    let (chunks, _) = places(&object);
    for &protocol in PROTOCOLS {
        let scene = Scene::new(protocol, object.clone());
        let file = scene.file();
        assert_eq!(scene.sent(), (1, 0), "the version, {protocol:?}");
        assert!(ids(ParquetReader::new(file.clone())).await.unwrap().into_iter().eq(0..GROUPS * ROWS_A_GROUP));
        let end = scene.length - (64 << 10)..scene.length;
        let pages = scene.pages(chunks.iter().chain([end.clone()]));
        let before: RangeSet = chunks.iter().filter(|chunk| chunk.start < end.start).collect();
        assert_eq!(before.iter().count(), 3, "a request each");
        assert_eq!(scene.sent(), (4, pages.num_bytes()), "{protocol:?}");
        for file in [file, scene.file()] {
            assert!(ids(ParquetReader::new(file)).await.unwrap().into_iter().eq(0..GROUPS * ROWS_A_GROUP));
            assert_eq!(scene.sent(), (0, 0), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn metadata_longer_than_expected_are_a_second_read_and_ranges_are_one_batch() {
    let object = write();
    let scene = Scene::new(PROTOCOLS[0], object.clone());
    let mut reader = ParquetReader::new(scene.file()).with_footer_size_hint(8);
    scene.sent();
    let metadata = reader.get_metadata(None).await.unwrap();
    assert_eq!(metadata.num_row_groups() as i64, GROUPS);
    let (ranges, _) = places(&object);
    let held = reader.file().held();
    scene.sent();
    let ranges: Vec<_> = ranges.iter().collect();
    let read = reader.get_byte_ranges(ranges.clone()).await.unwrap();
    for (range, read) in ranges.iter().zip(read) {
        assert!(read == super::within(range, &object), "{range:?}");
    }
    let mut pages = scene.pages(ranges);
    for range in held.iter() {
        pages.remove(range);
    }
    assert_eq!(scene.sent(), (3, pages.num_bytes()));
}

#[tokio::test]
async fn what_is_no_parquet_or_not_all_of_it_is_an_error() {
    let object = write();
    let end = object[places(&object).1.start as usize..].to_vec();
    for (damaged, message) in [(vec![], ""), (vec![7; 5], ""), (vec![7; 100_000], ""), (end, "are wanted of")] {
        let scene = Scene::new(PROTOCOLS[0], damaged);
        let error = ids(ParquetReader::new(scene.file())).await.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
