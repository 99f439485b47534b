//! The few calls into aws-lc-rs on which the rest of the crate is built: derive, seal, open, random.
//!
//! Each key serves one purpose: it is derived for it by HKDF-SHA256, expand only (RFC 5869, 3.3: the keys it
//! starts from are uniformly random already), under a label of its own.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
use aws_lc_rs::rand;
use model::ProjectId;
use zeroize::Zeroizing;

use crate::Error;

/// The bytes of every key.
pub(crate) const KEY_BYTES: usize = 32;
/// The bytes of a nonce: 96 bits, as GCM wants them.
pub(crate) const NONCE_BYTES: usize = 12;
/// The bytes of a tag: 128 bits, all that GCM has.
pub(crate) const TAG_BYTES: usize = 16;

/// Fills the buffer with random bytes from the system.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Error> {
    rand::fill(bytes).map_err(|_| Error::NoRandomness)
}

/// Derives the key for one purpose. The label comes first and no label starts another, so two purposes never share a key.
pub(crate) fn derive(key: &[u8; KEY_BYTES], info: &[&[u8]]) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    Prk::new_less_safe(HKDF_SHA256, key)
        .expand(info, HKDF_SHA256)
        .and_then(|okm| okm.fill(derived.as_mut_slice()))
        .expect("32 bytes is the length that HKDF-SHA256 gives in one block");
    derived
}

/// Returns `head`, then the nonce, the ciphertext and the tag.
pub(crate) fn seal(
    key: &[u8; KEY_BYTES],
    associated: &Associated,
    head: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; head.len() + NONCE_BYTES + plaintext.len() + TAG_BYTES];
    let (head_out, rest) = bytes.split_at_mut(head.len());
    head_out.copy_from_slice(head);
    let (nonce_out, rest) = rest.split_at_mut(NONCE_BYTES);
    let (ciphertext, tag) = rest.split_at_mut(plaintext.len());
    let mut nonce = [0; NONCE_BYTES];
    random(&mut nonce)?;
    nonce_out.copy_from_slice(&nonce);
    // Encrypts from one buffer into another, so the plaintext is never in a buffer that nobody wipes.
    cipher(key)
        .seal_out_of_place_scatter(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated.as_bytes()),
            plaintext,
            ciphertext,
            &[],
            tag,
        )
        .map_err(|_| Error::WrongLength(plaintext.len()))?; // More than GCM's 64 GiB; nothing else can fail.
    Ok(bytes)
}

/// Opens what [`seal`] made, without the head, into `plaintext`, which says how long it must be.
pub(crate) fn open(
    key: &[u8; KEY_BYTES],
    associated: &Associated,
    sealed: &[u8],
    plaintext: &mut [u8],
) -> Result<(), Error> {
    let wrong_length = Error::WrongLength(sealed.len());
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(wrong_length)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(wrong_length)?;
    if ciphertext.len() != plaintext.len() {
        return Err(wrong_length);
    }
    let (nonce, aad) = (Nonce::assume_unique_for_key(*nonce), Aad::from(associated.as_bytes()));
    cipher(key).open_separate_gather(nonce, aad, ciphertext, tag, plaintext).map_err(|_| Error::DoesNotOpen)
}

fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes"))
}

/// The longest a project id can be, in bytes: four for each character of UTF-8.
const PROJECT_BYTES_MAX: usize = 4 * ProjectId::CHARS_MAX;
/// The longest associated data: format, key version, secret, private flag, length, project.
const ASSOCIATED_BYTES_MAX: usize = 1 + 4 + 16 + 1 + 2 + PROJECT_BYTES_MAX;

/// Associated data: the facts to which a ciphertext is bound. Every field has a fixed length or is preceded by its
/// length, so two different sets of facts never have the same bytes. It is on the stack because opening is a hot path.
pub(crate) struct Associated {
    bytes: [u8; ASSOCIATED_BYTES_MAX],
    used: usize,
}

impl Associated {
    /// Starts with the format.
    pub(crate) fn new(format: u8) -> Self {
        Self { bytes: [0; ASSOCIATED_BYTES_MAX], used: 0 }.with(&[format])
    }

    /// Adds a field whose length is always the same.
    pub(crate) fn with(mut self, field: &[u8]) -> Self {
        let room = self.bytes.get_mut(self.used..).and_then(|rest| rest.get_mut(..field.len()));
        room.expect("ASSOCIATED_BYTES_MAX is the sum of all fields").copy_from_slice(field);
        self.used += field.len();
        self
    }

    /// Adds the project, preceded by its length.
    pub(crate) fn with_project(self, project: &ProjectId) -> Self {
        let text = project.as_str().as_bytes();
        let length = u16::try_from(text.len()).expect("a project id has at most 255 characters of 4 bytes");
        self.with(&length.to_be_bytes()).with(text)
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869 has no expand-only case of 32 bytes; its test case 1 gives 42, of which these are the first.
    #[test]
    fn derives_as_rfc_5869_does() {
        let prk = [
            0x07, 0x77, 0x09, 0x36, 0x2c, 0x2e, 0x32, 0xdf, 0x0d, 0xdc, 0x3f, 0x0d, 0xc4, 0x7b, 0xba, 0x63,
            0x90, 0xb6, 0xc7, 0x3b, 0xb5, 0x0f, 0x9c, 0x31, 0x22, 0xec, 0x84, 0x4a, 0xd7, 0xc2, 0xb3, 0xe5,
        ];
        let expected = [
            0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36, 0x2f, 0x2a,
            0x2d, 0x2d, 0x0a, 0x90, 0xcf, 0x1a, 0x5a, 0x4c, 0x5d, 0xb0, 0x2d, 0x56, 0xec, 0xc4, 0xc5, 0xbf,
        ];
        let info = [0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9];
        assert_eq!(*derive(&prk, &[&info]), expected);
    }

    #[test]
    fn the_longest_project_fits() {
        let longest = ProjectId::try_from("\u{10FFFF}".repeat(ProjectId::CHARS_MAX).as_str()).unwrap();
        let associated = Associated::new(1).with(&[0; 4]).with(&[0; 16]).with(&[0]).with_project(&longest);
        assert_eq!(associated.as_bytes().len(), ASSOCIATED_BYTES_MAX);
    }
}
