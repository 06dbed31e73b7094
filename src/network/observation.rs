//! What one stacked adjoint pass shows of every layer on its way.

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::level1;

use super::LinearMap;
use super::layer::{Adjoint, Gradients, Layer, ParameterSpec, State, features, parameter_count};
use crate::{Isa, Real};

/// Where a layer lies in the network.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What stands before the names of its parameters, such as `layer3.`; empty for the network.
    pub prefix: &'a str,
    /// Its first parameter in θ.
    pub offset: usize,
}

/// Someone who looks at every layer that has parameters, last to first.
pub trait Observer<T: Real> {
    /// Whether [`GradientSquares::weighted`] is wanted.
    fn wants_weighted(&self) -> bool {
        false
    }

    /// One layer.
    fn observe(&mut self, seen: &Observed<'_, T>);
}

/// One layer in an adjoint pass of K cotangents over a shard of B samples.
#[derive(Clone, Copy)]
pub struct Observed<'a, T: Real> {
    /// Where it lies.
    pub place: Place<'a>,
    /// Its parameters' names and shapes.
    pub specs: &'a [ParameterSpec],
    /// Its part of θ.
    pub parameters: &'a [T],
    /// The linear map inside, where it is φ(W x + b).
    pub linear_map: Option<&'a dyn LinearMap<T>>,
    /// K.
    pub count: usize,
    /// B.
    pub samples: usize,
    /// x, `[b][i]`.
    pub input: &'a [T],
    /// δ, the error at W x + b, `[k][b][o]`; empty without a linear map.
    pub error: &'a [T],
    /// The error at x, through this layer alone, `[k][b][i]`: the rows of ∂f/∂x.
    pub input_error: &'a [T],
    /// Squared norms of the gradients of its parameters.
    pub squares: &'a GradientSquares,
}

/// Squared gradients of each sample alone, summed over the cotangents, for every parameter array of
/// a layer.
#[derive(Clone, Debug, Default)]
pub struct GradientSquares {
    arrays: usize,
    norms: Vec<f64>,
    weighted: Option<Vec<f64>>,
}

impl GradientSquares {
    /// Zeros for `samples` samples and `arrays` arrays.
    #[must_use]
    pub fn zeros(samples: usize, arrays: usize, weighted: bool) -> Self {
        let zeros = vec![0.0; samples * arrays];
        Self { arrays, weighted: weighted.then(|| zeros.clone()), norms: zeros }
    }

    /// Σₖ ‖∂(ȳₖᵀy)/∂θ‖² of a sample and an array.
    #[must_use]
    pub fn norm(&self, sample: usize, array: usize) -> f64 {
        self.norms[sample * self.arrays + array]
    }

    /// Σₖ Σⱼ θⱼ² (∂(ȳₖᵀy)/∂θⱼ)², 0 unless it was asked for.
    #[must_use]
    pub fn weighted(&self, sample: usize, array: usize) -> f64 {
        self.weighted.as_ref().map_or(0.0, |w| w[sample * self.arrays + array])
    }

    /// Whether weighted sums are asked for.
    #[must_use]
    pub fn wants_weighted(&self) -> bool {
        self.weighted.is_some()
    }

    /// Adds to the sums of a sample and an array.
    pub fn add(&mut self, sample: usize, array: usize, norm: f64, weighted: f64) {
        let at = sample * self.arrays + array;
        self.norms[at] += norm;
        if let Some(w) = &mut self.weighted {
            w[at] += weighted;
        }
    }

    /// Adds the gradient `g` of array `array`, whose values are `theta`.
    pub fn add_gradient<T: Real>(&mut self, sample: usize, array: usize, theta: &[T], g: &[T]) {
        let weighted = if self.wants_weighted() {
            let term = |(&t, &g): (&T, &T)| (t.to_f64() * g.to_f64()).powi(2);
            theta.iter().zip(g).map(term).sum()
        } else {
            0.0
        };
        self.add(sample, array, level1::dot(Isa::current(), g, g), weighted);
    }
}

/// Slots of the scratch buffers of [`observe_layer`].
const DELTA: usize = 0;
const ERROR: usize = 1;

