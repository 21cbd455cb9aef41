//! What readers of files asked for, recorded.

use std::ops::Range;

/// Which ranges of a file a reader read, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The format of the file, and what of it was read.
    pub name: &'static str,
    /// How long the file is, in bytes.
    pub len: u64,
    /// In bytes, half-open, and within the file.
    pub reads: Vec<Range<u64>>,
}

impl Trace {
    /// How many bytes the reader asked for; what it asked for twice is counted twice.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.reads.iter().map(|read| read.end - read.start).sum()
    }

    /// A line with the length of the file, and one for each read.
    fn parse(name: &'static str, text: &str) -> Option<Self> {
        let (head, lines) = text.split_once('\n')?;
        let len = head.split_whitespace().find_map(|word| word.parse().ok())?;
        let read = |line: &str| {
            let (offset, length) = line.split_once(' ')?;
            let (start, length): (u64, u64) = (offset.parse().ok()?, length.parse().ok()?);
            Some(start..start.checked_add(length).filter(|end| *end <= len)?)
        };
        Some(Self { name, len, reads: lines.lines().map(read).collect::<Option<_>>()? })
    }
}

/// All traces, as `benches/examples/record_traces.rs` wrote them.
///
/// # Panics
///
/// If a line of a file is not of its form, which a test rules out.
#[must_use]
#[expect(clippy::expect_used, reason = "the files are a part of this program")]
pub fn traces() -> Vec<Trace> {
    let texts = [
        ("tiff-tile", include_str!("../traces/tiff-tile.txt")),
        ("zip-member", include_str!("../traces/zip-member.txt")),
        ("parquet-row-group", include_str!("../traces/parquet-row-group.txt")),
        ("hdf5-slice", include_str!("../traces/hdf5-slice.txt")),
        ("rp66v1-index", include_str!("../traces/rp66v1-index.txt")),
        ("scattered", include_str!("../traces/scattered.txt")),
        ("forward-with-gaps", include_str!("../traces/forward-with-gaps.txt")),
    ];
    texts.into_iter().map(|(name, text)| Trace::parse(name, text).expect("a trace is well-formed")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_traces_are_well_formed_and_ask_for_something() {
        for trace in traces() {
            assert!(trace.reads.len() > 2 && trace.asked() > 0, "{}", trace.name);
            assert!(trace.reads.iter().all(|read| !read.is_empty() && read.end <= trace.len), "{}", trace.name);
        }
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        assert_eq!(Trace::parse("a", "# 100 bytes\n0 10\n90 10\n").unwrap().asked(), 20);
        for text in ["", "# no length\n", "# 100\n5\n", "# 100\n91 10\n", "# 100\nx 10\n"] {
            assert_eq!(Trace::parse("a", text), None, "{text:?}");
        }
    }
}
