/* SPDX-License-Identifier: Apache-2.0
 *
 * What every part of the API builds on: version numbers, typed parameters, handles of other objects.
 * A part of <libvirt/libvirt.h>, which also says what all functions have in common.
 */

#ifndef VIRSECRET_LIBVIRT_COMMON_H
#define VIRSECRET_LIBVIRT_COMMON_H

#ifndef VIRSECRET_WITHIN_LIBVIRT_H
#error "libvirt-common.h is a part of <libvirt/libvirt.h>: include that"
#endif

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Compilers. A program may define the first itself, to be warned of nothing. */

#ifndef VIR_DEPRECATED
#ifdef __GNUC__
#define VIR_DEPRECATED __attribute__((__deprecated__))
#else
#define VIR_DEPRECATED
#endif
#endif

#ifndef VIR_EXPORT_VAR
#define VIR_EXPORT_VAR extern
#endif

/* Versions: major * 1000000 + minor * 1000 + micro. */

/* The libvirt whose API this is. Not the version of libvirsecret: ask pkg-config for that one. */
#define LIBVIR_VERSION_NUMBER 12008000

/* True in code, and in #if, when this API is at least as new as the version given. */
#define LIBVIR_CHECK_VERSION(major, minor, micro) \
    (LIBVIR_VERSION_NUMBER >= (major) * 1000000 + (minor) * 1000 + (micro))

/* Takes back what a callback was registered with, once that callback will not be called again. Runs in the thread
 * that runs the event loop, or in the one that let the last reference go. */
typedef void (*virFreeCallback)(void *opaque);

/* Why a connection ended. */
typedef enum {
    VIR_CONNECT_CLOSE_REASON_ERROR = 0,     /* reading or writing failed */
    VIR_CONNECT_CLOSE_REASON_EOF = 1,       /* the daemon hung up */
    VIR_CONNECT_CLOSE_REASON_KEEPALIVE = 2, /* the daemon stopped answering, see virConnectSetKeepAlive() */
    VIR_CONNECT_CLOSE_REASON_CLIENT = 3     /* this side wanted it */
#ifdef VIR_ENUM_SENTINELS
    , VIR_CONNECT_CLOSE_REASON_LAST = 4     /* one more than the last: grows with versions */
#endif
} virConnectCloseReason;

/* Handles of objects that this library does not serve. They are here because errors and programs name them. */

typedef struct _virDomain virDomain;
typedef virDomain *virDomainPtr;
typedef struct _virDomainCheckpoint virDomainCheckpoint;
typedef virDomainCheckpoint *virDomainCheckpointPtr;
typedef struct _virDomainSnapshot virDomainSnapshot;
typedef virDomainSnapshot *virDomainSnapshotPtr;
typedef struct _virInterface virInterface;
typedef virInterface *virInterfacePtr;
typedef struct _virNetwork virNetwork;
typedef virNetwork *virNetworkPtr;
typedef struct _virNetworkPort virNetworkPort;
typedef virNetworkPort *virNetworkPortPtr;
typedef struct _virNodeDevice virNodeDevice;
typedef virNodeDevice *virNodeDevicePtr;
typedef struct _virNWFilter virNWFilter;
typedef virNWFilter *virNWFilterPtr;
typedef struct _virNWFilterBinding virNWFilterBinding;
typedef virNWFilterBinding *virNWFilterBindingPtr;
typedef struct _virStoragePool virStoragePool;
typedef virStoragePool *virStoragePoolPtr;
typedef struct _virStorageVol virStorageVol;
typedef virStorageVol *virStorageVolPtr;
typedef struct _virStream virStream;
typedef virStream *virStreamPtr;

/* Typed parameters: a list of named values, as virConnectSetIdentity() takes it.
 *
 *   virTypedParameterPtr params = NULL;
 *   int count = 0, room = 0;
 *   virTypedParamsAddString(&params, &count, &room, VIR_CONNECT_IDENTITY_USER_NAME, "nova");
 *   ...
 *   virTypedParamsFree(params, count);
 */

/* The ABI has long long, C89 and C++98 have not: -pedantic would object. */
#ifdef __GNUC__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wlong-long"
#endif

/* The longest name, its NUL included. */
#define VIR_TYPED_PARAM_FIELD_LENGTH 80

