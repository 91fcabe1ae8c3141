//! A child process with its output in a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::waiting::{POLL, eventually};

/// How much of a log an error message shows.
const TAIL_LINES: usize = 20;

/// Killed and reaped on drop, at once and without a runtime, hence not `tokio::process`.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Both outputs go to `log`. Stdin is a pipe that closes with this process, however it ends.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", command.get_program().display()))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The URL of the line `listening on http://…`.
    pub(crate) async fn wait_for_listener(&mut self, timeout: Duration) -> Result<String> {
        self.wait_for_line("listening on http://", timeout, listener).await
    }

    /// What `find` makes of the first line of the output of which it makes anything.
    pub(crate) async fn wait_for_line(
        &mut self,
        what: &str,
        timeout: Duration,
        find: fn(&str) -> Option<String>,
    ) -> Result<String> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let exited = self.exited()?;
            if let Some(found) = whole_lines(&self.read_log()).find_map(find) {
                return Ok(found);
            }
            if let Some(status) = exited {
                bail!("{} ended with {status}; its output:\n{}", self.name, self.tail());
            }
            if tokio::time::Instant::now() >= deadline {
                let seconds = timeout.as_secs();
                bail!(
                    "{} did not print \"{what}\" within {seconds} s; its output:\n{}",
                    self.name,
                    self.tail()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask for {}", self.name))
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) async fn stop(&mut self, timeout: Duration) -> Result<ExitStatus> {
        if self.exited()?.is_none() {
            // The standard library sends SIGKILL only.
            let sent =
                Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.id().to_string()]).status()?;
            // A process that has just ended by itself cannot be told to.
            if !sent.success() && self.exited()?.is_none() {
                bail!("cannot send SIGTERM to {}", self.name);
            }
        }
        let what = format!("{} ends after SIGTERM", self.name);
        eventually(&what, timeout, async || self.exited()).await
    }

    /// Sends SIGKILL and reaps. A process that has ended already is none the worse for it.
    pub(crate) fn kill(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("cannot end {}: {error}", self.name);
        }
    }

    pub(crate) fn tail(&self) -> String {
        let text = self.read_log();
        let lines: Vec<_> = text.lines().collect();
        lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
    }

    fn read_log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last line may be half written.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}

/// In plain text the URL ends at a blank, in JSON at a quote.
fn listener(line: &str) -> Option<String> {
    let (_, address) = line.split_once("listening on http://")?;
    let address = address.split(|c: char| c.is_whitespace() || matches!(c, '"' | '/')).next()?;
    Some(format!("http://{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Directory;

    #[test]
    fn a_listener_is_found_in_text_and_json() {
        let url = Some("http://127.0.0.1:81".to_owned());
        assert_eq!(listener("listening on http://127.0.0.1:81/"), url);
        assert_eq!(listener("INFO poolkeeper: listening on http://127.0.0.1:81 probes=true"), url);
        assert_eq!(listener("{\"message\":\"listening on http://127.0.0.1:81\",\"level\":\"INFO\"}"), url);
        assert_eq!(listener("not listening yet"), None);
    }

    #[test]
    fn a_half_written_line_is_not_read() {
        assert_eq!(
            whole_lines("one\ntwo\nlistening on http://127.0.0.1:8").collect::<Vec<_>>(),
            ["one", "two"]
        );
    }

    #[tokio::test]
    async fn a_child_that_ends_early_is_an_error_with_its_output() {
        let directory = Directory::create().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such world >&2; exit 3"]);
        let mut child = Process::start("child", &mut command, &directory.path().join("log")).unwrap();
        let error = child.wait_for_listener(Duration::from_secs(10)).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such world"), "{error}");
    }

    #[tokio::test]
    async fn stop_lets_the_child_end_by_itself() {
        let directory = Directory::create().unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap 'exit 7' TERM; echo listening on http://x; while :; do read -r _ || :; done"]);
        let mut child = Process::start("child", &mut command, &directory.path().join("log")).unwrap();
        child.wait_for_listener(Duration::from_secs(10)).await.unwrap();
        assert_eq!(child.stop(Duration::from_secs(10)).await.unwrap().code(), Some(7));
    }
}
