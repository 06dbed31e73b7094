//! Data sets read from files, and what the commands that use them have in common.

use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use hesse::error::check_finite;
use hesse::io::{Archive, Array, Dtype};
use hesse::network::{Dataset, Loss, Targets};
use hesse::{Error, Real};
use serde::Serialize;

use crate::failure::Failure;

/// Samples from a file.
#[derive(Clone, Debug, clap::Args)]
pub struct DataArguments {
    /// Samples: a .npz (or .safetensors) file; the first axis counts them, the others are flattened
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// Array of inputs
    #[arg(long, value_name = "NAME", default_value = "X")]
    inputs: String,
    /// Array of targets: whole numbers on one axis are classes, rows are values or probabilities
    /// [default: labels, or else Y]
    #[arg(long, value_name = "NAME")]
    targets: Option<String>,
    /// Divide inputs by this, for example 255 for bytes of images
    #[arg(long, value_name = "S", default_value_t = 1.0, allow_negative_numbers = true)]
    scale: f64,
    /// Use only the first N samples
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Loss, averaged over samples
    #[arg(long, value_enum, default_value_t = LossName::CrossEntropy)]
    loss: LossName,
    /// Storage and arithmetic of parameters; sums and results are f64 in either case
    #[arg(long, value_enum, default_value_t = Precision::F64)]
    pub dtype: Precision,
}

/// A loss as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LossName {
    /// −log of the probability of the class
    CrossEntropy,
    /// Half the squared distance, summed over outputs
    HalfSquaredError,
    /// Squared difference, averaged over outputs
    MeanSquaredError,
}

/// A storage type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 64 bits.
    F64,
}

impl DataArguments {
    /// The loss.
    #[must_use]
    pub fn loss(&self) -> Loss {
        match self.loss {
            LossName::CrossEntropy => Loss::CrossEntropy,
            LossName::HalfSquaredError => Loss::HalfSquaredError,
            LossName::MeanSquaredError => Loss::MeanSquaredError,
        }
    }

    /// Reads the samples.
    ///
    /// A target array of one axis holds classes if its type is a whole number or the loss is cross
    /// entropy, and values otherwise; so does a single column under cross entropy.
    ///
    /// # Errors
    /// A file that cannot be read or lacks an array, arrays without samples or of different
    /// lengths, NaN or infinities, a scale that is zero or not finite.
    pub fn read<T: Real>(&self) -> Result<Dataset<T>, Failure> {
        if !(self.scale.is_finite() && self.scale != 0.0) {
            return Err(Error::range("--scale", "a finite number but 0", self.scale).into());
        }
        let archive = Archive::read(&self.data)?;
        let inputs = archive.get(&self.inputs)?;
        let targets = match &self.targets {
            Some(name) => archive.get(name)?,
            None if archive.contains("labels") => archive.get("labels")?,
            None => archive.get("Y")?,
        };
        let samples = rows(inputs)?;
        let target_rows = rows(targets)?;
        if samples != target_rows {
            return Err(Error::shape(
                format!("{}: samples", targets.label()),
                samples,
                target_rows,
            )
            .into());
        }
        let used = self.samples.unwrap_or(samples);
        if !(1..=samples).contains(&used) {
            return Err(Error::range("--samples", format!("1 to {samples}"), used).into());
        }
        let features = inputs.len() / samples;
        if features == 0 {
            return Err(Error::empty(format!("{}: features", inputs.label())).into());
        }
        let mut x = inputs.to_real::<T>()?;
        x.truncate(used * features);
        check_finite(inputs.label(), &x)?;
        if self.scale != 1.0 {
            x.iter_mut().for_each(|x| *x = T::from_f64(x.to_f64() / self.scale));
        }
        let targets = self.targets_of::<T>(targets, used)?;
        Ok(Dataset::from_rows(x, features, targets)?)
    }

