/* SPDX-License-Identifier: Apache-2.0
 *
 * libvirt's API for secrets, as libvirsecret offers it: include this, and <libvirt/virterror.h> for errors.
 *
 *   libvirt-common.h   version numbers, typed parameters, handles of objects that are not secrets
 *   libvirt-host.h     connections: opening, credentials, identity, keepalive
 *   libvirt-event.h    the event loop
 *   libvirt-secret.h   secrets
 *   virterror.h        errors, not included from here
 *
 * It promises names, values, types and layouts equal to libvirt 12.8.0, whose programs build from these files
 * and run on either library. tests/headers.py proves it against libvirt's own headers.
 *
 * It leaves out domains, networks, storage, node devices, interfaces, filters, streams and the host's hardware.
 * Programs that need their declarations take libvirt's headers; the library is the same one.
 *
 * In all of these files, unless a function says otherwise:
 *  - int functions return 0 when done and -1 when not; pointer functions return NULL when not.
 *    What went wrong is the thread's last error: virGetLastError().
 *  - a char * that is returned is the caller's, to be given to free(); a const char * is the object's, gone with it.
 *  - text is UTF-8 and ends in a NUL; a length is in bytes.
 *  - unsigned int flags that have no enum here are for later: 0, or the call fails with VIR_ERR_INVALID_ARG.
 *  - connections and secrets are counted references, which any thread may use at any time.
 */

#ifndef VIRSECRET_LIBVIRT_H
#define VIRSECRET_LIBVIRT_H

/* In quotes: the parts come from this file's folder, whatever else the compiler was told to search. */
#define VIRSECRET_WITHIN_LIBVIRT_H
#include "libvirt-common.h"
#include "libvirt-host.h"
#include "libvirt-event.h"
#include "libvirt-secret.h"
#undef VIRSECRET_WITHIN_LIBVIRT_H

#endif /* VIRSECRET_LIBVIRT_H */
