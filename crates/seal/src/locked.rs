//! Memory for keys: locked against swapping, left out of core dumps, not inherited by child processes, and wiped when a
//! key is dropped.
//!
//! ```text
//! page (4096 bytes, one mmap)
//! ┌────────┬────────┬────────┬─────┬────────┐
//! │ key 32 │ key 32 │ zeroes │  …  │ key 32 │   128 slots, so a thousand project keys are eight pages
//! └────────┴────────┴────────┴─────┴────────┘
//!            a slot that is not in use is all zeroes
//! ```
//!
//! RLIMIT_MEMLOCK counts pages (8 MiB, the usual limit, is a quarter of a million keys). Where it is
//! exceeded, or the system refuses to lock for another reason, the log has one warning and keys lie in pages
//! that may be swapped out, but are still not dumped and still wiped. A daemon that refuses to start helps
//! nobody, and the warning tells the operator.
//!
//! A child process gets no copy of the pages (`MADV_DONTFORK`) rather than pages of zeroes
//! (`MADV_WIPEONFORK`): code that used a key in a forked child would be killed, where zeroes would quietly
//! become everybody's key.
//!
//! What this does not do: keep keys from somebody who can read the memory of the process, from hibernation,
//! or from the stack and registers while a key is used. Pages are never given back; there are as many as were
//! ever needed at once.
//!
//! This, `wiping.rs` and `evp.rs` are the only files of the crate with unsafe code.

#![allow(unsafe_code, reason = "one of the three files of this crate with unsafe code")]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use zeroize::Zeroize;

use crate::Error;

/// The bytes of one slot: every key of this crate has 256 bits.
const SLOT_BYTES: usize = 32;

/// The memory of one key.
type Slot = NonNull<[u8; SLOT_BYTES]>;

/// `N` bytes of key, at most 32, in locked memory; wiped when dropped.
///
/// ```compile_fail
/// fn keep(key: &seal::Locked<32>) -> seal::Locked<32> { key.clone() }
/// ```
pub struct Locked<const N: usize> {
    /// Taken from the slab by [`Self::try_init`], given back by `drop`, ours alone in between.
    slot: Slot,
    /// Behaves as the bytes themselves do.
    bytes: PhantomData<[u8; N]>,
}

impl<const N: usize> Locked<N> {
    /// Takes a slot and has `fill` write the key into it, so that the key is never anywhere else. The bytes
    /// are zeroes before. When `fill` fails the slot is wiped and given back.
    pub fn try_init<E: From<Error>>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        const { assert!(N <= SLOT_BYTES, "a slot has 32 bytes") };
        let mut new = Self { slot: slab().take()?, bytes: PhantomData };
        fill(new.bytes_mut())?;
        Ok(new)
    }

    /// The key. A caller that copies it must wipe the copy.
    pub fn expose(&self) -> &[u8; N] {
        // SAFETY: the slot is mapped, readable and initialised (zeroes, then `fill`) for as long as the
        // process lives; N is at most its size; bytes have no alignment; only `&mut self` writes to it.
        unsafe { self.slot.cast::<[u8; N]>().as_ref() }
    }

    fn bytes_mut(&mut self) -> &mut [u8; N] {
        // SAFETY: as in `expose`, and `&mut self` makes this the only reference, for no two `Locked` share a
        // slot.
        unsafe { self.slot.cast::<[u8; N]>().as_mut() }
    }
}

impl<const N: usize> Drop for Locked<N> {
    fn drop(&mut self) {
        self.bytes_mut().zeroize(); // Volatile: the compiler may not leave it out.
        slab().free.push(self.slot);
    }
}

// SAFETY: a `Locked` owns its slot as a Box owns its memory, and no method changes it through `&self`.
unsafe impl<const N: usize> Send for Locked<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Locked<N> {}

impl<const N: usize> fmt::Debug for Locked<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked([redacted])")
    }
}

/// The slots, and which of them are free.
struct Slab {
    /// All zeroes, each of them.
    free: Vec<Slot>,
    /// How many slots there are, used or not; `free` has room for all.
    slots: usize,
}

