//! Handwritten digits that are compiled into the program, so that it can show something without a
//! download. Their origin and licence are in `tools/cli/data/README.md`.

use std::ops::Range;

use hesse::io::Archive;
use hesse::network::{Dataset, Targets};
use hesse::{Error, Real};

use crate::failure::Failure;

const BYTES: &[u8] = include_bytes!("../data/digits.npz");

const SMALL: &[u8] = include_bytes!("../data/digits_8x8.npz");

/// Pixels of a digit.
pub const PIXELS: usize = 28 * 28;

/// Pixels of a small digit.
pub const SMALL_PIXELS: usize = 8 * 8;

/// Kinds of digits.
pub const CLASSES: usize = 10;

/// The first `samples` digits, with one mean and one deviation over all pixels of them brought to 0
/// and 1, and their classes.
///
/// # Errors
/// No digits, or more than there are.
pub fn digits<T: Real>(samples: usize) -> Result<Dataset<T>, Failure> {
    let archive = Archive::from_bytes(BYTES, "digits.npz")?;
    let labels = archive.get("labels")?.to_indices()?;
    let images = archive.get("images")?.to_real::<f64>()?;
    if samples == 0 || samples > labels.len() || images.len() != labels.len() * PIXELS {
        let expected = format!("1 to {}", labels.len());
        return Err(Error::range("digits", expected, samples).into());
    }
    let pixels = &images[..samples * PIXELS];
    let count = pixels.len() as f64;
    let mean = pixels.iter().sum::<f64>() / count;
    let variance = pixels.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    let scale = variance.sqrt().recip();
    let inputs = pixels.iter().map(|x| T::from_f64(scale * (x - mean))).collect();
    let targets = Targets::Classes(labels[..samples].to_vec());
    Ok(Dataset::from_rows(inputs, PIXELS, targets)?)
}

/// The small digits with these numbers, 0 to 1,796, their pixels from 0 to 1, and their classes.
///
/// # Errors
/// No digits, or numbers that are not there.
pub fn small_digits<T: Real>(range: Range<usize>) -> Result<Dataset<T>, Failure> {
    let archive = Archive::from_bytes(SMALL, "digits_8x8.npz")?;
    let labels = archive.get("labels")?.to_indices()?;
    let pixels = archive.get("X_u8")?.to_real::<f64>()?;
    let there = pixels.len() == labels.len() * SMALL_PIXELS;
    if range.is_empty() || range.end > labels.len() || !there {
        let expected = format!("some of 0 to {}", labels.len());
        return Err(Error::range("digits", expected, format!("{range:?}")).into());
    }
    let pixels = &pixels[range.start * SMALL_PIXELS..range.end * SMALL_PIXELS];
    let inputs = pixels.iter().map(|x| T::from_f64(x / 16.0)).collect();
    let targets = Targets::Classes(labels[range].to_vec());
    Ok(Dataset::from_rows(inputs, SMALL_PIXELS, targets)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_standardised_and_of_every_class() {
        let data = digits::<f64>(500).unwrap();
        assert_eq!((data.len(), data.features()), (500, PIXELS));
        let x = data.inputs();
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let square = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        assert!(mean.abs() < 1e-10 && (square - 1.0).abs() < 1e-10, "{mean} {square}");
        let Targets::Classes(labels) = data.targets() else { panic!("classes") };
        for class in 0..CLASSES {
            let count = labels.iter().filter(|&&label| label == class).count();
            assert!((25..=85).contains(&count), "{count} of {class}");
        }
    }

    #[test]
    fn only_digits_that_are_there_are_given() {
        assert!(digits::<f32>(0).is_err());
        let message = digits::<f32>(5001).unwrap_err().line();
        assert_eq!(message, "digits: expected 1 to 5000, got 5001");
    }

    #[test]
    fn small_digits_are_shares_of_ink_and_of_every_class() {
        let data = small_digits::<f64>(0..500).unwrap();
        assert_eq!((data.len(), data.features()), (500, SMALL_PIXELS));
        assert!(
            data.inputs().iter().all(|&x| (0.0..=1.0).contains(&x) && (16.0 * x).fract() == 0.0)
        );
        let part = small_digits::<f64>(100..102).unwrap();
        assert_eq!(part.input(1), data.input(101));
        let Targets::Classes(labels) = data.targets() else { panic!("classes") };
        for class in 0..CLASSES {
            let count = labels.iter().filter(|&&label| label == class).count();
            assert!((25..=85).contains(&count), "{count} of {class}");
        }
        assert!(small_digits::<f32>(1000..1797).is_ok());
        for wrong in [5..5, 1000..1798] {
            let message = small_digits::<f32>(wrong.clone()).unwrap_err().line();
            assert_eq!(message, format!("digits: expected some of 0 to 1797, got {wrong:?}"));
        }
    }
}
