//! The methods of papers, on top of networks and numerics. No method imports another.

pub mod connectome; // connectivity between voxels from tracing experiments
pub mod credit; // learning rules of recurrent networks, and the curvature they reach
pub mod dimension; // how many dimensions points occupy
pub mod flatness; // sharpness of the loss and compression of representations
pub mod similarity; // how alike two representations of the same stimuli are
