/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets: defining, finding and listing them, their values, their events.
 * A part of <libvirt/libvirt.h>, which also says what all functions have in common.
 *
 *   secret    has a UUID, and at most one usage: a type, and an ID that no other secret of that type has
 *   value     up to 65536 bytes, none until it is set; apart from the XML, which never has it
 *   ephemeral kept in memory only, gone when the daemon stops
 *   private   its value can be set but not read
 *
 * A handle is a snapshot of UUID and usage. It stays valid when the secret is gone or changed; calls that need the
 * secret then say VIR_ERR_NO_SECRET.
 */

#ifndef VIRSECRET_LIBVIRT_SECRET_H
#define VIRSECRET_LIBVIRT_SECRET_H

#ifndef VIRSECRET_WITHIN_LIBVIRT_H
#error "libvirt-secret.h is a part of <libvirt/libvirt.h>: include that"
#endif

#include "libvirt-host.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A handle of a secret: opaque, a counted reference, valid until virSecretFree() has taken it back. It holds a
 * reference to its connection. */
typedef struct _virSecret virSecret;
typedef virSecret *virSecretPtr;

/* What a secret is for. Expect numbers that are not here: newer daemons may know more. */
typedef enum {
    VIR_SECRET_USAGE_TYPE_NONE = 0,   /* nothing said; no usage ID */
    VIR_SECRET_USAGE_TYPE_VOLUME = 1, /* an encrypted volume; its path */
    VIR_SECRET_USAGE_TYPE_CEPH = 2,   /* a Ceph client; any name */
    VIR_SECRET_USAGE_TYPE_ISCSI = 3,  /* an iSCSI target's CHAP; any name */
    VIR_SECRET_USAGE_TYPE_TLS = 4,    /* a TLS private key's passphrase; any name */
    VIR_SECRET_USAGE_TYPE_VTPM = 5    /* a virtual TPM's encrypted state; any name */
#ifdef VIR_ENUM_SENTINELS
    , VIR_SECRET_USAGE_TYPE_LAST = 6  /* one more than the last: grows with versions */
#endif
} virSecretUsageType;

/* Defining and undefining. */

typedef enum {
    VIR_SECRET_DEFINE_VALIDATE = 1 /* check the XML against its schema first: VIR_ERR_XML_INVALID_SCHEMA */
} virSecretDefineFlags;

/* Define a secret as XML describes it; flags are virSecretDefineFlags.
 *
 * Without a UUID in the XML a new secret gets a random one. With the UUID of an existing secret that one is described
 * anew, from the XML alone: what the XML does not say is the default again. Its value stays.
 *
 * The result is one reference, for virSecretFree(). VIR_ERR_XML_ERROR and VIR_ERR_XML_DETAIL: the XML is at fault.
 * VIR_ERR_INTERNAL_ERROR: the usage belongs to another secret, or is not the one that the existing secret has. */
virSecretPtr virSecretDefineXML(virConnectPtr conn, const char *xml, unsigned int flags);

/* Remove the secret and its value from the daemon. The handle still has to be freed. */
int virSecretUndefine(virSecretPtr secret);

/* Finding one. The result is one reference, for virSecretFree(). VIR_ERR_NO_SECRET: there is none. */

/* By the VIR_UUID_BUFLEN bytes of its UUID. */
virSecretPtr virSecretLookupByUUID(virConnectPtr conn, const unsigned char *uuid);

/* By its UUID as text: 32 hex digits, with or without hyphens. VIR_ERR_INVALID_ARG: it is no UUID. */
virSecretPtr virSecretLookupByUUIDString(virConnectPtr conn, const char *uuid);

/* By its usage: a virSecretUsageType, and an ID that must not be NULL. */
virSecretPtr virSecretLookupByUsage(virConnectPtr conn, int usageType, const char *usageID);

/* Listing all, in no order. A list has at most 16384 secrets; more are an error. */

/* Which secrets to list; a sum of these. Of a pair, none or both mean either. */
typedef enum {
    VIR_CONNECT_LIST_SECRETS_EPHEMERAL = 1,
    VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL = 2,
    VIR_CONNECT_LIST_SECRETS_PRIVATE = 4,
    VIR_CONNECT_LIST_SECRETS_NO_PRIVATE = 8
} virConnectListAllSecretsFlags;

/* List secrets that the flags let through. Returns how many, or -1. *secrets becomes an array of that many references
 * and a NULL: the caller gives each to virSecretFree() and the array to free(). It is NULL after -1. With NULL for
 * secrets they are only counted. */
int virConnectListAllSecrets(virConnectPtr conn, virSecretPtr **secrets, unsigned int flags);

/* How many there are, or -1. */
int virConnectNumOfSecrets(virConnectPtr conn);

/* Put the UUIDs, as text, of up to maxuuids secrets into the array uuids. Returns how many, or -1; each text is the
 * caller's, to be given to free(). Elements beyond are left alone. Prefer virConnectListAllSecrets(), which needs no
 * guess of the size. maxuuids is 0 to 16384. */
