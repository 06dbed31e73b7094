//! What a full W costs: value, gradient, products with the Hessian, exact differences.

use hesse_kernels::level1;

use super::data::TracingData;
use super::entries;
use super::product_laplacian::ProductLaplacian;
use super::smoothing_operator::{SmoothingOperator, two_sided};
use crate::error::check_finite;
use crate::{Error, Isa, Result, parallel};

/// f(W) = ‖Ω∘(W X − Y)‖² + λ' ‖L_y W + W L_xᵀ‖², the objective P1 over full matrices W.
///
/// ∇f = 2 R Xᵀ + 2λ'(L_yᵀ S + S L_x) with R = Ω∘(W X − Y) and S = L_y W + W L_xᵀ; f is quadratic. L² is
/// never formed: L is applied twice, which takes 7 + 7 points instead of 25 and keeps more digits.
///
/// W is targets × sources, column-major: element (t, s) at `t + s · targets`, so that a column is the
/// projection image of one source voxel. Cost of a gradient: 2·nnz(X)·n_y + 28 n_x n_y multiply-adds on
/// voxels in three dimensions, memory for one more matrix of the size of W.
///
/// Source: Harris et al. 2016, equation P1, with λ' = λ n_inj/n_x as there.
///
/// ```
/// use hesse::connectome::{SmoothingOperator, SplineObjective, TracingData};
/// use hesse::faer::mat;
///
/// let (x, y) = (mat![[1.0], [0.0]], mat![[0.0], [3.0]]);
/// let data =
///     TracingData::builder().injections_dense(x.as_ref()).projections(y.as_ref()).build()?;
/// let path = SmoothingOperator::of_box(&[2])?;
/// let f = SplineObjective::new(&data, &path, &path, 0.5)?;
/// // W = 0 leaves the observed projection; its gradient is −2 Y Xᵀ.
/// let mut gradient = [1.0; 4];
/// let value = f.gradient(&[0.0; 4], &mut gradient)?;
/// assert_eq!((value.objective, value.penalty), (9.0, 0.0));
/// assert_eq!(gradient, [0.0, -6.0, 0.0, 0.0]);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SplineObjective<'a> {
    pub(super) data: &'a TracingData,
    pub(super) lx: &'a SmoothingOperator,
    pub(super) ly: &'a SmoothingOperator,
    pub(super) lambda_eff: f64,
}

/// The parts of the objective at one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// loss + λ' · penalty.
    pub objective: f64,
    /// ‖Ω∘(W X − Y)‖².
    pub loss: f64,
    /// ‖L_y W + W L_xᵀ‖², without λ'.
    pub penalty: f64,
}

/// Checks that the operators are of the size of the data.
pub(super) fn check_operators(
    data: &TracingData,
    lx: &SmoothingOperator,
    ly: &SmoothingOperator,
) -> Result<()> {
    if lx.voxels() != data.sources() {
        return Err(Error::shape("source voxels of L_x", data.sources(), lx.voxels()));
    }
    if ly.voxels() != data.targets() {
        return Err(Error::shape("target voxels of L_y", data.targets(), ly.voxels()));
    }
    Ok(())
}

/// Checks that λ is a number from 0.
pub(super) fn check_lambda(what: &str, lambda: f64) -> Result<()> {
    if lambda.is_finite() && lambda >= 0.0 {
        return Ok(());
    }
    Err(Error::range(what, "a finite number from 0", lambda))
}

/// What each column of a product of the form Σ Xₛₑ Rₑ gets, R targets × experiments.
pub(super) fn add_injected(
    isa: Isa,
    data: &TracingData,
    factor: f64,
    r: &[f64],
    s: usize,
    out: &mut [f64],
) {
    if let Some(row) = data.by_source().outer_view(s) {
        for (e, x) in row.iter() {
            let n = data.targets();
            level1::axpy(isa, factor * x, &r[e * n..(e + 1) * n], out);
        }
    }
}

/// Ω∘(W X), or with `y` Ω∘(W X − Y); targets × experiments.
pub(super) fn observed_product(data: &TracingData, w: &[f64], subtract_y: bool) -> Vec<f64> {
    let isa = Isa::current();
    let n = data.targets();
    let mut r = vec![0.0; n * data.experiments()];
    parallel::for_each_piece(&mut r, n, |e, r| {
        if let Some(column) = data.injections().outer_view(e) {
            for (s, x) in column.iter() {
                level1::axpy(isa, *x, &w[s * n..(s + 1) * n], r);
            }
        }
        let observed = data.observed().experiment(e);
        let y = data.projection(e);
        for t in 0..n {
            let y = if subtract_y { y[t] } else { 0.0 };
            r[t] = if observed[t] { r[t] - y } else { 0.0 };
        }
    });
    r
}

