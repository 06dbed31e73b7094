//! The methods of papers, on top of networks and numerics. No method imports another.

pub mod connectome; // connectivity between voxels from tracing experiments
