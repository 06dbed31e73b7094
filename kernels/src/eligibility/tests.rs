use super::*;

fn values<T: Real>(seed: usize, n: usize) -> Vec<T> {
    (0..n).map(|i| T::from_f64(((i * 7 + seed * 13) as f64 * 0.61).sin())).collect()
}

/// The equations in `f64`, one synapse after the other.
struct Plain {
    traces: Vec<f64>,
    filtered: Vec<f64>,
    sums: Vec<f64>,
}

const KAPPA: f64 = 0.75;

fn every_path<T: Real>() {
    // All numbers are below 1: |ε| ≤ 2 from two products and a sum, an error of 4u; |ē| ≤ 2.75, of
    // 9.5u; and twenty terms of G, whose products and groups of at most 16 add 16u of each.
    let [of_traces, of_filtered, of_sums] =
        [4.0, 9.5, 20.0 * (16.0 * 2.75 + 9.5)].map(|n| n * 0.5 * T::EPSILON.to_f64());
    let wide = |x: &[T]| x.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
    let near = |what: &str, got: &[f64], want: &[f64], bound: f64| {
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let error = (got - want).abs();
            assert!(error <= bound, "{what}, {i}: {got} against {want}");
        }
    };
    let (units, samples) = (3, 20);
    for isa in Isa::available() {
        for width in [1, 2, 3, 7, 8, 9, 16, 31, 32, 33, 63, 64, 65, 72, 80, 96, 112, 150] {
            let rows = units * samples;
            let keep = values::<T>(1, units);
            let [gains, factors, filter_gains] = [2, 3, 4].map(|seed| values::<T>(seed, rows));
            let inputs = values::<T>(5, samples * width);
            let [traces, filtered] = [6, 7].map(|seed| values::<T>(seed, rows * width));
            let sums = values::<f64>(8, units * width);
            for which in 0..8 {
                let [gain, filter, learn] = [1, 2, 4].map(|bit| which & bit != 0);
                let mut want =
                    Plain { traces: wide(&traces), filtered: wide(&filtered), sums: sums.clone() };
                for row in 0..rows {
                    let (p, b) = (row / samples, row % samples);
                    for q in 0..width {
                        let i = row * width + q;
                        let z = inputs[b * width + q].to_f64();
                        let z = if gain { gains[row].to_f64() * z } else { z };
                        let e = keep[p].to_f64() * want.traces[i] + z;
                        want.traces[i] = e;
                        if filter {
                            let gained = filter_gains[row].to_f64() * e;
                            want.filtered[i] = KAPPA * want.filtered[i] + gained;
                        }
                        let e = if filter { want.filtered[i] } else { e };
                        if learn {
                            want.sums[p * width + q] += factors[row].to_f64() * e;
                        }
                    }
                }
                let (mut e, mut f, mut g) = (traces.clone(), filtered.clone(), sums.clone());
                let keep_filter = T::from_f64(KAPPA);
                let gains_of_filter = &filter_gains;
                update_traces(
                    isa,
                    samples,
                    &keep,
                    gain.then_some(&gains),
                    &inputs,
                    &mut e,
                    filter.then_some(Filter {
                        keep: keep_filter,
                        gains: gains_of_filter,
                        traces: &mut f,
                    }),
                    learn.then_some(Learning { factors: &factors, sums: &mut g }),
                );
                let what = format!("{isa}, {}, width {width}, {gain}, {filter}, {learn}", T::NAME);
                near(&what, &wide(&e), &want.traces, of_traces);
                near(&what, &wide(&f), &want.filtered, of_filtered);
                near(&what, &g, &want.sums, of_sums);
            }
        }
    }
}

#[test]
fn traces_and_their_gradient_on_every_path() {
    every_path::<f32>();
    every_path::<f64>();
}

#[test]
fn factors_of_one_and_zero_leave_traces_as_they_were() {
    for isa in Isa::available() {
        let traces = values::<f64>(1, 2 * 37);
        let (mut same, mut sums) = (traces.clone(), vec![0.0; 37]);
        let learning = Learning { factors: &[1.0, 0.5], sums: &mut sums };
        let inputs = values(2, 2 * 37);
        update_traces(isa, 2, &[1.0], Some(&[0.0; 2]), &inputs, &mut same, None, Some(learning));
        assert_eq!(same, traces, "{isa}");
        for q in 0..37 {
            let want = traces[q] + 0.5 * traces[37 + q];
            assert!((sums[q] - want).abs() <= 2.0 * f64::EPSILON, "{isa}");
        }
    }
}

#[test]
#[should_panic(expected = "traces")]
fn lengths_that_do_not_agree_are_refused() {
    let gains = Some(&[0.0; 2][..]);
    update_traces(Isa::SCALAR, 2, &[1.0], gains, &[1.0; 4], &mut [0.0; 3], None, None);
}

/// A small term that `f32` would lose beside a large sum: 2²⁴ + 1 + 1 + … in `f32` stays 2²⁴.
#[test]
fn gradients_are_summed_in_double_precision() {
    for isa in Isa::available() {
        let mut traces = vec![1.0_f32; 16 * 37];
        let z = vec![0.0_f32; 16 * 37];
        let mut sums = vec![f64::from(1 << 24); 37];
        for _ in 0..3 {
            let learning = Learning { factors: &[1.0; 16], sums: &mut sums };
            update_traces(isa, 16, &[1.0], None, &z, &mut traces, None, Some(learning));
        }
        assert!(sums.iter().all(|&sum| sum == f64::from((1 << 24) + 48)), "{isa}: {sums:?}");
    }
}
