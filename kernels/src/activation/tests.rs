use super::*;
use crate::elementary::{Checked, random_bits};
use crate::oracle_functions as oracle;

fn uniform(i: u64, low: f64, high: f64) -> f64 {
    low + (high - low) * ((random_bits(i) >> 11) as f64 * f64::EPSILON * 0.5)
}

const CASES: [Activation; 12] = {
    let all = Activation::ALL;
    [
        all[0],
        all[1],
        all[2],
        all[3],
        all[4],
        all[5],
        all[6],
        all[7],
        all[8],
        all[9],
        Activation::LeakyRelu { slope: -0.25 },
        Activation::Elu { alpha: 1.75 },
    ]
};

/// φ, φ' and φ'' of all `z`.
fn evaluate<T: Real>(isa: Isa, activation: Activation, z: &[T]) -> [Vec<T>; 3] {
    let (mut a, mut d1, mut d2) = (z.to_vec(), vec![T::NAN; z.len()], vec![T::NAN; z.len()]);
    bias_activation_derivatives(isa, activation, None, &mut a, &mut d1, Some(&mut d2));
    [a, d1, d2]
}

fn points<T: Real>(count: u64) -> Vec<T> {
    let mut z: Vec<T> = vec![T::ZERO, -T::ZERO];
    for i in 0..count {
        z.push(T::from_f64(uniform(i, -40.0, 40.0)));
        z.push(T::from_f64(uniform(i + count, -3.0, 3.0)));
        let size = libm::exp2(uniform(i + 2 * count, -40.0, 9.5));
        z.push(T::from_f64(if i % 2 == 0 { size } else { -size }));
    }
    z
}

/// Errors of φ relative in both tails; of φ' and φ'' relative to the largest of them and of what
/// they are made of, since they pass through zero.
#[test]
fn values_and_derivatives_agree_with_double_double() {
    fn check<T: Checked>(isa: Isa, activation: Activation) {
        let z = points::<T>(1_000);
        let got = evaluate(isa, activation, &z);
        let eps = T::EPSILON.to_f64();
        for i in 0..z.len() {
            let x = z[i].to_f64();
            let want = oracle::activation(activation, x);
            let slope_error = |k: usize| (got[k][i].to_f64() - want[k].hi).abs();
            let ulps = want[0].ulps(got[0][i].to_f64(), T::DIGITS, T::TINY, T::MAX.to_f64());
            // GELU and SiLU multiply by z what may be subnormal: there the error is |z| times more.
            let tiny = T::TINY * (2.0 + x.abs());
            // The tanh form of GELU has a rounded argument w, and e^w is |w| times as sensitive.
            let sensitivity = if activation == Activation::GeluTanh {
                2.0 * (x.abs() * (1.6 + 0.0714 * x * x)).min(800.0)
            } else {
                0.0
            };
            assert!(
                slope_error(0) <= (8.0 + sensitivity) * eps * want[0].hi.abs() + tiny,
                "{activation} {} {isa} at {x:e}: {:e}, not {:?}, {ulps} ulp",
                T::NAME,
                got[0][i],
                want[0]
            );
            for k in [1, 2] {
                assert!(
                    slope_error(k) <= 8.0 * eps,
                    "{activation} {} {isa} derivative {k} at {x:e}: {:e}, not {:?}",
                    T::NAME,
                    got[k][i],
                    want[k]
                );
            }
        }
    }
    for isa in Isa::available() {
        for activation in CASES {
            check::<f32>(isa, activation);
            check::<f64>(isa, activation);
        }
    }
}

