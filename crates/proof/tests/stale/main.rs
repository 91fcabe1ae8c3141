//! Every fault of a source in every phase of a pool: nothing is disabled, deleted or reimaged while it lasts; holds,
//! conditions and events are those of the table; and when it is over all goes on, and all of them are gone.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod bench;
mod table;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::HoldReason;
use poolkeeper_proof::Blind;
use poolkeeper_simulator::world::Fault;

use self::{
    bench::{Bench, Heard, Phase, Said},
    table::{Besides, Ill, Row},
};

/// How long a fault lasts.
const LASTS: i64 = 2400;
/// Instances are listed every 5 minutes at the latest, and all else is read more often.
const SEEN_WITHIN: SignedDuration = SignedDuration::from_mins(5);
/// What is missing is tried again this often at least.
const GONE_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// One run: a phase, with a fault or without, to the end of its pool.
struct Run {
    began: Timestamp,
    ended: Timestamp,
    /// What was said while the fault lasted.
    during: Vec<Heard>,
    /// What was said afterwards, until everything was at rest.
    after: Vec<Heard>,
}

impl Run {
    /// What must never happen is judged here, whatever is said.
    fn play(phase: Phase, ill: Option<&Ill>) -> Result<Self, String> {
        let mut bench = Bench::reach(phase);
        bench.take();
        let began = bench.now();
        match ill {
            Some(Ill::DevOps(kind)) => bench.stage.world.set_fault(Fault::DevOps(0, *kind), None),
            Some(Ill::Azure(kind)) => {
                let set = *bench.operator.view.bindings.values().next().unwrap();
                bench.stage.world.set_fault(Fault::Azure(set, (*kind).into()), None);
            }
            Some(Ill::Blind(blind)) => bench.stage.blind = blind.clone(),
            None => {}
        }
        if matches!(ill, Some(Ill::Blind(_))) {
            // What was read just before is believed for 12 s.
            bench.run(13, |_| false);
        }
        if matches!(ill, Some(Ill::Blind(Blind { sets: true, .. }))) {
            // A scale set is read anew before each write to it; that it is missing shows when it is due.
            bench.run(600, Bench::holds);
        }
        let before = bench.deeds();
        bench.queue(1, 100);
        bench.run(LASTS, |_| false);
        if ill.is_some() && bench.deeds() > before {
            return Err(format!("{} destructive calls while the source was missing", bench.deeds() - before));
        }
        if ill.is_some() && bench.operator.drained {
            return Err("it is gone before anybody has seen it empty".to_owned());
        }
        let during = bench.take();
        bench.stage.world.clear_faults();
        bench.stage.blind = Blind::default();
        let ended = bench.now();
        let over = match phase {
            Phase::PoolDeleted => bench.run(7200, |bench| bench.operator.drained),
            _ => bench.run(7200, |bench| bench.open() == 0),
        };
        if !over {
            return Err("it does not recover".to_owned());
        }
        bench.run(1200, |bench| bench.operator.drained);
        let after = bench.take();
        bench.delete_pool();
        if !bench.run(14_400, |bench| bench.operator.drained) {
            return Err("it does not drain afterwards".to_owned());
        }
        bench.stage.judge.close(&bench.stage.world, &bench.operator.view, bench.stage.raised_by_others);
        bench.stage.judge.check()?;
        Ok(Self { began, ended, during, after })
    }

    fn all(&self) -> impl Iterator<Item = &Heard> {
        self.during.iter().chain(&self.after)
    }

    fn last(&self) -> Option<&Heard> {
        self.all().last()
    }

    /// Whether it has said this at any time.
    fn says(&self, said: &Said) -> bool {
        self.all().any(|heard| heard.says(said))
    }

    fn tells(&self, event: &str) -> bool {
        self.all().any(|heard| heard.events.contains(&event))
    }
}

/// When a fault was first said, counted from its begin, and last, counted from its end.
type Times = (SignedDuration, SignedDuration);

