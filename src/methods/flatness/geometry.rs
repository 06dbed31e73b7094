//! One stacked adjoint pass, from which all measures of feature space follow.

use std::borrow::Cow;

use faer::MatRef;

use super::jacobian::norm;
use super::weight_norm::{frobenius_norm, smallest_of_patches, spectral_norm};
use super::{GeometryReport, JacobianGeometry, LayerGeometry, OtherLayer, SingularValues};
use crate::network::layer::Layer;
use crate::network::observation::{Observed, Observer};
use crate::network::{LinearMap, Network, StackObserver};
use crate::{Error, Real, Result};

/// S, and the Jacobians of the raw outputs in the input of every layer, of all samples, from one
/// stacked adjoint pass.
///
/// The N unit vectors of the outputs are pulled back together for a shard of samples,
///
/// D^L = I, J^l = D^l W_l, D^{l−1} = J^l ∘ φ'(z^{l−1}),
///
/// S = (1/n) Σᵢ Σ_l ‖Dᵢ^l‖_F² (‖xᵢ^l‖² + 1),
///
/// so that no gradient of a single sample is formed where weights act at one place. Singular values of
/// each J^l come from a QR of (J^l)ᵀ and the SVD of the N × N factor, in `f64`.
///
/// Cost: n·N columns through the network backwards (2 n N flops a weight) and O(n Σ_l N² d_l). The
/// result has the same bits for any number of threads.
///
/// ```
/// use hesse::faer::mat;
/// use hesse::flatness::Geometry;
/// use hesse::network::{Activation, Architecture};
///
/// // f = (3 x₁, 4 x₂): singular values 4 and 3 at every input.
/// let network = Architecture::perceptron(&[2, 2], Activation::Identity).build::<f64>()?;
/// let theta = [3.0, 0.0, 0.0, 4.0, 0.0, 0.0];
/// let inputs = mat![[1.0, 0.0], [1.0, 2.0]];
/// let report = Geometry::of(&network, &theta, inputs.as_ref())?.run()?;
/// assert!((report.mls() - 4.0).abs() < 1e-15);
/// // S = N (mean ‖x‖² + 1) = 2 (3 + 1).
/// assert!((report.trace() - 8.0).abs() < 1e-14);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Geometry<'a, T: Real> {
    network: &'a Network<T>,
    parameters: &'a [T],
    inputs: Cow<'a, [T]>,
    adaptive: bool,
    norms: bool,
    which: Option<SingularValues>,
}

/// More outputs than this, and only the largest singular values are computed unless all are asked for.
const MANY_OUTPUTS: usize = 64;

impl<'a, T: Real> Geometry<'a, T> {
    /// `network` at θ = `parameters`, on the rows of `inputs` (n × M, any strides).
    ///
    /// # Errors
    /// A wrong number of parameters or features, no sample, NaN or infinities; a layer that couples
    /// samples, for which a sample has no Jacobian of its own ([`Error::NotApplicable`]).
    pub fn of(network: &'a Network<T>, parameters: &'a [T], inputs: MatRef<'_, T>) -> Result<Self> {
        if inputs.ncols() != network.inputs() {
            return Err(Error::shape("inputs: features", network.inputs(), inputs.ncols()));
        }
        let row = |i| (0..inputs.ncols()).map(move |j| inputs[(i, j)]);
        Self::new(network, parameters, Cow::Owned((0..inputs.nrows()).flat_map(row).collect()))
    }

    /// The same from row-major inputs, without a copy.
    ///
    /// # Errors
    /// As [`Geometry::of`].
    pub fn of_rows(network: &'a Network<T>, parameters: &'a [T], inputs: &'a [T]) -> Result<Self> {
        Self::new(network, parameters, Cow::Borrowed(inputs))
    }

    fn new(network: &'a Network<T>, parameters: &'a [T], inputs: Cow<'a, [T]>) -> Result<Self> {
        if network.layers().couples_samples() {
            return Err(Error::not_applicable(
                "Jacobians of single samples",
                "layers that treat each sample alone",
                "a layer that couples samples",
            ));
        }
        network.check_stack(parameters, &inputs)?;
        Ok(Self { network, parameters, inputs, adaptive: true, norms: false, which: None })
    }

    /// Whether Σ_j θ_j² ‖∂f/∂θ_j‖² is computed for adaptive sharpness; default yes.
    #[must_use]
    pub fn adaptive(self, adaptive: bool) -> Self {
        Self { adaptive, ..self }
    }

