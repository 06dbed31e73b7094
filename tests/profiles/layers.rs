//! Profiles of networks against the reference and by hand.

use faer::Mat;
use hesse::dimension::{LayerFlag, LayerProfile};
use hesse::network::{Activation, Architecture, Dataset, Loss, Objective, Parameters, Targets};
use hesse::random::Stream;

use crate::npz::golden;
use crate::{assert_close, matrix};

/// Six layers before and after training, to 10⁻⁸.
#[test]
fn profiles_of_the_reference() {
    let want = golden("dimension/layers.npz");
    for stage in ["init", "trained"] {
        // The inputs serve both.
        let name = |l: usize| if l == 0 { "trained_0".to_owned() } else { format!("{stage}_{l}") };
        let layers: Vec<(String, Mat<f64>)> =
            (0..6).map(|l| (name(l), matrix(&want, &name(l)))).collect();
        let views: Vec<_> = layers.iter().map(|(name, x)| (name.as_str(), x.as_ref())).collect();
        let profile = LayerProfile::new().run(&views).unwrap();
        let singles: Vec<(String, Mat<f32>)> = layers
            .iter()
            .map(|(name, x)| {
                (name.clone(), Mat::from_fn(x.nrows(), x.ncols(), |i, j| x[(i, j)] as f32))
            })
            .collect();
        let views: Vec<_> = singles.iter().map(|(name, x)| (name.as_str(), x.as_ref())).collect();
        let in_single = LayerProfile::new().run(&views).unwrap();
        let (shape, values) = &want[&format!("profile_{stage}")];
        assert_eq!(*shape, [6, 6]);
        for (l, layer) in profile.iter().enumerate() {
            let row = &values[6 * l..6 * (l + 1)];
            let close = |got: f64, column: usize| {
                assert_close(got, row[column], 1e-8, &format!("{stage} {l} {column}"));
            };
            close(layer.likelihood.as_ref().unwrap().value, 0);
            close(layer.two_nn.as_ref().unwrap().value, 1);
            let fit = layer.geodesic.as_ref().unwrap().fit.as_ref();
            match fit {
                Ok(fit) => close(fit.dimension, 2),
                Err(_) => assert!(row[2].is_nan(), "{stage} {l}"),
            }
            close(layer.participation.as_ref().unwrap().value, 3);
            close(layer.corrected.as_ref().unwrap().value, 4);
            assert_eq!(layer.distinct as f64, row[5]);
            assert_eq!((layer.samples, &layer.name), (200, &name(l)));
            let gain = layer.gain().unwrap();
            assert_close(gain, row[3] / row[0], 1e-8, "gain");
            let error = layer.participation.as_ref().unwrap().standard_error.unwrap();
            assert!(error > 0.01 * row[3] && error < 0.2 * row[3], "{stage} {l}: {error}");
            // The stored numbers are f32: the storage of the samples changes nothing.
            let other = &in_single[l];
            assert_eq!(other.likelihood.as_ref().unwrap(), layer.likelihood.as_ref().unwrap());
            let (a, b) = (&other.participation, &layer.participation);
            assert_eq!(a.as_ref().unwrap(), b.as_ref().unwrap());
            let rises = l > 0 && stage == "init" && row[0] > 1.1 * values[6 * (l - 1)];
            assert!(!rises || layer.flags.contains(&LayerFlag::LocalRises));
        }
    }
}

/// Activations are those of the network cut after each layer; their last are its outputs.
#[test]
fn networks_give_their_layers() {
    let x: Vec<f64> = {
        let mut x = vec![0.0; 300 * 5];
        Stream::new(1, "inputs").normals(0, &mut x);
        x
    };
    let widths = [5, 7, 6, 3];
    let network = Architecture::perceptron(&widths, Activation::Relu).build::<f64>().unwrap();
    let parameters = Parameters::initialize(&network, 3);
    let all = network.activations(parameters.values(), &x).unwrap();
    let names: Vec<_> = all.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["input", "layer1", "layer2", "layer3"]);
    assert_eq!(all[0].values, x);
    // By hand: the first hidden unit of the first sample.
    let weight = parameters.get("layer1.weight").unwrap().values.to_vec();
    let bias = parameters.get("layer1.bias").unwrap().values.to_vec();
    let z: f64 = (0..5).map(|j| weight[j] * x[j]).sum::<f64>() + bias[0];
    assert!((all[1].rows()[(0, 0)] - z.max(0.0)).abs() < 1e-14);
    let targets = Targets::Classes(vec![0; 300]);
    let data = Dataset::from_rows(x.clone(), 5, targets).unwrap();
    let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    let outputs = objective.outputs(parameters.values()).unwrap();
    for (a, b) in all[3].values.iter().zip(&outputs) {
        assert!((a - b).abs() <= 1e-13 * (1.0 + b.abs()));
    }
    let profile = LayerProfile::new();
    let of_network = profile.of_network(&network, parameters.values(), &x).unwrap();
    let views: Vec<_> = all.iter().map(|a| (a.name.as_str(), a.rows())).collect();
    let of_arrays = profile.run(&views).unwrap();
    for (a, b) in of_network.iter().zip(&of_arrays) {
        assert_eq!(a.likelihood.as_ref().unwrap(), b.likelihood.as_ref().unwrap());
    }
    let text =
        |inputs: &[f64]| network.activations(parameters.values(), inputs).unwrap_err().to_string();
    assert_eq!(text(&[]), "samples: expected at least one, got none");
    assert_eq!(text(&[1.0; 7]), "inputs: expected \"a multiple of 5\", got 7");
    assert_eq!(text(&[f64::NAN; 5]), "inputs: expected finite numbers, got NaN at index 0");
}