/// A run with a fault, beside the same phase without one and what the table says.
struct Cell<'a> {
    row: &'a Row,
    besides: Vec<&'a Besides>,
    says: Vec<Said>,
    calm: &'a Run,
    run: Run,
}

impl Cell<'_> {
    /// Conditions of other kinds than the row's are those of the phase, or the table has them.
    fn is_expected(&self, said: &Said) -> bool {
        self.calm.says(said) || self.besides.iter().any(|besides| besides.says.contains(said))
    }

    fn check(&self) -> Result<Times, String> {
        let shown = self.during()?;
        self.events()?;
        let gone = self.after()?;
        Ok((shown, gone))
    }

    fn during(&self) -> Result<SignedDuration, String> {
        let Run { began, during, .. } = &self.run;
        if during.is_empty() {
            return Err("it says nothing at all".to_owned());
        }
        let first = during.iter().position(|heard| !self.says.is_empty() && self.is_said(heard));
        if first.is_none() && !self.says.is_empty() {
            let last = during.last().map(|heard| &heard.conditions);
            let (hold, says) = (self.row.hold, &self.says);
            return Err(format!("{hold:?} with {says:?} is never said, at last {last:?}"));
        }
        let (before, shown) = during.split_at(first.unwrap_or(during.len()));
        for heard in shown {
            let since = heard.at.duration_since(*began).as_secs();
            if !self.is_said(heard) {
                return Err(format!("after {since} s it says {:?}, not {:?}", heard.conditions, self.says));
            }
            if let Some(other) = heard.holds.iter().find(|reason| Some(**reason) != self.row.hold) {
                return Err(format!("after {since} s it holds for {other:?}, not for {:?}", self.row.hold));
            }
        }
        let is_own = |said: &&Said| self.says.contains(said);
        let others = shown.iter().flat_map(|heard| heard.conditions.iter().filter(|said| !is_own(said)));
        let mut said = before.iter().flat_map(|heard| &heard.conditions).chain(others);
        if let Some(said) = said.find(|said| !self.is_expected(said)) {
            return Err(format!("it says {said:?}, which is not in the table"));
        }
        let mut besides = self.besides.iter().flat_map(|besides| &besides.says);
        if let Some(said) = besides.find(|said| !during.iter().any(|heard| heard.says(said))) {
            return Err(format!("{said:?} is in the table, and is never said"));
        }
        let shown = shown.first().map_or(SignedDuration::ZERO, |heard| heard.at.duration_since(*began));
        if shown > SEEN_WITHIN { Err(format!("it is said only after {shown:#}")) } else { Ok(shown) }
    }

    /// All that the row says and holds; a condition of the same kind with another reason is none of it.
    fn is_said(&self, heard: &Heard) -> bool {
        let held = self.row.hold.is_none_or(|reason| heard.holds.contains(&reason));
        held && self.says.iter().all(|said| heard.says(said))
    }

    /// Each bad condition of the row is told once, and what the table has besides so often as it stands there.
    fn events(&self) -> Result<(), String> {
        let bad = self.says.iter().filter(|said| ["Stalled", "Holding"].contains(&said.0));
        let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
        let besides = self.besides.iter().flat_map(|besides| besides.events.iter().copied());
        for event in bad.map(|said| said.2.as_str()).chain(besides) {
            *expected.entry(event).or_default() += 1;
        }
        let mut told: BTreeMap<&str, usize> = BTreeMap::new();
        for event in self.run.during.iter().flat_map(|heard| &heard.events) {
            *told.entry(event).or_default() += 1;
        }
        told.retain(|event, _| expected.contains_key(event) || !self.calm.tells(event));
        if told == expected { Ok(()) } else { Err(format!("the events are {told:?}, not {expected:?}")) }
    }

    /// Soon nothing is said any more that the phase does not say without a fault; at rest it says just the same.
    fn after(&self) -> Result<SignedDuration, String> {
        let Run { ended, after, .. } = &self.run;
        let is_calm = |heard: &&Heard| heard.conditions.iter().all(|said| self.calm.says(said));
        let bad = after.iter().rev().find(|heard| !is_calm(heard));
        let gone = bad.map_or(SignedDuration::ZERO, |heard| heard.at.duration_since(*ended));
        if gone > GONE_WITHIN {
            return Err(format!(
                "{gone:#} after its end it still says {:?}",
                bad.map(|heard| &heard.conditions)
            ));
        }
        let mut events = after.iter().flat_map(|heard| &heard.events);
        if let Some(event) = events.find(|event| !self.calm.tells(event)) {
            return Err(format!("it tells {event} after its end"));
        }
        let at_rest = |run: &Run| run.last().map(|heard| (heard.conditions.clone(), heard.holds.clone()));
        let (now, calm) = (at_rest(&self.run), at_rest(self.calm));
        if now == calm {
            Ok(gone)
        } else {
            Err(format!("at rest it says {now:?}, without the fault {calm:?}"))
        }
    }
}

