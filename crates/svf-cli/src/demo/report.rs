//! The figures of the demo, as a table and as JSON.

use std::cell::RefCell;
use std::fmt;

use loopback_origin::Counters;
use serde::Serialize;
use svf::svf_core::NeedOptions;

use super::recorder::Recording;
use super::served::Served;
use super::subject::Part;

/// One parse.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    #[serde(skip)]
    object_bytes: u64,
    /// What the parser asked for.
    asked_bytes: u64,
    /// The bytes of all distinct pieces of 64 KiB in which that lies, whatever the cache's pages are.
    touched_64k_bytes: u64,
    /// What the server sent.
    fetched_bytes: u64,
    /// How many requests the server counted, those without data included.
    requests: u64,
    seconds: f64,
    /// What was read.
    part: Part,
}

impl Run {
    pub(crate) fn new(
        object_bytes: u64,
        recording: &RefCell<Recording>,
        server: Counters,
        seconds: f64,
        part: Part,
    ) -> Self {
        let recording = recording.borrow();
        let touched = NeedOptions::new().align(64 << 10).end_of_file(object_bytes).plan(&recording.asked);
        Self {
            object_bytes,
            asked_bytes: recording.asked_bytes,
            touched_64k_bytes: touched.iter().map(|range| range.end - range.start).sum(),
            fetched_bytes: server.body_bytes,
            requests: server.requests,
            seconds,
            part,
        }
    }
}

/// All runs over one object.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    url: &'a str,
    object_bytes: u64,
    runs: &'a [Run],
}

impl<'a> Report<'a> {
    pub(crate) fn new(served: &'a Served, runs: &'a [Run]) -> Self {
        let object_bytes = runs.first().map_or(0, |run| run.object_bytes);
        Self { url: served.url(), object_bytes, runs }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, opened by its URL", self.url)?;
        if let Some(run) = self.runs.first() {
            writeln!(f, "read: {}", run.part)?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "{:>4} {:>16} {:>16} {:>16} {:>9} {:>9}",
            "run", "object bytes", "parser asked", "server sent", "requests", "seconds"
        )?;
        for (number, run) in (1..).zip(self.runs) {
            writeln!(
                f,
                "{number:>4} {:>16} {:>16} {:>16} {:>9} {:>9.3}",
                run.object_bytes, run.asked_bytes, run.fetched_bytes, run.requests, run.seconds
            )?;
        }
        Ok(())
    }
}
