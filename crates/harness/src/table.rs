//! Output for people: on a terminal a table that redraws in place below the lines, elsewhere lines alone.

use std::io::{IsTerminal, Stdout, Write, stdout};

use crossterm::cursor::MoveToPreviousLine;
use crossterm::queue;
use crossterm::terminal::{Clear, ClearType, size};

/// Where the output goes. A reader that has closed the pipe is no error.
#[derive(Debug)]
pub struct Screen<W = Stdout> {
    out: W,
    /// Columns; none where nothing can be redrawn.
    width: Option<fn() -> u16>,
    table: Vec<String>,
    drawn: u16,
}

impl Screen {
    /// The standard output.
    #[must_use]
    pub fn new() -> Self {
        let width: fn() -> u16 = || size().map_or(80, |(columns, _)| columns);
        Self::on(stdout(), stdout().is_terminal().then_some(width))
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

impl<W: Write> Screen<W> {
    fn on(out: W, width: Option<fn() -> u16>) -> Self {
        Self { out, width, table: Vec::new(), drawn: 0 }
    }

    /// Whether tables are drawn.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.width.is_some()
    }

    /// A line that stays, above the table.
    pub fn line(&mut self, text: &str) {
        self.erase();
        let _closed = writeln!(self.out, "{text}");
        self.draw();
    }

    /// Draws the table in the place of the last one; nothing where it cannot be redrawn.
    pub fn table(&mut self, rows: Vec<String>) {
        if self.is_live() && rows != self.table {
            self.erase();
            self.table = rows;
            self.draw();
        }
    }

    /// Takes the table away.
    pub fn clear(&mut self) {
        self.table(Vec::new());
    }

    fn erase(&mut self) {
        if self.drawn > 0 {
            let _closed = queue!(self.out, MoveToPreviousLine(self.drawn), Clear(ClearType::FromCursorDown));
            self.drawn = 0;
        }
    }

    fn draw(&mut self) {
        let Some(width) = self.width.map(|width| usize::from(width())) else { return };
        for row in &self.table {
            // A row that wraps would be two rows to erase.
            let row: String = row.chars().take(width.saturating_sub(1)).collect();
            let _closed = writeln!(self.out, "{row}");
            self.drawn += 1;
        }
        let _closed = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: Option<fn() -> u16>) -> String {
        let mut screen = Screen::on(Vec::new(), width);
        screen.table(vec!["idle 0".into(), "a long row".into()]);
        screen.table(vec!["idle 0".into(), "a long row".into()]);
        screen.line("the job is done");
        screen.clear();
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn a_terminal_has_one_table_below_the_lines() {
        let rows = "idle 0\na long \n";
        let erase = "\u{1b}[2F\u{1b}[J";
        assert_eq!(shown(Some(|| 8)), format!("{rows}{erase}the job is done\n{rows}{erase}"));
    }

    #[test]
    fn elsewhere_there_are_lines_alone() {
        assert_eq!(shown(None), "the job is done\n");
    }
}