/// Where 1 − tanh² has no digits left, sech² has all of them; likewise in the tails of the others.
#[test]
fn slopes_keep_their_relative_accuracy_in_the_tails() {
    for isa in Isa::available() {
        for activation in [
            Activation::Tanh,
            Activation::Sigmoid,
            Activation::Softplus,
            Activation::Gelu,
            Activation::Silu,
        ] {
            let z: Vec<f64> = (0..400).map(|i| -3.0 - f64::from(i) * 0.08).collect();
            let [_, d1, d2] = evaluate(isa, activation, &z);
            for i in 0..z.len() {
                let want = oracle::activation(activation, z[i]);
                for (k, got) in [(1, d1[i]), (2, d2[i])] {
                    let error = (got / want[k].hi - 1.0).abs();
                    // All zeros of these are right of −2.5, so that nothing cancels badly.
                    let bound = 16.0 * f64::EPSILON;
                    assert!(error <= bound, "{activation} {isa} {k} at {}: {error:e}", z[i]);
                }
            }
        }
    }
}

type Golden = ([u64; 83], [[[u64; 83]; 3]; 6]);

/// z, then φ, φ', φ'' of six activations as JAX 0.10.2 computes them, as bits.
const GOLDEN: Golden = include!("golden.in");

#[test]
fn agrees_with_the_golden_table() {
    let kinds = [
        Activation::Identity,
        Activation::Tanh,
        Activation::Gelu,
        Activation::Relu,
        Activation::Softplus,
        Activation::GeluTanh,
    ];
    let z = GOLDEN.0.map(f64::from_bits);
    for isa in Isa::available() {
        for (activation, want) in kinds.into_iter().zip(GOLDEN.1) {
            let got = evaluate(isa, activation, &z);
            for order in 0..3 {
                for i in 0..z.len() {
                    let error = (got[order][i] - f64::from_bits(want[order][i])).abs();
                    // The table takes 1 + tanh y where that cancels: against 40 digits its own
                    // derivatives of the approximate GELU are off by 7.8e-15 and 8.3e-14.
                    let bound = match (activation, order) {
                        (Activation::GeluTanh, 1) => 1e-14,
                        (Activation::GeluTanh, 2) => 1e-13,
                        _ => 5e-15,
                    };
                    assert!(error <= bound, "{activation} {isa} {order} at {}: {error:e}", z[i]);
                }
            }
        }
    }
}

#[test]
fn limits_zeros_and_nan() {
    let inf = f64::INFINITY;
    for isa in Isa::available() {
        for activation in CASES {
            let z = [inf, -inf, 1e300, -1e300, f64::NAN, -0.0, 0.0];
            let [a, d1, d2] = evaluate(isa, activation, &z);
            let single = evaluate(isa, activation, &z.map(|z| z as f32));
            for i in 0..2 {
                assert!(!a[i].is_nan() && !d1[i].is_nan(), "{activation} {isa}: {a:?} {d1:?}");
                assert_eq!(d2[i], 0.0, "{activation} {isa}");
            }
            for k in 0..7 {
                assert_eq!(a[k].is_nan(), z[k].is_nan(), "{activation} {isa} at {}", z[k]);
                assert_eq!(single[0][k].is_nan(), z[k].is_nan(), "{activation} {isa}");
            }
            assert!(a[4].is_nan(), "{activation} {isa}");
            assert!(
                activation == Activation::Identity || d1[4].is_nan(),
                "{activation} {isa}: slope at NaN is {}",
                d1[4]
            );
            assert_eq!(single[1].map_nan(), d1.map_nan(), "{activation} {isa}");
        }
        let at_zero = |activation| evaluate(isa, activation, &[0.0, -0.0]);
        assert_eq!(at_zero(Activation::Relu), [[0.0; 2], [0.0; 2], [0.0; 2]]);
        assert_eq!(at_zero(Activation::LeakyRelu { slope: 0.5 })[1], [0.5; 2]);
        assert_eq!(at_zero(Activation::Elu { alpha: 2.0 })[1], [2.0; 2]);
        assert_eq!(at_zero(Activation::Tanh)[0].as_slice().map_bits(), vec![0, 1 << 63]);
    }
}

trait Patterns {
    type Out;
    fn map_nan(&self) -> Vec<bool>;
    fn map_bits(&self) -> Vec<u64>;
}