    /// Which singular values of each Jacobian; default all up to 64 outputs, else the largest alone.
    ///
    /// Memory of a thread is that of the N × d_l Jacobians of a sample either way; where they are too
    /// large, [`Sensitivity`](super::Sensitivity) of a [`NetworkMap`](super::NetworkMap) forms none.
    #[must_use]
    pub fn singular_values(self, which: SingularValues) -> Self {
        Self { which: Some(which), ..self }
    }

    /// Computes what [`GeometryReport::bounds`] needs: the spectral norm of every linear map, and where
    /// weights are shared the smallest singular value of the patches of every sample. Norms of large
    /// maps are those of [`GolubKahan`](crate::krylov::GolubKahan), to 10⁻¹⁰.
    #[must_use]
    pub fn weight_norms(self) -> Self {
        Self { norms: true, ..self }
    }

    /// Runs the pass.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where activations or errors overflow.
    pub fn run(self) -> Result<GeometryReport> {
        let network = self.network;
        let many = network.outputs() > MANY_OUTPUTS;
        let default = if many { SingularValues::Largest } else { SingularValues::All };
        let which = self.which.unwrap_or(default);
        let shards =
            network.observe_jacobians(self.parameters, &self.inputs, |range| ShardObserver {
                outputs: network.outputs(),
                adaptive: self.adaptive,
                which,
                patches: self.norms,
                norms: self.norms && range.start == 0,
                layers: Vec::new(),
                others: Vec::new(),
                first: Vec::new(),
                failure: None,
            });
        let mut report = GeometryReport {
            samples: self.inputs.len() / network.inputs(),
            parameters: self.parameters.len(),
            input: JacobianGeometry::new::<T>(network.inputs(), network.outputs(), which),
            scaled_columns: Vec::new(),
            scaled_inputs: Vec::new(),
            reads_input: true,
            adaptive: self.adaptive,
            layers: Vec::new(),
            other_layers: Vec::new(),
        };
        for (s, shard) in shards.into_iter().enumerate() {
            report.append(shard?, s == 0);
        }
        Ok(report)
    }
}

/// What the pass leaves of one shard.
pub(super) struct Shard {
    pub input: JacobianGeometry,
    pub scaled_columns: Vec<f64>,
    pub scaled_inputs: Vec<f64>,
    pub reads_input: bool,
    pub layers: Vec<LayerGeometry>,
    pub others: Vec<OtherLayer>,
}

struct ShardObserver<T> {
    outputs: usize,
    adaptive: bool,
    which: SingularValues,
    /// Whether to find the smallest singular values of patches.
    patches: bool,
    /// Whether to find norms of weights: in the first shard.
    norms: bool,
    /// Last to first.
    layers: Vec<LayerGeometry>,
    others: Vec<OtherLayer>,
    /// Jacobian at the first layer with parameters, to tell whether it is that at the inputs.
    first: Vec<T>,
    failure: Option<Error>,
}

impl<T: Real> ShardObserver<T> {
    fn add_linear(
        &mut self,
        seen: &Observed<'_, T>,
        name: String,
        map: &dyn LinearMap<T>,
    ) -> Result<()> {
        let start = seen.place.offset;
        let weights = map.weight(seen.parameters).len();
        let samples = 0..seen.samples;
        let of_array = |array: usize, weighted: bool| -> Vec<f64> {
            let value = |b| match weighted {
                true => seen.squares.weighted(b, array),
                false => seen.squares.norm(b, array),
            };
            // Without a bias there is no such array.
            if array < seen.specs.len() {
                samples.clone().map(value).collect()
            } else {
                vec![0.0; seen.samples]
            }
        };
        let adaptive = |array| if self.adaptive { of_array(array, true) } else { Vec::new() };
        let width = seen.error.len() / (seen.count * seen.samples);
        let error = |k: usize, b: usize| &seen.error[(k * seen.samples + b) * width..][..width];
        let mut layer = LayerGeometry {
            name,
            weight: start..start + weights,
            bias: map
                .has_bias()
                .then(|| start + weights..start + weights + map.groups() * map.outputs()),
            outputs: width,
            groups: map.groups(),
            rows: map.groups() * map.outputs(),
            columns: map.patch(),
            positions: map.positions(),
            jacobian: JacobianGeometry::new::<T>(
                seen.input.len() / seen.samples,
                self.outputs,
                self.which,
            ),
            weight_squares: of_array(0, false),
            bias_squares: of_array(1, false),
            adaptive_weight: adaptive(0),
            adaptive_bias: adaptive(1),
            error_norms: samples
                .clone()
                .map(|b| norm(&(0..seen.count).map(|k| norm(error(k, b))).collect::<Vec<_>>()))
                .collect(),
            weight_frobenius: frobenius_norm(map, seen.parameters),
            ..LayerGeometry::default()
        };
        let features = layer.jacobian.features;
        if self.norms {
            layer.weight_norm = Some(spectral_norm(map, seen.parameters, features)?);
        }
        if self.patches && !layer.reads_whole_input() {
            for x in seen.input.chunks_exact(features) {
                layer.patch_smallest.push(smallest_of_patches(map, x)?);
            }
        }
        check_rows(&layer.name, seen.input, seen.input_error)?;
        layer.jacobian.add_stack(seen.input, seen.input_error)?;
        self.layers.push(layer);
        if seen.place.offset == 0 {
            self.first = seen.input_error.to_vec();
        }
        Ok(())
    }

