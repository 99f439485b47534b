/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors: what a call that failed leaves behind, and who is told.
 *
 * Each thread has a last error. Every call that talks to a daemon or looks at a handle forgets it first, so it is
 * that of the last call, not of the last failure. A connection has one too, shared by its threads: prefer the
 * thread's.
 *
 * An error is a number for programs, a domain (which part noticed) and a message for people. Never the value of a
 * secret. Rely on the number; message and str1 to int2 change between versions.
 */

#ifndef VIRSECRET_LIBVIRT_VIRTERROR_H
#define VIRSECRET_LIBVIRT_VIRTERROR_H

#include "libvirt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How bad. What calls report is an error. */
typedef enum {
    VIR_ERR_NONE = 0,
    VIR_ERR_WARNING = 1,
    VIR_ERR_ERROR = 2
} virErrorLevel;

/* Which part noticed. Those with a remark are the ones that secrets meet. */
typedef enum {
    VIR_FROM_NONE = 0, /* the library in general: opening, bad handles */
    VIR_FROM_XEN = 1,
    VIR_FROM_XEND = 2,
    VIR_FROM_XENSTORE = 3,
    VIR_FROM_SEXPR = 4,
    VIR_FROM_XML = 5, /* reading XML that is well formed but not right */
    VIR_FROM_DOM = 6,
    VIR_FROM_RPC = 7, /* sockets and messages, at either end */
    VIR_FROM_PROXY = 8,
    VIR_FROM_CONF = 9,
    VIR_FROM_QEMU = 10,
    VIR_FROM_NET = 11,
    VIR_FROM_TEST = 12,
    VIR_FROM_REMOTE = 13, /* this side of a connection to a daemon */
    VIR_FROM_OPENVZ = 14,
    VIR_FROM_XENXM = 15,
    VIR_FROM_STATS_LINUX = 16,
    VIR_FROM_LXC = 17,
    VIR_FROM_STORAGE = 18,
    VIR_FROM_NETWORK = 19,
    VIR_FROM_DOMAIN = 20, /* arguments of functions about connections */
    VIR_FROM_UML = 21,
    VIR_FROM_NODEDEV = 22,
    VIR_FROM_XEN_INOTIFY = 23,
    VIR_FROM_SECURITY = 24,
    VIR_FROM_VBOX = 25,
    VIR_FROM_INTERFACE = 26,
    VIR_FROM_ONE = 27,
    VIR_FROM_ESX = 28,
    VIR_FROM_PHYP = 29,
    VIR_FROM_SECRET = 30, /* secrets */
    VIR_FROM_CPU = 31,
    VIR_FROM_XENAPI = 32,
    VIR_FROM_NWFILTER = 33,
    VIR_FROM_HOOK = 34,
    VIR_FROM_DOMAIN_SNAPSHOT = 35,
    VIR_FROM_AUDIT = 36,
    VIR_FROM_SYSINFO = 37,
    VIR_FROM_STREAMS = 38,
    VIR_FROM_VMWARE = 39,
    VIR_FROM_EVENT = 40, /* the event loop */
    VIR_FROM_LIBXL = 41,
    VIR_FROM_LOCKING = 42,
    VIR_FROM_HYPERV = 43,
    VIR_FROM_CAPABILITIES = 44,
    VIR_FROM_URI = 45,  /* reading a URI */
    VIR_FROM_AUTH = 46, /* credentials */
    VIR_FROM_DBUS = 47,
    VIR_FROM_PARALLELS = 48,
    VIR_FROM_DEVICE = 49,
    VIR_FROM_SSH = 50,
    VIR_FROM_LOCKSPACE = 51,
    VIR_FROM_INITCTL = 52,
    VIR_FROM_IDENTITY = 53, /* who a caller is */
    VIR_FROM_CGROUP = 54,
    VIR_FROM_ACCESS = 55, /* what a caller may do */
    VIR_FROM_SYSTEMD = 56,
    VIR_FROM_BHYVE = 57,
    VIR_FROM_CRYPTO = 58, /* encryption */
    VIR_FROM_FIREWALL = 59,
    VIR_FROM_POLKIT = 60, /* polkit's word on what a caller may do */
    VIR_FROM_THREAD = 61,
    VIR_FROM_ADMIN = 62,
    VIR_FROM_LOGGING = 63,
    VIR_FROM_XENXL = 64,
    VIR_FROM_PERF = 65,
    VIR_FROM_LIBSSH = 66,
    VIR_FROM_RESCTRL = 67,
    VIR_FROM_FIREWALLD = 68,
    VIR_FROM_DOMAIN_CHECKPOINT = 69,
    VIR_FROM_TPM = 70,
    VIR_FROM_BPF = 71,
    VIR_FROM_CH = 72
#ifdef VIR_ENUM_SENTINELS
    , VIR_ERR_DOMAIN_LAST = 73 /* one more than the last: grows with versions */
#endif
} virErrorDomain;

