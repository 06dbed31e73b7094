//! Attention of tokens to tokens: softmax(QKᵀ/√d) V, head by head.

mod heads;

use hesse_kernels::attention::{masked_softmax, softmax_adjoint_tangent, softmax_derivative};

use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features,
};
use crate::{Error, Isa, Real, Result};
use heads::{Heads, Pieces};
use serde::{Deserialize, Serialize};

/// Which keys a query may attend to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttentionMask {
    /// All.
    #[default]
    None,
    /// Key j for query i where j ≤ i: those before it and itself.
    Causal,
    /// Key j for query i where element (i, j) of this queries × keys matrix, row-major, is true.
    /// A query without any key has output 0.
    Allowed(Vec<bool>),
}

/// softmax(QKᵀ/√d + mask) V for each of `heads` heads of width d = width/heads (Vaswani et al. 2017),
/// without parameters: projections before and after it are [`super::Dense`] layers on tokens.
///
/// *Self attention*, [`Attention::new`]: input `[tokens, 3·width]`, a token's features being its
/// query, key and value side by side, each with head after head; output `[tokens, width]`, or fewer
/// tokens where only the first ones ask ([`Attention::queries`]).
///
/// *Cross attention*, [`Attention::cross`]: the input holds keys and values of `memory` tokens,
/// `[memory, 2·width]`, and behind them the queries, `[tokens, width]`; output `[tokens, width]`.
/// [`super::Parallel`] makes such features.
///
/// With A = softmax(S), S = α QKᵀ, α = 1/√d, C x = x − A·x along rows, tangents written with a dot
/// and errors with a bar:
///
/// tangent  Ṡ = α (Q̇Kᵀ + QK̇ᵀ),  E = C Ṡ,  Ȧ = A∘E,  Ȯ = ȦV + AV̇
///
/// adjoint  V̄ = AᵀŌ,  D = C(ŌVᵀ),  S̄ = A∘D,  Q̄ = α S̄K,  K̄ = α S̄ᵀQ
///
/// its tangent  dV̄ = ȦᵀŌ + AᵀdŌ,  dS̄ = A∘C(dŌ Vᵀ + Ō V̇ᵀ + E∘D),
/// dQ̄ = α (dS̄ K + S̄ K̇),  dK̄ = α (dS̄ᵀ Q + S̄ᵀ Q̇).
///
/// Products for a head of a sample, each 2·tokens·keys·d flops: 2 for `forward`, 4 each for `tangent`
/// and `adjoint`, 8 for `adjoint_tangent`. Kept for a sample are A and D, heads × tokens × keys each,
/// E of the same size for each tangent, and Ō.
#[derive(Clone, Debug)]
pub struct Attention {
    input_shape: Vec<usize>,
    output_shape: [usize; 2],
    heads: Heads,
    mask: Option<Vec<bool>>,
}

/// Slots of the state: A, and the index of the largest entry of each of its rows.
const PROBABILITIES: usize = 0;
const REFERENCE: usize = 1;
/// Slots of the errors: Ō and D.
const ERROR: usize = 0;
const CENTRED: usize = 1;
/// Slots of the tangents: E, and behind it scratch of one head.
const SCORES: usize = 0;
/// Slots of scratch of one head, tokens × keys each.
const BLOCKS: [usize; 3] = [1, 2, 3];

impl Attention {
    /// Self attention on `[tokens, 3·width]`.
    ///
    /// # Errors
    /// Another shape, zero widths, heads that do not divide the width.
    pub fn new(input_shape: &[usize], heads: usize) -> Result<Self> {
        let [tokens, triple] = *input_shape else {
            return Err(Error::range(
                "attention: input shape",
                "[tokens, 3 width]",
                format!("{input_shape:?}"),
            ));
        };
        if tokens == 0 || triple == 0 || !triple.is_multiple_of(3) {
            return Err(Error::range(
                "attention: input shape",
                "[tokens, 3 width], not empty",
                format!("{input_shape:?}"),
            ));
        }
        let width = triple / 3;
        let head = head_width(width, heads)?;
        let part = |i: usize| Pieces { first: i * width, stride: triple, rows: tokens };
        let heads = Heads { heads, head, query: part(0), key: part(1), value: part(2) };
        Ok(Self {
            input_shape: input_shape.to_vec(),
            output_shape: [tokens, width],
            heads,
            mask: None,
        })
    }

