//! Laplacians of voxels, nonnegative least squares, regression of tracing data.

use hesse::connectome::{
    ProductLaplacian, Smoothing, SmoothingOperator, SplineRegression, TracingData, VoxelLaplacian,
    VoxelMask,
};
use hesse::faer::{Mat, MatRef};
use hesse::krylov::{Lanczos, LinearOperator, SparseOperator};
use hesse::optimize::{Bounds, Lbfgsb, Nnls, SmoothObjective};
use hesse::sprs::TriMat;
use hesse_cli::inputs::uniform;
use hesse_kernels::Real;

use super::Work;

/// The work called `name`, if it is one of these.
pub fn prepare<T: Real>(name: &str) -> Option<Box<dyn Work>> {
    if let Some(columns) = name.strip_prefix("laplacian_ball_")
        && T::NAME == "f64"
    {
        return BallProduct::new(columns.parse().ok()?).map(|work| Box::new(work) as _);
    }
    match (name, T::NAME) {
        ("nnls_2000x500", "f64") => return Some(Box::new(LeastSquares::new(2000, 500, 1))),
        ("nnls_200_rhs", "f64") => return Some(Box::new(LeastSquares::new(500, 100, 200))),
        ("toy1d_lbfgsb_600", "f64") => return Toy::new().map(|work| Box::new(work) as _),
        ("toy1d_minimum_200", "f64") => return Certified::new().map(|work| Box::new(work) as _),
        _ => {}
    }
    if name == "eigsh_ball_laplacian_10" && T::NAME == "f64" {
        let laplacian = ball_laplacian()?;
        let start = uniform(1, laplacian.dimension());
        return Some(Box::new(Eigenvalues { laplacian, start, values: Vec::new() }));
    }
    None
}

/// Graph Laplacian of the voxels of an 80³ grid closer than 38 to voxel (40, 40, 40).
fn ball_laplacian() -> Option<SparseOperator<f64>> {
    const SIDE: usize = 80;
    let square = |i: usize| i.abs_diff(40).pow(2);
    let mut index = vec![None; SIDE * SIDE * SIDE];
    let mut n = 0;
    for (voxel, index) in index.iter_mut().enumerate() {
        let (i, j, k) = (voxel / (SIDE * SIDE), voxel / SIDE % SIDE, voxel % SIDE);
        if square(i) + square(j) + square(k) < 38 * 38 {
            *index = Some(n);
            n += 1;
        }
    }
    let mut matrix = TriMat::new((n, n));
    let mut degree = vec![0.0; n];
    // The ball does not touch the sides of the grid, so no step wraps around.
    for voxel in 0..index.len() {
        for step in [1, SIDE, SIDE * SIDE] {
            let neighbour = index.get(voxel + step).copied().flatten();
            if let (Some(a), Some(b)) = (index[voxel], neighbour) {
                matrix.add_triplet(a, b, -1.0);
                matrix.add_triplet(b, a, -1.0);
                degree[a] += 1.0;
                degree[b] += 1.0;
            }
        }
    }
    for (a, degree) in degree.into_iter().enumerate() {
        matrix.add_triplet(a, a, degree);
    }
    let matrix = matrix.to_csr::<usize>();
    SparseOperator::new(matrix.view()).ok()
}

struct Eigenvalues {
    laplacian: SparseOperator<f64>,
    start: Vec<f64>,
    values: Vec<f64>,
}

impl Work for Eigenvalues {
    fn run(&mut self) {
        let pairs =
            Lanczos::new(&self.laplacian).largest(10).tolerance(1e-8).start(&self.start).run();
        self.values = pairs.map(|pairs| pairs.values).unwrap_or_default();
    }
    /// The five largest distinct values: ARPACK can miss copies of a multiple eigenvalue, and then
    /// fills up with smaller ones.
    fn answer(&self) -> Vec<f64> {
        let mut values = self.values.clone();
        values.sort_by(|a, b| b.total_cmp(a));
        values.dedup_by(|a, b| (*a - *b).abs() < 1e-6);
        values.truncate(5);
        values
    }
}

/// Products with the Laplacian of the same voxels, without a matrix.
struct BallProduct {
    laplacian: VoxelLaplacian,
    columns: usize,
    x: Vec<f64>,
    y: Vec<f64>,
}

impl BallProduct {
    fn new(columns: usize) -> Option<Self> {
        let square = |i: usize| i.abs_diff(40).pow(2);
        let inside: Vec<bool> = (0..80 * 80 * 80)
            .map(|c| square(c / 6400) + square(c / 80 % 80) + square(c % 80) < 38 * 38)
            .collect();
        let mask = VoxelMask::from_bool_grid(&[80, 80, 80], &inside).ok()?;
        let laplacian = mask.laplacian(Smoothing::free()).ok()?;
        let x = uniform(1, mask.len() * columns);
        Some(Self { laplacian, columns, y: vec![0.5; x.len()], x })
    }
}

impl Work for BallProduct {
    fn run(&mut self) {
        let done = self.laplacian.try_apply_rows(self.columns, &self.x, &mut self.y);
        assert!(done.is_ok(), "{done:?}");
    }
    fn answer(&self) -> Vec<f64> {
        self.y.chunks_exact(self.columns).step_by(1000).flatten().copied().collect()
    }
}

/// Nonnegative least squares; A row-major, right-hand sides one after the other.
struct LeastSquares {
    shape: (usize, usize, usize),
    a: Vec<f64>,
    b: Vec<f64>,
    x: Mat<f64>,
}

impl LeastSquares {
    fn new(m: usize, n: usize, count: usize) -> Self {
        let (a, b) = (uniform(1, m * n), uniform(2, count * m));
        Self { shape: (m, n, count), a, b, x: Mat::new() }
    }
}

