//! What readers of well-known formats ask for, as it was recorded.

use crate::bench::row::{Row, row};

const AREA: &str = "traces";

pub(super) const ROWS: &[Row] = &[
    row(AREA, "a tile of a TIFF: requests, cold", "traces/tiff-tile/requests")
        .beside("reads", &["traces/tiff-tile/reads"]),
    row(AREA, "a tile of a TIFF: fetched, cold", "traces/tiff-tile/fetched")
        .beside("asked", &["traces/tiff-tile/asked"]),
    row(AREA, "a tile of a TIFF: each read, warm", "traces/warm/ours/tiff-tile")
        .beside("pread", &["traces/warm/bare/tiff-tile"]),
    row(AREA, "a member of a ZIP: requests, cold", "traces/zip-member/requests")
        .beside("reads", &["traces/zip-member/reads"]),
    row(AREA, "a member of a ZIP: fetched, cold", "traces/zip-member/fetched")
        .beside("asked", &["traces/zip-member/asked"]),
    row(AREA, "a member of a ZIP: each read, warm", "traces/warm/ours/zip-member")
        .beside("pread", &["traces/warm/bare/zip-member"]),
    row(AREA, "a column of a Parquet row group: requests, cold", "traces/parquet-row-group/requests")
        .beside("reads", &["traces/parquet-row-group/reads"]),
    row(AREA, "a column of a Parquet row group: fetched, cold", "traces/parquet-row-group/fetched")
        .beside("asked", &["traces/parquet-row-group/asked"]),
    row(AREA, "a column of a Parquet row group: each read, warm", "traces/warm/ours/parquet-row-group")
        .beside("pread", &["traces/warm/bare/parquet-row-group"]),
    row(AREA, "a slice of a dataset in HDF5: requests, cold", "traces/hdf5-slice/requests")
        .beside("reads", &["traces/hdf5-slice/reads"]),
    row(AREA, "a slice of a dataset in HDF5: fetched, cold", "traces/hdf5-slice/fetched")
        .beside("asked", &["traces/hdf5-slice/asked"]),
    row(AREA, "a slice of a dataset in HDF5: each read, warm", "traces/warm/ours/hdf5-slice")
        .beside("pread", &["traces/warm/bare/hdf5-slice"]),
    row(AREA, "an index of RP66V1, and some records: requests, cold", "traces/rp66v1-index/requests")
        .beside("reads", &["traces/rp66v1-index/reads"]),
    row(AREA, "an index of RP66V1, and some records: fetched, cold", "traces/rp66v1-index/fetched")
        .beside("asked", &["traces/rp66v1-index/asked"]),
    row(AREA, "an index of RP66V1, and some records: each read, warm", "traces/warm/ours/rp66v1-index")
        .beside("pread", &["traces/warm/bare/rp66v1-index"]),
    row(AREA, "500 reads of 4 KiB anywhere: requests, cold", "traces/scattered/requests")
        .beside("reads", &["traces/scattered/reads"]),
    row(AREA, "500 reads of 4 KiB anywhere: fetched, cold", "traces/scattered/fetched")
        .beside("asked", &["traces/scattered/asked"]),
    row(AREA, "500 reads of 4 KiB anywhere: each read, warm", "traces/warm/ours/scattered")
        .beside("pread", &["traces/warm/bare/scattered"]),
    row(AREA, "forward, with gaps: requests, cold", "traces/forward-with-gaps/requests")
        .beside("reads", &["traces/forward-with-gaps/reads"]),
    row(AREA, "forward, with gaps: fetched, cold", "traces/forward-with-gaps/fetched")
        .beside("asked", &["traces/forward-with-gaps/asked"]),
    row(AREA, "forward, with gaps: each read, warm", "traces/warm/ours/forward-with-gaps")
        .beside("pread", &["traces/warm/bare/forward-with-gaps"]),
];