impl<T: Real> Patterns for [T] {
    type Out = T;
    fn map_nan(&self) -> Vec<bool> {
        self.iter().map(|x| x.to_f64().is_nan()).collect()
    }
    fn map_bits(&self) -> Vec<u64> {
        self.iter().map(|x| x.to_f64().to_bits()).collect()
    }
}

#[test]
fn derivatives_are_those_of_central_differences() {
    let h = 1e-3;
    for isa in Isa::available() {
        for activation in CASES {
            for i in 0..200 {
                let z = uniform(i, -4.0, 4.0);
                if z.abs() < 3.0 * h {
                    continue;
                }
                let points = [z - 2.0 * h, z - h, z, z + h, z + 2.0 * h];
                let [a, d1, d2] = evaluate(isa, activation, &points);
                let difference = |f: &[f64]| (8.0 * (f[3] - f[1]) - (f[4] - f[0])) / (12.0 * h);
                // Fifth derivatives are below 40: h⁴/30·40, and rounding 4·2⁻⁵²/h.
                assert!((difference(&a) - d1[2]).abs() < 5e-11, "{activation} {isa} at {z}");
                assert!((difference(&d1) - d2[2]).abs() < 5e-11, "{activation} {isa} at {z}");
            }
        }
    }
}

#[test]
fn bias_rows_offsets_and_orders_give_the_same_bits() {
    fn check<T: Checked>(isa: Isa, activation: Activation) {
        for h in (1..20).chain([31, 32, 33, 65]) {
            let rows = 3;
            let data: Vec<T> =
                (0..(rows * h + 1) as u64).map(|i| T::from_f64(uniform(i, -3.0, 3.0))).collect();
            let bias: Vec<T> = (0..h as u64).map(|i| T::from_f64(uniform(i, -1.0, 1.0))).collect();
            for offset in [0, 1] {
                let z = &data[offset..offset + rows * h];
                let sum: Vec<T> = (0..z.len()).map(|i| z[i] + bias[i % h]).collect();
                let want = evaluate(isa, activation, &sum);
                let mut value = z.to_vec();
                bias_activation(isa, activation, Some(&bias), &mut value);
                let mut a = z.to_vec();
                let (mut d1, mut d2) = (vec![T::NAN; z.len()], vec![T::NAN; z.len()]);
                bias_activation_derivatives(
                    isa,
                    activation,
                    Some(&bias),
                    &mut a,
                    &mut d1,
                    Some(&mut d2),
                );
                let mut first = z.to_vec();
                let mut slope = vec![T::NAN; z.len()];
                bias_activation_derivatives(
                    isa,
                    activation,
                    Some(&bias),
                    &mut first,
                    &mut slope,
                    None,
                );
                for i in 0..z.len() {
                    for (k, got) in [
                        (0, value[i]),
                        (0, a[i]),
                        (0, first[i]),
                        (1, d1[i]),
                        (1, slope[i]),
                        (2, d2[i]),
                    ] {
                        assert!(
                            got.same_bits(want[k][i]),
                            "{activation} {isa} {h} {offset} {i} {k}"
                        );
                    }
                }
            }
        }
    }
    for isa in Isa::available() {
        for activation in CASES {
            check::<f32>(isa, activation);
            check::<f64>(isa, activation);
        }
    }
}

#[test]
fn names_are_read_back_and_others_refused() {
    for activation in CASES {
        assert_eq!(activation.to_string().parse(), Ok(activation));
    }
    assert_eq!("elu".parse(), Ok(Activation::Elu { alpha: 1.0 }));
    for wrong in ["", "Tanh", "tanh(1)", "elu(", "elu(x)", "elu(inf)", "elu(1)x"] {
        let error = wrong.parse::<Activation>().unwrap_err().to_string();
        assert!(error.starts_with("activation: expected one of identity, tanh"), "{error}");
        assert!(error.ends_with(&format!("got {wrong:?}")), "{error}");
    }
}

