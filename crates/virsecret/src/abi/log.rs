//! What the library says of itself where the environment asks for it, with libvirt's variables, syntax and lines.
//!
//! ```text
//!  LIBVIRT_DEBUG         1|debug, 2|info, 3|warning, 4|error: from which level on     (error)
//!  LIBVIRT_LOG_FILTERS   LEVEL:MATCH …                        another level for sources that match
//!  LIBVIRT_LOG_OUTPUTS   LEVEL:stderr, LEVEL:file:PATH, LEVEL:syslog:NAME, LEVEL:journald …     (stderr)
//!
//!  2026-11-30 23:33:21.093+0000: 2844: debug : virSecretGetValue:431 : returned after 213 us, secret 5ec2e700-…
//! ```
//!
//! A line tells of a function and how it ended, of an opening, an end or an event. It may hold names, ids, URIs, numbers and
//! texts of errors, and never a value. Where no variable is set, a call looks at one number and goes on.

use std::ffi::{CString, c_int};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use libvirt_rpc::error::{Code, Domain, RemoteError};

use super::faults::{new, system};

/// Where the system's journal takes lines.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// What is said before the first line of each output.
const VERSION: &str = concat!("libvirt version: 12.8.0, package: libvirsecret ", env!("CARGO_PKG_VERSION"));

/// How much a line matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Level {
    Debug = 1,
    Info,
    Warning,
    Error,
}

impl Level {
    fn of_number(text: &str) -> Option<Self> {
        [Self::Debug, Self::Info, Self::Warning, Self::Error].into_iter().find(|level| text == level.number())
    }

    fn of_number_or_name(text: &str) -> Option<Self> {
        let all = [Self::Debug, Self::Info, Self::Warning, Self::Error];
        all.into_iter().find(|level| text == level.number() || text == level.name())
    }

    fn number(self) -> &'static str {
        match self {
            Self::Debug => "1",
            Self::Info => "2",
            Self::Warning => "3",
            Self::Error => "4",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The same for syslog and the journal.
    fn syslog(self) -> c_int {
        match self {
            Self::Debug => libc::LOG_DEBUG,
            Self::Info => libc::LOG_INFO,
            Self::Warning => libc::LOG_WARNING,
            Self::Error => libc::LOG_ERR,
        }
    }
}

/// Where a line comes from.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// What filters are matched with.
    source: &'static str,
    function: &'static str,
    line: u32,
}

impl Place {
    /// In a function of the API.
    pub(super) fn of_function(function: &'static str, line: u32) -> Self {
        let source = if function.contains("Secret") {
            "libvirt.secret"
        } else if function.starts_with("virEvent") {
            "util.event"
        } else if function.starts_with("virTypedParam") {
            "util.typedparam"
        } else {
            "libvirt"
        };
        Self { source, function, line }
    }

    /// In what goes to a daemon and comes from it.
    pub(super) fn of_client(function: &'static str, line: u32) -> Self {
        Self { source: "remote.remote_driver", function, line }
    }
}

enum To {
    Stderr,
    File(OwnedFd),
    Syslog,
    Journal(UnixDatagram),
}

struct Output {
    level: Level,
    to: To,
    has_begun: AtomicBool,
}

/// What the environment asks for.
pub(super) struct Log {
    level: Level,
    filters: Vec<(Level, CString)>,
    outputs: Vec<Output>,
}

static LOG: OnceLock<Result<Option<Log>, RemoteError>> = OnceLock::new();

/// Fails where a variable is not well written, as all of libvirt does then.
pub(super) fn check() -> Result<(), RemoteError> {
    LOG.get_or_init(of_environment).as_ref().map(|_| ()).map_err(RemoteError::clone)
}

/// The log, if there is one.
pub(super) fn get() -> Option<&'static Log> {
    LOG.get_or_init(of_environment).as_ref().ok().and_then(Option::as_ref)
}

