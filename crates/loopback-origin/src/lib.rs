//! loopback-origin
