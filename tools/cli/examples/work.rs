//! Our side of `tools/peers/compare.py`: prepares a work once, then times repetitions on demand.
//!
//! Requests come one a line on standard input, replies go one JSON object a line to standard
//! output: `prepare NAME DTYPE` replies `{"answer": [...]}`, `run N` replies `{"seconds": [...]}`,
//! and what cannot be done `{"error": "..."}`.

#[path = "work/convolution.rs"]
mod convolution;
#[path = "work/recurrent.rs"]
mod recurrent;

use std::io::{self, BufRead, Write};
use std::time::Instant;

use convolution::{Conv, ConvGradient, ConvHvp};
use hesse::connectome::{
    ProductLaplacian, Smoothing, SmoothingOperator, SplineRegression, TracingData, VoxelLaplacian,
    VoxelMask,
};
use hesse::faer::{Mat, MatRef};
use hesse::flatness::{Geometry, LogVolume, OverLayers};
use hesse::krylov::{Lanczos, LinearOperator, SparseOperator};
use hesse::neighbors::{Knn, Neighbors, Precision};
use hesse::network::{
    Activation, Architecture, Dataset, Hessian, Loss, Network, Objective, Targets,
    VisionTransformer,
};
use hesse::optimize::{Bounds, Lbfgsb, Nnls, Optimizer, Sgd, SgdOptions, SmoothObjective};
use hesse::sprs::TriMat;
use hesse::statistics::ParticipationRatio;
use hesse_cli::inputs::uniform;
use hesse_kernels::elementary::tanh;
use hesse_kernels::panel::{Panel, PanelMut, subtract_product, transpose_product};
use hesse_kernels::philox::fill_normal;
use hesse_kernels::{Isa, Real};
use serde_json::{Value, json};

/// A prepared work: does it once, and makes an answer of the last result.
trait Work {
    fn run(&mut self);
    fn answer(&self) -> Vec<f64>;
}

fn main() -> io::Result<()> {
    let mut work = None;
    for request in io::stdin().lock().lines() {
        let reply = reply(&request?, &mut work).unwrap_or_else(|error| json!({ "error": error }));
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{reply}")?;
        stdout.flush()?;
    }
    Ok(())
}

fn reply(request: &str, current: &mut Option<Box<dyn Work>>) -> Result<Value, String> {
    let words: Vec<_> = request.split_whitespace().collect();
    match words[..] {
        ["prepare", name, dtype] => {
            let isa = Isa::from_env().map_err(|error| error.to_string())?;
            // The old work's memory is given back first.
            *current = None;
            let prepared = match dtype {
                "f32" => prepare::<f32>(name, isa),
                "f64" => prepare::<f64>(name, isa),
                _ => None,
            };
            let mut work = prepared.ok_or_else(|| format!("our side has no {name} in {dtype}"))?;
            work.run();
            let answer = work.answer();
            *current = Some(work);
            Ok(json!({ "answer": answer }))
        }
        ["run", n] => {
            let n: usize = n.parse().map_err(|_| format!("run: expected a number, got {n:?}"))?;
            let work = current.as_mut().ok_or("run: nothing is prepared")?;
            let time = |_| {
                let start = Instant::now();
                work.run();
                start.elapsed().as_secs_f64()
            };
            Ok(json!({ "seconds": (0..n).map(time).collect::<Vec<_>>() }))
        }
        _ => Err(format!("expected `prepare NAME DTYPE` or `run N`, got {request:?}")),
    }
}

