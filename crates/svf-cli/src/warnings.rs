//! What the cache has to say while it goes on: a line each, as an error is one, and never a control character of
//! others.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::printable::printable;

/// From here on warnings and errors of the layers below are lines on standard error.
pub(crate) fn show() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(Level::WARN).event_format(OneLine).init();
}

/// `svf: warning: what happened (what=which)`.
struct OneLine;

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        let Line { message, details } = line;
        let text = if details.is_empty() { message } else { format!("{message} ({details})") };
        writeln!(writer, "svf: warning: {}", printable(&text))
    }
}

#[derive(Debug, Default)]
struct Line {
    message: String,
    details: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.message = value;
            return;
        }
        let comma = if self.details.is_empty() { "" } else { ", " };
        self.details.push_str(&format!("{comma}{}={value}", field.name()));
    }
}
