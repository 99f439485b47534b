//! Key pairs of RSA and DSA, generated, written and read by AWS-LC.
//!
//! ```text
//! rsa(bits) ────────────────────────────┐
//! dsa_group(bits, q bits) ─┐            ├─▶ Key ─▶ private_der   PKCS #8, in memory that is wiped
//!    public_der's bytes ───┴─▶ dsa(group)       ─▶ public_der    SubjectPublicKeyInfo
//! ```
//!
//! The safe interface of aws-lc-rs has neither RSA of 1024 bits nor DSA, and orders ask for both. AWS-LC wipes its copy
//! of a key when it frees it: its allocator wipes everything.
//!
//! This, `locked.rs` and `wiping.rs` are the only files of the crate with unsafe code.

#![allow(unsafe_code, reason = "one of the three files of this crate with unsafe code")]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null_mut};
use std::time::{Duration, Instant};

use aws_lc_sys::{
    CBB, CBB_finish, CBB_init_fixed, CBS, CBS_init, CBS_len, ERR_clear_error, EVP_PKEY, EVP_PKEY_CTX,
    EVP_PKEY_CTX_free, EVP_PKEY_CTX_get_app_data, EVP_PKEY_CTX_new, EVP_PKEY_CTX_new_id,
    EVP_PKEY_CTX_set_app_data, EVP_PKEY_CTX_set_cb, EVP_PKEY_CTX_set_dsa_paramgen_bits,
    EVP_PKEY_CTX_set_dsa_paramgen_q_bits, EVP_PKEY_CTX_set_rsa_keygen_bits, EVP_PKEY_DSA, EVP_PKEY_RSA,
    EVP_PKEY_free, EVP_PKEY_keygen, EVP_PKEY_keygen_init, EVP_PKEY_paramgen, EVP_PKEY_paramgen_init,
    EVP_marshal_private_key, EVP_marshal_public_key, EVP_parse_private_key, EVP_parse_public_key,
};
use zeroize::Zeroizing;

use crate::Error;

/// The longest encoded key: a private RSA key of 4096 bits has 2374 bytes.
const DER_BYTES_MAX: usize = 4096;

/// A private key, a public key or a DSA group: AWS-LC has one type for all three.
pub(crate) struct Key(NonNull<EVP_PKEY>);

impl Key {
    /// A new key pair of RSA, with the exponent 65537.
    pub(crate) fn rsa(bits: u16, limit: Duration) -> Result<Self, Error> {
        let context = Context::of_kind(EVP_PKEY_RSA)?;
        // SAFETY: the context lives as long as `context`; both calls only set it up.
        done(unsafe { EVP_PKEY_keygen_init(context.as_ptr()) })?;
        // SAFETY: as above.
        done(unsafe { EVP_PKEY_CTX_set_rsa_keygen_bits(context.as_ptr(), bits.into()) })?;
        context.generate(EVP_PKEY_keygen, limit)
    }

    /// A new group of DSA, of FIPS 186-4, A.1.1.2, with SHA-1 where q has 160 bits and SHA-256 where it has 256.
    pub(crate) fn dsa_group(bits: u16, q_bits: u16, limit: Duration) -> Result<Self, Error> {
        let context = Context::of_kind(EVP_PKEY_DSA)?;
        // SAFETY: the context lives as long as `context`; the three calls only set it up.
        done(unsafe { EVP_PKEY_paramgen_init(context.as_ptr()) })?;
        // SAFETY: as above.
        done(unsafe { EVP_PKEY_CTX_set_dsa_paramgen_bits(context.as_ptr(), bits.into()) })?;
        // SAFETY: as above.
        done(unsafe { EVP_PKEY_CTX_set_dsa_paramgen_q_bits(context.as_ptr(), q_bits.into()) })?;
        context.generate(EVP_PKEY_paramgen, limit)
    }

    /// A new key pair of DSA in this group, which a public key of it names too.
    pub(crate) fn dsa(group: &Self, limit: Duration) -> Result<Self, Error> {
        // SAFETY: `group` is a key; the context takes a reference of its own, so it may outlive `group`.
        let context = Context::from_new(unsafe { EVP_PKEY_CTX_new(group.0.as_ptr(), null_mut()) })?;
        // SAFETY: the context lives as long as `context`.
        done(unsafe { EVP_PKEY_keygen_init(context.as_ptr()) })?;
        context.generate(EVP_PKEY_keygen, limit)
    }

    /// Reads PKCS #8. The public half is computed, or checked where it is written down.
    pub(crate) fn from_private_der(der: &[u8]) -> Result<Self, Error> {
        Self::parse(der, EVP_parse_private_key)
    }

    /// Reads SubjectPublicKeyInfo.
    pub(crate) fn from_public_der(der: &[u8]) -> Result<Self, Error> {
        Self::parse(der, EVP_parse_public_key)
    }

