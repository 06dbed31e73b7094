//! Random bits to signs.

use pulp::{Simd, WithSimd, bytemuck};

use crate::compiled::dispatch;
use crate::{Isa, Real};

/// The signs that the 32 bits of one word make; `single` holds bit e alone in lane e.
#[inline(always)]
fn signs_of_word<T: Real, S: Simd>(simd: S, word: u32, single: &[T::Vector<S>], out: &mut [T]) {
    let zero = T::splat_bits(simd, 0);
    let sign = T::to_bits_v(simd, T::splat(simd, -T::ZERO));
    let one = T::to_bits_v(simd, T::splat(simd, T::ONE));
    let word = T::splat_bits(simd, u64::from(word));
    for (out, &bit) in T::as_mut_simd::<S>(out).0.iter_mut().zip(single) {
        let there = T::and_bits(simd, word, T::to_bits_v(simd, bit));
        let negated = T::sub_bits(simd, zero, there);
        let sign = T::and_bits(simd, negated, sign);
        *out = T::from_bits_v(simd, T::or_bits(simd, sign, one));
    }
}

/// Bit e of word w to the sign of element 32 w + e.
pub(super) fn signs_of_words<T: Real>(isa: Isa, words: &[u32], out: &mut [T]) {
    dispatch!(isa, Signs<'a, T> = Signs { words, out });
}

/// What [`signs_of_words`] does.
struct Signs<'a, T> {
    words: &'a [u32],
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Signs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Bit e alone in lane e, as an integer of the lane's width: subtracted from 0, its highest
        // bit is set unless it was 0.
        let mut single = [T::ZERO; 32];
        for (e, lane) in single.iter_mut().enumerate() {
            *lane = match size_of::<T>() {
                4 => bytemuck::cast(1_u32 << e),
                _ => bytemuck::cast(1_u64 << e),
            };
        }
        let (single, _) = T::as_simd::<S>(&single);
        let mut pieces = self.out.chunks_exact_mut(32);
        for (out, &word) in (&mut pieces).zip(self.words) {
            signs_of_word(simd, word, single, out);
        }
        let tail = pieces.into_remainder();
        if let (false, Some(&word)) = (tail.is_empty(), self.words.last()) {
            let mut signs = [T::ZERO; 32];
            signs_of_word(simd, word, single, &mut signs);
            tail.copy_from_slice(&signs[..tail.len()]);
        }
    }
}