    /// Cross attention of `tokens` tokens to `memory` others: `input_shape` has
    /// memory · 2·width + tokens · width features in all, in any shape.
    ///
    /// # Errors
    /// Another number of features, zero widths, heads that do not divide the width.
    pub fn cross(
        input_shape: &[usize],
        memory: usize,
        tokens: usize,
        width: usize,
        heads: usize,
    ) -> Result<Self> {
        if memory == 0 || tokens == 0 {
            let got = format!("{memory} and {tokens}");
            return Err(Error::range("attention: memory and tokens", "positive numbers", got));
        }
        let head = head_width(width, heads)?;
        let all = memory.saturating_mul(2).saturating_add(tokens).saturating_mul(width);
        if features(input_shape) != all {
            return Err(Error::shape(
                "attention: features of keys, values and queries",
                all,
                input_shape,
            ));
        }
        let part = |i: usize| Pieces { first: i * width, stride: 2 * width, rows: memory };
        let query = Pieces { first: memory * 2 * width, stride: width, rows: tokens };
        let heads = Heads { heads, head, query, key: part(0), value: part(1) };
        Ok(Self {
            input_shape: input_shape.to_vec(),
            output_shape: [tokens, width],
            heads,
            mask: None,
        })
    }

    /// Lets only the first `tokens` tokens of a self attention ask; the output is `[tokens, width]`.
    /// So the last block of a network that reads a class token pays for that token alone. Before
    /// [`Attention::mask`], whose rows are the queries.
    ///
    /// # Errors
    /// No token, or more than there are; a cross attention.
    pub fn queries(mut self, tokens: usize) -> Result<Self> {
        let all = self.heads.key.rows;
        if self.heads.query.first != 0 {
            return Err(Error::not_applicable(
                "attention: some queries",
                "self attention",
                "cross attention, which is given its queries",
            ));
        }
        if tokens == 0 || tokens > all {
            return Err(Error::range("attention: queries", format!("1 to {all} tokens"), tokens));
        }
        self.heads.query.rows = tokens;
        self.output_shape[0] = tokens;
        Ok(self)
    }

    /// Limits the keys of each query.
    ///
    /// # Errors
    /// A mask of another shape; a causal one where there are not as many keys as queries.
    pub fn mask(mut self, mask: AttentionMask) -> Result<Self> {
        let (queries, keys) = (self.heads.query.rows, self.heads.key.rows);
        self.mask = match mask {
            AttentionMask::None => None,
            AttentionMask::Causal if queries != keys => {
                return Err(Error::shape("attention: keys of a causal mask", queries, keys));
            }
            AttentionMask::Causal => {
                Some((0..queries * keys).map(|i| i % keys <= i / keys).collect())
            }
            AttentionMask::Allowed(allowed) if allowed.len() != queries * keys => {
                return Err(Error::shape(
                    "attention: elements of the mask, queries × keys",
                    queries * keys,
                    allowed.len(),
                ));
            }
            AttentionMask::Allowed(allowed) => Some(allowed),
        };
        Ok(self)
    }

    /// Numbers in the scores of one head, and in those of a sample.
    fn block(&self) -> usize {
        self.heads.query.rows * self.heads.key.rows
    }

    fn scores(&self) -> usize {
        self.heads.heads * self.block()
    }

    fn inputs(&self) -> usize {
        features(&self.input_shape)
    }

