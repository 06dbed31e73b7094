//! Every inequality on random perceptrons, and where weight sharing breaks the code's.

use hesse::flatness::{Bounds, ConvBound, Geometry, GeometryReport};
use hesse::network::layer::{Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent};
use hesse::network::layers::{Dense, Flatten, Sequential};
use hesse::network::{Activation, Architecture, Network, Parameters};
use hesse::random::Stream;

use crate::{normals, npz};

fn all_hold(bounds: &Bounds<'_>, report: &GeometryReport, case: &str) {
    let mut chains = vec![bounds.mls(), bounds.nmls(), bounds.volume(), bounds.nvr_by_layers()];
    chains.extend([1.0, 1.5, 2.0, 4.0].map(|k| bounds.ma_ying(k)));
    chains.extend((0..report.layers.len()).map(|l| bounds.volume_of_layer(l)));
    chains.extend((0..report.layers.len()).map(|l| bounds.relative_flatness(l)));
    chains.push(bounds.iimls());
    if report.layers.iter().all(|l| l.jacobian.features >= report.input.outputs) {
        chains.push(bounds.nvr());
    } else {
        assert!(bounds.nvr().is_err());
    }
    for chain in chains {
        let chain = chain.unwrap();
        assert!(chain.holds() && chain.theorem, "{case}: {chain:?}");
        assert!(chain.logs.iter().all(|l| !l.is_nan()), "{case}: {chain:?}");
    }
}

#[test]
fn no_bound_is_violated_by_a_thousand_random_perceptrons() {
    let stream = Stream::new(5, "random perceptrons");
    for seed in 0..1000_u64 {
        let pick = |index: u64, n: u64| stream.child(seed).below(index, n) as usize;
        let depth = 1 + pick(0, 4);
        let widths: Vec<usize> = (0..=depth).map(|l| 1 + pick(1 + l as u64, 8)).collect();
        let activation = Activation::ALL[pick(9, Activation::ALL.len() as u64)];
        let network = Architecture::perceptron(&widths, activation).build::<f64>().unwrap();
        // Scales of every layer from 0.1 to 10.
        let mut uniform = [0.0_f64; 6];
        stream.child(seed).child(1).uniforms(0, &mut uniform);
        let scale = |i: usize| 10.0_f64.powf(2.0 * uniform[i] - 1.0);
        let mut parameters = Parameters::zeros(&network);
        let names: Vec<String> = parameters.iter().map(|a| a.name.to_owned()).collect();
        for (index, name) in names.iter().enumerate() {
            let array = parameters.get_mut(name).unwrap();
            let noise: Vec<f64> = normals(seed * 100 + index as u64, array.len());
            array.iter_mut().zip(noise).for_each(|(a, z)| *a = scale(index / 2) * z);
        }
        let samples = 1 + pick(20, 6);
        let mut inputs: Vec<f64> = normals(seed * 100 + 99, samples * widths[0]);
        inputs.iter_mut().for_each(|x| *x *= scale(5));
        let report = Geometry::of_rows(&network, parameters.values(), &inputs).unwrap();
        let report = report.weight_norms().run().unwrap();
        let case = format!("seed {seed}, {widths:?}, {activation:?}");
        all_hold(&report.bounds(ConvBound::Untied).unwrap(), &report, &case);
    }
}

#[test]
fn one_unit_of_orthonormal_weights_attains_the_bounds() {
    // n = 1, N = 1, one layer, w = c e: |w| = |J| and A = B = C.
    let network = Architecture::perceptron(&[3, 1], Activation::Identity).build::<f64>().unwrap();
    let theta = [0.0, 2.5, 0.0, 0.3];
    let report = Geometry::of_rows(&network, &theta, &[1.0, 2.0, 3.0]).unwrap();
    let report = report.weight_norms().run().unwrap();
    let chain = report.bounds(ConvBound::Untied).unwrap().mls().unwrap();
    let [a, b, c, d] = chain.values()[..] else { panic!("{chain:?}") };
    assert!((a - 2.5).abs() < 1e-14 && (b - a).abs() < 1e-13 && (c - a).abs() < 1e-13);
    assert!((d - 2.5 * (15.0_f64 / 14.0).sqrt()).abs() < 1e-13);
    assert!((chain.slack() - d / a).abs() < 1e-12);
}

