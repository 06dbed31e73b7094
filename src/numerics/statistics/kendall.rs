//! Concordance of two orders.

use super::sorted_order::sorted_order;
use crate::{Error, Result};

/// How many pairs two samples order alike, and how many have no order.
///
/// ```
/// use hesse::statistics::Kendall;
/// let k = Kendall::of(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0])?;
/// assert_eq!((k.excess, k.pairs), (4, 6));
/// assert_eq!(k.tau_a(), 4.0 / 6.0);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kendall {
    /// Concordant less discordant pairs.
    pub excess: i64,
    /// n(n − 1)/2.
    pub pairs: i64,
    /// Pairs that are tied in x.
    pub ties_x: i64,
    /// Pairs that are tied in y.
    pub ties_y: i64,
}

impl Kendall {
    /// Counts over all pairs of two samples of the same length, exactly.
    ///
    /// The samples are sorted by (x, y); the discordant pairs are then the inversions of y, which a
    /// merge sort counts. O(n log n). Infinities are values like others.
    ///
    /// Source: W. R. Knight, JASA 61, 436 (1966).
    ///
    /// # Errors
    /// [`Error::Shape`] for samples of different lengths, [`Error::Range`] for fewer than two
    /// values, [`Error::NonFinite`] for NaN.
    pub fn of(x: &[f64], y: &[f64]) -> Result<Self> {
        if x.len() != y.len() {
            return Err(Error::shape("y: length", x.len(), y.len()));
        }
        if x.len() < 2 {
            return Err(Error::range("values", "at least 2", x.len()));
        }
        // Ranks of y without gaps, which keep its ties, in the order of x.
        let mut dense = vec![0; y.len()];
        let mut ties_y = 0;
        let by_y = sorted_order("y", y)?;
        let groups = by_y.chunk_by(|&i, &j| y[i as usize] == y[j as usize]);
        for (rank, group) in (0_u32..).zip(groups) {
            group.iter().for_each(|&i| dense[i as usize] = rank);
            ties_y += pairs_of(group.len());
        }
        let order = sorted_order("x", x)?;
        let mut sequence: Vec<u32> = order.iter().map(|&i| dense[i as usize]).collect();
        let (mut ties_x, mut ties_both, mut first) = (0, 0, 0);
        for group in order.chunk_by(|&i, &j| x[i as usize] == x[j as usize]) {
            ties_x += pairs_of(group.len());
            // Within ties of x no pair is discordant.
            let members = &mut sequence[first..first + group.len()];
            members.sort_unstable();
            ties_both +=
                members.chunk_by(|a, b| a == b).map(|tie| pairs_of(tie.len())).sum::<i64>();
            first += group.len();
        }
        let pairs = pairs_of(x.len());
        let discordant = inversions(&mut sequence);
        let excess = pairs - ties_x - ties_y + ties_both - 2 * discordant;
        Ok(Self { excess, pairs, ties_x, ties_y })
    }

    /// τ_a = excess / pairs.
    #[must_use]
    pub fn tau_a(&self) -> f64 {
        self.excess as f64 / self.pairs as f64
    }

    /// τ_b = excess / √((pairs − ties_x)(pairs − ties_y)); NaN where a sample is constant.
    #[must_use]
    pub fn tau_b(&self) -> f64 {
        let untied = |ties: i64| (self.pairs - ties) as f64;
        (self.excess as f64 / (untied(self.ties_x) * untied(self.ties_y)).sqrt()).clamp(-1.0, 1.0)
    }
}

fn pairs_of(n: usize) -> i64 {
    // n < 2³².
    let n = n as i64;
    if n % 2 == 0 { n / 2 * (n - 1) } else { (n - 1) / 2 * n }
}

/// The number of pairs i < j with s_i > s_j; sorts the sequence.
fn inversions(sequence: &mut [u32]) -> i64 {
    /// Runs of this length are sorted by insertion.
    const RUN: usize = 16;
    let n = sequence.len();
    let mut count = 0;
    for run in sequence.chunks_mut(RUN) {
        for i in 1..run.len() {
            let value = run[i];
            let mut j = i;
            while j > 0 && run[j - 1] > value {
                run[j] = run[j - 1];
                j -= 1;
            }
            run[j] = value;
            count += (i - j) as i64;
        }
    }
    let mut from = sequence.to_vec();
    let mut to = vec![0; n];
    let mut width = RUN;
    while width < n {
        for start in (0..n).step_by(2 * width) {
            let (middle, end) = ((start + width).min(n), (start + 2 * width).min(n));
            let (left, right) = (&from[start..middle], &from[middle..end]);
            let (mut l, mut r) = (0, 0);
            for out in &mut to[start..end] {
                if r == right.len() || (l < left.len() && left[l] <= right[r]) {
                    *out = left[l];
                    l += 1;
                } else {
                    *out = right[r];
                    // It passes all that remain on the left.
                    count += (left.len() - l) as i64;
                    r += 1;
                }
            }
        }
        std::mem::swap(&mut from, &mut to);
        width *= 2;
    }
    sequence.copy_from_slice(&from);
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_all_pairs() {
        for n in [2, 3, 15, 16, 17, 33, 200] {
            for levels in [2, 7, 1000] {
                let x: Vec<f64> =
                    (0..n).map(|i| f64::from((i * i * 37 + 5 * i) % levels)).collect();
                let y: Vec<f64> =
                    (0..n).map(|i| f64::from((i * i * 91 + 3 * i) % levels)).collect();
                let sign = |a: f64, b: f64| i64::from(a > b) - i64::from(a < b);
                let (mut excess, mut ties_x, mut ties_y) = (0, 0, 0);
                for i in 0..x.len() {
                    for j in 0..i {
                        excess += sign(x[i], x[j]) * sign(y[i], y[j]);
                        ties_x += i64::from(x[i] == x[j]);
                        ties_y += i64::from(y[i] == y[j]);
                    }
                }
                let got = Kendall::of(&x, &y).unwrap();
                let pairs = i64::from(n) * i64::from(n - 1) / 2;
                assert_eq!(got, Kendall { excess, pairs, ties_x, ties_y }, "{n} {levels}");
            }
        }
    }

    #[test]
    fn constants_and_bad_samples() {
        let k = Kendall::of(&[1.0, 1.0], &[0.0, 2.0]).unwrap();
        assert!(k.tau_b().is_nan());
        assert_eq!(k.tau_a(), 0.0);
        let text = |x: &[f64], y: &[f64]| Kendall::of(x, y).unwrap_err().to_string();
        assert_eq!(text(&[1.0, 2.0], &[1.0]), "y: length: expected 2, got 1");
        assert_eq!(text(&[1.0], &[1.0]), "values: expected at least 2, got 1");
        let nan = "x: expected finite numbers, got NaN at index 1";
        assert_eq!(text(&[1.0, f64::NAN], &[1.0, 2.0]), nan);
    }
}
