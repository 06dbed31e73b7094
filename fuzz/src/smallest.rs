//! Lists of the smallest values of tiles, and direct distances, against plain loops.

use arbitrary::{Result, Unstructured};
use hesse_kernels::distance::{squared_distances, squared_distances_at};
use hesse_kernels::smallest::{Entry, Lists, offer_columns, offer_rows};
use hesse_kernels::{Isa, Real, oracle};

use crate::numbers::{Numbers, prolonged, same};

/// Lists hold what sorting gives, for any numbers, shapes and cuts into tiles, and distances have
/// the bits of the plain loop, on every instruction set.
///
/// # Panics
/// If they do not.
pub fn smallest(bytes: &[u8]) {
    let bytes = prolonged(bytes);
    let mut u = Unstructured::new(&bytes);
    let _ = match u.arbitrary() {
        Ok(true) => check::<f32>(&mut u),
        _ => check::<f64>(&mut u),
    };
}

fn check<T: Real>(u: &mut Unstructured<'_>) -> Result<()> {
    let (lists, n) = (u.int_in_range(1..=40)?, u.int_in_range(1..=120)?);
    let keep = u.int_in_range(1..=30)?;
    let room = keep + u.int_in_range(1..=30)?;
    let offset = u.int_in_range(0..=5)?;
    let mut numbers = Numbers::read(u)?;
    let values = numbers.take::<T>(lists * n);
    let shifts = numbers.take::<T>(n);
    let mut cuts = vec![0];
    while cuts[cuts.len() - 1] < n {
        let step = 1 + numbers.below(n);
        cuts.push((cuts[cuts.len() - 1] + step).min(n));
    }
    for isa in Isa::available() {
        for by_rows in [true, false] {
            selected(isa, by_rows, (lists, keep, room, offset), &values, &shifts, &cuts);
        }
        distances(isa, &values, &shifts);
    }
    Ok(())
}

fn selected<T: Real>(
    isa: Isa,
    by_rows: bool,
    (lists, keep, room, offset): (usize, usize, usize, usize),
    values: &[T],
    shifts: &[T],
    cuts: &[usize],
) {
    let n = shifts.len();
    let mut entries = vec![Entry::<T>::default(); lists * room];
    let (mut counts, mut limits) = (vec![0; lists], vec![T::INFINITY; lists]);
    let mut view = Lists::new(&mut entries, &mut counts, &mut limits, keep);
    for cut in cuts.windows(2) {
        let (start, width) = (cut[0], cut[1] - cut[0]);
        // At any alignment.
        let mut tile = vec![T::ZERO; offset];
        tile.extend((0..lists * width).map(|e| match by_rows {
            true => values[e / width * n + start + e % width],
            false => values[e % lists * n + start + e / lists],
        }));
        let (tile, shifts) = (&tile[offset..], &shifts[start..start + width]);
        match by_rows {
            true => offer_rows(isa, &mut view, tile, shifts, start as u32),
            false => offer_columns(isa, &mut view, tile, shifts, start as u32),
        }
    }
    for list in 0..lists {
        let all: Vec<f64> = (0..n).map(|i| (values[list * n + i] + shifts[i]).to_f64()).collect();
        let want = oracle::smallest(&all, keep);
        let (got, limit) = view.finish(list);
        let label = format!("{isa} {} list {list} by rows {by_rows}", T::NAME);
        assert_eq!(got.len(), want.len(), "{label}");
        for (got, (value, index)) in got.iter().zip(&want) {
            assert!(got.value.to_f64() == *value && got.index as usize == *index, "{label}");
        }
        // Nothing that was left out lies below the limit.
        let left_out = oracle::smallest(&all, n).into_iter().skip(keep);
        for (value, _) in left_out {
            assert!(value >= limit.to_f64(), "{label}: {value} {limit}");
        }
    }
}

fn distances<T: Real>(isa: Isa, rows: &[T], x: &[T]) {
    let (n, count) = (x.len(), rows.len() / x.len());
    let mut got = vec![f64::NAN; count];
    squared_distances(isa, x, rows, &mut got);
    for (r, &got) in got.iter().enumerate() {
        let mut sums = [0.0_f64; 16];
        for i in 0..n {
            let difference = x[i].to_f64() - rows[r * n + i].to_f64();
            sums[i % 16] += difference * difference;
        }
        for width in [8, 4, 2, 1] {
            (0..width).for_each(|s| sums[s] += sums[s + width]);
        }
        assert!(same(got, sums[0]), "{isa} {} row {r} of length {n}: {got} {}", T::NAME, sums[0]);
    }
    let indices: Vec<u32> = (0..count as u32).rev().collect();
    let mut listed = vec![f64::NAN; count];
    squared_distances_at(isa, x, rows, &indices, &mut listed);
    assert!(listed.iter().zip(got.iter().rev()).all(|(a, b)| same(*a, *b)), "{isa}");
}
