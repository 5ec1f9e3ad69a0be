//! Whether output is colored.

use std::io::IsTerminal;

/// How output looks.
pub(crate) struct Style {
    color: bool,
    /// A person sits at the terminal.
    pub(crate) interactive: bool,
}

impl Style {
    pub(crate) fn new(plain: bool) -> Style {
        let terminal = std::io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Style {
            color: terminal && !plain && !no_color,
            interactive: terminal && !plain && std::io::stdin().is_terminal(),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn red(&self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn green(&self, text: &str) -> String {
        self.paint("1;32", text)
    }
}
