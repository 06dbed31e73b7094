//! Convolutions and pools: every pass against plain loops, the map inside, threads, bad input.

use hesse::Real;
use hesse::krylov::LinearOperator;
use hesse::network::layer::{Adjoint, Gradients, Keep, Layer, State};
use hesse::network::layers::{
    AveragePool, Convolution, ConvolutionShape, GlobalAveragePool, MaxPool,
};
use hesse::network::{
    Activation, Architecture, Dataset, LayerSpec, LinearMap, Loss, Objective, Parameters, Targets,
};
use hesse::random::Stream;

mod definition;
#[path = "../operators/mod.rs"]
mod operators;

use definition::passes;
use operators::on_threads;

fn normals<T: Real>(seed: u64, n: usize) -> Vec<T> {
    let mut values = vec![T::ZERO; n];
    Stream::new(seed, "convolution").normals(0, &mut values);
    values
}

/// Small whole numbers: sums of their products are exact in any order.
fn whole<T: Real>(seed: u64, n: usize) -> Vec<T> {
    normals::<f64>(seed, n).into_iter().map(|x| T::from_f64((2.0 * x).round())).collect()
}

fn shapes(outputs: usize) -> impl Iterator<Item = ConvolutionShape> {
    let kernels = [[1, 1], [3, 3], [2, 3], [5, 1]];
    let steps = [[1, 1], [2, 2], [3, 1]];
    let pads = [[0, 0], [1, 1], [2, 3]];
    let gaps = [[1, 1], [2, 2], [1, 3]];
    kernels.into_iter().flat_map(move |kernel| {
        steps.into_iter().flat_map(move |stride| {
            pads.into_iter().flat_map(move |padding| {
                gaps.into_iter().flat_map(move |dilation| {
                    [1, 2].map(|groups| ConvolutionShape {
                        outputs,
                        kernel,
                        stride,
                        padding,
                        dilation,
                        groups,
                    })
                })
            })
        })
    })
}

#[test]
fn every_pass_is_that_of_the_definition() {
    let mut done = 0;
    for of in shapes(4) {
        for input in [[2, 5, 7], [4, 6, 4]] {
            if Convolution::new(&input, of, Activation::Identity).is_err() {
                continue;
            }
            done += 1;
            passes::<f64>(input, of, done % 3 > 0, 1 + done % 4);
            passes::<f32>(input, of, done % 3 > 0, 1 + done % 4);
        }
    }
    assert!(done > 300, "{done}");
}

#[test]
fn large_and_small_images_are_cut_into_tiles() {
    let of = |outputs, kernel| ConvolutionShape::new(outputs, kernel);
    // Several tiles a sample, the last one shorter; a sample a tile; several samples a tile, the last
    // tile with fewer; one place a sample; a kernel as large as the padded image; depthwise.
    passes::<f64>([40, 19, 20], ConvolutionShape { padding: [1, 1], ..of(3, [3, 3]) }, true, 2);
    passes::<f64>([40, 23, 20], ConvolutionShape { stride: [2, 1], ..of(2, [3, 3]) }, false, 1);
    passes::<f32>([3, 16, 16], ConvolutionShape { padding: [1, 1], ..of(5, [3, 3]) }, true, 3);
    passes::<f32>([3, 5, 5], ConvolutionShape { padding: [1, 1], ..of(6, [3, 3]) }, true, 19);
    passes::<f64>([2, 3, 4], of(3, [3, 4]), true, 300);
    passes::<f64>([2, 3, 4], ConvolutionShape { padding: [1, 1], ..of(3, [5, 6]) }, true, 5);
    passes::<f64>([6, 8, 8], ConvolutionShape { groups: 6, ..of(12, [3, 3]) }, true, 4);
    passes::<f32>([5, 8, 8], of(4, [1, 1]), true, 3);
    passes::<f64>([5, 9, 3], of(4, [1, 1]), true, 9);
    // A stride beyond the image, and a window that reads nothing but padding at the corners.
    passes::<f64>([1, 3, 3], ConvolutionShape { stride: [1 << 40, 7], ..of(2, [2, 2]) }, true, 2);
    passes::<f64>([1, 2, 2], ConvolutionShape { padding: [4, 3], ..of(2, [2, 2]) }, true, 2);
}

