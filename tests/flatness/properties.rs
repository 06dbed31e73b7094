//! Identities, invariances and agreement with passes of one sample and one output at a time.

use hesse::flatness::{
    AdaptiveCurvature, AdaptiveMonteCarlo, ConvBound, DifferentiableMap, Geometry, GeometryReport,
    LogVolume, NetworkMap, OverLayers, Sensitivity, SingularValues, Squashed,
    sigmoid_squared_error,
};
use hesse::krylov::Trace;
use hesse::network::layer::Layer;
use hesse::network::layers::{
    AttentionMask, Convolution, ConvolutionShape, Dense, Flatten, Residual, Sequential,
};
use hesse::network::{
    Activation, Architecture, Dataset, LayerSpec, Loss, Network, Objective, Parameters, PartSpec,
    Targets,
};

use crate::bounds::Opaque;
use crate::{normals, relative};

fn run(network: &Network<f64>, theta: &[f64], inputs: &[f64]) -> GeometryReport {
    Geometry::of_rows(network, theta, inputs).unwrap().weight_norms().run().unwrap()
}

/// n·N adjoint passes, each of one sample and output: ‖∂f/∂θ‖² and Σ θ² ‖∂f/∂θ‖² of every sample.
fn naive(network: &Network<f64>, theta: &[f64], inputs: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let outputs = network.outputs();
    let (mut squares, mut weighted) = (Vec::new(), Vec::new());
    for x in inputs.chunks(network.inputs()) {
        let targets = Targets::Rows { values: vec![0.0; outputs], width: outputs };
        let data = Dataset::from_rows(x.to_vec(), x.len(), targets).unwrap();
        let objective = Objective::new(network, &data, Loss::HalfSquaredError).unwrap();
        let point = objective.at(theta).unwrap();
        let (mut sum, mut scaled) = (0.0, 0.0);
        for j in 0..outputs {
            let mut unit = vec![0.0; outputs];
            unit[j] = 1.0;
            for (g, t) in point.transposed_jacobian_product(&unit).unwrap().iter().zip(theta) {
                sum += g * g;
                scaled += (t * g).powi(2);
            }
        }
        squares.push(sum);
        weighted.push(scaled);
    }
    (squares, weighted)
}

/// Tokens, residual branches, layers without biases or without a linear map.
fn networks() -> Vec<Network<f64>> {
    let dense = |outputs, bias| LayerSpec::Dense {
        outputs,
        activation: Activation::Tanh,
        bias,
        initializer: Default::default(),
    };
    let tokens = |tokens: usize, width: usize| {
        Architecture::new([tokens, width])
            .dense(4, Activation::Gelu)
            .residual(vec![dense(6, false), dense(4, true)])
            .flatten()
            .dense(3, Activation::Identity)
            .build()
            .unwrap()
    };
    let opaque: Vec<Box<dyn Layer<f64>>> = vec![
        Box::new(Dense::new(&[2, 3], 4, Activation::Softplus).unwrap()),
        Box::new(
            Residual::new(Box::new(Opaque(Dense::new(&[2, 4], 4, Activation::Tanh).unwrap())))
                .unwrap(),
        ),
        Box::new(Flatten::new(&[2, 4])),
        Box::new(Dense::new(&[8], 3, Activation::Identity).unwrap()),
    ];
    vec![
        Architecture::perceptron(&[5, 7, 6, 3], Activation::Gelu).build().unwrap(),
        // More positions than numbers in a patch, and fewer: both ways to the norm of a gradient.
        tokens(7, 2),
        tokens(2, 9),
        Network::new(Sequential::new(opaque).unwrap()),
        // Grouped and with steps; at one place, on a part of the image.
        convolution([4, 5, 5], ConvolutionShape { stride: [2, 3], groups: 2, ..shape(4, 2) }),
        convolution([1, 3, 3], ConvolutionShape { stride: [7, 7], ..shape(3, 2) }),
        convolution([4, 2, 2], ConvolutionShape { groups: 2, ..shape(4, 2) }),
        Architecture::new([7])
            .layer(LayerSpec::Parallel {
                parts: vec![
                    PartSpec { input: vec![2], layers: vec![dense(3, true)] },
                    PartSpec { input: vec![1], layers: Vec::new() },
                    PartSpec { input: vec![4], layers: vec![dense(2, false), dense(3, true)] },
                ],
            })
            .dense(3, Activation::Identity)
            .build()
            .unwrap(),
        Architecture::new([3, 4])
            .layers(LayerSpec::transformer_block(4, 2, 5, Activation::Gelu, AttentionMask::None))
            .layer_norm()
            .flatten()
            .dense(3, Activation::Identity)
            .build()
            .unwrap(),
    ]
}

