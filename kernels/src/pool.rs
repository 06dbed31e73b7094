//! Maximum and average over windows of a plane, and the transposes of both.
//!
//! Arrays are planes one after the other, `[plane][row][column]`; a plane is a channel of a sample.
//! All kernels here are bandwidth-bound.

#[cfg(test)]
mod tests;

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::window::Window;
use crate::{Isa, Real};

fn check(window: &Window, inputs: usize, outputs: usize) {
    assert!(inputs.is_multiple_of(window.plane()), "pool: {inputs} inputs are no whole planes");
    let planes = inputs / window.plane();
    assert_eq!(outputs, planes * window.positions(), "pool: outputs of {planes} planes");
}

fn check_maxima(window: &Window, inputs: usize, outputs: usize, indices: usize) {
    check(window, inputs, outputs);
    assert_eq!(indices, outputs, "pool: indices");
}

/// The largest element of each window, and where in its plane it lies. Padding is never the largest.
///
/// Of equal elements the first in scan order (row by row) is taken, as PyTorch does; NaN counts as
/// larger than all numbers, the last of several is taken.
///
/// # Panics
/// If the lengths do not agree, a plane has more than 2³² elements, the padding is more than half
/// the kernel (so that a window might lie outside), or the window is dilated.
pub fn max_pool<T: Real>(
    isa: Isa,
    window: &Window,
    input: &[T],
    output: &mut [T],
    indices: &mut [u32],
) {
    check_maxima(window, input.len(), output.len(), indices.len());
    assert!(window.plane() as u64 <= 1 << 32, "pool: elements of a plane");
    for axis in 0..2 {
        assert!(window.padding()[axis] <= window.kernel()[axis] / 2, "pool: padding");
        assert_eq!(window.dilation()[axis], 1, "pool: dilation");
    }
    dispatch!(isa, Max<'a, T> = Max { window, input, output, indices });
}

struct Max<'a, T> {
    window: &'a Window,
    input: &'a [T],
    output: &'a mut [T],
    indices: &'a mut [u32],
}

impl<T: Real> WithSimd for Max<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { window, input, output, indices } = self;
        let [_, across] = window.outputs();
        let pairs =
            window.kernel() == [2, 2] && window.stride() == [2, 2] && window.padding() == [0, 0];
        let planes = input.chunks_exact(window.plane());
        let outputs = output.chunks_exact_mut(window.positions());
        let all = planes.zip(outputs.zip(indices.chunks_exact_mut(window.positions())));
        for (plane, (output, indices)) in all {
            let rows = output.chunks_exact_mut(across).zip(indices.chunks_exact_mut(across));
            for (y, (output, indices)) in rows.enumerate() {
                if pairs {
                    pairs_row(window.size()[1], plane, y, output, indices);
                } else {
                    row(window, plane, y, output, indices);
                }
            }
        }
    }
}

/// Takes `x` if it is larger or NaN.
#[inline(always)]
#[allow(clippy::eq_op)]
fn take<T: Real>(x: T, at: u32, best: &mut T, index: &mut u32) {
    let taken = x > *best || x != x;
    *best = if taken { x } else { *best };
    *index = if taken { at } else { *index };
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation)]
fn row<T: Real>(window: &Window, plane: &[T], y: usize, output: &mut [T], indices: &mut [u32]) {
    let width = window.size()[1];
    let (stride, padding) = (window.stride()[1], window.padding()[1]);
    let top = (y * window.stride()[0]).saturating_sub(window.padding()[0]);
    output.fill(-T::INFINITY);
    for (x, index) in indices.iter_mut().enumerate() {
        *index = (top * width + (x * stride).saturating_sub(padding)) as u32;
    }
    for down in 0..window.kernel()[0] {
        let Some(line) = window.input(0, y, down) else { continue };
        let line = line * width;
        for across in 0..window.kernel()[1] {
            let places = window.inside(1, across);
            if places.is_empty() {
                continue;
            }
            let first = line + places.start * stride + across - padding;
            let best = output[places.clone()].iter_mut().zip(&mut indices[places]);
            let from = plane[first..].iter().step_by(stride);
            for (i, (&x, (best, index))) in from.zip(best).enumerate() {
                take(x, (first + i * stride) as u32, best, index);
            }
        }
    }
}

/// Windows of 2 × 2 side by side.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)]
fn pairs_row<T: Real>(width: usize, plane: &[T], y: usize, output: &mut [T], indices: &mut [u32]) {
    let first = 2 * y * width;
    let lines = plane[first..][..width].as_chunks::<2>().0.iter();
    let lines = lines.zip(plane[first + width..][..width].as_chunks::<2>().0);
    for (x, ((upper, lower), (output, index))) in
        lines.zip(output.iter_mut().zip(indices)).enumerate()
    {
        let at = (first + 2 * x) as u32;
        let below = at + width as u32;
        let (mut best, mut place) = (-T::INFINITY, at);
        take(upper[0], at, &mut best, &mut place);
        take(upper[1], at + 1, &mut best, &mut place);
        take(lower[0], below, &mut best, &mut place);
        take(lower[1], below + 1, &mut best, &mut place);
        *output = best;
        *index = place;
    }
}