impl<'a> SplineObjective<'a> {
    /// The objective for these data, Laplacians of source and target voxels, and λ' (which is
    /// λ n_inj/n_x, see [`effective_lambda`]).
    ///
    /// # Errors
    /// [`Error::Shape`] for operators of another size, [`Error::Range`] for a λ' that is negative or
    /// not finite.
    pub fn new(
        data: &'a TracingData,
        lx: &'a SmoothingOperator,
        ly: &'a SmoothingOperator,
        lambda_eff: f64,
    ) -> Result<Self> {
        check_operators(data, lx, ly)?;
        check_lambda("effective lambda", lambda_eff)?;
        Ok(Self { data, lx, ly, lambda_eff })
    }

    /// Entries of W.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.targets() * self.data.sources()
    }

    /// Never: there is at least one voxel on either side.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// λ'.
    #[must_use]
    pub fn lambda_eff(&self) -> f64 {
        self.lambda_eff
    }

    fn check(&self, what: &str, x: &[f64]) -> Result<()> {
        if x.len() != self.len() {
            return Err(Error::shape(what, self.len(), x.len()));
        }
        if entries::all_finite(x) { Ok(()) } else { check_finite(what, x) }
    }

    /// f(W) and its parts.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NonFinite`].
    pub fn value(&self, w: &[f64]) -> Result<Value> {
        self.check("weights", w)?;
        let mut s = entries::zeros("weights", w.len())?;
        Ok(self.value_in(w, &mut s))
    }

    /// f(W) and ∇f(W).
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NonFinite`].
    pub fn gradient(&self, w: &[f64], gradient: &mut [f64]) -> Result<Value> {
        self.check("weights", w)?;
        if gradient.len() != w.len() {
            return Err(Error::shape("gradient", w.len(), gradient.len()));
        }
        let mut s = entries::zeros("weights", w.len())?;
        Ok(self.gradient_in(w, &mut s, gradient))
    }

    /// H\[D\] = 2 (Ω∘(D X)) Xᵀ + 2λ'(L_yᵀ S(D) + S(D) L_x), the same at every W.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NonFinite`].
    pub fn hessian_product(&self, d: &[f64], product: &mut [f64]) -> Result<()> {
        self.check("direction", d)?;
        if product.len() != d.len() {
            return Err(Error::shape("product", d.len(), product.len()));
        }
        let mut s = entries::zeros("weights", d.len())?;
        self.half_hessian(d, &mut s, product);
        entries::scale(2.0, product);
        Ok(())
    }

    /// f(W + D) − f(W) = ⟨∇f(W), D⟩ + ‖Ω∘(D X)‖² + λ'‖S(D)‖², without subtracting two objectives.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NonFinite`].
    pub fn difference(&self, gradient: &[f64], d: &[f64]) -> Result<f64> {
        self.check("gradient", gradient)?;
        self.check("direction", d)?;
        let mut s = entries::zeros("weights", d.len())?;
        let (data, penalty) = self.curvature_in(d, &mut s);
        Ok(entries::dot(gradient, d) + data + self.lambda_eff * penalty)
    }

    /// S = L_y W + W L_xᵀ.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NonFinite`].
    pub fn smoothness(&self, w: &[f64], s: &mut [f64]) -> Result<()> {
        self.check("weights", w)?;
        if s.len() != w.len() {
            return Err(Error::shape("smoothness", w.len(), s.len()));
        }
        let _ = self.penalty_in(w, s);
        Ok(())
    }

    /// The fused operator, where both Laplacians are of voxels. Columns of W are its rows: it acts on
    /// Wᵀ, row-major, with the parts of L_x and L_y exchanged.
    fn fused(&self) -> Option<ProductLaplacian<'a>> {
        Some(ProductLaplacian::new(self.lx.laplacian()?, self.ly.laplacian()?))
    }

    /// S ← L_y W + W L_xᵀ; ‖S‖².
    fn penalty_in(&self, w: &[f64], s: &mut [f64]) -> f64 {
        let n = self.data.targets();
        if let Some(fused) = self.fused()
            && let Ok(square) = fused.apply(w, n, s, n)
        {
            return square;
        }
        two_sided(self.ly.matrix(), self.lx.matrix(), 1.0, w, s, |_, _| ());
        entries::square(s)
    }

    pub(super) fn value_in(&self, w: &[f64], s: &mut [f64]) -> Value {
        let loss = entries::square(&observed_product(self.data, w, true));
        let penalty = self.penalty_in(w, s);
        Value { objective: loss + self.lambda_eff * penalty, loss, penalty }
    }

    /// f(W) = ⟨W, A W − B⟩ − ⟨B, W⟩ + ‖Ω∘Y‖² from the half gradient A W − B: no pass of S, and an error
    /// of some ε‖Ω∘Y‖².
    pub(super) fn value_from_half_gradient(&self, w: &[f64], half: &[f64]) -> f64 {
        let y = self.data.projections_by_experiment();
        let predicted = observed_product(self.data, w, false);
        entries::dot(w, half) - entries::dot(&predicted, y) + entries::square(y)
    }

    /// ‖Ω∘(D X)‖² and ‖S(D)‖².
    pub(super) fn curvature_in(&self, d: &[f64], s: &mut [f64]) -> (f64, f64) {
        let loss = entries::square(&observed_product(self.data, d, false));
        (loss, self.penalty_in(d, s))
    }

    pub(super) fn gradient_in(&self, w: &[f64], s: &mut [f64], g: &mut [f64]) -> Value {
        let r = observed_product(self.data, w, true);
        let loss = entries::square(&r);
        let penalty = self.penalty_in(w, s);
        self.adjoint(2.0 * self.lambda_eff, 2.0, &r, s, g);
        Value { objective: loss + self.lambda_eff * penalty, loss, penalty }
    }

    /// Q ← ½ H\[P\], and S(P) in `s`.
    pub(super) fn half_hessian(&self, p: &[f64], s: &mut [f64], q: &mut [f64]) {
        let r = observed_product(self.data, p, false);
        if self.lambda_eff > 0.0 {
            let _ = self.penalty_in(p, s);
        }
        self.adjoint(self.lambda_eff, 1.0, &r, s, q);
    }

    /// S ← L_y W + W L_xᵀ.
    pub(super) fn smooth(&self, w: &[f64], s: &mut [f64]) {
        let _ = self.penalty_in(w, s);
    }

    /// Z ← Z − τ λ' (L_yᵀ S + S L_x), for Laplacians of voxels; nothing for others.
    pub(super) fn subtract_smoothed(&self, tau: f64, s: &[f64], z: &mut [f64]) {
        let n = self.data.targets();
        if let Some(fused) = self.fused() {
            // Sizes are those of the data.
            let _ = fused.accumulate(-tau * self.lambda_eff, s, n, z, n);
        }
    }

    /// out ← `smooth` (L_yᵀ S + S L_x) + `fit` R Xᵀ.
    fn adjoint(&self, smooth: f64, fit: f64, r: &[f64], s: &[f64], out: &mut [f64]) {
        let isa = Isa::current();
        let n = self.data.targets();
        let fused = self.fused();
        if smooth == 0.0 || fused.is_some() {
            parallel::for_each_piece(out, n, |j, out| {
                out.fill(0.0);
                add_injected(isa, self.data, fit, r, j, out);
            });
        }
        if smooth == 0.0 {
            return;
        }
        if let Some(fused) = fused
            && fused.accumulate(smooth, s, n, out, n).is_ok()
        {
            return;
        }
        two_sided(self.ly.by_column(), self.lx.by_column(), smooth, s, out, |j, out| {
            add_injected(isa, self.data, fit, r, j, out);
        });
    }

    /// B ← (Ω∘Y) Xᵀ: −½ ∇f(0).
    pub(super) fn right_hand_side(&self, b: &mut [f64]) {
        let isa = Isa::current();
        let y = self.data.projections_by_experiment();
        parallel::for_each_piece(b, self.data.targets(), |j, b| {
            b.fill(0.0);
            add_injected(isa, self.data, 1.0, y, j, b);
        });
    }
}