/// Whether somebody wants to know.
pub(super) fn wants(level: Level, place: &Place) -> bool {
    get().is_some_and(|log| log.wants(level, place.source))
}

/// Says something, if somebody wants to know.
pub(super) fn say(level: Level, place: Place, message: impl FnOnce() -> String) {
    if let Some(log) = get()
        && log.wants(level, place.source)
    {
        log.write(level, place, &message());
    }
}

fn of_environment() -> Result<Option<Log>, RemoteError> {
    // SAFETY: it only looks. A program with more rights than its user has must not write where that user says.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return Ok(None);
    }
    let of = |name| std::env::var(name).unwrap_or_default();
    let [level, filters, outputs] = ["LIBVIRT_DEBUG", "LIBVIRT_LOG_FILTERS", "LIBVIRT_LOG_OUTPUTS"].map(of);
    if [&level, &filters, &outputs].iter().all(|text| text.is_empty()) {
        return Ok(None);
    }
    Log::parse(&level, &filters, &outputs).map(Some)
}

fn invalid(text: String) -> RemoteError {
    new(Code::InvalidArg, Domain::None, text)
}

impl Log {
    fn parse(level: &str, filters: &str, outputs: &str) -> Result<Self, RemoteError> {
        let level = match level {
            "" => Level::Error,
            text => Level::of_number_or_name(text).ok_or_else(|| {
                invalid(format!("Failed to set logging priority, argument '{text}' is invalid"))
            })?,
        };
        let filters = filters.split_whitespace().map(filter).collect::<Result<_, _>>()?;
        let mut outputs: Vec<Output> = outputs.split_whitespace().map(output).collect::<Result<_, _>>()?;
        if outputs.is_empty() {
            outputs.push(Output::new(Level::Debug, To::Stderr));
        }
        Ok(Self { level, filters, outputs })
    }

    fn wants(&self, level: Level, source: &str) -> bool {
        let source = CString::new(source).unwrap_or_default();
        let matches = |pattern: &CString| {
            // SAFETY: both are texts.
            unsafe { libc::fnmatch(pattern.as_ptr(), source.as_ptr(), 0) == 0 }
        };
        let least =
            self.filters.iter().find(|(_, pattern)| matches(pattern)).map_or(self.level, |(least, _)| *least);
        level >= least
    }

    fn write(&self, level: Level, place: Place, message: &str) {
        for output in self.outputs.iter().filter(|output| level >= output.level) {
            if !output.has_begun.swap(true, Ordering::Relaxed) {
                for text in [VERSION.to_owned(), format!("hostname: {}", hostname())] {
                    output.write(Level::Info, None, &text);
                }
            }
            output.write(level, Some(place), message);
        }
    }
}

/// `LEVEL:MATCH`
fn filter(text: &str) -> Result<(Level, CString), RemoteError> {
    let (level, pattern) =
        text.split_once(':').ok_or_else(|| invalid(format!("Malformed format for filter '{text}'")))?;
    let level = Level::of_number(level)
        .ok_or_else(|| invalid(format!("Invalid priority '{level}' for filter '{text}'")))?;
    let pattern = pattern.strip_prefix('+').unwrap_or(pattern); // For a stack trace, once.
    if pattern.is_empty() {
        return Err(invalid(format!("Invalid match string '{pattern}'")));
    }
    let whole = if pattern.contains(['*', '?', '[']) { pattern.to_owned() } else { format!("*{pattern}*") };
    Ok((level, CString::new(whole).unwrap_or_default()))
}

