//! The map of what is held of a file, as a picture.

use std::fmt;

use svf::page_cache::Entry;

use crate::entries::{percent, size};

/// In pixels.
const WIDTH: u64 = 1024;
/// What a row begins with: where it is in the file.
const LABEL: u64 = 92;
const MARGIN: u64 = 8;
const BAR: u64 = WIDTH - LABEL - MARGIN;
const ROW: u64 = 18;
const GAP: u64 = 4;
const HEADER: u64 = 52;
/// A single page of a huge file is to be seen, too.
const THINNEST: f64 = 2.5;
/// Of a file that is long enough.
const ROWS: u64 = 16;

/// A file as rows of a picture, from its start at the top left to its end; what is held is dark.
#[derive(Debug)]
pub(crate) struct HeldSvg<'a> {
    entry: &'a Entry,
}

impl<'a> HeldSvg<'a> {
    pub(crate) fn new(entry: &'a Entry) -> Self {
        Self { entry }
    }
}

impl fmt::Display for HeldSvg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { key, stat, page_size, held, .. } = self.entry;
        let (length, bytes) = (stat.length, held.num_bytes());
        let pages = length.div_ceil(*page_size);
        let rows = pages.clamp(1, ROWS);
        // Whole pages a row, so that none is torn apart.
        let row_bytes = pages.div_ceil(rows).max(1).saturating_mul(*page_size);
        let height = HEADER + rows * (ROW + GAP) + MARGIN;
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">"#
        )?;
        writeln!(f, r#"<title>{}</title>"#, escaped(key))?;
        writeln!(f, r##"<rect width="100%" height="100%" fill="#fff"/>"##)?;
        writeln!(f, r##"<text x="{MARGIN}" y="20" font-size="14" fill="#222">{}</text>"##, escaped(key))?;
        let share = percent(bytes, length);
        let (bytes, length_shown, row_shown) = (size(bytes), size(length), size(row_bytes));
        writeln!(
            f,
            r##"<text x="{MARGIN}" y="40" font-size="12" fill="#555">{bytes} of {length_shown} are held ({share}): blue; a row is {row_shown}</text>"##
        )?;
        for row in 0..rows {
            let start = row.saturating_mul(row_bytes).min(length);
            let end = start.saturating_add(row_bytes).min(length);
            let y = HEADER + row * (ROW + GAP);
            let pixels = |bytes: u64| bytes as f64 / row_bytes as f64 * BAR as f64;
            let (label, baseline, start_shown) = (LABEL - MARGIN, y + 13, size(start));
            writeln!(
                f,
                r##"<text x="{label}" y="{baseline}" font-size="11" fill="#777" text-anchor="end">{start_shown}</text>"##
            )?;
            let width = pixels(end - start);
            writeln!(f, r##"<rect x="{LABEL}" y="{y}" width="{width:.2}" height="{ROW}" fill="#e4e7eb"/>"##)?;
            // What lies closer together than a pixel is one mark, so that the picture is small however many there are.
            let mut mark: Option<(f64, f64)> = None;
            for range in held.intersection(start..end) {
                let (from, to) = (pixels(range.start - start), pixels(range.end - start));
                mark = match mark {
                    Some((first, last)) if from - last < 1.0 => Some((first, to)),
                    other => {
                        write_mark(f, other, y)?;
                        Some((from, to))
                    }
                };
            }
            write_mark(f, mark, y)?;
        }
        writeln!(f, "</svg>")
    }
}

fn write_mark(f: &mut fmt::Formatter<'_>, mark: Option<(f64, f64)>, y: u64) -> fmt::Result {
    let Some((from, to)) = mark else { return Ok(()) };
    let (from, width) = (LABEL as f64 + from, (to - from).max(THINNEST));
    writeln!(f, r##"<rect x="{from:.2}" y="{y}" width="{width:.2}" height="{ROW}" fill="#1f6feb"/>"##)
}

/// A text that somebody else chose, as XML takes it.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push_str(&c.escape_default().to_string()),
            c => escaped.push(c),
        }
    }
    escaped
}
