//! OpenSSL reads every kind of key pair.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use seal::Payload;
use seal::generate::{KeyPair, PairBits, PairKind, Passphrase, key_pair};

/// The bytes of private and public key that Barbican 23.0.0 gave. Numbers in DER may be a byte or two shorter.
const PAIRS: [(PairKind, PairBits, &str, usize, usize); 6] = [
    (PairKind::Rsa, PairBits::B1024, "1024", 912, 272),
    (PairKind::Rsa, PairBits::B2048, "2048", 1704, 451),
    (PairKind::Rsa, PairBits::B4096, "4096", 3272, 800),
    (PairKind::Dsa, PairBits::B1024, "1024", 334, 442),
    (PairKind::Dsa, PairBits::B2048, "2048", 617, 844),
    (PairKind::Dsa, PairBits::B4096, "4096", 1128, 1610),
];
/// By how many bytes a length may differ from the recorded one.
const SLACK_BYTES: usize = 12;

#[test]
fn openssl_reads_every_pair() {
    for (kind, bits, length, private, public) in PAIRS {
        let form = form(kind);
        let pair = key_pair(kind, bits, None).unwrap();
        let folder = written(&pair);
        let read =
            openssl(folder.path(), &["pkey", "-in", "private", "-inform", form, "-check", "-text", "-noout"]);
        assert!(
            says(&read, "Key is valid") && says(&read, &format!("({length} bit")),
            "{kind:?} {length}: {read:?}"
        );
        assert_eq!(public_half(folder.path(), form, &[]), pair.public.expose(), "{kind:?} {length}");
        for (payload, size) in [(&pair.private, private), (&pair.public, public)] {
            assert!(
                payload.len().abs_diff(size) <= SLACK_BYTES,
                "{kind:?} {length}: {} bytes",
                payload.len()
            );
        }
    }
}

#[test]
fn openssl_opens_what_is_encrypted_with_its_passphrase_alone() {
    for passphrase in ["p", "pass phrase", "p\u{e9}\u{5bc6}", &"x".repeat(1023)] {
        let parsed = Passphrase::try_from(Payload::new(passphrase.into())).unwrap();
        for kind in [PairKind::Rsa, PairKind::Dsa] {
            let form = form(kind);
            let pair = key_pair(kind, PairBits::B1024, Some(&parsed)).unwrap();
            let folder = written(&pair);
            fs::write(folder.path().join("right"), passphrase).unwrap();
            let right = public_half(folder.path(), form, &["-passin", "file:right"]);
            assert_eq!(right, pair.public.expose(), "{kind:?} {passphrase}");
            for wrong in ["pass:", "pass:wrong"] {
                let read =
                    openssl(folder.path(), &["pkey", "-in", "private", "-inform", form, "-passin", wrong]);
                assert!(!read.status.success(), "{kind:?} opens with {wrong}");
            }
        }
        assert_eq!(parsed.into_payload().expose(), passphrase.as_bytes());
    }
}

fn form(kind: PairKind) -> &'static str {
    match kind {
        PairKind::Rsa => "PEM",
        PairKind::Dsa => "DER",
    }
}

fn written(pair: &KeyPair) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("private"), pair.private.expose()).unwrap();
    folder
}

/// The public key that OpenSSL sees in the private one.
fn public_half(folder: &Path, form: &str, more: &[&str]) -> Vec<u8> {
    let arguments = ["pkey", "-in", "private", "-inform", form, "-pubout", "-outform", form];
    let read = openssl(folder, &[&arguments, more].concat());
    assert!(read.status.success(), "{read:?}");
    read.stdout
}

fn openssl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is installed")
}

fn says(output: &Output, words: &str) -> bool {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).contains(words)
}