/// The phases without a fault, which all others are compared with.
fn calm() -> Vec<Run> {
    let play = |phase: Phase| {
        let run = Run::play(phase, None).unwrap();
        let last = run.last().unwrap();
        assert_eq!((&last.conditions, last.holds.len()), (&phase.rest(), 0), "{phase:?} without a fault");
        // Capacity and members may differ for a moment; nothing else is out of the way.
        assert!(run.all().all(|heard| heard.holds.iter().all(|reason| *reason == HoldReason::SourcePartial)));
        assert!(run.all().all(|heard| heard.events.iter().all(|event| *event == "SourcePartial")));
        run
    };
    Phase::ALL.into_iter().map(play).collect()
}

fn words(says: &[Said]) -> String {
    if says.is_empty() {
        return "nothing".to_owned();
    }
    let word = |(kind, truth, reason): &Said| format!("{kind}={truth:?}/{}", reason.as_str());
    says.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn nothing_is_removed_while_a_source_is_missing_or_old() {
    let (calm, besides, rows) = (calm(), table::besides(), table::rows());
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    assert!(besides.iter().flat_map(|besides| besides.rows).all(|row| names.contains(row)));
    let mut failures = Vec::new();
    println!(
        "seconds from the begin of the fault until it is said + from its end until nothing is said of it"
    );
    print!("{:<20}", "");
    Phase::ALL.iter().for_each(|phase| print!("{:<12}", format!("{phase:?}")));
    println!();
    for row in rows {
        print!("{:<20}", row.name);
        for (phase, calm) in Phase::ALL.into_iter().zip(&calm) {
            let besides = besides.iter().filter(|besides| besides.is_about(&row, phase)).collect();
            let checked = Run::play(phase, Some(&row.ill)).and_then(|run| {
                let says = row.says_in(phase);
                Cell { row: &row, besides, says, calm, run }.check()
            });
            let word = match checked {
                Ok((shown, gone)) => format!("{} + {}", shown.as_secs(), gone.as_secs()),
                Err(why) => {
                    failures.push(format!("{}, {phase:?}: {why}", row.name));
                    "FAILS".to_owned()
                }
            };
            print!("{word:<12}");
        }
        println!();
        let hold = row.hold.map_or("nothing", |reason| reason.as_str());
        println!("    holds for {hold}, says {}", words(&row.says));
        if !row.drains.is_empty() {
            println!("    PoolDeleted: {}", words(&row.drains));
        }
        for Besides { phases, says, events, why, .. } in
            besides.iter().filter(|other| other.rows.contains(&row.name))
        {
            let conditions = if says.is_empty() { String::new() } else { format!("{}, ", words(says)) };
            println!("    {phases:?} besides: {conditions}events {}: {why}", events.join(", "));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
