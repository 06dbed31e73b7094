//! What factors U, V cost, W = U Vᵀ never formed.

use faer::MatRef;

use super::data::TracingData;
use super::dense_factors;
use super::dense_products::{gram, tall_sum, tall_times};
use super::entries;
use super::objective::{check_lambda, check_operators};
use super::smoothing_operator::SmoothingOperator;
use crate::error::check_finite;
use crate::{Error, Result, parallel};

/// What is added to the loss, times λ'; A = L_y U, B = L_x V.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FactorPenalty {
    /// ‖A Vᵀ + U Bᵀ‖², that of the full matrix.
    #[default]
    Bending,
    /// ‖B‖² + ‖A‖².
    Separable,
    /// ‖B‖²‖U‖² + ‖A‖²‖V‖² + λ'‖B‖²‖A‖² (Huang, Shen and Buja 2009).
    TwoWay,
}

/// How ‖A Vᵀ + U Bᵀ‖² is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PenaltyForm {
    /// By traces of Gram matrices where these keep eight digits, else by thin QR.
    #[default]
    Auto,
    /// ‖R₁R₂ᵀ‖² with \[A U\] = Q₁R₁ and \[V B\] = Q₂R₂: relative error of order ε, whatever cancels.
    ThinQr,
    /// ⟨AᵀA, VᵀV⟩ + 2⟨AᵀU, VᵀB⟩ + ⟨UᵀU, BᵀB⟩: six Gram matrices that the gradient has anyway, absolute
    /// error ε‖A‖²‖V‖², which is all of it where W is smooth.
    Trace,
}

/// The parts of the objective at factors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FactorValue {
    /// loss + λ' · penalty.
    pub objective: f64,
    /// ‖Ω∘(U Vᵀ X − Y)‖².
    pub loss: f64,
    /// The penalty without λ'.
    pub penalty: f64,
    /// Decimal digits that the penalty has lost to cancellation; 0 for thin QR.
    pub digits_lost: f64,
}

/// f(U, V) = ‖Ω∘(U Vᵀ X − Y)‖² + λ' ‖L_y U Vᵀ + U Vᵀ L_xᵀ‖², the objective P2 over factors.
///
/// With P = Vᵀ X, R = Ω∘(U P − Y), A = L_y U, B = L_x V:
/// g_U = 2 R Pᵀ + 2λ'\[L_yᵀ(A(VᵀV) + U(BᵀV)) + A(VᵀB) + U(BᵀB)\],
/// g_V = 2 X(RᵀU) + 2λ'\[L_xᵀ(V(AᵀU) + B(UᵀU)) + V(AᵀA) + B(UᵀA)\].
///
/// *Size.* For the whole brain, 448,962 targets and 226,346 sources with 428 experiments at r = 500, z
/// and its gradient take 2.7 GB each, A 1.8 GB and R 1.5 GB: 8.7 GB besides the data, where W alone would
/// take 813 GB. A gradient is 1.7 TFLOP for the penalty and 0.6 TFLOP for the data, all of it products
/// of tall matrices; the Laplacians move 11 GB. [`memory_estimate`](Self::memory_estimate) says it for
/// any size.
///
/// Unknowns are one vector z: the columns of U (targets), then the columns of V (sources). A gradient
/// takes 10 (n_x + n_y) r² flops in products of matrices (12 where no operator is symmetric), 2 n_y r n_inj
/// for each of three data terms, and memory for A or B, the larger one, and for R; B waits in the
/// gradient. With A = L_y U, L_yᵀ(U(BᵀV)) = A(BᵀV) for symmetric L_y.
///
/// Source: Harris et al. 2016, problem P2 (whose code forms W).
#[derive(Clone, Copy, Debug)]
pub struct FactorObjective<'a> {
    pub(super) data: &'a TracingData,
    pub(super) lx: &'a SmoothingOperator,
    pub(super) ly: &'a SmoothingOperator,
    pub(super) lambda_eff: f64,
    pub(super) rank: usize,
    penalty: FactorPenalty,
    form: PenaltyForm,
}

/// Digits that the trace form may lose before `Auto` goes over to QR.
const MOST_LOST: f64 = 8.0;

