//! Images that are read row by row.

use super::{Answer, Trials, check_sizes};
use crate::error::check_finite;
use crate::{Error, Result};

/// Images of `shape` = [height, width], row-major one after the other, as sequences of their rows;
/// the class is asked after the last one.
///
/// With digits of 28 × 28 pixels and shares of ink this is the sequential MNIST of Liu et al. 2022.
///
/// # Errors
/// No image, a size of zero, another number of pixels, NaN or infinities; a class that is not below
/// `classes`.
pub fn image_rows(
    pixels: Vec<f64>,
    shape: [usize; 2],
    labels: Vec<usize>,
    classes: usize,
) -> Result<Trials> {
    let [height, width] = shape;
    check_sizes(&[("images", labels.len()), ("height", height), ("width", width)])?;
    check_sizes(&[("classes", classes)])?;
    if pixels.len() != labels.len() * height * width {
        return Err(Error::shape("pixels", (labels.len(), height, width), pixels.len()));
    }
    check_finite("pixels", &pixels)?;
    if let Some(row) = labels.iter().position(|&label| label >= classes) {
        let (expected, got) = (format!("a class below {classes}"), labels[row].to_string());
        return Err(Error::Target { row, expected, got });
    }
    Ok(Trials {
        inputs: pixels,
        shape: [labels.len(), height, width],
        outputs: classes,
        answer: Answer::ClassAtEnd(labels),
    })
}
