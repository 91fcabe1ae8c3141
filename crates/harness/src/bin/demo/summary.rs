//! The end of the demo: what was expected, what was seen, and what it cost.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, ensure};
use poolkeeper_harness::replay::service;
use poolkeeper_harness::worked_example::words;

use crate::show::Show;
use crate::track::Track;
use crate::words::clock;

/// Prints it, and fails if a job was killed.
pub(crate) async fn show(show: &mut Show, began: Instant) -> Result<()> {
    show.screen.line("");
    show.screen.line("== summary");
    let courses: Vec<String> = show.tracks().iter().flat_map(course).collect();
    for line in courses {
        show.screen.line(&line);
    }
    let (finished, killed) = (show.finished(), show.killed());
    show.screen.line(&format!("jobs         {finished} finished, {killed} killed"));
    let tally = show.stage.control.tally().await?;
    let mut services: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (call, count) in &tally.calls {
        services.entry(service(call)).or_default().push(format!("{call} {}", count.total));
    }
    for (service, calls) in services {
        show.screen.line(&format!("{service:<12} {}", calls.join(", ")));
    }
    let simulated = clock(show.now.duration_since(show.started));
    let wall = began.elapsed().as_secs();
    show.screen.line(&format!("time         {simulated} simulated, {wall} s in all"));
    show.screen.line("");
    show.screen.line("$ kubectl get agentpools,scalesetbindings");
    let listed = show.stage.kubectl(&["get", "agentpools,scalesetbindings"]).await?;
    show.screen.line(&listed);
    ensure!(killed == 0, "{killed} jobs were killed");
    Ok(())
}

fn course(track: &Track) -> [String; 2] {
    let (began, steps, expected) = (track.began, track.steps(), track.course.expected);
    let seen: Vec<String> = steps
        .iter()
        .map(|step| format!("{} at {}", words([step.agents]), clock(step.at.duration_since(began))))
        .collect();
    let same = steps.iter().map(|step| step.agents).eq(expected.iter().copied());
    let verdict = if same { "as expected" } else { "NOT as expected" };
    let (strategy, orchestration) = (track.course.strategy, track.course.orchestration);
    [
        format!("{strategy:<12} {orchestration:<9} expected {}", words(expected.iter().copied())),
        format!("{:<22} observed {}: {verdict}", "", seen.join(", ")),
    ]
}