/* What went wrong. Those with a remark are the ones that secrets meet. */
typedef enum {
    VIR_ERR_OK = 0,
    VIR_ERR_INTERNAL_ERROR = 1, /* none of the others; a usage that is taken, too */
    VIR_ERR_NO_MEMORY = 2,
    VIR_ERR_NO_SUPPORT = 3, /* not a function of this daemon or library */
    VIR_ERR_UNKNOWN_HOST = 4,
    VIR_ERR_NO_CONNECT = 5,   /* nothing speaks for that URI */
    VIR_ERR_INVALID_CONN = 6, /* not a connection */
    VIR_ERR_INVALID_DOMAIN = 7,
    VIR_ERR_INVALID_ARG = 8, /* an argument, or a flag, that cannot be */
    VIR_ERR_OPERATION_FAILED = 9,
    VIR_ERR_GET_FAILED = 10,
    VIR_ERR_POST_FAILED = 11,
    VIR_ERR_HTTP_ERROR = 12,
    VIR_ERR_SEXPR_SERIAL = 13,
    VIR_ERR_NO_XEN = 14,
    VIR_ERR_XEN_CALL = 15,
    VIR_ERR_OS_TYPE = 16,
    VIR_ERR_NO_KERNEL = 17,
    VIR_ERR_NO_ROOT = 18,
    VIR_ERR_NO_SOURCE = 19,
    VIR_ERR_NO_TARGET = 20,
    VIR_ERR_NO_NAME = 21,
    VIR_ERR_NO_OS = 22,
    VIR_ERR_NO_DEVICE = 23,
    VIR_ERR_NO_XENSTORE = 24,
    VIR_ERR_DRIVER_FULL = 25,
    VIR_ERR_CALL_FAILED = 26,
    VIR_ERR_XML_ERROR = 27, /* XML that is well formed but not right */
    VIR_ERR_DOM_EXIST = 28,
    VIR_ERR_OPERATION_DENIED = 29, /* a change, or a value, on a read-only connection */
    VIR_ERR_OPEN_FAILED = 30,
    VIR_ERR_READ_FAILED = 31,
    VIR_ERR_PARSE_FAILED = 32,
    VIR_ERR_CONF_SYNTAX = 33,
    VIR_ERR_WRITE_FAILED = 34,
    VIR_ERR_XML_DETAIL = 35, /* XML that is not well formed */
    VIR_ERR_INVALID_NETWORK = 36,
    VIR_ERR_NETWORK_EXIST = 37,
    VIR_ERR_SYSTEM_ERROR = 38, /* a system call failed; int1 is errno */
    VIR_ERR_RPC = 39,          /* a message that cannot be, or is over a limit */
    VIR_ERR_GNUTLS_ERROR = 40,
    VIR_WAR_NO_NETWORK = 41,
    VIR_ERR_NO_DOMAIN = 42,
    VIR_ERR_NO_NETWORK = 43,
    VIR_ERR_INVALID_MAC = 44,
    VIR_ERR_AUTH_FAILED = 45, /* the daemon does not know this caller */
    VIR_ERR_INVALID_STORAGE_POOL = 46,
    VIR_ERR_INVALID_STORAGE_VOL = 47,
    VIR_WAR_NO_STORAGE = 48,
    VIR_ERR_NO_STORAGE_POOL = 49,
    VIR_ERR_NO_STORAGE_VOL = 50,
    VIR_WAR_NO_NODE = 51,
    VIR_ERR_INVALID_NODE_DEVICE = 52,
    VIR_ERR_NO_NODE_DEVICE = 53,
    VIR_ERR_NO_SECURITY_MODEL = 54,
    VIR_ERR_OPERATION_INVALID = 55, /* not now: a second close callback, for one */
    VIR_WAR_NO_INTERFACE = 56,
    VIR_ERR_NO_INTERFACE = 57,
    VIR_ERR_INVALID_INTERFACE = 58,
    VIR_ERR_MULTIPLE_INTERFACES = 59,
    VIR_WAR_NO_NWFILTER = 60,
    VIR_ERR_INVALID_NWFILTER = 61,
    VIR_ERR_NO_NWFILTER = 62,
    VIR_ERR_BUILD_FIREWALL = 63,
    VIR_WAR_NO_SECRET = 64,      /* nothing here keeps secrets */
    VIR_ERR_INVALID_SECRET = 65, /* not a secret's handle, or a private secret's value */
    VIR_ERR_NO_SECRET = 66,      /* no such secret, or it has no value */
    VIR_ERR_CONFIG_UNSUPPORTED = 67,
    VIR_ERR_OPERATION_TIMEOUT = 68, /* no answer in time */
    VIR_ERR_MIGRATE_PERSIST_FAILED = 69,
    VIR_ERR_HOOK_SCRIPT_FAILED = 70,
    VIR_ERR_INVALID_DOMAIN_SNAPSHOT = 71,
    VIR_ERR_NO_DOMAIN_SNAPSHOT = 72,
    VIR_ERR_INVALID_STREAM = 73,
    VIR_ERR_ARGUMENT_UNSUPPORTED = 74, /* an argument that is not served: a parameter name, for one */
    VIR_ERR_STORAGE_PROBE_FAILED = 75,
    VIR_ERR_STORAGE_POOL_BUILT = 76,
    VIR_ERR_SNAPSHOT_REVERT_RISKY = 77,
    VIR_ERR_OPERATION_ABORTED = 78,
    VIR_ERR_AUTH_CANCELLED = 79, /* whoever was asked for credentials gave up */
    VIR_ERR_NO_DOMAIN_METADATA = 80,
    VIR_ERR_MIGRATE_UNSAFE = 81,
    VIR_ERR_OVERFLOW = 82,
    VIR_ERR_BLOCK_COPY_ACTIVE = 83,
    VIR_ERR_OPERATION_UNSUPPORTED = 84,
    VIR_ERR_SSH = 85,
    VIR_ERR_AGENT_UNRESPONSIVE = 86,
    VIR_ERR_RESOURCE_BUSY = 87,
    VIR_ERR_ACCESS_DENIED = 88, /* this caller may not */
    VIR_ERR_DBUS_SERVICE = 89,
    VIR_ERR_STORAGE_VOL_EXIST = 90,
    VIR_ERR_CPU_INCOMPATIBLE = 91,
    VIR_ERR_XML_INVALID_SCHEMA = 92, /* XML that VIR_SECRET_DEFINE_VALIDATE refuses */
    VIR_ERR_MIGRATE_FINISH_OK = 93,
    VIR_ERR_AUTH_UNAVAILABLE = 94, /* nobody is there to be asked for credentials */
    VIR_ERR_NO_SERVER = 95,
    VIR_ERR_NO_CLIENT = 96,
    VIR_ERR_AGENT_UNSYNCED = 97,
    VIR_ERR_LIBSSH = 98,
    VIR_ERR_DEVICE_MISSING = 99,
    VIR_ERR_INVALID_NWFILTER_BINDING = 100,
    VIR_ERR_NO_NWFILTER_BINDING = 101,
    VIR_ERR_INVALID_DOMAIN_CHECKPOINT = 102,
    VIR_ERR_NO_DOMAIN_CHECKPOINT = 103,
    VIR_ERR_NO_DOMAIN_BACKUP = 104,
    VIR_ERR_INVALID_NETWORK_PORT = 105,
    VIR_ERR_NETWORK_PORT_EXIST = 106,
    VIR_ERR_NO_NETWORK_PORT = 107,
    VIR_ERR_NO_HOSTNAME = 108,
    VIR_ERR_CHECKPOINT_INCONSISTENT = 109,
    VIR_ERR_MULTIPLE_DOMAINS = 110,
    VIR_ERR_NO_NETWORK_METADATA = 111,
    VIR_ERR_AGENT_COMMAND_TIMEOUT = 112,
    VIR_ERR_AGENT_COMMAND_FAILED = 113,
    VIR_ERR_INVALID_ENCR_KEY_SECRET = 114 /* a secret's value does not do as an encryption key */
#ifdef VIR_ENUM_SENTINELS
    , VIR_ERR_NUMBER_LAST = 115 /* one more than the last: grows with versions */
#endif
} virErrorNumber;