/// Every epilogue against plain loops, for f32 within its rounding and for whole numbers exactly.
#[test]
fn epilogues_agree_with_plain_loops() {
    fn check<T: Checked>(isa: Isa, b: usize, k: usize, h: usize) {
        let whole = |seed: u64, n: usize| -> Vec<T> {
            let value = |i| T::from_f64((random_bits(seed * 1_000 + i) % 17) as f64 - 8.0);
            (0..n as u64).map(value).collect()
        };
        let (d1, c, bias) = (whole(1, b * h), whole(2, b * h), whole(3, k * h));
        let (u, addend) = (whole(4, b * k * h), whole(5, b * k * h));
        let primal = |i: usize| i / (k * h) * h + i % h;
        let tangent = |i: usize| i % (k * h);
        let n = b * k * h;

        let mut got = u.clone();
        scale_rows(isa, h, k, &d1, &mut got);
        assert!((0..n).all(|i| got[i] == u[i] * d1[primal(i)]), "{isa} {b} {k} {h}");

        for (with_d1, with_addend) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut got = u.clone();
            adjoint_tangent_epilogue(
                isa,
                h,
                k,
                with_d1.then_some(&d1[..]),
                with_addend.then_some(&addend[..]),
                &mut got,
            );
            for i in 0..n {
                let scaled = if with_d1 { u[i] * d1[primal(i)] } else { u[i] };
                let want = if with_addend { scaled + addend[i] } else { scaled };
                assert_eq!(got[i], want, "{isa} {b} {k} {h}");
            }
        }

        for case in 0..8 {
            let (with_bias, with_d1, with_c) = (case & 1 > 0, case & 2 > 0, case & 4 > 0);
            let (mut rz, mut ra) = (u.clone(), vec![T::NAN; n]);
            tangent_epilogue(
                isa,
                h,
                k,
                with_bias.then_some(&bias[..]),
                with_d1.then_some(&d1[..]),
                with_c.then_some(&c[..]),
                &mut rz,
                &mut ra,
            );
            for i in 0..n {
                let y = if with_bias { u[i] + bias[tangent(i)] } else { u[i] };
                assert_eq!(ra[i], if with_d1 { y * d1[primal(i)] } else { y }, "{isa} {b} {k} {h}");
                assert_eq!(
                    rz[i],
                    if with_c { y * c[primal(i)] } else { u[i] },
                    "{isa} {b} {k} {h}"
                );
            }
        }

        if k == 1 {
            let (mut curvature, mut error) = (c.clone(), u.clone());
            adjoint_epilogue(isa, &d1, Some(&mut curvature), &mut error);
            assert!((0..n).all(|i| curvature[i] == u[i] * c[i] && error[i] == u[i] * d1[i]));
            let mut error = u.clone();
            adjoint_epilogue(isa, &d1, None, &mut error);
            assert!((0..n).all(|i| error[i] == u[i] * d1[i]));
        }

        let mut sums = bias.clone();
        column_sums(isa, &u, &mut sums);
        for j in 0..k * h {
            let want = (0..b).fold(bias[j], |sum, s| sum + u[s * k * h + j]);
            assert_eq!(sums[j], want, "{isa} {b} {k} {h}");
        }
    }
    for isa in Isa::available() {
        for h in (0..19).chain([31, 33, 64, 67]) {
            for (b, k) in [(0, 1), (1, 1), (3, 1), (2, 3), (130, 1)] {
                check::<f32>(isa, b, k, h);
                check::<f64>(isa, b, k, h);
            }
        }
    }
}

#[test]
fn column_sums_do_not_lose_small_terms() {
    for isa in Isa::available() {
        // 2²⁴ + 1 is no f32: a sum in f32 would stay at 2²⁴.
        let mut u = vec![1.0f32; 1001 * 3];
        u[..3].fill(16_777_216.0);
        let mut out = [0.0f32; 3];
        column_sums(isa, &u, &mut out);
        assert_eq!(out, [16_778_216.0; 3]);
    }
}
