//! The limited-memory matrix in compact form.

use super::super::minimum::{PIECE, dot};
use super::small::Factor;
use crate::{Real, parallel};

/// B = θI − W M Wᵀ with W = [Y, θS] (n × 2m) and M⁻¹ = [[−D, Lᵀ], [L, θSᵀS]], D = diag(sᵢ·yᵢ),
/// Lᵢⱼ = sᵢ·yⱼ for i > j: Byrd, Nocedal and Schnabel 1994, equation 3.2.
pub(super) struct Compact<T> {
    memory: usize,
    /// Differences of points and of gradients, oldest first.
    pub s: Vec<Vec<T>>,
    pub y: Vec<Vec<T>>,
    /// sᵢ·yⱼ and sᵢ·sⱼ, row by row.
    sy: Vec<Vec<f64>>,
    ss: Vec<Vec<f64>>,
    pub theta: f64,
    middle: Factor,
}

impl<T: Real> Compact<T> {
    pub fn new(memory: usize) -> Self {
        Self {
            memory,
            s: Vec::new(),
            y: Vec::new(),
            sy: Vec::new(),
            ss: Vec::new(),
            theta: 1.0,
            middle: Factor::default(),
        }
    }

    /// Number of pairs.
    pub fn pairs(&self) -> usize {
        self.s.len()
    }

    pub fn clear(&mut self) {
        self.s.clear();
        self.y.clear();
        self.sy.clear();
        self.ss.clear();
        self.theta = 1.0;
        self.middle = Factor::default();
    }

    /// Forgets the oldest pair where memory is full.
    pub fn make_room(&mut self) {
        if self.pairs() < self.memory {
            return;
        }
        for rows in [&mut self.sy, &mut self.ss] {
            rows.remove(0);
            for row in rows {
                row.remove(0);
            }
        }
        self.s.remove(0);
        self.y.remove(0);
    }

    /// Adds a pair with s·y > 0; false, with everything forgotten, where M is not a matrix of
    /// numbers.
    pub fn push(&mut self, s: Vec<T>, y: Vec<T>, sy: f64, yy: f64) -> bool {
        let m = self.pairs();
        for i in 0..m {
            self.sy[i].push(dot(&self.s[i], &y));
            self.ss[i].push(dot(&self.s[i], &s));
        }
        self.sy.push((0..m).map(|j| dot(&s, &self.y[j])).chain([sy]).collect());
        let of_old: Vec<f64> = self.ss.iter().map(|row| row[m]).collect();
        self.ss.push(of_old.into_iter().chain([dot(&s, &s)]).collect());
        self.s.push(s);
        self.y.push(y);
        self.theta = yy / sy;
        self.factor()
    }

    fn factor(&mut self) -> bool {
        let m = self.pairs();
        let mut inverse = vec![0.0; 4 * m * m];
        for i in 0..m {
            inverse[i * 2 * m + i] = -self.sy[i][i];
            for j in 0..m {
                inverse[(m + i) * 2 * m + m + j] = self.theta * self.ss[i][j];
                if i > j {
                    inverse[(m + i) * 2 * m + j] = self.sy[i][j];
                    inverse[j * 2 * m + m + i] = self.sy[i][j];
                }
            }
        }
        match Factor::new(inverse, 2 * m) {
            Some(factor) if self.theta.is_finite() && self.theta > 0.0 => {
                self.middle = factor;
                true
            }
            _ => {
                self.clear();
                false
            }
        }
    }

    /// M v.
    pub fn middle(&self, v: &[f64]) -> Vec<f64> {
        self.middle.solve(v)
    }

    /// Row i of W.
    pub fn row(&self, i: usize, row: &mut [f64]) {
        let m = self.pairs();
        for k in 0..m {
            row[k] = self.y[k][i].to_f64();
            row[m + k] = self.theta * self.s[k][i].to_f64();
        }
    }

    /// Wᵀ v.
    pub fn transpose_times(&self, v: &[T]) -> Vec<f64> {
        let y = self.y.iter().map(|y| dot(y, v));
        y.chain(self.s.iter().map(|s| self.theta * dot(s, v))).collect()
    }

    /// WᵀZ Zᵀ[W, r] for the rows where `free` holds: (2m)² + 2m numbers, one pass over W.
    pub fn free_products(&self, free: &[bool], r: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (n, k) = (free.len(), 2 * self.pairs());
        let piece = |piece: usize| {
            let mut gram = vec![0.0; k * k];
            let mut right = vec![0.0; k];
            let mut row = vec![0.0; k];
            for i in piece * PIECE..n.min((piece + 1) * PIECE) {
                if !free[i] {
                    continue;
                }
                self.row(i, &mut row);
                for a in 0..k {
                    right[a] += row[a] * r[i];
                    for b in 0..=a {
                        gram[a * k + b] += row[a] * row[b];
                    }
                }
            }
            (gram, right)
        };
        let merge = |a: &mut (Vec<f64>, Vec<f64>), b: (Vec<f64>, Vec<f64>)| {
            a.0.iter_mut().zip(b.0).for_each(|(a, b)| *a += b);
            a.1.iter_mut().zip(b.1).for_each(|(a, b)| *a += b);
        };
        let (mut gram, right) =
            parallel::reduce(n.div_ceil(PIECE), piece, merge).unwrap_or_default();
        for a in 0..k {
            for b in 0..a {
                gram[b * k + a] = gram[a * k + b];
            }
        }
        (gram, right)
    }
}
