//! Layers on tokens and normalisations: exact derivatives, symmetry, threads, bad input.

mod architectures;
#[path = "../derivatives/mod.rs"]
mod derivatives;

use architectures::{architectures, dense};
use derivatives::{
    check_derivatives, check_derivatives_on, check_operators, check_operators_on, dataset, normals,
    products, relative,
};
use hesse::Real;
use hesse::network::layers::{AttentionMask, BatchStatistics};
use hesse::network::{
    Activation, Architecture, Dataset, LayerSpec, Loss, Network, Objective, Parameters, PartSpec,
    Targets, VisionTransformer,
};

#[test]
fn products_are_derivatives() {
    for (name, architecture) in architectures() {
        check_derivatives(name, &architecture.build().unwrap());
    }
}

#[test]
fn operators_are_symmetric_linear_and_columnwise() {
    for (name, architecture) in architectures() {
        check_operators(name, &architecture.build().unwrap());
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for (name, architecture) in architectures() {
        let network = architecture.build::<f64>().unwrap();
        let data = dataset(&network, Loss::CrossEntropy, 700, 4);
        let theta = Parameters::initialize(&network, 5).into_values();
        let v = normals(1, 2 * theta.len());
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
                let point = objective.at(&theta).unwrap();
                let all = [
                    products(&point.hessian(), &v),
                    products(&point.gauss_newton(), &v),
                    point.gradient().to_vec(),
                    objective.outputs(&theta).unwrap(),
                    vec![point.value()],
                ]
                .concat();
                all.into_iter().map(f64::to_bits).collect::<Vec<_>>()
            })
        };
        let one = on(1);
        assert!(on(2) == one && on(3) == one, "{name}");
    }
}

/// Gradient and Hessian product in one type, as `f64`.
fn curvature<T: Real>(architecture: &Architecture, theta: &[f64], v: &[f64]) -> [Vec<f64>; 2] {
    let typed = |x: &[f64]| x.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    let network: Network<T> = architecture.build().unwrap();
    let wide: Network<f64> = architecture.build().unwrap();
    let data = dataset(&wide, Loss::CrossEntropy, 9, 4);
    let inputs = typed(data.inputs());
    let classes = (0..9).map(|i| i % network.outputs()).collect();
    let targets = Targets::Classes(classes);
    let data = Dataset::from_rows(inputs, network.inputs(), targets).unwrap();
    let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    let point = objective.at(&typed(theta)).unwrap();
    let mut product = vec![T::NAN; theta.len()];
    hesse::krylov::LinearOperator::apply(&point.hessian(), &typed(v), &mut product);
    let wide = |x: &[T]| x.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
    [wide(point.gradient()), wide(&product)]
}

#[test]
fn single_precision_agrees_with_double() {
    for (name, architecture) in architectures() {
        let network = architecture.build::<f64>().unwrap();
        // Numbers that both types hold.
        let both = |x: Vec<f64>| x.into_iter().map(|x| f64::from(x as f32)).collect::<Vec<_>>();
        let theta = both(Parameters::initialize(&network, 3).into_values());
        let v = both(normals(2, theta.len()));
        let (single, double) = (
            curvature::<f32>(&architecture, &theta, &v),
            curvature::<f64>(&architecture, &theta, &v),
        );
        for (single, double) in single.iter().zip(&double) {
            // About a dozen layers of sums of a dozen terms, and deviations of 1/√ε = 10.
            let error = relative(single, double);
            assert!(error <= 2e3 * f64::from(f32::EPSILON), "{name}: {error:e}");
        }
    }
}

#[test]
fn attention_is_what_the_formula_says() {
    // One head of width 1, two tokens (q, k, v); scores are q kⱼ since √d = 1.
    let network = Architecture::new([2, 3])
        .layer(LayerSpec::Attention { heads: 1, mask: AttentionMask::None, memory: 0, tokens: 0 })
        .flatten()
        .build::<f64>()
        .unwrap();
    let (q, k, v) = ([1.0, -2.0], [0.5, 2.0], [3.0, 7.0]);
    let inputs = vec![q[0], k[0], v[0], q[1], k[1], v[1]];
    let targets = Targets::Rows { values: vec![0.0; 2], width: 2 };
    let data = Dataset::from_rows(inputs, 6, targets).unwrap();
    let objective = Objective::new(&network, &data, Loss::HalfSquaredError).unwrap();
    let outputs = objective.outputs(&[]).unwrap();
    for i in 0..2 {
        let (a, b) = ((q[i] * k[0]).exp(), (q[i] * k[1]).exp());
        let want = (a * v[0] + b * v[1]) / (a + b);
        assert!((outputs[i] - want).abs() < 1e-14 * want, "{} {want}", outputs[i]);
    }
}

/// Indices for an embedding of seven rows, some of them twice.
fn indices(samples: usize, tokens: usize) -> Vec<f64> {
    (0..samples * tokens).map(|i| ((i * i + 3 * i) % 7) as f64).collect()
}

