//! Voxel masks and their Laplacians against dense matrices, SciPy's and the identities of graphs.

use std::path::Path;

use hesse::connectome::{CosineModes, ProductLaplacian, Smoothing, VoxelLaplacian, VoxelMask};
use hesse::faer::{Mat, Side};
use hesse::io::Archive;
use hesse::krylov::{LinearOperator, Status};
use hesse::random::Stream;
use proptest::prelude::*;

#[path = "npz/mod.rs"]
mod npz;
#[path = "operators/mod.rs"]
mod operators;
use npz::{Arrays, golden};
use operators::{dot, on_threads};

fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut values = vec![0.0; n];
    Stream::new(seed, "test").normals(0, &mut values);
    values
}

fn indices(values: &[f64]) -> Vec<usize> {
    values.iter().map(|&v| v as usize).collect()
}

fn assert_csr(laplacian: &VoxelLaplacian, arrays: &Arrays, name: &str) {
    let csr = laplacian.to_csr();
    assert_eq!(csr.indptr().to_proper(), indices(&arrays[&format!("{name}_indptr")].1), "{name}");
    assert_eq!(csr.indices(), indices(&arrays[&format!("{name}_indices")].1), "{name}");
    assert_eq!(csr.data(), arrays[&format!("{name}_data")].1, "{name}");
}

fn assert_close(got: &[f64], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let size = want.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= 1e-12 * size, "{what}: {got} for {want} at {i}");
    }
}

fn times(laplacian: &VoxelLaplacian, columns: usize, x: &[f64]) -> Vec<f64> {
    let mut y = vec![f64::NAN; x.len()];
    laplacian.try_apply_rows(columns, x, &mut y).unwrap();
    y
}

#[test]
fn golden_laplacians() {
    let arrays = golden("connectome/laplacian.npz");
    for n in [1, 2, 3, 7] {
        let dense = VoxelLaplacian::path(n).unwrap().to_csr().to_dense();
        let want = &arrays[&format!("path_{n}")].1;
        assert_eq!(dense.as_slice(), Some(&want[..]), "path of {n}");
    }
    let mut values = CosineModes::new(&[16]).unwrap().eigenvalues().to_vec();
    values.reverse();
    assert_close(&values, &arrays["path_16_eigenvalues"].1, "eigenvalues of a path");
    for (grid, name) in [("mask2", "m2"), ("mask3", "m3")] {
        let (shape, inside) = &arrays[grid];
        let inside: Vec<bool> = inside.iter().map(|&v| v != 0.0).collect();
        let mask = VoxelMask::from_bool_grid(shape, &inside).unwrap();
        let laplacian = mask.laplacian(Smoothing::free()).unwrap();
        assert_csr(&laplacian, &arrays, name);
        let once = times(&laplacian, 3, &arrays[&format!("{name}_x")].1);
        assert_close(&once, &arrays[&format!("{name}_Lx")].1, name);
        assert_close(&times(&laplacian, 3, &once), &arrays[&format!("{name}_LLx")].1, name);
        assert_eq!(laplacian.components() as f64, arrays[&format!("{name}_ncomp")].1[0]);
        let wanted = laplacian.components() + 2;
        let modes = laplacian.lowest_modes(wanted).unwrap();
        assert_eq!(modes.status, Status::Converged);
        assert!(modes.values.iter().filter(|&&v| v == 0.0).count() == wanted - 2);
        if grid == "mask2" {
            continue;
        }
        let labels: Vec<i64> =
            mask.indices().iter().map(|&c| arrays["labels3"].1[c] as i64).collect();
        let blocked = mask.laplacian(Smoothing::blocked(&labels)).unwrap();
        assert_csr(&blocked, &arrays, "m3_boundary");
        assert_close(
            &times(&blocked, 3, &arrays["m3_x"].1),
            &arrays["m3_boundary_Lx"].1,
            "blocked",
        );
        let order = mask.region_order(&labels).unwrap();
        assert_eq!(order, indices(&arrays["m3_region_order"].1));
        let regional = mask.reordered(&order).unwrap();
        assert_csr(&regional.laplacian(Smoothing::free()).unwrap(), &arrays, "m3_region");
        let (ipsi, contra) = mask.hemispheres();
        let want: Vec<usize> =
            (0..mask.len()).filter(|&i| arrays["m3_is_ipsi"].1[i] != 0.0).collect();
        assert_eq!(ipsi, want);
        let apart = mask.laplacian(Smoothing::free().hemispheres_apart()).unwrap();
        for (half, name) in [(&ipsi, "m3_ipsi"), (&contra, "m3_contra")] {
            let alone = mask.subset(half).unwrap().laplacian(Smoothing::free()).unwrap();
            assert_csr(&alone, &arrays, name);
            // Both halves at once: each as if alone.
            let x = normals(3, mask.len());
            let part: Vec<f64> = half.iter().map(|&i| x[i]).collect();
            let both = times(&apart, 1, &x);
            let both: Vec<f64> = half.iter().map(|&i| both[i]).collect();
            assert_eq!(both, times(&alone, 1, &part), "{name}");
        }
    }
}