/// Inner products of a factor F with itself and with its image G = L F, r × r each: everything that
/// the other side needs to know.
struct Grams {
    /// GᵀG.
    image: Vec<f64>,
    /// GᵀF.
    mixed: Vec<f64>,
    /// FᵀF.
    factor: Vec<f64>,
}

impl Grams {
    fn new(n: usize, image: &[f64], factor: &[f64]) -> Self {
        Self {
            image: gram(n, image, image),
            mixed: gram(n, image, factor),
            factor: gram(n, factor, factor),
        }
    }
}

/// One side of W = U Vᵀ: the factor F, its image G = L F.
struct Side<'s> {
    l: &'s SmoothingOperator,
    factor: &'s [f64],
    image: &'s [f64],
}

impl Side<'_> {
    /// out ← `scale` (Lᵀ(G(F₂ᵀF₂) + F(G₂ᵀF₂)) + G(F₂ᵀG₂) + F(G₂ᵀG₂)) + `more`, a product, with F₂ and G₂
    /// of the other side. `image` and `out` are n × r.
    ///
    /// Where L is symmetric, LᵀF = G, so that three products do for the four.
    fn gradient(&self, other: &Grams, scale: f64, more: (&[f64], &[f64]), out: &mut [f64]) {
        let n = self.l.voxels();
        let rank = self.factor.len() / n;
        let scaled = |x: &[f64]| -> Vec<f64> { x.iter().map(|x| scale * x).collect() };
        let (own, mixed) = (scaled(&other.factor), scaled(&other.mixed));
        let mut transposed: Vec<f64> =
            (0..rank * rank).map(|i| mixed[i / rank + i % rank * rank]).collect();
        if self.l.is_symmetric() {
            transposed.iter_mut().zip(&mixed).for_each(|(sum, x)| *sum += x);
            tall_sum(n, &[(self.image, &own)], 0.0, out);
        } else {
            tall_sum(n, &[(self.image, &own), (self.factor, &mixed)], 0.0, out);
        }
        self.l.transposed_columns_in_place(out);
        let image = scaled(&other.image);
        tall_sum(n, &[(self.image, &transposed), (self.factor, &image), more], 1.0, out);
    }
}

impl<'a> FactorObjective<'a> {
    /// The objective for these data, Laplacians of source and target voxels, λ' and a rank.
    ///
    /// # Errors
    /// [`Error::Shape`] for operators of another size, [`Error::Range`] for λ', and for a rank that is
    /// 0 or larger than the smaller side.
    pub fn new(
        data: &'a TracingData,
        lx: &'a SmoothingOperator,
        ly: &'a SmoothingOperator,
        lambda_eff: f64,
        rank: usize,
    ) -> Result<Self> {
        check_operators(data, lx, ly)?;
        check_lambda("effective lambda", lambda_eff)?;
        check_rank(data, rank)?;
        let (penalty, form) = (FactorPenalty::default(), PenaltyForm::default());
        Ok(Self { data, lx, ly, lambda_eff, rank, penalty, form })
    }

    /// Another penalty.
    #[must_use]
    pub fn penalty(self, penalty: FactorPenalty) -> Self {
        Self { penalty, ..self }
    }

    /// Another way to compute the penalty of [`FactorPenalty::Bending`].
    #[must_use]
    pub fn form(self, form: PenaltyForm) -> Self {
        Self { form, ..self }
    }

