//! An allocator that wipes memory when it is freed.
//!
//! Payloads and keys wipe themselves. Other buffers do not: the head of a request with its token, or a request body in a
//! buffer of the web server. Under this allocator, freed memory holds none of these, and an allocation that grows leaves
//! no copy behind.
//!
//! A block of [`UNMAPPED_BYTES`] or more is not wiped: glibc has a separate mapping for each and returns it to the kernel
//! when it is freed, so the process no longer has it.
//!
//! Not wiped: memory that C code allocates from libc directly (SQLite does), and stacks. Memory in use can still be read,
//! for instance the buffers of open connections.
//!
//! This, `locked.rs` and `evp.rs` are the only files of the crate with unsafe code.

#![allow(unsafe_code, reason = "one of the three files of this crate with unsafe code")]

use std::alloc::{GlobalAlloc, Layout, System};

/// Blocks of this size are unmapped when they are freed: glibc's `DEFAULT_MMAP_THRESHOLD_MAX` on 64 bits, beyond which its
/// threshold never grows (mallopt(3), M_MMAP_THRESHOLD).
const UNMAPPED_BYTES: usize = 32 << 20;

/// The system's allocator, which wipes each block before it frees it. For `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WipingHeap;

// SAFETY: memory comes from the system's allocator and goes back to it with the layout that it was taken with. `realloc`
// is the trait's own, which takes anew, copies and gives back; the system's would leave the old copy where it was.
unsafe impl GlobalAlloc for WipingHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about the layout is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if layout.size() < UNMAPPED_BYTES {
            // SAFETY: the caller gives up memory of that size, which is written to for the last time; no compiler leaves
            // this function out.
            unsafe { libc::explicit_bzero(memory.cast(), layout.size()) };
        }
        // SAFETY: it was taken from there, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_wiped_when_it_is_freed_and_when_it_grows() {
        let layout = Layout::from_size_align(4096, 16).unwrap();
        // SAFETY: the sizes are not zero, and each block goes back with the layout that it has. Freed blocks are looked
        // at through `/proc`, which may.
        unsafe {
            let first = WipingHeap.alloc(layout);
            first.write_bytes(0xa5, layout.size());
            let grown = WipingHeap.realloc(first, layout, 2 * layout.size());
            assert_eq!((grown.read(), grown.add(4095).read()), (0xa5, 0xa5));
            assert_ne!(first, grown);
            let grown_layout = Layout::from_size_align(8192, 16).unwrap();
            let places = [first as u64, grown as u64];
            WipingHeap.dealloc(grown, grown_layout);
            for place in places {
                let left = memory_at(place, 4096).iter().filter(|byte| **byte == 0xa5).count();
                assert_eq!(left, 0);
            }
        }
    }

    #[test]
    fn a_large_block_is_not_in_the_process_once_it_is_freed() {
        let layout = Layout::from_size_align(UNMAPPED_BYTES, 16).unwrap();
        // SAFETY: as above.
        let place = unsafe {
            let block = WipingHeap.alloc(layout);
            block.write_bytes(0xa5, layout.size());
            let place = block as u64;
            WipingHeap.dealloc(block, layout);
            place
        };
        let mut bytes = [0; 4096];
        let read = std::fs::File::open("/proc/self/mem")
            .and_then(|memory| std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, place));
        assert!(read.is_err() || bytes.iter().all(|byte| *byte != 0xa5), "the kernel has the block back");
    }

    fn memory_at(place: u64, length: usize) -> Vec<u8> {
        use std::os::unix::fs::FileExt as _;
        let mut bytes = vec![0; length];
        std::fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, place).unwrap();
        bytes
    }
}
