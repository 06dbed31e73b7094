//! Windows that slide over a plane: where convolutions and pools read.

/// A kernel of `kernel` taps, `dilation` apart, that steps by `stride` over a plane of `size` with
/// `padding` zeros around it. The first number of each pair is vertical.
///
/// Along each axis the output has ⌊(size + 2 padding − dilation (kernel − 1) − 1) / stride⌋ + 1
/// places, and place o reads the inputs o·stride − padding + t·dilation, t = 0 … kernel − 1. Where
/// there is one place, the stride does not matter and counts as 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    outputs: [usize; 2],
}

impl Window {
    /// `None` if a size, a stride or a dilation is zero, the kernel is larger than the padded plane,
    /// or sizes overflow.
    #[must_use]
    pub fn new(
        size: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
    ) -> Option<Self> {
        let (mut outputs, mut stride) = ([0; 2], stride);
        for axis in 0..2 {
            if [size[axis], kernel[axis], stride[axis], dilation[axis]].contains(&0) {
                return None;
            }
            let padded = size[axis].checked_add(padding[axis].checked_mul(2)?)?;
            let extent = (kernel[axis] - 1).checked_mul(dilation[axis])?.checked_add(1)?;
            outputs[axis] = padded.checked_sub(extent)? / stride[axis] + 1;
            if outputs[axis] == 1 {
                stride[axis] = 1;
            }
        }
        size[0].checked_mul(size[1])?;
        outputs[0].checked_mul(outputs[1])?;
        kernel[0].checked_mul(kernel[1])?;
        Some(Self { size, kernel, stride, padding, dilation, outputs })
    }

    /// Height and width of the plane.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Taps down and across.
    #[must_use]
    pub fn kernel(&self) -> [usize; 2] {
        self.kernel
    }

    /// Steps down and to the right.
    #[must_use]
    pub fn stride(&self) -> [usize; 2] {
        self.stride
    }

    /// Zeros above and below, left and right.
    #[must_use]
    pub fn padding(&self) -> [usize; 2] {
        self.padding
    }

    /// Distances between taps.
    #[must_use]
    pub fn dilation(&self) -> [usize; 2] {
        self.dilation
    }

    /// Height and width of the output.
    #[must_use]
    pub fn outputs(&self) -> [usize; 2] {
        self.outputs
    }

    /// Numbers in the plane.
    #[must_use]
    pub fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Places at which the kernel is put down.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.outputs[0] * self.outputs[1]
    }

    /// Taps of the kernel.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The input along `axis` that tap `t` reads at place `o`, `None` in the padding.
    #[must_use]
    #[inline(always)]
    pub fn input(&self, axis: usize, o: usize, t: usize) -> Option<usize> {
        let padded = o * self.stride[axis] + t * self.dilation[axis];
        padded.checked_sub(self.padding[axis]).filter(|&i| i < self.size[axis])
    }

    /// The places along `axis` at which tap `t` reads inside the plane.
    #[must_use]
    pub fn inside(&self, axis: usize, t: usize) -> core::ops::Range<usize> {
        let (stride, shift) = (self.stride[axis], t * self.dilation[axis]);
        let first = self.padding[axis].saturating_sub(shift).div_ceil(stride);
        let end = (self.padding[axis] + self.size[axis]).saturating_sub(shift).div_ceil(stride);
        let end = end.min(self.outputs[axis]);
        first.min(end)..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_inputs_agree_with_counting() {
        let mut windows = 0;
        for size in 1..7_usize {
            for kernel in 1..5 {
                for stride in 1..4 {
                    for padding in 0..3 {
                        for dilation in 1..4 {
                            let pairs = [size, kernel, stride, padding, dilation].map(|x| [x, x]);
                            let [s, k, t, p, d] = pairs;
                            let window = Window::new(s, k, t, p, d);
                            // Put the kernel down while it fits into the padded plane.
                            let reach = dilation * (kernel - 1);
                            let fits = |o: &usize| o * stride + reach < size + 2 * padding;
                            let places = (0..).take_while(fits).count();
                            assert_eq!(window.map_or(0, |w| w.outputs()[0]), places);
                            let Some(window) = window else { continue };
                            windows += 1;
                            for tap in 0..kernel {
                                let inside: Vec<usize> = (0..places)
                                    .filter(|&o| window.input(1, o, tap).is_some())
                                    .collect();
                                assert_eq!(inside, window.inside(1, tap).collect::<Vec<_>>());
                            }
                        }
                    }
                }
            }
        }
        assert!(windows > 300, "{windows}");
    }

    #[test]
    fn what_is_no_window_is_none() {
        let with = |size, kernel, stride, padding, dilation| {
            Window::new([size, 4], [kernel, 1], [stride, 1], [padding, 0], [dilation, 1])
        };
        assert!(with(4, 2, 1, 0, 1).is_some());
        assert!(with(4, 4, 1, 0, 1).is_some_and(|w| w.outputs() == [1, 4]));
        for (size, kernel, stride, padding, dilation) in [
            (0, 1, 1, 0, 1),
            (4, 0, 1, 0, 1),
            (4, 1, 0, 0, 1),
            (4, 1, 1, 0, 0),
            (4, 5, 1, 0, 1),
            (4, 3, 1, 0, 2),
            (4, 1, 1, usize::MAX, 1),
            (4, 3, 1, 0, usize::MAX),
            (usize::MAX, 1, 1, 1, 1),
            (usize::MAX, 1, 1, 0, 1),
        ] {
            assert_eq!(with(size, kernel, stride, padding, dilation), None);
        }
    }
}
