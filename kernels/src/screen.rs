//! Pairs of near points, found while their products are in registers.
//!
//! Half the squared distance of two points is h_i + h_j − x_i·x_j, with h = |x|²/2. For two blocks of
//! points all products are computed, eight rows and a few vectors of columns at a time, and each is
//! compared with the limits of its row and of its column before it is forgotten: a tile of distances
//! is never stored. Only a pair that lies below one of the two limits costs more, and after a few
//! blocks hardly any does.
//!
//! Points are `f32`, `f64`, or 16-bit integers, two of them in an `i32`: their products are exact, and
//! take half the time of those of `f32` where a machine has an instruction for them
//! ([`Screened::fast`]).
//!
//! | | |
//! |---|---|
//! | flops | 2 depth for each pair of points, bound by arithmetic |
//! | filter | two subtractions, a minimum and a comparison for each pair |
//! | memory | blocks of points are read once for each panel of the other |

mod candidates;
mod numbers;
#[cfg(test)]
mod tests;

use pulp::{Simd, WithSimd, bytemuck};

pub use candidates::Candidates;
pub use numbers::Screened;

use crate::Isa;

/// Vectors of columns in a panel.
const VECTORS: usize = 3;
/// Rows of a panel where there are 32 registers, and where there are 16.
const ROWS: [usize; 2] = [8, 4];

/// Points of a full block: whole panels of rows and of columns on every instruction set.
pub const BLOCK: usize = 240;

/// How points are laid out: a panel holds, for each coordinate (pair of coordinates for integers),
/// that of so many points one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panels {
    /// Points of a panel that is used as rows.
    pub rows: usize,
    /// Points of a panel that is used as columns.
    pub columns: usize,
}

impl Panels {
    /// Those of an instruction set.
    #[must_use]
    pub fn of<T: Screened>(isa: Isa) -> Self {
        struct Size<T>(core::marker::PhantomData<T>);
        impl<T: Screened> WithSimd for Size<T> {
            type Output = Panels;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> Panels {
                Panels { rows: rows::<S>(), columns: VECTORS * T::lanes::<S>() }
            }
        }
        isa.dispatch(Size(core::marker::PhantomData::<T>))
    }
}

const fn rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { ROWS[0] } else { ROWS[1] }
}

/// A block of points as rows or as columns of products.
#[derive(Debug)]
pub struct Side<'a, T> {
    /// [`BLOCK`] × depth coordinates in [`Panels`], anything behind the last point.
    pub panels: &'a [T],
    /// |x|²/2 of each of the [`BLOCK`] points; [`Screened::BEHIND`] behind the last one.
    pub halves: &'a [T],
    /// Number of points.
    pub count: usize,
    /// Index of the first one.
    pub first: u32,
    /// Where the near points of each are kept.
    pub candidates: Candidates<'a, T>,
}

impl<T: Screened> Side<'_, T> {
    fn check(&self, depth: usize) {
        assert!(self.count <= BLOCK && self.halves.len() == BLOCK);
        assert_eq!(self.panels.len(), BLOCK * depth);
        assert_eq!(self.candidates.limits.len(), BLOCK);
        assert!(self.count <= (u32::MAX - self.first) as usize);
    }
}

/// Offers each point of two different blocks to the candidates of the points of the other, with the
/// value h_j − x_i·x_j for point j among those of i: half the squared distance less h_i.
///
/// # Panics
/// Unless panels, halves and candidates have the sizes of blocks.
pub fn between<T: Screened>(isa: Isa, depth: usize, rows: Side<'_, T>, columns: Side<'_, T>) {
    rows.check(depth);
    columns.check(depth);
    let panels = 0..columns.count.div_ceil(Panels::of::<T>(isa).columns);
    T::screen(isa, Screen { depth, rows, columns, panels });
}

/// Offers each point of a block to the candidates of the others, once a panel of columns: `quota`
/// says for a number of points, that many of which have been offered, how many candidates to keep.
///
/// # Panics
/// Unless panels, halves and candidates have the sizes of blocks.
pub fn within<T: Screened>(
    isa: Isa,
    depth: usize,
    mut rows: Side<'_, T>,
    columns: &[T],
    quota: impl Fn(usize) -> usize,
) {
    rows.check(depth);
    assert_eq!(columns.len(), BLOCK * depth);
    let limits = &mut [T::NEVER; BLOCK];
    let width = Panels::of::<T>(isa).columns;
    for panel in 0..rows.count.div_ceil(width) {
        // The candidates of the columns take nothing.
        let columns = Side {
            panels: columns,
            halves: rows.halves,
            count: rows.count,
            first: rows.first,
            candidates: Candidates {
                values: &mut [],
                indices: &mut [],
                counts: &mut [],
                limits,
                room: 0,
            },
        };
        let rows_again = Side {
            panels: rows.panels,
            halves: rows.halves,
            count: rows.count,
            first: rows.first,
            candidates: rows.candidates.reborrow(),
        };
        T::screen(isa, Screen { depth, rows: rows_again, columns, panels: panel..panel + 1 });
        let seen = rows.count.min((panel + 1) * width);
        rows.candidates.cut(isa, quota(seen));
    }
}