/* One error. code and domain are plain numbers: expect some that are not above, from newer daemons. */
struct _virError {
    int code;            /* a virErrorNumber */
    int domain;          /* a virErrorDomain */
    char *message;       /* for people, NULL when code is VIR_ERR_OK */
    virErrorLevel level;
    virConnectPtr conn VIR_DEPRECATED; /* always NULL, as are dom and net */
    virDomainPtr dom VIR_DEPRECATED;
    char *str1;          /* details, mostly what the message was made of; NULL or -1 when there are none */
    char *str2;
    char *str3;
    int int1;
    int int2;
    virNetworkPtr net VIR_DEPRECATED;
};
typedef struct _virError virError;
typedef virError *virErrorPtr;

/* The thread's last error. These leave it as it is. */

/* The error, or NULL when there is none. Valid until this thread's next call; not to be freed. */
virErrorPtr virGetLastError(void);

/* Its code and its domain, 0 when there is none. */
int virGetLastErrorCode(void);
int virGetLastErrorDomain(void);

/* Its message, some text in any case: "no error" when there is none. Valid until this thread's next call. */
const char *virGetLastErrorMessage(void);

/* A copy, for virFreeError(); with code VIR_ERR_OK when there is none. NULL: out of memory. */
virErrorPtr virSaveLastError(void);

