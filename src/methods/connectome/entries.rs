//! Long vectors of entries of W, some of them held at zero: the same bits for any number of threads.

use hesse_kernels::level1;

use crate::{Error, Isa, Result, parallel};

/// Entries of one task.
const PIECE: usize = 1 << 13;

/// `n` zeros, or an error where there is no memory for them.
pub(super) fn zeros(what: &str, n: usize) -> Result<Vec<f64>> {
    let mut values = Vec::new();
    values.try_reserve_exact(n).map_err(|_| {
        Error::range(what, "an array that fits in memory", format!("{n} numbers of 8 bytes"))
    })?;
    values.resize(n, 0.0);
    Ok(values)
}

fn piece<T>(x: &[T], i: usize) -> &[T] {
    &x[i * PIECE..x.len().min((i + 1) * PIECE)]
}

fn pieces(n: usize) -> usize {
    n.div_ceil(PIECE)
}

/// x·y.
pub(super) fn dot(x: &[f64], y: &[f64]) -> f64 {
    let isa = Isa::current();
    parallel::sum(pieces(x.len()), |i| level1::dot(isa, piece(x, i), piece(y, i)))
}

/// ‖x‖².
pub(super) fn square(x: &[f64]) -> f64 {
    dot(x, x)
}

/// y ← y + a x.
pub(super) fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    let isa = Isa::current();
    parallel::for_each_piece(y, PIECE, |i, y| level1::axpy(isa, a, piece(x, i), y));
}

/// y ← a x + b y.
pub(super) fn axpby(a: f64, x: &[f64], b: f64, y: &mut [f64]) {
    let isa = Isa::current();
    parallel::for_each_piece(y, PIECE, |i, y| level1::axpby(isa, a, piece(x, i), b, y));
}

/// x ← a x.
pub(super) fn scale(a: f64, x: &mut [f64]) {
    let isa = Isa::current();
    parallel::for_each_piece(x, PIECE, |_, x| level1::scal(isa, a, x));
}

/// x ← max(x, 0), where NaN stays NaN and −0 becomes 0.
pub(super) fn clip(x: &mut [f64]) {
    parallel::for_each_piece(x, PIECE, |_, x| {
        for x in x {
            *x = if *x <= 0.0 { 0.0 } else { *x };
        }
    });
}

/// max xᵢ and min xᵢ, (−∞, ∞) for the empty vector; finite numbers only.
pub(super) fn extremes(x: &[f64]) -> (f64, f64) {
    let part = |i: usize| {
        piece(x, i).iter().fold((f64::NEG_INFINITY, f64::INFINITY), |(high, low), &x| {
            (if x > high { x } else { high }, if x < low { x } else { low })
        })
    };
    let merge = |a: &mut (f64, f64), b: (f64, f64)| *a = (a.0.max(b.0), a.1.min(b.1));
    parallel::reduce(pieces(x.len()), part, merge).unwrap_or((f64::NEG_INFINITY, f64::INFINITY))
}

/// max |xᵢ| of finite numbers; 0 for the empty vector.
pub(super) fn largest(x: &[f64]) -> f64 {
    let (high, low) = extremes(x);
    if x.is_empty() { 0.0 } else { high.max(-low) }
}

/// Whether there is no NaN or infinity.
pub(super) fn all_finite(x: &[f64]) -> bool {
    let isa = Isa::current();
    parallel::map(pieces(x.len()), |i| level1::all_finite(isa, piece(x, i)))
        .into_iter()
        .all(|finite| finite)
}

/// How many are exactly zero.
pub(super) fn count_zeros(x: &[f64]) -> usize {
    let part = |i: usize| piece(x, i).iter().filter(|x| **x == 0.0).count();
    parallel::reduce(pieces(x.len()), part, |a, b| *a += b).unwrap_or(0)
}

