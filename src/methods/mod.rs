//! The methods of the papers, one room each; none knows another.

pub mod connectome;
