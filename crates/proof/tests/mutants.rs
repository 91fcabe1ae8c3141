//! Each safety step left out is noticed, and its scenario passes with it.

use poolkeeper_policy::mutant::{Mutant, plant};
use poolkeeper_proof::scenario;

#[test]
fn each_mutant_is_caught_and_nothing_else_is() {
    let mut wrong = Vec::new();
    for mutant in Mutant::ALL {
        plant(None);
        let without = scenario(mutant);
        plant(Some(mutant));
        let with = scenario(mutant);
        plant(None);
        println!("{mutant:?}: without {without:?}, with {with:?}");
        if let Err(why) = without {
            wrong.push(format!("{mutant:?}: its scenario fails without it: {why}"));
        }
        if with.is_ok() {
            wrong.push(format!("{mutant:?} is not caught"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
