//! Fuzz targets of `hesse`; see `fuzz_targets`.
