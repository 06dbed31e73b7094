//! Normalisation, attention and embedding layers against reference files made with JAX.

use hesse::io::Archive;
use hesse::krylov::LinearOperator;
use hesse::network::layers::AttentionMask;
use hesse::network::{
    Activation, Architecture, Dataset, LayerSpec, Loss, Objective, PartSpec, Targets,
    VisionTransformer,
};

/// Loss, outputs, gradient, Hessian and Gauss-Newton products of the file called `name`, to 1e-11 of
/// the largest entry.
fn check(name: &str, architecture: &Architecture) {
    let file = format!("{}/tests/golden/flatness/{name}.npz", env!("CARGO_MANIFEST_DIR"));
    let file = Archive::read(file).unwrap();
    let array = |name: &str| file.get(name).unwrap().to_f64().unwrap();
    let network = architecture.build::<f64>().unwrap();
    let targets = Targets::Rows { values: array("Y"), width: network.outputs() };
    let data = Dataset::from_rows(array("X"), network.inputs(), targets).unwrap();
    let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    let theta = array("theta");
    assert_eq!(network.parameter_count(), theta.len(), "{name}");
    let point = objective.at(&theta).unwrap();

    let compare = |what: &str, got: &[f64]| {
        let want = array(what);
        assert_eq!(got.len(), want.len(), "{name}: {what}");
        let size = want.iter().fold(0.0_f64, |s, x| s.max(x.abs()));
        let error = got.iter().zip(&want).fold(0.0_f64, |e, (a, b)| e.max((a - b).abs()));
        assert!(error <= 1e-11 * size, "{name}: {what}: {error:e} of {size:e}");
    };
    compare("loss", &[point.value()]);
    compare("out", &objective.outputs(&theta).unwrap());
    compare("grad", point.gradient());
    // V is P × k; a block is k vectors of P.
    let (p, v) = (theta.len(), array("V"));
    let k = v.len() / p;
    let block: Vec<f64> = (0..k * p).map(|i| v[i % p * k + i / p]).collect();
    let columns = |operator: &dyn LinearOperator<f64>| {
        let mut y = vec![f64::NAN; k * p];
        operator.apply_block(&block, &mut y);
        (0..k * p).map(|i| y[i % k * p + i / k]).collect::<Vec<_>>()
    };
    compare("HV", &columns(&point.hessian()));
    compare("GV", &columns(&point.gauss_newton()));
}

fn dense(outputs: usize) -> LayerSpec {
    LayerSpec::dense(outputs, Activation::Identity)
}

fn activation(activation: Activation) -> LayerSpec {
    LayerSpec::Activation { activation }
}

#[test]
fn layer_norm_equals_the_reference() {
    let network = Architecture::new([6])
        .dense(8, Activation::Tanh)
        .layer_norm()
        .dense(7, Activation::Gelu)
        .layer(LayerSpec::LayerNorm { axes: 1, epsilon: 1e-5, affine: false })
        .layer(dense(4));
    check("layer_norm_mlp", &network);
}

#[test]
fn batch_norm_in_training_equals_the_reference() {
    let norm = LayerSpec::BatchNorm { epsilon: 1e-5, affine: true, statistics: None };
    let network = Architecture::new([5])
        .layers([dense(7), norm.clone(), activation(Activation::Tanh)])
        .layers([dense(6), norm, activation(Activation::Softplus), dense(3)]);
    check("batch_norm_mlp", &network);
}

#[test]
fn causal_transformer_equals_the_reference() {
    let block = || LayerSpec::transformer_block(6, 2, 8, Activation::Gelu, AttentionMask::Causal);
    let network = Architecture::new([5])
        .layer(LayerSpec::Embedding { vocabulary: 7, width: 6 })
        .layer(LayerSpec::PositionalEmbedding {})
        .layers(block())
        .layers(block())
        .layer_norm()
        .flatten()
        .layer(dense(3));
    check("causal_transformer", &network);
}

#[test]
fn cross_attention_equals_the_reference() {
    let gelu = Activation::Gelu;
    let encoder = LayerSpec::transformer_block(6, 2, 8, gelu, AttentionMask::None).to_vec();
    let decoder = LayerSpec::transformer_block(6, 3, 8, gelu, AttentionMask::Causal).to_vec();
    let network = Architecture::new([7, 6])
        .layer(LayerSpec::Parallel {
            parts: vec![
                PartSpec { input: vec![4, 6], layers: encoder },
                PartSpec { input: vec![3, 6], layers: Vec::new() },
            ],
        })
        .layer(LayerSpec::cross_attention(4, 3, 6, 2, AttentionMask::None))
        .layer(LayerSpec::on_last_tokens(4, 3, 6, decoder))
        .layer(LayerSpec::Slice { first: 24, shape: vec![3, 6] })
        .layer_norm()
        .flatten()
        .layer(dense(3));
    check("cross_attention", &network);
}

#[test]
fn vision_transformer_equals_the_reference() {
    let network = VisionTransformer {
        image: [2, 8, 8],
        patch: 4,
        width: 6,
        depth: 2,
        heads: 2,
        hidden: 12,
        activation: Activation::Gelu,
        classes: 3,
        class_token: true,
    };
    check("tiny_vit", &network.architecture());
}
