//! Philox and `hesse::random`: accuracy of the normals, independence of pieces, threads and
//! instruction sets, and statistics of fixed seeds. A statistic of n draws with standard error σ is
//! held to 4.5 σ (probability 7·10⁻⁶ of a sound generator failing, once and for all: seeds are
//! fixed).

use hesse::random::{Philox, Stream};
use hesse::{Isa, Real};
use hesse_kernels::philox;
use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng};

const Z: f64 = 4.5;

fn normals<T: Real>(isa: Isa, seed: u64, stream: u64, offset: u64, n: usize) -> Vec<T> {
    let mut out = vec![T::NAN; n];
    philox::fill_normal(isa, seed, stream, offset, &mut out);
    out
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

/// Against mpmath at 60 digits, from the definition in the module's documentation and a Philox of
/// its own; the last digits are those of the nearest f64.
#[test]
fn normals_are_within_4_ulp_of_the_definition() {
    let golden: [(u64, f64); 16] = [
        (0, -0.233_530_708_084_838_9),
        (1, 0.142_224_155_443_971_18),
        (2, -0.775_693_763_872_904_7),
        (3, 1.406_762_861_142_206_7),
        (10, -0.578_485_116_617_402_5),
        (11, 0.561_403_178_794_020_8),
        (1_000, -0.522_107_286_697_264_7),
        (1_001, 0.563_885_757_838_622),
        (4_294_967_296, 0.861_980_134_504_236_4),
        (4_294_967_297, 0.095_677_196_494_803_47),
        (8_589_934_597, 0.696_598_156_754_615_7),
        (1_099_511_627_783, 1.612_981_298_545_382_2),
        (1_152_921_504_606_846_977, 0.699_664_739_997_327_4),
        (9_223_372_036_854_775_810, -1.547_404_348_690_582_9),
        (18_446_744_073_709_551_614, 0.913_364_095_371_908),
        (18_446_744_073_709_551_615, 0.017_515_004_668_268_306),
    ];
    for isa in Isa::available() {
        for (i, want) in golden {
            let got = normals::<f64>(isa, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, i, 1)[0];
            let ulp = want.abs().next_up() - want.abs();
            assert!((got - want).abs() <= 4.5 * ulp, "{isa} {i}: {got:e}, expected {want:e}");
        }
    }
}

/// `f32` against the same formulas in `f64`, a hundred thousand pairs; the radius' uniform number
/// is rounded as documented.
#[test]
fn single_precision_normals_are_within_4_ulp_of_the_definition() {
    const N: usize = 200_000;
    let mut words = vec![0; N];
    philox::fill_bits(Isa::SCALAR, 3, 4, 0, &mut words);
    for isa in Isa::available() {
        let got = normals::<f32>(isa, 3, 4, 0, N);
        for (got, w) in got.chunks(2).zip(words.chunks(2)) {
            let low = f64::from(w[1] & 0xff) + 0.5;
            let k = (f64::from(w[0] as f32) * 256.0 + low) as f32;
            let u = f64::from(k) * 2_f64.powi(-40);
            let t = (f64::from(w[1] >> 8 & 0x003f_ffff) + 0.5) * 2_f64.powi(-22) - 0.5;
            let (sine, cosine) = (t * std::f64::consts::FRAC_PI_2).sin_cos();
            let (x, y) = if w[1] >> 30 & 1 == 1 { (sine, cosine) } else { (cosine, sine) };
            let radius = (-2.0 * u.ln()).sqrt() * if w[1] >> 31 == 1 { -1.0 } else { 1.0 };
            for (got, want) in [(got[0], radius * x), (got[1], radius * y)] {
                let ulp = f64::from(got.abs().next_up()) - f64::from(got.abs());
                assert!((f64::from(got) - want).abs() <= 4.0 * ulp, "{isa}: {got:e}, {want:e}");
            }
        }
    }
}

#[test]
fn normals_have_the_same_bits_wherever_operations_are_fused() {
    fn check<T: Real>() {
        let reference = normals::<T>(Isa::SCALAR, 8, 9, 5, 100_003);
        let mut fused: Option<Vec<T>> = None;
        for isa in Isa::available().into_iter().filter(|isa| isa.has_fma()) {
            let got = normals::<T>(isa, 8, 9, 5, 100_003);
            for (a, b) in got.iter().zip(&reference) {
                let error = (a.to_f64() - b.to_f64()).abs();
                let bound = 8.0 * T::EPSILON.to_f64() * b.to_f64().abs();
                assert!(error <= bound, "{isa}: {a:e}, scalar {b:e}");
            }
            assert!(fused.get_or_insert_with(|| got.clone()) == &got, "{isa}");
        }
    }
    check::<f32>();
    check::<f64>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any piece of a stream, with dirty output, on any path, near index 0 and around 2⁶⁴.
    #[test]
    fn a_piece_is_the_same_as_the_whole(
        seed: u64,
        stream: u64,
        base in prop_oneof![0_u64..1000, any::<u64>(), (u64::MAX - 600)..u64::MAX],
        start in 0_usize..300,
        length in 0_usize..300,
    ) {
        type Fill<'a, E> = &'a dyn Fn(Isa, u64, &mut [E]);
        fn check<E: Copy + PartialEq + std::fmt::Debug>(
            dirty: E, base: u64, start: usize, length: usize, bitwise: bool, fill: Fill<E>,
        ) -> Result<(), TestCaseError> {
            let mut scalar: Option<Vec<E>> = None;
            for isa in Isa::available() {
                let mut whole = vec![dirty; 600];
                fill(isa, base, &mut whole);
                let mut part = vec![dirty; length + 2];
                fill(isa, base.wrapping_add(start as u64), &mut part[1..=length]);
                prop_assert_eq!(&part[1..=length], &whole[start..start + length]);
                let untouched = [part[0], part[length + 1]].map(|e| format!("{e:?}"));
                prop_assert_eq!(untouched, [dirty, dirty].map(|e| format!("{e:?}")));
                if bitwise {
                    prop_assert_eq!(scalar.get_or_insert_with(|| whole.clone()), &whole);
                }
            }
            Ok(())
        }
        let (s, t) = (seed, stream);
        check(7, base, start, length, true, &|i, o, x| philox::fill_bits(i, s, t, o, x))?;
        check(7, base, start, length, true, &|i, o, x| philox::fill_bits64(i, s, t, o, x))?;
        check(f32::NAN, base, start, length, true, &|i, o, x| philox::fill_uniform(i, s, t, o, x))?;
        check(f64::NAN, base, start, length, true, &|i, o, x| philox::fill_uniform(i, s, t, o, x))?;
        check(f32::NAN, base, start, length, true, &|i, o, x| philox::fill_rademacher(i, s, t, o, x))?;
        check(f64::NAN, base, start, length, true, &|i, o, x| philox::fill_rademacher(i, s, t, o, x))?;
        check(f32::NAN, base, start, length, false, &|i, o, x| philox::fill_normal(i, s, t, o, x))?;
        check(f64::NAN, base, start, length, false, &|i, o, x| philox::fill_normal(i, s, t, o, x))?;
        let stream = Stream::from_parts(seed, stream);
        check(7, base, start, length, true, &|_, o, x| stream.indices(o, 1000, x))?;
        for isa in Isa::available() {
            let mut words = [0; 2];
            philox::fill_bits64(isa, seed, stream.parts().1, base, &mut words);
            prop_assert_eq!(stream.below(base, 1 << 32), words[0] >> 32);
        }
    }
}

/// The documented formulas, element by element, from single blocks.
#[test]
fn elements_are_the_documented_functions_of_the_words() {
    let (seed, stream) = (0x1122_3344_5566_7788_u64, 0x99aa_bbcc_ddee_ff00_u64);
    let word = |i: u64| {
        let b = i / 4;
        let key = [seed as u32, (seed >> 32) as u32];
        let counter = [b as u32, (b >> 32) as u32, stream as u32, (stream >> 32) as u32];
        philox::block(key, counter)[(i % 4) as usize]
    };
    let base = (1 << 34) - 37; // blocks pass 2³²
    for isa in Isa::available() {
        let mut words = [0; 131];
        philox::fill_bits(isa, seed, stream, base, &mut words);
        let mut long = [0; 131];
        philox::fill_bits64(isa, seed, stream, base, &mut long);
        let mut single = [0_f32; 131];
        philox::fill_uniform(isa, seed, stream, base, &mut single);
        let mut double = [0_f64; 131];
        philox::fill_uniform(isa, seed, stream, base, &mut double);
        let mut signs = [0_f64; 131];
        philox::fill_rademacher(isa, seed, stream, base, &mut signs);
        for j in 0..131_usize {
            let i = base + j as u64;
            assert_eq!(words[j], word(i));
            let both = u64::from(word(2 * i)) | u64::from(word(2 * i + 1)) << 32;
            assert_eq!(long[j], both);
            assert_eq!(single[j], (word(i) >> 8) as f32 * 2_f32.powi(-24));
            assert_eq!(double[j], (both >> 11) as f64 * 2_f64.powi(-53));
            assert_eq!(signs[j], if word(i / 32) >> (i % 32) & 1 == 1 { -1.0 } else { 1.0 });
        }
    }
}

#[test]
fn parallel_fills_have_the_same_bits_for_any_number_of_threads() {
    const N: usize = 300_001;
    let stream = Stream::new(5, "threads");
    let on = |threads: usize| {
        let pool = rayon_pool(threads);
        let mut normal = vec![f64::NAN; N];
        let mut uniform = vec![f32::NAN; N];
        let mut sign = vec![f32::NAN; N];
        let mut index = vec![usize::MAX; N];
        pool.install(|| {
            stream.normals(17, &mut normal);
            stream.uniforms(u64::MAX - 70_000, &mut uniform);
            stream.rademacher(3, &mut sign);
            stream.indices(1, 77, &mut index);
        });
        (normal, uniform, sign, index)
    };
    let one = on(1);
    for threads in [2, 7] {
        assert!(on(threads) == one, "{threads} threads");
    }
    let mut sequential = vec![f64::NAN; N];
    philox::fill_normal(Isa::current(), 5, stream.parts().1, 17, &mut sequential);
    assert_eq!(sequential, one.0);
    assert!(one.3.iter().all(|&i| i < 77));
}

#[test]
fn moments_of_normals_and_uniforms() {
    fn check<T: Real>() {
        const N: usize = 4_000_000;
        let n = N as f64;
        let mut x = vec![T::NAN; N];
        let stream = Stream::new(11, "moments");
        stream.normals(0, &mut x);
        // Mean and variance of xᵏ for a standard normal: 0, 1; 1, 2; 0, 15; 3, 96.
        for (k, expected, variance) in
            [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
        {
            let got = mean(x.iter().map(|v| v.to_f64().powi(k)));
            let bound = Z * f64::sqrt(variance / n);
            assert!((got - expected).abs() < bound, "{} normal, moment {k}: {got}", T::NAME);
        }
        // Neighbours, sine and cosine of one angle among them; and their squares.
        for lag in 1..=4 {
            let pairs = || x.iter().zip(&x[lag..]).map(|(a, b)| (a.to_f64(), b.to_f64()));
            let plain = mean(pairs().map(|(a, b)| a * b));
            assert!(plain.abs() < Z / n.sqrt(), "lag {lag}: {plain}");
            let squares = mean(pairs().map(|(a, b)| (a * a - 1.0) * (b * b - 1.0)));
            assert!(squares.abs() < Z * 2.0 / n.sqrt(), "lag {lag}, squares: {squares}");
        }
        stream.child(0).uniforms(0, &mut x);
        assert!(x.iter().all(|v| (0.0..1.0).contains(&v.to_f64())));
        for k in 1..=4 {
            let got = mean(x.iter().map(|v| v.to_f64().powi(k)));
            let expected = 1.0 / f64::from(k + 1);
            let variance = 1.0 / f64::from(2 * k + 1) - expected * expected;
            let bound = Z * (variance / n).sqrt() + T::EPSILON.to_f64();
            assert!((got - expected).abs() < bound, "{} uniform, moment {k}: {got}", T::NAME);
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn tails_of_the_normals() {
    fn check<T: Real>() {
        const N: usize = 1 << 25;
        const PIECE: usize = 1 << 16;
        let stream = Stream::new(12, "tails");
        let limits = [3.0, 4.0, 5.0];
        let mut counts = [[0_u32; 3]; 2];
        let mut x = vec![T::NAN; PIECE];
        for piece in 0..N / PIECE {
            stream.normals((piece * PIECE) as u64, &mut x);
            for value in x.iter().map(|v| v.to_f64()) {
                if value.abs() > limits[0] {
                    for (j, limit) in limits.iter().enumerate() {
                        counts[usize::from(value > 0.0)][j] += u32::from(value.abs() > *limit);
                    }
                }
            }
        }
        for side in counts {
            for (count, limit) in side.iter().zip(limits) {
                let expected = N as f64 * 0.5 * libm::erfc(limit / std::f64::consts::SQRT_2);
                // A Poisson count: its standard error is the root of its mean.
                let bound = Z * expected.sqrt() + 1.0;
                assert!(
                    (f64::from(*count) - expected).abs() < bound,
                    "{}: {count} beyond {limit}, expected {expected}",
                    T::NAME
                );
            }
        }
    }
    check::<f32>();
    check::<f64>();
}

/// Kolmogorov and Smirnov's statistic √n D stays below 2.5 with probability 1 − 2 exp(−2·2.5²),
/// that is 1 − 7·10⁻⁶.
#[test]
fn distributions_by_kolmogorov_and_smirnov() {
    fn statistic(mut x: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
        x.sort_unstable_by(f64::total_cmp);
        let n = x.len() as f64;
        let d = x.iter().enumerate().fold(0.0_f64, |d, (i, &v)| {
            let p = cdf(v);
            d.max((p - i as f64 / n).abs()).max((p - (i + 1) as f64 / n).abs())
        });
        d * n.sqrt()
    }
    fn check<T: Real>() {
        let mut x = vec![T::NAN; 500_000];
        let normal = |v: f64| 0.5 * libm::erfc(-v / std::f64::consts::SQRT_2);
        for seed in 0..3 {
            let stream = Stream::new(seed, "distribution");
            stream.normals(0, &mut x);
            let d = statistic(x.iter().map(|v| v.to_f64()).collect(), normal);
            assert!(d < 2.5, "{} normal, seed {seed}: {d}", T::NAME);
            stream.child(1).uniforms(0, &mut x);
            let d = statistic(x.iter().map(|v| v.to_f64()).collect(), |v| v);
            assert!(d < 2.5, "{} uniform, seed {seed}: {d}", T::NAME);
        }
    }
    check::<f32>();
    check::<f64>();
}

/// Streams that differ in one bit of seed or number, or are parent and child, share nothing.
#[test]
fn neighbouring_streams_are_uncorrelated() {
    const N: usize = 200_000;
    let parent = Stream::new(13, "neighbours");
    let (seed, number) = parent.parts();
    let others = [
        Stream::from_parts(seed + 1, number),
        Stream::from_parts(seed ^ 1 << 32, number),
        Stream::from_parts(seed, number.wrapping_add(1)),
        Stream::from_parts(seed, number ^ 1 << 63),
        Stream::new(13, "neighbourt"),
        parent.child(0),
        parent.child(1),
        parent.child(0).child(0),
    ];
    let draw = |stream: &Stream| {
        let (mut x, mut w) = (vec![0.0_f64; N], vec![0; N]);
        stream.normals(0, &mut x);
        stream.words(0, &mut w);
        (x, w)
    };
    let all: Vec<_> = std::iter::once(&parent).chain(&others).map(draw).collect();
    for (i, (x, a)) in all.iter().enumerate() {
        for (j, (y, b)) in all.iter().enumerate().skip(i + 1) {
            let r = mean(x.iter().zip(y).map(|(a, b)| a * b));
            assert!(r.abs() < Z / (N as f64).sqrt(), "streams {i}, {j}: {r}");
            let ones: u32 = a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum();
            let expected = 32.0 * N as f64;
            let bound = Z * 4.0 * (N as f64).sqrt();
            assert!((f64::from(ones) - expected).abs() < bound, "streams {i}, {j}: {ones}");
        }
    }
}

#[test]
fn signs_are_fair_and_the_same_in_both_precisions() {
    const N: usize = 1_000_000;
    let stream = Stream::new(14, "signs");
    let (mut single, mut double) = (vec![0_f32; N], vec![0_f64; N]);
    stream.rademacher(9, &mut single);
    stream.rademacher(9, &mut double);
    assert!(single.iter().zip(&double).all(|(a, b)| f64::from(*a) == *b && b.abs() == 1.0));
    for lag in [1, 2, 31, 32, 33, 64, 128] {
        let r = mean(double.iter().zip(&double[lag..]).map(|(a, b)| a * b));
        assert!(r.abs() < Z / ((N - lag) as f64).sqrt(), "lag {lag}: {r}");
    }
    let sum: f64 = double.iter().sum();
    assert!(sum.abs() < Z * (N as f64).sqrt(), "{sum}");
}

#[test]
fn bounded_integers_are_unbiased() {
    // A quarter of the words is rejected here: the high bits alone would favour some thirds.
    let n = 3 << 62;
    let stream = Stream::new(15, "thirds");
    let mut counts = [0_u32; 3];
    for i in 0..30_000 {
        counts[(stream.below(i, n) >> 62) as usize] += 1;
    }
    let square = |c: &u32| (f64::from(*c) - 10_000.0).powi(2) / 10_000.0;
    let chi_square: f64 = counts.iter().map(square).sum();
    // Two degrees of freedom: P(χ² > 24) = e⁻¹².
    assert!(chi_square < 24.0, "{counts:?}");
    assert_eq!(stream.below(3, 0), 0);
    assert_eq!(stream.below(3, 1), 0);
    let mut one_by_one = [0; 200];
    stream.indices(0, 1_000_003, &mut one_by_one);
    for (i, &index) in one_by_one.iter().enumerate() {
        assert_eq!(index as u64, stream.below(i as u64, 1_000_003));
    }
}

#[test]
fn permutations_are_uniform_and_reproducible() {
    let stream = Stream::new(16, "permutations");
    let mut counts = std::collections::BTreeMap::new();
    for i in 0..24_000 {
        *counts.entry(stream.child(i).permutation(4)).or_insert(0_u32) += 1;
    }
    assert_eq!(counts.len(), 24);
    let chi_square: f64 = counts.values().map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0).sum();
    // 23 degrees of freedom: P(χ² > 70) = 1.4·10⁻⁶.
    assert!(chi_square < 70.0, "{chi_square}");

    // The documented algorithm, one draw at a time, across several buffers.
    for n in [0, 1, 2, 257, 1000] {
        let mut want: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            want.swap(i, stream.below(i as u64, i as u64 + 1) as usize);
        }
        assert_eq!(stream.permutation(n), want);
    }
}

#[test]
fn names_keep_their_numbers() {
    // FNV-1a and MurmurHash3's last step, computed by another program.
    let noise = Stream::new(7, "noise");
    assert_eq!(noise.parts(), (7, 0x9de0_d9a5_cf50_4220));
    assert_eq!(noise.child(3).parts(), (7, 0xb60b_28e7_28a3_25a0));
    let all: std::collections::BTreeSet<_> = (0..10_000).map(|i| noise.child(i).parts()).collect();
    assert_eq!(all.len(), 10_000);
}

#[test]
fn the_reader_serves_rand() {
    let stream = Stream::new(17, "reader");
    let (seed, number) = stream.parts();
    let mut words = [0; 300];
    philox::fill_bits(Isa::SCALAR, seed, number, 0, &mut words);

    let mut reader = stream.reader();
    for (i, &word) in words[..100].iter().enumerate() {
        assert_eq!(reader.position(), i as u64);
        assert_eq!(reader.next_u32(), word);
    }
    let pair = |i: usize| u64::from(words[i]) | u64::from(words[i + 1]) << 32;
    assert_eq!(reader.next_u64(), pair(100));
    let mut bytes = [0; 6];
    reader.fill_bytes(&mut bytes);
    assert_eq!(bytes[..4], words[102].to_le_bytes());
    assert_eq!(bytes[4..], words[103].to_le_bytes()[..2]);
    assert_eq!(reader.position(), 104);
    reader.seek(63); // across the end of a buffer
    assert_eq!(reader.next_u64(), pair(63));

    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..].copy_from_slice(&number.to_le_bytes());
    let mut seeded = Philox::from_seed(bytes);
    assert_eq!((seeded.seed(), seeded.stream()), (seed, number));
    assert_eq!(seeded.next_u64(), pair(0));
    let die: u32 = seeded.random_range(1..=6);
    assert!((1..=6).contains(&die));
    assert_ne!(Philox::seed_from_u64(1).next_u64(), Philox::seed_from_u64(2).next_u64());
}

fn rayon_pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}
