//! Random numbers that are functions of (seed, purpose, index): the same bits for any number of
//! threads, any order of evaluation and any piece of an array.
//!
//! A [`Stream`] is named by a seed and a purpose, and has children for samples, chains or steps.
//! Nothing is consumed: element i of a stream is always the same number, so a program asks for what
//! it needs where it needs it, and a run that resumes asks again. Kinds of elements (normals,
//! uniforms, signs, indices) share bits: take one stream, or one child, for each.
//!
//! ```
//! use hesse::random::Stream;
//!
//! let noise = Stream::new(7, "noise");
//! let mut all = [0.0_f64; 10];
//! noise.normals(0, &mut all);
//! let mut part = [0.0_f64; 3];
//! noise.normals(4, &mut part);
//! assert_eq!(part, all[4..7]);
//!
//! // One stream a chain and step.
//! let chain = noise.child(3);
//! chain.child(100).normals(0, &mut all);
//! assert_ne!(part, all[4..7]);
//!
//! let mut order = Stream::new(7, "shuffle").permutation(10);
//! order.sort_unstable();
//! assert_eq!(order, (0..10).collect::<Vec<_>>());
//! ```
//!
//! The generator is Philox 4×32-10; how indices map to its bits, and the accuracy of the normals,
//! are stated in `hesse_kernels::philox`. Everything but the normals has the same bits on every
//! instruction set; the normals have the same bits on those that fuse multiplication and addition
//! (all but `scalar`).

use hesse_kernels::{Isa, Real, philox};

use super::parallel;

pub use hesse_kernels::philox::Philox;

/// Elements that one thread fills at a time. A multiple of every kind's block.
const PIECE: usize = 1 << 16;

/// 2⁶⁴ stateless elements of every kind, named by a seed and a stream number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stream {
    seed: u64,
    stream: u64,
}

