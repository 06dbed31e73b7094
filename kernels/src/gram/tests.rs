use super::*;
use crate::oracle;

/// Rows and units around tiles, vectors and blocks.
const SHAPES: [(usize, usize); 8] =
    [(1, 1), (3, 7), (4, 16), (5, 17), (8, 40), (9, 64), (13, 100), (21, 3)];

/// Rows of `units` numbers with a gap and an offset between them.
fn responses<T: Real>(seed: u64, n: usize, units: usize, offset: f64) -> Vec<Vec<T>> {
    let values = oracle::uniform(seed, n * units);
    let row = |i: usize| {
        values[i * units..][..units].iter().map(|&v| T::from_f64(v + offset * i as f64)).collect()
    };
    (0..n).map(row).collect()
}

fn views<T>(rows: &[Vec<T>]) -> Vec<&[T]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// An element written as hi + lo.
fn minus(a: (f64, f64), b: (f64, f64)) -> f64 {
    (a.0 - b.0) + (a.1 - b.1)
}

fn exact_difference(x: f64, c: f64) -> (f64, f64) {
    let high = x - c;
    let back = high - x;
    (high, (x - (high - back)) - (c + back))
}

#[test]
fn products_are_those_of_plain_loops() {
    for (n, units) in SHAPES {
        let width = units.next_multiple_of(WIDTH);
        for integers in [true, false] {
            let rows = responses::<f64>(n as u64, n, units, 0.0);
            let value = |i: usize, u: usize| match integers {
                true => (20.0 * rows[i][u]).round(),
                false => rows[i][u],
            };
            let mut w = vec![0.0; padded(n) * width];
            for i in 0..n {
                (0..units).for_each(|u| w[place(width, i, u)] = value(i, u));
            }
            for isa in Isa::available() {
                let mut sums = Sums::new(n, vec![0.0; Sums::length(n)]);
                let ahead = responses::<f32>(5, 3, 70, 0.0);
                sums.add_block(isa, &w, width, Ahead(&views(&ahead)));
                sums.add_block::<f32>(isa, &w, width, Ahead(&[]));
                for i in 0..n {
                    for j in 0..=i {
                        let terms = (0..units).map(|u| value(i, u) * value(j, u));
                        let (sum, size) =
                            terms.fold((0.0, 0.0), |(s, a), t: f64| (s + t, a + t.abs()));
                        let error = (sums.element(i, j) - 2.0 * sum).abs();
                        let bound = match integers {
                            true => 0.0,
                            false => (2 * units + 8) as f64 * f64::EPSILON * size,
                        };
                        assert!(error <= bound, "{isa} {n}x{units} ({i}, {j}): {error:e}");
                    }
                }
                sums.clear();
                assert_eq!(sums.element(n - 1, 0), 0.0);
            }
        }
    }
}

/// Differences, then deviations, of rows whose offsets are 10⁸ times as large.
fn blocks_are_centred<T: Real>(offset: f64, special: Option<f64>) {
    for (n, units) in SHAPES {
        let mut rows = responses::<T>(units as u64, n, units, offset);
        if let Some(special) = special {
            // A tiny number beside large ones, whose difference is not exact.
            rows[n / 2][units / 2] = T::from_f64(special);
        }
        let width = units.next_multiple_of(WIDTH);
        let pilot: Vec<f64> =
            (0..n).map(|i| T::from_f64(offset * i as f64 + 0.125).to_f64()).collect();
        let scale = if T::NAME == "f64" { 0.5 } else { 1.0 };
        let x = |i: usize, u: usize| rows[i][u].to_f64() * scale;
        let c = |i: usize| pilot[i] * scale;
        let scaled: Vec<f64> = (0..n).map(c).collect();
        let difference = |i: usize, u: usize| {
            minus(exact_difference(x(i, u), c(i)), exact_difference(x(0, u), c(0)))
        };
        for isa in Isa::available() {
            let dirty = || vec![f64::NAN; width];
            let mut w = vec![f64::NAN; padded(n) * width];
            let (mut unit_sums, mut high, mut low) = (dirty(), dirty(), dirty());
            let mut row_sums = vec![f64::NAN; n];
            let out = Differences {
                rows: &mut w,
                width,
                unit_sums: &mut unit_sums,
                row_sums: &mut row_sums,
                first: [&mut high, &mut low],
            };
            differences(isa, &views(&rows), scale, &scaled, out);
            for i in 0..n {
                for u in 0..width {
                    let want = if u < units { difference(i, u) } else { 0.0 };
                    let got = w[place(width, i, u)];
                    let bound = 2.0 * f64::EPSILON * want.abs();
                    assert!((got - want).abs() <= bound, "{isa} {} ({i}, {u}): {got}", T::NAME);
                }
                let sum: f64 = (0..units).map(|u| difference(i, u)).sum();
                let size: f64 = (0..units).map(|u| difference(i, u).abs()).sum();
                let bound = (units + 4) as f64 * f64::EPSILON * size;
                assert!((row_sums[i] - sum).abs() <= bound, "{isa} row {i}");
            }
            for u in 0..width {
                let own = |i: usize| if u < units { difference(i, u) } else { 0.0 };
                let (sum, size) =
                    (0..n).map(own).fold((0.0, 0.0), |(s, a), t| (s + t, a + t.abs()));
                assert!((unit_sums[u] - sum).abs() <= (n + 4) as f64 * f64::EPSILON * size);
            }

            let t = oracle::uniform(3, n);
            let o = oracle::uniform(4, n);
            let (mut m, mut level) = (oracle::uniform(5, width), oracle::uniform(6, width));
            m[units..].fill(0.0);
            level[units..].fill(0.0);
            let before = w.clone();
            let (mut profile, mut second, mut fourth) = (vec![f64::NAN; n], dirty(), dirty());
            let powers = [&mut second[..], &mut fourth[..]];
            let out = Centred { rows: &mut w, width, profile: &mut profile, powers };
            centre(isa, units, &t, &m, &level, &o, out);
            let want = |i: usize, u: usize| (before[place(width, i, u)] - t[i]) - m[u];
            for i in 0..n {
                for u in 0..width {
                    let want = if u < units { want(i, u) } else { 0.0 };
                    assert_eq!(w[place(width, i, u)], want, "{isa} ({i}, {u})");
                }
                let (sum, size) = (0..units)
                    .map(|u| want(i, u) * level[u])
                    .fold((0.0, 0.0), |(s, a), t: f64| (s + t, a + t.abs()));
                let bound = (units + 4) as f64 * f64::EPSILON * size;
                assert!((profile[i] - sum).abs() <= bound, "{isa} profile {i}");
            }
            for u in 0..units {
                let z = |i: usize| want(i, u) + o[i];
                for (power, got) in [(2, second[u]), (4, fourth[u])] {
                    let sum: f64 = (0..n).map(|i| z(i).powi(power)).sum();
                    let bound = (n + 8) as f64 * f64::EPSILON * sum;
                    assert!((got - sum).abs() <= bound, "{isa} power {power} of unit {u}");
                }
            }
        }
    }
}

