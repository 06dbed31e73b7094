//! Random numbers that are functions of their index: Philox 4×32-10 and what is drawn from it.
//!
//! Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, *Parallel random numbers: as easy
//! as 1, 2, 3*, SC11 (2011); the Random123 library's known answers are among the tests. Ten rounds
//! of a keyed bijection of 128-bit counters; passes BigCrush.
//!
//! # Which bits are which
//!
//! | | 32-bit words, first to last |
//! |---|---|
//! | key | `seed` low, `seed` high |
//! | counter | block low, block high, `stream` low, `stream` high |
//!
//! A stream is a sequence of 2⁶⁴ elements, and element i is a function of (seed, stream, i) alone:
//! not of the instruction set, the vector width, or the piece in which it is asked for. Writing
//! w₀ w₁ w₂ w₃ for the output words of a block,
//!
//! | Elements | in a block | element i comes from |
//! |---|---|---|
//! | 32-bit words | 4 | word i mod 4 of block i / 4 |
//! | 64-bit words | 2 | words 2j (low half) and 2j+1 (high half) of block i / 2, j = i mod 2 |
//! | uniform `f32` | 4 | (32-bit word i >> 8) · 2⁻²⁴ |
//! | uniform `f64` | 2 | (64-bit word i >> 11) · 2⁻⁵³ |
//! | signs ±1 | 128 | bit i mod 32 of 32-bit word i / 32: −1 where it is set; the same for `f32` and `f64` |
//! | normal `f32` | 4 | 32-bit words 2p and 2p+1, p = i / 2 |
//! | normal `f64` | 2 | 64-bit words 2p and 2p+1, p = i / 2 |
//!
//! Indices count modulo 2⁶⁴: behind element 2⁶⁴ − 1 comes element 0. Kinds share bits, so use a
//! stream for one kind of element only. All kinds but the normals have the same bits on every
//! path; normals have the same bits on every path with fused multiplication and addition, and are
//! within a few units in the last place of them on the scalar path.
//!
//! # Cost
//! Each round of a vector of blocks is two multiplications, two shifts and two three-way
//! exclusive-ors: 60 operations for as many blocks as there are 64-bit lanes. Compute-bound in
//! cache. No allocation.

mod cursor;
mod normal;
mod signs;
mod words;

use pulp::bytemuck::{self, Pod, Zeroable};
use pulp::{Simd, WithSimd};

use crate::{Isa, Real};

use signs::signs_of_words;

pub use cursor::Philox;

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const KEY_STEPS: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
/// Groups whose rounds are interleaved.
const SIDE_BY_SIDE: usize = 2;
/// The longest group of elements: 8 blocks of 4.
const MAX_GROUP: usize = 32;

/// One block: the ten rounds applied to one counter, in plain integers.
#[must_use]
#[allow(clippy::cast_possible_truncation)]
pub fn block(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let ([mut k0, mut k1], mut c) = (key, counter);
    for _ in 0..ROUNDS {
        let p0 = u64::from(MULTIPLIERS[0]) * u64::from(c[0]);
        let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c[2]);
        c = [(p1 >> 32) as u32 ^ c[1] ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c[3] ^ k1, p0 as u32];
        k0 = k0.wrapping_add(KEY_STEPS[0]);
        k1 = k1.wrapping_add(KEY_STEPS[1]);
    }
    c
}

/// Fills `out` with the 32-bit words `offset`, `offset + 1`, … of a stream.
pub fn fill_bits(isa: Isa, seed: u64, stream: u64, offset: u64, out: &mut [u32]) {
    fill(isa, Words32, seed, stream, offset, out);
}

/// Fills `out` with the 64-bit words `offset`, `offset + 1`, … of a stream.
pub fn fill_bits64(isa: Isa, seed: u64, stream: u64, offset: u64, out: &mut [u64]) {
    fill(isa, Words64, seed, stream, offset, out);
}

