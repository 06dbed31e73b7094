//! Systems of 2m equations.

/// P A = L U with partial pivoting, row-major.
#[derive(Debug, Default)]
pub(super) struct Factor {
    n: usize,
    lu: Vec<f64>,
    /// Row of A that each row of L U comes from.
    order: Vec<usize>,
    /// Rows and columns are divided by these first.
    scale: Vec<f64>,
}

impl Factor {
    /// A symmetric matrix with rows and columns scaled by the roots of their diagonal. `None` where
    /// it is singular to rounding or holds NaN.
    pub fn new(mut a: Vec<f64>, n: usize) -> Option<Self> {
        let scale: Vec<f64> = (0..n)
            .map(|i| {
                let root = a[i * n + i].abs().sqrt();
                if root > 0.0 { root } else { 1.0 }
            })
            .collect();
        for i in 0..n {
            for j in 0..n {
                a[i * n + j] /= scale[i] * scale[j];
            }
        }
        let mut order: Vec<usize> = (0..n).collect();
        for k in 0..n {
            let largest = |best: usize, i: usize| {
                if a[i * n + k].abs() > a[best * n + k].abs() { i } else { best }
            };
            let pivot = (k..n).fold(k, largest);
            let size = a[pivot * n + k].abs();
            if !(size > n as f64 * f64::EPSILON && size.is_finite()) {
                return None;
            }
            if pivot != k {
                (0..n).for_each(|j| a.swap(k * n + j, pivot * n + j));
                order.swap(k, pivot);
            }
            for i in k + 1..n {
                let factor = a[i * n + k] / a[k * n + k];
                a[i * n + k] = factor;
                for j in k + 1..n {
                    a[i * n + j] -= factor * a[k * n + j];
                }
            }
        }
        Some(Self { n, lu: a, order, scale })
    }

    /// A⁻¹ b; nothing for the empty matrix.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let n = self.n;
        let mut x: Vec<f64> = self.order.iter().map(|&i| b[i] / self.scale[i]).collect();
        for i in 0..n {
            for j in 0..i {
                x[i] -= self.lu[i * n + j] * x[j];
            }
        }
        for i in (0..n).rev() {
            for j in i + 1..n {
                x[i] -= self.lu[i * n + j] * x[j];
            }
            x[i] /= self.lu[i * n + i];
        }
        x.iter_mut().zip(&self.scale).for_each(|(x, scale)| *x /= scale);
        x
    }
}

/// A⁻¹ b for any small matrix, by Gaussian elimination with rows scaled to their largest element.
/// `None` where it is singular to rounding.
pub(super) fn solve_general(mut a: Vec<f64>, n: usize, b: &[f64]) -> Option<Vec<f64>> {
    let mut b = b.to_vec();
    for i in 0..n {
        let size = a[i * n..][..n].iter().fold(0.0_f64, |s, x| s.max(x.abs()));
        if !(size > 0.0 && size.is_finite()) {
            return None;
        }
        a[i * n..][..n].iter_mut().for_each(|x| *x /= size);
        b[i] /= size;
    }
    for k in 0..n {
        let largest = |best: usize, i: usize| {
            if a[i * n + k].abs() > a[best * n + k].abs() { i } else { best }
        };
        let pivot = (k..n).fold(k, largest);
        let size = a[pivot * n + k].abs();
        if size <= n as f64 * f64::EPSILON || size.is_nan() {
            return None;
        }
        (0..n).for_each(|j| a.swap(k * n + j, pivot * n + j));
        b.swap(k, pivot);
        for i in k + 1..n {
            let factor = a[i * n + k] / a[k * n + k];
            for j in k..n {
                a[i * n + j] -= factor * a[k * n + j];
            }
            b[i] -= factor * b[k];
        }
    }
    for i in (0..n).rev() {
        for j in i + 1..n {
            b[i] -= a[i * n + j] * b[j];
        }
        b[i] /= a[i * n + i];
    }
    b.iter().all(|x| x.is_finite()).then_some(b)
}
