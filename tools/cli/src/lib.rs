//! The program `hesse`.
