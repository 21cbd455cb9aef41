//! page-cache
