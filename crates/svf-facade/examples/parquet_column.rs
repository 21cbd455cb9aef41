//! Reads one column of a remote Parquet file.
//!
//! `cargo run -p svf-facade --example parquet_column --features parquet [-- URL]`

mod sample;

use std::error::Error;
use std::sync::Arc;

use futures_util::TryStreamExt;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use svf::page_cache::{ParquetReader, UrlOrigin};

use self::sample::{Sample, cost};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sample = Sample::from_arguments("/rows.parquet", make)?;
    let file = sample.stack.cache()?.file(UrlOrigin::new(&sample.url)?)?;

    let rows = ParquetRecordBatchStreamBuilder::new(ParquetReader::new(file.clone())).await?;
    let columns = rows.parquet_schema().columns();
    println!("columns: {}", columns.iter().map(|column| column.name()).collect::<Vec<_>>().join(", "));
    let first = ProjectionMask::leaves(rows.parquet_schema(), [0]);
    let batches: Vec<_> = rows.with_projection(first).build()?.try_collect().await?;
    let read: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    println!("read {read} rows of the first");

    println!("{}", cost(&file));
    Ok(())
}

/// Two columns in two row groups: which row it is, and a text.
fn make() -> Result<Vec<u8>, Box<dyn Error>> {
    let schema = parse_message_type("message rows { required int64 id; required binary text (UTF8); }")?;
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::default())?;
    for group in 0..2 {
        let ids: Vec<i64> = (group * 50_000..(group + 1) * 50_000).collect();
        let texts: Vec<ByteArray> = ids.iter().map(|id| format!("the text of row {id}").into_bytes().into()).collect();
        let mut rows = writer.next_row_group()?;
        let mut column = rows.next_column()?.ok_or("there is a first column")?;
        column.typed::<Int64Type>().write_batch(&ids, None, None)?;
        column.close()?;
        let mut column = rows.next_column()?.ok_or("there is a second column")?;
        column.typed::<ByteArrayType>().write_batch(&texts, None, None)?;
        column.close()?;
        rows.close()?;
    }
    Ok(writer.into_inner()?)
}