/// Two classes on lines in a plane: each has one dimension, together they have two.
#[test]
fn classes_alone_have_fewer_dimensions() {
    let mut z = vec![0.0; 200];
    Stream::new(5, "classes").normals(0, &mut z);
    let labels: Vec<usize> = (0..200).map(|i| 3 * (i % 2)).collect();
    let cross = Mat::from_fn(200, 2, |i, j| if j == i % 2 { z[i] } else { 0.0 });
    let profile = LayerProfile::new();
    let layers = [("cross", cross.as_ref())];
    let together = profile.run(&layers).unwrap();
    let alone = profile.within_classes(&layers, &labels).unwrap();
    assert!(together[0].participation.as_ref().unwrap().value > 1.9);
    let participation = alone[0].participation.unwrap();
    assert!((participation.value - 1.0).abs() < 1e-12 && participation.classes == 2);
    assert!(participation.standard_error.unwrap() < 1e-12);
    let even: Vec<usize> = (0..200).step_by(2).collect();
    let half = Mat::from_fn(100, 2, |i, j| cross[(even[i], j)]);
    let odd = Mat::from_fn(100, 2, |i, j| cross[(even[i] + 1, j)]);
    let local = |x: &Mat<f64>| {
        profile.run(&[("", x.as_ref())]).unwrap()[0].likelihood.as_ref().unwrap().value
    };
    let want = 0.5 * (local(&half) + local(&odd));
    assert_close(alone[0].likelihood.unwrap().value, want, 1e-14, "mean over classes");
    // A class of one point has no dimension, and does not spoil the others.
    let mut lone = labels.clone();
    lone[0] = 9;
    let few = profile.within_classes(&layers, &lone).unwrap();
    assert_eq!((few[0].classes, few[0].likelihood.unwrap().classes), (3, 2));
    let text = profile.within_classes(&layers, &labels[1..]).unwrap_err().to_string();
    assert_eq!(text, "labels: expected 200, got 199");
}

#[test]
fn layers_without_an_answer_do_not_hide_the_others() {
    let mut z = vec![0.0; 3 * 60];
    Stream::new(2, "layers").normals(0, &mut z);
    let cloud = Mat::from_fn(60, 3, |i, j| z[3 * i + j]);
    let dead = Mat::<f64>::zeros(60, 4);
    let copies = Mat::from_fn(60, 3, |i, j| z[3 * (i / 2) + j]);
    let few = Mat::from_fn(60, 1, |i, _| (i % 3) as f64);
    let layers = [
        ("cloud", cloud.as_ref()),
        ("dead", dead.as_ref()),
        ("copies", copies.as_ref()),
        ("few", few.as_ref()),
    ];
    let profile = LayerProfile::new().run(&layers).unwrap();
    assert!(profile[0].likelihood.is_ok() && profile[0].participation.is_ok());
    assert!(profile[0].flags.iter().all(|flag| *flag != LayerFlag::Copies));
    let dead = &profile[1];
    assert_eq!(dead.distinct, 1);
    let text = dead.likelihood.as_ref().unwrap_err().to_string();
    assert_eq!(text, "samples of layer dead: expected two different ones or more, got one");
    assert!(dead.participation.is_err() && dead.corrected.is_err() && dead.gain().is_none());
    assert!(profile[2].flags.contains(&LayerFlag::Copies) && profile[2].distinct == 30);
    let text = profile[3].likelihood.as_ref().unwrap_err().to_string();
    assert_eq!(text, "neighbours of the table: expected 20 or more, got 2");
    assert!((profile[3].participation.as_ref().unwrap().value - 1.0).abs() < 1e-12);

    let text = |layers: &[(&str, faer::MatRef<'_, f64>)]| {
        LayerProfile::new().run(layers).unwrap_err().to_string()
    };
    assert_eq!(text(&[]), "layers: expected at least one, got none");
    let shorter = cloud.subrows(0, 59);
    let error = text(&[("a", cloud.as_ref()), ("b", shorter)]);
    assert_eq!(error, "samples of layer b: expected 60, got 59");
    let holed = Mat::from_fn(60, 2, |i, _| if i == 7 { f64::NAN } else { i as f64 });
    assert!(text(&[("a", holed.as_ref())]).contains("expected finite numbers, got NaN"));
}