/* Copy it into *to, which may hold anything: what is there is not looked at, nor freed. virResetError() frees what the
 * copy holds. Returns its code, 0 when there is none and *to is all zero, -1 when to is NULL. */
int virCopyLastError(virErrorPtr to);

/* Forget it. */
void virResetLastError(void);

/* Errors that the caller has. NULL is fine. */

/* Free what it points to and set it to nothing. The struct stays the caller's. */
void virResetError(virErrorPtr err);

/* The same, and free it too: the counterpart of virSaveLastError(). */
void virFreeError(virErrorPtr err);

/* A connection's last error, of whichever thread: as above, and NULL or -1 for what is no connection, with *to all zero
 * then too. */
virErrorPtr virConnGetLastError(virConnectPtr conn);
int virConnCopyLastError(virConnectPtr conn, virErrorPtr to);
void virConnResetLastError(virConnectPtr conn);

/* Who is told when a call fails: the connection's handler, or else the process's, or else stderr. A handler runs in
 * the thread of the call, before it returns; the error is valid until then. */

typedef void (*virErrorFunc)(void *userData, virErrorPtr error);

/* Set the process's handler; NULL for stderr again. */
void virSetErrorFunc(void *userData, virErrorFunc handler);

/* Set a connection's handler; NULL for the process's again. */
void virConnSetErrorFunc(virConnectPtr conn, void *userData, virErrorFunc handler);

/* Write a line about the error to stderr: what is done without a handler. */
void virDefaultErrorFunc(virErrorPtr err);

#ifdef __cplusplus
}
#endif

#endif /* VIRSECRET_LIBVIRT_VIRTERROR_H */
