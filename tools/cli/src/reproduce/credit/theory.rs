//! Alignment at the start (E8) and the stability of a minimum (E9), on the reference networks.

use hesse::credit::{
    Alignment, BackWeights, Block, Leak, RateRnn, Rule, Sequences, Stability, States, Target,
};
use hesse::io::Archive;
use hesse::network::Activation;

use crate::failure::Failure;
use crate::report::Claim;
use crate::units::three;

/// Networks and data, without what is to come out.
const INPUTS: &[u8] = include_bytes!("../../../data/credit.npz");

/// Steps from a minimum, and the one from which on the residual follows its slowest part.
const STEPS: usize = 30;
const SETTLED: usize = 4;

/// One of the networks.
struct Case {
    rnn: RateRnn,
    theta: Vec<f64>,
    data: Sequences<f64>,
}

impl Case {
    /// The arrays that begin with `prefix`.
    fn read(archive: &Archive, prefix: &str) -> Result<Self, Failure> {
        let array = |name: &str| archive.get(&format!("{prefix}{name}"));
        let numbers = |name: &str| array(name)?.to_f64();
        let (activation, digits) = match prefix {
            "I_" => (Activation::Relu, true),
            _ => (Activation::Tanh, false),
        };
        let ([units, inputs], [samples, steps, _]) = (shape(array("U")?)?, shape(array("x")?)?);
        let outputs = numbers("c")?.len();
        let leak = Leak::Voltage(numbers("a")?);
        let rnn = RateRnn::new(inputs, units, outputs, activation, leak)?.autapses(!digits);
        let theta = ["W", "U", "b", "O", "c"].map(numbers);
        let theta = theta.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        let (mut x, mut target) = (numbers("x")?, Target::ValuesAtEnd(numbers("target")?));
        if digits {
            x.iter_mut().for_each(|x| *x /= 16.0);
            target = Target::ClassAtEnd(array("target")?.to_indices()?);
        } else if prefix == "A_" {
            target = Target::ValuesAtEachStep(numbers("target")?);
        }
        let data = Sequences::new(x, [samples, steps, inputs], target)?;
        Ok(Self { rnn, theta, data })
    }

    /// Cosines of W's updates with its gradient: three factors and MDGL.
    fn cosines(&self) -> Result<[f64; 2], Failure> {
        let states = States::new(&self.rnn, &self.theta, &self.data)?;
        let w = self.rnn.block(Block::Recurrent);
        let exact = states.gradient(&Rule::Bptt)?;
        let of = |rule: Rule<f64>| -> Result<f64, Failure> {
            let got = states.gradient(&rule)?;
            let alignment = Alignment::between(&exact[w.clone()], &got[w.clone()])?;
            Ok(alignment.cosine.unwrap_or(f64::NAN))
        };
        Ok([of(Rule::three_factor())?, of(Rule::Mdgl { weights: BackWeights::Exact })?])
    }

    /// r_{k+1}/r_k near a minimum at a step size, once it has settled.
    fn ratio(&self, rule: &Rule<f64>, eta: f64, perturbation: &[f64]) -> Result<f64, Failure> {
        let w = self.rnn.block(Block::Recurrent);
        let mut theta = self.theta.clone();
        theta[w.clone()].iter_mut().zip(perturbation).for_each(|(x, d)| *x += d);
        let mut before = f64::NAN;
        let target = match self.data.target() {
            Target::ValuesAtEnd(values) => values[0],
            _ => f64::NAN,
        };
        for step in 0..STEPS {
            let states = States::new(&self.rnn, &theta, &self.data)?;
            let y = states.outputs().last().copied().unwrap_or(f64::NAN);
            let residual = y - target;
            if step > SETTLED {
                return Ok(residual / before);
            }
            before = residual;
            let gradient = states.gradient(rule)?;
            let moved = theta[w.clone()].iter_mut().zip(&gradient[w.clone()]);
            moved.for_each(|(x, g)| *x -= eta * g);
        }
        Ok(f64::NAN)
    }
}

/// The lengths of this many axes.
fn shape<const N: usize>(array: &hesse::io::Array) -> Result<[usize; N], Failure> {
    let shape = array.shape();
    shape
        .try_into()
        .map_err(|_| hesse::Error::shape(array.label(), format!("{N} axes"), shape.len()).into())
}

pub(super) fn claims() -> Result<Vec<Claim>, Failure> {
    let archive = Archive::from_bytes(INPUTS, "credit.npz")?;
    let smooth = Case::read(&archive, "A_")?.cosines()?;
    let digits = Case::read(&archive, "I_")?.cosines()?;
    let told = |[local, mdgl]: [f64; 2]| format!("{} < {}", three(local), three(mdgl));
    let minimum = Case::read(&archive, "G_")?;
    let perturbation = archive.get("G_perturbation")?.to_f64()?;
    let rule = Rule::three_factor();
    let stability = Stability::new(&minimum.rnn, &minimum.theta, &minimum.data, &rule)?;
    let limits = [stability.exact_limit, stability.rule_limit].map(|l| l.unwrap_or(f64::NAN));
    let mut ratios = Vec::new();
    for (rule, limit) in [Rule::Bptt, rule].iter().zip(limits) {
        for factor in [0.9, 1.1] {
            ratios.push((minimum.ratio(rule, factor * limit, &perturbation)?, 1.0 - 2.0 * factor));
        }
    }
    let ours = ratios.iter().map(|(ratio, _)| format!("{ratio:.3}")).collect::<Vec<_>>();
    Ok(vec![
        Claim::with_bar(
            "At the start the three-factor rule is less aligned with the gradient than MDGL (E8)",
            "0.80 < 0.88 on a smooth network, 0.44 < 0.68 on digits in the reference runs",
            format!("{} on the smooth network, {} on digits", told(smooth), told(digits)),
            "in both",
            smooth[0] < smooth[1] && digits[0] < digits[1],
        ),
        Claim::with_bar(
            format!(
                "A minimum attracts the three-factor rule up to η = 2/(ρλ₁), {} times the limit of BPTT: \
                 ratios of residuals at 0.9 and 1.1 of their own limits (E9)",
                three(limits[1] / limits[0])
            ),
            "1 − ηρλ₁: −0.8 and −1.2",
            format!("BPTT {} and {}; three-factor {} and {}", ours[0], ours[1], ours[2], ours[3]),
            "each within 0.01",
            ratios.iter().all(|(ratio, want)| (ratio - want).abs() <= 0.01),
        ),
    ])
}