fn shape(outputs: usize, side: usize) -> ConvolutionShape {
    ConvolutionShape::new(outputs, [side, side])
}

/// A convolution and a readout.
fn convolution(input: [usize; 3], shape: ConvolutionShape) -> Network<f64> {
    let layer = Convolution::new(&input, shape, Activation::Tanh).unwrap();
    let image: Vec<usize> = Layer::<f64>::output_shape(&layer).to_vec();
    let features = image.iter().product();
    let layers: Vec<Box<dyn Layer<f64>>> = vec![
        Box::new(layer),
        Box::new(Flatten::new(&image)),
        Box::new(Dense::new(&[features], 3, Activation::Identity).unwrap()),
    ];
    Network::new(Sequential::new(layers).unwrap())
}

/// Every bound that is called a theorem is one, also where a patch misses a part of the image.
#[test]
fn bounds_of_convolutions_hold_whatever_their_patches_cover() {
    for (case, network) in networks().iter().enumerate() {
        for seed in 0..8 {
            let theta = Parameters::initialize(network, seed).into_values();
            let mut inputs: Vec<f64> = normals(seed + 50, 4 * network.inputs());
            if network.inputs() == 9 && seed % 2 == 1 {
                // The patch of the 3 × 3 image: no gradient there, though the Jacobian is not zero.
                inputs.chunks_mut(9).for_each(|x| [0, 1, 3, 4].iter().for_each(|&i| x[i] = 0.0));
            }
            let r = run(network, &theta, &inputs);
            for convention in [ConvBound::Untied, ConvBound::PatchRank, ConvBound::ReferenceCode] {
                let bounds = r.bounds(convention).unwrap();
                let mut chains = vec![bounds.nmls(), bounds.nvr_by_layers(), bounds.mls()];
                chains.extend([bounds.volume(), bounds.ma_ying(2.0)]);
                chains.extend((0..r.layers.len()).map(|l| bounds.relative_flatness(l)));
                for chain in chains.into_iter().flatten() {
                    assert!(!chain.theorem || chain.holds(), "{case} {convention:?} {chain:?}");
                }
            }
        }
    }
}

#[test]
fn stacked_pass_agrees_with_single_passes() {
    for (case, network) in networks().iter().enumerate() {
        let theta = Parameters::initialize(network, 3).into_values();
        // More samples than a shard holds.
        let inputs: Vec<f64> = normals(4, 150 * network.inputs());
        let (squares, weighted) = naive(network, &theta, &inputs);
        let r = run(network, &theta, &inputs);
        assert!(relative(&r.parameter_squares(), &squares) < 1e-12, "{case}");
        let mean = weighted.iter().sum::<f64>() / 150.0;
        assert!((r.adaptive_sharpness().unwrap() - mean).abs() < 1e-12 * mean, "{case}");
        let plain = Geometry::of_rows(network, &theta, &inputs).unwrap().adaptive(false);
        let plain = plain.run().unwrap();
        assert!(relative(&plain.parameter_squares(), &squares) < 1e-12, "{case}");
        let text = plain.adaptive_sharpness().unwrap_err().to_string();
        let want = "adaptive sharpness: not applicable: expected a pass with adaptive(true), \
                    got adaptive(false)";
        assert_eq!(text, want);
        // The input Jacobian by products with a black box.
        let map = NetworkMap::new(network, &theta).unwrap();
        let few = &inputs[..6 * network.inputs()];
        let sensitivity = Sensitivity::of(&map, few, true).unwrap();
        assert!(sensitivity.unconverged.is_empty());
        let six = run(network, &theta, few);
        assert!(relative(&sensitivity.spectral_norms, &six.input.spectral_norms()) < 1e-10);
        let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-10 * b.abs(), "{a} {b}");
        close(sensitivity.mls(), six.mls());
        close(sensitivity.normalized_mls(), six.normalized_mls());
        close(sensitivity.iimls_directional(), six.iimls_directional());
        close(sensitivity.iimls_elementwise().unwrap(), six.iimls_elementwise());
    }
}

