//! Reads one dataset of a remote HDF5 file.
//!
//! `cargo run -p svf-facade --example hdf5_dataset [-- URL [DATASET]]`

mod sample;

use std::error::Error;
use std::io;
use std::sync::Arc;

use hdf5_reader::Hdf5File;
use hdf5_reader::storage::RangeRequestStorage;
use hdf5_writer::{DatasetBuilder, Hdf5Builder, WriteOptions};
use svf::page_cache::UrlOrigin;

use self::sample::{Sample, cost};

fn main() -> Result<(), Box<dyn Error>> {
    let sample = Sample::from_arguments("/fields.h5", make)?;
    let file = sample.stack.cache()?.file(UrlOrigin::new(&sample.url)?)?;

    // The parser asks for ranges, from several threads if it likes.
    let ranges = file.clone();
    let storage = RangeRequestStorage::new(file.len(), move |offset, length| {
        let end = offset.saturating_add(length as u64);
        Ok(ranges.bytes(offset..end).map_err(io::Error::from)?.to_vec())
    });
    let hdf5 = Hdf5File::from_storage(Arc::new(storage))?;
    let name = std::env::args().nth(2).unwrap_or("pressure".to_owned());
    let dataset = hdf5.dataset(&name)?;
    println!("{name}: {:?}, shape {:?}", dataset.dtype(), dataset.shape());
    let values = dataset.read_array::<f64>()?;
    println!("read {} values, their mean is {:.1}", values.len(), values.mean().unwrap_or(f64::NAN));

    println!("{}", cost(&file));
    Ok(())
}

/// Three fields of 500 x 400 numbers.
fn make() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut file = Hdf5Builder::new();
    for (name, value) in [("temperature", 288.0), ("pressure", 1013.0), ("humidity", 0.4)] {
        file = file.dataset(DatasetBuilder::typed_data::<f64>(name, vec![500, 400], &[value; 200_000])?);
    }
    Ok(file.into_plan()?.encode(WriteOptions::default())?)
}
