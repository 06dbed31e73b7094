//! What the stacked pass says of one layer.

use std::ops::Range;

use super::JacobianGeometry;

/// One linear layer, of all samples. Per-sample arrays are in the order of the samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerGeometry {
    /// Its name, such as `layer3`.
    pub name: String,
    /// Its weights in θ.
    pub weight: Range<usize>,
    /// Its biases in θ.
    pub bias: Option<Range<usize>>,
    /// h, the number of its output features of one sample.
    pub outputs: usize,
    /// Groups of its channels that do not see each other.
    pub groups: usize,
    /// Rows of its weight matrix (of all groups).
    pub rows: usize,
    /// Columns of its weight matrix: numbers in a patch.
    pub columns: usize,
    /// Places at which its weights act: 1 for a dense layer, more where they are shared.
    pub positions: usize,
    /// J^l = ∂f/∂x^l and x^l.
    pub jacobian: JacobianGeometry,
    /// ‖∂f/∂W‖_F² of every sample, summed over the outputs f.
    pub weight_squares: Vec<f64>,
    /// ‖∂f/∂b‖_F², zeros without a bias.
    pub bias_squares: Vec<f64>,
    /// Σ_j θ_j² ‖∂f/∂θ_j‖² over the weights; empty unless it was asked for.
    pub adaptive_weight: Vec<f64>,
    /// The same over the biases.
    pub adaptive_bias: Vec<f64>,
    /// ‖δ^l‖_F of every sample.
    pub error_norms: Vec<f64>,
    /// ‖W‖_F.
    pub weight_frobenius: f64,
    /// ‖W‖₂, or ‖T(K)‖₂ of the unrolled map where weights are shared; absent unless it was asked for.
    pub weight_norm: Option<f64>,
    /// σ_min of the matrix of patches of every sample where weights are shared and norms were asked
    /// for, of all groups the smallest: 0 where it has more columns than rows.
    pub patch_smallest: Vec<f64>,
}

impl LayerGeometry {
    /// S of its weights: the mean of ‖∂f/∂W‖_F² over samples.
    #[must_use]
    pub fn weight_trace(&self) -> f64 {
        mean(&self.weight_squares)
    }

    /// S of its biases.
    #[must_use]
    pub fn bias_trace(&self) -> f64 {
        mean(&self.bias_squares)
    }

    /// Whether its weights act at several places of the input.
    #[must_use]
    pub fn shares_weights(&self) -> bool {
        self.positions > 1
    }

    /// Whether z = W x + b with one matrix and the whole input, as the bounds assume: not so for a
    /// convolution of several places or groups, or of a patch that does not cover the image.
    #[must_use]
    pub fn reads_whole_input(&self) -> bool {
        self.positions == 1 && self.groups == 1 && self.columns == self.jacobian.features
    }

    /// κ_l = (1/n) Σᵢ ‖xᵢ^l‖² ‖Jᵢ^l‖_F²: relative flatness of the Gauss-Newton matrix of half the
    /// squared error (after Petzka et al., arXiv 2001.00939).
    ///
    /// Where the layer does not [read its whole input](Self::reads_whole_input) with one matrix, this is
    /// that of the dense layer with the unrolled matrix T(K).
    #[must_use]
    pub fn gauss_newton_flatness(&self) -> f64 {
        let terms = self.jacobian.norms.iter().zip(&self.jacobian.frobenius);
        mean(&terms.map(|(x, j)| (x * j).powi(2)).collect::<Vec<_>>())
    }

    /// (1/n) Σᵢ ‖xᵢ^l‖² ‖Jᵢ^l‖₂², at most [`gauss_newton_flatness`](Self::gauss_newton_flatness).
    #[must_use]
    pub fn normalized_sensitivity(&self) -> f64 {
        let spectral = self.jacobian.spectral_norms();
        let terms = self.jacobian.norms.iter().zip(&spectral);
        mean(&terms.map(|(x, j)| (x * j).powi(2)).collect::<Vec<_>>())
    }

    /// ‖W_l‖₂² S_{W_l}: layer-normalised sharpness, at least κ_l of a layer that reads its whole input
    /// `None` unless weight norms were asked for.
    #[must_use]
    pub fn normalized_sharpness(&self) -> Option<f64> {
        self.weight_norm.map(|norm| norm * norm * self.weight_trace())
    }

    /// The same with ‖W_l‖_F.
    #[must_use]
    pub fn frobenius_normalized_sharpness(&self) -> f64 {
        self.weight_frobenius * self.weight_frobenius * self.weight_trace()
    }

    pub(super) fn append(&mut self, other: Self) {
        self.jacobian.append(other.jacobian);
        self.weight_squares.extend(other.weight_squares);
        self.bias_squares.extend(other.bias_squares);
        self.adaptive_weight.extend(other.adaptive_weight);
        self.adaptive_bias.extend(other.adaptive_bias);
        self.error_norms.extend(other.error_norms);
        self.patch_smallest.extend(other.patch_smallest);
    }
}

/// A layer whose parameters are not those of a linear map: it counts in S alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OtherLayer {
    /// Its name, such as `layer2`.
    pub name: String,
    /// Its parameters in θ.
    pub parameters: Range<usize>,
    /// ‖∂f/∂θ‖_F² of every sample.
    pub squares: Vec<f64>,
    /// Σ_j θ_j² ‖∂f/∂θ_j‖²; empty unless it was asked for.
    pub adaptive: Vec<f64>,
}

impl OtherLayer {
    pub(super) fn append(&mut self, other: Self) {
        self.squares.extend(other.squares);
        self.adaptive.extend(other.adaptive);
    }
}

/// The mean, pairwise in a fixed order; NaN for nothing.
pub(super) fn mean(x: &[f64]) -> f64 {
    fn sum(x: &[f64]) -> f64 {
        if x.len() <= 8 {
            return x.iter().sum();
        }
        let (left, right) = x.split_at(x.len() / 2);
        sum(left) + sum(right)
    }
    sum(x) / x.len() as f64
}