/// Fills `out` with numbers uniform on [0, 1): multiples of 2⁻²⁴ (`f32`) or 2⁻⁵³ (`f64`), 0
/// included, 1 never.
pub fn fill_uniform<T: Real>(isa: Isa, seed: u64, stream: u64, offset: u64, out: &mut [T]) {
    match by_type(out) {
        Typed::Single(out) => uniform32(isa, seed, stream, offset, out),
        Typed::Double(out) => uniform64(isa, seed, stream, offset, out),
    }
}

/// Fills `out` with standard normal numbers, mean 0 and variance 1.
///
/// Box and Muller's transform, with sine and cosine of the same angle in elements 2p and 2p+1:
///
/// x₂ₚ = ρ cos φ, x₂ₚ₊₁ = ρ sin φ, ρ = √(−2 ln u)
///
/// where u = (k + ½) / 2ᵇ, k the top b bits (b = 40 for `f32`, 64 for `f64`), so that the tails
/// reach √(2 (b+1) ln 2): 7.54 for `f32`, 9.49 for `f64`. The angle is t π/2 with t on a grid of
/// 2⁻²² (`f32`) or 2⁻⁵¹ (`f64`) symmetric about 0 in (−½, ½); two more bits carry it to the other
/// three quarters of the circle (exchange of sine and cosine, sign of both). With the words of
/// the pair,
///
/// | | `f32`: w, v of 32 bits | `f64`: w, v of 64 bits |
/// |---|---|---|
/// | k + ½ | fl(2⁸ fl(w) + (v mod 2⁸ + ½)) | fl(fl(w) + ½) |
/// | t | (v >> 8 mod 2²² + ½) 2⁻²² − ½ | (v >> 11 mod 2⁵¹ + ½) 2⁻⁵¹ − ½ |
/// | exchange, sign | bits 30, 31 of v | bits 62, 63 of v |
///
/// fl: rounded to the type. Each element is within 4 units in the last place of these formulas on
/// every path (largest error seen in 4·10⁶ of each type: 3.25).
///
/// Source: G. E. P. Box, M. E. Muller, *A note on the generation of random normal deviates*,
/// Ann. Math. Stat. 29 (1958).
pub fn fill_normal<T: Real>(isa: Isa, seed: u64, stream: u64, offset: u64, out: &mut [T]) {
    match by_type(out) {
        Typed::Single(out) => normal32(isa, seed, stream, offset, out),
        Typed::Double(out) => normal64(isa, seed, stream, offset, out),
    }
}

/// Fills `out` with −1 and 1, each with probability ½ (Rademacher's distribution); 32 elements a
/// word, so that long fills are bandwidth-bound.
pub fn fill_rademacher<T: Real>(isa: Isa, seed: u64, stream: u64, offset: u64, out: &mut [T]) {
    const WORDS: usize = 64;
    let mut words = [0; WORDS];
    #[allow(clippy::cast_possible_truncation)] // below 32
    let skip = (offset % 32) as usize;
    let head = if skip == 0 { 0 } else { (32 - skip).min(out.len()) };
    let (first, rest) = out.split_at_mut(head);
    let mut word = offset / 32;
    if head > 0 {
        let mut signs = [T::ZERO; 32];
        fill_bits(isa, seed, stream, word, &mut words[..1]);
        signs_of_words(isa, &words[..1], &mut signs);
        first.copy_from_slice(&signs[skip..skip + head]);
        word += 1;
    }
    for piece in rest.chunks_mut(32 * WORDS) {
        // Words count modulo 2⁵⁹, that is elements modulo 2⁶⁴.
        let used = piece.len().div_ceil(32);
        let before_end = usize::try_from((1 << 59) - word).unwrap_or(usize::MAX).min(used);
        fill_bits(isa, seed, stream, word, &mut words[..before_end]);
        fill_bits(isa, seed, stream, 0, &mut words[before_end..used]);
        signs_of_words(isa, &words[..used], piece);
        word = (word + used as u64) % (1 << 59);
    }
}

