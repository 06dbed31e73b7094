//! Every pass of a convolution by plain loops over its definition.

use hesse::Real;
use hesse::network::Activation;
use hesse::network::layer::{Adjoint, Directions, Gradients, Keep, Layer, State, Tangent};
use hesse::network::layers::{Convolution, ConvolutionShape};

use super::whole;

/// A convolution by its definition.
pub struct Direct {
    input: [usize; 3],
    of: ConvolutionShape,
    output: [usize; 3],
}

impl Direct {
    /// Calls `f(output, weight, input)` with the indices of every term of z.
    fn terms(&self, mut f: impl FnMut(usize, usize, usize)) {
        let [channels, height, width] = self.input;
        let [outputs, down, across] = self.output;
        let [kh, kw] = self.of.kernel;
        let (inside, units) = (channels / self.of.groups, outputs / self.of.groups);
        for o in 0..outputs {
            for (i, j) in (0..down).flat_map(|i| (0..across).map(move |j| (i, j))) {
                for c in 0..inside {
                    for (u, v) in (0..kh).flat_map(|u| (0..kw).map(move |v| (u, v))) {
                        let row = i * self.of.stride[0] + u * self.of.dilation[0];
                        let column = j * self.of.stride[1] + v * self.of.dilation[1];
                        let row = row.wrapping_sub(self.of.padding[0]);
                        let column = column.wrapping_sub(self.of.padding[1]);
                        if row < height && column < width {
                            let from = o / units * inside + c;
                            f(
                                (o * down + i) * across + j,
                                ((o * inside + c) * kh + u) * kw + v,
                                (from * height + row) * width + column,
                            );
                        }
                    }
                }
            }
        }
    }

    fn sizes(&self) -> (usize, usize) {
        (self.input.iter().product(), self.output.iter().product())
    }

    /// z += W ∗ x, sample by sample.
    fn multiply<T: Real>(&self, w: &[T], x: &[T], z: &mut [T]) {
        let (n, m) = self.sizes();
        for (x, z) in x.chunks(n).zip(z.chunks_mut(m)) {
            self.terms(|o, k, i| z[o] += w[k] * x[i]);
        }
    }

    fn pull_back<T: Real>(&self, w: &[T], delta: &[T], x: &mut [T]) {
        let (n, m) = self.sizes();
        for (x, delta) in x.chunks_mut(n).zip(delta.chunks(m)) {
            self.terms(|o, k, i| x[i] += w[k] * delta[o]);
        }
    }

    fn gradient<T: Real>(&self, delta: &[T], x: &[T], g: &mut [T]) {
        let (n, m) = self.sizes();
        for (x, delta) in x.chunks(n).zip(delta.chunks(m)) {
            self.terms(|o, k, i| g[k] += delta[o] * x[i]);
        }
    }

    /// Adds the bias, or its tangent, behind the weights.
    fn add_bias<T: Real>(&self, bias: &[T], z: &mut [T]) {
        let positions = self.output[1] * self.output[2];
        for (i, z) in z.iter_mut().enumerate() {
            *z += bias[i / positions % bias.len()];
        }
    }

    fn bias_gradient<T: Real>(&self, delta: &[T], g: &mut [T]) {
        let positions = self.output[1] * self.output[2];
        let channels = g.len();
        for (i, &delta) in delta.iter().enumerate() {
            g[i / positions % channels] += delta;
        }
    }
}