    /// The private key, as PKCS #8.
    pub(crate) fn private_der(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.der(EVP_marshal_private_key)
    }

    /// The public key, as SubjectPublicKeyInfo.
    pub(crate) fn public_der(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.der(EVP_marshal_public_key)
    }

    fn parse(der: &[u8], parse: unsafe extern "C" fn(*mut CBS) -> *mut EVP_PKEY) -> Result<Self, Error> {
        let mut rest = MaybeUninit::<CBS>::uninit();
        // SAFETY: `CBS_init` makes `rest` a view of `der`, which is borrowed until we return; `parse` is one of the two
        // above and only moves the view on.
        let (key, unread) = unsafe {
            CBS_init(rest.as_mut_ptr(), der.as_ptr(), der.len());
            (parse(rest.as_mut_ptr()), CBS_len(rest.as_ptr()))
        };
        let key = NonNull::new(key).map(Self).ok_or_else(failed)?;
        if unread == 0 { Ok(key) } else { Err(Error::NotGenerated) }
    }

    fn der(
        &self,
        write: unsafe extern "C" fn(*mut CBB, *const EVP_PKEY) -> c_int,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut der = Zeroizing::new(vec![0; DER_BYTES_MAX]);
        let mut builder = MaybeUninit::<CBB>::uninit();
        let mut written = 0;
        // SAFETY: `CBB_init_fixed` makes `builder` a writer into `der` that never grows it, owns nothing and so needs
        // no cleaning up; both outlive the calls. `write` is one of the two above and only reads the key.
        let whole = unsafe {
            CBB_init_fixed(builder.as_mut_ptr(), der.as_mut_ptr(), der.len()) == 1
                && write(builder.as_mut_ptr(), self.0.as_ptr()) == 1
                && CBB_finish(builder.as_mut_ptr(), null_mut(), &raw mut written) == 1
        };
        done(whole.into())?;
        der.truncate(written);
        Ok(der)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and given up once.
        unsafe { EVP_PKEY_free(self.0.as_ptr()) }
    }
}

/// The context in which AWS-LC generates a key or a group.
struct Context(NonNull<EVP_PKEY_CTX>);

/// `EVP_PKEY_keygen` or `EVP_PKEY_paramgen`.
type Generate = unsafe extern "C" fn(*mut EVP_PKEY_CTX, *mut *mut EVP_PKEY) -> c_int;

impl Context {
    fn of_kind(kind: c_int) -> Result<Self, Error> {
        // SAFETY: makes a new context; no engine is needed.
        Self::from_new(unsafe { EVP_PKEY_CTX_new_id(kind, null_mut()) })
    }

    /// Takes over what AWS-LC made.
    fn from_new(made: *mut EVP_PKEY_CTX) -> Result<Self, Error> {
        NonNull::new(made).map(Self).ok_or_else(failed)
    }

    fn as_ptr(&self) -> *mut EVP_PKEY_CTX {
        self.0.as_ptr()
    }

    /// Generates; the search for primes ends at the limit. Luck decides how long it takes.
    fn generate(self, generate: Generate, limit: Duration) -> Result<Key, Error> {
        let mut end = Instant::now() + limit;
        let mut key = null_mut();
        // SAFETY: the context lives as long as `self`. `end` outlives the last call, after which nothing asks for it:
        // `self` is freed when we return. `generate` puts a key of our own into `key`, or leaves it as it was.
        let generated = unsafe {
            EVP_PKEY_CTX_set_app_data(self.as_ptr(), (&raw mut end).cast::<c_void>());
            EVP_PKEY_CTX_set_cb(self.as_ptr(), Some(goes_on));
            generate(self.as_ptr(), &raw mut key)
        };
        done(generated)?;
        NonNull::new(key).map(Key).ok_or_else(failed)
    }
}

/// AWS-LC calls this at every candidate for a prime and stops if it returns 0.
unsafe extern "C" fn goes_on(context: *mut EVP_PKEY_CTX) -> c_int {
    // SAFETY: `Context::generate` set it to an `Instant` that outlives the search; nobody writes to it meanwhile.
    let end = unsafe { EVP_PKEY_CTX_get_app_data(context).cast::<Instant>().as_ref() };
    end.is_none_or(|end| Instant::now() < *end).into()
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is ours, and freed once.
        unsafe { EVP_PKEY_CTX_free(self.as_ptr()) }
    }
}

/// Translates AWS-LC's return value: 1 means success.
fn done(answer: c_int) -> Result<(), Error> {
    if answer == 1 { Ok(()) } else { Err(failed()) }
}

/// Empties AWS-LC's error queue of this thread. Otherwise the reason of a later failure would stand behind the old one.
fn failed() -> Error {
    // SAFETY: empties a queue of this thread.
    unsafe { ERR_clear_error() };
    Error::NotGenerated
}
