//! Convolutional networks: gradients and Hessian products.

use hesse::Real;
use hesse::krylov::LinearOperator;
use hesse::network::{
    Activation, Architecture, Dataset, Hessian, LayerSpec, Loss, Network, Objective, Targets,
};
use hesse_cli::inputs::uniform;

use super::Work;

/// Side of the images and number of classes of `works.py`.
const SIDE: usize = 32;
const CLASSES: usize = 10;

/// The network of `works.py`: 3 × 3 convolutions with padding 1, ReLU and maxima over 2 × 2 after
/// each, then one dense layer; no biases.
pub struct Conv {
    channels: Vec<usize>,
    batch: usize,
}

impl Conv {
    /// `3_32_64_128_B128`.
    pub fn parse(text: &str) -> Option<Self> {
        let (channels, batch) = text.split_once("_B")?;
        let channels: Result<Vec<usize>, _> = channels.split('_').map(str::parse).collect();
        Some(Self { channels: channels.ok()?, batch: batch.parse().ok()? })
    }

    fn network<T: Real>(&self) -> Option<Network<T>> {
        let (&first, rest) = self.channels.split_first()?;
        let mut architecture = Architecture::new([first, SIDE, SIDE]);
        for &outputs in rest {
            let convolution = LayerSpec::Convolution {
                outputs,
                kernel: [3, 3],
                stride: [1, 1],
                padding: [1, 1],
                dilation: [1, 1],
                groups: 1,
                activation: Activation::Relu,
                bias: false,
                initializer: Default::default(),
            };
            architecture = architecture.layer(convolution).max_pool(2);
        }
        let dense = LayerSpec::Dense {
            outputs: CLASSES,
            activation: Activation::Identity,
            bias: false,
            initializer: Default::default(),
        };
        architecture.flatten().layer(dense).build().ok()
    }

    fn data<T: Real>(&self) -> Option<Dataset<T>> {
        let features = self.channels.first()? * SIDE * SIDE;
        let scores = uniform::<f64>(2, self.batch * CLASSES);
        let largest = |row: &[f64]| {
            (1..row.len()).fold(0, |best, j| if row[j] > row[best] { j } else { best })
        };
        let classes = scores.chunks_exact(CLASSES).map(largest).collect();
        Dataset::from_rows(uniform(1, self.batch * features), features, Targets::Classes(classes))
            .ok()
    }

    /// Lengths of the weights and the number of inputs of a unit, layer by layer.
    fn layers(&self) -> Vec<(usize, usize)> {
        let mut layers: Vec<_> =
            self.channels.windows(2).map(|c| (9 * c[0] * c[1], 9 * c[0])).collect();
        let side = SIDE >> layers.len();
        let features = self.channels.last().map_or(0, |c| c * side * side);
        layers.push((features * CLASSES, features));
        layers
    }

    /// Weights from the streams `stream` + l, times √(2/inputs) where they are scaled.
    fn parameters<T: Real>(&self, stream: u32, scaled: bool) -> Vec<T> {
        let mut theta = Vec::new();
        for (l, (length, inputs)) in (stream..).zip(self.layers()) {
            let scale = if scaled { (2.0 / inputs as f64).sqrt() } else { 1.0 };
            theta.extend(uniform::<T>(l, length).iter().map(|w| T::from_f64(w.to_f64() * scale)));
        }
        theta
    }

    /// The weights of each layer summed with those of stream 90.
    fn answer<T: Real>(&self, mut vector: &[T]) -> Vec<f64> {
        let mut sums = Vec::new();
        for (length, _) in self.layers() {
            let (w, rest) = vector.split_at(length);
            let u = uniform::<f64>(90, length);
            sums.push(w.iter().zip(&u).map(|(w, u)| w.to_f64() * u).sum());
            vector = rest;
        }
        sums
    }

    /// The objective, which lives as long as the process: it borrows from itself.
    fn objective<T: Real>(&self) -> Option<&'static Objective<'static, T>> {
        let network = Box::leak(Box::new(self.network::<T>()?));
        let data = Box::leak(Box::new(self.data::<T>()?));
        let objective = Objective::new(network, data, Loss::CrossEntropy).ok()?;
        Some(Box::leak(Box::new(objective)))
    }
}

pub struct ConvGradient<T: Real> {
    conv: Conv,
    objective: &'static Objective<'static, T>,
    theta: Vec<T>,
    gradient: Vec<T>,
}

impl<T: Real> ConvGradient<T> {
    pub fn new(conv: Conv) -> Option<Self> {
        let theta = conv.parameters(10, true);
        let gradient = vec![T::ZERO; theta.len()];
        Some(Self { objective: conv.objective()?, gradient, theta, conv })
    }
}

impl<T: Real> Work for ConvGradient<T> {
    fn run(&mut self) {
        let loss = self.objective.gradient(&self.theta, &mut self.gradient);
        assert!(loss.is_ok(), "{loss:?}");
    }
    fn answer(&self) -> Vec<f64> {
        self.conv.answer(&self.gradient)
    }
}

pub struct ConvHvp<T: Real> {
    conv: Conv,
    hessian: Hessian<'static, 'static, 'static, T>,
    tangent: Vec<T>,
    product: Vec<T>,
}

impl<T: Real> ConvHvp<T> {
    pub fn new(conv: Conv) -> Option<Self> {
        let objective = conv.objective::<T>()?;
        let point = Box::leak(Box::new(objective.at(&conv.parameters(10, true)).ok()?));
        let tangent: Vec<T> = conv.parameters(50, false);
        let product = vec![T::ZERO; tangent.len()];
        Some(Self { conv, hessian: point.hessian(), tangent, product })
    }
}

impl<T: Real> Work for ConvHvp<T> {
    fn run(&mut self) {
        self.hessian.apply(&self.tangent, &mut self.product);
    }
    fn answer(&self) -> Vec<f64> {
        self.conv.answer(&self.product)
    }
}
