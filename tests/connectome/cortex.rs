//! Masks and injections of a real cortex, where the data are there, and a twin on a synthetic patch.

use hesse::connectome::{SmoothingOperator, SplineRegression, Status, TracingData, VoxelMask};
use hesse::faer::Mat;
use hesse::random::Stream;

use crate::full::entries;
use crate::golden::{Golden, close, columns, distance, size};

#[test]
fn a_patch_of_cortex_has_the_stored_minimiser() {
    let Some(golden) = Golden::read_shared("cortex_patch") else { return };
    let data = golden.data("");
    let (_, coordinates) = golden.array("coords");
    let coordinates: Vec<usize> = coordinates.iter().map(|c| *c as usize).collect();
    let mask = VoxelMask::from_coordinates(&[132, 114], &coordinates).unwrap();
    let l = SmoothingOperator::of_voxels(&mask).unwrap();
    assert_eq!(l.matrix().nnz() as f64, golden.scalar("nnz_L"));
    let fit = SplineRegression::new().lambda(golden.scalar("lam")).fit(&data, &l, &l).unwrap();
    assert_eq!(fit.status, Status::Converged, "{}", fit.kkt_relative);
    close("f", fit.objective, golden.scalar("f"), 1e-9);
    let want = columns(golden.mat("W").as_ref());
    assert!(distance(entries(&fit), &want) <= 1e-6 * size(&want));
    assert_eq!(fit.n_active, 2739);
}

#[test]
fn a_synthetic_patch_is_solved_to_a_certificate() {
    // A disc with a notch, round injections, local projections.
    let inside: Vec<bool> = (0..144)
        .map(|i| {
            let (r, c) = ((i / 12) as f64 - 5.5, (i % 12) as f64 - 5.5);
            r * r + c * c < 30.0 && !(r.abs() < 1.0 && c > 2.0)
        })
        .collect();
    let mask = VoxelMask::from_bool_grid(&[12, 12], &inside).unwrap();
    let n = mask.len();
    let place = |i: usize| {
        let at = mask.coordinates(i).unwrap();
        [at[0] as f64, at[1] as f64]
    };
    let square = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
    let centres = Stream::new(3, "centres");
    let x = Mat::from_fn(n, 6, |s, e| {
        let centre = place(centres.below(e as u64, n as u64) as usize);
        f64::from(u8::from(square(place(s), centre) <= 3.0))
    });
    let mut noise = vec![0.0; 6 * n];
    Stream::new(3, "noise").normals(0, &mut noise);
    let y = Mat::from_fn(n, 6, |t, e| {
        let signal: f64 =
            (0..n).map(|s| x[(s, e)] * (-square(place(t), place(s)) / 8.0).exp()).sum();
        (signal + 0.3 * noise[t + e * n]).max(0.0)
    });
    let data = TracingData::builder()
        .injections_dense(x.as_ref())
        .projections(y.as_ref())
        .build()
        .unwrap();
    let l = SmoothingOperator::of_voxels(&mask).unwrap();
    let fit = SplineRegression::new().lambda(10.0).fit(&data, &l, &l).unwrap();
    assert_eq!(fit.status, Status::Converged, "{}", fit.kkt_relative);
    assert!(fit.n_active > n && fit.kkt_relative <= 1e-8);
}