/// The sums of the golden file for one large mask.
fn check_large(mask: &VoxelMask, name: &str, arrays: &dyn Fn(&str) -> Vec<f64>) {
    let laplacian = mask.laplacian(Smoothing::free()).unwrap();
    let n = mask.len();
    assert_eq!(n as f64, arrays("n")[0], "{name}");
    assert_eq!(laplacian.to_csr().nnz() as f64, arrays("nnz")[0], "{name}");
    let mut histogram = vec![0.0; 7];
    laplacian.degrees().iter().for_each(|&degree| histogram[degree] += 1.0);
    assert_eq!(histogram, arrays("degree_hist"), "{name}");
    assert_eq!(laplacian.components() as f64, arrays("ncomp")[0], "{name}");
    let x: Vec<f64> = (0..n).map(|i| (0.37 * i as f64).sin()).collect();
    let once = times(&laplacian, 1, &x);
    let twice = times(&laplacian, 1, &once);
    assert_close(&[dot(&x, &once)], &arrays("xLx"), name);
    assert_close(&[dot(&once, &once)], &arrays("normLx2"), name);
    assert_close(&[dot(&twice, &twice)], &arrays("normLLx2"), name);
    let sample: Vec<f64> = once.iter().step_by((n / 200).max(1)).copied().collect();
    assert_close(&sample, &arrays("Lx_sample"), name);
}

#[test]
fn real_masks_where_they_are() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let data = shared.join("data/connectome/ccf_cortex_100um.npz");
    let sums = shared.join("golden/connectome/laplacian.npz");
    if !(data.exists() && sums.exists()) {
        eprintln!("skipped: no {} or {}", data.display(), sums.display());
        return;
    }
    let (data, sums) = (Archive::read(data).unwrap(), Archive::read(sums).unwrap());
    let lut = data.get("top_view_lut").unwrap();
    let inside: Vec<bool> = lut.to_f64().unwrap().iter().map(|&v| v >= 0.0).collect();
    let top = VoxelMask::from_bool_grid(lut.shape(), &inside).unwrap();
    let shape = data.get("ccf_shape_100um").unwrap().to_indices().unwrap();
    let voxels = data.get("flatmap_voxels").unwrap().to_indices().unwrap();
    let cortex = VoxelMask::from_indices(&shape, &voxels).unwrap();
    for (mask, name) in [(top, "topview"), (cortex, "cortex")] {
        check_large(&mask, name, &|key| {
            sums.get(&format!("{name}_{key}")).unwrap().to_f64().unwrap()
        });
    }
}