macro_rules! fill_one_type {
    ($($name:ident: $draw:expr, $t:ty;)*) => {$(
        #[inline(never)]
        fn $name(isa: Isa, seed: u64, stream: u64, offset: u64, out: &mut [$t]) {
            fill(isa, $draw, seed, stream, offset, out);
        }
    )*};
}
// Not generic, so compiled once, here: see `compiled`.
fill_one_type! {
    uniform32: Uniform32, f32;
    uniform64: Uniform64, f64;
    normal32: normal::Normal32, f32;
    normal64: normal::Normal64, f64;
}

enum Typed<'a> {
    Single(&'a mut [f32]),
    Double(&'a mut [f64]),
}

fn by_type<T: Real>(out: &mut [T]) -> Typed<'_> {
    // `Real` is `f32` or `f64`, each castable to itself.
    if size_of::<T>() == size_of::<f32>() {
        Typed::Single(bytemuck::cast_slice_mut(out))
    } else {
        Typed::Double(bytemuck::cast_slice_mut(out))
    }
}

/// What is made of the words of a block.
trait Draw: Copy {
    type Element: Pod;
    /// Elements in a block.
    const IN_BLOCK: usize;
    /// Writes the elements of `S::U64_LANES` blocks in order of their block. `words[j]` holds word
    /// j of every block in the low halves of its lanes and anything in the high halves. The blocks
    /// of the first and second lane of every 128 bits are those of the first and second half of
    /// the group, so that interleaving two vectors within 128 bits puts them in order.
    fn group<S: Simd>(self, simd: S, words: [S::u64s; 4], out: &mut [Self::Element]);
}

/// Dispatches; a range that passes index 2⁶⁴ is cut there.
fn fill<D: Draw>(isa: Isa, draw: D, seed: u64, stream: u64, offset: u64, out: &mut [D::Element]) {
    let before_end = match offset {
        0 => out.len(),
        _ => usize::try_from(offset.wrapping_neg()).unwrap_or(usize::MAX).min(out.len()),
    };
    let (out, wrapped) = out.split_at_mut(before_end);
    isa.dispatch(Fill { draw, seed, stream, offset, out });
    if !wrapped.is_empty() {
        isa.dispatch(Fill { draw, seed, stream, offset: 0, out: wrapped });
    }
}

struct Fill<'a, D: Draw> {
    draw: D,
    seed: u64,
    stream: u64,
    offset: u64,
    out: &'a mut [D::Element],
}

impl<D: Draw> WithSimd for Fill<'_, D> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { draw, seed, stream, offset, mut out } = self;
        let rounds = Rounds::new(simd, seed, stream);
        let lanes = S::U64_LANES as u64;
        let group = S::U64_LANES * D::IN_BLOCK;
        let mut buffer = [D::Element::zeroed(); MAX_GROUP];
        let mut block = offset / D::IN_BLOCK as u64;

        let skip = (offset % D::IN_BLOCK as u64) as usize;
        if skip > 0 {
            let [words] = rounds.words(simd, block);
            draw.group(simd, words, &mut buffer[..group]);
            let n = out.len().min(group - skip);
            let (head, rest) = out.split_at_mut(n);
            head.copy_from_slice(&buffer[skip..skip + n]);
            out = rest;
            block += lanes;
        }
        let mut several = out.chunks_exact_mut(SIDE_BY_SIDE * group);
        for out in &mut several {
            let words: [_; SIDE_BY_SIDE] = rounds.words(simd, block);
            for (words, out) in words.into_iter().zip(out.chunks_exact_mut(group)) {
                draw.group(simd, words, out);
            }
            block += SIDE_BY_SIDE as u64 * lanes;
        }
        let mut groups = several.into_remainder().chunks_exact_mut(group);
        for out in &mut groups {
            let [words] = rounds.words(simd, block);
            draw.group(simd, words, out);
            block += lanes;
        }
        let tail = groups.into_remainder();
        if !tail.is_empty() {
            let [words] = rounds.words(simd, block);
            draw.group(simd, words, &mut buffer[..group]);
            tail.copy_from_slice(&buffer[..tail.len()]);
        }
    }
}