/// `LEVEL:KIND[:DATA]`
fn output(text: &str) -> Result<Output, RemoteError> {
    let mut parts = text.splitn(3, ':');
    let (Some(level), Some(kind), data) = (parts.next(), parts.next(), parts.next()) else {
        return Err(invalid(format!("Malformed format for log output '{text}'")));
    };
    let level = Level::of_number(level)
        .ok_or_else(|| invalid(format!("Invalid log priority '{level}' for log output '{text}'")))?;
    let to = match (kind, data) {
        ("stderr", None) => To::Stderr,
        ("file", Some(path)) => {
            let mut options = OpenOptions::new();
            let file = options.append(true).create(true).mode(0o600).open(path).map_err(|error| {
                let number = error.raw_os_error().unwrap_or(libc::EIO);
                system(Domain::None, number, &format!("failed to open {path}"))
            })?;
            To::File(file.into())
        }
        ("syslog", Some(name)) => {
            // It is never freed: syslog goes on using it.
            let name = Box::leak(CString::new(name).unwrap_or_default().into_boxed_c_str());
            // SAFETY: the name stays.
            unsafe { libc::openlog(name.as_ptr(), 0, 0) }
            To::Syslog
        }
        ("journald", None) => {
            let socket =
                UnixDatagram::unbound().and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
            To::Journal(socket.map_err(|error| {
                let number = error.raw_os_error().unwrap_or(libc::EIO);
                system(Domain::None, number, "failed to open the journal's socket")
            })?)
        }
        ("stderr" | "file" | "syslog" | "journald", _) => {
            return Err(invalid(format!(
                "Log output '{text}' does not meet the format requirements for destination type '{kind}'"
            )));
        }
        _ => return Err(invalid(format!("Invalid log destination '{kind}' for log output '{text}'"))),
    };
    Ok(Output::new(level, to))
}

impl Output {
    fn new(level: Level, to: To) -> Self {
        Self { level, to, has_begun: AtomicBool::new(false) }
    }

    /// Drops a line that cannot be written: the program has other things to do.
    fn write(&self, level: Level, place: Option<Place>, message: &str) {
        let spoken = match place {
            Some(Place { function, line, .. }) => format!("{function}:{line} : {message}"),
            None => message.to_owned(),
        };
        match &self.to {
            To::Stderr => put(libc::STDERR_FILENO, &line(level, &spoken)),
            To::File(file) => put(file.as_raw_fd(), &line(level, &spoken)),
            To::Syslog => {
                let text = CString::new(spoken.replace('\0', " ")).unwrap_or_default();
                // SAFETY: the format takes one text.
                unsafe { libc::syslog(level.syslog(), c"%s".as_ptr(), text.as_ptr()) }
            }
            To::Journal(socket) => {
                let _ = socket.send_to(&entry(level, place, message), JOURNAL);
            }
        }
    }
}

/// A line, whole and ended.
fn line(level: Level, spoken: &str) -> Vec<u8> {
    // SAFETY: it takes nothing, and gives back a number.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = time_text(now.as_secs(), now.subsec_millis());
    format!("{time}: {thread}: {} : {spoken}\n", level.name()).into_bytes()
}

/// In one piece, so that lines of several threads do not mix.
fn put(fd: c_int, line: &[u8]) {
    // SAFETY: the bytes are there.
    let _ = unsafe { libc::write(fd, line.as_ptr().cast(), line.len()) };
}

/// `2026-11-30 23:33:21.093+0000`
fn time_text(seconds: u64, millis: u32) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days of a year that begins with March, so that a leap day is its last; era by era of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02} {hour:02}:{minute:02}:{second:02}.{millis:03}+0000")
}