/// [`Layer::observe`] of a layer without layers inside.
pub(super) fn observe_layer<T: Real, L: Layer<T> + ?Sized>(
    layer: &L,
    pass: Adjoint<'_, T>,
    output_error: &mut [T],
    input_error: &mut [T],
    place: Place<'_>,
    observer: &mut dyn Observer<T>,
    scratch: &mut State<T>,
) {
    let specs = layer.parameters();
    if specs.is_empty() {
        let inner = scratch.child_mut(0);
        layer.adjoint(pass, output_error, Some(input_error), None, None, inner);
        return;
    }
    let samples = pass.input.len() / features(layer.input_shape());
    let mut squares = GradientSquares::zeros(samples, specs.len(), observer.wants_weighted());
    let map = layer.linear_map();
    let mut delta = scratch.take(DELTA, if map.is_some() { output_error.len() } else { 0 });
    if let Some(map) = map {
        delta.copy_from_slice(output_error);
        map.error_before_activation(pass.state, pass.count, &mut delta);
    }
    match map.filter(|map| holds_all(*map, &specs, pass.parameters)) {
        Some(map) => squares_of_map(map, pass, &delta, &mut squares),
        None => layer.gradient_squares(pass, output_error, &mut squares, scratch.child_mut(0)),
    }
    layer.adjoint(pass, output_error, Some(input_error), None, None, scratch.child_mut(0));
    observer.observe(&Observed {
        place,
        specs: &specs,
        parameters: pass.parameters,
        linear_map: map,
        count: pass.count,
        samples,
        input: pass.input,
        error: &delta,
        input_error,
        squares: &squares,
    });
    scratch.put_back(DELTA, delta);
}

/// [`Layer::gradient_squares`] of any layer.
pub(super) fn squares_of_layer<T: Real, L: Layer<T> + ?Sized>(
    layer: &L,
    pass: Adjoint<'_, T>,
    output_error: &[T],
    squares: &mut GradientSquares,
    scratch: &mut State<T>,
) {
    let specs = layer.parameters();
    if let Some(map) = layer.linear_map()
        && holds_all(map, &specs, pass.parameters)
    {
        let mut delta = scratch.take(DELTA, output_error.len());
        delta.copy_from_slice(output_error);
        map.error_before_activation(pass.state, pass.count, &mut delta);
        squares_of_map(map, pass, &delta, squares);
        scratch.put_back(DELTA, delta);
        return;
    }
    squares_one_by_one(layer, &specs, pass, output_error, squares, scratch);
}

/// Whether the weights and biases of the map are all parameters of its layer.
fn holds_all<T: Real>(map: &dyn LinearMap<T>, specs: &[ParameterSpec], parameters: &[T]) -> bool {
    specs.len() == 1 + usize::from(map.has_bias()) && specs[0].len() == map.weight(parameters).len()
}

/// One adjoint pass over the shard for every sample and cotangent, the others masked: right for any
/// layer, and slow.
fn squares_one_by_one<T: Real, L: Layer<T> + ?Sized>(
    layer: &L,
    specs: &[ParameterSpec],
    pass: Adjoint<'_, T>,
    output_error: &[T],
    squares: &mut GradientSquares,
    scratch: &mut State<T>,
) {
    let samples = pass.input.len() / features(layer.input_shape());
    let length = output_error.len() / pass.count;
    let width = length / samples;
    let mut gradient = vec![T::ZERO; parameter_count(specs)];
    let mut error = scratch.take(ERROR, length);
    for k in 0..pass.count {
        for b in 0..samples {
            error.fill(T::ZERO);
            error[b * width..][..width]
                .copy_from_slice(&output_error[k * length + b * width..][..width]);
            gradient.fill(T::ZERO);
            let g = Gradients::new(&mut gradient, parameter_count(specs));
            let alone = Adjoint { count: 1, ..pass };
            layer.adjoint(alone, &mut error, None, Some(g), None, scratch.child_mut(0));
            let mut start = 0;
            for (array, spec) in specs.iter().enumerate() {
                let range = start..start + spec.len();
                start = range.end;
                squares.add_gradient(b, array, &pass.parameters[range.clone()], &gradient[range]);
            }
        }
    }
    scratch.put_back(ERROR, error);
}