#[test]
fn the_map_inside_is_the_layer() {
    for of in shapes(6) {
        let input = [4, 6, 7];
        let Ok(layer) = Convolution::new(&input, of, Activation::Tanh) else { continue };
        let map: &dyn LinearMap<f64> = Layer::<f64>::linear_map(&layer).unwrap();
        let (outputs, patch, positions) = (map.outputs(), map.patch(), map.positions());
        let groups = map.groups();
        assert_eq!((groups, outputs * groups, map.channels_first()), (of.groups, 6, true));
        let specs = Layer::<f64>::parameters(&layer);
        let weights = specs[0].len();
        let theta = whole::<f64>(1, weights + 6);
        assert_eq!(map.weight(&theta), &theta[..weights]);
        let x = whole::<f64>(2, 4 * 6 * 7);
        let linear = Convolution::new(&input, of, Activation::Identity).unwrap();
        let mut z = vec![0.0; 6 * positions];
        linear.forward(&theta, &x, &mut z, &mut State::default(), Keep::Outputs);
        let delta = whole::<f64>(3, 6 * positions);
        let (mut gradient, mut x_error) = (vec![0.0; weights + 6], vec![0.0; x.len()]);
        linear.adjoint(
            Adjoint { parameters: &theta, input: &x, state: &State::default(), count: 1 },
            &mut delta.clone(),
            Some(&mut x_error),
            Some(Gradients::new(&mut gradient, weights + 6)),
            None,
            &mut State::default(),
        );
        let mut returned = vec![0.0; x.len()];
        for group in 0..groups {
            let mut patches = vec![f64::NAN; positions * patch];
            map.read_patches(group, &x, &mut patches);
            let mut errors = vec![0.0; positions * patch];
            for unit in 0..outputs {
                let channel = group * outputs + unit;
                let row = &theta[channel * patch..][..patch];
                let mut sum = vec![0.0; patch];
                for place in 0..positions {
                    let read = &patches[place * patch..][..patch];
                    let value: f64 = row.iter().zip(read).map(|(w, x)| w * x).sum();
                    let at = channel * positions + place;
                    assert_eq!(value + theta[weights + channel], z[at], "{of:?}");
                    for e in 0..patch {
                        errors[place * patch + e] += row[e] * delta[at];
                        sum[e] += delta[at] * read[e];
                    }
                }
                assert_eq!(sum, gradient[channel * patch..][..patch], "{of:?}");
            }
            map.add_patches(group, &errors, &mut returned);
        }
        assert_eq!(returned, x_error, "{of:?}");

        // δ = φ'∘ȳ for several cotangents.
        let mut state = State::default();
        let small: Vec<f64> = theta.iter().map(|w| 0.01 * w).collect();
        let mut y = vec![0.0; 6 * positions];
        layer.forward(&small, &x, &mut y, &mut state, Keep::FirstOrder);
        let mut errors = vec![1.0; 2 * y.len()];
        map.error_before_activation(&state, 2, &mut errors);
        for (i, error) in errors.iter().enumerate() {
            let y = y[i % y.len()];
            assert!((error - (1.0 - y * y)).abs() < 1e-14);
        }
    }
}

/// Convolutions with and without activation in front of every kind of pool.
fn network(activation: Activation) -> Architecture {
    Architecture::new([2, 11, 9])
        .convolution(4, 3, 1, activation)
        .max_pool(2)
        .layer(LayerSpec::Convolution {
            outputs: 6,
            kernel: [3, 2],
            stride: [1, 1],
            padding: [1, 0],
            dilation: [1, 2],
            groups: 2,
            activation,
            bias: false,
            initializer: Default::default(),
        })
        .layer(LayerSpec::MaxPool { kernel: [3, 2], stride: Some([2, 1]), padding: [1, 0] })
        .layer(LayerSpec::AveragePool { kernel: [2, 1], stride: Some([1, 1]), padding: [1, 0] })
        .convolution(5, 1, 0, activation)
        .global_average_pool()
        .dense(3, Activation::Identity)
}