/// output ← the elements of each plane at `indices`: the tangent of [`max_pool`].
///
/// # Panics
/// If the lengths do not agree, or an index lies outside its plane.
pub fn take_maxima<T: Real>(window: &Window, indices: &[u32], input: &[T], output: &mut [T]) {
    check_maxima(window, input.len(), output.len(), indices.len());
    let rows = output.chunks_exact_mut(window.positions());
    let rows = rows.zip(indices.chunks_exact(window.positions()));
    for (plane, (output, indices)) in input.chunks_exact(window.plane()).zip(rows) {
        for (output, &index) in output.iter_mut().zip(indices) {
            *output = plane[index as usize];
        }
    }
}

/// input ← each element of `output` added at its index, zeros elsewhere: the adjoint of [`max_pool`].
///
/// # Panics
/// If the lengths do not agree, or an index lies outside its plane.
pub fn return_maxima<T: Real>(window: &Window, indices: &[u32], output: &[T], input: &mut [T]) {
    check_maxima(window, input.len(), output.len(), indices.len());
    let rows = output.chunks_exact(window.positions());
    let rows = rows.zip(indices.chunks_exact(window.positions()));
    for (plane, (output, indices)) in input.chunks_exact_mut(window.plane()).zip(rows) {
        plane.fill(T::ZERO);
        for (&output, &index) in output.iter().zip(indices) {
            plane[index as usize] += output;
        }
    }
}

/// output ← the sum over each window divided by the number of its taps; padding counts as zeros, as
/// in PyTorch by default.
///
/// # Panics
/// If the lengths do not agree.
pub fn average_pool<T: Real>(isa: Isa, window: &Window, input: &[T], output: &mut [T]) {
    check(window, input.len(), output.len());
    dispatch!(isa, Average<'a, T> = Average { window, input, output });
}

struct Average<'a, T> {
    window: &'a Window,
    input: &'a [T],
    output: &'a mut [T],
}

impl<T: Real> WithSimd for Average<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { window, input, output } = self;
        let taps = T::from_f64(window.taps() as f64);
        let outputs = output.chunks_exact_mut(window.positions());
        for (plane, output) in input.chunks_exact(window.plane()).zip(outputs) {
            output.fill(T::ZERO);
            lines(window, |to, places, from| {
                let from = plane[from..].iter().step_by(window.stride()[1]);
                for (to, &from) in output[to..][..places].iter_mut().zip(from) {
                    *to += from;
                }
            });
            for x in output {
                *x /= taps;
            }
        }
    }
}

/// input ← each element of `output`, divided by the number of taps, added to all of its window: the
/// transpose of [`average_pool`].
///
/// # Panics
/// If the lengths do not agree.
pub fn return_average<T: Real>(isa: Isa, window: &Window, output: &[T], input: &mut [T]) {
    check(window, input.len(), output.len());
    dispatch!(isa, Spread<'a, T> = Spread { window, output, input });
}

struct Spread<'a, T> {
    window: &'a Window,
    output: &'a [T],
    input: &'a mut [T],
}

impl<T: Real> WithSimd for Spread<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { window, output, input } = self;
        let taps = T::from_f64(window.taps() as f64);
        let outputs = output.chunks_exact(window.positions());
        for (plane, output) in input.chunks_exact_mut(window.plane()).zip(outputs) {
            plane.fill(T::ZERO);
            lines(window, |from, places, to| {
                let to = plane[to..].iter_mut().step_by(window.stride()[1]);
                for (to, &from) in to.zip(&output[from..][..places]) {
                    *to += from / taps;
                }
            });
        }
    }
}

/// Calls `f` for every row of places and every tap with the first place, the number of places, and
/// the first input that they read.
#[inline(always)]
fn lines(window: &Window, mut f: impl FnMut(usize, usize, usize)) {
    let [down, across] = window.outputs();
    for y in 0..down {
        for tap_down in 0..window.kernel()[0] {
            let Some(line) = window.input(0, y, tap_down) else { continue };
            for tap in 0..window.kernel()[1] {
                let places = window.inside(1, tap);
                if let Some(column) = window.input(1, places.start, tap)
                    && !places.is_empty()
                {
                    f(y * across + places.start, places.len(), line * window.size()[1] + column);
                }
            }
        }
    }
}