/// Everything that the blocks of one stream share.
struct Rounds<S: Simd> {
    keys: [[S::u64s; 2]; ROUNDS],
    multipliers: [S::u64s; 2],
    stream: [S::u64s; 2],
    order: S::u64s,
}

impl<S: Simd> Rounds<S> {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    fn new(simd: S, seed: u64, stream: u64) -> Self {
        let (mut k0, mut k1) = (seed as u32, (seed >> 32) as u32);
        let mut keys = [[simd.splat_u64s(0); 2]; ROUNDS];
        for key in &mut keys {
            *key = [simd.splat_u64s(u64::from(k0)), simd.splat_u64s(u64::from(k1))];
            k0 = k0.wrapping_add(KEY_STEPS[0]);
            k1 = k1.wrapping_add(KEY_STEPS[1]);
        }
        let mut order = simd.splat_u64s(0);
        let half = S::U64_LANES / 2;
        let lanes: &mut [u64] = bytemuck::cast_slice_mut(core::slice::from_mut(&mut order));
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane = (half * (i % 2) + i / 2) as u64;
        }
        Self {
            keys,
            multipliers: MULTIPLIERS.map(|m| simd.splat_u64s(u64::from(m))),
            stream: [simd.splat_u64s(stream & 0xffff_ffff), simd.splat_u64s(stream >> 32)],
            order,
        }
    }

    /// The output words of the blocks `first`, `first + 1`, … of `N` groups, each arranged as
    /// [`Draw::group`] says. Several groups side by side hide the latency of a round: the ten
    /// rounds are one chain of dependent instructions, longer than a scheduler sees across.
    #[inline(always)]
    fn words<const N: usize>(&self, simd: S, first: u64) -> [[S::u64s; 4]; N] {
        let mut groups = [[self.order; 4]; N];
        let mut block = first;
        for c in &mut groups {
            let blocks = simd.add_u64s(simd.splat_u64s(block), self.order);
            let high = words::shift_down_32(simd, blocks);
            *c = [blocks, high, self.stream[0], self.stream[1]];
            block = block.wrapping_add(S::U64_LANES as u64);
        }
        for [k0, k1] in self.keys {
            for c in &mut groups {
                let p0 = words::multiply_low(simd, self.multipliers[0], c[0]);
                let p1 = words::multiply_low(simd, self.multipliers[1], c[2]);
                let high0 = words::shift_down_32(simd, p0);
                let high1 = words::shift_down_32(simd, p1);
                *c = [
                    simd.xor_u64s(simd.xor_u64s(high1, c[1]), k0),
                    p1,
                    simd.xor_u64s(simd.xor_u64s(high0, c[3]), k1),
                    p0,
                ];
            }
        }
        groups
    }
}

/// The words of a group in order, as two vectors of 64-bit words.
#[inline(always)]
fn in_order<S: Simd>(simd: S, w: [S::u64s; 4]) -> [S::u64s; 2] {
    words::interleave_u64s(simd, words::join(simd, w[0], w[1]), words::join(simd, w[2], w[3]))
}

#[derive(Clone, Copy)]
struct Words64;
impl Draw for Words64 {
    type Element = u64;
    const IN_BLOCK: usize = 2;
    #[inline(always)]
    fn group<S: Simd>(self, simd: S, w: [S::u64s; 4], out: &mut [u64]) {
        out.copy_from_slice(bytemuck::cast_slice(&in_order(simd, w)));
    }
}

#[derive(Clone, Copy)]
struct Words32;
impl Draw for Words32 {
    type Element = u32;
    const IN_BLOCK: usize = 4;
    #[inline(always)]
    fn group<S: Simd>(self, simd: S, w: [S::u64s; 4], out: &mut [u32]) {
        // The first of two words lies in the half of the 64 bits that comes first in memory.
        let w = if cfg!(target_endian = "big") { [w[1], w[0], w[3], w[2]] } else { w };
        out.copy_from_slice(bytemuck::cast_slice(&in_order(simd, w)));
    }
}