/// Products of all rows with these panels of columns.
#[doc(hidden)]
#[derive(Debug)]
pub struct Screen<'a, T> {
    depth: usize,
    rows: Side<'a, T>,
    columns: Side<'a, T>,
    panels: core::ops::Range<usize>,
}

impl<T: Screened> WithSimd for Screen<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if rows::<S>() == ROWS[0] {
            self.run::<S, _, { ROWS[0] }>(simd, eight::<T, S>);
        } else {
            self.run::<S, _, { ROWS[1] }>(simd, four::<T, S>);
        }
    }
}

impl<T: Screened> Screen<'_, T> {
    #[inline(always)]
    fn run<S: Simd, P, const M: usize>(self, simd: S, products: P)
    where
        P: Fn(S, &[[T; M]], &[[T::Vector<S>; VECTORS]]) -> [[T::Vector<S>; VECTORS]; M],
    {
        let Self { depth, mut rows, mut columns, panels } = self;
        let width = VECTORS * T::lanes::<S>();
        for panel in panels {
            let c = panel * width;
            let b = &columns.panels[panel * depth * width..(panel + 1) * depth * width];
            let b = T::as_simd::<S>(b).as_chunks::<VECTORS>().0;
            for r in (0..rows.count).step_by(M) {
                let a = rows.panels[r * depth..(r + M) * depth].as_chunks::<M>().0;
                let sums = products(simd, a, b);
                let halves = T::as_simd::<S>(&columns.halves[c..c + width]);
                let limits = T::as_simd::<S>(&columns.candidates.limits[c..c + width]);
                let (halves, limits) =
                    ([halves[0], halves[1], halves[2]], [limits[0], limits[1], limits[2]]);
                for m in 0..M {
                    // x_i·x_j > h_j − limit_i, or > h_i − limit_j.
                    let half = T::splat(simd, rows.halves[r + m]);
                    let limit = T::splat(simd, rows.candidates.limits[r + m]);
                    let [p0, p1, p2] = sums[m];
                    let near = [
                        near::<T, S>(simd, p0, halves[0], limit, half, limits[0]),
                        near::<T, S>(simd, p1, halves[1], limit, half, limits[1]),
                        near::<T, S>(simd, p2, halves[2], limit, half, limits[2]),
                    ];
                    if near != [0; VECTORS] {
                        let lanes = T::lanes::<S>();
                        let [n0, n1, n2] = near.map(u64::from);
                        let near = n0 | n1 << lanes | n2 << (2 * lanes);
                        let products = bytemuck::cast_slice(&sums[m]);
                        keep(&mut rows, &mut columns, r + m, c, products, near);
                    }
                }
            }
        }
    }
}

/// The lanes whose product exceeds half_j − limit_i or half_i − limit_j.
#[inline(always)]
fn near<T: Screened, S: Simd>(
    simd: S,
    products: T::Vector<S>,
    halves: T::Vector<S>,
    limit: T::Vector<S>,
    half: T::Vector<S>,
    limits: T::Vector<S>,
) -> u32 {
    let row = T::sub(simd, halves, limit);
    let column = T::sub(simd, half, limits);
    T::above(simd, products, T::min(simd, row, column))
}

// Every sum by name: left to loops over arrays, some levels of optimisation keep sums in memory.
macro_rules! products {
    ($name:ident, $m:literal, $($row:ident = $i:literal),*) => {
        /// A panel of rows times a panel of columns.
        #[inline(always)]
        fn $name<T: Screened, S: Simd>(
            simd: S,
            a: &[[T; $m]],
            b: &[[T::Vector<S>; VECTORS]],
        ) -> [[T::Vector<S>; VECTORS]; $m] {
            let zero = T::splat(simd, T::default());
            $(let mut $row = (zero, zero, zero);)*
            for (a, &[b0, b1, b2]) in a.iter().zip(b) {
                $(
                    let x = T::splat(simd, a[$i]);
                    $row.0 = T::multiply_add(simd, x, b0, $row.0);
                    $row.1 = T::multiply_add(simd, x, b1, $row.1);
                    $row.2 = T::multiply_add(simd, x, b2, $row.2);
                )*
            }
            [$([$row.0, $row.1, $row.2]),*]
        }
    };
}

products!(eight, 8, s0 = 0, s1 = 1, s2 = 2, s3 = 3, s4 = 4, s5 = 5, s6 = 6, s7 = 7);
products!(four, 4, s0 = 0, s1 = 1, s2 = 2, s3 = 3);

/// Keeps the pairs of row r with the columns from c on whose bit is set.
#[inline(never)]
fn keep<T: Screened>(
    rows: &mut Side<'_, T>,
    columns: &mut Side<'_, T>,
    r: usize,
    c: usize,
    products: &[T],
    mut near: u64,
) {
    let row = rows.first + r as u32;
    while near != 0 {
        let lane = near.trailing_zeros() as usize;
        near &= near - 1;
        let column = columns.first + (c + lane) as u32;
        if row == column {
            continue;
        }
        let value = columns.halves[c + lane].minus(products[lane]);
        if value < rows.candidates.limits[r] {
            rows.candidates.push(r, value, column);
        }
        let value = rows.halves[r].minus(products[lane]);
        if value < columns.candidates.limits[c + lane] {
            columns.candidates.push(c + lane, value, row);
        }
    }
}
