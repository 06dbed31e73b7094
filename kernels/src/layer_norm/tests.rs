use super::*;
use crate::oracle::uniform;

/// Rows of a layer norm in `f64`, by the formulas of a textbook: y and its directional derivatives,
/// and the errors of x, scale and shift with theirs, along one direction of everything.
struct Oracle {
    y: Vec<f64>,
    y_tangent: Vec<f64>,
    x_error: Vec<f64>,
    x_error_tangent: Vec<f64>,
    scale_error: Vec<f64>,
    scale_error_tangent: Vec<f64>,
}

#[derive(Clone)]
struct Input {
    columns: usize,
    epsilon: f64,
    x: Vec<f64>,
    scale: Vec<f64>,
    shift: Vec<f64>,
    y_error: Vec<f64>,
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

/// y, x̄ and γ̄ of one row, with ∂x̂ₖ/∂xⱼ = r (δₖⱼ − 1/n) − r³ dₖ dⱼ/n written out.
fn row(input: &Input, b: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let n = input.columns;
    let x = &input.x[b * n..][..n];
    let e = &input.y_error[b * n..][..n];
    let m = mean(x.iter().copied());
    let d: Vec<f64> = x.iter().map(|x| x - m).collect();
    let r = (mean(d.iter().map(|d| d * d)) + input.epsilon).sqrt().recip();
    let y = (0..n).map(|k| input.scale[k] * r * d[k] + input.shift[k]).collect();
    let slope = |k: usize, j: usize| {
        let delta = if k == j { 1.0 } else { 0.0 };
        r * (delta - 1.0 / n as f64) - r.powi(3) * d[k] * d[j] / n as f64
    };
    let x_error =
        (0..n).map(|j| (0..n).map(|k| e[k] * input.scale[k] * slope(k, j)).sum()).collect();
    (y, x_error, (0..n).map(|k| e[k] * r * d[k]).collect())
}

fn values(input: &Input) -> [Vec<f64>; 3] {
    let rows = input.x.len() / input.columns;
    let (mut y, mut x_error) = (Vec::new(), Vec::new());
    let mut scale = vec![0.0; input.columns];
    for b in 0..rows {
        let (row_y, row_error, row_scale) = row(input, b);
        y.extend(row_y);
        x_error.extend(row_error);
        scale.iter_mut().zip(row_scale).for_each(|(sum, x)| *sum += x);
    }
    [y, x_error, scale]
}

/// Derivatives by central differences extrapolated three times: about 1e-11 of the largest entry.
fn oracle(input: &Input, direction: &Input) -> Oracle {
    let moved = |t: f64| {
        let add = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + t * b).collect();
        values(&Input {
            x: add(&input.x, &direction.x),
            scale: add(&input.scale, &direction.scale),
            shift: add(&input.shift, &direction.shift),
            y_error: add(&input.y_error, &direction.y_error),
            ..*input
        })
    };
    let step = 0.02;
    let mut table: Vec<[Vec<f64>; 3]> = (0..4)
        .map(|i| {
            let h = step / f64::from(1 << i);
            let (up, down) = (moved(h), moved(-h));
            core::array::from_fn(|p| {
                up[p].iter().zip(&down[p]).map(|(a, b)| (a - b) / (2.0 * h)).collect()
            })
        })
        .collect();
    for order in 1..4 {
        let four = f64::from(1 << (2 * order));
        table = table
            .windows(2)
            .map(|pair| {
                core::array::from_fn(|p| {
                    let halves = pair[1][p].iter().zip(&pair[0][p]);
                    halves.map(|(fine, coarse)| (four * fine - coarse) / (four - 1.0)).collect()
                })
            })
            .collect();
    }
    let [y, x_error, scale_error] = values(input);
    let [y_tangent, x_error_tangent, scale_error_tangent] = table.remove(0);
    Oracle { y, y_tangent, x_error, x_error_tangent, scale_error, scale_error_tangent }
}

fn typed<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|&x| T::from_f64(x)).collect()
}

fn close<T: Real>(what: &str, got: &[T], want: &[f64], bound: f64) {
    assert_eq!(got.len(), want.len());
    let size = want.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (got.to_f64() - want).abs();
        assert!(error <= bound * size, "{what} {i}: {got:e}, not {want:e}, of {size:e}");
    }
}

