//! Where a value or XML comes from: standard input, a file, a terminal. Everything read is wiped after use.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;

use virsecret::limits::{STRING_BYTES_MAX, VALUE_BYTES_MAX};
use zeroize::Zeroizing;

use crate::encoding::Encoding;
use crate::error::Error;
use crate::{console, prompt};

/// The longest encoded value: two digits a byte, and as much again for spaces and line ends.
const WRITTEN_BYTES_MAX: usize = 4 * VALUE_BYTES_MAX;

/// Reads and decodes a value: from the file, or from standard input. If that is a terminal, the user is asked.
pub(crate) fn value(file: Option<&Path>, encoding: Encoding) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bytes_max = if encoding == Encoding::Raw { VALUE_BYTES_MAX } else { WRITTEN_BYTES_MAX };
    let written = match file {
        None if io::stdin().is_terminal() => prompt::twice()?,
        None => noting_newline(read(Path::new("-"), bytes_max)?, encoding),
        Some(path) => read(path, bytes_max)?,
    };
    let value = encoding.decode(written)?;
    match value.len() {
        0 => Err(Error::EmptyValue),
        length if length > VALUE_BYTES_MAX => Err(Error::TooLong { bytes_max: VALUE_BYTES_MAX }),
        _ => Ok(value),
    }
}

/// A document for `define`.
pub(crate) fn xml(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    read(path, STRING_BYTES_MAX)
}

/// `echo` adds a newline, which is hardly ever part of a passphrase. It is kept, as every byte is, and the user is told.
fn noting_newline(written: Zeroizing<Vec<u8>>, encoding: Encoding) -> Zeroizing<Vec<u8>> {
    if encoding == Encoding::Raw && written.ends_with(b"\n") {
        console::tell(
            "donjon: note: the value ends in a newline, which is now part of it; printf %s adds none",
        );
    }
    written
}

fn read(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let opened = if path == Path::new("-") { stdin() } else { File::open(path) };
    let refused = |source| Error::Input { path: path.into(), source };
    read_all(opened.map_err(refused)?, bytes_max).map_err(refused)?.ok_or(Error::TooLong { bytes_max })
}

/// Standard input past the buffer of the standard library, which nobody wipes.
pub(crate) fn stdin() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// Reads everything into one buffer. The buffer does not grow, because that would leave a copy behind. `None` if there
/// is more than fits.
fn read_all(mut from: impl Read, bytes_max: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut buffer = Zeroizing::new(vec![0; bytes_max + 1]);
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match from.read(room) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(Some(buffer).filter(|_| filled <= bytes_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_read_up_to_the_limit() {
        let check = |length: usize, expect: bool| {
            let bytes = vec![b'x'; length];
            let read = read_all(&bytes[..], 8).unwrap();
            assert_eq!(read.map(|read| read.to_vec()), expect.then_some(bytes));
        };
        check(0, true);
        check(8, true);
        check(9, false);
        check(100, false);
    }

    #[test]
    fn input_that_is_no_value_is_refused() {
        let folder = std::env::temp_dir().join(format!("donjon-input-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let check = |bytes: &[u8], encoding, expect: &str| {
            let path = folder.join("value");
            std::fs::write(&path, bytes).unwrap();
            let got = match value(Some(&path), encoding) {
                Ok(value) => format!("{} bytes", value.len()),
                Err(error) => error.to_string(),
            };
            assert!(got.starts_with(expect), "{got}");
        };
        check(b"hunter2\n", Encoding::Raw, "8 bytes");
        check(b"", Encoding::Raw, "the value is empty");
        check(b" \n", Encoding::Hex, "the value is empty");
        check(&[b'x'; VALUE_BYTES_MAX], Encoding::Raw, "65536 bytes");
        check(
            &[b'x'; VALUE_BYTES_MAX + 1],
            Encoding::Raw,
            "the input is longer than the limit of 65536 bytes",
        );
        check(
            &[b'0'; 2 * VALUE_BYTES_MAX + 2],
            Encoding::Hex,
            "the input is longer than the limit of 65536 bytes",
        );
        check(b"hunter2", Encoding::Hex, "the value is not hexadecimal");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(value(Some(&folder), Encoding::Raw), Err(Error::Input { .. })));
    }
}
