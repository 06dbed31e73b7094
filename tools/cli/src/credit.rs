//! `hesse credit`: trains recurrent networks by learning rules, compares the rules, and measures the
//! curvature where they are.

pub mod descent;
pub mod side_by_side;
