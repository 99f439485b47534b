//! Encrypts a private key with a passphrase: EncryptedPrivateKeyInfo (RFC 5958) by PBES2 (RFC 8018).
//!
//! ```text
//! SEQUENCE
//! ├── SEQUENCE                       the algorithm: always the same 97 bytes, but for salt and IV
//! │   ├── OBJECT PBES2
//! │   └── SEQUENCE
//! │       ├── SEQUENCE ─ OBJECT PBKDF2, SEQUENCE ─ OCTET STRING salt 16, INTEGER 2048, SEQUENCE hmacWithSHA256
//! │       └── SEQUENCE ─ OBJECT aes-256-cbc, OCTET STRING iv 16
//! └── OCTET STRING                   PKCS #8, padded and encrypted
//! ```
//!
//! OpenSSL and Python's `cryptography`, which Barbican uses, write exactly this, with the same number of rounds. The rounds
//! are few: the store protects the key, and holds the passphrase beside it; outside, only a good passphrase protects it.
//! The format does not detect changed bytes.

use std::num::NonZeroU16;

use aws_lc_rs::cipher::{
    AES_256, AES_256_KEY_LEN, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use crate::{Error, primitives};

const SALT_BYTES: usize = 16;
const IV_BYTES: usize = 16;
/// A block of AES, and so the most that padding adds.
const BLOCK_BYTES: usize = 16;
/// The rounds of PBKDF2.
const ROUNDS: NonZeroU16 = NonZeroU16::new(2048).expect("not zero");

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
/// Whole objects, with their tags: 1.2.840.113549.1.5.13, .1.5.12, .2.9 with NULL, and 2.16.840.1.101.3.4.1.42.
const PBES2: &[u8] = b"\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0D";
const PBKDF2: &[u8] = b"\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0C";
const HMAC_WITH_SHA_256: &[u8] = b"\x30\x0C\x06\x08\x2A\x86\x48\x86\xF7\x0D\x02\x09\x05\x00";
const AES_256_CBC: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2A";

/// Encrypts the PKCS #8 of a key.
pub(super) fn encrypt(pkcs8: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (mut salt, mut iv) = ([0; SALT_BYTES], [0; IV_BYTES]);
    primitives::random(&mut salt)?;
    primitives::random(&mut iv)?;
    let algorithm = algorithm(&salt, &iv);
    let ciphertext = element(OCTET_STRING, &[&cipher(pkcs8, passphrase, &salt, iv)?]);
    Ok(Zeroizing::new(element(SEQUENCE, &[&algorithm, &ciphertext])))
}

fn cipher(
    pkcs8: &[u8],
    passphrase: &[u8],
    salt: &[u8],
    iv: [u8; IV_BYTES],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Pads and encrypts in place, in a buffer with room for the padding, so no copy is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(pkcs8.len() + BLOCK_BYTES));
    bytes.extend_from_slice(pkcs8);
    let key = stretched(passphrase, salt);
    UnboundCipherKey::new(&AES_256, key.as_slice())
        .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
        .and_then(|key| key.less_safe_encrypt(&mut *bytes, EncryptionContext::Iv128(FixedLength::from(iv))))
        .map_err(|_| Error::NotGenerated)?;
    Ok(bytes)
}

fn stretched(passphrase: &[u8], salt: &[u8]) -> Zeroizing<[u8; AES_256_KEY_LEN]> {
    let mut key = Zeroizing::new([0; AES_256_KEY_LEN]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS.into(), salt, passphrase, key.as_mut_slice());
    key
}

fn algorithm(salt: &[u8], iv: &[u8]) -> Vec<u8> {
    let rounds = element(INTEGER, &[&ROUNDS.get().to_be_bytes()]);
    let stretching = element(SEQUENCE, &[&element(OCTET_STRING, &[salt]), &rounds, HMAC_WITH_SHA_256]);
    let stretching = element(SEQUENCE, &[PBKDF2, &stretching]);
    let cipher = element(SEQUENCE, &[AES_256_CBC, &element(OCTET_STRING, &[iv])]);
    element(SEQUENCE, &[PBES2, &element(SEQUENCE, &[&stretching, &cipher])])
}

/// One element of DER: tag, length, and what is in it.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut bytes = vec![tag];
    let length = content.len().to_be_bytes();
    let length = length.get(content.len().leading_zeros() as usize / 8..).unwrap_or_default();
    match length {
        [] => bytes.push(0),
        [short] if *short < 0x80 => bytes.push(*short),
        long => {
            bytes.push(0x80 | long.len() as u8); // At most 8.
            bytes.extend_from_slice(long);
        }
    }
    bytes.extend_from_slice(&content);
    bytes
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::cipher::{DecryptionContext, PaddedBlockDecryptingKey};
    use proptest::prelude::*;

    use super::*;

    /// The algorithm as `openssl asn1parse` shows it of a key from Barbican 23.0.0 with cryptography 50.0.2, whose salt
    /// and IV are 8679…E4D2 and FDA7…309F there.
    #[test]
    fn the_algorithm_is_written_as_barbican_writes_it() {
        let expected = [
            b"\x30\x5F\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0D\x30\x52\x30\x31\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x05"
                .as_slice(),
            b"\x0C\x30\x24\x04\x10", &[7; 16], b"\x02\x02\x08\x00\x30\x0C\x06\x08\x2A\x86\x48\x86\xF7\x0D\x02\x09\x05\x00",
            b"\x30\x1D\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2A\x04\x10", &[9; 16],
        ];
        assert_eq!(algorithm(&[7; 16], &[9; 16]), expected.concat());
    }

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        let head = |bytes: usize| element(OCTET_STRING, &[&vec![0; bytes]])[1..][..3].to_vec();
        assert_eq!(element(OCTET_STRING, &[]), [OCTET_STRING, 0]);
        assert_eq!(head(0x7F), [0x7F, 0, 0]);
        assert_eq!(head(0x80), [0x81, 0x80, 0]);
        assert_eq!(head(0x100), [0x82, 1, 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            passphrase in proptest::collection::vec(any::<u8>(), 1..100),
        ) {
            let mut encrypted = cipher(&bytes, &passphrase, &[7; 16], [9; 16]).unwrap();
            let key = UnboundCipherKey::new(&AES_256, stretched(&passphrase, &[7; 16]).as_slice()).unwrap();
            let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).unwrap();
            let iv = DecryptionContext::Iv128(FixedLength::from([9; 16]));
            prop_assert_eq!(key.decrypt(&mut encrypted, iv).unwrap(), bytes);
        }
    }
}
