/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to a daemon: opening and closing, credentials, identity, keepalive, what the daemon says of itself.
 * A part of <libvirt/libvirt.h>, which also says what all functions have in common.
 *
 * Left out: the host's CPUs, memory and pages (virNode...), security labels, CPU models and their comparison.
 */

#ifndef VIRSECRET_LIBVIRT_HOST_H
#define VIRSECRET_LIBVIRT_HOST_H

#ifndef VIRSECRET_WITHIN_LIBVIRT_H
#error "libvirt-host.h is a part of <libvirt/libvirt.h>: include that"
#endif

#include "libvirt-common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A connection: opaque, a counted reference, valid until virConnectClose() has taken it back. */
typedef struct _virConnect virConnect;
typedef virConnect *virConnectPtr;

/* A UUID as bytes, and as text with its hyphens and NUL. */
#define VIR_UUID_BUFLEN (16)
#define VIR_UUID_STRING_BUFLEN (37)

/* The library itself. */

/* Make the library ready. Opening a connection does it too; calling it again is harmless. A program that means to
 * run on libvirt as well calls this or opens a connection before any function of virterror.h. */
int virInitialize(void);

/* *libVer becomes LIBVIR_VERSION_NUMBER of the library that is running; it must not be NULL. *typeVer, unless NULL,
 * becomes the same number, whatever the type is. */
int virGetVersion(unsigned long *libVer, const char *type, unsigned long *typeVer);

/* Credentials: what a daemon may ask of whoever connects. */

typedef enum {
    VIR_CRED_USERNAME = 1,     /* whom to act as */
    VIR_CRED_AUTHNAME = 2,     /* who is logging in */
    VIR_CRED_LANGUAGE = 3,     /* languages, as RFC 1766 tags with commas */
    VIR_CRED_CNONCE = 4,       /* a nonce of the client's */
    VIR_CRED_PASSPHRASE = 5,   /* a password or passphrase */
    VIR_CRED_ECHOPROMPT = 6,   /* the answer to a challenge, shown as it is typed */
    VIR_CRED_NOECHOPROMPT = 7, /* the answer to a challenge, hidden */
    VIR_CRED_REALM = 8,        /* the realm of the login */
    VIR_CRED_EXTERNAL = 9      /* the caller arranges it elsewhere: a polkit agent, for one */
#ifdef VIR_ENUM_SENTINELS
    , VIR_CRED_LAST = 10       /* one more than the last: grows with versions */
#endif
} virConnectCredentialType;

/* One question, and room for its answer. */
struct _virConnectCredential {
    int type;               /* a virConnectCredentialType */
    const char *prompt;     /* what to show */
    const char *challenge;  /* more to show, or NULL */
    const char *defresult;  /* the answer when there is no other, or NULL */
    char *result;           /* the answer: the callback gets it from malloc(), the library frees it */
    unsigned int resultlen; /* its bytes, without a NUL */
};
typedef struct _virConnectCredential virConnectCredential;
typedef virConnectCredential *virConnectCredentialPtr;

/* Answers ncred questions at once: 0 when all have a result, -1 to give up the connection. No authentication that this
 * library has asks anything, so it never calls one. */
typedef int (*virConnectAuthCallbackPtr)(virConnectCredentialPtr cred, unsigned int ncred, void *cbdata);

/* Whoever answers, and what they can be asked. It must last as long as the call that takes it. */
struct _virConnectAuth {
    int *credtype;                /* virConnectCredentialType numbers */
    unsigned int ncredtype;       /* how many */
    virConnectAuthCallbackPtr cb; /* may be NULL when there are none */
    void *cbdata;                 /* handed to it */
};
typedef struct _virConnectAuth virConnectAuth;
typedef virConnectAuth *virConnectAuthPtr;

/* For programs that pass it: authname, echo prompt, realm, passphrase, no-echo prompt, external. It asks nobody. */
VIR_EXPORT_VAR virConnectAuthPtr virConnectAuthPtrDefault;

/* Opening and closing. */

/* How to open; a sum of these. */
typedef enum {
    VIR_CONNECT_RO = 1,        /* may look, not change; may not read values */
    VIR_CONNECT_NO_ALIASES = 2 /* take the name as it is: no aliases from a configuration file */
} virConnectFlags;

/* Connect to the daemon that a URI names, such as "secret:///system" or "secret:///session", with "?socket=PATH" to
 * say which UNIX socket. NULL stands for the value of LIBVIRT_DEFAULT_URI.
 *
 * The result is one reference, for virConnectClose(). VIR_ERR_NO_CONNECT: nothing speaks for that URI.
 * VIR_ERR_SYSTEM_ERROR: the socket cannot be connected to, int1 of the error is errno. VIR_ERR_AUTH_...: the daemon
 * refused this caller. */
virConnectPtr virConnectOpen(const char *name);