/// The squares of a linear map with a bias or without, from its patches and δ.
///
/// At one position ‖δ xᵀ‖ = ‖δ‖ ‖x‖. At several positions the gradient is Δᵀ P with Δ positions ×
/// outputs and P positions × patch: it is formed, or, where positions are fewer than numbers in a
/// patch and only its norm is wanted, ‖Δᵀ P‖² = ⟨Δ Δᵀ, P Pᵀ⟩ in `f64`.
fn squares_of_map<T: Real>(
    map: &dyn LinearMap<T>,
    pass: Adjoint<'_, T>,
    delta: &[T],
    squares: &mut GradientSquares,
) {
    let shape = Shape::of(map, pass.count, delta.len());
    let per_sample = pass.input.len() / shape.samples;
    let weight = map.weight(pass.parameters);
    let bias = &pass.parameters[weight.len()..];
    let per_group = shape.outputs * shape.patch;
    let mut patches = vec![T::ZERO; shape.positions * shape.patch];
    let weighted = squares.wants_weighted();
    for group in 0..shape.groups {
        let w = &weight[group * per_group..][..per_group];
        let mut x_squares = Vec::new();
        for b in 0..shape.samples {
            map.read_patches(group, &pass.input[b * per_sample..][..per_sample], &mut patches);
            if shape.positions == 1 {
                let x2 = level1::dot(Isa::current(), &patches, &patches);
                squares.add(b, 0, shape.squared(delta, b, group) * x2, 0.0);
                if weighted {
                    x_squares.extend(patches.iter().map(|x| x.to_f64() * x.to_f64()));
                }
            } else {
                squares_at_positions(&shape, delta, b, group, &patches, w, squares);
            }
        }
        if weighted && shape.positions == 1 {
            weigh_at_one_position(&shape, delta, group, &x_squares, w, squares);
        }
        if map.has_bias() {
            let bias = &bias[group * shape.outputs..][..shape.outputs];
            for b in 0..shape.samples {
                if shape.positions == 1 {
                    let norm = shape.squared(delta, b, group);
                    let terms = |d2: Vec<f64>| {
                        let term = |(d, t): (f64, &T)| d * t.to_f64() * t.to_f64();
                        d2.into_iter().zip(bias).map(term).sum()
                    };
                    let sum =
                        if weighted { terms(shape.outputs_squared(delta, b, group)) } else { 0.0 };
                    squares.add(b, 1, norm, sum);
                    continue;
                }
                for k in 0..shape.count {
                    let g = shape.position_sums(delta, k, b, group);
                    let norm = g.iter().map(|g| g * g).sum();
                    let terms = g.iter().zip(bias).map(|(g, t)| (g * t.to_f64()).powi(2));
                    squares.add(b, 1, norm, if weighted { terms.sum() } else { 0.0 });
                }
            }
        }
    }
}

fn squares_at_positions<T: Real>(
    shape: &Shape,
    delta: &[T],
    b: usize,
    group: usize,
    patches: &[T],
    w: &[T],
    squares: &mut GradientSquares,
) {
    let isa = Isa::current();
    let (positions, patch, outputs) = (shape.positions, shape.patch, shape.outputs);
    if !squares.wants_weighted() && positions < patch {
        let p: Vec<f64> = patches.iter().map(|x| x.to_f64()).collect();
        let p = MatrixRef::row_major(&p, positions, patch);
        let mut p_gram = vec![0.0; positions * positions];
        let to = MatrixMut::row_major(&mut p_gram, positions, positions);
        gemm(isa, 1.0, p, p.transposed(), 0.0, to);
        let mut d_gram = vec![0.0; positions * positions];
        for k in 0..shape.count {
            let d = shape.map(delta, k, b, group);
            let d: Vec<f64> =
                (0..positions * outputs).map(|e| d.at(e % outputs, e / outputs).to_f64()).collect();
            let d = MatrixRef::row_major(&d, positions, outputs);
            let to = MatrixMut::row_major(&mut d_gram, positions, positions);
            gemm(isa, 1.0, d, d.transposed(), 0.0, to);
            // Rounding may leave a negative number where the positions cancel.
            squares.add(b, 0, level1::dot(isa, &d_gram, &p_gram).max(0.0), 0.0);
        }
        return;
    }
    let mut gradient = vec![T::ZERO; outputs * patch];
    for k in 0..shape.count {
        gemm(
            isa,
            T::ONE,
            shape.map(delta, k, b, group),
            MatrixRef::row_major(patches, positions, patch),
            T::ZERO,
            MatrixMut::row_major(&mut gradient, outputs, patch),
        );
        squares.add_gradient(b, 0, w, &gradient);
    }
}

/// Rows of W that are squared together: they stay in the second-level cache for their product.
const ROWS: usize = 32;

