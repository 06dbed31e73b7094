//! Are canonical correlations more than those of relabelled stimuli?

use faer::Mat;

use super::canonical::Cca;
use super::permutation::{PermutationTest, check_permutation};
use super::principal::PrincipalDirections;
use crate::numerics::parallel;
use crate::random::Stream;
use crate::{Error, Result};

impl Cca {
    /// Mean ρ of X with the stimuli of Y relabelled: stimulus i of Y becomes πᵢ, for each of these
    /// permutations π.
    ///
    /// The directions of Y are permuted instead of computed anew: one k_x × n × k_y product and a small SVD
    /// a permutation.
    ///
    /// # Errors
    /// As [`Cca::of`], and [`Error::Range`] for a list that is not a permutation of 0..n.
    pub fn permuted(
        &self,
        x: &PrincipalDirections,
        y: &PrincipalDirections,
        permutations: &[Vec<usize>],
    ) -> Result<Vec<f64>> {
        let (_, ky) = self.of(x, y)?.kept;
        let n = y.stimuli();
        permutations.iter().try_for_each(|p| check_permutation(n, p))?;
        let means = parallel::map(permutations.len(), |d| {
            let order = &permutations[d];
            let relabelled = PrincipalDirections {
                left: Mat::from_fn(n, ky, |i, j| y.left[(order[i], j)]),
                values: y.values.clone(),
                ..*y
            };
            Ok(self.of(x, &relabelled)?.mean())
        });
        means.into_iter().collect()
    }

    /// Tests mean ρ, which is SVCCA after a cut, against `draws` random permutations of the stimuli of one
    /// side.
    ///
    /// Over all n! permutations Σ ρ² has the mean k_x k_y/(n − 1) exactly, whatever the data
    /// ([`CanonicalCorrelations::null_mean_square`](super::CanonicalCorrelations::null_mean_square)), but
    /// mean ρ has no closed form: `exact` is none. Draw d permutes by the child d of the stream "similarity:
    /// permutations of directions" of `seed`.
    ///
    /// ```
    /// use hesse::faer::Mat;
    /// use hesse::similarity::{Cca, PrincipalDirections};
    /// let x = Mat::from_fn(30, 3, |i, j| ((i * (j + 2) * 7919) % 101) as f64);
    /// let y = Mat::from_fn(30, 2, |i, j| x[(i, j)] + ((i * (j + 5) * 104_729) % 13) as f64);
    /// let directions = |x: &Mat<f64>| PrincipalDirections::of(x.as_ref());
    /// let test = Cca::new().permutation_test(&directions(&x)?, &directions(&y)?, 99, 1)?;
    /// assert_eq!(test.p, 0.01);
    /// # Ok::<(), hesse::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Cca::of`], and for no draws.
    pub fn permutation_test(
        &self,
        x: &PrincipalDirections,
        y: &PrincipalDirections,
        draws: usize,
        seed: u64,
    ) -> Result<PermutationTest> {
        if draws == 0 {
            return Err(Error::empty("draws"));
        }
        let observed = self.of(x, y)?.mean();
        let stream = Stream::new(seed, "similarity: permutations of directions");
        let permutations: Vec<_> =
            (0..draws).map(|d| stream.child(d as u64).permutation(y.stimuli())).collect();
        let null = self.permuted(x, y, &permutations)?;
        Ok(PermutationTest::of(observed, null, None, seed))
    }
}
