//! The program `hesse`.

fn main() {}
