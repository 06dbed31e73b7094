//! Numbers for timings that other languages can make as well, bit for bit: `tools/peers` makes the
//! same ones in NumPy, so that both sides compute on the same input and must find the same answer.

use hesse_kernels::Real;

/// The first `n` values of stream `seed`, uniform on [−√3, √3), so of mean 0 and variance 1.
///
/// Value i is `u` = the upper 53 bits of SplitMix64's output i from the state seed · 2³², taken as
/// a fraction of 1, then (2u − 1)√3 in `f64`, rounded to `T`.
#[must_use]
pub fn uniform<T: Real>(seed: u32, n: usize) -> Vec<T> {
    let start = u64::from(seed) << 32;
    (0..n as u64)
        .map(|i| {
            let mut z = start.wrapping_add((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            let u = (z >> 11) as f64 * (1.0 / (1u64 << 53) as f64);
            T::from_f64((2.0 * u - 1.0) * 3f64.sqrt())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_splitmix64() {
        // First outputs of the published generator for seed 0.
        let known = [0xe220_a839_7b1d_cdaf_u64, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        for (got, bits) in uniform::<f64>(0, 3).into_iter().zip(known) {
            let u = (bits >> 11) as f64 / (1u64 << 53) as f64;
            assert_eq!(got, (2.0 * u - 1.0) * 3f64.sqrt());
        }
    }

    #[test]
    fn mean_and_variance_are_zero_and_one() {
        let x = uniform::<f64>(7, 100_000);
        let mean = x.iter().sum::<f64>() / 1e5;
        let variance = x.iter().map(|x| x * x).sum::<f64>() / 1e5 - mean * mean;
        // Four standard errors: sd/√n = 0.0032; that of the variance is √(κ−1)/√n with κ = 9/5.
        assert!(mean.abs() < 4.0 * 0.0032, "{mean}");
        assert!((variance - 1.0).abs() < 4.0 * 0.0029, "{variance}");
    }
}
