//! Relative flatness of a layer: sharpness that does not change when a layer is scaled and the next
//! one scaled back.

use std::ops::Range;

use faer::Mat;

use super::LayerGeometry;
use crate::error::check_finite;
use crate::krylov::{Estimate, FnOperator, Lanczos, LinearOperator, Status, Trace};
use crate::numerics::dense::triangular_factor;
use crate::random::Stream;
use crate::{Error, Real, Result};

/// Vectors that the operator multiplies together.
const BLOCK: usize = 4;

/// κ_l = Σ_{s,s'} ⟨w_s, w_s'⟩ tr H_{s,s'}, w_s the rows of W_l and H_{s,s'} = ∂²L/∂w_s ∂w_s' (Petzka
/// et al., arXiv 2001.00939), from products with H: the Hessian, or any symmetric matrix of its size.
///
/// With C Cᵀ = W Wᵀ it is the trace of (C ⊗ I)ᵀ H_l (C ⊗ I), H_l the block of the layer's weights; that
/// matrix is a [`LinearOperator`] of dimension min(h, d)·d, so that every
/// [`Trace`] estimator applies to it, and [`exact`](Self::exact) takes so many products.
/// With the Gauss-Newton matrix of half the squared error κ_l is
/// [`LayerGeometry::gauss_newton_flatness`], without a product; in the last layer, and where the fit is
/// exact, the Hessian gives the same.
///
/// Source: Petzka, Kamp, Adilova, Sminchisescu, Boley, *Relative flatness and generalization*, NeurIPS
/// 2021 (arXiv 2001.00939). The reference code of arXiv 2310.01770 takes the last linear layer only.
#[derive(Clone, Debug)]
pub struct RelativeFlatness<'a, T: Real, A: ?Sized> {
    operator: &'a A,
    weight: Range<usize>,
    columns: usize,
    rows: usize,
    values: &'a [T],
    /// C, h × r row-major, where h < d; W itself otherwise.
    factor: Option<Vec<T>>,
}

impl<'a, T: Real, A: LinearOperator<T> + ?Sized> RelativeFlatness<'a, T, A> {
    /// Of `layer`, for `operator` on vectors like θ = `parameters`.
    ///
    /// # Errors
    /// Sizes that disagree, NaN or infinities; [`Error::NotApplicable`] for a layer whose weights fall
    /// into groups that see different inputs.
    pub fn new(operator: &'a A, parameters: &'a [T], layer: &LayerGeometry) -> Result<Self> {
        if operator.dimension() != parameters.len() {
            let expected = operator.dimension();
            return Err(Error::shape("parameters", expected, parameters.len()));
        }
        let Some(values) = parameters.get(layer.weight.clone()) else {
            let expected = format!("at least {}", layer.weight.end);
            return Err(Error::shape("parameters", expected, parameters.len()));
        };
        check_finite("parameters", parameters)?;
        let (rows, columns) = (layer.rows, layer.columns);
        if layer.groups > 1 {
            return Err(Error::not_applicable(
                "relative flatness",
                "one weight matrix on all inputs",
                format!("{} groups", layer.groups),
            ));
        }
        let factor = (rows < columns).then(|| {
            let mut transposed: Vec<f64> = values.iter().map(|w| w.to_f64()).collect();
            let r: Mat<f64> = triangular_factor(&mut transposed, rows);
            // W Wᵀ = Rᵀ R: C = Rᵀ.
            (0..rows * rows).map(|e| T::from_f64(r[(e % rows, e / rows)])).collect()
        });
        Ok(Self { operator, weight: layer.weight.clone(), columns, rows, values, factor })
    }

    fn rank(&self) -> usize {
        self.rows.min(self.columns)
    }

    fn factor(&self) -> &[T] {
        self.factor.as_deref().unwrap_or(self.values)
    }

    /// u += c hᵀ in the place of the weights.
    fn add_outer(&self, c: impl Fn(usize) -> T, h: &[T], u: &mut [T]) {
        let weights = &mut u[self.weight.clone()];
        for (s, row) in weights.chunks_exact_mut(self.columns).enumerate() {
            let c = c(s);
            row.iter_mut().zip(h).for_each(|(u, &h)| *u += c * h);
        }
    }

    /// κ_l exactly: min(h, d)·d products.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where a product is not finite.
    pub fn exact(&self) -> Result<f64> {
        Ok(Trace::exact().block(BLOCK).run(self)?.value)
    }

