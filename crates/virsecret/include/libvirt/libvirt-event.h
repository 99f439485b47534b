/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop: the program's own, or one that comes with the library.
 * A part of <libvirt/libvirt.h>, which also says what all functions have in common.
 *
 * Events of secrets, keepalive and close callbacks arrive while a loop runs. A loop is registered once in the life of
 * a process, before the first connection is opened, and is never taken back:
 *
 *   virEventRegisterDefaultImpl();
 *   conn = virConnectOpen("secret:///system");
 *   ...
 *   while (running)
 *       virEventRunDefaultImpl();
 *
 * A watch is a file descriptor that is looked at, a timer is a time that is waited for; both are known by a number
 * that is the loop's to choose.
 */

#ifndef VIRSECRET_LIBVIRT_EVENT_H
#define VIRSECRET_LIBVIRT_EVENT_H

#ifndef VIRSECRET_WITHIN_LIBVIRT_H
#error "libvirt-event.h is a part of <libvirt/libvirt.h>: include that"
#endif

#include "libvirt-common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What may happen on a file descriptor; a sum of these. */
typedef enum {
    VIR_EVENT_HANDLE_READABLE = 1,
    VIR_EVENT_HANDLE_WRITABLE = 2,
    VIR_EVENT_HANDLE_ERROR = 4,
    VIR_EVENT_HANDLE_HANGUP = 8
} virEventHandleType;

/* Called by the loop: something happened on a file descriptor, a timer is due. Either may change or remove any watch
 * or timer, its own too. */
typedef void (*virEventHandleCallback)(int watch, int fd, int events, void *opaque);
typedef void (*virEventTimeoutCallback)(int timer, void *opaque);

/* The loop that comes with the library. */

/* Make it this process's loop. Nothing happens when it already is. */
int virEventRegisterDefaultImpl(void);

/* One round: wait until something happens, call the callbacks that are due. It must have been registered, and one
 * thread runs it at a time. */
int virEventRunDefaultImpl(void);

/* Watches and timers of whichever loop is registered; -1 when none is. Any thread may call these. */

/* Watch fd for a sum of virEventHandleType; with 0 nothing is reported until that changes. Returns the watch. fd stays
 * the caller's to close, after the watch is removed. ff, unless NULL, gets opaque when the watch is removed and its
 * callback has ended: in a later round of the loop. */
int virEventAddHandle(int fd, int events, virEventHandleCallback cb, void *opaque, virFreeCallback ff);

/* Watch for something else from now on. */
void virEventUpdateHandle(int watch, int events);

/* Stop watching. -1 when there is no such watch. */
int virEventRemoveHandle(int watch);

/* Call cb every so many milliseconds: 0 in every round of the loop, -1 not until changed. Returns the timer. ff as
 * for watches. */
int virEventAddTimeout(int frequency, virEventTimeoutCallback cb, void *opaque, virFreeCallback ff);

/* Wait for another time from now on. */
void virEventUpdateTimeout(int timer, int frequency);

/* Stop waiting. -1 when there is no such timer. */
int virEventRemoveTimeout(int timer);

/* A loop of the program's own: these six, which do what the functions above say. They are called from any thread,
 * also from within callbacks. They call ff after the callback's last run, never from within themselves. */

typedef int (*virEventAddHandleFunc)(int fd, int event, virEventHandleCallback cb, void *opaque, virFreeCallback ff);
typedef void (*virEventUpdateHandleFunc)(int watch, int event);
typedef int (*virEventRemoveHandleFunc)(int watch);
typedef int (*virEventAddTimeoutFunc)(int timeout, virEventTimeoutCallback cb, void *opaque, virFreeCallback ff);
typedef void (*virEventUpdateTimeoutFunc)(int timer, int timeout);
typedef int (*virEventRemoveTimeoutFunc)(int timer);

/* Make them this process's loop. Ignored when there is one already. */
void virEventRegisterImpl(virEventAddHandleFunc addHandle, virEventUpdateHandleFunc updateHandle,
                          virEventRemoveHandleFunc removeHandle, virEventAddTimeoutFunc addTimeout,
                          virEventUpdateTimeoutFunc updateTimeout, virEventRemoveTimeoutFunc removeTimeout);

#ifdef __cplusplus
}
#endif

#endif /* VIRSECRET_LIBVIRT_EVENT_H */