/// The four passes of one layer with whole numbers, so that everything is exact: equal, not close.
pub fn passes<T: Real>(input: [usize; 3], of: ConvolutionShape, bias: bool, samples: usize) {
    const COUNT: usize = 2;
    let layer = Convolution::new(&input, of, Activation::Identity).unwrap().bias(bias);
    let shape: &[usize] = Layer::<T>::output_shape(&layer);
    let direct = Direct { input, of, output: [shape[0], shape[1], shape[2]] };
    let (n, m) = direct.sizes();
    let specs = Layer::<T>::parameters(&layer);
    let p: usize = specs.iter().map(|s| s.len()).sum();
    let weights = specs[0].len();
    let label = format!("{} {input:?} {of:?} bias {bias} samples {samples}", T::NAME);

    let (theta, x) = (whole::<T>(1, p), whole::<T>(2, samples * n));
    let (mut state, mut errors) = (State::default(), State::default());
    let (mut tangents, mut scratch) = (State::default(), State::default());
    let mut y = vec![T::NAN; samples * m];
    layer.forward(&theta, &x, &mut y, &mut state, Keep::SecondOrder);
    let mut want = vec![T::ZERO; samples * m];
    direct.multiply(&theta[..weights], &x, &mut want);
    if bias {
        direct.add_bias(&theta[weights..], &mut want);
    }
    assert_eq!(y, want, "forward: {label}");

    let delta = whole::<T>(3, samples * m);
    let (mut x_error, mut gradient) = (vec![T::NAN; samples * n], whole::<T>(4, p));
    let mut want_gradient = gradient.clone();
    let pass = Adjoint { parameters: &theta, input: &x, state: &state, count: 1 };
    let into = Some(Gradients::new(&mut gradient, p));
    let kept = Some(&mut errors);
    layer.adjoint(pass, &mut delta.clone(), Some(&mut x_error), into, kept, &mut scratch);
    let mut want = vec![T::ZERO; samples * n];
    direct.pull_back(&theta[..weights], &delta, &mut want);
    assert_eq!(x_error, want, "error of the input: {label}");
    let (of_weight, of_bias) = want_gradient.split_at_mut(weights);
    direct.gradient(&delta, &x, of_weight);
    if bias {
        direct.bias_gradient(&delta, of_bias);
    }
    assert_eq!(gradient, want_gradient, "gradient: {label}");

    let (v, x_tangent) = (whole::<T>(5, COUNT * p), whole::<T>(6, COUNT * samples * n));
    let u = whole::<T>(7, COUNT * samples * m);
    for (along_input, along_parameters) in [(true, true), (true, false), (false, true)] {
        let label = format!("along input {along_input}, parameters {along_parameters}: {label}");
        let pass = Tangent {
            parameters: &theta,
            input: &x,
            state: &state,
            errors: Some(&errors),
            directions: along_parameters.then(|| Directions::new(&v, p)),
            input_tangent: along_input.then_some(&x_tangent[..]),
            count: COUNT,
        };
        let mut y = vec![T::NAN; COUNT * samples * m];
        layer.tangent(pass, &mut y, &mut tangents);
        let mut gradient = vec![T::ZERO; COUNT * p];
        let mut x_error = vec![T::NAN; COUNT * samples * n];
        let into = Gradients::new(&mut gradient, p);
        layer.adjoint_tangent(pass, &mut u.clone(), Some(&mut x_error), into, &mut tangents);
        for k in 0..COUNT {
            let (v, x_tangent) = (&v[k * p..][..p], &x_tangent[k * samples * n..][..samples * n]);
            let u = &u[k * samples * m..][..samples * m];
            let mut want_y = vec![T::ZERO; samples * m];
            let mut want_x = vec![T::ZERO; samples * n];
            let mut want = vec![T::ZERO; p];
            let (of_weight, of_bias) = want.split_at_mut(weights);
            direct.gradient(u, &x, of_weight);
            direct.pull_back(&theta[..weights], u, &mut want_x);
            if bias {
                direct.bias_gradient(u, of_bias);
            }
            if along_input {
                direct.multiply(&theta[..weights], x_tangent, &mut want_y);
                direct.gradient(&delta, x_tangent, of_weight);
            }
            if along_parameters {
                direct.multiply(&v[..weights], &x, &mut want_y);
                direct.pull_back(&v[..weights], &delta, &mut want_x);
                if bias {
                    direct.add_bias(&v[weights..], &mut want_y);
                }
            }
            assert_eq!(y[k * samples * m..][..samples * m], want_y, "tangent {label}");
            assert_eq!(gradient[k * p..][..p], want, "tangent of the gradient {label}");
            assert_eq!(x_error[k * samples * n..][..samples * n], want_x, "tangent of x̄ {label}");
        }
        // What is not wanted changes nothing else.
        let mut alone = vec![T::ZERO; COUNT * p];
        let into = Gradients::new(&mut alone, p);
        layer.adjoint_tangent(pass, &mut u.clone(), None, into, &mut tangents);
        assert_eq!(alone, gradient, "{label}");
    }
}