/// The same on a made-up sheet: a thick shell of a ball, and specks around it, by plain loops.
#[test]
fn synthetic_cortex() {
    let shape = [24, 30, 41];
    let cells = 24 * 30 * 41;
    let inside: Vec<bool> = (0..cells)
        .map(|cell| {
            let place = [cell / (30 * 41), cell / 41 % 30, cell % 41];
            let centre = [12.0, 15.0, 20.0];
            let square: f64 = (0..3).map(|a| (place[a] as f64 - centre[a]).powi(2)).sum();
            (81.0..130.0).contains(&square) || (square > 300.0 && cell % 17 == 0)
        })
        .collect();
    let mask = VoxelMask::from_bool_grid(&shape, &inside).unwrap();
    let near = |i: usize| -> Vec<usize> {
        let place = mask.coordinates(i).unwrap();
        let mut near = Vec::new();
        for axis in 0..3 {
            for step in [-1_isize, 1] {
                let mut other = place.clone();
                other[axis] = other[axis].wrapping_add_signed(step);
                near.extend(mask.voxel_at(&other));
            }
        }
        near
    };
    let n = mask.len();
    let x: Vec<f64> = (0..n).map(|i| (0.37 * i as f64).sin()).collect();
    let apply = |x: &[f64]| -> Vec<f64> {
        (0..n).map(|i| near(i).iter().map(|&j| x[j] - x[i]).sum()).collect()
    };
    let once = apply(&x);
    let twice = apply(&once);
    let mut histogram = vec![0.0; 7];
    (0..n).for_each(|i| histogram[near(i).len()] += 1.0);
    // Components by spreading the smallest number until nothing changes.
    let mut label: Vec<usize> = (0..n).collect();
    while (0..n).fold(false, |changed, i| {
        let least = near(i).iter().map(|&j| label[j]).fold(label[i], usize::min);
        let changes = least != label[i];
        label[i] = least;
        changed | changes
    }) {}
    let components = (0..n).filter(|&i| label[i] == i).count();
    assert!(components > 20);
    check_large(&mask, "synthetic", &|key| match key {
        "n" => vec![n as f64],
        "nnz" => vec![n as f64 + (0..n).map(|i| near(i).len() as f64).sum::<f64>()],
        "degree_hist" => histogram.clone(),
        "ncomp" => vec![components as f64],
        "xLx" => vec![dot(&x, &once)],
        "normLx2" => vec![dot(&once, &once)],
        "normLLx2" => vec![dot(&twice, &twice)],
        _ => once.iter().step_by((n / 200).max(1)).copied().collect(),
    });
}

fn masks() -> impl Strategy<Value = VoxelMask> {
    let shapes = prop_oneof![
        (1..40_usize).prop_map(|n| vec![n]),
        (1..9_usize, 1..12_usize).prop_map(|(a, b)| vec![a, b]),
        (1..6_usize, 1..6_usize, 1..9_usize).prop_map(|(a, b, c)| vec![a, b, c]),
    ];
    (shapes, 0.2..1.0_f64, any::<u64>(), any::<bool>()).prop_map(
        |(shape, density, seed, shuffled)| {
            let cells = shape.iter().product();
            let mut numbers = vec![0.0_f64; cells];
            Stream::new(seed, "mask").uniforms(0, &mut numbers);
            let mut inside: Vec<bool> = numbers.iter().map(|&u| u < density).collect();
            inside[seed as usize % cells] = true;
            let mask = VoxelMask::from_bool_grid(&shape, &inside).unwrap();
            if !shuffled {
                return mask;
            }
            mask.reordered(&Stream::new(seed, "order").permutation(mask.len())).unwrap()
        },
    )
}