fn check<T: Real>(isa: Isa, columns: usize, seed: u64) {
    let rows = 3;
    // Inputs that both types hold, so that the oracle sees what the kernel sees.
    let make = |stream: u64, n: usize| -> Vec<f64> {
        uniform(seed * 16 + stream, n).iter().map(|&x| f64::from(x as f32)).collect()
    };
    let input = |stream: u64| Input {
        columns,
        epsilon: 1e-3,
        x: make(stream, rows * columns),
        scale: make(stream + 1, columns),
        shift: make(stream + 2, columns),
        y_error: make(stream + 3, rows * columns),
    };
    let (point, direction) = (input(0), input(4));
    let want = oracle(&point, &direction);
    let name = |what: &str| format!("{} {isa} {columns} columns: {what}", T::NAME);
    // Rounding is a few ulp of terms of size 1; with two columns r reaches 1/√ε ≈ 30, and its powers
    // multiply differences of terms. The differences of the oracle are good to 1e-9 there.
    let eps = T::EPSILON.to_f64();
    let (first, second) = if columns < 4 { (2e3, 3e5) } else { (32.0, 256.0) };

    let (x, y_error) = (typed::<T>(&point.x), typed::<T>(&point.y_error));
    let (scale, shift) = (typed::<T>(&point.scale), typed::<T>(&point.shift));
    let affine = Affine { scale: Some(&scale[..]), shift: Some(&shift[..]) };
    let mut y = vec![T::NAN; x.len()];
    let mut statistics = vec![T::NAN; STATISTICS * rows];
    layer_norm(isa, columns, 1e-3, affine, &x, &mut y, &mut statistics);
    close(&name("y"), &y, &want.y, first * eps);

    let x_tangent = typed::<T>(&direction.x);
    let (scale_tangent, shift_tangent) =
        (typed::<T>(&direction.scale), typed::<T>(&direction.shift));
    let affine_tangent =
        Affine { scale: Some(&scale_tangent[..]), shift: Some(&shift_tangent[..]) };
    let mut y_tangent = vec![T::NAN; x.len()];
    let mut tangent_means = vec![T::NAN; MEANS * rows];
    layer_norm_tangent(
        isa,
        columns,
        affine,
        affine_tangent,
        &statistics,
        &x,
        Some(&x_tangent),
        &mut y_tangent,
        &mut tangent_means,
    );
    let differences = 1e-9;
    close(&name("y tangent"), &y_tangent, &want.y_tangent, second * eps + differences);

    let mut x_error = vec![T::NAN; x.len()];
    let mut error_means = vec![T::NAN; MEANS * rows];
    let means = Some(&mut error_means[..]);
    layer_norm_adjoint(isa, columns, Some(&scale), &statistics, &x, &y_error, &mut x_error, means);
    close(&name("x error"), &x_error, &want.x_error, second * eps);
    let mut scale_error = vec![T::ONE; columns];
    let mut shift_error = vec![T::ZERO; columns];
    layer_norm_gradient(
        isa,
        columns,
        &statistics,
        &x,
        &y_error,
        &mut scale_error,
        &mut shift_error,
    );
    let plus_one: Vec<f64> = want.scale_error.iter().map(|x| x + 1.0).collect();
    close(&name("scale error"), &scale_error, &plus_one, first * eps);

    let kept = Kept {
        statistics: &statistics,
        x: &x,
        y_error: &y_error,
        error_means: &error_means,
        x_tangent: Some(&x_tangent),
        tangent_means: &tangent_means,
    };
    let y_error_tangent = typed::<T>(&direction.y_error);
    let mut x_error_tangent = vec![T::NAN; x.len()];
    layer_norm_adjoint_tangent(
        isa,
        columns,
        Some(&scale),
        Some(&scale_tangent),
        kept,
        &y_error_tangent,
        &mut x_error_tangent,
    );
    let bound = second * eps + differences;
    close(&name("x error tangent"), &x_error_tangent, &want.x_error_tangent, bound);
    let (mut scale_error, mut shift_error) = (vec![T::ZERO; columns], vec![T::ZERO; columns]);
    layer_norm_gradient_tangent(
        isa,
        columns,
        kept,
        &y_error_tangent,
        &mut scale_error,
        &mut shift_error,
    );
    close(&name("scale error tangent"), &scale_error, &want.scale_error_tangent, bound);
    let sums: Vec<f64> =
        (0..columns).map(|j| (0..rows).map(|b| direction.y_error[b * columns + j]).sum()).collect();
    close(&name("shift error tangent"), &shift_error, &sums, 4.0 * eps);
}

#[test]
fn every_pass_agrees_with_the_textbook() {
    for isa in Isa::available() {
        for columns in [2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 70, 130] {
            check::<f32>(isa, columns, columns as u64);
            check::<f64>(isa, columns, columns as u64);
        }
    }
}

fn normalized<T: Real>(isa: Isa, epsilon: f64, x: &[T]) -> Vec<T> {
    let mut y = vec![T::NAN; x.len()];
    let none = Affine { scale: None, shift: None };
    layer_norm(isa, x.len(), epsilon, none, x, &mut y, &mut [T::NAN; STATISTICS]);
    y
}

#[test]
fn a_large_mean_does_not_cost_digits() {
    for isa in Isa::available() {
        // Deviations ∓1 around 2²⁰ + 1/2, exact in both types: x̂ = ∓1/√(1 + ε).
        let x: Vec<f32> = (0..37).map(|i| 1_048_576.0 + (i % 2) as f32).collect();
        let mean = 18.0 / 37.0;
        let deviation = (mean * (1.0 - mean) + 1e-12_f64).sqrt();
        for (x, y) in x.iter().zip(normalized(isa, 1e-12, &x)) {
            let want = (f64::from(*x) - 1_048_576.0 - mean) / deviation;
            let error = (f64::from(y) - want).abs();
            assert!(error <= 4.0 * f64::from(f32::EPSILON), "{isa}: {y}, not {want}");
        }
    }
}

#[test]
fn huge_tiny_constant_and_infinite_rows() {
    for isa in Isa::available() {
        // ±c has x̂ = ±1 as long as c² is far above ε, whatever overflows on the way.
        for c in [1e10, 1e154, 1e200, 5e307] {
            let y = normalized(isa, 1e-5, &[c, -c, c, -c, c, -c]);
            for (y, want) in y.iter().zip([1.0_f64, -1.0].iter().cycle()) {
                assert!((y - want).abs() < 1e-14, "{isa} {c:e}: {y}");
            }
        }
        assert_eq!(normalized(isa, 1e-5, &[3.0_f64; 19]), [0.0; 19]);
        assert_eq!(
            normalized(isa, 1e-5, &[1e-200, 0.0]),
            [0.5e-200 / 1e-5_f64.sqrt(), -0.5e-200 / 1e-5_f64.sqrt()]
        );
        for bad in [f64::NAN, f64::INFINITY] {
            let y = normalized(isa, 1e-5, &[1.0, bad, 2.0]);
            assert!(y.iter().all(|y| y.is_nan()), "{isa} {bad}: {y:?}");
        }
    }
}
