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

/// The neighbours of each voxel on a lattice: before and behind along the last, the middle and the
/// first axis. `voxels` are distinct cells of a box of this shape, in row-major numbers.
#[must_use]
pub fn neighbours_of_grid(shape: [usize; 3], voxels: &[usize]) -> Vec<[Option<usize>; 6]> {
    let cells: usize = shape.iter().product();
    let mut number = vec![None; cells];
    for (i, &voxel) in voxels.iter().enumerate() {
        number[voxel] = Some(i);
    }
    let of = |&voxel: &usize| {
        let mut near = [None; 6];
        let mut step = 1;
        for axis in 0..3 {
            let size = shape[2 - axis];
            let place = voxel / step % size;
            if place > 0 {
                near[2 * axis] = number[voxel - step];
            }
            if place + 1 < size {
                near[2 * axis + 1] = number[voxel + step];
            }
            step *= size;
        }
        near
    };
    voxels.iter().map(of).collect()
}

/// L X for the graph Laplacian of these neighbours (1 for a neighbour, −degree for the point
/// itself), rows of `columns` elements a point, and Σ |xⱼ − xᵢ| for the error bound.
#[must_use]
pub fn laplacian<T: crate::Real>(
    neighbours: &[[Option<usize>; 6]],
    columns: usize,
    x: &[T],
) -> (Vec<f64>, Vec<f64>) {
    let (mut products, mut sizes) = (Vec::new(), Vec::new());
    for (i, near) in neighbours.iter().enumerate() {
        for c in 0..columns {
            let at = |point: usize| x[point * columns + c].to_f64();
            let terms = || near.iter().flatten().map(|&j| at(j) - at(i));
            products.push(terms().sum());
            sizes.push(terms().map(f64::abs).sum());
        }
    }
    (products, sizes)
}

/// L_y W + W L_xᵀ for a row-major W with `stride` elements from a row to the next, contiguous, and
/// the sums of absolute differences for the error bound.
#[must_use]
pub fn product_laplacian<T: crate::Real>(
    of_rows: &[[Option<usize>; 6]],
    of_columns: &[[Option<usize>; 6]],
    stride: usize,
    w: &[T],
) -> (Vec<f64>, Vec<f64>) {
    let (mut products, mut sizes) = (Vec::new(), Vec::new());
    for (i, above) in of_rows.iter().enumerate() {
        for (j, beside) in of_columns.iter().enumerate() {
            let own = w[i * stride + j].to_f64();
            let rows = above.iter().flatten().map(|&k| w[k * stride + j].to_f64() - own);
            let columns = beside.iter().flatten().map(|&k| w[i * stride + k].to_f64() - own);
            let terms: Vec<f64> = rows.chain(columns).collect();
            products.push(terms.iter().sum());
            sizes.push(terms.iter().map(|t| t.abs()).sum());
        }
    }
    (products, sizes)
}