    /// Reads all samples of another file in the same way.
    ///
    /// # Errors
    /// As [`DataArguments::read`].
    pub fn read_other<T: Real>(&self, path: &Path) -> Result<Dataset<T>, Failure> {
        Self { data: path.to_owned(), samples: None, ..self.clone() }.read()
    }

    /// Reads the samples in two parts: those to use, and the last `held` of the file.
    ///
    /// # Errors
    /// As [`DataArguments::read`], and parts that are empty or overlap.
    pub fn read_parts<T: Real>(&self, held: usize) -> Result<(Dataset<T>, Dataset<T>), Failure> {
        let all = Self { samples: None, ..self.clone() }.read::<T>()?;
        let n = all.len();
        let most = n - self.samples.unwrap_or(1).min(n);
        if held == 0 || held > most {
            return Err(Error::range("--hold-out", format!("1 to {most}"), held).into());
        }
        let used = self.samples.unwrap_or(n - held);
        if used == 0 {
            return Err(Error::range("--samples", format!("1 to {}", n - held), used).into());
        }
        let part = |range: Range<usize>| all.select(&range.collect::<Vec<_>>());
        Ok((part(0..used)?, part(n - held..n)?))
    }

    fn targets_of<T: Real>(&self, array: &Array, used: usize) -> Result<Targets<T>, Failure> {
        let width = array.len() / array.shape()[0];
        if width == 0 {
            return Err(Error::empty(format!("{}: numbers in a row", array.label())).into());
        }
        let entropy = self.loss == LossName::CrossEntropy;
        let whole = !matches!(array.dtype(), Dtype::F32 | Dtype::F64);
        if (array.shape().len() == 1 && (whole || entropy)) || (width == 1 && entropy) {
            let mut classes = array.to_indices()?;
            classes.truncate(used);
            return Ok(Targets::Classes(classes));
        }
        let mut values = array.to_real::<T>()?;
        values.truncate(used * width);
        check_finite(array.label(), &values)?;
        Ok(Targets::Rows { values, width })
    }
}

/// Number of samples: the length of the first axis.
fn rows(array: &Array) -> Result<usize, Error> {
    match array.shape().first() {
        None => Err(Error::range(array.label(), "samples along a first axis", "a single number")),
        Some(0) => Err(Error::empty(format!("{}: samples", array.label()))),
        Some(&rows) => Ok(rows),
    }
}

/// Share of samples whose largest output is that of their class. Rows of targets count as classes
/// under cross entropy only, by their largest entry; otherwise there is no such thing.
#[must_use]
pub fn accuracy<T: Real>(
    outputs: &[T],
    width: usize,
    targets: &Targets<T>,
    loss: Loss,
) -> Option<f64> {
    let classes: Vec<usize> = match targets {
        Targets::Classes(classes) => classes.clone(),
        Targets::Rows { values, width } if loss == Loss::CrossEntropy => {
            values.chunks_exact((*width).max(1)).map(largest).collect()
        }
        _ => return None,
    };
    let rows = outputs.chunks_exact(width.max(1));
    let right = rows.zip(&classes).filter(|(row, class)| largest(row) == **class).count();
    Some(right as f64 / classes.len() as f64)
}

