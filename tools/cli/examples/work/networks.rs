//! Perceptrons and a vision transformer: gradients, Hessian products, steps and sensitivities.

use hesse::flatness::{Geometry, LogVolume, OverLayers};
use hesse::krylov::LinearOperator;
use hesse::network::{
    Activation, Architecture, Dataset, Hessian, Loss, Network, Objective, Targets,
    VisionTransformer,
};
use hesse::optimize::{Optimizer, Sgd, SgdOptions};
use hesse_cli::inputs::uniform;
use hesse_kernels::Real;

use super::Work;
use super::convolution::{Conv, ConvGradient, ConvHvp};

/// The work called `name`, if it is one of these.
pub fn prepare<T: Real>(name: &str) -> Option<Box<dyn Work>> {
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
    if let Some(sizes) = name.strip_prefix("jacobian_measures_mlp_") {
        return JacobianMeasures::<T>::new(Mlp::parse(sizes)?).map(|work| Box::new(work) as _);
    }
    if let Some(batch) = name.strip_prefix("gradient_vit_B") {
        return VitGradient::<T>::new(batch.parse().ok()?).map(|work| Box::new(work) as _);
    }
    if let Some(batch) = name.strip_prefix("hvp_vit_B") {
        return VitHvp::<T>::new(batch.parse().ok()?).map(|work| Box::new(work) as _);
    }
    None
}

/// The class of the largest of `classes` values of stream 2, for each sample.
pub fn labels(batch: usize, classes: usize) -> Vec<usize> {
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
