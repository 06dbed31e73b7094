//! The methods of eight papers, one room each.

pub mod connectome;
