//! The log, on stderr: text for people or JSON for collectors, and a filter that a reload changes.
//!
//! Spans come from the doors and carry request ids; no field of any span or event holds a payload or a key.
//!
//! Names that callers choose appear in lines too. Characters that break a line or control a terminal are escaped.

use std::io::{self, IsTerminal, Write, stderr};
use std::panic::PanicHookInfo;

use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::config::values::{LogFilter, LogFormat};

/// Changes the log filter while the server runs.
pub(crate) struct Logging(reload::Handle<EnvFilter, Registry>);

impl Logging {
    /// Starts the log. Later calls in the same process change nothing.
    pub(crate) fn start(filter: &LogFilter, format: LogFormat) -> Self {
        let (filter, handle) = reload::Layer::new(filter.filter());
        let lines = match format {
            LogFormat::Text => {
                let colours = stderr().is_terminal();
                fmt::layer().with_writer(move || Lines { to: stderr(), colours }).with_ansi(colours).boxed()
            }
            LogFormat::Json => fmt::layer()
                .with_writer(|| Lines { to: stderr(), colours: false })
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(filter).with(lines);
        let _ = tracing::subscriber::set_global_default(subscriber);
        std::panic::set_hook(Box::new(log_panic));
        Self(handle)
    }

    /// Sets the filter.
    pub(crate) fn set(&self, filter: &LogFilter) {
        if let Err(error) = self.0.reload(filter.filter()) {
            tracing::error!(%error, "the log filter could not be changed");
        }
    }
}

/// Writes lines of the log; each line comes whole. In JSON the escaped characters stand in strings, where an escape means the
/// same.
struct Lines<W> {
    to: W,
    /// Whether the formatter writes escape sequences of its own. It escapes those in fields.
    colours: bool,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
        let (line, end) = match bytes.strip_suffix(b"\n") {
            Some(line) => (line, "\n"),
            None => (bytes, ""),
        };
        if line.iter().all(is_plain) {
            self.to.write_all(bytes)?; // Nearly all lines need no escape.
        } else {
            let text = String::from_utf8_lossy(line);
            let mut escaped = String::with_capacity(text.len() + 16);
            text.chars().for_each(|character| self.push(&mut escaped, character));
            escaped += end;
            self.to.write_all(escaped.as_bytes())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W> Lines<W> {
    fn push(&self, line: &mut String, character: char) {
        match character {
            '\u{1b}' if self.colours => line.push(character),
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            character if vault::is_deceptive(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    *line += &format!("\\u{unit:04x}");
                }
            }
            character => line.push(character),
        }
    }
}

/// A panic is a fault of this program. It ends one request, not the server. Only its place is logged: its message may quote a
/// value.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "something ended in a panic; please report this");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str, colours: bool) -> String {
        let mut lines = Lines { to: Vec::new(), colours };
        lines.write_all(line.as_bytes()).unwrap();
        String::from_utf8(lines.to).unwrap()
    }

    #[test]
    fn characters_that_break_lines_or_terminals_are_escaped() {
        assert_eq!(written("INFO plain user=\"Jörg\"\n", false), "INFO plain user=\"Jörg\"\n");
        let odd = "user=a\u{2028}b\u{85}c\u{9b}31md\u{202e}e\nINFO forged\n";
        let said = written(odd, false);
        assert_eq!(said, "user=a\\u2028b\\u0085c\\u009b31md\\u202ee\\nINFO forged\n");
        assert_eq!(written("\u{1b}[32mINFO\u{1b}[0m\n", false), "\\u001b[32mINFO\\u001b[0m\n");
        assert_eq!(written("\u{1b}[32mINFO\u{1b}[0m é\n", true), "\u{1b}[32mINFO\u{1b}[0m é\n");
    }

    #[test]
    fn a_line_of_json_stays_one() {
        let line = "{\"user\":\"a\u{2029}b\u{e0041}\"}\n";
        let read: serde_json::Value = serde_json::from_str(&written(line, false)).unwrap();
        assert_eq!(read["user"], "a\u{2029}b\u{e0041}");
    }
}