    /// κ_l = E uᵀ H u with u = vec(W g hᵀ) and g, h vectors of independent signs: the mean over
    /// `probes` pairs, and its standard error. One product a pair.
    ///
    /// # Errors
    /// No probe; [`Error::NonFinite`] where a product is not finite.
    pub fn hutchinson(&self, probes: usize, seed: u64) -> Result<Estimate> {
        if probes == 0 {
            return Err(Error::range("probes", "at least 1", probes));
        }
        let (n, d) = (self.operator.dimension(), self.columns);
        let stream = Stream::new(seed, "relative flatness");
        let mut terms = Vec::new();
        let (mut signs, mut u) = (vec![T::ZERO; 2 * d], vec![T::ZERO; n * BLOCK]);
        let mut images = vec![T::ZERO; n * BLOCK];
        for first in (0..probes).step_by(BLOCK) {
            let count = BLOCK.min(probes - first);
            u.fill(T::ZERO);
            for (k, u) in u.chunks_exact_mut(n).take(count).enumerate() {
                stream.child((first + k) as u64).rademacher(0, &mut signs);
                let (g, h) = signs.split_at(d);
                let c = |s: usize| {
                    let row = &self.values[s * d..][..d];
                    T::from_f64(row.iter().zip(g).map(|(w, g)| w.to_f64() * g.to_f64()).sum())
                };
                self.add_outer(c, h, u);
            }
            self.operator.apply_block(&u[..count * n], &mut images[..count * n]);
            check_finite("products of the operator", &images[..count * n])?;
            for (u, image) in u.chunks_exact(n).zip(images.chunks_exact(n)).take(count) {
                let range = self.weight.clone();
                let pairs = u[range.clone()].iter().zip(&image[range]);
                terms.push(pairs.map(|(u, v)| u.to_f64() * v.to_f64()).sum());
            }
        }
        Ok(Estimate::of(&terms))
    }

    /// Σ_s ‖w_s‖² λ_max(H_{s,s}): the variant with largest eigenvalues, each by
    /// [`Lanczos`], of which `converged` says whether every one met its tolerance.
    ///
    /// # Errors
    /// As [`Lanczos::run`].
    pub fn largest_eigenvalues(&self) -> Result<LargestEigenvalues> {
        let (n, d) = (self.operator.dimension(), self.columns);
        let mut result = LargestEigenvalues { value: 0.0, converged: true, products: 0 };
        for (s, w) in self.values.chunks_exact(d).enumerate() {
            let range = self.weight.start + s * d..self.weight.start + (s + 1) * d;
            let block = FnOperator::new(d, |x: &[T], y: &mut [T]| {
                let (mut whole, mut image) = (vec![T::ZERO; n], vec![T::ZERO; n]);
                whole[range.clone()].copy_from_slice(x);
                self.operator.apply(&whole, &mut image);
                y.copy_from_slice(&image[range.clone()]);
            })?;
            let top = Lanczos::new(&block).largest(1).verify(false).run()?;
            let square: f64 = w.iter().map(|w| w.to_f64() * w.to_f64()).sum();
            result.value += square * top.values[0];
            result.converged &= top.status == Status::Converged;
            result.products += top.products;
        }
        Ok(result)
    }
}

/// What [`RelativeFlatness::largest_eigenvalues`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LargestEigenvalues {
    /// Σ_s ‖w_s‖² λ_max(H_{s,s}).
    pub value: f64,
    /// Whether every eigenvalue has a residual within the tolerance.
    pub converged: bool,
    /// Products with the operator.
    pub products: usize,
}

impl<T: Real, A: LinearOperator<T> + ?Sized> LinearOperator<T> for RelativeFlatness<'_, T, A> {
    fn dimension(&self) -> usize {
        self.rank() * self.columns
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        self.apply_block(x, y);
    }

    /// x holds r vectors of length d, one for each column of C.
    fn apply_block(&self, x: &[T], y: &mut [T]) {
        let (n, d, r) = (self.operator.dimension(), self.columns, self.rank());
        let count = x.len() / (r * d);
        let (mut u, mut images) = (vec![T::ZERO; n * count], vec![T::ZERO; n * count]);
        for (x, u) in x.chunks_exact(r * d).zip(u.chunks_exact_mut(n)) {
            for (c, x) in x.chunks_exact(d).enumerate() {
                if x.iter().any(|&x| x != T::ZERO) {
                    self.add_outer(|s| self.factor()[s * r + c], x, u);
                }
            }
        }
        self.operator.apply_block(&u, &mut images);
        y.fill(T::ZERO);
        for (y, image) in y.chunks_exact_mut(r * d).zip(images.chunks_exact(n)) {
            for (s, row) in image[self.weight.clone()].chunks_exact(d).enumerate() {
                for (c, y) in y.chunks_exact_mut(d).enumerate() {
                    let factor = self.factor()[s * r + c];
                    y.iter_mut().zip(row).for_each(|(y, &v)| *y += factor * v);
                }
            }
        }
    }
}
