//! Every array of the reference files that belongs to feature space.

use hesse::flatness::{Geometry, GeometryReport, LayerGeometry, LogVolume, OverLayers};

use crate::{FILES, Reference, npz};

fn report(reference: &Reference) -> GeometryReport {
    Geometry::of_rows(&reference.network, &reference.theta, &reference.inputs)
        .unwrap()
        .run()
        .unwrap()
}

/// An array of samples × layers, from a function of the layer.
fn by_sample(report: &GeometryReport, f: impl Fn(&LayerGeometry) -> Vec<f64>) -> Vec<f64> {
    let columns: Vec<Vec<f64>> = report.layers.iter().map(f).collect();
    (0..report.samples).flat_map(|i| columns.iter().map(move |c| c[i])).collect()
}

fn by_layer(report: &GeometryReport, f: impl Fn(&LayerGeometry) -> f64) -> Vec<f64> {
    report.layers.iter().map(f).collect()
}

#[test]
fn measures_of_perceptrons() {
    for (name, tolerance) in FILES {
        let reference = Reference::load(name);
        let r = report(&reference);
        let check = |key: &str, got: &[f64]| reference.check(key, got, tolerance);
        assert!(r.reads_input);

        check("in_norm", &by_sample(&r, |l| l.jacobian.norms.clone()));
        check("J_smax", &by_sample(&r, |l| l.jacobian.spectral_norms()));
        check("J_fro", &by_sample(&r, |l| l.jacobian.frobenius.clone()));
        check("J_sv", &r.input.singular_values);
        let volumes = by_sample(&r, |l| l.jacobian.log_volumes(LogVolume::All).unwrap());
        let worst = volumes.iter().zip(reference.get("J_logvol")).map(|(a, b)| (a - b).abs());
        assert!(worst.fold(0.0, f64::max) <= 1e-8, "{name} J_logvol");
        check("local_dim", &r.input.local_dimensions().unwrap());
        check("local_dim_mean", &[r.local_dimension().unwrap()]);
        check("gradW_fro2", &by_sample(&r, |l| l.weight_squares.clone()));
        check("gradb_fro2", &by_sample(&r, |l| l.bias_squares.clone()));
        check("S", &[r.trace()]);
        check("S", &[r.sqrt_trace().powi(2)]);
        check("S_W", &by_layer(&r, LayerGeometry::weight_trace));
        check("S_b", &by_layer(&r, LayerGeometry::bias_trace));
        check("mls", &[r.mls()]);
        check("nmls", &[r.nmls(OverLayers::Sum).unwrap()]);
        let mean = r.nmls(OverLayers::Mean).unwrap() * r.layers.len() as f64;
        check("nmls", &[mean]);
        let absolute = |key: &str, got: f64| {
            let want = reference.get(key)[0];
            assert!((got - want).abs() <= 1e-8, "{name} {key}: {got} {want}");
        };
        absolute("logvol_mean", r.log_volume(LogVolume::All).unwrap());
        absolute("logvol_mean", r.log_volume(LogVolume::Pseudo).unwrap());
        let three = r.input.rank().min(3);
        absolute("logvol3_mean", r.log_volume(LogVolume::Top(three)).unwrap());
        check("J_fro2_mean", &[r.mean_squared_frobenius()]);
        check("vol_rank", &by_layer(&r, |l| l.jacobian.rank() as f64));
        reference.check("nvr", &[r.log_nvr().unwrap().exp()], 1e-8);
        check("norm_mls", &[r.normalized_mls()]);
        check("iimls_elem", &[r.iimls_elementwise()]);
        check("iimls_dir", &[r.iimls_directional()]);
        check("adapt_G", &[r.adaptive_sharpness().unwrap()]);
        check("adapt_G_W1", &r.adaptive_sharpness_of_weights().unwrap()[..1]);
        check("relflat_G", &by_layer(&r, LayerGeometry::gauss_newton_flatness));
        if reference.loss_code() == 0 && name.starts_with("mlp") {
            check("G_trace", &[r.trace()]);
        }
    }
}

#[test]
fn measures_in_single_precision() {
    // Rounding of inputs, parameters and passes to 24 bits.
    for (name, _) in FILES {
        let reference = Reference::load(name);
        let single = |x: &[f64]| -> Vec<f32> { x.iter().map(|&x| x as f32).collect() };
        let (theta, inputs) = (single(&reference.theta), single(&reference.inputs));
        let sizes: Vec<usize> = reference.get("sizes").iter().map(|&s| s as usize).collect();
        let activation = crate::activation(reference.get("act_code")[0] as usize);
        let network =
            hesse::network::Architecture::perceptron(&sizes, activation).build::<f32>().unwrap();
        let r = Geometry::of_rows(&network, &theta, &inputs).unwrap().run().unwrap();
        reference.check("S", &[r.trace()], 2e-5);
        reference.check("J_smax", &by_sample(&r, |l| l.jacobian.spectral_norms()), 2e-5);
        reference.check("gradW_fro2", &by_sample(&r, |l| l.weight_squares.clone()), 2e-5);
        reference.check("adapt_G", &[r.adaptive_sharpness().unwrap()], 2e-5);
        reference.check("local_dim", &r.input.local_dimensions().unwrap(), 2e-5);
    }
}

#[test]
fn linear_dead_and_zero_networks() {
    use hesse::network::{Activation, Architecture};
    let arrays = npz::golden("flatness/edge_cases.npz");
    let get = |key: &str| arrays[key].1.as_slice();
    let close = |key: &str, got: f64| {
        let want = get(key)[0];
        assert!((got - want).abs() <= 1e-11 * want.abs(), "{key}: {got} {want}");
    };

    let linear = Architecture::perceptron(&[3, 2], Activation::Identity).build::<f64>().unwrap();
    let theta = [get("lin_W"), get("lin_b")].concat();
    let r = Geometry::of_rows(&linear, &theta, get("lin_X")).unwrap().run().unwrap();
    close("lin_trace", r.trace());
    close("lin_mls", r.mls());
    close("lin_logvol", r.log_volume(LogVolume::All).unwrap());
    close("lin_localdim", r.local_dimension().unwrap());

    let relu = Architecture::perceptron(&[3, 4, 2], Activation::Relu).build::<f64>().unwrap();
    let r = Geometry::of_rows(&relu, get("dead_theta"), get("lin_X")).unwrap().run().unwrap();
    assert_eq!(r.mls(), get("dead_mls")[0]);
    assert_eq!(r.input.log_volumes(LogVolume::All).unwrap(), get("dead_logvol"));
    assert_eq!(r.input.log_volumes(LogVolume::Pseudo).unwrap(), get("dead_logvol"));
    assert!(r.input.local_dimensions().unwrap().iter().all(|d| d.is_nan()));
    close("dead_S", r.trace());

    let tanh = Architecture::perceptron(&[3, 4, 2], Activation::Tanh).build::<f64>().unwrap();
    let r = Geometry::of_rows(&tanh, get("zero_theta"), get("zero_X")).unwrap().run().unwrap();
    close("zero_mls", r.mls());
}
