use super::*;
use crate::oracle;

fn plain(
    eta: f64,
    x: &[f64],
    g: &[f64],
    (low, high): (&[f64], &[f64]),
    p: &[f64],
    round: fn(f64) -> f64,
) -> (Vec<f64>, StepSums, StepSums) {
    let (mut out, mut sums, mut sizes) = (vec![], StepSums::default(), StepSums::default());
    for i in 0..x.len() {
        let moved = x[i] - eta * g[i];
        let new = round(if moved < low[i] {
            low[i]
        } else if moved > high[i] {
            high[i]
        } else {
            moved
        });
        let kkt = g[i].min(x[i] - low[i]).max(x[i] - high[i]).abs();
        let of = |slope: f64, progress: f64| StepSums {
            slope,
            moved: (new - x[i]).powi(2),
            progress,
            advance: (new - p[i]).powi(2),
            kkt,
        };
        let (slope, progress) = (g[i] * (new - x[i]), g[i] * (new - p[i]));
        sums = sums.with(of(slope, progress));
        sizes = sizes.with(of(slope.abs(), progress.abs()));
        out.push(new);
    }
    (out, sums, sizes)
}

fn steps_are_the_oracles<T: Real>(round: fn(f64) -> f64) {
    let numbers = |seed, n: usize, factor: f64| -> Vec<f64> {
        oracle::uniform(seed, n).iter().map(|x| round(factor * x)).collect()
    };
    let typed = |x: &[f64]| -> Vec<T> { x.iter().map(|&x| T::from_f64(x)).collect() };
    for n in (0..40).chain([64, 100, 257]) {
        for offset in 0..3 {
            let (low, high): (Vec<f64>, Vec<f64>) = (0..n)
                .map(|i| match i % 4 {
                    0 => (-f64::INFINITY, f64::INFINITY),
                    1 => (-0.25, 0.5),
                    2 => (0.125, 0.125),
                    _ => (0.0, f64::INFINITY),
                })
                .unzip();
            let uniform = (vec![-0.25; n], vec![0.75; n]);
            for own in [false, true] {
                let (low, high) = if own { (&low, &high) } else { (&uniform.0, &uniform.1) };
                let (low_t, high_t) = (typed(low), typed(high));
                let bounds = if own {
                    Bounds { lower: Bound::Each(&low_t), upper: Bound::Each(&high_t) }
                } else {
                    let of = |x: f64| Bound::Uniform(T::from_f64(x));
                    Bounds { lower: of(-0.25), upper: of(0.75) }
                };
                let mut x = numbers(1, n, 1.0);
                for i in 0..n {
                    x[i] = x[i].clamp(low[i], high[i]);
                }
                let (g, p) = (numbers(2, n, 3.0), numbers(3, n, 1.0));
                let (want, sums, sizes) = plain(0.375, &x, &g, (low, high), &p, round);
                let shifted = |x: &[f64]| [vec![T::NAN; offset], typed(x)].concat();
                let (x, g, p) = (shifted(&x), shifted(&g), shifted(&p));
                for isa in Isa::available() {
                    let mut out = vec![T::NAN; n + offset];
                    let got = step(
                        isa,
                        0.375,
                        &x[offset..],
                        &g[offset..],
                        bounds,
                        &p[offset..],
                        &mut out[offset..],
                    );
                    for (out, want) in out[offset..].iter().zip(&want) {
                        assert_eq!(out.to_f64(), *want, "{isa} {n} {own}");
                    }
                    let close = |got: f64, want: f64, size: f64| {
                        (got - want).abs() <= 2.0 * (n + 4) as f64 * f64::EPSILON * size
                    };
                    assert!(close(got.slope, sums.slope, sizes.slope), "{isa} {n}");
                    assert!(close(got.moved, sums.moved, sizes.moved), "{isa} {n}");
                    assert!(close(got.progress, sums.progress, sizes.progress), "{isa} {n}");
                    assert!(close(got.advance, sums.advance, sizes.advance), "{isa} {n}");
                    assert_eq!(got.kkt, sums.kkt, "{isa} {n} {own}");
                    let kkt = kkt_residual(isa, &x[offset..], &g[offset..], bounds);
                    assert_eq!(kkt, sums.kkt, "{isa} {n} {own}");
                    let mut beyond = vec![T::NAN; n];
                    extrapolate(isa, 0.5, &x[offset..], &p[offset..], &mut beyond);
                    for (i, beyond) in beyond.iter().enumerate() {
                        let (x, p) = (x[offset + i].to_f64(), p[offset + i].to_f64());
                        assert_eq!(beyond.to_f64(), round(x + 0.5 * (x - p)), "{isa} {n}");
                    }
                }
            }
        }
    }
}

#[test]
#[allow(clippy::cast_possible_truncation)]
fn steps_on_every_path() {
    steps_are_the_oracles::<f32>(|x| f64::from(x as f32));
    steps_are_the_oracles::<f64>(|x| x);
}

#[test]
fn nan_is_seen_wherever_it_is() {
    for isa in Isa::available() {
        for n in 1..40 {
            for at in 0..n {
                for in_x in [false, true] {
                    let (mut x, mut g) = (vec![1.0_f32; n], vec![-1.0_f32; n]);
                    if in_x {
                        x[at] = f32::NAN
                    } else {
                        g[at] = f32::NAN
                    }
                    let bounds = Bounds { upper: Bound::Uniform(1.0), ..Bounds::nonnegative() };
                    assert!(kkt_residual(isa, &x, &g, bounds).is_nan(), "{isa} {n} {at}");
                    let mut out = vec![0.0; n];
                    let sums = step(isa, 1.0, &x, &g, bounds, &x, &mut out);
                    assert!(sums.kkt.is_nan() && out[at].is_nan(), "{isa} {n} {at}");
                }
            }
        }
    }
}
