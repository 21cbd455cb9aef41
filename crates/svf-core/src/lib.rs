//! svf-core