#[test]
fn blocks_of_f32_are_centred_exactly_to_their_own_size() {
    for special in [None, Some(1e-30), Some(0.0), Some(-3e20)] {
        blocks_are_centred::<f32>(0.0, special);
        blocks_are_centred::<f32>(1000.0, special);
    }
}

#[test]
fn blocks_of_f64_are_centred_exactly_to_their_own_size() {
    for special in [None, Some(1e-300), Some(-3e60)] {
        blocks_are_centred::<f64>(0.0, special);
        blocks_are_centred::<f64>(3e7, special);
    }
}

fn rows_are_shifted<T: Real>() {
    for (n, units) in SHAPES {
        let rows = responses::<T>(9, n, units, 2.0);
        let width = units.next_multiple_of(WIDTH) + WIDTH;
        let (scale, first, mean) = (vec![0.25; n], oracle::uniform(1, n), oracle::uniform(2, n));
        let want = |i: usize, u: usize| (rows[i][u].to_f64() * 0.25 - first[i]) - mean[i];
        for isa in Isa::available() {
            let mut out = vec![f64::NAN; padded(n) * width];
            let shift = Shift { scale: &scale, first: &first, mean: &mean };
            shifted_rows(isa, &views(&rows), shift, width, &mut out);
            for i in 0..padded(n) {
                for u in 0..width {
                    let want = if i < n && u < units { want(i, u) } else { 0.0 };
                    assert_eq!(out[place(width, i, u)], want, "{isa} {} ({i}, {u})", T::NAME);
                }
            }
            for (row, c) in rows.iter().zip(&first) {
                let terms = row.iter().map(|x| x.to_f64() * 0.25 - c);
                let (sum, size) = terms.fold((0.0, 0.0), |(s, a), t| (s + t, a + t.abs()));
                let bound = (units + 4) as f64 * f64::EPSILON * size;
                assert!((shifted_sum(isa, row, 0.25, *c) - sum).abs() <= bound, "{isa}");
            }
        }
    }
}

#[test]
fn rows_are_shifted_each_in_its_own_unit() {
    rows_are_shifted::<f32>();
    rows_are_shifted::<f64>();
}

#[test]
fn what_is_not_finite_shows_in_the_sums() {
    for isa in Isa::available() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (row, unit) in [(0, 0), (2, 16), (4, 18)] {
                let mut rows = responses::<f32>(1, 5, 19, 0.0);
                rows[row][unit] = bad;
                let (mut w, mut sums) = (vec![0.0; 8 * 32], vec![0.0; 5]);
                let [mut a, mut b, mut c] = [(); 3].map(|()| vec![0.0; 32]);
                let out = Differences {
                    rows: &mut w,
                    width: 32,
                    unit_sums: &mut a,
                    row_sums: &mut sums,
                    first: [&mut b, &mut c],
                };
                differences(isa, &views(&rows), 1.0, &[0.0; 5], out);
                assert!(!sums.iter().all(|sum| sum.is_finite()), "{isa} {bad} at {row}, {unit}");
            }
        }
    }
}