/// What the journal takes: a field for each line, and those that may have lines in them with their length.
fn entry(level: Level, place: Option<Place>, message: &str) -> Vec<u8> {
    let mut fields = format!("PRIORITY={}\n", level.syslog());
    if let Some(Place { source, function, line }) = place {
        let _ = write!(fields, "LIBVIRT_SOURCE={source}\nCODE_FUNC={function}\nCODE_LINE={line}\n");
    }
    let mut entry = fields.into_bytes();
    entry.extend_from_slice(b"MESSAGE\n");
    entry.extend_from_slice(&u64::try_from(message.len()).unwrap_or_default().to_le_bytes());
    entry.extend_from_slice(message.as_bytes());
    entry.push(b'\n');
    entry
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        for (seconds, expect) in [
            (0, "1970-01-01 00:00:00.007+0000"),
            (951_782_399, "2000-02-28 23:59:59.007+0000"),
            (951_782_400, "2000-02-29 00:00:00.007+0000"),
            (1_796_081_601, "2026-11-30 23:33:21.007+0000"),
            (4_102_444_800, "2100-01-01 00:00:00.007+0000"),
        ] {
            assert_eq!(time_text(seconds, 7), expect);
        }
    }

    #[test]
    fn levels_and_filters_decide_what_is_said() {
        let wants = |level: &str, filters: &str, asked, source| {
            Log::parse(level, filters, "").unwrap().wants(asked, source)
        };
        assert!(wants("", "", Level::Error, "libvirt"));
        assert!(!wants("", "", Level::Warning, "libvirt"));
        assert!(wants("1", "", Level::Debug, "libvirt"));
        assert!(wants("info", "", Level::Info, "libvirt"));
        assert!(!wants("2", "", Level::Debug, "libvirt"));
        assert!(wants("", "1:secret", Level::Debug, "libvirt.secret"));
        assert!(!wants("", "1:secret", Level::Debug, "libvirt"));
        assert!(!wants("1", "4:libvirt 1:secret", Level::Debug, "libvirt.secret")); // The first counts.
        assert!(wants("", "1:lib*", Level::Debug, "libvirt.secret"));
        assert!(wants("", "1:+secret", Level::Debug, "libvirt.secret"));
    }

    #[test]
    fn what_is_not_well_written_is_refused_with_libvirts_words() {
        // As libvirt 9.0.0 was measured.
        for (level, filters, outputs, expect) in [
            ("9", "", "", "Failed to set logging priority, argument '9' is invalid"),
            ("DEBUG", "", "", "Failed to set logging priority, argument 'DEBUG' is invalid"),
            ("", "x", "", "Malformed format for filter 'x'"),
            ("", "1:", "", "Invalid match string ''"),
            ("", "9:x", "", "Invalid priority '9' for filter '9:x'"),
            ("", "", "x:stderr", "Invalid log priority 'x' for log output 'x:stderr'"),
            ("", "", "debug:stderr", "Invalid log priority 'debug' for log output 'debug:stderr'"),
            ("", "", "1", "Malformed format for log output '1'"),
            ("", "", "1:nowhere 1:stderr", "Invalid log destination 'nowhere' for log output '1:nowhere'"),
        ] {
            let error = Log::parse(level, filters, outputs).err().unwrap();
            assert_eq!(error.message.as_deref(), Some(format!("invalid argument: {expect}").as_bytes()));
            assert_eq!((error.code, error.domain), (8, 0));
        }
        for (text, kind) in [
            ("1:stderr:foo", "stderr"),
            ("1:stderr:", "stderr"),
            ("1:file", "file"),
            ("1:syslog", "syslog"),
            ("1:journald:x", "journald"),
        ] {
            let error = Log::parse("", "", text).err().unwrap();
            let expect = format!(
                "invalid argument: Log output '{text}' does not meet the format requirements for destination type '{kind}'"
            );
            assert_eq!(error.message.as_deref(), Some(expect.as_bytes()));
        }
        let error = Log::parse("", "", "1:file:/nonexistent/x").err().unwrap();
        assert_eq!((error.code, error.domain, error.int1), (38, 0, libc::ENOENT));
        assert_eq!(
            error.message.as_deref(),
            Some(&b"failed to open /nonexistent/x: No such file or directory"[..])
        );
    }

    #[test]
    fn the_journal_gets_a_message_of_many_lines_whole() {
        let place = Place::of_function("virConnectOpen", 7);
        let expect = b"PRIORITY=7\nLIBVIRT_SOURCE=libvirt\nCODE_FUNC=virConnectOpen\nCODE_LINE=7\nMESSAGE\n\
            \x03\0\0\0\0\0\0\0a\nb\n";
        assert_eq!(entry(Level::Debug, Some(place), "a\nb"), expect);
    }
}
