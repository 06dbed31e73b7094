//! Nonnegative factors to start from.

use faer::{Mat, MatRef};

use super::dense_factors::{Svd, thin_svd};
use super::dense_products::times;
use crate::random::Stream;
use crate::{Error, Result};

/// Uniform on (0, 1), divided by √(n·rank): the published start, with our own random numbers.
pub(super) fn random(
    targets: usize,
    sources: usize,
    rank: usize,
    seed: u64,
) -> (Mat<f64>, Mat<f64>) {
    let draw = |n: usize, purpose: &str| {
        let mut values = vec![0.0; n * rank];
        Stream::new(seed, purpose).uniforms(0, &mut values);
        let scale = ((n * rank) as f64).sqrt().recip();
        Mat::from_fn(n, rank, |i, j| scale * values[i + j * n])
    };
    (draw(targets, "start of U"), draw(sources, "start of V"))
}

/// Nonnegative factors of rank r from the r leading singular triplets of W: of each the larger of its
/// positive and negative parts.
///
/// With σ, a, b a triplet and a⁺, a⁻ the parts of a, the column is √(σm) a⁺/‖a⁺‖ where
/// m = ‖a⁺‖‖b⁺‖ ≥ ‖a⁻‖‖b⁻‖, else the same with a⁻ and b⁻.
///
/// Source: Boutsidis and Gallopoulos 2008 (NNDSVD).
///
/// # Errors
/// [`Error::Range`] for a rank that is 0 or larger than the smaller side of W.
pub fn svd_split(w: MatRef<'_, f64>, rank: usize) -> Result<(Mat<f64>, Mat<f64>)> {
    let most = w.nrows().min(w.ncols());
    if !(1..=most).contains(&rank) {
        return Err(Error::range("rank", format!("1 to {most}"), rank));
    }
    let Svd { u, s, v } = thin_svd(w)?;
    Ok(split_triplets(&u, &s[..rank], &v))
}

fn split_triplets(u: &Mat<f64>, s: &[f64], v: &Mat<f64>) -> (Mat<f64>, Mat<f64>) {
    let rank = s.len();
    let mut left = Mat::<f64>::zeros(u.nrows(), rank);
    let mut right = Mat::<f64>::zeros(v.nrows(), rank);
    for k in 0..rank {
        let norm = |a: &Mat<f64>, sign: f64| {
            a.col(k).iter().map(|x| (sign * x).max(0.0).powi(2)).sum::<f64>().sqrt()
        };
        let [(up, vp), (un, vn)] = [1.0, -1.0].map(|sign| (norm(u, sign), norm(v, sign)));
        let (sign, nu, nv) = if up * vp >= un * vn { (1.0, up, vp) } else { (-1.0, un, vn) };
        let scale = (s[k] * nu * nv).sqrt();
        let part =
            |x: f64, norm: f64| if norm > 0.0 { scale * (sign * x).max(0.0) / norm } else { 0.0 };
        for i in 0..u.nrows() {
            left[(i, k)] = part(u[(i, k)], nu);
        }
        for i in 0..v.nrows() {
            right[(i, k)] = part(v[(i, k)], nv);
        }
    }
    (left, right)
}

/// [`svd_split`] of A Bᵀ, which is not formed.
pub(super) fn svd_split_of_factors(a: &Mat<f64>, b: &Mat<f64>) -> Result<(Mat<f64>, Mat<f64>)> {
    let (left, right) = (thin_svd(a.as_ref())?, thin_svd(b.as_ref())?);
    // A Bᵀ = U₁ (S₁ V₁ᵀ V₂ S₂) U₂ᵀ.
    let inner = Mat::from_fn(left.s.len(), right.s.len(), |i, j| {
        let dot: f64 = (0..a.ncols()).map(|k| left.v[(k, i)] * right.v[(k, j)]).sum();
        left.s[i] * dot * right.s[j]
    });
    let core = thin_svd(inner.as_ref())?;
    let u = times(left.u.as_ref(), core.u.as_ref());
    let v = times(right.u.as_ref(), core.v.as_ref());
    Ok(split_triplets(&u, &core.s, &v))
}

/// Nonnegative factors of rank 2p − 1 from signed ones of rank p: |a₁|, |b₁|, then for each further
/// pair its positive parts (a⁺, b⁺) and its negative parts (a⁻, b⁻).
///
/// Source: the nonnegative follow-up of Kürschner et al. 2019.
///
/// # Errors
/// [`Error::Empty`] for no columns, [`Error::Shape`] unless both have as many.
pub fn split_signed(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Result<(Mat<f64>, Mat<f64>)> {
    if a.ncols() == 0 {
        return Err(Error::empty("columns of the signed factors"));
    }
    if a.ncols() != b.ncols() {
        return Err(Error::shape("columns of the signed factors", a.ncols(), b.ncols()));
    }
    let split = |m: MatRef<'_, f64>| {
        Mat::from_fn(m.nrows(), 2 * m.ncols() - 1, |i, j| match j {
            0 => m[(i, 0)].abs(),
            j if j % 2 == 1 => m[(i, j.div_ceil(2))].max(0.0),
            j => (-m[(i, j / 2)]).max(0.0),
        })
    };
    Ok((split(a), split(b)))
}

/// Scales each pair of columns so that both have the same norm; U Vᵀ stays. A pair with a zero column
/// becomes zero.
pub fn balance(u: &mut Mat<f64>, v: &mut Mat<f64>) {
    for k in 0..u.ncols().min(v.ncols()) {
        let norm = |m: &Mat<f64>| m.col(k).iter().map(|x| x * x).sum::<f64>().sqrt();
        let (a, b) = (norm(u), norm(v));
        let (left, right) =
            if a > 0.0 && b > 0.0 { ((b / a).sqrt(), (a / b).sqrt()) } else { (0.0, 0.0) };
        u.col_mut(k).iter_mut().for_each(|x| *x *= left);
        v.col_mut(k).iter_mut().for_each(|x| *x *= right);
    }
}