/* Which member of the value counts. */
typedef enum {
    VIR_TYPED_PARAM_INT = 1,
    VIR_TYPED_PARAM_UINT = 2,
    VIR_TYPED_PARAM_LLONG = 3,
    VIR_TYPED_PARAM_ULLONG = 4,
    VIR_TYPED_PARAM_DOUBLE = 5,
    VIR_TYPED_PARAM_BOOLEAN = 6,
    VIR_TYPED_PARAM_STRING = 7
#ifdef VIR_ENUM_SENTINELS
    , VIR_TYPED_PARAM_LAST = 8 /* one more than the last: grows with versions */
#endif
} virTypedParameterType;

/* A flag of calls that return parameters: the caller can take strings. */
typedef enum {
    VIR_TYPED_PARAM_STRING_OKAY = 4
} virTypedParameterFlags;

struct _virTypedParameter {
    char field[VIR_TYPED_PARAM_FIELD_LENGTH]; /* the name, NUL-terminated */
    int type;                                 /* a virTypedParameterType */
    union {
        int i;
        unsigned int ui;
        long long l;
        unsigned long long ul;
        double d;
        char b;  /* 0 or 1 */
        char *s; /* from malloc() */
    } value;
};
typedef struct _virTypedParameter virTypedParameter;
typedef virTypedParameter *virTypedParameterPtr;

/* Append one value.
 *
 * *params is NULL or from malloc(), holds *nparams values and has room for *maxparams; all three are updated. What
 * they point to must exist. A name may occur more than once. Name and text are copied; of a name that is too long
 * nothing is added (VIR_ERR_INTERNAL_ERROR). After -1 the list is as valid as it was, and still to be freed. */
int virTypedParamsAddInt(virTypedParameterPtr *params, int *nparams, int *maxparams, const char *name, int value);
int virTypedParamsAddUInt(virTypedParameterPtr *params, int *nparams, int *maxparams, const char *name,
                          unsigned int value);
int virTypedParamsAddLLong(virTypedParameterPtr *params, int *nparams, int *maxparams, const char *name,
                           long long value);
int virTypedParamsAddULLong(virTypedParameterPtr *params, int *nparams, int *maxparams, const char *name,
                            unsigned long long value);
int virTypedParamsAddDouble(virTypedParameterPtr *params, int *nparams, int *maxparams, const char *name,
                            double value);
/* Any value but 0 is kept as 1. */
int virTypedParamsAddBoolean(virTypedParameterPtr *params, int *nparams, int *maxparams, const char *name, int value);
/* NULL is kept as "". */
int virTypedParamsAddString(virTypedParameterPtr *params, int *nparams, int *maxparams, const char *name,
                            const char *value);
/* Appends each text of a list that ends in NULL, all under one name. No list, NULL, appends nothing. */
int virTypedParamsAddStringList(virTypedParameterPtr *params, int *nparams, int *maxparams, const char *name,
                                const char **values);
/* Reads the text as the type says; a boolean is "0" or "1". VIR_ERR_INVALID_ARG: it does not read as that, or is
 * NULL. */
int virTypedParamsAddFromString(virTypedParameterPtr *params, int *nparams, int *maxparams, const char *name, int type,
                                const char *value);

/* Find the first parameter of that name, or NULL. It stays the list's. */
virTypedParameterPtr virTypedParamsGet(virTypedParameterPtr params, int nparams, const char *name);

/* Find the first parameter of that name and copy its value out, unless value is NULL.
 *
 * Returns 1 when found, 0 when there is none (*value is untouched), -1 when its type is another
 * (VIR_ERR_INVALID_ARG). A string stays the list's. */
int virTypedParamsGetInt(virTypedParameterPtr params, int nparams, const char *name, int *value);
int virTypedParamsGetUInt(virTypedParameterPtr params, int nparams, const char *name, unsigned int *value);
int virTypedParamsGetLLong(virTypedParameterPtr params, int nparams, const char *name, long long *value);
int virTypedParamsGetULLong(virTypedParameterPtr params, int nparams, const char *name, unsigned long long *value);
int virTypedParamsGetDouble(virTypedParameterPtr params, int nparams, const char *name, double *value);
int virTypedParamsGetBoolean(virTypedParameterPtr params, int nparams, const char *name, int *value);
int virTypedParamsGetString(virTypedParameterPtr params, int nparams, const char *name, const char **value);

/* Free the strings in the list, not the list. NULL is fine. */
void virTypedParamsClear(virTypedParameterPtr params, int nparams);

/* Free the strings and the list. NULL is fine. */
void virTypedParamsFree(virTypedParameterPtr params, int nparams);

#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif

#ifdef __cplusplus
}
#endif

#endif /* VIRSECRET_LIBVIRT_COMMON_H */
