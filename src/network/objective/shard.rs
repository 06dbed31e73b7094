//! Pieces of the data, and the buffers that passes over them reuse.

use std::ops::Range;

use crate::Real;
use crate::network::Network;
use crate::network::data::Dataset;
use crate::network::layer::{Layer, State};
use crate::numerics::parallel::{self, Pool};

/// Bytes that the widest array of a shard may take: it should stay in the second-level cache
/// between the product that writes it and the one that reads it.
const WIDEST_ARRAY: usize = 2 << 20;
/// Bytes that the primal state of a shard may take: a thread works on one, also where nothing is kept.
/// Layers over time have states that are far larger than their inputs and outputs.
const LARGEST_STATE: usize = 64 << 20;
/// Largest number of samples in a shard, and smallest number of rows that a weight meets there, which
/// are several a sample where it acts on tokens or at positions: products with fewer rows are slow.
const MOST_SAMPLES: usize = 256;
const FEWEST_ROWS: usize = 8;
/// Most samples, and rows, of a leaf of the gradient's sum. Adding two partial gradients moves 3
/// numbers for every parameter, against about 12 flops for every parameter and row of a Hessian
/// product, so that the additions cost a few parts in a hundred of the work at this size.
const LEAF_ROWS: usize = 512;

/// The samples of one pass.
#[derive(Clone)]
pub(crate) enum Samples<'a> {
    /// Consecutive ones of the data.
    Range(Range<usize>),
    /// Those with these indices, out of a batch of `of`.
    Batch { indices: &'a [usize], of: usize },
}

impl Samples<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Samples::Range(range) => range.len(),
            Samples::Batch { indices, .. } => indices.len(),
        }
    }
}

/// The cut of n samples into shards and leaves; it depends on the network and n alone.
pub(super) struct Shards {
    samples: usize,
    size: usize,
    per_leaf: usize,
}

impl Shards {
    pub(super) fn new<T: Real>(network: &Network<T>, samples: usize) -> Self {
        let layers = network.layers();
        // Rows that the weights meet in one sample, in the mean over the weights.
        let rows = (layers.multiplications() / network.parameter_count().max(1)).max(1);
        let size = if layers.couples_samples() {
            samples
        } else {
            let widest = layers.widest_features() * size_of::<T>();
            let state = bytes_of(network, 1);
            let most = (WIDEST_ARRAY / widest.max(1)).min(LARGEST_STATE / state.max(1)).max(1);
            (1 << most.ilog2()).clamp(FEWEST_ROWS.div_ceil(rows), MOST_SAMPLES)
        };
        Self { samples, size, per_leaf: LEAF_ROWS.div_ceil(rows).div_ceil(size.max(1)) }
    }

    /// Number of shards.
    pub(super) fn len(&self) -> usize {
        self.samples.div_ceil(self.size)
    }

    /// Number of samples of every shard but the last.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Samples of shard `s`.
    pub(super) fn range(&self, s: usize) -> Range<usize> {
        s * self.size..self.samples.min((s + 1) * self.size)
    }

    /// [`Shards::reduce`] into `sum`, in place where there is one leaf.
    pub(super) fn reduce_into<T: Real>(
        &self,
        sum: &mut [T],
        vectors: &Pool<Vec<T>>,
        add: impl Fn(usize, &mut [T]) -> f64 + Sync,
    ) -> f64 {
        if self.len() <= self.per_leaf {
            sum.fill(T::ZERO);
            return (0..self.len()).map(|s| add(s, sum)).sum::<f64>();
        }
        let (value, vector) = self.reduce(sum.len(), vectors, add);
        sum.copy_from_slice(&vector);
        vectors.give(vector);
        value
    }

    /// Adds what `add(s, sum)` adds to a vector of `length` and what it returns, over all shards.
    pub(super) fn reduce<T: Real>(
        &self,
        length: usize,
        vectors: &Pool<Vec<T>>,
        add: impl Fn(usize, &mut [T]) -> f64 + Sync,
    ) -> (f64, Vec<T>) {
        let leaves = self.len().div_ceil(self.per_leaf);
        let leaf = |leaf: usize| {
            let mut sum = vectors.get();
            sum.clear();
            sum.resize(length, T::ZERO);
            let shards = leaf * self.per_leaf..self.len().min((leaf + 1) * self.per_leaf);
            (shards.map(|s| add(s, &mut sum)).sum::<f64>(), sum)
        };
        let merge = |left: &mut (f64, Vec<T>), right: (f64, Vec<T>)| {
            left.0 += right.0;
            for (a, &b) in left.1.iter_mut().zip(&right.1) {
                *a += b;
            }
            vectors.give(right.1);
        };
        parallel::reduce(leaves, leaf, merge).unwrap_or_default()
    }
}

/// Bytes of the primal state of `samples` samples.
pub(super) fn bytes_of<T: Real>(network: &Network<T>, samples: usize) -> usize {
    let kept = network.layers().kept_features() + 2 * network.outputs();
    kept.saturating_mul(samples).saturating_mul(size_of::<T>())
}

/// Inputs of samples that are not consecutive, gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered<T>(Vec<T>);

impl<T: Real> Gathered<T> {
    /// The inputs of `samples`, after a copy where they are not consecutive.
    pub(super) fn gather<'a>(&'a mut self, data: &'a Dataset<T>, samples: &Samples<'_>) -> &'a [T] {
        if let Samples::Batch { indices, .. } = samples {
            self.0.clear();
            for &sample in *indices {
                self.0.extend_from_slice(data.input(sample));
            }
        }
        self.inputs(data, samples)
    }

    /// The inputs of `samples`, which were gathered before.
    pub(super) fn inputs<'a>(&'a self, data: &'a Dataset<T>, samples: &Samples<'_>) -> &'a [T] {
        match samples {
            Samples::Range(range) => {
                &data.inputs()[range.start * data.features()..range.end * data.features()]
            }
            Samples::Batch { .. } => &self.0,
        }
    }
}

/// What the primal passes of a shard leave for the operators.
#[derive(Debug)]
pub(super) struct Primal<T> {
    pub(super) state: State<T>,
    pub(super) errors: State<T>,
    pub(super) outputs: Vec<T>,
    pub(super) curvature: Vec<T>,
    pub(super) gathered: Gathered<T>,
}

impl<T> Default for Primal<T> {
    fn default() -> Self {
        Self {
            state: State::default(),
            errors: State::default(),
            outputs: Vec::new(),
            curvature: Vec::new(),
            gathered: Gathered(Vec::new()),
        }
    }
}

/// The buffers of one thread at work on a shard.
#[derive(Debug)]
pub(super) struct Workspace<T> {
    pub(super) primal: Primal<T>,
    pub(super) tangents: State<T>,
    pub(super) scratch: State<T>,
    /// Error or tangent at the outputs.
    pub(super) error: Vec<T>,
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        Self {
            primal: Primal::default(),
            tangents: State::default(),
            scratch: State::default(),
            error: Vec::new(),
        }
    }
}