/// Position of the largest entry, the first of several.
fn largest<T: Real>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(path: &Path, loss: LossName) -> DataArguments {
        DataArguments {
            data: path.to_owned(),
            inputs: "X".into(),
            targets: None,
            scale: 1.0,
            samples: None,
            loss,
            dtype: Precision::F64,
        }
    }

    fn file(arrays: Vec<(&str, Array)>) -> tempfile::TempPath {
        let file = tempfile::Builder::new().suffix(".npz").tempfile().unwrap().into_temp_path();
        let mut archive = Archive::new();
        for (name, array) in arrays {
            archive.insert(name, array);
        }
        archive.write(&file).unwrap();
        file
    }

    #[test]
    fn images_are_flattened_and_scaled() {
        let images = Array::new([2, 2, 3], (0..12_u8).map(|i| i * 20).collect()).unwrap();
        let labels = Array::new([2], vec![1_u8, 0]).unwrap();
        let path = file(vec![("X", images), ("labels", labels)]);
        let mut arguments = arguments(&path, LossName::CrossEntropy);
        arguments.scale = 255.0;
        let data = arguments.read::<f32>().unwrap();
        assert_eq!((data.len(), data.features()), (2, 6));
        assert_eq!(data.input(1)[5], 220.0 / 255.0);
        assert_eq!(data.targets(), &Targets::Classes(vec![1, 0]));
        arguments.samples = Some(1);
        assert_eq!(arguments.read::<f64>().unwrap().len(), 1);
        arguments.samples = Some(3);
        let message = arguments.read::<f64>().unwrap_err().line();
        assert_eq!(message, "--samples: expected 1 to 2, got 3");
    }

    #[test]
    fn the_last_samples_are_held_out() {
        let x = Array::new([5, 1], vec![0.0, 1.0, 2.0, 3.0, 4.0]).unwrap();
        let labels = Array::new([5], vec![0_u8, 1, 2, 3, 4]).unwrap();
        let path = file(vec![("X", x), ("labels", labels)]);
        let mut arguments = arguments(&path, LossName::CrossEntropy);
        let (data, test) = arguments.read_parts::<f64>(2).unwrap();
        assert_eq!((data.inputs(), test.inputs()), (&[0.0, 1.0, 2.0][..], &[3.0, 4.0][..]));
        assert_eq!(test.targets(), &Targets::Classes(vec![3, 4]));
        arguments.samples = Some(1);
        let (data, test) = arguments.read_parts::<f64>(4).unwrap();
        assert_eq!((data.len(), test.len()), (1, 4));
        for (samples, held, message) in [
            (None, 0, "--hold-out: expected 1 to 4, got 0"),
            (None, 5, "--hold-out: expected 1 to 4, got 5"),
            (Some(3), 3, "--hold-out: expected 1 to 2, got 3"),
            (Some(0), 3, "--samples: expected 1 to 2, got 0"),
        ] {
            arguments.samples = samples;
            assert_eq!(arguments.read_parts::<f64>(held).unwrap_err().line(), message);
        }
    }

    #[test]
    fn targets_are_classes_or_rows_by_their_type_and_the_loss() {
        let x = || Array::new([2, 1], vec![0.0, 1.0]).unwrap();
        let read = |y: Array, loss| {
            let path = file(vec![("X", x()), ("Y", y)]);
            let data = arguments(&path, loss).read::<f64>().unwrap();
            data.targets().clone()
        };
        let floats = || Array::new([2], vec![1.0, 0.0]).unwrap();
        let rows = Targets::Rows { values: vec![1.0, 0.0], width: 1 };
        let classes = Targets::Classes(vec![1, 0]);
        assert_eq!(read(floats(), LossName::HalfSquaredError), rows);
        assert_eq!(read(floats(), LossName::CrossEntropy), classes);
        let whole = |shape: &[usize]| Array::new(shape, vec![1_i64, 0]).unwrap();
        assert_eq!(read(whole(&[2]), LossName::HalfSquaredError), classes);
        assert_eq!(read(whole(&[2, 1]), LossName::HalfSquaredError), rows);
        assert_eq!(read(whole(&[2, 1]), LossName::CrossEntropy), classes);
    }

    #[test]
    fn accuracy_counts_the_first_of_the_largest() {
        let outputs = [1.0, 1.0, 0.0, 2.0];
        let of = |targets, loss| accuracy(&outputs, 2, &targets, loss);
        assert_eq!(of(Targets::Classes(vec![0, 0]), Loss::HalfSquaredError), Some(0.5));
        let rows = Targets::Rows { values: vec![0.9, 0.1, 0.2, 0.8], width: 2 };
        assert_eq!(of(rows.clone(), Loss::CrossEntropy), Some(1.0));
        assert_eq!(of(rows, Loss::MeanSquaredError), None);
    }
}
