//! All parameters of a network as one flat vector with named, shaped views.

use std::ops::Range;
use std::path::Path;

use super::layer::ParameterSpec;
use super::{Initializer, Network};
use crate::error::check_finite;
use crate::io::{Archive, Array};
use crate::{Error, Real, Result};

/// The parameters of a network: one flat vector θ, which Krylov methods and optimizers see, and the
/// names and shapes of its parts, which people see (`layer1.weight`).
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<T> {
    values: Vec<T>,
    specs: Vec<ParameterSpec>,
}

/// One named array in a [`Parameters`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NamedArray<'a, T> {
    /// Its name, such as `layer1.weight`.
    pub name: &'a str,
    /// Its shape, row-major.
    pub shape: &'a [usize],
    /// Its elements.
    pub values: &'a [T],
}

impl<T: Real> Parameters<T> {
    /// Draws every array from the initializer of its layer.
    #[must_use]
    pub fn initialize(network: &Network<T>, seed: u64) -> Self {
        Self::draw(network, seed, |spec| spec.initializer)
    }

    /// Draws every array from the initializer that `choose` names for it.
    #[must_use]
    pub fn draw(
        network: &Network<T>,
        seed: u64,
        choose: impl Fn(&ParameterSpec) -> Initializer,
    ) -> Self {
        let mut parameters = Self::zeros(network);
        let mut rest = parameters.values.as_mut_slice();
        for (index, spec) in parameters.specs.iter().enumerate() {
            let (array, behind) = rest.split_at_mut(spec.len());
            choose(spec).fill(spec, seed, index as u64, array);
            rest = behind;
        }
        parameters
    }

    /// All zero.
    #[must_use]
    pub fn zeros(network: &Network<T>) -> Self {
        let specs = network.parameter_specs().to_vec();
        Self { values: vec![T::ZERO; network.parameter_count()], specs }
    }

    /// Given values, in the order of [`Network::parameter_specs`].
    ///
    /// # Errors
    /// A wrong length, NaN or infinities.
    pub fn from_values(network: &Network<T>, values: Vec<T>) -> Result<Self> {
        if values.len() != network.parameter_count() {
            return Err(Error::shape("parameters", network.parameter_count(), values.len()));
        }
        check_finite("parameters", &values)?;
        Ok(Self { values, specs: network.parameter_specs().to_vec() })
    }

    /// θ.
    #[must_use]
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// θ.
    #[must_use]
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// θ.
    #[must_use]
    pub fn into_values(self) -> Vec<T> {
        self.values
    }

    /// The arrays, in memory order.
    pub fn iter(&self) -> impl Iterator<Item = NamedArray<'_, T>> {
        self.ranges().zip(&self.specs).map(|(range, spec)| NamedArray {
            name: &spec.name,
            shape: &spec.shape,
            values: &self.values[range],
        })
    }

    /// The array with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<NamedArray<'_, T>> {
        self.iter().find(|array| array.name == name)
    }

    /// The elements of the array with this name.
    #[must_use]
    pub fn get_mut(&mut self, name: &str) -> Option<&mut [T]> {
        let range = self.range(name)?;
        Some(&mut self.values[range])
    }

    /// Where the array with this name lies in θ.
    #[must_use]
    pub fn range(&self, name: &str) -> Option<Range<usize>> {
        let at = self.specs.iter().position(|spec| spec.name == name)?;
        self.ranges().nth(at)
    }

    fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.specs.iter().scan(0, |start, spec| {
            let range = *start..*start + spec.len();
            *start = range.end;
            Some(range)
        })
    }

    /// The arrays by name, for a file.
    ///
    /// # Errors
    /// None for parameters of a network; shapes are checked.
    pub fn to_archive(&self) -> Result<Archive> {
        let mut archive = Archive::new();
        for array in self.iter() {
            archive.insert(array.name, Array::from_real(array.shape, array.values)?);
        }
        Ok(archive)
    }

    /// Reads the arrays of `network` from an archive that holds exactly those.
    ///
    /// # Errors
    /// A missing array, one that the network does not have, a wrong shape, NaN or infinities.
    pub fn from_archive(network: &Network<T>, archive: &Archive) -> Result<Self> {
        let mut values = Vec::with_capacity(network.parameter_count());
        for spec in network.parameter_specs() {
            let array = archive.get(&spec.name)?;
            if array.shape() != spec.shape {
                return Err(Error::shape(&spec.name, &spec.shape, array.shape()));
            }
            let array = array.to_real::<T>()?;
            check_finite(&spec.name, &array)?;
            values.extend_from_slice(&array);
        }
        let known = |name: &str| network.parameter_specs().iter().any(|spec| spec.name == name);
        if let Some((_, array)) = archive.iter().find(|(name, _)| !known(name)) {
            return Err(Error::range(
                array.label(),
                "an array of the network",
                "no such parameters",
            ));
        }
        Self::from_values(network, values)
    }

    /// Writes a `.safetensors` (or `.npz`) file, atomically.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.to_archive()?.write(path)
    }

    /// Reads a `.safetensors` (or `.npz`) file.
    ///
    /// # Errors
    /// As [`Parameters::from_archive`], and those of reading.
    pub fn load(network: &Network<T>, path: impl AsRef<Path>) -> Result<Self> {
        Self::from_archive(network, &Archive::read(path)?)
    }
}
