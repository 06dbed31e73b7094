//! What bad input is told.

use hesse::flatness::{
    AdaptiveMonteCarlo, ConvBound, Geometry, JacobianGeometry, LogVolume, NetworkMap, OverLayers,
    RelativeFlatness, Sensitivity, Stability, moment_condition,
};
use hesse::krylov::Identity;
use hesse::network::layers::{Flatten, Sequential};
use hesse::network::{
    Activation, Architecture, Dataset, LayerSpec, Loss, Network, Objective, Parameters, Reduction,
    Targets,
};

fn text<T>(result: hesse::Result<T>) -> String {
    match result {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn bad_input_is_named() {
    let network = Architecture::perceptron(&[2, 3], Activation::Tanh).build::<f64>().unwrap();
    let theta = Parameters::initialize(&network, 1).into_values();
    let of = |theta: &[f64], rows: &[f64]| text(Geometry::of_rows(&network, theta, rows));
    assert_eq!(of(&theta[1..], &[1.0, 2.0]), "parameters: expected 9, got 8");
    assert_eq!(of(&theta, &[]), "inputs: samples: expected at least one, got none");
    assert_eq!(of(&theta, &[1.0; 3]), "inputs: elements: expected \"a multiple of 2\", got 3");
    let nan = "inputs: expected finite numbers, got NaN at index 1";
    assert_eq!(of(&theta, &[1.0, f64::NAN]), nan);
    let infinite = "parameters: expected finite numbers, got inf at index 0";
    assert_eq!(of(&[f64::INFINITY; 9], &[1.0, 2.0]), infinite);
    let wide = faer::Mat::<f64>::zeros(1, 3);
    let wide = text(Geometry::of(&network, &theta, wide.as_ref()));
    assert_eq!(wide, "inputs: features: expected 2, got 3");

    let r = Geometry::of_rows(&network, &theta, &[1.0, 2.0]).unwrap().run().unwrap();
    assert_eq!(text(r.log_volume(LogVolume::Top(0))), "log volume: k: expected 1 to 2, got 0");
    assert_eq!(text(r.log_volume(LogVolume::Top(3))), "log volume: k: expected 1 to 2, got 3");
    let none = "bounds: not applicable: expected a pass with weight_norms(), got one without them";
    assert_eq!(text(r.bounds(ConvBound::Untied)), none);
    let negative = text(r.bounds_with_epsilon(ConvBound::Untied, -1.0));
    assert_eq!(negative, "epsilon: expected a finite number, not negative, got -1");

    let r = Geometry::of_rows(&network, &theta, &[1.0, 2.0]).unwrap().weight_norms();
    let r = r.run().unwrap();
    let bounds = r.bounds(ConvBound::Untied).unwrap();
    let joint = "joint bound of NVR: not applicable: expected inputs of every layer at least 3 wide, \
                 got 2 of layer1; the bound by layers applies";
    assert_eq!(text(bounds.nvr()), joint);
    assert!(bounds.nvr_by_layers().unwrap().holds());
    let k = "k: expected a finite number, at least 1, got 0.5";
    assert_eq!(text(bounds.ma_ying(0.5)), k);
    assert_eq!(text(bounds.volume_of_layer(1)), "layer: expected below 1, got 1");
    assert_eq!(text(bounds.relative_flatness(4)), "layer: expected below 1, got 4");

    // Indices of an embedding are checked at every door.
    let words = Architecture::new([2])
        .layer(LayerSpec::Embedding { vocabulary: 7, width: 2 })
        .flatten()
        .dense(2, Activation::Identity)
        .build::<f64>()
        .unwrap();
    let tau = Parameters::initialize(&words, 1).into_values();
    assert!(Geometry::of_rows(&words, &tau, &[1.0, 6.0]).is_ok());
    let index = text(Geometry::of_rows(&words, &tau, &[1.0, 7.0]));
    let want = "inputs: sample 0, token 1: expected a whole number from 0 to 6, got 7";
    assert_eq!(index, want);
    let map = NetworkMap::new(&words, &tau).unwrap();
    assert_eq!(text(Sensitivity::of(&map, &[1.0, 7.0], false)), index);
    // Nothing panics on what holds nothing.
    let nothing = JacobianGeometry::default();
    assert!(nothing.log_volumes(LogVolume::All).unwrap().is_empty());
    assert!(nothing.local_dimensions().unwrap().is_empty());
    assert!(nothing.singular_values_of(usize::MAX).is_empty());
    let targets = Targets::Rows { values: vec![f64::NAN], width: 1 };
    let target = text(Dataset::from_rows(vec![1.0], 1, targets));
    assert_eq!(target, "targets: expected finite numbers, got NaN at index 0");

    let identity = Identity::new(8).unwrap();
    let short = text(RelativeFlatness::new(&identity, &theta, &r.layers[0]));
    assert_eq!(short, "parameters: expected 8, got 9");
    let identity = Identity::new(9).unwrap();
    let flatness = RelativeFlatness::new(&identity, &theta, &r.layers[0]).unwrap();
    assert_eq!(text(flatness.hutchinson(0, 1)), "probes: expected at least 1, got 0");
    // By hand: κ of the identity is |W|² d.
    let want = 2.0 * theta[..6].iter().map(|w| w * w).sum::<f64>();
    assert!((flatness.exact().unwrap() - want).abs() < 1e-13);

    let loss = |_: &[f64]| Ok(f64::INFINITY);
    let run = |m: AdaptiveMonteCarlo| text(m.run(&theta, loss));
    assert_eq!(run(AdaptiveMonteCarlo::new(0)), "perturbations: expected at least 1, got 0");
    let rho = "rho: expected a positive finite number, got 0";
    assert_eq!(run(AdaptiveMonteCarlo::new(1).rho(0.0)), rho);
    let infinite = "loss: expected finite numbers, got inf at index 0";
    assert_eq!(run(AdaptiveMonteCarlo::new(1)), infinite);

    let map = NetworkMap::new(&network, &theta).unwrap();
    let rows = text(Sensitivity::of(&map, &[1.0; 3], false));
    assert_eq!(rows, "inputs: elements: expected \"a multiple of 2\", got 3");
}

#[test]
fn networks_without_linear_layers_have_no_sums_over_them() {
    let flatten: Vec<Box<dyn hesse::network::layer::Layer<f64>>> =
        vec![Box::new(Flatten::new(&[2, 2]))];
    let network = Network::new(Sequential::new(flatten).unwrap());
    let r = Geometry::of_rows(&network, &[], &[1.0; 4]).unwrap().weight_norms().run().unwrap();
    assert_eq!((r.mls(), r.trace()), (1.0, 0.0));
    let empty = "layers: linear ones: expected at least one, got none";
    assert_eq!(text(r.nmls(OverLayers::Sum)), empty);
    assert_eq!(text(r.log_nvr()), empty);
    assert_eq!(text(r.bounds(ConvBound::Untied)), empty);
}

#[test]
fn bounds_of_the_input_need_a_first_layer_that_reads_it() {
    use hesse::network::LayerSpec;
    let network = Architecture::new([3])
        .layer(LayerSpec::Activation { activation: Activation::Tanh })
        .dense(2, Activation::Identity)
        .build::<f64>()
        .unwrap();
    let theta = Parameters::initialize(&network, 1).into_values();
    let r = Geometry::of_rows(&network, &theta, &[1.0, 2.0, 3.0]).unwrap().weight_norms();
    let r = r.run().unwrap();
    assert!(!r.reads_input);
    let bounds = r.bounds(ConvBound::Untied).unwrap();
    let want = "bounds of MLS: not applicable: expected a first linear layer that reads the inputs, \
                and it alone, got layer2, whose Jacobian is another one";
    assert_eq!(text(bounds.mls()), want);
    assert!(bounds.nmls().unwrap().holds());
}

#[test]
fn stability_names_its_arguments() {
    let network = Architecture::perceptron(&[2, 1], Activation::Tanh).build::<f64>().unwrap();
    let theta = [0.5, 0.1, 0.2];
    let targets = Targets::Rows { values: vec![1.0, 2.0], width: 1 };
    let data = Dataset::from_rows(vec![1.0, 2.0, 3.0, 4.0], 2, targets).unwrap();
    let objective = Objective::new(&network, &data, Loss::HalfSquaredError).unwrap();
    let check = |rate, batch| text(Stability::check(&objective, &theta, rate, batch));
    let rate = "learning rate: expected a positive finite number, got -1";
    assert_eq!(check(-1.0, 1), rate);
    assert_eq!(check(0.1, 0), "batch: expected 1 to 2, got 0");
    assert_eq!(check(0.1, 3), "batch: expected 1 to 2, got 3");
    let moment = |rate, batch, k| text(moment_condition(&objective, &theta, rate, batch, k));
    assert_eq!(moment(0.0, 1, 1), "learning rate: expected a positive finite number, got 0");
    assert_eq!(moment(0.1, 5, 1), "batch: expected 1 to 2, got 5");
    assert_eq!(moment(0.1, 1, 0), "k: expected 1 to 1000, got 0");
    let short = text(Stability::check(&objective, &theta[..2], 0.1, 1));
    assert_eq!(short, "parameters: expected 3, got 2");
    let sum = objective.reduction(Reduction::Sum);
    let want = "stability of stochastic gradient descent: not applicable: expected the mean over \
                equally weighted samples, got weights or a sum";
    assert_eq!(text(Stability::check(&sum, &theta, 0.1, 1)), want);
}