#[test]
fn threads_and_memory_do_not_change_a_bit() {
    let network = network(Activation::Gelu).build::<f64>().unwrap();
    let samples = 700;
    let classes = (0..samples).map(|i| i * i % 3).collect();
    let inputs = normals(1, samples * network.inputs());
    let data = Dataset::from_rows(inputs, network.inputs(), Targets::Classes(classes)).unwrap();
    let theta = Parameters::initialize(&network, 2).into_values();
    let v = normals::<f64>(3, 2 * theta.len());
    let on = |threads, budget| {
        on_threads(threads, || {
            let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
            let objective = objective.memory_budget(budget);
            let point = objective.at(&theta).unwrap();
            let mut products = [vec![0.0; v.len()], vec![0.0; v.len()], vec![0.0; v.len()]];
            point.hessian().apply_block(&v, &mut products[0]);
            point.gauss_newton().apply_block(&v, &mut products[1]);
            for (x, y) in v.chunks(theta.len()).zip(products[2].chunks_mut(theta.len())) {
                point.hessian().apply(x, y);
            }
            let mut all = products.concat();
            all.extend(point.gradient());
            all.push(objective.value(&theta).unwrap());
            all.extend(objective.outputs(&theta).unwrap());
            all.into_iter().map(f64::to_bits).collect::<Vec<_>>()
        })
    };
    let one = on(1, usize::MAX);
    // A block is its columns.
    assert_eq!(one[..v.len()], one[2 * v.len()..3 * v.len()]);
    assert!(on(2, usize::MAX) == one && on(3, usize::MAX) == one && on(2, 0) == one);
}

#[test]
fn single_precision_follows_double() {
    let double = network(Activation::Tanh).build::<f64>().unwrap();
    let single = network(Activation::Tanh).build::<f32>().unwrap();
    let samples = 33;
    let inputs: Vec<f32> = normals(1, samples * double.inputs());
    let classes: Vec<usize> = (0..samples).map(|i| i % 3).collect();
    let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
    let theta = Parameters::initialize(&single, 2).into_values();
    let v: Vec<f32> = normals(3, theta.len());
    let (n, classes) = (double.inputs(), Targets::Classes(classes));
    let data = Dataset::from_rows(wide(&inputs), n, classes.clone()).unwrap();
    let objective = Objective::new(&double, &data, Loss::CrossEntropy).unwrap();
    let point = objective.at(&wide(&theta)).unwrap();
    let mut want = vec![0.0; v.len()];
    point.hessian().apply(&wide(&v), &mut want);
    let Targets::Classes(classes) = classes else { unreachable!() };
    let data = Dataset::from_rows(inputs, n, Targets::Classes(classes)).unwrap();
    let objective = Objective::new(&single, &data, Loss::CrossEntropy).unwrap();
    let point = objective.at(&theta).unwrap();
    let mut got = vec![0.0; v.len()];
    point.hessian().apply(&v, &mut got);
    let size = want.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let error = got.iter().zip(&want).fold(0.0_f64, |m, (a, b)| m.max((f64::from(*a) - b).abs()));
    // Sums of a few hundred products through five layers.
    assert!(error > 0.0 && error < 100.0 * f64::from(f32::EPSILON) * size, "{error:e} of {size}");
}

