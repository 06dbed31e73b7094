//! Learning rules as they are called on the command line.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use hesse::credit::{BackWeights, CellTypes, Feedback, Noise, Propagation, RateRnn, Rule, Scaling};
use hesse::{Error, Result};

/// `RULE`, `RULE@FACTOR` or `RULE@OTHER`.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleName {
    kind: Kind,
    scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bptt,
    Rtrl,
    ThreeFactor,
    RandomFeedback,
    AdaptiveFeedback,
    Mdgl,
    ModProp,
    ModPropTaps,
    SnAp1,
    Uoro,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    None,
    Fixed(f64),
    Match(Kind),
}

const KINDS: [(&str, Kind); 10] = [
    ("bptt", Kind::Bptt),
    ("rtrl", Kind::Rtrl),
    ("three-factor", Kind::ThreeFactor),
    ("eprop-random", Kind::RandomFeedback),
    ("eprop-adaptive", Kind::AdaptiveFeedback),
    ("mdgl", Kind::Mdgl),
    ("modprop", Kind::ModProp),
    ("modprop-taps", Kind::ModPropTaps),
    ("snap1", Kind::SnAp1),
    ("uoro", Kind::Uoro),
];

/// Bytes that influence matrices of RTRL may take.
const MOST_BYTES: usize = 1 << 31;

impl Kind {
    fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    fn read(text: &str) -> Option<Self> {
        KINDS.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind)
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        match self.scale {
            Scale::None => Ok(()),
            Scale::Fixed(factor) => write!(f, "@{factor}"),
            Scale::Match(kind) => write!(f, "@{}", kind.name()),
        }
    }
}

impl FromStr for RuleName {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (kind, scale) = match text.split_once('@') {
            Some((kind, scale)) => (kind, Some(scale)),
            None => (text, None),
        };
        let names = || KINDS.map(|(name, _)| name).join(", ");
        let kind = Kind::read(kind).ok_or_else(|| format!("expected one of {}", names()))?;
        let scale = match scale {
            None => Scale::None,
            Some(scale) => match (scale.parse::<f64>(), Kind::read(scale)) {
                (Ok(factor), _) if factor.is_finite() => Scale::Fixed(factor),
                (_, Some(kind)) => Scale::Match(kind),
                _ => return Err("expected a finite factor or a rule behind the @".to_owned()),
            },
        };
        Ok(Self { kind, scale })
    }
}

/// What rules need beside their name.
#[derive(Clone, Debug, clap::Args)]
pub struct RuleArguments {
    /// Factor of ModProp that stands for the derivatives of passed-through cells
    #[arg(long, value_name = "MU", default_value_t = 0.25, allow_negative_numbers = true)]
    mu: f64,
    /// Weights that carry the credit of MDGL and ModProp back
    #[arg(long, value_enum, default_value_t = BackWeightsName::Exact)]
    back_weights: BackWeightsName,
    /// Share of units, the first ones, that are a type of their own for weights by type
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, allow_negative_numbers = true)]
    second_type: f64,
    /// Most synapses that credit passes under modprop-taps [default: all]
    #[arg(long, value_name = "N")]
    hops: Option<usize>,
    /// Weight decay of the feedback of eprop-adaptive
    #[arg(long, value_name = "L2", default_value_t = 0.0, allow_negative_numbers = true)]
    feedback_decay: f64,
}

/// Weights that carry credit back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackWeightsName {
    /// Those that carry activity
    Exact,
    /// Their means by types of cells
    TypeMean,
    /// Their means over the synapses that there are, where there is one
    TypeMeanGated,
}

impl RuleArguments {
    fn weights(&self, rnn: &RateRnn) -> Result<BackWeights<f64>> {
        if self.back_weights == BackWeightsName::Exact {
            return Ok(BackWeights::Exact);
        }
        if !(self.second_type > 0.0 && self.second_type < 1.0) {
            let expected = "more than 0 and less than 1";
            return Err(Error::range("--second-type", expected, self.second_type));
        }
        let n = rnn.units();
        // Between 0 and n.
        let second = (self.second_type * n as f64).round() as usize;
        if second == 0 || second == n {
            let expected = format!("a share that leaves some of {n} units to each type");
            return Err(Error::range("--second-type", expected, self.second_type));
        }
        let types = CellTypes::new((0..n).map(|i| usize::from(i < second)).collect())?;
        Ok(match self.back_weights {
            BackWeightsName::TypeMean => BackWeights::TypeMean(types),
            _ => BackWeights::TypeMeanGated(types),
        })
    }

    fn rule(&self, kind: Kind, rnn: &RateRnn, seed: u64) -> Result<Rule<f64>> {
        let modprop = |propagation| -> Result<Rule<f64>> {
            Ok(Rule::ModProp { mu: self.mu, weights: self.weights(rnn)?, propagation })
        };
        Ok(match kind {
            Kind::Bptt => Rule::Bptt,
            Kind::Rtrl => Rule::Rtrl { memory_limit: MOST_BYTES },
            Kind::ThreeFactor => Rule::three_factor(),
            Kind::RandomFeedback | Kind::AdaptiveFeedback => {
                let feedback = Feedback::random(rnn.units(), rnn.outputs(), seed);
                Rule::ThreeFactor { feedback }
            }
            Kind::Mdgl => Rule::Mdgl { weights: self.weights(rnn)? },
            Kind::ModProp => modprop(Propagation::Code)?,
            Kind::ModPropTaps => modprop(Propagation::Taps { hops: self.hops })?,
            Kind::SnAp1 => Rule::SnAp1,
            Kind::Uoro => Rule::Uoro { noise: Noise::Drawn { seed } },
        })
    }
}

/// A rule as a training takes it.
#[derive(Clone, Debug)]
pub struct Learner {
    /// The rule.
    pub rule: Rule<f64>,
    /// The factor of the recurrent group.
    pub scaling: Scaling<f64>,
    /// Decay of feedback that learns.
    pub feedback_decay: Option<f64>,
}

impl RuleName {
    /// The rule for a network; random feedback and noise are drawn from `seed`.
    ///
    /// # Errors
    /// Options out of range.
    pub fn learner(&self, arguments: &RuleArguments, rnn: &RateRnn, seed: u64) -> Result<Learner> {
        let scaling = match self.scale {
            Scale::None => Scaling::None,
            Scale::Fixed(factor) => Scaling::Fixed(factor),
            Scale::Match(kind) => Scaling::Match(arguments.rule(kind, rnn, seed)?),
        };
        let adaptive = self.kind == Kind::AdaptiveFeedback;
        Ok(Learner {
            rule: arguments.rule(self.kind, rnn, seed)?,
            scaling,
            feedback_decay: adaptive.then_some(arguments.feedback_decay),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for text in ["bptt", "bptt@0.15", "bptt@three-factor", "eprop-adaptive", "modprop-taps"] {
            assert_eq!(text.parse::<RuleName>().unwrap().to_string(), text);
        }
        let wrong = |text: &str| text.parse::<RuleName>().unwrap_err();
        assert!(wrong("backprop").starts_with("expected one of bptt, rtrl, three-factor"));
        for text in ["bptt@", "bptt@x", "bptt@inf", "bptt@NaN"] {
            assert_eq!(wrong(text), "expected a finite factor or a rule behind the @");
        }
    }
}
