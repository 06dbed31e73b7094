//! A branch added to its own input, or to a shortcut.

use hesse_kernels::activation;

use super::BatchStatistics;
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features, parameter_count,
};
use crate::network::observation::{Observer, Place};
use crate::{Error, Isa, Real, Result};

/// y = x + f(x), or y = s(x) + f(x) with a shortcut s, such as a projection where f changes the
/// shape.
///
/// Parameters of the branch f, then those of the shortcut, whose names begin with `shortcut.`. An
/// activation after the sum is a layer of its own behind this one. Besides the work of its parts a
/// pass adds the outputs once, and copies the error where both paths want it.
#[derive(Debug)]
pub struct Residual<T: Real> {
    branch: Box<dyn Layer<T>>,
    path: Path<T>,
    /// Parameters of the branch.
    branch_parameters: usize,
}

/// What the branch is added to.
#[derive(Debug)]
enum Path<T: Real> {
    Input,
    /// The input, whose last features are those that the branch adds to, from this one on.
    LastFeatures(usize),
    Shortcut(Box<dyn Layer<T>>),
}

/// Children of every state.
const BRANCH: usize = 0;
const SHORTCUT: usize = 1;
/// Slots of scratch: the output of the branch or shortcut, the error.
const SUMMAND: usize = 0;
const ERROR: usize = 1;

impl<T: Real> Residual<T> {
    /// Adds the input of `branch` to its output.
    ///
    /// # Errors
    /// The branch changes the shape.
    pub fn new(branch: Box<dyn Layer<T>>) -> Result<Self> {
        if branch.input_shape() != branch.output_shape() {
            return Err(Error::shape(
                "residual: output of the branch",
                branch.input_shape(),
                branch.output_shape(),
            ));
        }
        Ok(Self::of(branch, Path::Input))
    }

    /// Adds the output of `shortcut` to that of `branch`.
    ///
    /// # Errors
    /// Their inputs or outputs differ in shape.
    pub fn with_shortcut(branch: Box<dyn Layer<T>>, shortcut: Box<dyn Layer<T>>) -> Result<Self> {
        if branch.input_shape() != shortcut.input_shape() {
            return Err(Error::shape(
                "residual: input of the shortcut",
                branch.input_shape(),
                shortcut.input_shape(),
            ));
        }
        if branch.output_shape() != shortcut.output_shape() {
            return Err(Error::shape(
                "residual: output of the shortcut",
                branch.output_shape(),
                shortcut.output_shape(),
            ));
        }
        Ok(Self::of(branch, Path::Shortcut(shortcut)))
    }

    /// Adds the output of `branch` to the last features of its input; those before pass unchanged.
    /// So a decoder's block adds to its tokens what they take from the memory that lies before them.
    ///
    /// # Errors
    /// The branch has more outputs than inputs.
    pub fn onto_last_features(branch: Box<dyn Layer<T>>) -> Result<Self> {
        let (inputs, outputs) = (features(branch.input_shape()), features(branch.output_shape()));
        let Some(first) = inputs.checked_sub(outputs) else {
            let expected = format!("at most {inputs} features");
            return Err(Error::range("residual: output of the branch", expected, outputs));
        };
        Ok(Self::of(branch, Path::LastFeatures(first)))
    }

    fn of(branch: Box<dyn Layer<T>>, path: Path<T>) -> Self {
        let branch_parameters = parameter_count(&branch.parameters());
        Self { branch, path, branch_parameters }
    }

    /// The branch.
    #[must_use]
    pub fn branch(&self) -> &dyn Layer<T> {
        &*self.branch
    }

    /// The shortcut, where there is one.
    #[must_use]
    pub fn shortcut(&self) -> Option<&dyn Layer<T>> {
        match &self.path {
            Path::Shortcut(shortcut) => Some(&**shortcut),
            _ => None,
        }
    }

    fn inner<'a>(&self, pass: Tangent<'a, T>, child: usize) -> Tangent<'a, T> {
        let (first, last) = match child {
            BRANCH => (0, self.branch_parameters),
            _ => (self.branch_parameters, pass.parameters.len()),
        };
        Tangent {
            parameters: &pass.parameters[first..last],
            state: pass.state.child(child),
            errors: pass.errors.map(|errors| errors.child(child)),
            directions: pass.directions.map(|d| d.part(first, last - first)),
            ..pass
        }
    }

    /// Numbers of an array of outputs that has `inputs` inputs.
    fn outputs(&self, inputs: usize) -> usize {
        let (from, to) = (self.branch.input_shape(), self.branch.output_shape());
        inputs / features(from) * features(to)
    }
}

/// sum += x.
fn add<T: Real>(sum: &mut [T], x: &[T]) {
    activation::adjoint_tangent_epilogue(Isa::current(), sum.len(), 1, None, Some(x), sum);
}

