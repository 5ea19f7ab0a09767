//! Where a ledger has several statements of which the best, chosen by its result, does not
//! hold as each of them does.

use recert_ledger::{Claim, Ledger, NetworkId};

use crate::Result;
use crate::job::Remark;

/// Remarks on the networks among `only`, or on all: those with several claims, and modified
/// networks that were recertified one by one.
pub(crate) fn several(ledger: &Ledger, only: Option<&[NetworkId]>) -> Result<Vec<Remark>> {
    let mut remarks = Vec::new();
    // Of modified networks with certificates: how many, and for a choice among how many the
    // least corrected of them is.
    let (mut modified, mut corrected) = (0, u32::MAX);
    for (id, network) in ledger.networks()? {
        let claims = ledger.claims(id)?;
        if id != ledger.base()
            && let Some(among) = claims.iter().map(|claim| claim.parameters.among()).min()
        {
            modified += 1;
            corrected = corrected.min(among);
        }
        if claims.len() > 1 && only.is_none_or(|only| only.contains(&id)) {
            remarks.push(Remark::SeveralClaims {
                network: network.file,
                claims: claims.len(),
                differ_in: differences(&claims).join(", "),
            });
        }
    }
    let runs_one = only.is_none_or(|only| only.iter().any(|id| *id != ledger.base()));
    if modified > 1 && corrected < modified && runs_one {
        remarks.push(Remark::OneByOne { networks: modified });
    }
    Ok(remarks)
}

/// What some claims of one network differ in, each in a few words.
fn differences(claims: &[Claim]) -> Vec<String> {
    let several = |name: &str, values: &mut dyn Iterator<Item = String>| {
        let mut distinct: Vec<String> = Vec::new();
        for value in values {
            if !distinct.contains(&value) {
                distinct.push(value);
            }
        }
        (distinct.len() > 1).then(|| format!("{name} {}", distinct.join(" and ")))
    };
    let each = || claims.iter();
    let on_first = each().filter(|claim| claim.parameters.goal().is_none());
    let goals = each().filter_map(|claim| claim.parameters.goal());
    let mut goals: Vec<String> = goals.map(|goal| format!("{goal:?}")).collect();
    goals.sort_unstable();
    goals.dedup();
    let goals = (goals.len() > 1).then(|| format!("{} budgets or targets", goals.len()));
    let found = [
        several(
            "methods",
            &mut each().map(|claim| claim.method().to_owned()),
        ),
        several(
            "samples",
            &mut on_first.map(|claim| claim.samples.to_string()),
        ),
        goals,
        several("alpha", &mut each().map(|claim| claim.alpha.to_string())),
        several(
            "sides",
            &mut each().filter_map(|claim| Some(claim.parameters.sides()?.to_string())),
        ),
        several(
            "candidates",
            &mut each().map(|claim| claim.parameters.among().to_string()),
        ),
    ];
    found.into_iter().flatten().collect()
}
