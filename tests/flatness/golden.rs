//! Every array of the reference files that belongs to feature space.

use hesse::flatness::{
    AdaptiveCurvature, ConvBound, Geometry, GeometryReport, LayerGeometry, LogVolume, OverLayers,
    RelativeFlatness, Stability, moment_condition,
};
use hesse::krylov::Trace;
use hesse::network::Objective;

use crate::{FILES, Reference, npz};

fn report(reference: &Reference) -> GeometryReport {
    Geometry::of_rows(&reference.network, &reference.theta, &reference.inputs)
        .unwrap()
        .weight_norms()
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

/// Compares log volumes where every singular value exceeds 1e-8 of the largest; elsewhere (few active
/// units) both sides must see a singular value at the level of rounding. Returns the latter, (sample,
/// layer).
fn check_volumes(reference: &Reference, r: &GeometryReport) -> Vec<(usize, usize)> {
    let want = reference.get("J_logvol");
    let mut deficient = Vec::new();
    for (l, layer) in r.layers.iter().enumerate() {
        let volumes = layer.jacobian.log_volumes(LogVolume::All).unwrap();
        for (i, got) in volumes.into_iter().enumerate() {
            let want = want[i * r.layers.len() + l];
            let s = layer.jacobian.singular_values_of(i);
            let name = &reference.name;
            if s[s.len() - 1] > 1e-8 * s[0] {
                assert!((got - want).abs() <= 1e-8, "{name} J_logvol {i} {l}: {got} {want}");
            } else {
                let rounding = s.len() as f64 * s[0].ln() + 1e-13_f64.ln();
                assert!(got <= rounding && want <= rounding, "{name} {i} {l}: {got} {want}");
                deficient.push((i, l));
            }
        }
    }
    deficient
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
        let deficient = check_volumes(&reference, &r);
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
        let three = LogVolume::Top(r.input.rank().min(3));
        if deficient.iter().all(|&(_, layer)| layer > 0) {
            absolute("logvol_mean", r.log_volume(LogVolume::All).unwrap());
            absolute("logvol_mean", r.log_volume(LogVolume::Pseudo).unwrap());
            absolute("logvol3_mean", r.log_volume(three).unwrap());
        } else {
            // log of rounding in the reference, of rounding or zero here.
            assert!(
                r.log_volume(LogVolume::All).unwrap() < r.log_volume(LogVolume::Pseudo).unwrap()
            );
        }
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
    let zero = Geometry::of_rows(&tanh, get("zero_theta"), get("zero_X")).unwrap();
    let r = zero.weight_norms().run().unwrap();
    close("zero_mls", r.mls());
    assert_eq!(r.input.inverse_norm(), get("zero_quad")[0]);
    let bounds = r.bounds(ConvBound::Untied).unwrap();
    let chain = bounds.mls().unwrap();
    assert_eq!(chain.values()[1..], get("zero_chain")[1..]);
    close("zero_chain", chain.lhs());
    assert_eq!(bounds.zero_input_rows(), [(0, 2)]);
    let all = [bounds.nmls(), bounds.volume(), bounds.nvr(), bounds.ma_ying(1.0)];
    assert!(all.iter().all(|c| c.as_ref().unwrap().rhs() == f64::INFINITY));
    let code = r.bounds_with_epsilon(ConvBound::Untied, 1e-4).unwrap();
    assert!(code.nmls().unwrap().rhs().is_finite());
}

#[test]
fn bounds_of_perceptrons() {
    for (name, tolerance) in FILES {
        let reference = Reference::load(name);
        let r = report(&reference);
        let bounds = r.bounds(ConvBound::Untied).unwrap();
        let check = |key: &str, got: &[f64]| reference.check(key, got, tolerance);
        check("W_spec", &by_layer(&r, |l| l.weight_norm.unwrap()));
        check("W_fro", &by_layer(&r, |l| l.weight_frobenius));
        check("lnorm_sharp", &by_layer(&r, |l| l.normalized_sharpness().unwrap()));
        check("chain", &bounds.mls().unwrap().values());
        check("quad", &[r.input.inverse_norm()]);
        let nmls = bounds.nmls().unwrap().values();
        check("nmls", &nmls[..1]);
        check("nmls_bound_weights", &nmls[1..2]);
        check("nmls_bound", &nmls[2..]);
        check("harm", &[bounds.mean_square_amplifier()]);
        let code = r.bounds_with_epsilon(ConvBound::Untied, 1e-4).unwrap();
        check("harm_eps", &[code.mean_square_amplifier()]);
        check("nmls_bound_eps", &[code.nmls().unwrap().rhs()]);
        assert!(!code.nmls().unwrap().theorem && bounds.nmls().unwrap().theorem);
        // Of each step alone: the last ones are orders of magnitude larger.
        let each = |key: &str, got: &[f64]| {
            for (got, want) in got.iter().zip(reference.get(key)) {
                let same = got == want || (got - want).abs() <= tolerance * want.abs();
                assert!(same, "{name} {key}: {got} {want}");
            }
        };
        each("vol_chain", &bounds.volume().unwrap().values());
        let rows = [1.0, 2.0, 4.0].map(|k| bounds.ma_ying(k).unwrap().values());
        each("ma_ying", &rows.concat());
        each("nvr", &bounds.nvr_by_layers().unwrap().values()[..1]);
        each("nvr_bound_layers", &bounds.nvr_by_layers().unwrap().values()[1..]);
        match bounds.nvr() {
            Ok(chain) => each("nvr_bound", &chain.values()[1..]),
            Err(error) => {
                assert!(reference.get("nvr_bound")[0].is_nan());
                assert!(error.to_string().contains("not applicable"), "{error}");
            }
        }
        check("iimls_bound", &[bounds.iimls().unwrap().rhs()]);
        let all = [
            bounds.mls(),
            bounds.nmls(),
            bounds.volume(),
            bounds.nvr_by_layers(),
            bounds.iimls(),
            bounds.ma_ying(3.0),
        ];
        assert!(all.iter().all(|chain| chain.as_ref().unwrap().holds()), "{name}");
        assert!((0..r.layers.len()).all(|l| bounds.relative_flatness(l).unwrap().holds()));
        assert!(bounds.zero_input_rows().is_empty());
    }
}

#[test]
fn sharpness_that_no_scaling_changes() {
    for (name, tolerance) in FILES {
        let reference = Reference::load(name);
        let r = report(&reference);
        let data = reference.dataset();
        let objective = Objective::new(&reference.network, &data, reference.loss()).unwrap();
        let point = objective.at(&reference.theta).unwrap();
        let hessian = point.hessian();
        let adaptive = AdaptiveCurvature::new(&hessian, &reference.theta).unwrap();
        let adaptive = Trace::exact().run(&adaptive).unwrap().value;
        reference.check("adapt_H", &[adaptive], tolerance);
        let flatness =
            |l: &LayerGeometry| RelativeFlatness::new(&hessian, &reference.theta, l).unwrap();
        let layers = if name.starts_with("digits") { &r.layers[2..] } else { &r.layers[..] };
        let exact: Vec<f64> = layers.iter().map(|l| flatness(l).exact().unwrap()).collect();
        let want = reference.get("relflat_H");
        let size = want.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let first = want.len() - exact.len();
        for (got, want) in exact.iter().zip(&want[first..]) {
            assert!((got - want).abs() <= tolerance * size, "{name} relflat_H: {got} {want}");
        }
        if name.starts_with("digits") {
            continue;
        }
        let largest: Vec<_> =
            layers.iter().map(|l| flatness(l).largest_eigenvalues().unwrap()).collect();
        assert!(largest.iter().all(|l| l.converged), "{name}");
        let values: Vec<f64> = largest.iter().map(|l| l.value).collect();
        reference.check("relflat_maxeig", &values, 1e-10);
        for (layer, exact) in layers.iter().zip(&exact) {
            let estimate = flatness(layer).hutchinson(400, 1).unwrap();
            let error = (estimate.value - exact).abs();
            assert!(error <= 5.0 * estimate.standard_error, "{name}: {estimate:?}, {exact}");
        }
        // The last layer enters linearly; where the fit is exact every layer does.
        let closed = by_layer(&r, LayerGeometry::gauss_newton_flatness);
        let last = closed.len() - 1;
        let close = |l: usize| (closed[l] - exact[l]).abs() <= 1e-10 * closed[l];
        if reference.loss_code() == 0 {
            assert!(close(last), "{name}");
        }
        if name == "mlp_interpolated" {
            assert!((0..=last).all(close));
            reference.check("H_trace", &[r.trace()], 1e-10);
        }
    }
}

#[test]
fn stability_of_an_interpolating_minimum() {
    let reference = Reference::load("mlp_interpolated");
    let data = reference.dataset();
    let objective = Objective::new(&reference.network, &data, reference.loss()).unwrap();
    let stability = Stability::check(&objective, &reference.theta, 0.1, 2).unwrap();
    assert!(stability.converged);
    reference.check("lambda_max", &[stability.sharpness], 1e-10);
    reference.check("nonuniformity", &[stability.non_uniformity], 1e-10);
    assert_eq!(stability.sharpness_condition.limit, 20.0);
    // n = 6, B = 2: (1/0.1) √(2·5/4).
    let limit = 10.0 * 2.5_f64.sqrt();
    assert!((stability.non_uniformity_condition.limit - limit).abs() < 1e-13 * limit);
    // Far below every limit the second moment shrinks or, where nothing is curved, stays.
    let slow = Stability::check(&objective, &reference.theta, 1e-4, 6).unwrap();
    assert!((slow.second_moment - 1.0).abs() < 1e-9 && slow.second_moment_condition.holds());
    assert_eq!(slow.non_uniformity_condition.limit, f64::INFINITY);
    // The moments summed over parameters are S for k = 1.
    let (j, largest) = moment_condition(&objective, &reference.theta, 0.1, 2, 1).unwrap();
    assert_eq!(largest.limit, 20.0);
    let diagonal = reference.get("G_diag");
    assert!((largest.value - diagonal[j]).abs() <= 1e-11 * diagonal[j]);
    assert!(diagonal.iter().all(|g| *g <= largest.value * (1.0 + 1e-11)));
}
