//! What this machine can do at most, on one thread: the roofline that benchmarks compare with.
//!
//! Measured, not read from a data sheet, so clock, virtual machine and neighbours are in it. The
//! best of several repetitions counts, since noise only ever slows.

use core::fmt;
use core::hint::black_box;
use std::time::{Duration, Instant};

use pulp::{Simd, WithSimd};

use crate::{Isa, Real};

/// Bytes a second through memory or a cache, on one thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandwidth {
    /// Size of each array in bytes.
    pub bytes: usize,
    /// Σ xᵢ: one array read.
    pub read: f64,
    /// y ← x: one array read, one written.
    pub copy: f64,
    /// z ← x + αy: two arrays read, one written (the read before the write is not counted).
    pub triad: f64,
}

/// The peaks of this machine with one instruction set, on one thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    /// The instruction set.
    pub isa: Isa,
    /// Multiplications and additions of `f32` a second, in registers.
    pub f32_flops: f64,
    /// Multiplications and additions of `f64` a second, in registers.
    pub f64_flops: f64,
    /// From the second-level cache.
    pub cache: Bandwidth,
    /// From memory.
    pub memory: Bandwidth,
}

impl Peaks {
    /// Measures them, in about half a second and with 192 MiB of memory.
    #[must_use]
    pub fn measure(isa: Isa) -> Peaks {
        Peaks {
            isa,
            f32_flops: flops::<f32>(isa),
            f64_flops: flops::<f64>(isa),
            cache: bandwidth(isa, 128 << 10),
            memory: bandwidth(isa, 64 << 20),
        }
    }
}

impl fmt::Display for Peaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {:.0} GFLOP/s f32, {:.0} GFLOP/s f64",
            self.isa,
            self.f32_flops / 1e9,
            self.f64_flops / 1e9
        )?;
        for b in [self.cache, self.memory] {
            write!(
                f,
                "; {} KiB: read {:.1}, copy {:.1}, triad {:.1} GB/s",
                b.bytes >> 10,
                b.read / 1e9,
                b.copy / 1e9,
                b.triad / 1e9
            )?;
        }
        Ok(())
    }
}

/// The shortest time of `f` in seconds: at least three runs, and as many as start within `budget`.
pub fn best_seconds(budget: Duration, mut f: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = f64::INFINITY;
    let mut runs = 0;
    while runs < 3 || start.elapsed() < budget {
        let start = Instant::now();
        f();
        let seconds = start.elapsed().as_secs_f64();
        if seconds < best {
            best = seconds;
        }
        runs += 1;
    }
    best
}

const BUDGET: Duration = Duration::from_millis(50);
/// Independent chains: twice what latency 4 with two units needs, within 16 registers.
const CHAINS: usize = 12;

/// Multiplications and additions a second of `T` in registers, x ← a x + b in 12 independent chains.
///
/// On the scalar path the two are not fused, and the compiler may pair the chains into vectors.
#[must_use]
pub fn flops<T: Real>(isa: Isa) -> f64 {
    const STEPS: usize = 200_000;
    let mut flops = 0;
    let seconds = best_seconds(BUDGET, || {
        flops = isa.dispatch(Chains { a: black_box(T::from_f64(0.5)), b: T::ONE, steps: STEPS });
    });
    flops as f64 / seconds
}

struct Chains<T> {
    a: T,
    b: T,
    steps: usize,
}

impl<T: Real> WithSimd for Chains<T> {
    type Output = usize;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let (a, b) = (T::splat(simd, self.a), T::splat(simd, self.b));
        let mut x = [b; CHAINS];
        for _ in 0..self.steps {
            for x in &mut x {
                *x = T::mul_add(simd, *x, a, b);
            }
        }
        black_box(x.map(|x| T::reduce_sum(simd, x)));
        2 * CHAINS * T::lanes::<S>() * self.steps
    }
}

/// Bytes a second over filled arrays of this many bytes each.
#[must_use]
pub fn bandwidth(isa: Isa, bytes: usize) -> Bandwidth {
    let n = bytes / size_of::<f64>();
    let x: Vec<f64> = (0..n).map(|i| i as f64).collect();
    let mut y = x.clone();
    let mut z = x.clone();
    let passes = ((4 << 20) / bytes.max(1)).max(1);
    let rate = |arrays: usize, pass: &mut dyn FnMut()| {
        let seconds = best_seconds(BUDGET, || (0..passes).for_each(|_| pass()));
        (arrays * n * size_of::<f64>() * passes) as f64 / seconds
    };
    Bandwidth {
        bytes,
        read: rate(1, &mut || _ = black_box(isa.dispatch(Read(black_box(&x))))),
        copy: rate(2, &mut || black_box(&mut y).copy_from_slice(black_box(&x))),
        triad: rate(3, &mut || isa.dispatch(Triad(black_box(&x), &y, black_box(&mut z)))),
    }
}

struct Read<'a>(&'a [f64]);

impl WithSimd for Read<'_> {
    type Output = f64;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (body, _) = S::as_simd_f64s(self.0);
        let mut acc = [simd.splat_f64s(0.0); 8];
        for piece in body.chunks_exact(8) {
            for (acc, &x) in acc.iter_mut().zip(piece) {
                *acc = simd.add_f64s(*acc, x);
            }
        }
        acc.iter().map(|&x| simd.reduce_sum_f64s(x)).sum()
    }
}

struct Triad<'a>(&'a [f64], &'a [f64], &'a mut [f64]);

impl WithSimd for Triad<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let alpha = simd.splat_f64s(3.0);
        let (x, y) = (S::as_simd_f64s(self.0).0, S::as_simd_f64s(self.1).0);
        for ((z, &x), &y) in S::as_mut_simd_f64s(self.2).0.iter_mut().zip(x).zip(y) {
            *z = simd.mul_add_e_f64s(y, alpha, x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_is_a_positive_number() {
        for isa in Isa::available() {
            let rates = [flops::<f32>(isa), flops::<f64>(isa)];
            assert!(rates.iter().all(|&rate| rate.is_finite() && rate > 0.0), "{isa} {rates:?}");
            let b = bandwidth(isa, 1 << 16);
            assert_eq!(b.bytes, 1 << 16);
            for rate in [b.read, b.copy, b.triad] {
                assert!(rate.is_finite() && rate > 0.0, "{isa} {b:?}");
            }
        }
    }

    #[test]
    fn the_shortest_run_counts() {
        let mut runs = 0;
        let seconds = best_seconds(Duration::ZERO, || {
            runs += 1;
            std::thread::sleep(Duration::from_millis(if runs == 2 { 1 } else { 40 }));
        });
        assert_eq!(runs, 3);
        assert!(seconds >= 0.001);
    }
}