int virConnectListSecrets(virConnectPtr conn, char **uuids, int maxuuids);

/* Handles. What they say comes from the handle: the daemon is not asked. */

/* One more reference, to be taken back with virSecretFree(). */
int virSecretRef(virSecretPtr secret);

/* Take a reference back; after the last the pointer is dead. The secret itself stays, see virSecretUndefine(). */
int virSecretFree(virSecretPtr secret);

/* Its connection, without a reference of its own: valid as long as the handle is. */
virConnectPtr virSecretGetConnect(virSecretPtr secret);

/* Its UUID, into buf of VIR_UUID_BUFLEN bytes. */
int virSecretGetUUID(virSecretPtr secret, unsigned char *buf);

/* Its UUID as lower-case text with hyphens, into buf of VIR_UUID_STRING_BUFLEN bytes. */
int virSecretGetUUIDString(virSecretPtr secret, char *buf);

/* Its usage's type, a virSecretUsageType or a newer number, or -1. */
int virSecretGetUsageType(virSecretPtr secret);

/* Its usage's ID, "" for VIR_SECRET_USAGE_TYPE_NONE. Valid as long as the handle is. */
const char *virSecretGetUsageID(virSecretPtr secret);

/* XML and value. The daemon is asked. */

/* The XML that describes it, without the value. */
char *virSecretGetXMLDesc(virSecretPtr secret, unsigned int flags);

/* Set its value to value_size bytes, 1 to 65536 of any kind; what it was is gone. The bytes stay the caller's.
 * VIR_ERR_INVALID_ARG: no bytes. VIR_ERR_RPC: too many. VIR_ERR_OPERATION_DENIED: opened read-only. */
int virSecretSetValue(virSecretPtr secret, const unsigned char *value, size_t value_size, unsigned int flags);

/* Its value, and the number of its bytes in *value_size, which an error leaves alone. No NUL follows them. The caller
 * wipes them when done and gives them to free(); the library cannot reach them any more.
 *
 * VIR_ERR_NO_SECRET: no such secret, or it has no value. VIR_ERR_INVALID_SECRET: it is private.
 * VIR_ERR_OPERATION_DENIED: opened read-only. */
unsigned char *virSecretGetValue(virSecretPtr secret, size_t *value_size, unsigned int flags);

/* Events. They need an event loop that was registered before the connection was opened: libvirt-event.h. */

typedef enum {
    VIR_SECRET_EVENT_ID_LIFECYCLE = 0,    /* a virConnectSecretEventLifecycleCallback */
    VIR_SECRET_EVENT_ID_VALUE_CHANGED = 1 /* a virConnectSecretEventGenericCallback */
#ifdef VIR_ENUM_SENTINELS
    , VIR_SECRET_EVENT_ID_LAST = 2        /* one more than the last: grows with versions */
#endif
} virSecretEventID;

/* What happened in a secret's life. Defining an existing secret anew is VIR_SECRET_EVENT_DEFINED too. */
typedef enum {
    VIR_SECRET_EVENT_DEFINED = 0,
    VIR_SECRET_EVENT_UNDEFINED = 1
#ifdef VIR_ENUM_SENTINELS
    , VIR_SECRET_EVENT_LAST = 2 /* one more than the last: grows with versions */
#endif
} virSecretEventLifecycleType;

/* Called by the event loop. The secret is valid during the call; to keep it, virSecretRef() it. */

/* A value was set. Also the type as which every callback is registered, see VIR_SECRET_EVENT_CALLBACK. */
typedef void (*virConnectSecretEventGenericCallback)(virConnectPtr conn, virSecretPtr secret, void *opaque);

/* A secret was defined or undefined: event is a virSecretEventLifecycleType, detail is 0. */
typedef void (*virConnectSecretEventLifecycleCallback)(virConnectPtr conn, virSecretPtr secret, int event, int detail,
                                                       void *opaque);

/* Any of the callbacks, as virConnectSecretEventRegisterAny() takes it. */
#define VIR_SECRET_EVENT_CALLBACK(cb) ((virConnectSecretEventGenericCallback)(cb))

/* Have cb called at events of that ID: of one secret, or of all when secret is NULL.
 *
 * Returns a number of 0 or more that names the registration on this connection, or -1. freecb, unless NULL, gets
 * opaque when the registration has ended; not when this fails. VIR_ERR_INVALID_ARG: no such event ID, or the same
 * function is registered for the same already. */
int virConnectSecretEventRegisterAny(virConnectPtr conn, virSecretPtr secret, int eventID,
                                     virConnectSecretEventGenericCallback cb, void *opaque, virFreeCallback freecb);

/* End the registration of that number. cb is not called again. */
int virConnectSecretEventDeregisterAny(virConnectPtr conn, int callbackID);

#ifdef __cplusplus
}
#endif

#endif /* VIRSECRET_LIBVIRT_SECRET_H */
