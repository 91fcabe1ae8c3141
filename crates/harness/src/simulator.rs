//! The simulator as a process.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use poolkeeper_clock::Clock;

use crate::process::Process;
use crate::{Binaries, Directory};

const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the simulator's world comes from.
#[derive(Debug, Clone, Copy)]
pub enum World<'a> {
    /// A world file.
    File(&'a Path),
    /// The text of one.
    Text(&'a str),
}

/// One running simulator on a free port of loopback.
#[derive(Debug)]
pub struct Simulator {
    // Dropped in this order: first the process, then its files.
    process: Process,
    directory: Directory,
    url: String,
}

impl Simulator {
    /// Starts it and waits until it listens. The same world and seed give the same course.
    ///
    /// # Errors
    /// If it refuses the world, or does not listen in time; the message has its output.
    pub async fn start(
        binaries: &Binaries,
        world: World<'_>,
        seed: u64,
        clock: Option<Clock>,
    ) -> Result<Self> {
        let directory = Directory::create()?;
        let world = match world {
            World::File(path) => path.to_owned(),
            World::Text(text) => directory.write("world.yaml", text.as_bytes())?,
        };
        let mut command = Command::new(&binaries.simulator);
        command.arg("--world").arg(world).args(["--listen", "127.0.0.1:0", "--seed", &seed.to_string()]);
        if let Some(clock) = clock {
            command.args(["--sim-clock", &clock.to_string()]);
        }
        let mut process =
            Process::start("poolkeeper-simulator", &mut command, &directory.path().join("simulator.log"))?;
        let url = process.wait_for_listener(READY_TIMEOUT).await?;
        Ok(Self { process, directory, url })
    }

    /// `http://127.0.0.1:<port>`, of both clouds and of the control API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its output.
    #[must_use]
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// A private folder that goes with it.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }
}