/// MurmurHash3's last step: a bijection of 64 bits in which every bit depends on every other.
fn mix(mut h: u64) -> u64 {
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

/// FNV-1a of 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &byte| {
        (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl Stream {
    /// The stream of `purpose` under `seed`.
    ///
    /// The key of the generator is `seed`; the number of the stream is the 64-bit FNV-1a hash of
    /// the purpose's UTF-8 bytes, passed through the last step of `MurmurHash3` (constants
    /// ff51afd7ed558ccd and c4ceb9fe1a85ec53). These are part of the interface: a purpose keeps its
    /// numbers from release to release.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self { seed, stream: mix(fnv1a(purpose.as_bytes())) }
    }

    /// The stream with this seed (key) and number (high half of the counter), not hashed.
    #[must_use]
    pub fn from_parts(seed: u64, stream: u64) -> Self {
        Self { seed, stream }
    }

    /// The seed and the number of the stream.
    #[must_use]
    pub fn parts(&self) -> (u64, u64) {
        (self.seed, self.stream)
    }

    /// The stream of one sample, chain or step.
    ///
    /// Its number is mix(s + (index + 1) · 9e3779b97f4a7c15) modulo 2⁶⁴ with s the number of this
    /// stream and the mix of [`Stream::new`]. The children of one stream are all different;
    /// otherwise two of n streams coincide with probability below n² 2⁻⁶⁵, 3·10⁻⁸ for a million.
    #[must_use]
    pub fn child(&self, index: u64) -> Self {
        let step = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { seed: self.seed, stream: mix(self.stream.wrapping_add(step)) }
    }

    /// A sequential reader of this stream's words, which implements the traits of `rand_core`.
    #[must_use]
    pub fn reader(&self) -> Philox {
        Philox::new(Isa::current(), self.seed, self.stream)
    }

    /// Fills `out` with elements `offset`, `offset + 1`, … of `kernel`, in parallel if it is long.
    fn fill<E: Send>(
        &self,
        kernel: impl Fn(Isa, u64, u64, u64, &mut [E]) + Sync,
        offset: u64,
        out: &mut [E],
    ) {
        let isa = Isa::current();
        if out.len() <= PIECE {
            kernel(isa, self.seed, self.stream, offset, out);
            return;
        }
        parallel::for_each_piece(out, PIECE, |i, piece| {
            let offset = offset.wrapping_add((i * PIECE) as u64);
            kernel(isa, self.seed, self.stream, offset, piece);
        });
    }

    /// Fills `out` with the standard normal elements `offset`, `offset + 1`, … (modulo 2⁶⁴).
    ///
    /// `f32` and `f64` are different numbers, not roundings of each other.
    pub fn normals<T: Real>(&self, offset: u64, out: &mut [T]) {
        self.fill(philox::fill_normal, offset, out);
    }

    /// Fills `out` with the elements `offset`, … uniform on [0, 1): multiples of 2⁻²⁴ (`f32`) or
    /// 2⁻⁵³ (`f64`), 0 included, 1 never.
    pub fn uniforms<T: Real>(&self, offset: u64, out: &mut [T]) {
        self.fill(philox::fill_uniform, offset, out);
    }

    /// Fills `out` with the elements `offset`, … of −1 and 1, each with probability ½; the same
    /// for `f32` and `f64`.
    pub fn rademacher<T: Real>(&self, offset: u64, out: &mut [T]) {
        self.fill(philox::fill_rademacher, offset, out);
    }

    /// Fills `out` with the 64-bit words `offset`, ….
    pub fn words(&self, offset: u64, out: &mut [u64]) {
        self.fill(philox::fill_bits64, offset, out);
    }

    /// The element `index` of integers uniform on 0..`n`, without bias; 0 for n = 0.
    ///
    /// The high half of n · w with w the 64-bit word `index` of this stream; where the low half is
    /// below 2⁶⁴ mod n, the word of the same index of `child(2⁶⁴ − 1)`, and so on. Source:
    /// D. Lemire, *Fast random integer generation in an interval*, ACM TOMACS 29 (2019), algorithm 5.
    #[must_use]
    pub fn below(&self, index: u64, n: u64) -> u64 {
        let mut word = [0];
        philox::fill_bits64(Isa::current(), self.seed, self.stream, index, &mut word);
        self.scale(word[0], index, n)
    }

    /// The integer below n that `word`, the word `index` of this stream, makes.
    #[allow(clippy::cast_possible_truncation)]
    fn scale(&self, word: u64, index: u64, n: u64) -> u64 {
        let product = u128::from(word) * u128::from(n);
        let low = product as u64;
        if low < n && low < n.wrapping_neg() % n {
            return self.child(u64::MAX).below(index, n);
        }
        (product >> 64) as u64
    }

    /// Fills `out` with the integers [`Stream::below`] of indices `offset`, …: indices drawn with
    /// replacement, as a bootstrap does.
    pub fn indices(&self, offset: u64, n: usize, out: &mut [usize]) {
        let fill = |isa, seed, stream, offset: u64, out: &mut [usize]| {
            let mut words = [0; 64];
            for (piece, out) in out.chunks_mut(words.len()).enumerate() {
                let offset = offset.wrapping_add((piece * words.len()) as u64);
                philox::fill_bits64(isa, seed, stream, offset, &mut words[..out.len()]);
                for (i, (out, &word)) in out.iter_mut().zip(&words).enumerate() {
                    *out = self.scale(word, offset.wrapping_add(i as u64), n as u64) as usize;
                }
            }
        };
        self.fill(fill, offset, out);
    }

    /// Shuffles `items`: every order with equal probability (as far as 64 bits of stream number
    /// and 64 of seed can tell n! orders apart).
    ///
    /// Fisher and Yates: for i = n−1, …, 1 exchanges items i and [`Stream::below`] (i, i + 1).
    pub fn shuffle<E>(&self, items: &mut [E]) {
        let isa = Isa::current();
        let mut words = [0; 256];
        let mut end = items.len();
        while end > 1 {
            let start = end.saturating_sub(words.len()).max(1);
            let words = &mut words[..end - start];
            philox::fill_bits64(isa, self.seed, self.stream, start as u64, words);
            for i in (start..end).rev() {
                let j = self.scale(words[i - start], i as u64, i as u64 + 1);
                items.swap(i, j as usize);
            }
            end = start;
        }
    }

    /// A permutation of 0..`n`, see [`Stream::shuffle`].
    #[must_use]
    pub fn permutation(&self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}
