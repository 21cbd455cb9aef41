//! svf-facade