#[test]
fn squashed_maps_follow_the_chain_rule() {
    let network = &networks()[0];
    let theta = Parameters::initialize(network, 3).into_values();
    let map = Squashed(NetworkMap::new(network, &theta).unwrap());
    let x: Vec<f64> = normals(1, 5);
    let direction: Vec<f64> = normals(2, 5);
    let at = |t: f64| {
        let moved: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + t * d).collect();
        let mut y = vec![0.0; 3];
        map.value(&moved, &mut y);
        y
    };
    let (mut jvp, mut vjp) = (vec![0.0; 3], vec![0.0; 5]);
    map.jvp(&x, &direction, &mut jvp);
    let slope: Vec<f64> = at(1e-5).iter().zip(at(-1e-5)).map(|(a, b)| (a - b) / 2e-5).collect();
    assert!(relative(&jvp, &slope) < 1e-8);
    let cotangent: Vec<f64> = normals(3, 3);
    map.vjp(&x, &cotangent, &mut vjp);
    let (a, b): (f64, f64) = (
        jvp.iter().zip(&cotangent).map(|(a, b)| a * b).sum(),
        vjp.iter().zip(&direction).map(|(a, b)| a * b).sum(),
    );
    assert!((a - b).abs() < 1e-13);
    let norm = Sensitivity::of(&map, &x, false).unwrap();
    assert!(norm.mls() > 0.0 && norm.scaled_columns.is_none());
}

#[test]
fn diagonals_agree_where_outputs_are_linear_in_each_parameter() {
    // Piecewise linear: diag H = diag G for any loss, tr H = S for half the squared error anywhere.
    let relu = Activation::Relu;
    let architectures = [
        Architecture::perceptron(&[5, 8, 6, 3], relu),
        Architecture::perceptron(&[5, 7, 3], Activation::LeakyRelu { slope: 0.1 }),
        Architecture::perceptron(&[5, 4, 6, 3], Activation::Identity),
        Architecture::new([2, 5, 5])
            .convolution(3, 2, 0, relu)
            .average_pool(2)
            .flatten()
            .dense(3, Activation::Identity),
        Architecture::new([1, 6, 6])
            .convolution(3, 3, 1, relu)
            .max_pool(2)
            .flatten()
            .dense(3, Activation::Identity),
    ];
    let losses = [(Loss::HalfSquaredError, 1), (Loss::CrossEntropy, 2)];
    for (architecture, (loss, seed)) in architectures.iter().flat_map(|a| losses.map(|l| (a, l))) {
        let network = architecture.build::<f64>().unwrap();
        let theta = Parameters::initialize(&network, seed).into_values();
        let inputs: Vec<f64> = normals(seed, 8 * network.inputs());
        let classes = (0..8).map(|i| i % 3).collect();
        let data = Dataset::from_rows(inputs.clone(), network.inputs(), Targets::Classes(classes))
            .unwrap();
        let objective = Objective::new(&network, &data, loss).unwrap();
        let point = objective.at(&theta).unwrap();
        let (h, g) =
            (point.hessian().to_matrix().unwrap(), point.gauss_newton().to_matrix().unwrap());
        let diagonal = |m: &faer::Mat<f64>| (0..theta.len()).map(|i| m[(i, i)]).collect::<Vec<_>>();
        assert!(relative(&diagonal(&h), &diagonal(&g)) < 1e-12);
        let r = run(&network, &theta, &inputs);
        if loss == Loss::HalfSquaredError {
            let trace: f64 = diagonal(&h).iter().sum();
            assert!((trace - r.trace()).abs() < 1e-12 * trace);
        }
    }
}

