use super::*;
use crate::oracle::{self, neighbours_of_grid};

/// Grids with holes, in the order of the grid and shuffled.
fn neighbourhoods() -> Vec<Vec<[Option<usize>; 6]>> {
    let mut all = Vec::new();
    for (seed, shape) in
        [[1, 1, 1], [1, 1, 40], [1, 9, 11], [6, 7, 8], [3, 4, 37]].iter().enumerate()
    {
        let cells: usize = shape.iter().product();
        let numbers = oracle::uniform(seed as u64 + 5, cells);
        for density in [1.0, 0.7, 0.2] {
            let mut voxels: Vec<usize> =
                (0..cells).filter(|&c| c == 0 || numbers[c] < 2.0 * density - 1.0).collect();
            all.push(neighbours_of_grid(*shape, &voxels));
            voxels.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
            all.push(neighbours_of_grid(*shape, &voxels));
        }
    }
    all
}

fn runs(neighbours: &[[Option<usize>; 6]]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (i, near) in neighbours.iter().enumerate() {
        let offsets = near.map(|j| j.map(|j| j as i32 - i as i32));
        if !runs.last_mut().is_some_and(|last| last.extend(offsets)) {
            runs.push(Run::of_point(i as u32, offsets));
        }
    }
    runs
}

fn numbers<T: Real>(seed: u64, n: usize, exact: bool) -> Vec<T> {
    let values = oracle::uniform(seed, n).into_iter();
    values.map(|x| T::from_f64(if exact { (50.0 * x).round() } else { x })).collect()
}

/// Products of blocks, whole and in pieces, at several alignments.
fn products_are_the_oracles<T: Real>() {
    let unit = T::EPSILON.to_f64() / 2.0;
    for near in neighbourhoods() {
        let n = near.len();
        let runs = runs(&near);
        for isa in Isa::available() {
            for columns in [1, 2, 3, 8, 16, 17, 32] {
                for (offset, exact) in [(0, true), (1, false), (3, true)] {
                    let held = numbers::<T>(3, n * columns + offset, exact);
                    let x = &held[offset..];
                    let (want, size) = oracle::laplacian(&near, columns, x);
                    let mut y = vec![T::NAN; n * columns + offset];
                    apply(isa, &runs, columns, 0, x, &mut y[offset..]);
                    assert!(y[..offset].iter().all(|y| !y.is_finite()));
                    for (i, (y, want)) in y[offset..].iter().zip(&want).enumerate() {
                        let bound = if exact { 0.0 } else { 7.0 * unit * size[i] };
                        assert!((y.to_f64() - want).abs() <= bound, "{isa} {columns} {i}: {y}");
                    }
                    if columns > 1 {
                        let mut streamed = vec![T::NAN; n * columns + offset];
                        // The second half alone, then the first, shifted against x.
                        let shift = (offset + columns) % 4;
                        let mut all = vec![T::NAN; n * columns + shift];
                        let half = runs.len() / 2;
                        let cut = runs.get(half).map_or(n, |s| s.start as usize);
                        let (low, high) = all[shift..].split_at_mut(cut * columns);
                        apply_streamed(isa, &runs[half..], columns, cut, x, high);
                        apply_streamed(isa, &runs[..half], columns, 0, x, low);
                        assert_eq!(all[shift..], y[offset..], "{isa} {columns} streamed in halves");
                        assert!(all[..shift].iter().all(|y| !y.is_finite()));
                        // Runs that do not follow each other.
                        let (even, odd): (Vec<_>, Vec<_>) =
                            runs.iter().partition(|run| run.start % 2 == 0);
                        for runs in [odd, even] {
                            let out = &mut streamed[offset..];
                            apply_streamed(isa, &runs, columns, 0, x, out);
                        }
                        assert_eq!(streamed[offset..], y[offset..], "{isa} {columns} streamed");
                    }
                    let old = numbers::<T>(4, n * columns, exact);
                    let mut z = old.clone();
                    let factors = [0.5, -3.0, 0.25];
                    // The second half alone, then the first.
                    let half = runs.len() / 2;
                    let cut = runs.get(half).map_or(n, |s| s.start as usize);
                    let (low, high) = z.split_at_mut(cut * columns);
                    let t = factors.map(T::from_f64);
                    recurrence(isa, &runs[half..], columns, cut, t, x, high);
                    recurrence(isa, &runs[..half], columns, 0, t, x, low);
                    for (i, z) in z.iter().enumerate() {
                        let terms = [want[i], x[i].to_f64(), old[i].to_f64()];
                        let want: f64 = terms.iter().zip(factors).map(|(a, b)| a * b).sum();
                        let size =
                            0.5 * 8.0 * size[i] + 4.0 * (3.0 * terms[1].abs() + terms[2].abs());
                        let bound = if exact { 0.0 } else { unit * size };
                        assert!((z.to_f64() - want).abs() <= bound, "{isa} {columns} {i}: {z}");
                    }
                }
            }
        }
    }
}

#[test]
fn products_on_every_path() {
    products_are_the_oracles::<f32>();
    products_are_the_oracles::<f64>();
}

