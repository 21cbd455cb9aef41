//! All of it, as a parser sees it.

use crate::bench::row::{Row, row};

const AREA: &str = "stack";

pub(super) const ROWS: &[Row] = &[
    row(AREA, "open an object and read 4 KiB, cold", "stack/open-read-cold/ours/4096")
        .beside("the same requests", &["stack/open-read-cold/bare/4096"]),
    row(AREA, "open an object and read 4 KiB, warm", "stack/open-read-warm/ours/4096")
        .beside("the same, cold", &["stack/open-read-cold/ours/4096"]),
    row(AREA, "a tile of a TIFF of 256 MiB, 20 ms away, cold", "stack/tiff-tile-cold/ours")
        .beside("its requests, one by one", &["stack/tiff-tile-cold/pauses"])
        .headline(),
    row(AREA, "the same, warm in another process: tiff-tile", "stack/tiff-tile-other-process/ours")
        .beside("a local file", &["stack/tiff-tile-warm/bare"]),
    row(AREA, "the same, warm in the same process: tiff-tile", "stack/tiff-tile-warm/ours")
        .beside("a local file", &["stack/tiff-tile-warm/bare"]),
    row(AREA, "the same, cold: requests: tiff-tile", "stack/tiff-tile-cold/requests"),
    row(AREA, "the same, cold: fetched: tiff-tile", "stack/tiff-tile-cold/bytes"),
    row(AREA, "a member of a ZIP of 40 MB, 20 ms away, cold", "stack/zip-member-cold/ours")
        .beside("its requests, one by one", &["stack/zip-member-cold/pauses"]),
    row(AREA, "the same, warm in another process: zip-member", "stack/zip-member-other-process/ours")
        .beside("a local file", &["stack/zip-member-warm/bare"]),
    row(AREA, "the same, warm in the same process: zip-member", "stack/zip-member-warm/ours")
        .beside("a local file", &["stack/zip-member-warm/bare"]),
    row(AREA, "the same, cold: requests: zip-member", "stack/zip-member-cold/requests"),
    row(AREA, "the same, cold: fetched: zip-member", "stack/zip-member-cold/bytes"),
    row(AREA, "a column of a Parquet row group, of 16 MB, 20 ms away, cold", "stack/parquet-row-group-cold/ours")
        .beside("its requests, one by one", &["stack/parquet-row-group-cold/pauses"]),
    row(AREA, "the same, warm in another process: parquet-row-group", "stack/parquet-row-group-other-process/ours")
        .beside("a local file", &["stack/parquet-row-group-warm/bare"]),
    row(AREA, "the same, warm in the same process: parquet-row-group", "stack/parquet-row-group-warm/ours")
        .beside("a local file", &["stack/parquet-row-group-warm/bare"]),
    row(AREA, "the same, cold: requests: parquet-row-group", "stack/parquet-row-group-cold/requests"),
    row(AREA, "the same, cold: fetched: parquet-row-group", "stack/parquet-row-group-cold/bytes"),
];
