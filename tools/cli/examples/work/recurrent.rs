//! Recurrent networks: gradients, exact and local, and Hessian products through time.

use hesse::Real;
use hesse::credit::{Leak, RateRnn, Rule, Sequences, States, Target};
use hesse::krylov::LinearOperator;
use hesse::network::{Activation, Hessian, Objective};
use hesse_cli::inputs::uniform;

use super::Work;
use super::networks::labels;

/// The network of `works.py`: v_t = a v_{t−1} + (1 − a)(W h_{t−1} + U x_t), h_t = tanh v_t, y = O
/// h_T + c.
struct Rnn {
    leak: f64,
    units: usize,
    inputs: usize,
    outputs: usize,
    steps: usize,
    batch: usize,
}

/// The work called `name`, by its prefix: `hvp_rnn_128-28-10_T28_B512`, or `bptt_leaky_rnn_…` for
/// a = 0.6 rather than 0.
pub fn prepare<T: Real>(name: &str) -> Option<Box<dyn Work>> {
    let (what, sizes) = name.split_once("_rnn_")?;
    let (what, leak) = what.strip_suffix("_leaky").map_or((what, 0.0), |what| (what, 0.6));
    let rnn = Rnn::parse(sizes, leak)?;
    match what {
        "hvp" => HessianProduct::<T>::new(rnn, 1).map(|work| Box::new(work) as _),
        "hvp_block4" => HessianProduct::<T>::new(rnn, 4).map(|work| Box::new(work) as _),
        "gradient" => Gradient::<T>::new(rnn, None).map(|work| Box::new(work) as _),
        "bptt" => Gradient::<T>::new(rnn, Some(Rule::Bptt)).map(|work| Box::new(work) as _),
        "three_factor" => {
            Gradient::<T>::new(rnn, Some(Rule::three_factor())).map(|work| Box::new(work) as _)
        }
        _ => None,
    }
}

impl Rnn {
    /// `128-28-10_T28_B512`: units, inputs, outputs, steps, samples.
    fn parse(text: &str, leak: f64) -> Option<Self> {
        let numbers: Result<Vec<usize>, _> = text
            .split(['-', '_'])
            .map(|part| part.trim_start_matches(['T', 'B']).parse())
            .collect();
        let [units, inputs, outputs, steps, batch] = numbers.ok()?.try_into().ok()?;
        Some(Self { leak, units, inputs, outputs, steps, batch })
    }

    fn network(&self) -> Option<RateRnn> {
        let leak = Leak::Voltage(vec![self.leak]);
        let rnn = RateRnn::new(self.inputs, self.units, self.outputs, Activation::Tanh, leak);
        rnn.ok().map(|rnn| rnn.bias(false))
    }

    fn sequences<T: Real>(&self) -> Option<Sequences<T>> {
        let shape = [self.batch, self.steps, self.inputs];
        let x = uniform(1, shape.iter().product());
        let classes = Target::ClassAtEnd(labels(self.batch, self.outputs));
        Sequences::new(x, shape, classes).ok()
    }

    /// The number of elements of W, U, O and c, and of inputs of a unit.
    fn arrays(&self) -> [(usize, usize); 4] {
        [
            (self.units * self.units, self.units),
            (self.units * self.inputs, self.inputs),
            (self.outputs * self.units, self.units),
            (self.outputs, 1),
        ]
    }

    /// The arrays from the streams `stream` + k, over √inputs where they are scaled.
    fn parameters<T: Real>(&self, stream: u32, scaled: bool) -> Vec<T> {
        let mut theta = Vec::new();
        for (k, (length, inputs)) in (0..).zip(self.arrays()) {
            let scale = if scaled { (inputs as f64).sqrt() } else { 1.0 };
            let values = uniform::<f64>(stream + k, length);
            theta.extend(values.iter().map(|x| T::from_f64(x / scale)));
        }
        theta
    }

    /// Each array summed with the weights of stream 90.
    fn answer<T: Real>(&self, vector: &[T]) -> Vec<f64> {
        let mut rest = vector;
        self.arrays()
            .map(|(length, _)| {
                let (array, behind) = rest.split_at(length);
                rest = behind;
                let u = uniform::<f64>(90, length);
                array.iter().zip(u).map(|(x, u)| x.to_f64() * u).sum()
            })
            .to_vec()
    }
}

/// The objective of a network, which lives as long as the process: it borrows from itself.
fn objective<T: Real>(rnn: &Rnn) -> Option<&'static Objective<'static, T>> {
    let network = Box::leak(Box::new(rnn.network()?.network(rnn.steps, false).ok()?));
    let sequences = Box::leak(Box::new(rnn.sequences()?));
    Some(Box::leak(Box::new(sequences.objective(network).ok()?)))
}

struct HessianProduct<T: Real> {
    rnn: Rnn,
    hessian: Hessian<'static, 'static, 'static, T>,
    tangents: Vec<T>,
    products: Vec<T>,
}

impl<T: Real> HessianProduct<T> {
    fn new(rnn: Rnn, block: u32) -> Option<Self> {
        let point = Box::leak(Box::new(objective(&rnn)?.at(&rnn.parameters(10, true)).ok()?));
        let tangents: Vec<T> =
            (0..block).flat_map(|k| rnn.parameters(50 + 100 * k, false)).collect();
        let products = vec![T::ZERO; tangents.len()];
        Some(Self { rnn, hessian: point.hessian(), tangents, products })
    }
}

impl<T: Real> Work for HessianProduct<T> {
    fn run(&mut self) {
        self.hessian.apply_block(&self.tangents, &mut self.products);
    }
    fn answer(&self) -> Vec<f64> {
        let n = self.hessian.dimension();
        self.products.chunks_exact(n).flat_map(|product| self.rnn.answer(product)).collect()
    }
}

/// The gradient of the objective, or that of a learning rule with its forward pass, in memory that
/// is reused.
struct Gradient<T: Real> {
    rnn: Rnn,
    network: RateRnn,
    sequences: Sequences<T>,
    objective: &'static Objective<'static, T>,
    rule: Option<Rule<T>>,
    states: Option<States<T>>,
    theta: Vec<T>,
    gradient: Vec<T>,
}

impl<T: Real> Gradient<T> {
    fn new(rnn: Rnn, rule: Option<Rule<T>>) -> Option<Self> {
        let theta = rnn.parameters(10, true);
        Some(Self {
            network: rnn.network()?,
            sequences: rnn.sequences()?,
            objective: objective(&rnn)?,
            rule,
            states: None,
            gradient: vec![T::ZERO; theta.len()],
            theta,
            rnn,
        })
    }
}

impl<T: Real> Work for Gradient<T> {
    fn run(&mut self) {
        match &self.rule {
            None => {
                let loss = self.objective.gradient(&self.theta, &mut self.gradient);
                assert!(loss.is_ok(), "{loss:?}");
            }
            Some(rule) => {
                // As in a training: in the memory of the step before.
                let gradient = match &mut self.states {
                    Some(states) => states
                        .renew(&self.theta, &self.sequences)
                        .and_then(|()| states.gradient(rule)),
                    None => States::new(&self.network, &self.theta, &self.sequences)
                        .and_then(|states| self.states.insert(states).gradient(rule)),
                };
                self.gradient = gradient.unwrap_or_default();
            }
        }
    }
    fn answer(&self) -> Vec<f64> {
        self.rnn.answer(&self.gradient)
    }
}