#[test]
fn embeddings_have_exact_derivatives_and_check_their_indices() {
    let network = Architecture::new([4])
        .layer(LayerSpec::Embedding { vocabulary: 7, width: 4 })
        .layer(LayerSpec::PositionalEmbedding {})
        .layers(LayerSpec::transformer_block(4, 2, 6, Activation::Gelu, AttentionMask::Causal))
        .layer(LayerSpec::MeanTokens {})
        .layer(dense(3))
        .build::<f64>()
        .unwrap();
    let data = |inputs: Vec<f64>| {
        let classes = (0..inputs.len() / 4).map(|i| i % 3).collect();
        Dataset::from_rows(inputs, 4, Targets::Classes(classes)).unwrap()
    };
    check_derivatives_on("embedding", &network, &data(indices(9, 4)));
    check_operators_on("embedding", &network, &data(indices(9, 4)));
    for (bad, text) in [(7.0, "7"), (-1.0, "-1"), (2.5, "2.5")] {
        let mut inputs = indices(3, 4);
        inputs[6] = bad;
        let error = Objective::new(&network, &data(inputs), Loss::CrossEntropy).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("inputs: sample 1, token 2: expected a whole number from 0 to 6, got {text}")
        );
    }
}

#[test]
fn batch_norm_in_evaluation_on_the_statistics_of_the_data_gives_what_training_gave() {
    let training = architectures().into_iter().find(|(name, _)| *name == "batch norm in training");
    let training = training.unwrap().1;
    let network = training.build::<f64>().unwrap();
    let data = dataset(&network, Loss::CrossEntropy, 11, 2);
    let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    let theta = Parameters::initialize(&network, 3).into_values();
    let statistics = objective.batch_statistics(&theta).unwrap();
    assert_eq!(statistics.iter().map(|s| s.mean.len()).collect::<Vec<_>>(), [3, 5, 4, 4, 4]);

    let fixed = training.clone().with_batch_statistics(statistics.clone()).unwrap();
    let fixed = fixed.build::<f64>().unwrap();
    let evaluation = Objective::new(&fixed, &data, Loss::CrossEntropy).unwrap();
    let want = objective.outputs(&theta).unwrap();
    let error = relative(&evaluation.outputs(&theta).unwrap(), &want);
    assert!(error <= 1e-13, "{error:e}");
    // One sample alone gives what it gave among the others.
    let alone = Objective::new(&fixed, &data, Loss::CrossEntropy).unwrap().samples(&[4]).unwrap();
    assert!(relative(&alone.outputs(&theta).unwrap(), &want[12..15]) <= 1e-13);
    // But statistics of the batch have no single samples.
    assert_eq!(
        objective.per_sample_gradients(&theta).unwrap_err().to_string(),
        "gradients of single samples: expected a network without statistics of the batch, got one \
         with them"
    );
    let few = training.with_batch_statistics(statistics[..2].to_vec()).unwrap_err();
    assert_eq!(few.to_string(), "batch norms without statistics: expected 5, got 2");
}

#[test]
fn vision_transformers_have_as_many_parameters_as_they_should() {
    let tiny = VisionTransformer::tiny();
    let count =
        |vit: &VisionTransformer| vit.architecture().build::<f32>().unwrap().parameter_count();
    // Patches, class token, positions; a block: four maps of 192², two of 192 · 768, two norms.
    let patches = 48 * 192 + 192;
    let block = 4 * 192 * 192 + 4 * 192 + 2 * 192 * 768 + 768 + 192 + 4 * 192;
    let head = 2 * 192 + 192 * 10 + 10;
    assert_eq!(count(&tiny), patches + 192 + 65 * 192 + 6 * block + head);
    let mean = VisionTransformer { class_token: false, ..tiny };
    assert_eq!(count(&mean), patches + 64 * 192 + 6 * block + head);
}

/// The last block of a vision transformer computes what the class token needs and nothing else.
#[test]
fn the_class_token_alone_goes_through_the_end_of_a_transformer() {
    let vit = VisionTransformer {
        image: [2, 4, 6],
        patch: 2,
        width: 6,
        depth: 2,
        heads: 3,
        hidden: 7,
        classes: 3,
        ..VisionTransformer::tiny()
    };
    let short = vit.architecture();
    let mut whole = Architecture::new(short.input.clone()).layers(short.layers[..3].to_vec());
    for _ in 0..2 {
        let none = AttentionMask::None;
        whole = whole.layers(LayerSpec::transformer_block(6, 3, 7, vit.activation, none));
    }
    let slice = LayerSpec::Slice { first: 0, shape: vec![6] };
    let whole = whole.layer(slice).layer_norm().layer(dense(3)).build::<f64>().unwrap();
    let short = short.build::<f64>().unwrap();
    assert_eq!(short.parameter_count(), whole.parameter_count());

    let theta = normals(5, whole.parameter_count());
    let direction = normals(6, theta.len());
    let of = |network: &Network<f64>| {
        let data = dataset(network, Loss::CrossEntropy, 4, 7);
        let objective = Objective::new(network, &data, Loss::CrossEntropy).unwrap();
        let point = objective.at(&theta).unwrap();
        (point.gradient().to_vec(), products(&point.hessian(), &direction))
    };
    let ((gradient, product), (want_gradient, want_product)) = (of(&short), of(&whole));
    assert!(relative(&gradient, &want_gradient) <= 1e-13);
    assert!(relative(&product, &want_product) <= 1e-12);
}