#[test]
fn shared_weights_break_the_codes_bound_and_no_other() {
    let arrays = npz::golden("flatness/edge_cases.npz");
    let get = |key: &str| arrays[key].1.as_slice();
    // A 1 × 1 kernel on four positions is a dense layer on the last axis of [4, 1].
    let kernel = Dense::new(&[4, 1], 1, Activation::Identity).unwrap().bias(false);
    let readout = Dense::new(&[4], 1, Activation::Identity).unwrap().bias(false);
    let layers: Vec<Box<dyn Layer<f64>>> =
        vec![Box::new(kernel), Box::new(Flatten::new(&[4, 1])), Box::new(readout)];
    let network = Network::new(Sequential::new(layers).unwrap());
    let theta = [get("share_K"), get("share_s")].concat();
    let r = Geometry::of_rows(&network, &theta, get("share_x")).unwrap();
    let r = r.weight_norms().run().unwrap();
    let close = |key: &str, got: f64| {
        let want = get(key)[0];
        assert!((got - want).abs() <= 1e-11 * want.abs(), "{key}: {got} {want}");
    };
    close("share_S", r.trace());
    close("share_mls", r.mls());
    let code = r.bounds(ConvBound::ReferenceCode).unwrap();
    let nmls = code.nmls().unwrap();
    close("share_nmls", nmls.lhs());
    close("share_bound", nmls.rhs());
    close("share_mls_bound", code.mls().unwrap().rhs());
    assert!(!nmls.theorem && !nmls.holds() && !code.mls().unwrap().holds());
    let untied = r.bounds(ConvBound::Untied).unwrap();
    assert!(untied.nmls().unwrap().theorem);
    assert!(untied.nmls().unwrap().holds() && untied.mls().unwrap().holds());
    // Four positions of a patch of one number are dependent.
    assert_eq!(r.layers[0].patch_smallest, [0.0]);
    let patches = r.bounds(ConvBound::PatchRank).unwrap();
    assert_eq!(patches.mls().unwrap().rhs(), f64::INFINITY);
}

#[test]
fn shared_weights_on_independent_patches_obey_the_theorems() {
    // Two tokens of five numbers: patches are independent, so that both theorems say something.
    for seed in 0..50 {
        let layers: Vec<Box<dyn Layer<f64>>> = vec![
            Box::new(Dense::new(&[2, 5], 3, Activation::Tanh).unwrap()),
            Box::new(Flatten::new(&[2, 3])),
            Box::new(Dense::new(&[6], 2, Activation::Identity).unwrap()),
        ];
        let network = Network::new(Sequential::new(layers).unwrap());
        let theta = Parameters::initialize(&network, seed).into_values();
        let inputs: Vec<f64> = normals(seed, 40);
        let r = Geometry::of_rows(&network, &theta, &inputs).unwrap().weight_norms().run().unwrap();
        assert!(r.layers[0].patch_smallest.iter().all(|&s| s > 0.0));
        for convention in [ConvBound::Untied, ConvBound::PatchRank] {
            let bounds = r.bounds(convention).unwrap();
            for chain in [bounds.mls(), bounds.nmls(), bounds.volume(), bounds.nvr_by_layers()] {
                let chain = chain.unwrap();
                assert!(chain.holds() && chain.theorem && chain.rhs().is_finite(), "{chain:?}");
            }
        }
    }
}

/// A dense layer that hides its linear map: squared gradients one by one.
#[derive(Debug)]
pub struct Opaque(pub Dense);

impl Layer<f64> for Opaque {
    fn input_shape(&self) -> &[usize] {
        Layer::<f64>::input_shape(&self.0)
    }

    fn output_shape(&self) -> &[usize] {
        Layer::<f64>::output_shape(&self.0)
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        Layer::<f64>::parameters(&self.0)
    }

    fn kept_features(&self) -> usize {
        Layer::<f64>::kept_features(&self.0)
    }

    fn forward(&self, p: &[f64], x: &[f64], y: &mut [f64], state: &mut State<f64>, keep: Keep) {
        self.0.forward(p, x, y, state, keep);
    }

    fn tangent(&self, pass: Tangent<'_, f64>, y: &mut [f64], tangents: &mut State<f64>) {
        self.0.tangent(pass, y, tangents);
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, f64>,
        output_error: &mut [f64],
        input_error: Option<&mut [f64]>,
        gradient: Option<Gradients<'_, f64>>,
        errors: Option<&mut State<f64>>,
        scratch: &mut State<f64>,
    ) {
        self.0.adjoint(pass, output_error, input_error, gradient, errors, scratch);
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, f64>,
        output_error: &mut [f64],
        input_error: Option<&mut [f64]>,
        gradient: Gradients<'_, f64>,
        tangents: &mut State<f64>,
    ) {
        self.0.adjoint_tangent(pass, output_error, input_error, gradient, tangents);
    }
}
