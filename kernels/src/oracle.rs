//! Naive reference implementations, in `f64` and in the order of the textbook: what tests, fuzz
//! targets and benchmarks compare the kernels with. Not for use in programs.

/// Σ xᵢ yᵢ, and Σ |xᵢ yᵢ| for the error bound.
#[must_use]
pub fn dot(x: &[f64], y: &[f64]) -> (f64, f64) {
    x.iter().zip(y).fold((0.0, 0.0), |(sum, abs), (a, b)| (sum + a * b, abs + (a * b).abs()))
}

/// A B for an m × k matrix A and a k × n matrix B given by their elements, column-major, and
/// |A| |B| for the error bound.
#[must_use]
pub fn product(
    (m, k, n): (usize, usize, usize),
    a: impl Fn(usize, usize) -> f64,
    b: impl Fn(usize, usize) -> f64,
) -> (Vec<f64>, Vec<f64>) {
    let mut sums = Vec::with_capacity(m * n);
    let mut bounds = Vec::with_capacity(m * n);
    for j in 0..n {
        for i in 0..m {
            let (mut sum, mut abs) = (0.0, 0.0);
            for p in 0..k {
                let term = a(i, p) * b(p, j);
                sum += term;
                abs += term.abs();
            }
            sums.push(sum);
            bounds.push(abs);
        }
    }
    (sums, bounds)
}

/// The `keep` smallest of `values` with their positions, smallest first; of equal ones the earlier
/// first. NaN and +∞ do not count.
#[must_use]
pub fn smallest(values: &[f64], keep: usize) -> Vec<(f64, usize)> {
    let mut order: Vec<(f64, usize)> =
        values.iter().copied().zip(0..).filter(|(value, _)| *value < f64::INFINITY).collect();
    // Stable: equal values stay in their order.
    order.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(core::cmp::Ordering::Equal));
    order.truncate(keep);
    order
}

/// n numbers in [−1, 1), the same for the same seed: input for tests and benchmarks.
#[must_use]
pub fn uniform(seed: u64, n: usize) -> Vec<f64> {
    let mut state = seed;
    core::iter::repeat_with(|| {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
    .take(n)
    .collect()
}
