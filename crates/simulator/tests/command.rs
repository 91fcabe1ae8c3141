//! The command itself: its first line, its clock, its end, and what it refuses.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

use rstest::rstest;
use serde_json::Value;
use support::face::Answer;

const WORLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/simulator/world.yaml");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poolkeeper-simulator"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends the process that a failed test would leave behind.
struct Running(Option<Child>);

impl Running {
    fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[rstest]
#[case::terminated("-TERM")]
#[case::interrupted("-INT")]
#[tokio::test]
async fn it_says_where_it_listens_and_ends_when_told(#[case] signal: &str) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = "origin=2026-01-05T08:00:00Z,scale=60";
    let mut running = Running(Some(command(&["--world", WORLD, "--sim-clock", clock]).spawn().unwrap()));
    let child = running.0.as_mut().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let base = first.trim_end().strip_prefix("listening on ").unwrap().to_owned();
    assert!(base.starts_with("http://127.0.0.1:"), "{first}");
    let answer = Answer::of(reqwest::get(format!("{base}/_sim/clock")).await.unwrap()).await;
    assert_eq!(answer.body["scaled"], true);
    let id = child.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    let output = running.output();
    assert!(output.status.success());
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap().is_object(), "{line}");
    }
}

#[rstest]
#[case::scaled_in_public(
    &["--world", WORLD, "--listen", "0.0.0.0:0", "--sim-clock", "origin=2026-01-05T08:00:00Z,scale=60"],
    "--listen must be a loopback address"
)]
#[case::no_such_file(&["--world", "no-such-world.yaml"], "no-such-world.yaml: ")]
#[case::no_world(&["--world", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], "Cargo.toml: ")]
#[case::bad_clock(&["--world", WORLD, "--sim-clock", "fast"], "write the clock as origin=")]
fn it_refuses_with_one_sentence(#[case] arguments: &[&str], #[case] said: &str) {
    let output = command(arguments).output().unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(said), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(output.stdout.is_empty());
}
