//! Handwritten digits that are compiled into the program, so that it can show something without a
//! download. Their origin and licence are in `tools/cli/data/README.md`.

use hesse::io::Archive;
use hesse::network::{Dataset, Targets};
use hesse::{Error, Real};

use crate::failure::Failure;

const BYTES: &[u8] = include_bytes!("../data/digits.npz");

/// Pixels of a digit.
pub const PIXELS: usize = 28 * 28;

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
}