fn dense(laplacian: &VoxelLaplacian) -> Mat<f64> {
    let csr = laplacian.to_csr();
    Mat::from_fn(csr.rows(), csr.cols(), |i, j| csr.get(i, j).copied().unwrap_or(0.0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn identities_of_graphs(mask in masks(), seed in 0..1000_u64, columns in 1..20_usize) {
        let laplacian = mask.laplacian(Smoothing::free()).unwrap();
        let n = mask.len();
        let matrix = dense(&laplacian);
        prop_assert!((0..n).all(|i| (0..n).all(|j| matrix[(i, j)] == matrix[(j, i)])));
        prop_assert!(times(&laplacian, 1, &vec![0.7; n]).iter().all(|&y| y == 0.0));
        // Columns, blocks, the matrix.
        let x = normals(seed, n * columns);
        let block = times(&laplacian, columns, &x);
        for c in 0..columns {
            let column: Vec<f64> = (0..n).map(|i| x[i * columns + c]).collect();
            let alone = times(&laplacian, 1, &column);
            prop_assert!((0..n).all(|i| alone[i] == block[i * columns + c]));
            let exact = |i: usize| (0..n).map(|j| matrix[(i, j)] * column[j]).sum::<f64>();
            prop_assert!((0..n).all(|i| (alone[i] - exact(i)).abs() < 1e-13));
            // xᵀLx = −Σ over edges.
            let edges: f64 = (0..n)
                .flat_map(|i| laplacian.neighbours(i).map(move |j| (i, j)))
                .filter(|(i, j)| i < j)
                .map(|(i, j)| (column[i] - column[j]).powi(2))
                .sum();
            prop_assert!((dot(&column, &alone) + edges).abs() <= 1e-13 * (1.0 + edges) * n as f64);
        }
        // Permutation.
        let order = Stream::new(seed, "new order").permutation(n);
        let other = mask.reordered(&order).unwrap().laplacian(Smoothing::free()).unwrap();
        let moved: Vec<f64> = order.iter().flat_map(|&i| &x[i * columns..][..columns]).copied().collect();
        let products = times(&other, columns, &moved);
        for (new, &old) in order.iter().enumerate() {
            prop_assert_eq!(&products[new * columns..][..columns], &block[old * columns..][..columns]);
        }
        prop_assert_eq!(other.components(), laplacian.components());
        // Recurrences of the operator.
        let mut y = vec![1.5; n * columns];
        LinearOperator::<f64>::recurrence(&laplacian, columns, [2.0, -0.5, 4.0], &x, &mut y);
        prop_assert!((0..y.len()).all(|i| (y[i] - (2.0 * block[i] - 0.5 * x[i] + 6.0)).abs() < 1e-12));
    }

    #[test]
    fn modes_are_eigenvectors(mask in masks(), extra in 0..4_usize) {
        let laplacian = mask.laplacian(Smoothing::free()).unwrap();
        let (n, components) = (mask.len(), laplacian.components());
        let k = (components + extra).min(n);
        let modes = laplacian.lowest_modes(k).unwrap();
        prop_assert_eq!(modes.status, Status::Converged);
        // As many zeros as components, and no more: the smallest gap of a path of 40 is 0.006.
        prop_assert_eq!(modes.values.iter().filter(|&&v| v > -1e-3).count(), components.min(k));
        let matrix = dense(&laplacian);
        let eigenvalues = matrix.self_adjoint_eigenvalues(Side::Lower).unwrap();
        for (j, value) in modes.values.iter().enumerate() {
            prop_assert!((value - eigenvalues[n - 1 - j]).abs() < 1e-10, "{} {}", value, j);
            let v: Vec<f64> = (0..n).map(|i| modes.vectors[(i, j)]).collect();
            prop_assert!((dot(&v, &v) - 1.0).abs() < 1e-12);
            let product = times(&laplacian, 1, &v);
            let error = product.iter().zip(&v).map(|(y, v)| (y - value * v).abs());
            prop_assert!(error.fold(0.0, f64::max) < 1e-7);
        }
    }

    #[test]
    fn two_sided_products(targets in masks(), sources in masks(), seed in 0..100_u64, gap in 0..3_usize) {
        let ly = targets.laplacian(Smoothing::free()).unwrap();
        let lx = sources.laplacian(Smoothing::free()).unwrap();
        let (rows, width) = (targets.len(), sources.len());
        let product = ProductLaplacian::new(&ly, &lx);
        let stride = width + gap;
        let held = normals(seed, rows * stride);
        let w = Mat::from_fn(rows, width, |i, j| held[i * stride + j]);
        let (dy, dx) = (dense(&ly), dense(&lx));
        let want = &dy * &w + &w * dx.transpose();
        let mut s = vec![f64::NAN; rows * stride];
        let squares = product.apply(&held, stride, &mut s, stride).unwrap();
        prop_assert!((squares - want.squared_norm_l2()).abs() <= 1e-12 * squares);
        let stored = product.norm_squared(&held, stride).unwrap();
        prop_assert_eq!(stored, squares);
        let again = &dy * &want + &want * &dx;
        let mut g = vec![1.0; rows * stride];
        product.accumulate(0.5, &s, stride, &mut g, stride).unwrap();
        for i in 0..rows {
            for j in 0..width {
                prop_assert!((s[i * stride + j] - want[(i, j)]).abs() < 1e-12);
                prop_assert!((g[i * stride + j] - 1.0 - 0.5 * again[(i, j)]).abs() < 1e-11);
            }
        }
        prop_assert!((0..s.len()).all(|i| i % stride < width || (s[i].is_nan() && g[i] == 1.0)));
        // ⟨S(A), S(B)⟩ is symmetric, and the square for A = B.
        let (a, b) = (normals(seed + 1, rows * width), normals(seed + 2, rows * width));
        let (ab, ba) = (product.inner(&a, &b).unwrap(), product.inner(&b, &a).unwrap());
        prop_assert_eq!(ab, ba);
        let aa = product.inner(&a, &a).unwrap();
        prop_assert!((aa - product.norm_squared(&a, width).unwrap()).abs() <= 1e-12 * aa);
    }

    #[test]
    fn cosine_modes_diagonalise_boxes(a in 1..7_usize, b in 1..10_usize, c in 1..8_usize, seed in 0..99_u64) {
        for shape in [vec![a * b], vec![a, b], vec![b, a, c]] {
            let modes = CosineModes::new(&shape).unwrap();
            let n = modes.len();
            let laplacian = VoxelMask::full(&shape).unwrap().laplacian(Smoothing::free()).unwrap();
            let x = normals(seed, n);
            let mut y = x.clone();
            modes.forward(&mut y).unwrap();
            prop_assert!((dot(&y, &y) - dot(&x, &x)).abs() < 1e-12 * dot(&x, &x));
            y.iter_mut().zip(modes.eigenvalues()).for_each(|(y, mu)| *y *= mu);
            modes.inverse(&mut y).unwrap();
            let want = times(&laplacian, 1, &x);
            prop_assert!(y.iter().zip(&want).all(|(y, want)| (y - want).abs() < 1e-12));
            // Rows and columns of a matrix.
            let w = normals(seed + 1, n * 19);
            let (mut rows, mut columns) = (w.clone(), w.clone());
            modes.forward_rows(&mut rows).unwrap();
            modes.forward_columns(&mut columns, 19).unwrap();
            for r in 0..19 {
                let mut row = w[r * n..][..n].to_vec();
                modes.forward(&mut row).unwrap();
                prop_assert_eq!(&row[..], &rows[r * n..][..n]);
                let mut column: Vec<f64> = (0..n).map(|i| w[i * 19 + r]).collect();
                modes.forward(&mut column).unwrap();
                prop_assert!((0..n).all(|i| column[i] == columns[i * 19 + r]));
            }
            modes.inverse_rows(&mut rows).unwrap();
            modes.inverse_columns(&mut columns, 19).unwrap();
            let close = (0..w.len())
                .all(|i| (w[i] - rows[i]).abs() < 1e-12 && (w[i] - columns[i]).abs() < 1e-12);
            prop_assert!(close);
        }
    }
}

#[test]
fn cosines_are_the_definition() {
    for n in [1, 2, 3, 8, 15] {
        let modes = CosineModes::new(&[n]).unwrap();
        for j in 0..n {
            let mut unit = vec![0.0; n];
            unit[j] = 1.0;
            modes.forward(&mut unit).unwrap();
            for (k, got) in unit.iter().enumerate() {
                let scale = (if k == 0 { 1.0 } else { 2.0 } / n as f64).sqrt();
                let angle = std::f64::consts::PI * (k * (2 * j + 1)) as f64 / (2 * n) as f64;
                assert!((got - scale * angle.cos()).abs() < 1e-14, "{n} {k} {j}");
            }
        }
    }
}

#[test]
fn one_voxel_and_isolated_voxels() {
    let one = VoxelMask::full(&[1]).unwrap().laplacian(Smoothing::free()).unwrap();
    assert_eq!(times(&one, 1, &[3.0]), [0.0]);
    assert_eq!((one.components(), one.degree(0), one.degree(1)), (1, 0, 0));
    assert_eq!(one.lowest_modes(1).unwrap().vectors[(0, 0)], 1.0);
    let apart = VoxelMask::from_coordinates(&[3, 3], &[0, 0, 1, 1, 2, 2, 2, 1]).unwrap();
    let apart = apart.laplacian(Smoothing::free()).unwrap();
    assert_eq!(times(&apart, 1, &[5.0, 7.0, 1.0, 4.0]), [0.0, 4.0 - 7.0, 4.0 - 1.0, 3.0 - 3.0]);
    assert_eq!(apart.component_labels(), [0, 1, 1, 1]);
}

#[test]
fn same_bits_on_any_number_of_threads() {
    let mask = VoxelMask::full(&[23, 29, 31]).unwrap();
    let laplacian = mask.laplacian(Smoothing::free()).unwrap();
    let path = VoxelLaplacian::path(97).unwrap();
    let n = mask.len();
    let w = normals(5, n * 97);
    let run = |threads| {
        on_threads(threads, || {
            let mut y = times(&laplacian, 5, &w[..5 * n]);
            let mut s = vec![0.0; w.len()];
            let product = ProductLaplacian::new(&laplacian, &path);
            y.push(product.apply(&w, 97, &mut s, 97).unwrap());
            y.extend(s);
            y.iter().map(|y| y.to_bits()).collect::<Vec<_>>()
        })
    };
    let one = run(1);
    assert!(run(2) == one && run(3) == one);
}

#[test]
fn bad_input_is_named() {
    let text = |result: hesse::Result<VoxelMask>| result.unwrap_err().to_string();
    let cases = [
        (
            VoxelMask::from_bool_grid(&[2, 2], &[false; 4]),
            "voxels of the mask: expected at least one, got none",
        ),
        (VoxelMask::from_bool_grid(&[2, 2], &[true; 3]), "voxel mask: expected 4, got 3"),
        (VoxelMask::full(&[]), "dimensions of the voxel grid: expected 1, 2 or 3, got 0"),
        (
            VoxelMask::full(&[2, 0]),
            "shape of the voxel grid: expected positive sizes with a product of at most 2^31, got [2, 0]",
        ),
        (
            VoxelMask::full(&[usize::MAX, 3]),
            "shape of the voxel grid: expected positive sizes with a product of at most 2^31, got [18446744073709551615, 3]",
        ),
        (
            VoxelMask::from_coordinates(&[2, 3], &[0, 1, 1]),
            "number of voxel coordinates: expected a multiple of 2, got 3",
        ),
        (
            VoxelMask::from_coordinates(&[2, 3], &[0, 1, 1, 3]),
            "coordinate 1 of voxel 1: expected below 3, got 3",
        ),
        (
            VoxelMask::from_coordinates(&[2, 3], &[0, 1, 1, 2, 0, 1]),
            "voxel 2: expected a cell of its own, got cell 1 again, as voxel 0",
        ),
        (
            VoxelMask::from_indices(&[2, 3], &[5, 6]),
            "grid index of voxel 1: expected below 6, got 6",
        ),
    ];
    for (result, want) in cases {
        assert_eq!(text(result), want);
    }
    let mask = VoxelMask::full(&[4]).unwrap();
    assert_eq!(text(mask.reordered(&[0, 1, 2])), "order of the voxels: expected 4, got 3");
    assert_eq!(text(mask.reordered(&[0, 1, 2, 4])), "voxel: expected below 4, got 4");
    assert!(text(mask.reordered(&[0, 1, 2, 2])).contains("a cell of its own"));
    let error = mask.laplacian(Smoothing::blocked(&[1, 2])).unwrap_err().to_string();
    assert_eq!(error, "region labels of the voxels: expected 4, got 2");
    let laplacian = mask.laplacian(Smoothing::free()).unwrap();
    let error = laplacian.try_apply(&[1.0; 4], &mut [0.0; 5]).unwrap_err().to_string();
    assert_eq!(error, "y of the voxel Laplacian: expected (4, 1), got 5");
    let error = laplacian.lowest_modes(5).unwrap_err().to_string();
    assert_eq!(error, "number of modes: expected 1 to 4, got 5");
    let product = ProductLaplacian::new(&laplacian, &laplacian);
    let error = product.norm_squared(&[0.0; 16], 3).unwrap_err().to_string();
    assert_eq!(error, "row stride of W: expected at least 4, got 3");
    let error = product.norm_squared(&[0.0; 15], 4).unwrap_err().to_string();
    assert_eq!(error, "W: expected 4 x 4 with stride 4, got 15 elements");
    let error = product.accumulate(f64::NAN, &[0.0; 16], 4, &mut [0.0; 16], 4).unwrap_err();
    assert!(error.to_string().starts_with("factor of the product Laplacian: expected finite"));
    let modes = CosineModes::new(&[4]).unwrap();
    let error = modes.forward(&mut [0.0; 3]).unwrap_err().to_string();
    assert_eq!(error, "columns of cosine modes: expected (4, 1), got 3");
    let error = modes.forward_rows(&mut [0.0; 6]).unwrap_err().to_string();
    assert_eq!(error, "rows of cosine modes: expected a multiple of 4 elements, got 6 elements");
}
