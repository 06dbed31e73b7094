//! The state of a search for an active set in a file.

use std::path::Path;

use super::active_set::State;
use super::entries::Active;
use super::objective::SplineObjective;
use crate::io::{Archive, Array, Limits};
use crate::{Error, Result};

const VERSION: u64 = 2;

/// What must agree: version, sizes, and the bits of λ' and of the data.
fn settings(objective: &SplineObjective<'_>, nonnegative: bool) -> Vec<u64> {
    let data = objective.data;
    // FNV-1a over the numbers that make the problem.
    let numbers = data.injections();
    let operators = [objective.lx.matrix(), objective.ly.matrix()];
    let bits = numbers
        .data()
        .iter()
        .chain(data.projections_by_experiment())
        .chain(operators.iter().flat_map(|m| m.data().iter()))
        .map(|v| v.to_bits())
        .chain(numbers.indices().iter().map(|&i| i as u64));
    let hash = bits
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, bits| (h ^ bits).wrapping_mul(0x0000_0100_0000_01b3));
    let sizes = [data.targets(), data.sources(), data.experiments()].map(|n| n as u64);
    let mut settings = vec![VERSION, u64::from(nonnegative), objective.lambda_eff.to_bits(), hash];
    settings.extend(sizes);
    settings.push(data.observed().count() as u64);
    settings
}

pub(super) fn write(
    path: &Path,
    objective: &SplineObjective<'_>,
    nonnegative: bool,
    state: &State,
) -> Result<()> {
    let mut archive = Archive::new();
    archive.insert("settings", Array::from_vector(settings(objective, nonnegative)));
    for (name, values) in [("weights", &state.x), ("residual", &state.r), ("direction", &state.p)] {
        archive.insert(name, Array::from_real([values.len()], values)?);
    }
    archive.insert("active", Array::from_vector(state.active.flags().to_vec()));
    let State { rho, tolerance, confirmed, decrease, objective, lowered, .. } = *state;
    let numbers = vec![rho, tolerance, confirmed, decrease, objective, lowered];
    archive.insert("numbers", Array::from_vector(numbers));
    let counts = [
        state.since_refresh,
        usize::from(state.inside),
        state.iterations,
        state.rounds,
        state.fewest,
        state.stalled,
        state.murty,
        usize::from(state.stagnated),
        usize::from(state.descending),
    ];
    archive.insert("counts", Array::from_vector(counts.map(|n| n as u64).to_vec()));
    archive.write(path)
}

pub(super) fn read(
    path: &Path,
    objective: &SplineObjective<'_>,
    nonnegative: bool,
) -> Result<State> {
    let n = objective.len();
    // Three arrays of 8 bytes an entry and one of 1, and some room for the rest.
    let bytes = (n as u64).saturating_mul(25).saturating_add(1 << 20);
    let mut limits = Limits::default();
    limits.max_bytes = limits.max_bytes.max(bytes);
    let mut archive = Archive::read_with(path, &limits)?;
    let name = path.display().to_string();
    let wanted = settings(objective, nonnegative);
    let found = archive.get("settings")?;
    if found.as_slice::<u64>() != Some(wanted.as_slice()) {
        let message = "expected a checkpoint of this problem: version, signs, lambda, data and sizes \
                       must agree";
        return Err(Error::format(name, Some("settings"), message));
    }
    let mut take = |what: &str| -> Result<Vec<f64>> {
        let values = archive.take(what)?.to_real::<f64>()?;
        if values.len() != n {
            return Err(Error::shape(format!("checkpoint's {what}"), n, values.len()));
        }
        crate::error::check_finite(what, &values)?;
        Ok(values)
    };
    let (x, r, p) = (take("weights")?, take("residual")?, take("direction")?);
    let broken = |what: &str, message: &str| Error::format(name.clone(), Some(what), message);
    let flags = archive.get("active")?.as_slice::<u8>().map(<[u8]>::to_vec);
    let flags = flags.filter(|f| f.len() == n && f.iter().all(|f| *f <= 1));
    let flags = flags.ok_or_else(|| broken("active", "expected a 0 or 1 for each entry"))?;
    let numbers = archive.get("numbers")?.to_f64()?;
    let &[rho, tolerance, confirmed, decrease, objective, lowered] = numbers.as_slice() else {
        return Err(broken("numbers", "expected six numbers"));
    };
    let possible = [rho, confirmed, decrease, lowered].iter().all(|x| *x >= 0.0);
    if !(possible && tolerance > 0.0 && !objective.is_nan()) {
        return Err(broken("numbers", "expected numbers that a search can have left"));
    }
    let counts = archive.get("counts")?;
    let counts = counts.as_slice::<u64>().unwrap_or(&[]);
    let counts: Vec<usize> = counts.iter().filter_map(|&n| usize::try_from(n).ok()).collect();
    let &[since_refresh, inside, iterations, rounds, fewest, stalled, murty, stagnated, descending] =
        counts.as_slice()
    else {
        return Err(broken("counts", "expected nine counts"));
    };
    Ok(State {
        x,
        r,
        p,
        active: Active::from_flags(flags),
        rho,
        tolerance,
        confirmed,
        since_refresh,
        inside: inside != 0,
        iterations,
        rounds,
        fewest,
        stalled,
        murty,
        stagnated: stagnated != 0,
        descending: descending != 0,
        decrease,
        objective,
        lowered,
    })
}