/// Scaling the first weights by α moves f like scaling the input: df/dα at 1 is J x without biases.
#[test]
fn scaling_the_first_weights_moves_the_outputs_along_the_jacobian() {
    let network = Architecture::perceptron(&[4, 6, 3], Activation::Tanh).build::<f64>().unwrap();
    let theta = Parameters::initialize(&network, 5).into_values();
    let inputs: Vec<f64> = normals(6, 4);
    let mut direction = vec![0.0; theta.len()];
    direction[..24].copy_from_slice(&theta[..24]);
    let data = Dataset::from_rows(inputs.clone(), 4, Targets::Classes(vec![0])).unwrap();
    let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    let moved = objective.at(&theta).unwrap().jacobian_product(&direction).unwrap();
    let mut along = vec![0.0; 3];
    NetworkMap::new(&network, &theta).unwrap().jvp(&inputs, &inputs, &mut along);
    assert!(relative(&moved, &along) <= 1e-14);
}

#[test]
fn identities_of_each_layer() {
    for network in &networks() {
        let theta = Parameters::initialize(network, 8).into_values();
        let inputs: Vec<f64> = normals(9, 7 * network.inputs());
        let r = run(network, &theta, &inputs);
        for layer in &r.layers {
            let rank = layer.jacobian.rank() as f64;
            for i in 0..7 {
                // |J|_F from the singular values, |J| ≤ |W| |δ|, |∂f/∂W| = |δ| |x| at one place.
                let s = layer.jacobian.singular_values_of(i);
                let norm = s.iter().map(|s| s * s).sum::<f64>().sqrt();
                let frobenius = layer.jacobian.frobenius[i];
                assert!((norm - frobenius).abs() <= 1e-13 * frobenius);
                let bound = layer.weight_norm.unwrap() * layer.error_norms[i];
                assert!(frobenius <= bound * (1.0 + 1e-9));
                if layer.reads_whole_input() {
                    let product = (layer.error_norms[i] * layer.jacobian.norms[i]).powi(2);
                    assert!((product - layer.weight_squares[i]).abs() <= 1e-13 * product);
                }
            }
            let dimensions = layer.jacobian.local_dimensions().unwrap();
            assert!(dimensions.iter().all(|d| (1.0 - 1e-12..=rank + 1e-12).contains(d)));
        }
    }
    // One output: local dimension 1, volume |∇f|.
    let network = Architecture::perceptron(&[4, 5, 1], Activation::Tanh).build::<f64>().unwrap();
    let theta = Parameters::initialize(&network, 1).into_values();
    let r = run(&network, &theta, &normals(2, 12));
    assert!(r.input.local_dimensions().unwrap().iter().all(|&d| d == 1.0));
    let volumes = r.input.log_volumes(LogVolume::All).unwrap();
    let logs: Vec<f64> = r.input.frobenius.iter().map(|f| f.ln()).collect();
    assert!(relative(&volumes, &logs) < 1e-14);
}

fn scaled(network: &Network<f64>, theta: &[f64], scales: &[(&str, f64)]) -> Vec<f64> {
    let mut parameters = Parameters::from_values(network, theta.to_vec()).unwrap();
    for (name, factor) in scales {
        parameters.get_mut(name).unwrap().iter_mut().for_each(|w| *w *= factor);
    }
    parameters.into_values()
}

