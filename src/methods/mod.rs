//! The methods of papers, on top of networks and numerics. No method imports another.

pub mod dimension; // how many dimensions points occupy