/// The work called `name`, by its prefix; sizes are in the rest of the name.
fn prepare<T: Real>(name: &str, isa: Isa) -> Option<Box<dyn Work>> {
    if let Some(sizes) = name.strip_prefix("panel_product_") {
        let [n, k, b] = sizes_of(sizes)?;
        let (v, w) = (uniform::<T>(1, n * k), uniform::<T>(2, n * b));
        return Some(Box::new(PanelProduct { isa, n, k, b, v, w, h: vec![0.0; k * b] }));
    }
    if let Some(sizes) = name.strip_prefix("panel_update_") {
        let [n, k, b] = sizes_of(sizes)?;
        let (v, w) = (uniform::<T>(1, n * k), uniform::<T>(2, n * b));
        let h = uniform::<f64>(3, k * b).iter().map(|h| h * 1e-3).collect();
        return Some(Box::new(PanelUpdate { isa, n, k, b, v, w, h }));
    }
    if let Some(n) = name.strip_prefix("tanh_cached_").or(name.strip_prefix("tanh_memory_")) {
        let x = uniform::<T>(1, n.parse().ok()?);
        return Some(Box::new(Tanh { isa, y: x.clone(), x }));
    }
    if let Some(n) = name.strip_prefix("normals_") {
        return Some(Box::new(Normals { isa, x: vec![T::ZERO; n.parse().ok()?] }));
    }
    if let Some(sizes) = name.strip_prefix("gradient_mlp_") {
        return MlpGradient::<T>::new(Mlp::parse(sizes)?).map(|work| Box::new(work) as _);
    }
    if let Some(sizes) = name.strip_prefix("hvp_mlp_") {
        return MlpHvp::<T>::new(Mlp::parse(sizes)?, 1).map(|work| Box::new(work) as _);
    }
    if let Some(sizes) = name.strip_prefix("hvp_block8_mlp_") {
        return MlpHvp::<T>::new(Mlp::parse(sizes)?, 8).map(|work| Box::new(work) as _);
    }
    if let Some(rest) = name.strip_prefix("sgd_step_") {
        let (batch, sizes) = rest.split_once("_mlp_")?;
        let work = SgdStep::<T>::new(Mlp::parse(sizes)?, batch.parse().ok()?);
        return work.map(|work| Box::new(work) as _);
    }
    if let Some(sizes) = name.strip_prefix("gradient_conv_") {
        return ConvGradient::<T>::new(Conv::parse(sizes)?).map(|work| Box::new(work) as _);
    }
    if let Some(sizes) = name.strip_prefix("hvp_conv_") {
        return ConvHvp::<T>::new(Conv::parse(sizes)?).map(|work| Box::new(work) as _);
    }
    if name.contains("_rnn_") {
        return recurrent::prepare::<T>(name);
    }
    if let Some(sizes) = name.strip_prefix("jacobian_measures_mlp_") {
        return JacobianMeasures::<T>::new(Mlp::parse(sizes)?).map(|work| Box::new(work) as _);
    }
    if let Some(batch) = name.strip_prefix("gradient_vit_B") {
        return VitGradient::<T>::new(batch.parse().ok()?).map(|work| Box::new(work) as _);
    }
    if let Some(batch) = name.strip_prefix("hvp_vit_B") {
        return VitHvp::<T>::new(batch.parse().ok()?).map(|work| Box::new(work) as _);
    }
    if T::NAME == "f64"
        && let Some((sizes, precision)) = name
            .strip_prefix("knn_double_")
            .map(|sizes| (sizes, Precision::Double))
            .or(name.strip_prefix("knn_").map(|sizes| (sizes, Precision::MixedCertified)))
    {
        let [n, d, k] = sizes_of(sizes)?;
        let x = uniform::<f64>(1, n * d);
        return Some(Box::new(Table {
            knn: Knn::new(k).precision(precision),
            n,
            d,
            x,
            table: None,
        }));
    }
    if let Some(sizes) = name.strip_prefix("participation_ratio_") {
        let [n, d] = sizes_of(sizes)?;
        return Some(Box::new(Ratio { n, d, x: uniform::<T>(1, n * d), ratio: f64::NAN }));
    }
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

/// The numbers in `1000000x16_4`.
fn sizes_of<const N: usize>(text: &str) -> Option<[usize; N]> {
    let sizes: Result<Vec<usize>, _> = text.split(['x', '_']).map(str::parse).collect();
    sizes.ok()?.try_into().ok()
}

struct PanelProduct<T> {
    isa: Isa,
    n: usize,
    k: usize,
    b: usize,
    v: Vec<T>,
    w: Vec<T>,
    h: Vec<f64>,
}

impl<T: Real> Work for PanelProduct<T> {
    fn run(&mut self) {
        let v = Panel::new(&self.v, self.n, self.k, self.n);
        let w = Panel::new(&self.w, self.n, self.b, self.n);
        transpose_product(self.isa, v, w, &mut self.h);
    }
    fn answer(&self) -> Vec<f64> {
        self.h.clone()
    }
}

struct PanelUpdate<T> {
    isa: Isa,
    n: usize,
    k: usize,
    b: usize,
    v: Vec<T>,
    w: Vec<T>,
    h: Vec<f64>,
}

impl<T: Real> Work for PanelUpdate<T> {
    fn run(&mut self) {
        let v = Panel::new(&self.v, self.n, self.k, self.n);
        let mut w = PanelMut::new(&mut self.w, self.n, self.b, self.n);
        subtract_product(self.isa, &mut w, v, &self.h);
    }
    fn answer(&self) -> Vec<f64> {
        (0..self.b).map(|c| self.w[c * self.n].to_f64()).collect()
    }
}

struct Table {
    knn: Knn,
    n: usize,
    d: usize,
    x: Vec<f64>,
    table: Option<Neighbors>,
}

impl Work for Table {
    fn run(&mut self) {
        self.table = self.knn.build(MatRef::from_row_major_slice(&self.x, self.n, self.d)).ok();
    }
    /// Distances of the first hundred points.
    fn answer(&self) -> Vec<f64> {
        let first =
            |table: &Neighbors| (0..100).flat_map(|i| table.distances(i).to_vec()).collect();
        self.table.as_ref().map(first).unwrap_or_default()
    }
}

struct Ratio<T> {
    n: usize,
    d: usize,
    x: Vec<T>,
    ratio: f64,
}

impl<T: Real> Work for Ratio<T> {
    fn run(&mut self) {
        let x = MatRef::from_row_major_slice(&self.x, self.n, self.d);
        self.ratio = ParticipationRatio::of(x).map_or(f64::NAN, |pr| pr.naive);
    }
    fn answer(&self) -> Vec<f64> {
        vec![self.ratio]
    }
}

/// Elements of one task.
const PIECE: usize = 1 << 16;

struct Tanh<T> {
    isa: Isa,
    x: Vec<T>,
    y: Vec<T>,
}

impl<T: Real> Work for Tanh<T> {
    fn run(&mut self) {
        let Self { isa, x, y } = self;
        hesse::parallel::for_each_piece(y, PIECE, |i, y| {
            tanh(*isa, &x[i * PIECE..][..y.len()], y);
        });
    }
    fn answer(&self) -> Vec<f64> {
        self.y.iter().take(1000).map(|y| y.to_f64()).collect()
    }
}

struct Normals<T> {
    isa: Isa,
    x: Vec<T>,
}

impl<T: Real> Work for Normals<T> {
    fn run(&mut self) {
        let isa = self.isa;
        hesse::parallel::for_each_piece(&mut self.x, PIECE, |i, x| {
            fill_normal(isa, 1, 0, (i * PIECE) as u64, x);
        });
    }
    fn answer(&self) -> Vec<f64> {
        let n = self.x.len() as f64;
        let mean = self.x.iter().map(|x| x.to_f64()).sum::<f64>() / n;
        let square = self.x.iter().map(|x| (x.to_f64() - mean).powi(2)).sum::<f64>() / n;
        vec![square.sqrt()]
    }
}

/// The class of the largest of `classes` values of stream 2, for each sample.
fn labels(batch: usize, classes: usize) -> Vec<usize> {
    let scores = uniform::<f64>(2, batch * classes);
    let largest =
        |row: &[f64]| (1..row.len()).fold(0, |best, j| if row[j] > row[best] { j } else { best });
    scores.chunks_exact(classes).map(largest).collect()
}

/// The perceptron of `works.py`. Its weights are inputs × outputs, ours outputs × inputs.
#[derive(Clone)]
struct Mlp {
    sizes: Vec<usize>,
    batch: usize,
}

impl Mlp {
    /// `784-512-512-10_B2048`.
    fn parse(text: &str) -> Option<Self> {
        let (sizes, batch) = text.split_once("_B")?;
        let sizes: Result<_, _> = sizes.split('-').map(str::parse).collect();
        Some(Self { sizes: sizes.ok()?, batch: batch.parse().ok()? })
    }

    fn network<T: Real>(&self) -> Option<Network<T>> {
        Architecture::perceptron(&self.sizes, Activation::Tanh).build().ok()
    }

    fn data<T: Real>(&self) -> Option<Dataset<T>> {
        let (inputs, outputs) = (self.sizes[0], *self.sizes.last()?);
        let classes = labels(self.batch, outputs);
        let x = uniform(1, self.batch * inputs);
        Dataset::from_rows(x, inputs, Targets::Classes(classes)).ok()
    }

    /// Weights and biases of every layer from the streams `weight` + l and `bias` + l, in our order.
    fn parameters<T: Real>(&self, weight: u32, bias: u32, scaled: bool) -> Vec<T> {
        let mut theta = Vec::new();
        for (l, pair) in (0..).zip(self.sizes.windows(2)) {
            let (inputs, outputs) = (pair[0], pair[1]);
            let w = uniform::<T>(weight + l, inputs * outputs);
            let scale = if scaled { (inputs as f64).sqrt() } else { 1.0 };
            for j in 0..outputs {
                let column = (0..inputs).map(|i| w[i * outputs + j].to_f64() / scale);
                theta.extend(column.map(T::from_f64));
            }
            let b = uniform::<f64>(bias + l, outputs);
            theta.extend(b.iter().map(|b| T::from_f64(if scaled { 0.1 * b } else { *b })));
        }
        theta
    }

    /// Weights of all layers, then biases, each summed with the weights of stream 90 in their order.
    fn answer<T: Real>(&self, vector: &[T]) -> Vec<f64> {
        let (mut weights, mut biases): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        let mut rest = vector;
        for pair in self.sizes.windows(2) {
            let (inputs, outputs) = (pair[0], pair[1]);
            let (w, behind) = rest.split_at(inputs * outputs);
            let (b, behind) = behind.split_at(outputs);
            rest = behind;
            let u = uniform::<f64>(90, inputs * outputs);
            let entry = |k: usize| w[k % outputs * inputs + k / outputs].to_f64();
            weights.push((0..inputs * outputs).map(|k| u[k] * entry(k)).sum());
            biases.push(b.iter().zip(&u).map(|(b, u)| b.to_f64() * u).sum());
        }
        weights.extend(biases);
        weights
    }
}

/// The objective of a perceptron, which lives as long as the process: it borrows from itself.
fn objective<T: Real>(mlp: &Mlp) -> Option<&'static Objective<'static, T>> {
    objective_of(mlp, Loss::CrossEntropy)
}

fn objective_of<T: Real>(mlp: &Mlp, loss: Loss) -> Option<&'static Objective<'static, T>> {
    let network = Box::leak(Box::new(mlp.network::<T>()?));
    let data = Box::leak(Box::new(mlp.data::<T>()?));
    let objective = Objective::new(network, data, loss).ok()?;
    Some(Box::leak(Box::new(objective)))
}

struct MlpGradient<T: Real> {
    mlp: Mlp,
    objective: &'static Objective<'static, T>,
    theta: Vec<T>,
    gradient: Vec<T>,
}

impl<T: Real> MlpGradient<T> {
    fn new(mlp: Mlp) -> Option<Self> {
        let theta = mlp.parameters(10, 30, true);
        Some(Self { objective: objective(&mlp)?, gradient: vec![T::ZERO; theta.len()], theta, mlp })
    }
}

impl<T: Real> Work for MlpGradient<T> {
    fn run(&mut self) {
        let loss = self.objective.gradient(&self.theta, &mut self.gradient);
        assert!(loss.is_ok(), "{loss:?}");
    }
    fn answer(&self) -> Vec<f64> {
        self.mlp.answer(&self.gradient)
    }
}

/// A step of gradient descent on `batch` samples of all, with the mean squared error.
struct SgdStep<T: Real> {
    mlp: Mlp,
    objective: &'static Objective<'static, T>,
    optimizer: Sgd<T>,
    indices: Vec<usize>,
    theta: Vec<T>,
    gradient: Vec<T>,
}

impl<T: Real> SgdStep<T> {
    fn new(mlp: Mlp, batch: usize) -> Option<Self> {
        let theta = mlp.parameters(10, 30, true);
        Some(Self {
            objective: objective_of(&mlp, Loss::MeanSquaredError)?,
            optimizer: Sgd::new(theta.len(), SgdOptions::default()).ok()?,
            indices: (0..batch).map(|i| 37 * i % mlp.batch).collect(),
            gradient: vec![T::ZERO; theta.len()],
            theta,
            mlp,
        })
    }
}

impl<T: Real> Work for SgdStep<T> {
    fn run(&mut self) {
        let Self { objective, optimizer, indices, theta, gradient, .. } = self;
        let loss = objective.batch_gradient(theta, indices, gradient);
        assert!(loss.is_ok(), "{loss:?}");
        let step = optimizer.step(theta, gradient, 0.1);
        assert!(step.is_ok(), "{step:?}");
    }
    fn answer(&self) -> Vec<f64> {
        self.mlp.answer(&self.theta)
    }
}

struct MlpHvp<T: Real> {
    mlp: Mlp,
    hessian: Hessian<'static, 'static, 'static, T>,
    tangents: Vec<T>,
    products: Vec<T>,
}

impl<T: Real> MlpHvp<T> {
    fn new(mlp: Mlp, block: u32) -> Option<Self> {
        let objective = objective::<T>(&mlp)?;
        let point = Box::leak(Box::new(objective.at(&mlp.parameters(10, 30, true)).ok()?));
        let tangents: Vec<T> =
            (0..block).flat_map(|k| mlp.parameters(50 + 100 * k, 70 + 100 * k, false)).collect();
        let products = vec![T::ZERO; tangents.len()];
        Some(Self { mlp, hessian: point.hessian(), tangents, products })
    }
}

impl<T: Real> Work for MlpHvp<T> {
    fn run(&mut self) {
        self.hessian.apply_block(&self.tangents, &mut self.products);
    }
    fn answer(&self) -> Vec<f64> {
        let n = self.hessian.dimension();
        self.products.chunks_exact(n).flat_map(|product| self.mlp.answer(product)).collect()
    }
}

/// S, MLS, NMLS, mean log volume and mean local dimension from one stacked pass.
struct JacobianMeasures<T: Real> {
    network: Network<T>,
    theta: Vec<T>,
    inputs: Vec<T>,
    measures: Vec<f64>,
}

impl<T: Real> JacobianMeasures<T> {
    fn new(mlp: Mlp) -> Option<Self> {
        let inputs = uniform(1, mlp.batch * mlp.sizes[0]);
        let theta = mlp.parameters(10, 30, true);
        Some(Self { network: mlp.network()?, theta, inputs, measures: Vec::new() })
    }

    fn measure(&self) -> hesse::Result<Vec<f64>> {
        let geometry = Geometry::of_rows(&self.network, &self.theta, &self.inputs)?;
        let r = geometry.adaptive(false).run()?;
        let nmls = r.nmls(OverLayers::Sum)?;
        Ok(vec![r.trace(), r.mls(), nmls, r.log_volume(LogVolume::All)?, r.local_dimension()?])
    }
}

impl<T: Real> Work for JacobianMeasures<T> {
    fn run(&mut self) {
        self.measures = self.measure().unwrap_or_default();
    }
    fn answer(&self) -> Vec<f64> {
        self.measures.clone()
    }
}

/// The vision transformer of `works.py`, whose arrays are ours in our order.
struct Vit<T: Real> {
    objective: &'static Objective<'static, T>,
    theta: Vec<T>,
    tangent: Vec<T>,
}

impl<T: Real> Vit<T> {
    fn new(batch: usize) -> Option<Self> {
        let network: &Network<T> =
            Box::leak(Box::new(VisionTransformer::tiny().architecture().build().ok()?));
        let classes = labels(batch, network.outputs());
        let inputs = uniform(1, batch * network.inputs());
        let data = Dataset::from_rows(inputs, network.inputs(), Targets::Classes(classes)).ok()?;
        let data = Box::leak(Box::new(data));
        let objective = Objective::new(network, data, Loss::CrossEntropy).ok()?;
        let (mut theta, mut tangent) = (Vec::new(), Vec::new());
        for (k, spec) in (0..).zip(network.parameter_specs()) {
            let kind = spec.name.rsplit('.').next()?;
            let inputs = *spec.shape.last()? as f64;
            let scale = if kind == "weight" { inputs.powf(-0.5) } else { 0.1 };
            let mean = if kind == "scale" { 1.0 } else { 0.0 };
            let values = uniform::<f64>(1000 + k, spec.len());
            theta.extend(values.iter().map(|x| T::from_f64(x * scale + mean)));
            tangent.extend(uniform::<T>(2000 + k, spec.len()));
        }
        Some(Self { objective: Box::leak(Box::new(objective)), theta, tangent })
    }

    /// Each array summed with the weights of stream 90.
    fn answer(objective: &Objective<'_, T>, vector: &[T]) -> Vec<f64> {
        let mut rest = vector;
        let specs = objective.network().parameter_specs().iter();
        specs
            .map(|spec| {
                let (array, behind) = rest.split_at(spec.len());
                rest = behind;
                let u = uniform::<f64>(90, spec.len());
                array.iter().zip(u).map(|(x, u)| x.to_f64() * u).sum()
            })
            .collect()
    }
}

struct VitGradient<T: Real> {
    vit: Vit<T>,
    gradient: Vec<T>,
}

impl<T: Real> VitGradient<T> {
    fn new(batch: usize) -> Option<Self> {
        let vit = Vit::new(batch)?;
        Some(Self { gradient: vec![T::ZERO; vit.theta.len()], vit })
    }
}

impl<T: Real> Work for VitGradient<T> {
    fn run(&mut self) {
        let loss = self.vit.objective.gradient(&self.vit.theta, &mut self.gradient);
        assert!(loss.is_ok(), "{loss:?}");
    }
    fn answer(&self) -> Vec<f64> {
        Vit::answer(self.vit.objective, &self.gradient)
    }
}

struct VitHvp<T: Real> {
    vit: Vit<T>,
    hessian: Hessian<'static, 'static, 'static, T>,
    product: Vec<T>,
}

impl<T: Real> VitHvp<T> {
    fn new(batch: usize) -> Option<Self> {
        let vit = Vit::new(batch)?;
        let point = Box::leak(Box::new(vit.objective.at(&vit.theta).ok()?));
        Some(Self { product: vec![T::ZERO; vit.theta.len()], hessian: point.hessian(), vit })
    }
}

impl<T: Real> Work for VitHvp<T> {
    fn run(&mut self) {
        self.hessian.apply(&self.vit.tangent, &mut self.product);
    }
    fn answer(&self) -> Vec<f64> {
        Vit::answer(self.vit.objective, &self.product)
    }
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
