//! The functions that register and run the default event loop.

use std::ffi::c_int;

use libvirt_rpc::error::{Code, Domain};

use super::default_loop;
use super::error::enter;
use super::events::virEventRegisterImpl;
use super::faults::{new, system};

/// `virEventRegisterDefaultImpl`
#[unsafe(no_mangle)]
pub extern "C" fn virEventRegisterDefaultImpl() -> c_int {
    enter(-1, |_| {
        virEventRegisterImpl(
            Some(default_loop::add_handle),
            Some(default_loop::update_handle),
            Some(default_loop::remove_handle),
            Some(default_loop::add_timeout),
            Some(default_loop::update_timeout),
            Some(default_loop::remove_timeout),
        );
        Ok(0)
    })
}

/// `virEventRunDefaultImpl`
#[unsafe(no_mangle)]
pub extern "C" fn virEventRunDefaultImpl() -> c_int {
    enter(-1, |_| match default_loop::run_once() {
        Ok(()) => Ok(0),
        Err(error) => {
            let number = error.raw_os_error().unwrap_or(libc::EIO);
            Err(if number == 0 {
                new(Code::InternalError, Domain::None, "the event loop failed")
            } else {
                system(Domain::None, number, "Unable to poll on file handles")
            })
        }
    })
}