/* The same with VIR_CONNECT_RO: everything that changes a secret or reads a value fails with
 * VIR_ERR_OPERATION_DENIED. */
virConnectPtr virConnectOpenReadOnly(const char *name);

/* The same with flags. auth may be NULL and is not looked at: a daemon that wants credentials gives
 * VIR_ERR_AUTH_FAILED. */
virConnectPtr virConnectOpenAuth(const char *name, virConnectAuthPtr auth, unsigned int flags);

/* One more reference, to be taken back with virConnectClose(). */
int virConnectRef(virConnectPtr conn);

/* Take a reference back. Returns 0 if it was the last, 1 if others are left, -1 on error; at 0 the connection is closed
 * and the pointer is dead. Each secret holds a reference to its connection, and so does each registered callback: deregister first. */
int virConnectClose(virConnectPtr conn);

/* Who the connection acts for, told by a service that passes on calls of others. Only these names may be given, each
 * once, of the type said. The daemon decides whether it believes the caller.
 *
 * VIR_ERR_ARGUMENT_UNSUPPORTED: another name. VIR_ERR_INVALID_ARG: another type, or a name twice. */
int virConnectSetIdentity(virConnectPtr conn, virTypedParameterPtr params, int nparams, unsigned int flags);

#define VIR_CONNECT_IDENTITY_USER_NAME "user-name"                             /* string */
#define VIR_CONNECT_IDENTITY_UNIX_USER_ID "unix-user-id"                       /* ullong */
#define VIR_CONNECT_IDENTITY_GROUP_NAME "group-name"                           /* string */
#define VIR_CONNECT_IDENTITY_UNIX_GROUP_ID "unix-group-id"                     /* ullong */
#define VIR_CONNECT_IDENTITY_PROCESS_ID "process-id"                           /* llong */
#define VIR_CONNECT_IDENTITY_PROCESS_TIME "process-time"                       /* ullong: start, in clock ticks */
#define VIR_CONNECT_IDENTITY_SASL_USER_NAME "sasl-user-name"                   /* string */
#define VIR_CONNECT_IDENTITY_X509_DISTINGUISHED_NAME "x509-distinguished-name" /* string */
#define VIR_CONNECT_IDENTITY_SELINUX_CONTEXT "selinux-context"                 /* string */

/* What is at the other end. */

/* The kind of daemon: "secret". */
const char *virConnectGetType(virConnectPtr conn);

/* The URI that was opened, in full. */
char *virConnectGetURI(virConnectPtr conn);

/* *libVer becomes the version of libvirt that the daemon says it is. */
int virConnectGetLibVersion(virConnectPtr conn, unsigned long *libVer);

/* 1 when nobody between here and the daemon can read along, as on a UNIX socket; 0 when somebody may; -1 on error. */
int virConnectIsSecure(virConnectPtr conn);

/* 1 when the bytes are encrypted on their way; 0 when not, as on a UNIX socket; -1 on error. */
int virConnectIsEncrypted(virConnectPtr conn);

/* 1 while the connection is open, 0 once it has ended, -1 on error. Asks nothing of the daemon, so one that hangs is
 * noticed only by keepalive. */
int virConnectIsAlive(virConnectPtr conn);

/* Questions to a hypervisor. A daemon that keeps secrets has none: they fail with VIR_ERR_NO_SUPPORT. */
int virConnectGetVersion(virConnectPtr conn, unsigned long *hvVer);
int virConnectGetMaxVcpus(virConnectPtr conn, const char *type);
char *virConnectGetHostname(virConnectPtr conn);
char *virConnectGetCapabilities(virConnectPtr conn);
char *virConnectGetSysinfo(virConnectPtr conn, unsigned int flags);

/* Noticing the end. */

/* Ping the daemon after that many seconds of silence, and end the connection when count pings in a row stay
 * unanswered. An interval of 0 or less turns it off. Needs an event loop that was registered before the connection
 * was opened, and that runs.
 *
 * Returns 0, or 1 when the daemon cannot answer pings, or -1. */
int virConnectSetKeepAlive(virConnectPtr conn, int interval, unsigned int count);

/* Told, once, that a connection has ended, with a virConnectCloseReason. */
typedef void (*virConnectCloseFunc)(virConnectPtr conn, int reason, void *opaque);

/* Have cb called when the connection ends. One at a time: VIR_ERR_OPERATION_INVALID when there is one already.
 * freecb, unless NULL, gets opaque when cb was called or is unregistered; not when this fails. Neither may register
 * or unregister from within. */
int virConnectRegisterCloseCallback(virConnectPtr conn, virConnectCloseFunc cb, void *opaque, virFreeCallback freecb);

/* Undo it. VIR_ERR_OPERATION_INVALID: that function is not the one registered. */
int virConnectUnregisterCloseCallback(virConnectPtr conn, virConnectCloseFunc cb);

#ifdef __cplusplus
}
#endif

#endif /* VIRSECRET_LIBVIRT_HOST_H */
