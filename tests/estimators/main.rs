//! All estimators of the dimension against references, on balls, spheres and Gaussians of known
//! dimension, under motions that must change nothing, and on what cannot be estimated.

#[path = "../npz/mod.rs"]
mod npz;
#[path = "../operators/mod.rs"]
mod operators;

mod clouds;
mod invariance;
mod reference;
mod refusals;
mod statistics;
