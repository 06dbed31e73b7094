//! Features of a batch by channels, and back.

use crate::Real;

/// Features of a sample are [channel][position]; by channels they are [channel][sample][position].
#[derive(Clone, Copy, Debug)]
pub(super) struct Channels {
    pub(super) channels: usize,
    pub(super) positions: usize,
}

/// Samples whose features are visited together: a few cache lines of each channel.
const SAMPLES: usize = 16;

impl Channels {
    /// Calls `f` with (channel, index in its row, index in the features) of every number, sample by
    /// sample where channels are long, channel by channel among a few samples where they are short.
    #[inline(always)]
    fn visit(&self, samples: usize, mut f: impl FnMut(usize, usize, usize)) {
        let Self { channels, positions } = *self;
        for first in (0..samples).step_by(SAMPLES) {
            for c in 0..channels {
                for b in first..samples.min(first + SAMPLES) {
                    for p in 0..positions {
                        f(c, b * positions + p, (b * channels + c) * positions + p);
                    }
                }
            }
        }
    }

    pub(super) fn gather<T: Real>(&self, features: &[T], rows: &mut [T]) {
        let samples = features.len() / (self.channels * self.positions);
        let n = samples * self.positions;
        self.visit(samples, |c, i, from| rows[c * n + i] = features[from]);
    }

    /// features ← `value(channel, index in its row)`.
    #[inline(always)]
    pub(super) fn scatter<T: Real>(&self, features: &mut [T], value: impl Fn(usize, usize) -> T) {
        let samples = features.len() / (self.channels * self.positions);
        self.visit(samples, |c, i, to| features[to] = value(c, i));
    }
}