    fn add_other(&mut self, seen: &Observed<'_, T>, name: String) {
        let arrays = 0..seen.specs.len();
        let sum = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            (0..seen.samples).map(|b| arrays.clone().map(|a| f(b, a)).sum()).collect()
        };
        self.others.push(OtherLayer {
            name,
            parameters: seen.place.offset..seen.place.offset + seen.parameters.len(),
            squares: sum(&|b, a| seen.squares.norm(b, a)),
            adaptive: if self.adaptive {
                sum(&|b, a| seen.squares.weighted(b, a))
            } else {
                Vec::new()
            },
        });
    }
}

/// Checks that the numbers of a layer are finite.
fn check_rows<T: Real>(name: &str, input: &[T], stack: &[T]) -> Result<()> {
    crate::error::check_finite(&format!("input of {name}"), input)?;
    crate::error::check_finite(&format!("Jacobian at {name}"), stack)
}

impl<T: Real> Observer<T> for ShardObserver<T> {
    fn wants_weighted(&self) -> bool {
        self.adaptive
    }

    fn observe(&mut self, seen: &Observed<'_, T>) {
        if self.failure.is_some() {
            return;
        }
        let name = seen.place.prefix.trim_end_matches('.').to_owned();
        match seen.linear_map {
            Some(map) if seen.specs.len() == 1 + usize::from(map.has_bias()) => {
                self.failure = self.add_linear(seen, name, map).err();
            }
            _ => self.add_other(seen, name),
        }
    }
}

impl<T: Real> StackObserver<T> for ShardObserver<T> {
    type Output = Result<Shard>;

    fn finish(mut self, inputs: &[T], input_error: &[T], features: usize) -> Result<Shard> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        check_rows("the network", inputs, input_error)?;
        let samples = inputs.len() / features;
        self.layers.reverse();
        self.others.reverse();
        let same = |layer: &&LayerGeometry| {
            layer.weight.start == 0
                && layer.jacobian.features == features
                && self.first == input_error
                && layer.jacobian.norms.iter().copied().eq(inputs.chunks(features).map(norm))
        };
        let first = self.layers.first().filter(same).map(|layer| layer.jacobian.clone());
        let reads_input = first.is_some();
        let input = match first {
            Some(jacobian) => jacobian,
            None => {
                let mut input = JacobianGeometry::new::<T>(features, self.outputs, self.which);
                input.add_stack(inputs, input_error)?;
                input
            }
        };
        let (mut scaled_columns, mut scaled_inputs) = (Vec::new(), Vec::new());
        for b in 0..samples {
            let x = &inputs[b * features..][..features];
            let (mut columns, mut directional) = (0.0, 0.0);
            for k in 0..self.outputs {
                let row = &input_error[(k * samples + b) * features..][..features];
                let mut dot = 0.0;
                for (j, x) in row.iter().zip(x) {
                    let product = j.to_f64() * x.to_f64();
                    columns += product * product;
                    dot += product;
                }
                directional += dot * dot;
            }
            scaled_columns.push(columns);
            scaled_inputs.push(directional);
        }
        Ok(Shard {
            input,
            scaled_columns,
            scaled_inputs,
            reads_input,
            layers: self.layers,
            others: self.others,
        })
    }
}