/// Σ_o (Σₖ δ²)_o Σ_i W_oi² x_i² of every sample: (x∘x)(W∘W)ᵀ in `f64`, a few rows of W at a time, and
/// its products with the squares of δ.
fn weigh_at_one_position<T: Real>(
    shape: &Shape,
    delta: &[T],
    group: usize,
    x_squares: &[f64],
    w: &[T],
    squares: &mut GradientSquares,
) {
    let (samples, patch, outputs) = (shape.samples, shape.patch, shape.outputs);
    let errors: Vec<Vec<f64>> =
        (0..samples).map(|b| shape.outputs_squared(delta, b, group)).collect();
    let mut w_squares = vec![0.0; ROWS.min(outputs) * patch];
    let mut sums = vec![0.0; samples * ROWS.min(outputs)];
    for (piece, w) in w.chunks(ROWS * patch).enumerate() {
        let rows = w.len() / patch;
        let w_squares = &mut w_squares[..w.len()];
        for (square, w) in w_squares.iter_mut().zip(w) {
            *square = w.to_f64() * w.to_f64();
        }
        let sums = &mut sums[..samples * rows];
        gemm(
            Isa::current(),
            1.0,
            MatrixRef::row_major(x_squares, samples, patch),
            MatrixRef::row_major(w_squares, rows, patch).transposed(),
            0.0,
            MatrixMut::row_major(sums, samples, rows),
        );
        for (b, (sums, errors)) in sums.chunks_exact(rows).zip(&errors).enumerate() {
            let errors = &errors[piece * ROWS..][..rows];
            let sum = errors.iter().zip(sums).map(|(d, s)| d * s).sum();
            squares.add(b, 0, 0.0, sum);
        }
    }
}

/// Sizes of a linear map and of a stack of its errors.
struct Shape {
    count: usize,
    samples: usize,
    groups: usize,
    outputs: usize,
    patch: usize,
    positions: usize,
    channels_first: bool,
}

impl Shape {
    fn of<T: Real>(map: &dyn LinearMap<T>, count: usize, errors: usize) -> Self {
        let (groups, outputs, positions) = (map.groups(), map.outputs(), map.positions());
        let width = groups * outputs * positions;
        Self {
            count,
            samples: errors / (count * width),
            groups,
            outputs,
            patch: map.patch(),
            positions,
            channels_first: map.channels_first(),
        }
    }

    /// δ of one cotangent, sample and group: outputs × positions.
    fn map<'a, T: Real>(
        &self,
        delta: &'a [T],
        k: usize,
        b: usize,
        group: usize,
    ) -> MatrixRef<'a, T> {
        let width = self.groups * self.outputs * self.positions;
        let delta = &delta[(k * self.samples + b) * width..][..width];
        if self.channels_first {
            let size = self.outputs * self.positions;
            let delta = &delta[group * size..][..size];
            MatrixRef::row_major(delta, self.outputs, self.positions)
        } else {
            let delta = &delta[group * self.outputs..];
            let stride = self.groups * self.outputs;
            MatrixRef::new(delta, self.outputs, self.positions, 1, stride)
        }
    }

    /// Σₖ ‖δ‖², for a map with one position.
    fn squared<T: Real>(&self, delta: &[T], b: usize, group: usize) -> f64 {
        let width = self.groups * self.outputs;
        let start = |k: usize| (k * self.samples + b) * width + group * self.outputs;
        let of = |k: usize| {
            let d = &delta[start(k)..][..self.outputs];
            level1::dot(Isa::current(), d, d)
        };
        (0..self.count).map(of).sum()
    }

    /// Σₖ δ² of every output, for a map with one position.
    fn outputs_squared<T: Real>(&self, delta: &[T], b: usize, group: usize) -> Vec<f64> {
        let mut sums = vec![0.0; self.outputs];
        let width = self.groups * self.outputs;
        for k in 0..self.count {
            let at = (k * self.samples + b) * width + group * self.outputs;
            for (sum, d) in sums.iter_mut().zip(&delta[at..]) {
                *sum += d.to_f64() * d.to_f64();
            }
        }
        sums
    }

    /// Σₚ δ(p) of every output.
    fn position_sums<T: Real>(&self, delta: &[T], k: usize, b: usize, group: usize) -> Vec<f64> {
        let d = self.map(delta, k, b, group);
        let sum = |o| (0..self.positions).map(|p| d.at(o, p).to_f64()).sum();
        (0..self.outputs).map(sum).collect()
    }
}