/// λ' = λ n_inj/n_x: with this scale loss and penalty grow alike with the number of experiments and
/// voxels.
#[must_use]
pub fn effective_lambda(data: &TracingData, lambda: f64) -> f64 {
    lambda * data.experiments() as f64 / data.sources() as f64
}

/// Ω∘(F Vᵀ X), column-major F (targets × rank) and V (sources × rank).
pub(super) fn observed_product_of_factors(
    data: &TracingData,
    f: &[f64],
    v: &[f64],
    rank: usize,
) -> Vec<f64> {
    let (ny, nx, experiments) = (data.targets(), data.sources(), data.experiments());
    let mut p = vec![0.0; rank * experiments];
    for (e, column) in data.injections().outer_iterator().enumerate() {
        for k in 0..rank {
            p[k + e * rank] = column.iter().map(|(s, x)| x * v[k * nx + s]).sum();
        }
    }
    let mut out = vec![0.0; ny * experiments];
    super::dense_products::tall_times(ny, rank, f, &p, 0.0, &mut out);
    parallel::for_each_piece(&mut out, ny, |e, out| {
        let observed = data.observed().experiment(e);
        out.iter_mut().zip(observed).for_each(|(p, seen)| *p = if *seen { *p } else { 0.0 });
    });
    out
}