    /// The errors of inputs that are not read ← 0, before the others are written.
    fn clear_unread<T: Real>(&self, input_error: &mut [T]) {
        if self.heads.query.rows < self.heads.key.rows && self.heads.query.first == 0 {
            input_error.fill(T::ZERO);
        }
    }

    fn outputs(&self) -> usize {
        features(&self.output_shape)
    }
}

fn head_width(width: usize, heads: usize) -> Result<usize> {
    if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
        return Err(Error::range(
            "attention: heads",
            format!("a divisor of the width {width}"),
            heads,
        ));
    }
    Ok(width / heads)
}

impl<T: Real> Layer<T> for Attention {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        Vec::new()
    }

    fn kept_features(&self) -> usize {
        2 * self.scores() + self.heads.heads * self.heads.query.rows + self.outputs()
    }

    fn multiplications(&self) -> usize {
        2 * self.scores() * self.heads.head
    }

    fn forward(
        &self,
        _parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    ) {
        let heads = &self.heads;
        let (block, queries, keys) = (self.block(), heads.query.rows, heads.key.rows);
        let samples = input.len() / self.inputs();
        // Where nothing is kept, one head's scores are room enough.
        let kept = if keep == Keep::Outputs { 1 } else { samples * heads.heads };
        let mut all = state.take(PROBABILITIES, kept * block);
        let reference = state.buffer(REFERENCE, kept * queries);
        for (b, x) in input.chunks_exact(self.inputs()).enumerate() {
            let output = &mut output[b * self.outputs()..][..self.outputs()];
            for h in 0..heads.heads {
                let at = if keep == Keep::Outputs { 0 } else { b * heads.heads + h };
                let scores = &mut all[at * block..][..block];
                heads.add_scores(x, x, h, T::ZERO, scores);
                let reference = &mut reference[at * queries..][..queries];
                masked_softmax(Isa::current(), keys, self.mask.as_deref(), scores, reference);
                heads.add_values(scores, x, h, T::ZERO, output);
            }
        }
        state.put_back(PROBABILITIES, all);
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let heads = &self.heads;
        let (block, queries, keys) = (self.block(), heads.query.rows, heads.key.rows);
        let samples = pass.input.len() / self.inputs();
        let mut centred = tangents.take(SCORES, pass.count * samples * self.scores());
        let Some(input_tangent) = pass.input_tangent else {
            output_tangent.fill(T::ZERO);
            centred.fill(T::ZERO);
            tangents.put_back(SCORES, centred);
            return;
        };
        let product = tangents.buffer(BLOCKS[0], block);
        for row in 0..pass.count * samples {
            let b = row % samples;
            let x = &pass.input[b * self.inputs()..][..self.inputs()];
            let dx = &input_tangent[row * self.inputs()..][..self.inputs()];
            let output = &mut output_tangent[row * self.outputs()..][..self.outputs()];
            for h in 0..heads.heads {
                let at = b * heads.heads + h;
                let probabilities = &pass.state.array(PROBABILITIES)[at * block..][..block];
                let reference = &pass.state.array(REFERENCE)[at * queries..][..queries];
                let scores = &mut centred[(row * heads.heads + h) * block..][..block];
                heads.add_scores(dx, x, h, T::ZERO, scores);
                heads.add_scores(x, dx, h, T::ONE, scores);
                let isa = Isa::current();
                softmax_derivative(isa, keys, probabilities, reference, scores, product);
                heads.add_values(product, x, h, T::ZERO, output);
                heads.add_values(probabilities, dx, h, T::ONE, output);
            }
        }
        tangents.put_back(SCORES, centred);
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        _gradient: Option<Gradients<'_, T>>,
        errors: Option<&mut State<T>>,
        scratch: &mut State<T>,
    ) {
        // Without parameters below nothing is wanted, now or by the tangent of this pass.
        let Some(input_error) = input_error else { return };
        let heads = &self.heads;
        let (block, queries, keys) = (self.block(), heads.query.rows, heads.key.rows);
        let samples = pass.input.len() / self.inputs();
        let mut one = scratch.take(BLOCKS[0], block);
        let score_error = scratch.buffer(BLOCKS[1], block);
        let mut kept = errors.map(|errors| {
            errors.buffer(ERROR, output_error.len()).copy_from_slice(output_error);
            errors.buffer(CENTRED, samples * self.scores())
        });
        for row in 0..pass.count * samples {
            let b = row % samples;
            let x = &pass.input[b * self.inputs()..][..self.inputs()];
            let error = &output_error[row * self.outputs()..][..self.outputs()];
            let input_error = &mut input_error[row * self.inputs()..][..self.inputs()];
            self.clear_unread(input_error);
            for h in 0..heads.heads {
                let at = b * heads.heads + h;
                let probabilities = &pass.state.array(PROBABILITIES)[at * block..][..block];
                let reference = &pass.state.array(REFERENCE)[at * queries..][..queries];
                let centred = match &mut kept {
                    Some(kept) => &mut kept[at * block..][..block],
                    None => one.as_mut_slice(),
                };
                heads.add_probability_errors(error, x, h, T::ZERO, centred);
                let isa = Isa::current();
                softmax_derivative(isa, keys, probabilities, reference, centred, score_error);
                heads.pull_values(probabilities, error, h, T::ZERO, input_error);
                heads.pull_scores(score_error, x, h, T::ZERO, input_error);
            }
        }
        scratch.put_back(BLOCKS[0], one);
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        _gradient: Gradients<'_, T>,
        tangents: &mut State<T>,
    ) {
        let (Some(errors), Some(input_error)) = (pass.errors, input_error) else { return };
        let heads = &self.heads;
        let (block, queries, keys) = (self.block(), heads.query.rows, heads.key.rows);
        let samples = pass.input.len() / self.inputs();
        let [mut dot, mut dot_probabilities, mut score_error] =
            BLOCKS.map(|slot| tangents.take(slot, block));
        for row in 0..pass.count * samples {
            let b = row % samples;
            let x = &pass.input[b * self.inputs()..][..self.inputs()];
            let dx = pass.input_tangent.map(|t| &t[row * self.inputs()..][..self.inputs()]);
            let error = &errors.array(ERROR)[b * self.outputs()..][..self.outputs()];
            let error_dot = &output_error[row * self.outputs()..][..self.outputs()];
            let input_error = &mut input_error[row * self.inputs()..][..self.inputs()];
            self.clear_unread(input_error);
            for h in 0..heads.heads {
                let at = b * heads.heads + h;
                let probabilities = &pass.state.array(PROBABILITIES)[at * block..][..block];
                heads.add_probability_errors(error_dot, x, h, T::ZERO, &mut dot);
                if let Some(dx) = dx {
                    heads.add_probability_errors(error, dx, h, T::ONE, &mut dot);
                }
                softmax_adjoint_tangent(
                    Isa::current(),
                    keys,
                    probabilities,
                    &pass.state.array(REFERENCE)[at * queries..][..queries],
                    &tangents.array(SCORES)[(row * heads.heads + h) * block..][..block],
                    &errors.array(CENTRED)[at * block..][..block],
                    &mut dot,
                    &mut dot_probabilities,
                    &mut score_error,
                );
                heads.pull_values(probabilities, error_dot, h, T::ZERO, input_error);
                heads.pull_scores(&dot, x, h, T::ZERO, input_error);
                if let Some(dx) = dx {
                    heads.pull_values(&dot_probabilities, error, h, T::ONE, input_error);
                    heads.pull_scores(&score_error, dx, h, T::ONE, input_error);
                }
            }
        }
        for (slot, buffer) in BLOCKS.into_iter().zip([dot, dot_probabilities, score_error]) {
            tangents.put_back(slot, buffer);
        }
    }
}
