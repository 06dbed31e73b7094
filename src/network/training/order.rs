//! Mini-batches.

use crate::random::Stream;

/// The order in which samples are visited.
pub(super) struct Order {
    stream: Stream,
    samples: usize,
    batch: usize,
    epoch: Option<u64>,
    permutation: Vec<usize>,
}

impl Order {
    pub(super) fn new(seed: u64, samples: usize, batch: usize) -> Self {
        let stream = Stream::new(seed, "mini-batches");
        Self { stream, samples, batch, epoch: None, permutation: Vec::new() }
    }

    /// The batch of `step`; `None` for all samples.
    pub(super) fn batch(&mut self, step: u64) -> Option<&[usize]> {
        if self.batch == self.samples {
            return None;
        }
        let per_epoch = self.samples.div_ceil(self.batch) as u64;
        let (epoch, within) = (step / per_epoch, (step % per_epoch) as usize);
        if self.epoch != Some(epoch) {
            self.permutation = self.stream.child(epoch).permutation(self.samples);
            self.epoch = Some(epoch);
        }
        let end = self.samples.min((within + 1) * self.batch);
        Some(&self.permutation[within * self.batch..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_visits_each_sample_once() {
        let mut order = Order::new(3, 10, 4);
        for epoch in 0..3 {
            let mut seen: Vec<usize> =
                (0..3).flat_map(|i| order.batch(3 * epoch + i).unwrap().to_vec()).collect();
            assert_eq!(order.batch(3 * epoch + 2).unwrap().len(), 2);
            seen.sort_unstable();
            assert_eq!(seen, (0..10).collect::<Vec<_>>());
        }
        assert!(Order::new(3, 10, 10).batch(5).is_none());
        // A resumed order is the same order.
        let later = Order::new(3, 10, 4).batch(7).unwrap().to_vec();
        assert_eq!(order.batch(7).unwrap(), later);
    }
}
