//! Noise on weights: `eff*` (losses averaged over noise and their minima), `mean*` (mean dynamics under
//! readout noise), `lyap*` (stationary covariances), `sgd*` (plain descents).

use hesse::dimension::{
    Descent, EffectiveLoss, LinearTask, ReadoutNoise, StationaryNoise, TwoLayerDescent,
};
use hesse::faer::Mat;
use hesse::{Error, Result};

use super::{about, compare, compare_to_largest, elements, matrix, prefixes, vector};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// `theory`.
pub(super) struct Theory;

impl Layout for Theory {
    fn name(&self) -> &'static str {
        "theory"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["eff0__X", "eff0__Y"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        let run = |checks: &mut Checks<'_>| -> Result<()> {
            for case in prefixes(arrays, "__") {
                let case = Case { arrays, name: &case };
                match case.name.trim_end_matches(|c: char| c.is_ascii_digit()) {
                    "eff" => case.averaged(checks)?,
                    "mean" => case.means(checks)?,
                    "lyap" => case.stationary(checks)?,
                    "sgd" => case.descents(checks)?,
                    _ => {}
                }
            }
            Ok(())
        };
        run(checks).map_err(|error| about(arrays, error))
    }
}

/// The arrays of one case.
struct Case<'a> {
    arrays: &'a Arrays,
    name: &'a str,
}

