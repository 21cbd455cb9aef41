//! window-mman