impl Work for LeastSquares {
    fn run(&mut self) {
        let (m, n, count) = self.shape;
        let a = MatRef::from_row_major_slice(&self.a, m, n);
        let b = MatRef::from_column_major_slice(&self.b, m, count);
        self.x = Nnls::new().solve_many(a, b).map(|fit| fit.x).unwrap_or_else(|_| Mat::new());
    }
    fn answer(&self) -> Vec<f64> {
        self.x.col_iter().flat_map(|x| x.iter().copied().collect::<Vec<_>>()).collect()
    }
}

/// W_true of the toy: element (target, source).
fn toy_truth(n: usize, i: usize, j: usize) -> f64 {
    let place = |i: usize| i as f64 / (n - 1) as f64;
    let (target, source) = (place(i), place(j));
    let near = (-((source - target) / 0.4).powi(2)).exp();
    near + 0.9 * (-((source - 0.8).powi(2) + (target - 0.1).powi(2)) / 0.04).exp()
}

/// P1 for five injections into a path of 200 points, λ = 100, to a certificate of 10⁻⁸.
struct Certified {
    data: TracingData,
    path: SmoothingOperator,
    objective: f64,
}

impl Certified {
    const N: usize = 200;

    fn new() -> Option<Self> {
        let n = Self::N;
        let inside = |i: usize, e: usize| (40 * e + 8..40 * e + 36).contains(&i);
        let x = Mat::from_fn(n, 5, |s, e| f64::from(u8::from(inside(s, e))));
        let waves = |t: usize, e: usize| 0.4 * ((37 * t + 101 * e) as f64).sin();
        let y = Mat::from_fn(n, 5, |t, e| {
            let sum: f64 = (0..n).filter(|&s| inside(s, e)).map(|s| toy_truth(n, t, s)).sum();
            sum + waves(t, e)
        });
        let data = TracingData::builder()
            .injections_dense(x.as_ref())
            .projections(y.as_ref())
            .build()
            .ok()?;
        Some(Self { data, path: SmoothingOperator::of_box(&[n]).ok()?, objective: f64::NAN })
    }
}

impl Work for Certified {
    fn run(&mut self) {
        let fit = SplineRegression::new().lambda(100.0).fit(&self.data, &self.path, &self.path);
        self.objective = fit.map_or(f64::NAN, |fit| fit.objective);
    }
    fn answer(&self) -> Vec<f64> {
        vec![self.objective]
    }
}

/// ‖Ω∘(W X − Y)‖² + 5 ‖L W + W L‖² for five injections into a path of 100 points.
struct Toy {
    laplacian: VoxelLaplacian,
    /// 100 × 5, row-major, and 1 − Ω.
    x: Vec<f64>,
    y: Vec<f64>,
    s: Vec<f64>,
    value: f64,
}

impl Toy {
    const N: usize = 100;
    const COUNT: usize = 5;
    const FACTOR: f64 = 5.0;

    fn new() -> Option<Self> {
        let (n, count) = (Self::N, Self::COUNT);
        let inside = |i: usize, e: usize| (20 * e + 4..20 * e + 18).contains(&i);
        let truth = |i: usize, j: usize| toy_truth(n, i, j);
        let cells = (0..n * count).map(|k| (k / count, k % count));
        let x = cells.clone().map(|(i, e)| f64::from(u8::from(inside(i, e)))).collect();
        let sum = |i, e| (0..n).filter(|&j| inside(j, e)).map(|j| truth(i, j)).sum::<f64>();
        let y = cells.map(|(i, e)| if inside(i, e) { 0.0 } else { sum(i, e) }).collect();
        let laplacian = VoxelLaplacian::path(n).ok()?;
        Some(Self { laplacian, x, y, s: vec![0.0; n * n], value: 0.0 })
    }
}

impl SmoothObjective<f64> for Toy {
    fn dimension(&self) -> usize {
        Self::N * Self::N
    }
    fn value_and_gradient(&mut self, w: &[f64], gradient: &mut [f64]) -> hesse::Result<f64> {
        let (n, count) = (Self::N, Self::COUNT);
        let mut loss = 0.0;
        for (i, (w, g)) in w.chunks_exact(n).zip(gradient.chunks_exact_mut(n)).enumerate() {
            let mut r = [0.0; Self::COUNT];
            for (j, w) in w.iter().enumerate() {
                r.iter_mut().zip(&self.x[j * count..]).for_each(|(r, x)| *r += w * x);
            }
            for e in 0..count {
                let observed = 1.0 - self.x[i * count + e];
                r[e] = observed * (r[e] - self.y[i * count + e]);
                loss += r[e] * r[e];
            }
            for (j, g) in g.iter_mut().enumerate() {
                let x = &self.x[j * count..];
                *g = 2.0 * r.iter().zip(x).map(|(r, x)| r * x).sum::<f64>();
            }
        }
        let product = ProductLaplacian::new(&self.laplacian, &self.laplacian);
        let squares = product.apply(w, n, &mut self.s, n)?;
        product.accumulate(2.0 * Self::FACTOR, &self.s, n, gradient, n)?;
        Ok(loss + Self::FACTOR * squares)
    }
}

impl Work for Toy {
    fn run(&mut self) {
        let start = vec![0.0; self.dimension()];
        let solver = Lbfgsb::new().memory(6).max_iterations(600).tolerance(0.0);
        let least = solver.minimize(self, Bounds::nonnegative(), &start);
        self.value = least.map_or(f64::NAN, |least| least.value);
    }
    fn answer(&self) -> Vec<f64> {
        vec![self.value]
    }
}
