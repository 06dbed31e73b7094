//! The door of layers with sliding windows: images and windows that make sense.

use hesse_kernels::Window;

use crate::{Error, Result};

/// Channels, height and width of an image, checked.
pub(super) fn image(layer: &str, shape: &[usize]) -> Result<[usize; 3]> {
    match *shape {
        [channels, height, width] if channels > 0 && height > 0 && width > 0 => {
            Ok([channels, height, width])
        }
        _ => Err(Error::range(
            format!("{layer}: input shape"),
            "[channels, height, width], all positive",
            format!("{shape:?}"),
        )),
    }
}

/// A window on planes of `size`, checked.
pub(super) fn window(
    layer: &str,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
) -> Result<Window> {
    for (name, pair) in [("kernel", kernel), ("stride", stride), ("dilation", dilation)] {
        if pair.contains(&0) {
            return Err(Error::range(
                format!("{layer}: {name}"),
                "positive numbers",
                format!("{pair:?}"),
            ));
        }
    }
    for axis in 0..2 {
        let padded = padding[axis].checked_mul(2).and_then(|p| p.checked_add(size[axis]));
        let Some(padded) = padded else { return Err(too_large(layer)) };
        let extent = (kernel[axis] - 1).checked_mul(dilation[axis]).and_then(|e| e.checked_add(1));
        if extent.is_none_or(|extent| extent > padded) {
            let side = ["height", "width"][axis];
            let extent = extent.map_or("far more".into(), |extent| extent.to_string());
            return Err(Error::range(
                format!("{layer}: {side} of the kernel"),
                format!("at most that of the padded input, {padded}"),
                extent,
            ));
        }
    }
    Window::new(size, kernel, stride, padding, dilation).ok_or_else(|| too_large(layer))
}

/// Checks that no array of a layer with `channels` planes can overflow.
pub(super) fn addressable(layer: &str, channels: &[usize], window: &Window) -> Result<()> {
    let side = |axis: usize| {
        let padded = window.padding()[axis].checked_mul(2)?.checked_add(window.size()[axis])?;
        // Rows of a stage are whole multiples of the stride, one more than the padded image needs.
        padded.checked_add(window.stride()[axis].checked_mul(2)?)
    };
    let factors = channels.iter().copied().map(Some).chain([side(0), side(1)]);
    let factors = factors.chain([Some(window.taps()), Some(size_of::<f64>())]);
    let bytes = factors.into_iter().try_fold(1_usize, |product, f| product.checked_mul(f?));
    match bytes {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
        _ => Err(too_large(layer)),
    }
}

/// Checks that weights of these dimensions cannot overflow.
pub(super) fn weights(layer: &str, dimensions: &[usize]) -> Result<()> {
    let bytes = dimensions.iter().try_fold(size_of::<f64>(), |p, &d| p.checked_mul(d));
    match bytes {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
        _ => Err(too_large(layer)),
    }
}

/// Checks that no window of a pool lies outside the image.
pub(super) fn check_padding(layer: &str, window: &Window) -> Result<()> {
    let half = window.kernel().map(|k| k / 2);
    if (0..2).all(|axis| window.padding()[axis] <= half[axis]) {
        return Ok(());
    }
    Err(Error::range(
        format!("{layer}: padding"),
        format!("at most half the kernel, {half:?}"),
        format!("{:?}", window.padding()),
    ))
}

fn too_large(layer: &str) -> Error {
    Error::range(format!("{layer}: numbers in an array"), "as many as fit in memory", "far more")
}