#[derive(Clone, Copy)]
struct Uniform64;
impl Draw for Uniform64 {
    type Element = f64;
    const IN_BLOCK: usize = 2;
    #[inline(always)]
    fn group<S: Simd>(self, simd: S, w: [S::u64s; 4], out: &mut [f64]) {
        use crate::lanes::Lanes;
        let unit = simd.splat_f64s(f64::EPSILON / 2.0);
        let [low, high] = in_order(simd, w);
        let low = <f64 as Lanes>::shr_bits::<S, 11>(simd, low);
        let high = <f64 as Lanes>::shr_bits::<S, 11>(simd, high);
        let values = [
            simd.mul_f64s(words::u64s_to_f64s(simd, low), unit),
            simd.mul_f64s(words::u64s_to_f64s(simd, high), unit),
        ];
        out.copy_from_slice(bytemuck::cast_slice(&values));
    }
}

#[derive(Clone, Copy)]
struct Uniform32;
impl Draw for Uniform32 {
    type Element = f32;
    const IN_BLOCK: usize = 4;
    #[inline(always)]
    fn group<S: Simd>(self, simd: S, w: [S::u64s; 4], out: &mut [f32]) {
        use crate::lanes::Lanes;
        let mut bits = [0_u32; MAX_GROUP];
        Words32.group(simd, w, &mut bits[..out.len()]);
        let unit = simd.splat_f32s(f32::EPSILON / 2.0);
        let bits: &[S::u32s] = bytemuck::cast_slice(&bits[..out.len()]);
        let out: &mut [S::f32s] = bytemuck::cast_slice_mut(out);
        for (out, &v) in out.iter_mut().zip(bits) {
            let top = <f32 as Lanes>::shr_bits::<S, 8>(simd, v);
            *out = simd.mul_f32s(words::u32s_to_f32s(simd, top), unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kat_vectors` of Random123, philox4x32 with 10 rounds: key, counter, output.
    const KNOWN: [([u32; 2], [u32; 4], [u32; 4]); 3] = [
        ([0; 2], [0; 4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([!0; 2], [!0; 4], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (
            [0xa409_3822, 0x299f_31d0],
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ];

    fn pair(words: [u32; 2]) -> u64 {
        u64::from(words[0]) | u64::from(words[1]) << 32
    }

    /// Every block of a group, through the vector code, for any counter.
    struct Blocks {
        seed: u64,
        stream: u64,
        first: u64,
    }
    impl WithSimd for Blocks {
        type Output = Vec<[u32; 4]>;
        fn with_simd<S: Simd>(self, simd: S) -> Vec<[u32; 4]> {
            let rounds = Rounds::new(simd, self.seed, self.stream);
            let mut out = vec![0; 4 * S::U64_LANES];
            let [words] = rounds.words(simd, self.first);
            Words32.group(simd, words, &mut out);
            out.chunks(4).map(|c| [c[0], c[1], c[2], c[3]]).collect()
        }
    }

    #[test]
    fn known_answers_on_every_path() {
        for (key, counter, answer) in KNOWN {
            assert_eq!(block(key, counter), answer);
            let (seed, stream) = (pair(key), pair([counter[2], counter[3]]));
            let first = pair([counter[0], counter[1]]);
            for isa in Isa::available() {
                let blocks = isa.dispatch(Blocks { seed, stream, first });
                assert_eq!(blocks[0], answer, "{isa}");
                for (i, got) in blocks.iter().enumerate() {
                    #[allow(clippy::cast_possible_truncation)]
                    let n = first.wrapping_add(i as u64);
                    let counter = [n as u32, (n >> 32) as u32, counter[2], counter[3]];
                    assert_eq!(*got, block(key, counter), "{isa}");
                }
            }
        }
    }
}