    /// Number of unknowns: (targets + sources) · rank.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.data.targets() + self.data.sources()) * self.rank
    }

    /// Never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// z of factors.
    ///
    /// # Errors
    /// [`Error::Shape`] for factors of another shape.
    pub fn pack(&self, u: MatRef<'_, f64>, v: MatRef<'_, f64>) -> Result<Vec<f64>> {
        for (what, n, factor) in
            [("factor U", self.data.targets(), u), ("factor V", self.data.sources(), v)]
        {
            if factor.shape() != (n, self.rank) {
                return Err(Error::shape(what, (n, self.rank), factor.shape()));
            }
        }
        let mut z = super::dense_products::packed(u);
        z.extend(super::dense_products::packed(v));
        Ok(z)
    }

    /// Bytes that a gradient takes besides the data, z and the gradient: an image of the larger factor
    /// and the residual.
    #[must_use]
    pub fn memory_estimate(&self) -> usize {
        let (ny, nx) = (self.data.targets(), self.data.sources());
        size_of::<f64>() * (ny.max(nx) * self.rank + ny * self.data.experiments())
    }

    fn split<'z>(&self, z: &'z [f64]) -> (&'z [f64], &'z [f64]) {
        z.split_at(self.data.targets() * self.rank)
    }

    fn check(&self, what: &str, z: &[f64]) -> Result<()> {
        if z.len() != self.len() {
            return Err(Error::shape(what, self.len(), z.len()));
        }
        check_finite(what, z)
    }

    /// f and its parts.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NonFinite`].
    pub fn value(&self, z: &[f64]) -> Result<FactorValue> {
        self.check("factors", z)?;
        self.evaluate(z, None)
    }

    /// f and its gradient with respect to z.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NonFinite`].
    pub fn gradient(&self, z: &[f64], gradient: &mut [f64]) -> Result<FactorValue> {
        self.check("factors", z)?;
        if gradient.len() != z.len() {
            return Err(Error::shape("gradient", z.len(), gradient.len()));
        }
        self.evaluate(z, Some(gradient))
    }

    /// P = Vᵀ X, r × experiments.
    fn injected(&self, v: &[f64]) -> Vec<f64> {
        let (n, r) = (self.data.sources(), self.rank);
        let x = self.data.injections();
        let mut p = vec![0.0; r * self.data.experiments()];
        parallel::for_each_piece(&mut p, r, |e, p| {
            let Some(column) = x.outer_view(e) else { return };
            for (k, p) in p.iter_mut().enumerate() {
                *p = column.iter().map(|(s, x)| x * v[k * n + s]).sum();
            }
        });
        p
    }

    /// Ω∘(U P), less Y where asked.
    fn residual(&self, u: &[f64], p: &[f64], subtract_y: bool) -> Vec<f64> {
        let n = self.data.targets();
        let mut r = vec![0.0; n * self.data.experiments()];
        tall_times(n, self.rank, u, p, 0.0, &mut r);
        parallel::for_each_piece(&mut r, n, |e, r| {
            let (observed, y) = (self.data.observed().experiment(e), self.data.projection(e));
            for (t, r) in r.iter_mut().enumerate() {
                let y = if subtract_y { y[t] } else { 0.0 };
                *r = if observed[t] { *r - y } else { 0.0 };
            }
        });
        r
    }

    /// 2 Pᵀ, experiments × r.
    fn twice_transposed(&self, p: &[f64]) -> Vec<f64> {
        let (rank, experiments) = (self.rank, self.data.experiments());
        let at = |i: usize| 2.0 * p[i / experiments + i % experiments * rank];
        (0..experiments * rank).map(at).collect()
    }

    /// g_V += 2 X (RᵀU).
    fn add_injected_residual(&self, u: &[f64], r: &[f64], gv: &mut [f64]) {
        let (ny, nx, experiments) =
            (self.data.targets(), self.data.sources(), self.data.experiments());
        // RᵀU: experiments × r.
        let ru = gram(ny, r, u);
        let x = self.data.injections();
        parallel::for_each_piece(gv, nx, |k, gv| {
            for (e, column) in x.outer_iterator().enumerate() {
                let factor = 2.0 * ru[e + k * experiments];
                column.iter().for_each(|(s, x)| gv[s] += factor * x);
            }
        });
    }

    /// g_U += 2 R Pᵀ and g_V += 2 X (RᵀU).
    fn data_gradient(&self, u: &[f64], p: &[f64], r: &[f64], gu: &mut [f64], gv: &mut [f64]) {
        let back = self.twice_transposed(p);
        tall_times(self.data.targets(), self.data.experiments(), r, &back, 1.0, gu);
        self.add_injected_residual(u, r, gv);
    }

    fn evaluate(&self, z: &[f64], gradient: Option<&mut [f64]>) -> Result<FactorValue> {
        let (u, v) = self.split(z);
        let p = self.injected(v);
        let r = self.residual(u, &p, true);
        let loss = entries::square(&r);
        let (penalty, digits_lost);
        match self.penalty {
            FactorPenalty::Bending => {
                (penalty, digits_lost) = self.bending(u, v, &p, &r, gradient)?;
            }
            other => {
                digits_lost = 0.0;
                let mut a = vec![0.0; u.len()];
                let mut b = vec![0.0; v.len()];
                self.ly.apply_columns(u, &mut a);
                self.lx.apply_columns(v, &mut b);
                let squares = [&a[..], &b, u, v].map(entries::square);
                let [aa, bb, uu, vv] = squares;
                let lambda = self.lambda_eff;
                // f = loss + λ' penalty; ∂/∂U = c_u U + c_a L_yᵀA, ∂/∂V likewise.
                let (cu, ca, cv, cb);
                if other == FactorPenalty::Separable {
                    penalty = aa + bb;
                    (cu, ca, cv, cb) = (0.0, 1.0, 0.0, 1.0);
                } else {
                    penalty = bb * uu + aa * vv + lambda * bb * aa;
                    (cu, ca, cv, cb) = (bb, vv + lambda * bb, aa, uu + lambda * aa);
                }
                if let Some(g) = gradient {
                    let (gu, gv) = g.split_at_mut(u.len());
                    self.ly.apply_transposed_columns(&a, gu);
                    self.lx.apply_transposed_columns(&b, gv);
                    entries::axpby(2.0 * lambda * cu, u, 2.0 * lambda * ca, gu);
                    entries::axpby(2.0 * lambda * cv, v, 2.0 * lambda * cb, gv);
                    self.data_gradient(u, &p, &r, gu, gv);
                }
            }
        }
        let objective = loss + self.lambda_eff * penalty;
        Ok(FactorValue { objective, loss, penalty, digits_lost })
    }

    /// ‖A Vᵀ + U Bᵀ‖² and the digits lost; the gradient of everything, where it is asked for.
    ///
    /// One image is held besides the gradient, in whose second part the other one waits.
    fn bending(
        &self,
        u: &[f64],
        v: &[f64],
        p: &[f64],
        r: &[f64],
        gradient: Option<&mut [f64]>,
    ) -> Result<(f64, f64)> {
        let (ny, nx) = (self.data.targets(), self.data.sources());
        let mut held = entries::zeros("image of a factor", u.len().max(v.len()))?;
        let a = &mut held[..u.len()];
        self.ly.apply_columns(u, a);
        let left = Grams::new(ny, a, u);
        let Some(g) = gradient else {
            let b = &mut held[..v.len()];
            self.lx.apply_columns(v, b);
            let right = Grams::new(nx, b, v);
            drop(held);
            return Ok(self.bending_value(&left, &right, u, v));
        };
        let (gu, gv) = g.split_at_mut(u.len());
        self.lx.apply_columns(v, gv);
        let right = Grams::new(nx, gv, v);
        let scale = 2.0 * self.lambda_eff;
        let targets = Side { l: self.ly, factor: u, image: a };
        targets.gradient(&right, scale, (r, &self.twice_transposed(p)), gu);
        let b = &mut held[..v.len()];
        b.copy_from_slice(gv);
        let sources = Side { l: self.lx, factor: v, image: b };
        sources.gradient(&left, scale, (&[], &[]), gv);
        self.add_injected_residual(u, r, gv);
        drop(held);
        Ok(self.bending_value(&left, &right, u, v))
    }

    /// ‖A Vᵀ + U Bᵀ‖² and the digits lost.
    fn bending_value(&self, left: &Grams, right: &Grams, u: &[f64], v: &[f64]) -> (f64, f64) {
        if self.form != PenaltyForm::ThinQr {
            let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
            let r = self.rank;
            // ⟨AᵀU, VᵀB⟩.
            let mixed: f64 =
                (0..r * r).map(|i| left.mixed[i] * right.mixed[i / r + i % r * r]).sum();
            let (first, last) = (dot(&left.image, &right.factor), dot(&left.factor, &right.image));
            let (sum, size) =
                (first + 2.0 * mixed + last, first.abs() + 2.0 * mixed.abs() + last.abs());
            let lost = if size == 0.0 {
                0.0
            } else if sum > 0.0 {
                (size / sum).log10().max(0.0)
            } else {
                16.0
            };
            if self.form == PenaltyForm::Trace || lost <= MOST_LOST {
                return (sum.max(0.0), lost);
            }
        }
        // R of [F G] = Q R; G first or last, as asked.
        let of = |l: &SmoothingOperator, factor: &[f64], image_first: bool| {
            let mut block = vec![0.0; 2 * factor.len()];
            let (first, second) = block.split_at_mut(factor.len());
            let (image, copy) = if image_first { (first, second) } else { (second, first) };
            l.apply_columns(factor, image);
            copy.copy_from_slice(factor);
            dense_factors::qr_r(MatRef::from_column_major_slice(&block, l.voxels(), 2 * self.rank))
        };
        let (left, right) = (of(self.ly, u, true), of(self.lx, v, false));
        let mut sum = 0.0;
        for j in 0..right.nrows() {
            for i in 0..left.nrows() {
                let dot: f64 =
                    (i.max(j)..2 * self.rank).map(|k| left[(i, k)] * right[(j, k)]).sum();
                sum += dot * dot;
            }
        }
        (sum, 0.0)
    }

    /// The Hessian at `z` times `d`, for [`FactorPenalty::Bending`].
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NonFinite`]; [`Error::Range`] for the other penalties.
    pub fn hessian_product(&self, z: &[f64], d: &[f64], product: &mut [f64]) -> Result<()> {
        self.check("factors", z)?;
        self.check("direction", d)?;
        if product.len() != z.len() {
            return Err(Error::shape("product", z.len(), product.len()));
        }
        if self.penalty != FactorPenalty::Bending {
            let got = format!("{:?}", self.penalty);
            return Err(Error::range("penalty of Hessian products", "Bending", got));
        }
        let (ny, nx, r) = (self.data.targets(), self.data.sources(), self.rank);
        let ((u, v), (du, dv)) = (self.split(z), self.split(d));
        let applied = |l: &SmoothingOperator, x: &[f64]| {
            let mut y = vec![0.0; x.len()];
            l.apply_columns(x, &mut y);
            y
        };
        let (a, b) = (applied(self.ly, u), applied(self.lx, v));
        let (da, db) = (applied(self.ly, du), applied(self.lx, dv));
        // S = [A U][V B]ᵀ and its change [dA dU A U][V B dV dB]ᵀ.
        let (s_left, s_right) = ([&a[..], u].concat(), [v, &b[..]].concat());
        let (ds_left, ds_right) = ([&da[..], du, &a, u].concat(), [v, &b[..], dv, &db].concat());
        let times = |left: &[f64], right: &[f64], n: usize, m: usize, x: &[f64]| {
            let inner = gram(m, right, x);
            let mut out = vec![0.0; n * r];
            tall_times(n, left.len() / n, left, &inner, 0.0, &mut out);
            out
        };
        let sum = |x: Vec<f64>, y: Vec<f64>| -> Vec<f64> {
            x.into_iter().zip(y).map(|(x, y)| x + y).collect()
        };
        let (gu, gv) = product.split_at_mut(u.len());
        let scale = 2.0 * self.lambda_eff;
        let s = |x: &[f64]| times(&s_left, &s_right, ny, nx, x);
        let ds = |x: &[f64]| times(&ds_left, &ds_right, ny, nx, x);
        let st = |x: &[f64]| times(&s_right, &s_left, nx, ny, x);
        let dst = |x: &[f64]| times(&ds_right, &ds_left, nx, ny, x);
        self.ly.apply_transposed_columns(&sum(ds(v), s(dv)), gu);
        entries::axpby(scale, &sum(ds(&b), s(&db)), scale, gu);
        self.lx.apply_transposed_columns(&sum(dst(u), st(du)), gv);
        entries::axpby(scale, &sum(dst(&a), st(&da)), scale, gv);
        let (p, dp) = (self.injected(v), self.injected(dv));
        let residual = self.residual(u, &p, true);
        let change = sum(self.residual(du, &p, false), self.residual(u, &dp, false));
        // 2(dR Pᵀ + R dPᵀ) and 2X(dRᵀU + Rᵀ dU).
        self.data_gradient(u, &p, &change, gu, gv);
        self.data_gradient(du, &dp, &residual, gu, gv);
        Ok(())
    }
}

/// Checks a rank against the sizes of the data.
pub(super) fn check_rank(data: &TracingData, rank: usize) -> Result<()> {
    let most = data.targets().min(data.sources());
    if (1..=most).contains(&rank) {
        return Ok(());
    }
    Err(Error::range("rank", format!("1 to {most}"), rank))
}