#[test]
fn bad_input_is_named() {
    let text = |architecture: Architecture| architecture.build::<f64>().unwrap_err().to_string();
    let convolution = |input: &[usize], change: &dyn Fn(&mut ConvolutionShape)| {
        let mut of = ConvolutionShape::new(4, [3, 3]);
        change(&mut of);
        Convolution::new(input, of, Activation::Relu).unwrap_err().to_string()
    };
    let image = [2, 5, 6];
    assert_eq!(
        text(Architecture::new([12]).convolution(4, 3, 0, Activation::Relu)),
        "convolution: input shape: expected [channels, height, width], all positive, got [12]"
    );
    assert_eq!(
        convolution(&[0, 5, 5], &|_| {}),
        "convolution: input shape: expected [channels, height, width], all positive, got [0, 5, 5]"
    );
    assert_eq!(
        convolution(&image, &|of| of.outputs = 0),
        "convolution: outputs: expected a positive number, got 0"
    );
    for groups in [0, 3, 4] {
        assert_eq!(
            convolution(&image, &|of| of.groups = groups),
            format!(
                "convolution: groups: expected a divisor of the 2 input and 4 output channels, \
                 got {groups}"
            )
        );
    }
    assert_eq!(
        convolution(&image, &|of| of.stride = [1, 0]),
        "convolution: stride: expected positive numbers, got [1, 0]"
    );
    assert_eq!(
        convolution(&image, &|of| of.dilation = [0, 1]),
        "convolution: dilation: expected positive numbers, got [0, 1]"
    );
    assert_eq!(
        convolution(&image, &|of| of.kernel = [0, 3]),
        "convolution: kernel: expected positive numbers, got [0, 3]"
    );
    assert_eq!(
        convolution(&image, &|of| (of.kernel, of.padding) = ([3, 9], [0, 1])),
        "convolution: width of the kernel: expected at most that of the padded input, 8, got 9"
    );
    assert_eq!(
        convolution(&image, &|of| of.dilation = [3, 1]),
        "convolution: height of the kernel: expected at most that of the padded input, 5, got 7"
    );
    assert_eq!(
        convolution(&image, &|of| of.dilation = [usize::MAX, 1]),
        "convolution: height of the kernel: expected at most that of the padded input, 5, \
         got far more"
    );
    let large = "convolution: numbers in an array: expected as many as fit in memory, got far more";
    assert_eq!(convolution(&image, &|of| of.padding = [0, usize::MAX]), large);
    assert_eq!(convolution(&image, &|of| of.padding = [1 << 30, 1 << 30]), large);
    assert_eq!(convolution(&image, &|of| of.outputs = 1 << 60), large);
    assert_eq!(convolution(&[1 << 62, 3, 3], &|_| {}), large);

    assert_eq!(
        text(Architecture::new([3, 3]).max_pool(2)),
        "max pool: input shape: expected [channels, height, width], all positive, got [3, 3]"
    );
    assert_eq!(
        text(Architecture::new(image).max_pool(7)),
        "max pool: height of the kernel: expected at most that of the padded input, 5, got 7"
    );
    let new = |kernel, stride, padding| (MaxPool::new(&image, kernel, stride, padding), padding);
    assert_eq!(
        new([2, 2], [0, 2], [0, 0]).0.unwrap_err().to_string(),
        "max pool: stride: expected positive numbers, got [0, 2]"
    );
    assert_eq!(
        new([2, 3], [1, 1], [1, 2]).0.unwrap_err().to_string(),
        "max pool: padding: expected at most half the kernel, [1, 1], got [1, 2]"
    );
    assert_eq!(
        MaxPool::new(&[1, 1 << 17, 1 << 17], [2, 2], [2, 2], [0, 0]).unwrap_err().to_string(),
        "max pool: numbers in a channel: expected below 2³², got 17179869184"
    );
    assert_eq!(
        AveragePool::new(&image, [2, 0], [1, 1], [0, 0]).unwrap_err().to_string(),
        "average pool: kernel: expected positive numbers, got [2, 0]"
    );
    assert_eq!(
        GlobalAveragePool::new(&[1 << 40, 1 << 40, 1]).unwrap_err().to_string(),
        "global average pool: numbers in an array: expected as many as fit in memory, got far more"
    );
    assert_eq!(
        GlobalAveragePool::new(&[4]).unwrap_err().to_string(),
        "global average pool: input shape: expected [channels, height, width], all positive, \
         got [4]"
    );
}