/// Rows of the wide array and of its last features, from `first` on.
fn tails<'a, T>(
    wide: &'a mut [T],
    narrow: &'a mut [T],
    first: usize,
    width: usize,
) -> impl Iterator<Item = (&'a mut [T], &'a mut [T])> {
    let rows = wide.chunks_exact_mut(width).map(move |row| &mut row[first..]);
    rows.zip(narrow.chunks_exact_mut((width - first).max(1)))
}

impl<T: Real> Layer<T> for Residual<T> {
    fn input_shape(&self) -> &[usize] {
        self.branch.input_shape()
    }

    fn output_shape(&self) -> &[usize] {
        match self.path {
            Path::LastFeatures(_) => self.branch.input_shape(),
            _ => self.branch.output_shape(),
        }
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = self.branch.parameters();
        if let Path::Shortcut(shortcut) = &self.path {
            specs.extend(
                shortcut
                    .parameters()
                    .into_iter()
                    .map(|spec| ParameterSpec { name: format!("shortcut.{}", spec.name), ..spec }),
            );
        }
        specs
    }

    fn couples_samples(&self) -> bool {
        self.branch.couples_samples() || self.shortcut().is_some_and(Layer::couples_samples)
    }

    fn check_input(&self, inputs: &[T]) -> Result<()> {
        self.branch.check_input(inputs)?;
        self.shortcut().map_or(Ok(()), |shortcut| shortcut.check_input(inputs))
    }

    fn batch_statistics(&self, state: &State<T>, statistics: &mut Vec<BatchStatistics>) {
        self.branch.batch_statistics(state.child(BRANCH), statistics);
        if let Some(shortcut) = self.shortcut() {
            shortcut.batch_statistics(state.child(SHORTCUT), statistics);
        }
    }

    fn kept_features(&self) -> usize {
        self.branch.kept_features() + self.shortcut().map_or(0, Layer::kept_features)
    }

    fn widest_features(&self) -> usize {
        self.branch.widest_features().max(self.shortcut().map_or(0, Layer::widest_features))
    }

    fn multiplications(&self) -> usize {
        self.branch.multiplications() + self.shortcut().map_or(0, Layer::multiplications)
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    ) {
        let (branch, shortcut) = parameters.split_at(self.branch_parameters);
        match &self.path {
            Path::Input => {
                self.branch.forward(branch, input, output, state.child_mut(BRANCH), keep);
                add(output, input);
            }
            Path::LastFeatures(first) => {
                let mut summand = state.take(SUMMAND, self.outputs(input.len()));
                self.branch.forward(branch, input, &mut summand, state.child_mut(BRANCH), keep);
                output.copy_from_slice(input);
                let width = features(self.branch.input_shape());
                tails(output, &mut summand, *first, width).for_each(|(sum, x)| add(sum, x));
                state.put_back(SUMMAND, summand);
            }
            Path::Shortcut(layer) => {
                self.branch.forward(branch, input, output, state.child_mut(BRANCH), keep);
                let mut summand = state.take(SUMMAND, output.len());
                layer.forward(shortcut, input, &mut summand, state.child_mut(SHORTCUT), keep);
                add(output, &summand);
                state.put_back(SUMMAND, summand);
            }
        }
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let branch = self.inner(pass, BRANCH);
        match &self.path {
            Path::Input => {
                self.branch.tangent(branch, output_tangent, tangents.child_mut(BRANCH));
                if let Some(input_tangent) = pass.input_tangent {
                    add(output_tangent, input_tangent);
                }
            }
            Path::LastFeatures(first) => {
                let mut summand = tangents.take(SUMMAND, self.outputs(output_tangent.len()));
                self.branch.tangent(branch, &mut summand, tangents.child_mut(BRANCH));
                match pass.input_tangent {
                    Some(input_tangent) => output_tangent.copy_from_slice(input_tangent),
                    None => output_tangent.fill(T::ZERO),
                }
                let width = features(self.branch.input_shape());
                tails(output_tangent, &mut summand, *first, width).for_each(|(sum, x)| add(sum, x));
                tangents.put_back(SUMMAND, summand);
            }
            Path::Shortcut(layer) => {
                self.branch.tangent(branch, output_tangent, tangents.child_mut(BRANCH));
                let mut summand = tangents.take(SUMMAND, output_tangent.len());
                let shortcut = self.inner(pass, SHORTCUT);
                layer.tangent(shortcut, &mut summand, tangents.child_mut(SHORTCUT));
                add(output_tangent, &summand);
                tangents.put_back(SUMMAND, summand);
            }
        }
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        mut input_error: Option<&mut [T]>,
        mut gradient: Option<Gradients<'_, T>>,
        mut errors: Option<&mut State<T>>,
        scratch: &mut State<T>,
    ) {
        let split = self.branch_parameters;
        let shortcuts = pass.parameters.len() - split;
        let branch = Adjoint {
            parameters: &pass.parameters[..split],
            state: pass.state.child(BRANCH),
            ..pass
        };
        let length = match self.path {
            Path::LastFeatures(_) => self.outputs(output_error.len()),
            _ => output_error.len(),
        };
        let mut error = scratch.take(ERROR, length);
        self.branch_error(output_error, &mut error);
        self.branch.adjoint(
            branch,
            &mut error,
            input_error.as_deref_mut(),
            gradient.as_mut().map(|g| g.part(0, split)),
            errors.as_deref_mut().map(|e| e.child_mut(BRANCH)),
            scratch.child_mut(BRANCH),
        );
        scratch.put_back(ERROR, error);
        let Path::Shortcut(layer) = &self.path else {
            if let Some(input_error) = input_error {
                add(input_error, output_error);
            }
            return;
        };
        let shortcut = Adjoint {
            parameters: &pass.parameters[split..],
            state: pass.state.child(SHORTCUT),
            ..pass
        };
        let mut summand = input_error.as_ref().map(|x| scratch.take(SUMMAND, x.len()));
        layer.adjoint(
            shortcut,
            output_error,
            summand.as_deref_mut(),
            gradient.as_mut().map(|g| g.part(split, shortcuts)),
            errors.map(|e| e.child_mut(SHORTCUT)),
            scratch.child_mut(SHORTCUT),
        );
        if let (Some(input_error), Some(summand)) = (input_error, summand) {
            add(input_error, &summand);
            scratch.put_back(SUMMAND, summand);
        }
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        mut input_error: Option<&mut [T]>,
        mut gradient: Gradients<'_, T>,
        tangents: &mut State<T>,
    ) {
        let split = self.branch_parameters;
        let shortcuts = pass.parameters.len() - split;
        let length = match self.path {
            Path::LastFeatures(_) => self.outputs(output_error.len()),
            _ => output_error.len(),
        };
        let mut error = tangents.take(ERROR, length);
        self.branch_error(output_error, &mut error);
        self.branch.adjoint_tangent(
            self.inner(pass, BRANCH),
            &mut error,
            input_error.as_deref_mut(),
            gradient.part(0, split),
            tangents.child_mut(BRANCH),
        );
        tangents.put_back(ERROR, error);
        let Path::Shortcut(layer) = &self.path else {
            if let Some(input_error) = input_error {
                add(input_error, output_error);
            }
            return;
        };
        let mut summand = input_error.as_ref().map(|x| tangents.take(SUMMAND, x.len()));
        layer.adjoint_tangent(
            self.inner(pass, SHORTCUT),
            output_error,
            summand.as_deref_mut(),
            gradient.part(split, shortcuts),
            tangents.child_mut(SHORTCUT),
        );
        if let (Some(input_error), Some(summand)) = (input_error, summand) {
            add(input_error, &summand);
            tangents.put_back(SUMMAND, summand);
        }
    }

