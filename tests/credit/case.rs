//! Reference files as networks and data.

use hesse::credit::{Block, CellTypes, Leak, RateRnn, Sequences, Target};
use hesse::io::Archive;
use hesse::network::Activation;

/// A reference file, or the part of it under a prefix.
pub struct Case {
    pub name: String,
    prefix: String,
    file: Archive,
}

impl Case {
    pub fn open(name: &str) -> Self {
        Self::part(name, "")
    }

    /// The arrays whose names begin with `prefix`.
    pub fn part(name: &str, prefix: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/credit/");
        let file = Archive::read(format!("{folder}{name}.npz")).unwrap();
        Self { name: format!("{name} {prefix}"), prefix: prefix.into(), file }
    }

    pub fn has(&self, name: &str) -> bool {
        self.file.contains(&format!("{}{name}", self.prefix))
    }

    pub fn array(&self, name: &str) -> Vec<f64> {
        self.file.get(&format!("{}{name}", self.prefix)).unwrap().to_f64().unwrap()
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.file.get(&format!("{}{name}", self.prefix)).unwrap().shape().to_vec()
    }

    pub fn number(&self, name: &str) -> f64 {
        self.array(name)[0]
    }

    pub fn classes(&self, name: &str) -> Vec<usize> {
        self.array(name).iter().map(|&x| x as usize).collect()
    }

    /// [N, inputs, outputs].
    pub fn sizes(&self) -> [usize; 3] {
        let (u, o) = (self.shape("U"), self.shape("O"));
        [u[0], u[1], o[0]]
    }

    pub fn network(&self, activation: Activation, rate: bool) -> RateRnn {
        let [units, inputs, outputs] = self.sizes();
        let a = self.array(if self.has("cfg_a") { "cfg_a" } else { "a" });
        let leak = if rate { Leak::Rate(a) } else { Leak::Voltage(a) };
        let rnn = RateRnn::new(inputs, units, outputs, activation, leak).unwrap();
        if !self.has("cfg_kappa") {
            return rnn;
        }
        let autapses = self.number_of_bool("cfg_autapse");
        rnn.readout_filter(self.number("cfg_kappa")).unwrap().autapses(autapses)
    }

    fn number_of_bool(&self, name: &str) -> bool {
        self.file.get(name).unwrap().to_bools().unwrap()[0]
    }

    /// θ = (W, U, b, O, c).
    pub fn theta(&self) -> Vec<f64> {
        let of = |name: &str| if self.has(name) { self.array(name) } else { Vec::new() };
        let mut w = of("W");
        if w.is_empty() {
            w = vec![0.0; self.sizes()[0].pow(2)];
        }
        [w, of("U"), of("b"), of("O"), of("c")].concat()
    }

    pub fn data(&self, target: Target<f64>) -> Sequences<f64> {
        let [b, t, m] = self.shape("x")[..] else { panic!("{}: x", self.name) };
        Sequences::new(self.array("x"), [b, t, m], target).unwrap()
    }

    pub fn values_at_each_step(&self) -> Sequences<f64> {
        self.data(Target::ValuesAtEachStep(self.array("target")))
    }

    pub fn class_at_end(&self) -> Sequences<f64> {
        self.data(Target::ClassAtEnd(self.classes("target")))
    }

    pub fn types(&self) -> CellTypes {
        CellTypes::new(self.classes("types")).unwrap()
    }

    /// Asserts |got − want| ≤ `tolerance` max |want|.
    pub fn check(&self, what: &str, got: &[f64], tolerance: f64) {
        near(&format!("{}: {what}", self.name), got, &self.array(what), tolerance);
    }

    /// Asserts the blocks W, U and b of a gradient.
    pub fn check_gradient(&self, rnn: &RateRnn, rule: &str, got: &[f64], tolerance: f64) {
        let blocks = [(Block::Recurrent, "W"), (Block::Input, "U"), (Block::Bias, "b")];
        for (block, name) in blocks {
            let what = format!("{rule}_d{name}");
            if self.has(&what) {
                self.check(&what, &got[rnn.block(block)], tolerance);
            }
        }
    }
}

/// Largest magnitude.
pub fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, x| if x.abs() > m { x.abs() } else { m })
}

/// Asserts |got − want| ≤ `tolerance` max |want|.
pub fn near(name: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{name}");
    let difference: Vec<f64> = got.iter().zip(want).map(|(a, b)| a - b).collect();
    assert!(difference.iter().all(|d| d.is_finite()), "{name}: not finite");
    let (error, size) = (largest(&difference), largest(want));
    assert!(error <= tolerance * size, "{name}: {error:e} of {size:e}, allowed {tolerance:e}");
}
