//! Panels of few long columns, worked on in row shards: the same bits for any number of threads.
//!
//! A panel of n rows is a slice of length n·k, one column after the other. Coefficients are small
//! column-major `f64` matrices; sums are accumulated in `f64`.

use hesse_kernels::panel::{self, Panel, PanelMut};

use crate::parallel;
use crate::{Error, Isa, Real, Result};

/// Rows of a shard: 64 columns of them fit the second-level cache.
const ROWS: usize = 2048;

/// A zeroed panel of n × k, or an error where there is no memory for it.
pub(super) fn zeros<T: Real>(n: usize, k: usize) -> Result<Vec<T>> {
    let mut panel = Vec::new();
    reserve(&mut panel, n, k)?;
    panel.resize(n * k, T::ZERO);
    Ok(panel)
}

/// Room for n × k more elements, or an error where there is no memory for it.
pub(super) fn reserve<T: Real>(panel: &mut Vec<T>, n: usize, k: usize) -> Result<()> {
    let wanted = n.checked_mul(k);
    match wanted.map(|length| panel.try_reserve_exact(length)) {
        Some(Ok(())) => Ok(()),
        _ => Err(Error::range(
            "basis",
            "vectors that fit in memory",
            format!("{k} vectors of {n} elements of {}", T::NAME),
        )),
    }
}

/// xᵀy.
pub(super) fn dot<T: Real>(x: &[T], y: &[T]) -> f64 {
    transpose_product(x, y, x.len()).first().copied().unwrap_or(0.0)
}

/// ‖x‖.
pub(super) fn norm<T: Real>(x: &[T]) -> f64 {
    dot(x, x).sqrt()
}

/// Vᵀ W of two panels with n rows, column-major.
pub(super) fn transpose_product<T: Real>(v: &[T], w: &[T], n: usize) -> Vec<f64> {
    if n == 0 {
        return Vec::new();
    }
    let (isa, k, b) = (Isa::current(), v.len() / n, w.len() / n);
    let shards = parallel::shards(n, ROWS);
    let shard = |s: usize| {
        let (start, rows) = (shards[s].start, shards[s].len());
        let mut h = vec![0.0; k * b];
        if k * b > 0 {
            let v = Panel::new(&v[start..], rows, k, n);
            panel::transpose_product(isa, v, Panel::new(&w[start..], rows, b, n), &mut h);
        }
        h
    };
    let add = |a: &mut Vec<f64>, b: Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    parallel::reduce(shards.len(), shard, add).unwrap_or_default()
}

/// W ← W − V H.
pub(super) fn subtract_product<T: Real>(w: &mut [T], v: &[T], h: &[f64], n: usize) {
    if n == 0 || v.is_empty() {
        return;
    }
    let (isa, k) = (Isa::current(), v.len() / n);
    // One shard's rows of every column of W, so that a shard of V is read once from memory.
    let mut shards: Vec<Vec<&mut [T]>> = (0..n.div_ceil(ROWS)).map(|_| Vec::new()).collect();
    for column in w.chunks_exact_mut(n) {
        for (shard, piece) in shards.iter_mut().zip(column.chunks_mut(ROWS)) {
            shard.push(piece);
        }
    }
    parallel::for_each_piece(&mut shards, 1, |s, shard| {
        for (piece, h) in shard.iter_mut().flatten().zip(h.chunks_exact(k)) {
            let rows = piece.len();
            let v = Panel::new(&v[s * ROWS..], rows, k, n);
            panel::subtract_product(isa, &mut PanelMut::new(piece, rows, 1, rows), v, h);
        }
    });
}

/// x ← a x.
pub(super) fn scale<T: Real>(x: &mut [T], a: f64) {
    parallel::for_each_piece(x, ROWS, |_, piece| {
        for x in piece {
            *x = T::from_f64(x.to_f64() * a);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_plain_loops_over_several_shards() {
        let (n, k, b) = (2 * ROWS + 3, 3, 2);
        let value = |i: usize| ((i * 7919) % 1009) as f64 / 1009.0 - 0.5;
        let v: Vec<f64> = (0..n * k).map(value).collect();
        let mut w: Vec<f64> = (0..n * b).map(|i| value(i + 17)).collect();
        let h = transpose_product(&v, &w, n);
        let original = w.clone();
        subtract_product(&mut w, &v, &h, n);
        for j in 0..b {
            for i in 0..k {
                let want: f64 = (0..n).map(|r| v[r + i * n] * original[r + j * n]).sum();
                assert!((h[i + j * k] - want).abs() <= 1e-12 * n as f64);
            }
            for r in 0..n {
                let want =
                    original[r + j * n] - (0..k).map(|i| v[r + i * n] * h[i + j * k]).sum::<f64>();
                assert!((w[r + j * n] - want).abs() <= 1e-12 * n as f64);
            }
        }
        assert_eq!(dot::<f64>(&[], &[]), 0.0);
        assert_eq!(norm(&[3.0_f32, 4.0]), 5.0);
    }

    #[test]
    fn a_panel_that_no_memory_holds_is_an_error() {
        let error = zeros::<f32>(usize::MAX / 2, 3).unwrap_err().to_string();
        let text = format!(
            "basis: expected vectors that fit in memory, got 3 vectors of {} elements of f32",
            usize::MAX / 2
        );
        assert_eq!(error, text);
    }
}
