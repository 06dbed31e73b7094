//! The unconstrained problem restricted to matrices U C Vᵀ with given orthonormal U and V.

use faer::{Mat, MatRef};

use super::data::TracingData;
use super::dense_products::{gram, tall_times};
use super::entries;
use super::greedy_equation::conjugate_gradients;
use super::smoothing_operator::SmoothingOperator;
use crate::krylov::symmetric_eigen;
use crate::{Error, Result, parallel};

/// Bases U and V, and the operator between them.
pub(super) struct Galerkin<'a> {
    data: &'a TracingData,
    lx: &'a SmoothingOperator,
    ly: &'a SmoothingOperator,
    lambda_eff: f64,
    u: Vec<f64>,
    v: Vec<f64>,
    /// L_y U and L_x V.
    lu: Vec<f64>,
    lv: Vec<f64>,
}

/// Conjugate gradient steps of one system.
const STEPS: usize = 2000;

impl<'a> Galerkin<'a> {
    pub fn new(
        data: &'a TracingData,
        lx: &'a SmoothingOperator,
        ly: &'a SmoothingOperator,
        lambda_eff: f64,
    ) -> Self {
        let [u, v, lu, lv] = [const { Vec::new() }; 4];
        Self { data, lx, ly, lambda_eff, u, v, lu, lv }
    }

    pub fn rank(&self) -> usize {
        self.u.len() / self.data.targets()
    }

    /// U, targets × rank.
    pub fn targets(&self) -> &[f64] {
        &self.u
    }

    /// V, sources × rank.
    pub fn sources(&self) -> &[f64] {
        &self.v
    }

    /// Appends what is new in z₁ and z₂ to the bases; false if nothing is new on one side.
    pub fn append(&mut self, z1: &[f64], z2: &[f64]) -> Result<bool> {
        let (Some(u), Some(v)) = (new_direction(&self.u, z1), new_direction(&self.v, z2)) else {
            return Ok(false);
        };
        for (basis, images, l, x) in
            [(&mut self.u, &mut self.lu, self.ly, u), (&mut self.v, &mut self.lv, self.lx, v)]
        {
            let mut image = vec![0.0; x.len()];
            l.apply_columns(&x, &mut image);
            if !entries::all_finite(&image) {
                return Err(Error::range("correction", "finite numbers", "others"));
            }
            basis.extend(x);
            images.extend(image);
        }
        Ok(true)
    }

