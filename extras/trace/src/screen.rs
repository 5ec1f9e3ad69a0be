//! The terminal, through crossterm: alternate screen, raw keys, one line after another.

use std::io::{self, Stdout, Write};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{
    self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{execute, queue};

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Ctrl-C.
    Interrupt,
    /// A letter.
    Letter(char),
    /// The key Enter.
    Enter,
    /// The key Escape.
    Escape,
    /// The key Backspace.
    Backspace,
    /// The cursor key that points up.
    Up,
    /// The cursor key that points down.
    Down,
}

/// The terminal while `top` uses it.
pub(crate) struct Screen(Stdout);

impl Screen {
    /// Begins to use the terminal.
    pub(crate) fn enter() -> io::Result<Self> {
        enable_raw_mode()?;
        // From here on, a failure gives the terminal back.
        let mut screen = Self(io::stdout());
        execute!(screen.0, EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Returns columns and lines.
    pub(crate) fn size(&self) -> (usize, usize) {
        terminal::size().map_or((80, 24), |(width, height)| (width.into(), height.into()))
    }

    /// Draws lines, cut at the width of the terminal; one of them is marked.
    pub(crate) fn draw(&mut self, (lines, mark): &(Vec<String>, Option<usize>)) -> io::Result<()> {
        let (width, height) = self.size();
        for (number, line) in lines.iter().take(height).enumerate() {
            queue!(self.0, MoveTo(0, number as u16))?;
            let head = number == 0 || line.starts_with("TASK");
            if *mark == Some(number) {
                queue!(self.0, SetAttribute(Attribute::Reverse))?;
            } else if head {
                queue!(self.0, SetAttribute(Attribute::Bold))?;
            }
            let cut: String = line.chars().take(width).collect();
            write!(self.0, "{cut}")?;
            queue!(self.0, SetAttribute(Attribute::Reset))?;
            if cut.chars().count() < width {
                queue!(self.0, Clear(ClearType::UntilNewLine))?;
            }
        }
        if lines.len() < height {
            queue!(
                self.0,
                MoveTo(0, lines.len() as u16),
                Clear(ClearType::FromCursorDown)
            )?;
        }
        self.0.flush()
    }

    /// Waits for a key. Returns `None` after the limit, or if something else happened, as a resize.
    pub(crate) fn key(&mut self, limit: Duration) -> io::Result<Option<Key>> {
        if !event::poll(limit)? {
            return Ok(None);
        }
        let Event::Key(key) = event::read()? else {
            return Ok(None);
        };
        if key.kind == KeyEventKind::Release {
            return Ok(None);
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        Ok(match key.code {
            KeyCode::Char('c' | 'd') if control => Some(Key::Interrupt),
            KeyCode::Char(letter) => Some(Key::Letter(letter)),
            KeyCode::Enter => Some(Key::Enter),
            KeyCode::Esc => Some(Key::Escape),
            KeyCode::Backspace => Some(Key::Backspace),
            KeyCode::Up => Some(Key::Up),
            KeyCode::Down => Some(Key::Down),
            _ => None,
        })
    }

    /// Gives the terminal back.
    pub(crate) fn leave(self) -> io::Result<()> {
        drop(self);
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing is left to do if the terminal is gone.
        execute!(self.0, Show, LeaveAlternateScreen).ok();
        disable_raw_mode().ok();
    }
}