#[test]
fn invariances() {
    let network = Architecture::perceptron(&[5, 8, 6, 3], Activation::Relu).build::<f64>().unwrap();
    let theta = Parameters::initialize(&network, 1).into_values();
    let inputs: Vec<f64> = normals(2, 60);
    let r = run(&network, &theta, &inputs);
    let close = |what: &str, a: f64, b: f64| {
        assert!((a - b).abs() <= 1e-11 * b.abs(), "{what}: {a} {b}");
    };
    let invariant = |s: &GeometryReport, adaptive: bool| {
        close("MLS", s.mls(), r.mls());
        let volume = |r: &GeometryReport| r.log_volume(LogVolume::Pseudo).unwrap();
        close("volume", volume(s), volume(&r));
        close("dimension", s.local_dimension().unwrap(), r.local_dimension().unwrap());
        for (a, b) in s.layers.iter().zip(&r.layers) {
            close("flatness", a.gauss_newton_flatness(), b.gauss_newton_flatness());
        }
        if adaptive {
            let of = |r: &GeometryReport| r.adaptive_sharpness().unwrap();
            close("adaptive", of(s), of(&r));
        }
    };

    // Scaling through a ReLU.
    let scales = [("layer1.weight", 7.0), ("layer1.bias", 7.0), ("layer2.weight", 1.0 / 7.0)];
    let s = run(&network, &scaled(&network, &theta, &scales), &inputs);
    invariant(&s, true);
    assert!((s.trace() / r.trace() - 1.0).abs() > 0.1);

    // Exchanging hidden units 0 and 3 of the first layer.
    let mut swapped = Parameters::from_values(&network, theta.clone()).unwrap();
    let rows = swapped.get_mut("layer1.weight").unwrap();
    (0..5).for_each(|i| rows.swap(i, 15 + i));
    swapped.get_mut("layer1.bias").unwrap().swap(0, 3);
    let next = swapped.get_mut("layer2.weight").unwrap();
    (0..6).for_each(|o| next.swap(8 * o, 8 * o + 3));
    let s = run(&network, swapped.values(), &inputs);
    invariant(&s, true);
    close("S", s.trace(), r.trace());
    close("NMLS", s.nmls(OverLayers::Sum).unwrap(), r.nmls(OverLayers::Sum).unwrap());

    // Inputs scaled by c, first weights by 1/c.
    let larger: Vec<f64> = inputs.iter().map(|x| 3.0 * x).collect();
    let s = run(&network, &scaled(&network, &theta, &[("layer1.weight", 1.0 / 3.0)]), &larger);
    close("normalised MLS", s.normalized_mls(), r.normalized_mls());
    close("IIMLS", s.iimls_elementwise(), r.iimls_elementwise());
    close("MLS", 3.0 * s.mls(), r.mls());

    // f → Q f with a rotation of the first two outputs.
    let (sin, cos) = 0.7_f64.sin_cos();
    let mut rotated = Parameters::from_values(&network, theta.clone()).unwrap();
    for (name, width) in [("layer3.weight", 6), ("layer3.bias", 1)] {
        let w = rotated.get_mut(name).unwrap();
        for i in 0..width {
            let (a, b) = (w[i], w[width + i]);
            (w[i], w[width + i]) = (cos * a - sin * b, sin * a + cos * b);
        }
    }
    let s = run(&network, rotated.values(), &inputs);
    invariant(&s, false);
    close("S", s.trace(), r.trace());

    // The samples twice.
    let s = run(&network, &theta, &[inputs.clone(), inputs.clone()].concat());
    invariant(&s, true);
    close("S", s.trace(), r.trace());
    close("NVR", s.log_nvr().unwrap(), r.log_nvr().unwrap());
}