    /// C with Uᵀ A(U C Vᵀ) V = Uᵀ (Ω∘Y) Xᵀ V, from `start`.
    ///
    /// In bases that diagonalise (L U)ᵀ(L U) and (L V)ᵀ(L V), with the diagonal as preconditioner.
    pub fn solve(&self, start: MatRef<'_, f64>, tolerance: f64) -> Mat<f64> {
        let (ny, nx, r) = (self.data.targets(), self.data.sources(), self.rank());
        let experiments = self.data.experiments();
        let turn = |n: usize, l: &[f64]| {
            let square = gram(n, l, l);
            let square = Mat::from_fn(r, r, |i, j| square[i + j * r]);
            match symmetric_eigen(square.as_ref()) {
                Some(eigen) => {
                    (eigen.values, super::dense_products::packed(eigen.vectors.as_ref()))
                }
                None => {
                    let identity =
                        (0..r * r).map(|i| f64::from(u8::from(i / r == i % r))).collect();
                    ((0..r).map(|i| square[(i, i)]).collect(), identity)
                }
            }
        };
        let ((dy, qy), (dx, qx)) = (turn(ny, &self.lu), turn(nx, &self.lv));
        let turned = |n: usize, basis: &[f64], q: &[f64]| {
            let mut out = vec![0.0; n * r];
            tall_times(n, r, basis, q, 0.0, &mut out);
            out
        };
        let (u, v) = (turned(ny, &self.u, &qy), turned(nx, &self.v, &qx));
        let (lu, lv) = (turned(ny, &self.lu, &qy), turned(nx, &self.lv, &qx));
        let (uy, vx) = (gram(ny, &u, &lu), gram(nx, &v, &lv));
        // x̃ₑ = Vᵀ xₑ, r × experiments.
        let mut injected = vec![0.0; r * experiments];
        for (e, column) in self.data.injections().outer_iterator().enumerate() {
            for k in 0..r {
                injected[k + e * r] = column.iter().map(|(s, x)| x * v[k * nx + s]).sum();
            }
        }
        // Uᵀ diag(Ωₑ) U for each experiment.
        let seen: Vec<Vec<f64>> = parallel::map(experiments, |e| {
            let observed = self.data.observed().experiment(e);
            let masked: Vec<f64> = u
                .iter()
                .enumerate()
                .map(|(i, u)| if observed[i % ny] { *u } else { 0.0 })
                .collect();
            gram(ny, &masked, &u)
        });
        let product = |c: &[f64]| -> Vec<f64> {
            // λ'(D_y C + 2 U_y C V_x + C D_x) + Σₑ Gₑ C x̃ₑ x̃ₑᵀ.
            let mut inner = vec![0.0; r * r];
            let mut out = vec![0.0; r * r];
            tall_times(r, r, c, &vx, 0.0, &mut inner);
            tall_times(r, r, &uy, &inner, 0.0, &mut out);
            for j in 0..r {
                for i in 0..r {
                    let at = i + j * r;
                    out[at] = self.lambda_eff * (2.0 * out[at] + (dy[i] + dx[j]) * c[at]);
                }
            }
            let mut images = vec![0.0; r * experiments];
            tall_times(r, r, c, &injected, 0.0, &mut images);
            for e in 0..experiments {
                let x = &injected[e * r..(e + 1) * r];
                let image = &images[e * r..(e + 1) * r];
                for i in 0..r {
                    let sum: f64 = (0..r).map(|k| seen[e][i + k * r] * image[k]).sum();
                    for j in 0..r {
                        out[i + j * r] += sum * x[j];
                    }
                }
            }
            out
        };
        let diagonal: Vec<f64> = (0..r * r)
            .map(|at| {
                let (i, j) = (at % r, at / r);
                let smooth = dy[i] + 2.0 * uy[i + i * r] * vx[j + j * r] + dx[j];
                let fit: f64 = (0..experiments)
                    .map(|e| seen[e][i + i * r] * injected[j + e * r].powi(2))
                    .sum();
                let d = self.lambda_eff * smooth + fit;
                if d > 0.0 { d } else { 1.0 }
            })
            .collect();
        let inverse =
            |x: &[f64]| -> Vec<f64> { x.iter().zip(&diagonal).map(|(x, d)| x / d).collect() };
        let uty = gram(ny, &u, self.data.projections_by_experiment());
        let mut b = vec![0.0; r * r];
        let transposed: Vec<f64> =
            (0..experiments * r).map(|i| injected[i / experiments + i % experiments * r]).collect();
        tall_times(r, experiments, &uty, &transposed, 0.0, &mut b);
        // From Q_yᵀ C Q_x on: only the change is solved for.
        let start = rotate(&qy, &qx, start, true);
        let size = entries::square(&b).sqrt();
        let mut rest = b;
        entries::axpy(-1.0, &product(&start), &mut rest);
        let relative = entries::square(&rest).sqrt();
        let mut change = vec![0.0; r * r];
        if relative > 0.0 {
            let tolerance = (tolerance * size / relative).min(0.1);
            conjugate_gradients(&rest, &mut change, tolerance, STEPS, product, inverse);
        }
        entries::axpy(1.0, &start, &mut change);
        let turned = MatRef::from_column_major_slice(&change, r, r);
        let c = rotate(&qy, &qx, turned, false);
        MatRef::from_column_major_slice(&c, r, r).to_owned()
    }
}

/// Qᵀ C P or back.
fn rotate(qy: &[f64], qx: &[f64], c: MatRef<'_, f64>, forward: bool) -> Vec<f64> {
    let r = c.nrows();
    let y = MatRef::from_column_major_slice(qy, r, r);
    let x = MatRef::from_column_major_slice(qx, r, r);
    let (left, right) = if forward { (y.transpose(), x) } else { (y, x.transpose()) };
    let product = super::dense_products::times(left, c);
    super::dense_products::packed(super::dense_products::times(product.as_ref(), right).as_ref())
}

/// The unit vector of what of `z` is orthogonal to the basis; `None` if that is rounding.
fn new_direction(basis: &[f64], z: &[f64]) -> Option<Vec<f64>> {
    let n = z.len();
    let mut x = z.to_vec();
    let size = entries::square(z).sqrt();
    // Twice is enough (Kahan and Parlett).
    for _ in 0..2 {
        if basis.is_empty() {
            break;
        }
        let h = gram(n, basis, &x);
        let mut inside = vec![0.0; n];
        tall_times(n, basis.len() / n, basis, &h, 0.0, &mut inside);
        entries::axpy(-1.0, &inside, &mut x);
    }
    let norm = entries::square(&x).sqrt();
    if norm.is_nan() || norm <= 1e-13 * size {
        return None;
    }
    entries::scale(norm.recip(), &mut x);
    Some(x)
}
