//! Graph Laplacians against plain loops, to the last bit.

use arbitrary::{Result, Unstructured};
use hesse_kernels::oracle::neighbours_of_grid;
use hesse_kernels::stencil::{
    ProductTile, Run, accumulate_product, apply, norm_of_product, product, recurrence,
};
use hesse_kernels::{Isa, Real};

use crate::numbers::{Numbers, prolonged, same};

type Neighbours = Vec<[Option<usize>; 6]>;

/// Products with Laplacians of any voxels in any order have the bits of the documented formula,
/// alone, in pieces, in blocks and from both sides, and nothing else is written.
///
/// # Panics
/// If they have not.
pub fn stencil(bytes: &[u8]) {
    let bytes = prolonged(bytes);
    let mut u = Unstructured::new(&bytes);
    let _ = match u.arbitrary() {
        Ok(true) => check::<f32>(&mut u),
        _ => check::<f64>(&mut u),
    };
}

/// Some cells of a grid, in order or not.
fn voxels(u: &mut Unstructured<'_>, numbers: &mut Numbers) -> Result<Neighbours> {
    let shape = [u.int_in_range(1..=4)?, u.int_in_range(1..=5)?, u.int_in_range(1..=21)?];
    let kept = u.int_in_range(1..=8)?;
    let cells: usize = shape.iter().product();
    let mut voxels: Vec<usize> =
        (0..cells).filter(|&c| c == 0 || numbers.below(8) < kept).collect();
    if u.arbitrary()? {
        for i in (1..voxels.len()).rev() {
            voxels.swap(i, numbers.below(i + 1));
        }
    }
    Ok(neighbours_of_grid(shape, &voxels))
}

/// As long as possible, but cut wherever `numbers` says.
fn runs(near: &Neighbours, numbers: &mut Numbers) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (i, near) in near.iter().enumerate() {
        let offsets = near.map(|j| j.map(|j| j as i32 - i as i32));
        let joins = numbers.below(30) > 0;
        if !(joins && runs.last_mut().is_some_and(|last| last.extend(offsets))) {
            runs.push(Run::of_point(i as u32, offsets));
        }
    }
    runs
}

/// The formula: differences to the neighbours along an axis first, 0 (or NaN) where there is none.
fn formula<T: Real>(own: T, near: [T; 6]) -> T {
    let [a, b, c, d, e, f] = near.map(|x| x - own);
    ((a + b) + (c + d)) + (e + f)
}

fn check<T: Real>(u: &mut Unstructured<'_>) -> Result<()> {
    let mut numbers = Numbers::read(u)?;
    let near = voxels(u, &mut numbers)?;
    let list = runs(&near, &mut numbers);
    let (n, columns) = (near.len(), u.int_in_range(1..=20)?);
    let offset = u.int_in_range(0..=7)?;
    let held: Vec<T> = numbers.take(n * columns + offset);
    let x = &held[offset..];
    let laplacian = |i: usize, c: usize| {
        let at = |j: usize| x[j * columns + c];
        formula(at(i), near[i].map(|j| at(j.unwrap_or(i))))
    };
    let old: Vec<T> = numbers.take(n * columns);
    let factors: [T; 3] = [numbers.next(), numbers.next(), numbers.next()];
    let cut = numbers.below(list.len() + 1);
    let first = list.get(cut).map_or(n, |s| s.start as usize);
    for isa in Isa::available() {
        let mut y = held.clone();
        apply(isa, &list, columns, 0, x, &mut y[offset..]);
        let (mut z, mut half) = (old.clone(), old.clone());
        recurrence(isa, &list, columns, 0, factors, x, &mut z);
        apply(isa, &list[cut..], columns, first, x, &mut half[first * columns..]);
        for i in 0..n {
            for c in 0..columns {
                let (at, want) = (i * columns + c, laplacian(i, c));
                let label = || format!("{isa} {} point {i}, column {c} of {columns}", T::NAME);
                assert!(same(y[offset + at], want), "{}: {} not {want}", label(), y[offset + at]);
                let [alpha, beta, gamma] = factors;
                let three = (alpha * want + beta * x[at]) + gamma * old[at];
                assert!(same(z[at], three), "{}: {} not {three}", label(), z[at]);
                let part = if i < first { old[at] } else { want };
                assert!(same(half[at], part), "{}: {} not {part}", label(), half[at]);
            }
        }
        assert!(y[..offset].iter().zip(&held).all(|(y, held)| same(*y, *held)));
    }
    both_sides::<T>(u, &mut numbers, &near, &list)
}

fn both_sides<T: Real>(
    u: &mut Unstructured<'_>,
    numbers: &mut Numbers,
    near_x: &Neighbours,
    columns: &[Run],
) -> Result<()> {
    let near_y = voxels(u, numbers)?;
    let (rows, width) = (near_y.len().min(40), near_x.len());
    // A part of the rows, of all of W.
    let all = runs(&near_y, numbers);
    let rows_of: Vec<Run> =
        all.iter().filter(|s| (s.start + s.length) as usize <= rows).copied().collect();
    let written: usize = rows_of.iter().map(|s| s.length as usize).sum();
    let stride = width + u.int_in_range(0..=3)?;
    let w: Vec<T> = numbers.take(near_y.len() * stride);
    let old: Vec<T> = numbers.take(near_y.len() * stride);
    let alpha: T = numbers.next();
    let tile = ProductTile { rows: &rows_of, columns, width, matrix: &w, stride };
    for isa in Isa::available() {
        let (mut s, mut g) = (old.clone(), old.clone());
        let squares = product(isa, tile, 0, &mut s, stride);
        assert!(same(squares, norm_of_product(isa, tile)), "{isa}: {squares}");
        accumulate_product(isa, tile, alpha, 0, &mut g, stride);
        let mut sum = 0.0;
        for at in 0..s.len() {
            let (i, j) = (at / stride, at % stride);
            if i >= written || j >= width {
                assert!(same(s[at], old[at]) && same(g[at], old[at]), "{isa}: ({i}, {j}) written");
                continue;
            }
            let along = formula(w[at], near_x[j].map(|k| w[i * stride + k.unwrap_or(j)]));
            let across = formula(w[at], near_y[i].map(|k| w[k.unwrap_or(i) * stride + j]));
            let want = along + across;
            assert!(same(s[at], want), "{isa} {}: {} not {want} at ({i}, {j})", T::NAME, s[at]);
            assert!(same(g[at], old[at] + alpha * want), "{isa}: {} at ({i}, {j})", g[at]);
            sum += want.to_f64() * want.to_f64();
        }
        let bound = 2.0 * (s.len() + 8) as f64 * f64::EPSILON * sum + f64::MIN_POSITIVE;
        let close = (squares - sum).abs() <= bound;
        assert!(close || !sum.is_finite() && !squares.is_finite(), "{isa}: {squares} for {sum}");
    }
    Ok(())
}