// SAFETY: the pointers are to memory that belongs to no thread, and are used by whoever holds the mutex.
unsafe impl Send for Slab {}

static SLAB: Mutex<Slab> = Mutex::new(Slab { free: Vec::new(), slots: 0 });

/// A panic elsewhere cannot leave the list half changed, so a poisoned mutex is as good as any.
fn slab() -> MutexGuard<'static, Slab> {
    SLAB.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slab {
    fn take(&mut self) -> Result<Slot, Error> {
        if self.free.is_empty() {
            self.grow()?;
        }
        self.free.pop().ok_or(Error::NoMemory)
    }

    fn grow(&mut self) -> Result<(), Error> {
        let page_bytes = page_bytes();
        let page = map(page_bytes)?;
        let count = page_bytes / SLOT_BYTES;
        self.slots += count;
        self.free.reserve(self.slots - self.free.len()); // Giving a slot back never allocates.
        self.free.extend((0..count).map(|index| {
            // SAFETY: index is less than page_bytes / SLOT_BYTES, so the slot lies wholly in the mapping.
            unsafe { page.cast::<[u8; SLOT_BYTES]>().add(index) }
        }));
        Ok(())
    }
}

fn page_bytes() -> usize {
    // SAFETY: sysconf reads a number.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096).max(SLOT_BYTES)
}

/// One page of zeroes, for good, with every protection the system grants.
fn map(bytes: usize) -> Result<NonNull<u8>, Error> {
    // SAFETY: a new anonymous mapping, placed by the system: it replaces nothing.
    let page = unsafe {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        libc::mmap(null_mut(), bytes, access, kind, -1, 0)
    };
    if page == libc::MAP_FAILED {
        return Err(Error::NoMemory);
    }
    for advice in [libc::MADV_DONTDUMP, libc::MADV_DONTFORK] {
        // SAFETY: the range is the mapping made above; both advices leave its contents as they are.
        if unsafe { libc::madvise(page, bytes, advice) } != 0 {
            warn_once(&UNADVISED, "keys may be in core dumps or in child processes");
        }
    }
    // SAFETY: the range is the mapping made above; locking does not change it.
    if unsafe { libc::mlock(page, bytes) } != 0 {
        warn_once(&UNLOCKED, "keys may be swapped to disk: raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=)");
    }
    NonNull::new(page.cast()).ok_or(Error::NoMemory)
}

static UNADVISED: Once = Once::new();
static UNLOCKED: Once = Once::new();

/// Logs what the last failed call of the system means for the keys, at most once for each `once`.
fn warn_once(once: &Once, consequence: &'static str) {
    let error = io::Error::last_os_error();
    once.call_once(|| tracing::warn!(%error, "key memory is not fully protected: {consequence}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Locked<32> {
        Locked::try_init(|bytes| {
            assert_eq!(bytes, &[0; 32], "a slot that was used before is zeroes again");
            bytes.fill(byte);
            Ok::<_, Error>(())
        })
        .unwrap()
    }

    #[test]
    fn keys_keep_their_bytes_and_do_not_overlap() {
        let keys: Vec<_> = (0..=255).map(key).collect();
        for (byte, key) in (0..=255).zip(&keys) {
            assert_eq!(key.expose(), &[byte; 32]);
        }
    }

    #[test]
    fn keys_move_between_threads() {
        let key = key(7);
        std::thread::spawn(move || assert_eq!(key.expose(), &[7; 32])).join().unwrap();
    }

    #[test]
    fn a_fill_that_fails_leaves_nothing() {
        let failed = Locked::<32>::try_init(|bytes| {
            bytes.fill(0xEE);
            Err(Error::NoRandomness)
        });
        assert_eq!(failed.unwrap_err(), Error::NoRandomness);
        drop(key(1)); // Asserts that its slot is zeroes.
    }

    #[test]
    fn debug_text_is_redacted() {
        assert_eq!(format!("{:?}", key(0x41)), "Locked([redacted])");
    }
}