fn two_sided_products_are_the_oracles<T: Real>() {
    let unit = T::EPSILON.to_f64() / 2.0;
    let all = neighbourhoods();
    for (near_y, near_x) in
        all.iter().zip(all.iter().rev()).filter(|(y, x)| y.len() * x.len() < 9000)
    {
        let (rows, width) = (near_y.len(), near_x.len());
        let (of_rows, of_columns) = (runs(near_y), runs(near_x));
        for (gap, exact) in [(0, true), (3, false)] {
            let stride = width + gap;
            let w = numbers::<T>(7, rows * stride - gap, exact);
            let (want, size) = oracle::product_laplacian(near_y, near_x, stride, &w);
            let old = numbers::<T>(8, rows * stride - gap, exact);
            for isa in Isa::available() {
                let half = of_columns.len() / 2;
                let tile = |columns| ProductTile {
                    rows: &of_rows,
                    columns,
                    width,
                    matrix: &w[..],
                    stride,
                };
                let tiles = [tile(&of_columns[..half]), tile(&of_columns[half..])];
                let (mut s, mut g) = (vec![T::NAN; old.len()], old.clone());
                let (mut squares, mut again) = (0.0, 0.0);
                for tile in tiles {
                    squares += product(isa, tile, 0, &mut s, stride);
                    again += norm_of_product(isa, tile);
                    accumulate_product(isa, tile, T::from_f64(-2.0), 0, &mut g, stride);
                }
                assert_eq!(squares, again);
                let mut exactly = 0.0;
                for i in 0..rows {
                    for j in 0..width {
                        let (want, size) = (want[i * width + j], size[i * width + j]);
                        let got = s[i * stride + j].to_f64();
                        let bound = if exact { 0.0 } else { 8.0 * unit * size };
                        assert!((got - want).abs() <= bound, "{isa} ({i}, {j}): {got}, {want}");
                        exactly += got * got;
                        let old = old[i * stride + j].to_f64();
                        let bound =
                            bound + if exact { 0.0 } else { 2.0 * unit * (size + old.abs()) };
                        let sum = g[i * stride + j].to_f64();
                        assert!(
                            (sum - (old - 2.0 * want)).abs() <= 2.0 * bound,
                            "{isa} ({i}, {j})"
                        );
                    }
                }
                let rounding = 2.0 * (rows * width + 4) as f64 * f64::EPSILON * exactly;
                assert!((squares - exactly).abs() <= rounding, "{isa}: {squares}, {exactly}");
                if gap > 0 {
                    let untouched = |i: usize| i % stride >= width;
                    let between = (0..s.len()).filter(|&i| untouched(i));
                    assert!(between.clone().all(|i| !s[i].is_finite() && g[i] == old[i]));
                }
            }
        }
    }
}

#[test]
fn two_sided_products_on_every_path() {
    two_sided_products_are_the_oracles::<f32>();
    two_sided_products_are_the_oracles::<f64>();
}

#[test]
fn every_path_has_the_same_bits_and_constants_vanish() {
    for near in neighbourhoods() {
        let (n, runs) = (near.len(), runs(&near));
        let x = numbers::<f64>(9, 5 * n, false);
        let mut want = vec![0.0; 5 * n];
        recurrence(Isa::SCALAR, &runs, 5, 0, [0.3, 1.7, 0.0], &x, &mut want);
        for isa in Isa::available() {
            let mut y = vec![0.0; 5 * n];
            recurrence(isa, &runs, 5, 0, [0.3, 1.7, 0.0], &x, &mut y);
            assert_eq!(y, want, "{isa}");
            let mut y = vec![f64::NAN; 3 * n];
            apply(isa, &runs, 3, 0, &vec![0.1; 3 * n], &mut y);
            assert!(y.iter().all(|&y| y == 0.0), "{isa}");
        }
    }
}

#[test]
fn nan_reaches_the_neighbours_and_nobody_else() {
    let near = neighbours_of_grid([3, 3, 9], &(0..81).collect::<Vec<_>>());
    let runs = runs(&near);
    for isa in Isa::available() {
        for special in [f64::NAN, f64::INFINITY] {
            for at in 0..81 {
                let mut x = vec![1.0; 81];
                x[at] = special;
                let mut y = vec![0.0; 81];
                apply(isa, &runs, 1, 0, &x, &mut y);
                for (i, y) in y.iter().enumerate() {
                    let touched = i == at || near[i].contains(&Some(at));
                    assert_eq!(y.is_finite(), !touched, "{isa} {at} {i}");
                }
            }
        }
    }
}

#[test]
fn points_outside_are_refused() {
    for offset in [-3, 3] {
        let mut runs = [Run::of_point(0, [None; 6])];
        let mut near = [None; 6];
        near[3] = Some(offset);
        assert!((1..5).all(|i| runs[0].extend(if i == 2 { near } else { [None; 6] })));
        let refused = std::panic::catch_unwind(|| {
            apply(Isa::current(), &runs, 1, 0, &[0.0; 5], &mut [0.0; 5]);
        });
        assert!(refused.is_err(), "{offset}");
    }
}

#[test]
fn runs_that_are_none_are_refused() {
    let good = Run { start: 0, length: 3, offsets: [1; 6], present: [0b011; 6] };
    let refused = |run: Run| {
        let apply = || apply(Isa::current(), &[run], 1, 0, &[0.0; 70], &mut [0.0; 70]);
        std::panic::catch_unwind(apply).is_err()
    };
    assert!(!refused(good));
    assert!(refused(Run { length: 0, ..good }) && refused(Run { length: 65, ..good }));
    // A bit of a point that is not in the run.
    let mut present = good.present;
    present[5] = 0b1000;
    assert!(refused(Run { present, ..good }));
}

#[test]
fn runs_know_their_neighbours_and_parts() {
    for near in neighbourhoods() {
        let runs = runs(&near);
        let mut point = 0;
        for run in &runs {
            for i in 0..run.length {
                let want = near[point].map(|j| j.map(|j| j as i32 - point as i32));
                assert_eq!(run.neighbours(i), want);
                let single = run.part(i, i + 1);
                assert_eq!((single.start as usize, single.neighbours(0)), (point, want));
                let unlike = (i..run.length).find(|&j| run.neighbours(j) != want);
                assert_eq!(run.alike(i as usize) as u32, unlike.unwrap_or(run.length) - i);
                point += 1;
            }
        }
        assert_eq!(point, near.len());
    }
}