impl Case<'_> {
    fn of(&self, what: &str) -> String {
        format!("{}__{what}", self.name)
    }

    fn number(&self, what: &str) -> Result<f64> {
        self.arrays.scalar(&self.of(what))
    }

    fn matrix(&self, what: &str) -> Result<Mat<f64>> {
        matrix(self.arrays, &self.of(what))
    }

    fn inputs(&self, checks: &mut Checks<'_>, names: &[&str]) {
        for name in names {
            checks.inputs(&[&self.of(name)]);
        }
    }

    fn averaged(&self, checks: &mut Checks<'_>) -> Result<()> {
        self.inputs(checks, &["X", "Y", "V", "W", "sigma_V", "sigma_W", "tau_levels"]);
        let (x, y, v, w) =
            (self.matrix("X")?, self.matrix("Y")?, self.matrix("V")?, self.matrix("W")?);
        let task = LinearTask::of(x.as_ref(), y.as_ref())?;
        let loss = EffectiveLoss::new(&task, self.number("sigma_V")?, self.number("sigma_W")?)?;
        let (v, w) = (v.as_ref(), w.as_ref());
        compare(checks, &self.of("loss"), 1e-9, vec![loss.loss(v, w)?]);
        compare(checks, &self.of("loss_eff"), 1e-9, vec![loss.value(v, w)?]);
        let (of_v, of_w) = loss.gradient(v, w)?;
        compare_to_largest(checks, &self.of("grad_V"), 1e-9, elements(&of_v));
        compare_to_largest(checks, &self.of("grad_W"), 1e-9, elements(&of_w));
        let optimum = loss.optimum(w.nrows())?;
        compare_to_largest(checks, &self.of("sing_target"), 1e-9, optimum.target.clone());
        compare(checks, &self.of("tau"), 1e-9, vec![optimum.threshold]);
        compare_to_largest(checks, &self.of("sing_opt"), 1e-9, optimum.singular_values.clone());
        compare_to_largest(checks, &self.of("hidden_eig_opt"), 1e-9, optimum.hidden.clone());
        let ratio = vec![optimum.participation_ratio()];
        compare(checks, &self.of("pr_hidden_opt"), 1e-9, ratio);
        let name = self.of("pr_levels");
        if checks.wants(&[&name]) {
            let levels = vector(self.arrays, &self.of("tau_levels"))?;
            let ratios = levels.iter().map(|&tau| optimum.participation_at(tau)).collect();
            // At the largest singular value itself something or nothing is left, by rounding.
            let apart = |tau: &f64| (tau / optimum.target[0] - 1.0).abs() > 1e-12;
            let comparable: Vec<bool> = levels.iter().map(apart).collect();
            let got = Numbers::vector(ratios);
            let reason = "τ is the largest singular value";
            checks.compare_where(&name, Rule::Relative(1e-9), &got, &comparable, reason);
        }
        Ok(())
    }

    fn means(&self, checks: &mut Checks<'_>) -> Result<()> {
        self.inputs(checks, &["Sx", "Syx", "V", "W0", "eta", "sigma", "steps"]);
        let (s_x, s_yx) = (self.matrix("Sx")?, self.matrix("Syx")?);
        let (v, start) = (self.matrix("V")?, self.matrix("W0")?);
        let task = LinearTask::from_moments(s_x.as_ref(), s_yx.as_ref())?;
        let noise =
            ReadoutNoise::new(&task, v.as_ref(), self.number("sigma")?, self.number("eta")?)?;
        let before = noise.activity_outside(start.as_ref())?;
        let (mut all, mut ratios, mut outside) = (Vec::new(), Vec::new(), Vec::new());
        for steps in self.arrays.counts(&self.of("steps"), 1 << 40)? {
            let w = noise.mean(start.as_ref(), steps as u64)?;
            ratios.push(noise.participation_ratio(w.as_ref())?);
            outside.push(noise.activity_outside(w.as_ref())? / before);
            all.extend(elements(&w));
        }
        compare_to_largest(checks, &self.of("W_t"), 1e-9, all);
        compare(checks, &self.of("pr_t"), 1e-9, ratios);
        compare(checks, &self.of("orth_ratio_t"), 1e-9, outside);
        let limit = noise.limit(start.as_ref())?;
        compare_to_largest(checks, &self.of("W_inf"), 1e-9, elements(&limit));
        Ok(())
    }

    fn stationary(&self, checks: &mut Checks<'_>) -> Result<()> {
        self.inputs(checks, &["H", "C", "eta", "batch"]);
        let (hessian, noise) = (self.matrix("H")?, self.matrix("C")?);
        let rate = self.number("eta")?;
        let batch = self.arrays.counts(&self.of("batch"), 1 << 40)?;
        let [batch] = batch[..] else {
            return Err(self.arrays.wrong(&self.of("batch"), "expected one number"));
        };
        let found = StationaryNoise::new(hessian.as_ref(), noise.as_ref(), rate, batch)?;
        compare_to_largest(checks, &self.of("Sigma"), 1e-9, elements(&found.covariance));
        compare(checks, &self.of("penalty"), 1e-9, vec![found.penalty]);
        let found = StationaryNoise::new(hessian.as_ref(), hessian.as_ref(), rate, batch)?;
        compare_to_largest(checks, &self.of("Sigma_iso"), 1e-9, elements(&found.covariance));
        Ok(())
    }

    fn descents(&self, checks: &mut Checks<'_>) -> Result<()> {
        self.inputs(checks, &["X", "y", "W0", "r0", "idx", "eta", "steps"]);
        let (x, w) = (self.matrix("X")?, self.matrix("W0")?);
        let (y, r) = (vector(self.arrays, &self.of("y"))?, vector(self.arrays, &self.of("r0"))?);
        let descent = TwoLayerDescent::new(x.as_ref(), &y, w.as_ref(), &r, self.number("eta")?)?;
        let order = self.arrays.counts(&self.of("idx"), 1 << 40)?;
        let looks: Vec<u64> = self
            .arrays
            .counts(&self.of("steps"), 100_000_000)?
            .into_iter()
            .map(|steps| steps as u64)
            .collect();
        if looks.is_empty() {
            return Err(Error::empty(self.of("steps")));
        }
        for (mode, how) in [
            ("sgd", Descent::Stochastic(&order)),
            ("frozen", Descent::FrozenReadout(&order)),
            ("full", Descent::FullBatch),
        ] {
            let of = |what: &str| self.of(&format!("{mode}_{what}"));
            let names = ["orth_ratio", "pr", "loss", "W", "r"].map(of);
            if !checks.wants(&names.each_ref().map(String::as_str)) {
                continue;
            }
            let run = descent.run(&how, &looks)?;
            let column = |get: fn(&hesse::dimension::DescentLook) -> f64| {
                run.looks.iter().map(get).collect::<Vec<_>>()
            };
            compare(checks, &of("orth_ratio"), 1e-7, column(|l| l.orthogonal_ratio));
            compare(checks, &of("pr"), 1e-7, column(|l| l.participation_ratio));
            // A loss that has come to nothing is rounding.
            compare_to_largest(checks, &of("loss"), 1e-7, column(|l| l.loss));
            compare_to_largest(checks, &of("W"), 1e-7, elements(&run.w));
            compare_to_largest(checks, &of("r"), 1e-7, run.r.clone());
        }
        Ok(())
    }
}