/// max |min(wᵢ/a, gᵢ/b)|, the residual of Karush, Kuhn and Tucker.
pub(super) fn kkt(w: &[f64], g: &[f64], a: f64, b: f64) -> f64 {
    let part = |i: usize| {
        let pairs = piece(w, i).iter().zip(piece(g, i));
        pairs.fold(0.0, |worst: f64, (&w, &g)| {
            let (w, g) = (w / a, g / b);
            let residual = if g.is_nan() || w.is_nan() { f64::NAN } else { w.min(g).abs() };
            if residual > worst || residual.is_nan() { residual } else { worst }
        })
    };
    let merge = |a: &mut f64, b: f64| {
        if b > *a || b.is_nan() {
            *a = b;
        }
    };
    parallel::reduce(pieces(w.len()), part, merge).unwrap_or(0.0)
}

/// The entries that are held at zero.
#[derive(Clone, Debug)]
pub(super) struct Active {
    held: Vec<u8>,
    count: usize,
}

impl Active {
    pub fn none(n: usize) -> Self {
        Self { held: vec![0; n], count: 0 }
    }

    /// From 0 for free and anything else for held.
    pub fn from_flags(held: Vec<u8>) -> Self {
        let count = held.iter().filter(|h| **h != 0).count();
        Self { held, count }
    }

    pub fn flags(&self) -> &[u8] {
        &self.held
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// x ← 0 where held.
    pub fn project(&self, x: &mut [f64]) {
        if self.count == 0 {
            return;
        }
        parallel::for_each_piece(x, PIECE, |i, x| {
            for (x, &held) in x.iter_mut().zip(piece(&self.held, i)) {
                *x = if held != 0 { 0.0 } else { *x };
            }
        });
    }

    /// x ← min(x, 0) where held.
    pub fn keep_negative(&self, x: &mut [f64]) {
        if self.count == 0 {
            return;
        }
        parallel::for_each_piece(x, PIECE, |i, x| {
            for (x, &held) in x.iter_mut().zip(piece(&self.held, i)) {
                *x = if held != 0 && *x > 0.0 { 0.0 } else { *x };
            }
        });
    }

    /// Entries that have the wrong status: free with x < 0, held with g < −tolerance.
    pub fn violations(&self, x: &[f64], g: &[f64], tolerance: f64) -> usize {
        let wrong = |i: usize| {
            let (x, g, held) = (piece(x, i), piece(g, i), piece(&self.held, i));
            (0..x.len()).filter(|&j| is_wrong(held[j], x[j], g[j], tolerance)).count()
        };
        parallel::reduce(pieces(x.len()), wrong, |a, b| *a += b).unwrap_or(0)
    }

    /// Gives every entry of the wrong status the other one.
    pub fn exchange(&mut self, x: &[f64], g: &[f64], tolerance: f64) {
        parallel::for_each_piece(&mut self.held, PIECE, |i, held| {
            let (x, g) = (piece(x, i), piece(g, i));
            for j in 0..held.len() {
                if is_wrong(held[j], x[j], g[j], tolerance) {
                    held[j] ^= 1;
                }
            }
        });
        self.count = self.held.iter().filter(|h| **h != 0).count();
    }

    /// Gives the last entry of the wrong status the other one: Murty's rule.
    pub fn exchange_last(&mut self, x: &[f64], g: &[f64], tolerance: f64) {
        let last = (0..x.len()).rev().find(|&j| is_wrong(self.held[j], x[j], g[j], tolerance));
        if let Some(j) = last {
            self.held[j] ^= 1;
            self.count = self.held.iter().filter(|h| **h != 0).count();
        }
    }

    /// Holds what is zero with g ≥ 0, frees everything else; x ≥ 0.
    pub fn of_feasible(x: &[f64], g: &[f64]) -> Self {
        Self::from_flags(x.iter().zip(g).map(|(x, g)| u8::from(*x <= 0.0 && *g >= 0.0)).collect())
    }
}

fn is_wrong(held: u8, x: f64, g: f64, tolerance: f64) -> bool {
    if held == 0 { x < 0.0 } else { g < -tolerance }
}
