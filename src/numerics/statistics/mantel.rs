//! The distribution of a sum over pairs when one side is relabelled.

use crate::{Error, Result};

/// Mean and variance of Z = Σ_{i<j} a_ij b_{π(i)π(j)} over all n! relabellings π.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct MantelMoments {
    /// The mean of Z.
    pub mean: f64,
    /// Its variance.
    pub variance: f64,
}

impl MantelMoments {
    /// The moments for two symmetric n × n tables without diagonal, given by their strict upper
    /// triangles row by row.
    ///
    /// With A₁ = Σ_{i≠j} a_ij, A₂ = Σ_{i≠j} a_ij², A₃ = Σᵢ (Σⱼ a_ij)², and B alike, over i ≠ j
    ///
    /// E Z = A₁B₁/n₂, E Z² = 2 A₂B₂/n₂ + 4 (A₃ − A₂)(B₃ − B₂)/n₃ + (A₁² + 2A₂ − 4A₃)(B₁² + 2B₂ − 4B₃)/n₄
    ///
    /// with n_k = n(n − 1)⋯(n − k + 1); the sum over i < j is half of it. Means are taken out of both
    /// tables first, which shifts Z by a constant, so that the variance loses no digits to them. O(n²).
    ///
    /// Source: N. Mantel, Cancer Research 27, 209 (1967).
    ///
    /// # Errors
    /// [`Error::Shape`] unless both have n(n − 1)/2 entries, [`Error::Range`] for n < 3,
    /// [`Error::NonFinite`].
    pub fn of(n: usize, a: &[f64], b: &[f64]) -> Result<Self> {
        if n < 3 {
            return Err(Error::range("rows of the table", "at least 3", n));
        }
        let pairs = n * (n - 1) / 2;
        for (what, table) in [("a", a), ("b", b)] {
            if table.len() != pairs {
                return Err(Error::shape(format!("{what}: entries"), pairs, table.len()));
            }
            crate::error::check_finite(what, table)?;
        }
        let (a, b) = (Sums::of(n, a), Sums::of(n, b));
        let m = n as f64;
        let second = m * (m - 1.0);
        let mut square = 2.0 * a.squares * b.squares / second
            + 4.0 * (a.rows - a.squares) * (b.rows - b.squares) / (second * (m - 2.0));
        if n > 3 {
            let disjoint = |s: &Sums| 2.0 * s.squares - 4.0 * s.rows;
            square += disjoint(&a) * disjoint(&b) / (second * (m - 2.0) * (m - 3.0));
        }
        // Z of tables with means ā, b̄ is that of the centred ones and ā b̄ n(n − 1)/2.
        Ok(Self { mean: a.mean * b.mean * pairs as f64, variance: (0.25 * square).max(0.0) })
    }
}

/// Sums over i ≠ j of a table less its mean.
struct Sums {
    mean: f64,
    squares: f64,
    rows: f64,
}

impl Sums {
    fn of(n: usize, upper: &[f64]) -> Self {
        let mean = upper.iter().map(|v| v / upper.len() as f64).sum::<f64>();
        let mut rows = vec![0.0; n];
        let (mut squares, mut entries) = (0.0, upper.iter());
        for i in 0..n {
            for (j, value) in (i + 1..n).zip(entries.by_ref()) {
                let deviation = value - mean;
                squares += 2.0 * deviation * deviation;
                rows[i] += deviation;
                rows[j] += deviation;
            }
        }
        Self { mean, squares, rows: rows.iter().map(|r| r * r).sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All orders of 0..n.
    fn permutations(n: usize) -> Vec<Vec<usize>> {
        if n == 0 {
            return vec![Vec::new()];
        }
        let insert = |p: &Vec<usize>, at: usize| {
            let mut p = p.clone();
            p.insert(at, n - 1);
            p
        };
        permutations(n - 1)
            .iter()
            .flat_map(|p| (0..n).map(|at| insert(p, at)).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn moments_are_those_of_all_permutations() {
        for n in [3, 4, 5, 6] {
            let table = |k: usize| -> Vec<f64> {
                (0..n * (n - 1) / 2).map(|i| ((i * 7 + k * 13) % 11) as f64 + 10.0).collect()
            };
            let (a, b) = (table(1), table(2));
            let at = |t: &[f64], i: usize, j: usize| {
                let (i, j) = (i.min(j), i.max(j));
                t[i * (2 * n - i - 1) / 2 + j - i - 1]
            };
            let z: Vec<f64> = permutations(n)
                .iter()
                .map(|p| {
                    (0..n)
                        .flat_map(|i| (i + 1..n).map(move |j| (i, j)))
                        .map(|(i, j)| at(&a, i, j) * at(&b, p[i], p[j]))
                        .sum()
                })
                .collect();
            let mean = z.iter().sum::<f64>() / z.len() as f64;
            let variance = z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / z.len() as f64;
            let got = MantelMoments::of(n, &a, &b).unwrap();
            assert!((got.mean - mean).abs() <= 1e-13 * mean.abs(), "{n}: {got:?} {mean}");
            assert!((got.variance - variance).abs() <= 1e-11 * variance, "{n}: {got:?} {variance}");
        }
    }

    #[test]
    fn bad_tables_are_named() {
        let text =
            |n: usize, a: &[f64], b: &[f64]| MantelMoments::of(n, a, b).unwrap_err().to_string();
        assert_eq!(text(2, &[1.0], &[1.0]), "rows of the table: expected at least 3, got 2");
        assert_eq!(text(3, &[1.0; 3], &[1.0]), "b: entries: expected 3, got 1");
        let nan = "a: expected finite numbers, got NaN at index 0";
        assert_eq!(text(3, &[f64::NAN; 3], &[1.0; 3]), nan);
    }
}