#[test]
fn perturbations_tend_to_half_the_adaptive_curvature() {
    let network = Architecture::perceptron(&[3, 5, 2], Activation::Tanh).build::<f64>().unwrap();
    let theta = Parameters::initialize(&network, 4).into_values();
    let targets = Targets::Rows { values: normals(5, 16), width: 2 };
    let data = Dataset::from_rows(normals(6, 24), 3, targets).unwrap();
    let objective = Objective::new(&network, &data, Loss::HalfSquaredError).unwrap();
    let point = objective.at(&theta).unwrap();
    let hessian = point.hessian();
    let curvature = AdaptiveCurvature::new(&hessian, &theta).unwrap();
    let exact = 0.5 * Trace::exact().run(&curvature).unwrap().value;
    let estimate = AdaptiveMonteCarlo::new(2000).rho(1e-3).antithetic(true).seed(1);
    let estimate = estimate.run(&theta, |t| objective.value(t)).unwrap();
    assert!((estimate.value - exact).abs() < 4.0 * estimate.standard_error, "{estimate:?} {exact}");
    assert!(estimate.standard_error < 0.1 * exact);
    // One unit by hand: f = w x, σ(0) = ½ against class 0 of one output.
    let unit = Architecture::perceptron(&[1, 1], Activation::Identity).build::<f64>().unwrap();
    let data = Dataset::from_rows(vec![1.0], 1, Targets::Classes(vec![0])).unwrap();
    let objective = Objective::new(&unit, &data, Loss::HalfSquaredError).unwrap();
    assert_eq!(sigmoid_squared_error(&objective, &[0.0, 0.0]).unwrap(), 0.25);
    let far = sigmoid_squared_error(&objective, &[-1000.0, 0.0]).unwrap();
    assert_eq!(far, 1.0);
    let same = || AdaptiveMonteCarlo::new(5).seed(2);
    let value = |m: AdaptiveMonteCarlo| {
        m.run(&[1.0, 0.5], |t| sigmoid_squared_error(&objective, t)).unwrap()
    };
    assert_eq!(value(same()), value(same()));
    assert_ne!(value(same()), value(same().seed(3)));
}

#[test]
fn the_largest_singular_values_alone_are_the_same() {
    // Above 64 outputs only the largest is computed, unless all are asked for.
    let network = Architecture::perceptron(&[9, 20, 80], Activation::Tanh).build::<f64>().unwrap();
    let theta = Parameters::initialize(&network, 1).into_values();
    let inputs: Vec<f64> = normals(2, 27);
    let of = || Geometry::of_rows(&network, &theta, &inputs).unwrap().weight_norms();
    let largest = of().run().unwrap();
    let all = of().singular_values(SingularValues::All).run().unwrap();
    assert_eq!((largest.input.kept, all.input.kept), (1, 9));
    assert!((largest.mls() - all.mls()).abs() < 1e-12 * all.mls());
    let nmls = |r: &GeometryReport| r.nmls(OverLayers::Sum).unwrap();
    assert!((nmls(&largest) - nmls(&all)).abs() < 1e-12 * nmls(&all));
    assert_eq!(largest.trace().to_bits(), all.trace().to_bits());
    let text = largest.local_dimension().unwrap_err().to_string();
    let want = "local dimension: not applicable: expected all 9 singular values of each sample, \
                got the largest 1";
    assert_eq!(text, want);
    assert!(largest.log_nvr().is_err() && all.log_nvr().is_ok());
    let asked = of().singular_values(SingularValues::Largest).run().unwrap();
    assert_eq!(asked, largest);
}

#[test]
fn threads_do_not_change_a_bit() {
    let network = &networks()[1];
    let theta = Parameters::initialize(network, 3).into_values();
    let inputs: Vec<f64> = normals(4, 300 * network.inputs());
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let r = pool.install(|| run(network, &theta, &inputs));
        let mut bits = vec![r.trace().to_bits(), r.mls().to_bits()];
        for layer in &r.layers {
            let all = layer.weight_squares.iter().chain(&layer.jacobian.singular_values);
            bits.extend(all.chain(&layer.adaptive_bias).map(|x| x.to_bits()));
        }
        bits
    };
    let one = on(1);
    assert!(on(2) == one && on(7) == one);
}