    fn observe(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: &mut [T],
        place: Place<'_>,
        observer: &mut dyn Observer<T>,
        scratch: &mut State<T>,
    ) {
        let split = self.branch_parameters;
        let length = match self.path {
            Path::LastFeatures(_) => self.outputs(output_error.len()),
            _ => output_error.len(),
        };
        let mut error = scratch.take(ERROR, length);
        self.branch_error(output_error, &mut error);
        // The shortcut lies behind the branch among the parameters, and layers show themselves last
        // to first.
        let mut summand = None;
        if let Path::Shortcut(layer) = &self.path {
            let shortcut = Adjoint {
                parameters: &pass.parameters[split..],
                state: pass.state.child(SHORTCUT),
                ..pass
            };
            let prefix = format!("{}shortcut.", place.prefix);
            let place = Place { prefix: &prefix, offset: place.offset + split };
            let mut own = scratch.take(SUMMAND, input_error.len());
            let inner = scratch.child_mut(SHORTCUT);
            layer.observe(shortcut, output_error, &mut own, place, observer, inner);
            summand = Some(own);
        }
        let branch = Adjoint {
            parameters: &pass.parameters[..split],
            state: pass.state.child(BRANCH),
            ..pass
        };
        let inner = scratch.child_mut(BRANCH);
        self.branch.observe(branch, &mut error, input_error, place, observer, inner);
        scratch.put_back(ERROR, error);
        match summand {
            Some(own) => {
                add(input_error, &own);
                scratch.put_back(SUMMAND, own);
            }
            None => add(input_error, output_error),
        }
    }
}

impl<T: Real> Residual<T> {
    /// The part of the error that is the branch's.
    fn branch_error(&self, output_error: &mut [T], error: &mut [T]) {
        match self.path {
            Path::LastFeatures(first) => {
                let width = features(self.branch.input_shape());
                tails(output_error, error, first, width)
                    .for_each(|(from, to)| to.copy_from_slice(from));
            }
            _ => error.copy_from_slice(output_error),
        }
    }
}
