use super::*;

fn values<T: Real>(seed: usize, n: usize) -> Vec<T> {
    (0..n).map(|i| T::from_f64(((i * 7 + seed * 13) as f64 * 0.61).sin())).collect()
}

/// |x − want| ≤ 3 ε Σ|terms|: two products and a sum, each rounded at most once.
fn near<T: Real>(what: &str, x: T, want: f64, terms: f64) {
    let bound = 3.0 * T::EPSILON.to_f64() * terms;
    assert!((x.to_f64() - want).abs() <= bound, "{what}: {x} against {want}");
}

fn every_path<T: Real>() {
    for isa in Isa::available() {
        for n in [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64] {
            let (keep, gain) = (values::<T>(1, n), values::<T>(2, n));
            let (before, x) = (values::<T>(3, 3 * n), values::<T>(4, 3 * n));
            let what = format!("{isa}, {} units of {}", n, T::NAME);
            let [mut leaked, mut alone, mut carry, mut u] =
                [x.clone(), x.clone(), before.clone(), x.clone()];
            leak(isa, &keep, &gain, Some(&before), &mut leaked);
            leak(isa, &keep, &gain, None, &mut alone);
            leak_adjoint(isa, &keep, &gain, &mut carry, &mut u);
            for i in 0..x.len() {
                let [a, g, b, x] =
                    [keep[i % n], gain[i % n], before[i], x[i]].map(|value| value.to_f64());
                let (kept, gained) = (a * b, g * x);
                near(&what, leaked[i], kept + gained, kept.abs() + gained.abs());
                near(&what, alone[i], gained, gained.abs());
                near(&what, carry[i], x + kept, x.abs() + kept.abs());
                near(&what, u[i], g * (x + kept), g.abs() * (x.abs() + kept.abs()));
            }
        }
    }
}

#[test]
fn rows_leak_and_carry_back_on_every_path() {
    every_path::<f32>();
    every_path::<f64>();
}

#[test]
fn not_a_number_stays_in_its_unit() {
    for isa in Isa::available() {
        let (keep, gain) = ([0.5; 9], [0.5; 9]);
        let mut x = [1.0; 9];
        x[8] = f64::NAN;
        leak(isa, &keep, &gain, Some(&[1.0; 9]), &mut x);
        assert!(x[8].is_nan() && x[..8].iter().all(|&x| x == 1.0), "{isa}");
        let (mut carry, mut u) = ([0.0; 9], [2.0; 9]);
        carry[0] = f64::NAN;
        leak_adjoint(isa, &keep, &gain, &mut carry, &mut u);
        assert!(u[0].is_nan() && u[1..].iter().all(|&u| u == 1.0), "{isa}");
    }
}