#[test]
fn bad_architectures_are_named() {
    let text = |a: Architecture| a.build::<f64>().unwrap_err().to_string();
    let attention = |shape: &[usize], heads, mask| {
        text(Architecture::new(shape).layer(LayerSpec::Attention {
            heads,
            mask,
            memory: 0,
            tokens: 0,
        }))
    };
    let none = AttentionMask::None;
    assert_eq!(
        attention(&[4, 12], 3, none.clone()),
        "attention: heads: expected a divisor of the width 4, got 3"
    );
    assert_eq!(
        attention(&[4, 12], 0, none.clone()),
        "attention: heads: expected a divisor of the width 4, got 0"
    );
    assert_eq!(
        attention(&[4, 10], 1, none.clone()),
        "attention: input shape: expected [tokens, 3 width], not empty, got [4, 10]"
    );
    assert_eq!(
        attention(&[12], 1, none),
        "attention: input shape: expected [tokens, 3 width], got [12]"
    );
    assert_eq!(
        attention(&[4, 12], 2, AttentionMask::Allowed(vec![true; 12])),
        "attention: elements of the mask, queries × keys: expected 16, got 12"
    );
    // What cannot exist is refused before anything is allocated.
    let huge = usize::MAX;
    for layers in [
        vec![dense(huge)],
        vec![LayerSpec::ClassToken {}, dense(1 << 62)],
        vec![LayerSpec::Embedding { vocabulary: huge, width: 1 << 40 }],
        LayerSpec::self_attention(huge, 1, AttentionMask::None).to_vec(),
    ] {
        let error = text(Architecture::new([4, 12]).layers(layers));
        assert!(error.starts_with("layer: "), "{error}");
    }
    let asking = |tokens| {
        let mask = AttentionMask::None;
        let layer = LayerSpec::Attention { heads: 2, mask, memory: 0, tokens };
        text(Architecture::new([4, 12]).layer(layer))
    };
    assert_eq!(asking(5), "attention: queries: expected 1 to 4 tokens, got 5");
    let norm = |axes, epsilon| {
        text(Architecture::new([4, 3]).layer(LayerSpec::LayerNorm { axes, epsilon, affine: true }))
    };
    assert_eq!(norm(3, 1e-5), "layer norm: axes: expected 1 to 2, got 3");
    assert_eq!(norm(0, 1e-5), "layer norm: axes: expected 1 to 2, got 0");
    assert_eq!(norm(1, 0.0), "layer norm: epsilon: expected positive and finite, got 0");
    assert_eq!(norm(1, f64::NAN), "layer norm: epsilon: expected positive and finite, got NaN");
    let one = |input: &[usize], layer| text(Architecture::new(input).layer(layer));
    let patches = |patch| LayerSpec::PatchEmbedding {
        patch,
        outputs: 2,
        bias: true,
        initializer: Default::default(),
    };
    assert_eq!(
        one(&[3, 4, 6], patches(4)),
        "patch embedding: patch: expected a divisor of 4 and 6, got 4"
    );
    assert_eq!(
        one(&[24], patches(4)),
        "patch embedding: input shape: expected [channels, height, width], got [24]"
    );
    assert_eq!(
        one(&[4], LayerSpec::Embedding { vocabulary: 0, width: 3 }),
        "embedding: vocabulary and width: expected positive numbers, got 0 and 3"
    );
    assert_eq!(
        one(&[4], LayerSpec::ClassToken {}),
        "class token: input shape: expected [tokens, width], not empty, got [4]"
    );
    assert_eq!(
        one(&[4], LayerSpec::Slice { first: 2, shape: vec![3] }),
        "slice: features: expected within the 4 there are, got 3 from 2 on"
    );
    assert_eq!(
        one(&[4], LayerSpec::Parallel { parts: vec![PartSpec { input: vec![3], layers: vec![] }] }),
        "parallel layers: features of the parts: expected [4], got 3"
    );
    let statistics = |variance: Vec<f64>| LayerSpec::BatchNorm {
        epsilon: 1e-5,
        affine: true,
        statistics: Some(BatchStatistics { mean: vec![0.0; 2], variance }),
    };
    assert_eq!(one(&[3], statistics(vec![1.0; 2])), "batch norm: means: expected 3, got 2");
    assert_eq!(
        one(&[2], statistics(vec![1.0, -1.0])),
        "batch norm: variances: expected not negative, got -1"
    );
    assert_eq!(
        text(Architecture::new([3]).residual_with_shortcut(vec![dense(2)], vec![dense(4)])),
        "residual: output of the shortcut: expected [2], got [4]"
    );
}
