//! Eigenvalues, traces and densities of a trained network's Hessian against its full spectrum.

use hesse::krylov::{Lanczos, Probes, SpectralDensity, Status, Trace};
use hesse::network::Objective;

use crate::Reference;

/// Runs `f` with the Hessian of the reference network on digits and its eigenvalues, ascending.
fn with_digits(f: impl FnOnce(&hesse::network::Hessian<'_, '_, '_, f64>, &[f64])) {
    let reference = Reference::load("digits_tanh_mse");
    let data = reference.dataset();
    let objective = Objective::new(&reference.network, &data, reference.loss()).unwrap();
    let point = objective.at(&reference.theta).unwrap();
    let mut spectrum = reference.get("H_eig").to_vec();
    spectrum.sort_unstable_by(f64::total_cmp);
    f(&point.hessian(), &spectrum);
}

#[test]
fn the_ten_largest_eigenvalues_take_at_most_sixty_products() {
    with_digits(|hessian, spectrum| {
        let lanczos = Lanczos::new(hessian).largest(10).block(1).tolerance(1e-8).verify(false);
        let top = lanczos.run().unwrap();
        assert_eq!(top.status, Status::Converged);
        assert!(top.products <= 60, "{} products", top.products);
        for (got, want) in top.values.iter().zip(spectrum.iter().rev()) {
            assert!((got - want).abs() <= 1e-8 * spectrum[spectrum.len() - 1], "{got} {want}");
        }
    });
}

/// Root mean square errors near 8.9, 3.6 and 2.9 are known from another implementation.
#[test]
fn low_rank_first_halves_the_error_of_the_trace() {
    with_digits(|hessian, spectrum| {
        let trace: f64 = spectrum.iter().sum();
        let error = |method: fn(usize) -> Trace<'static>| {
            let square = |seed| {
                let value = method(60).seed(seed).run(hessian).unwrap().value;
                (value - trace).powi(2)
            };
            ((0..20).map(square).sum::<f64>() / 20.0).sqrt()
        };
        let plain = error(Trace::hutchinson);
        for method in [Trace::hutchpp, Trace::xtrace] {
            let better = error(method);
            assert!(2.0 * better <= plain, "{better} against {plain}");
        }
    });
}

#[test]
fn the_density_is_within_one_percent_away_from_zero() {
    with_digits(|hessian, spectrum| {
        let density = SpectralDensity::new().steps(30).samples(20).probes(Probes::Sphere).seed(1);
        let density = density.run(hessian).unwrap();
        let (low, high) = (spectrum[0] - 0.5, spectrum[spectrum.len() - 1] + 0.5);
        for i in 0..=2000 {
            let x = low + (high - low) * f64::from(i) / 2000.0;
            if x.abs() >= 0.02 {
                let below = spectrum.partition_point(|l| *l <= x) as f64 / spectrum.len() as f64;
                let error = (density.cumulative_at(x).value - below).abs();
                assert!(error <= 0.01, "{error} at {x}");
            }
        }
    });
}
