/* What a program may do to the library for a long time: life.c URI MODE COUNT
 *
 *   threads N   sixteen threads on one connection, N rounds each: values, definitions, errors of their own, references
 *   cycles N    N connections opened, used and closed, with the event loop and without: no memory, thread or descriptor
 *               may be left
 *   events N    callbacks that deregister themselves and each other while N events come
 *   dead N      calls on a connection whose daemon is killed meanwhile: the process id is N
 *   closing N   the same, with a callback that closes the program's last reference while the call still runs
 *   calls N     what single calls answer, N times
 *   ends N      a connection that ends while it is opened (stub_daemon.py): it does not open, or it is not read for ever
 *   beyond N    a daemon that says that its own way has ended (stub_daemon.py): the callback is told, and the connection stays
 *
 * Exit status 0 if all is as it should be; else it says what is not. valgrind and AddressSanitizer watch it too.
 */
#ifdef NDEBUG
#error this is all checks
#endif
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(what) do { if (!(what)) { fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #what, virGetLastErrorMessage()); exit(1); } } while (0)
#define THREADS 16

static const char *uri;
static void quiet(void *data, virErrorPtr error) { (void)data; (void)error; }

struct thread { pthread_t thread; virConnectPtr connect; int number, rounds; };

static void *work(void *data)
{
    struct thread *self = data;
    char xml[300], uuid[VIR_UUID_STRING_BUFLEN], value[64];
    int i;
    sprintf(xml, "<secret><uuid>11fe0000-0000-4000-8000-%012d</uuid><usage type='ceph'><name>life %d</name></usage></secret>", self->number, self->number);
    for (i = 0; i < self->rounds; i++) {
        virSecretPtr secret = virSecretDefineXML(self->connect, xml, 0), again;
        unsigned char *got;
        size_t size = 0;
        CHECK(secret);
        sprintf(value, "value %d of thread %d", i, self->number);
        CHECK(virSecretSetValue(secret, (unsigned char *)value, strlen(value), 0) == 0);
        got = virSecretGetValue(secret, &size, 0);
        CHECK(got && size == strlen(value) && memcmp(got, value, size) == 0);
        free(got);
        CHECK(virSecretGetUUIDString(secret, uuid) == 0);
        again = virSecretLookupByUUIDString(self->connect, uuid);
        CHECK(again && virSecretGetConnect(again) == self->connect);
        CHECK(virSecretRef(again) == 0 && virSecretFree(again) == 0 && virSecretFree(again) == 0);
        /* An error of this thread, which no other thread may see or change. */
        sprintf(value, "ffffffff-0000-4000-8000-%012d", self->number);
        CHECK(!virSecretLookupByUUIDString(self->connect, value));
        CHECK(virGetLastErrorCode() == VIR_ERR_NO_SECRET && strstr(virGetLastErrorMessage(), value));
        CHECK(virConnectNumOfSecrets(self->connect) >= 1);
        if (i + 1 == self->rounds) CHECK(virSecretUndefine(secret) == 0);
        CHECK(virSecretFree(secret) == 0);
    }
    return NULL;
}

static void threads(int rounds)
{
    struct thread all[THREADS];
    virConnectPtr connect = virConnectOpen(uri);
    int i;
    CHECK(connect);
    for (i = 0; i < THREADS; i++) {
        all[i].connect = connect; all[i].number = i; all[i].rounds = rounds;
        CHECK(pthread_create(&all[i].thread, NULL, work, &all[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) pthread_join(all[i].thread, NULL);
    CHECK(virConnectClose(connect) == 0);
}

static int entries(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

static long resident(void)
{
    long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%ld %ld", &size, &pages) == 2);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE) / 1024;
}

static volatile int stop;
static void tick(int timer, void *data) { (void)timer; (void)data; }
static void *loop(void *data) { (void)data; while (!stop) virEventRunDefaultImpl(); return NULL; }
static int freed;
static void count_free(void *data) { (void)data; __sync_fetch_and_add(&freed, 1); }
static void nothing(virConnectPtr connect, virSecretPtr secret, int event, int detail, void *data) { (void)connect; (void)secret; (void)event; (void)detail; (void)data; }
static void closed(virConnectPtr connect, int reason, void *data)
{
    unsigned long version;
    *(int *)data = reason;
    CHECK(virConnectGetLibVersion(connect, &version) == -1); /* Any function may be called, and none waits for ever. */
}

static void cycle(int with_loop)
{
    virConnectPtr connect = virConnectOpen(uri);
    virSecretPtr *all;
    int i, count;
    CHECK(connect);
    count = virConnectListAllSecrets(connect, &all, 0);
    CHECK(count >= 0 && !all[count]);
    for (i = 0; i < count; i++) CHECK(virSecretFree(all[i]) == 0);
    free(all);
    CHECK(!virConnectGetHostname(connect) && virGetLastErrorCode() == VIR_ERR_NO_SUPPORT);
    if (with_loop) {
        int id = virConnectSecretEventRegisterAny(connect, NULL, 0, VIR_SECRET_EVENT_CALLBACK(nothing), NULL, count_free);
        CHECK(id == 0 && virConnectSetKeepAlive(connect, 5, 3) == 0);
        CHECK(virConnectSecretEventDeregisterAny(connect, id) == 0);
    }
    CHECK(virConnectClose(connect) == 0);
}

static void cycles(int count)
{
    int i, descriptors = 0, tasks = 0;
    long before = 0;
    pthread_t looping;
    for (i = 0; i < count / 2 + 100; i++) {
        if (i == 100) { before = resident(); descriptors = entries("/proc/self/fd"); tasks = entries("/proc/self/task"); }
        cycle(0);
    }
    CHECK(entries("/proc/self/fd") == descriptors && entries("/proc/self/task") == tasks);
    CHECK(count < 1000 || resident() - before < 1024); /* valgrind has memory of its own. */
    CHECK(virEventRegisterDefaultImpl() == 0 && virEventAddTimeout(20, tick, NULL, NULL) >= 0);
    CHECK(pthread_create(&looping, NULL, loop, NULL) == 0);
    for (i = 0; i < count / 2 + 100; i++) {
        if (i == 100) { before = resident(); descriptors = entries("/proc/self/fd"); tasks = entries("/proc/self/task"); }
        cycle(1);
    }
    usleep(100000); /* The loop closes what was removed. */
    CHECK(entries("/proc/self/fd") <= descriptors + 1 && entries("/proc/self/task") == tasks);
    CHECK(count < 1000 || resident() - before < 2048);
    CHECK(freed == count / 2 + 100);
    stop = 1;
    pthread_join(looping, NULL);
}

static int seen[4], ids[4];
static void deregisters(virConnectPtr connect, virSecretPtr secret, int event, int detail, void *data)
{
    int which = *(int *)data;
    (void)event; (void)detail;
    CHECK(virSecretGetConnect(secret) == connect);
    __sync_fetch_and_add(&seen[which], 1);
    if (which == 1) CHECK(virConnectSecretEventDeregisterAny(connect, ids[1]) == 0);       /* itself */
    if (which == 2 && seen[2] == 1) CHECK(virConnectSecretEventDeregisterAny(connect, ids[3]) == 0); /* another */
}
static void second(virConnectPtr c, virSecretPtr s, int e, int d, void *o) { deregisters(c, s, e, d, o); }
static void third(virConnectPtr c, virSecretPtr s, int e, int d, void *o) { deregisters(c, s, e, d, o); }
static void fourth(virConnectPtr c, virSecretPtr s, int e, int d, void *o) { deregisters(c, s, e, d, o); }

static void run_events(int count)
{
    static int numbers[4] = {0, 1, 2, 3};
    virConnectSecretEventLifecycleCallback functions[4] = {deregisters, second, third, fourth};
    virConnectPtr connect, other;
    pthread_t looping;
    int i;
    CHECK(virEventRegisterDefaultImpl() == 0 && virEventAddTimeout(20, tick, NULL, NULL) >= 0);
    CHECK(pthread_create(&looping, NULL, loop, NULL) == 0);
    CHECK((connect = virConnectOpen(uri)) && (other = virConnectOpen(uri)));
    for (i = 0; i < 4; i++)
        CHECK((ids[i] = virConnectSecretEventRegisterAny(connect, NULL, VIR_SECRET_EVENT_ID_LIFECYCLE, VIR_SECRET_EVENT_CALLBACK(functions[i]), &numbers[i], count_free)) == i);
    for (i = 0; i < count; i++) {
        virSecretPtr secret = virSecretDefineXML(other, "<secret><uuid>11fe0001-0000-4000-8000-000000000000</uuid></secret>", 0);
        CHECK(secret && virSecretFree(secret) == 0);
        CHECK(virConnectNumOfSecrets(connect) > 0); /* Replies and events come on one stream. */
    }
    for (i = 0; i < 1000 && seen[0] < count; i++) usleep(10000);
    CHECK(seen[0] == count && seen[1] == 1 && seen[2] == count && seen[3] == 0);
    CHECK(virConnectSecretEventDeregisterAny(connect, ids[0]) == 0);
    CHECK(virConnectSecretEventDeregisterAny(connect, ids[2]) == 0);
    CHECK(virConnectSecretEventDeregisterAny(connect, ids[2]) == -1);
    CHECK(freed == 4);
    CHECK(virConnectClose(connect) == 0 && virConnectClose(other) == 0);
    stop = 1;
    pthread_join(looping, NULL);
}

static void dead(int pid)
{
    virConnectPtr connect = virConnectOpen(uri);
    int reason = -1;
    virSecretPtr secret;
    CHECK(connect && virConnectRegisterCloseCallback(connect, closed, &reason, count_free) == 0);
    CHECK((secret = virSecretDefineXML(connect, "<secret/>", 0)));
    CHECK(kill(pid, SIGKILL) == 0);
    while (kill(pid, 0) == 0) usleep(1000);
    /* No SIGPIPE, an error instead, and the callback before the call returns. */
    CHECK(virConnectNumOfSecrets(connect) == -1 && virGetLastErrorCode() == VIR_ERR_SYSTEM_ERROR);
    CHECK(reason == VIR_CONNECT_CLOSE_REASON_EOF && freed == 1);
    CHECK(virConnectIsAlive(connect) == 0);
    CHECK(virSecretUndefine(secret) == -1 && virGetLastErrorCode() == VIR_ERR_INTERNAL_ERROR);
    CHECK(strcmp(virGetLastErrorMessage(), "internal error: client socket is closed") == 0);
    CHECK(virSecretFree(secret) == 0 && virConnectClose(connect) == 0);
}

static void closes(virConnectPtr connect, int reason, void *data)
{
    *(int *)data = reason;
    CHECK(virConnectClose(connect) == 1); /* The call that is running, and the callback itself, hold it. */
}

static void closing(int pid)
{
    virConnectPtr connect = virConnectOpen(uri);
    int reason = -1;
    CHECK(connect && virConnectRegisterCloseCallback(connect, closes, &reason, count_free) == 0);
    CHECK(kill(pid, SIGKILL) == 0);
    while (kill(pid, 0) == 0) usleep(1000);
    CHECK(virConnectNumOfSecrets(connect) == -1 && virGetLastErrorCode() == VIR_ERR_SYSTEM_ERROR);
    CHECK(reason == VIR_CONNECT_CLOSE_REASON_EOF && freed == 1);
}

static int is_zero(const virError *error)
{
    static const virError none;
    return memcmp(error, &none, sizeof none) == 0;
}

/* Into what was never written, as a variable of a function is. `one` has an error, `other` has none. */
static void copies(virConnectPtr one, virConnectPtr other)
{
    virError copy;
    memset(&copy, 0x41, sizeof copy);
    CHECK(virConnCopyLastError(one, &copy) == VIR_ERR_INVALID_ARG && copy.code == VIR_ERR_INVALID_ARG && copy.message);
    virResetError(&copy);
    memset(&copy, 0x41, sizeof copy);
    CHECK(virCopyLastError(&copy) == VIR_ERR_INVALID_ARG && copy.code == VIR_ERR_INVALID_ARG && copy.message);
    virResetError(&copy);
    memset(&copy, 0x41, sizeof copy);
    CHECK(virConnCopyLastError(other, &copy) == 0 && is_zero(&copy));
    memset(&copy, 0x41, sizeof copy);
    CHECK(virConnCopyLastError(NULL, &copy) == -1 && is_zero(&copy));
    CHECK(virConnCopyLastError(one, NULL) == -1 && virCopyLastError(NULL) == -1);
    virResetLastError();
    memset(&copy, 0x41, sizeof copy);
    CHECK(virCopyLastError(&copy) == 0 && is_zero(&copy));
}

static void calls(int count)
{
    virErrorPtr saved;
    int i;
    CHECK(virEventRegisterDefaultImpl() == 0);
    for (i = 0; i < count; i++) {
        virConnectPtr one = virConnectOpen(uri), other = virConnectOpen(uri);
        virSecretPtr secret;
        CHECK(one && other && (secret = virSecretDefineXML(other, "<secret><uuid>11fe0002-0000-4000-8000-000000000000</uuid></secret>", 0)));
        CHECK(virConnectSecretEventRegisterAny(one, secret, 0, VIR_SECRET_EVENT_CALLBACK(nothing), NULL, count_free) == -1);
        CHECK(virGetLastErrorCode() == VIR_ERR_INVALID_ARG && virGetLastErrorDomain() == VIR_FROM_SECRET);
        CHECK(strstr(virGetLastErrorMessage(), "secret '11fe0002-0000-4000-8000-000000000000' in virConnectSecretEventRegisterAny must match connection"));
        CHECK(virConnGetLastError(one)->code == VIR_ERR_INVALID_ARG && virConnGetLastError(other)->code == VIR_ERR_OK);
        /* A line on stderr, as every program gets that says nothing of errors. */
        CHECK((saved = virSaveLastError()));
        virDefaultErrorFunc(saved);
        virFreeError(saved);
        copies(one, other);
        CHECK(virConnectSetKeepAlive(one, 0, 5) == 0);
        CHECK(virConnectSetKeepAlive(one, 5, 5) == 0 && virConnectSetKeepAlive(one, 7, 5) == 0);
        CHECK(virConnectSetKeepAlive(one, 0, 0) == 0 && virConnectSetKeepAlive(one, -1, 0) == 0);
        CHECK(virConnectSetKeepAlive(one, 7, 5) == -1 && virGetLastErrorCode() == VIR_ERR_INTERNAL_ERROR);
        CHECK(virSecretUndefine(secret) == 0 && virSecretFree(secret) == 0);
        CHECK(virConnectClose(one) == 0 && virConnectClose(other) == 0);
    }
    CHECK(freed == 0);
}

static int turns;
static void count_tick(int timer, void *data) { (void)timer; (void)data; stop = 1; }

static void ends(int seconds)
{
    virConnectPtr connect;
    CHECK(virEventRegisterDefaultImpl() == 0);
    connect = virConnectOpen(uri);
    CHECK(connect || virGetLastErrorCode() != VIR_ERR_OK);
    CHECK(virEventAddTimeout(seconds * 1000, count_tick, NULL, NULL) >= 0);
    for (turns = 0; !stop; turns++) CHECK(virEventRunDefaultImpl() == 0);
    CHECK(turns < 100);
    if (connect) virConnectClose(connect);
}

static void beyond(int seconds)
{
    virConnectPtr connect;
    int reason = -1;
    CHECK(virEventRegisterDefaultImpl() == 0 && (connect = virConnectOpen(uri)));
    CHECK(virConnectRegisterCloseCallback(connect, closes, &reason, count_free) == 0 && virConnectRef(connect) == 0);
    CHECK(virConnectNumOfSecrets(connect) == 0);
    CHECK(virEventAddTimeout(seconds * 1000, count_tick, NULL, NULL) >= 0);
    while (!stop && reason == -1) CHECK(virEventRunDefaultImpl() == 0);
    CHECK(reason == VIR_CONNECT_CLOSE_REASON_KEEPALIVE && freed == 1);
    CHECK(virConnectIsAlive(connect) == 1 && virConnectClose(connect) == 0);
}

static int told, happened;
static void count_told(void *data, virErrorPtr error)
{
    CHECK(data == &told && error->level == VIR_ERR_WARNING && error->code == VIR_ERR_INTERNAL_ERROR);
    CHECK(!strcmp(error->message, "internal error: 616 events were lost, because nobody took them in time"));
    CHECK(happened == 0);
    told++;
}
static void count_event(virConnectPtr connect, virSecretPtr secret, int event, int detail, void *data)
{
    (void)connect; (void)secret; (void)data;
    CHECK(event == VIR_SECRET_EVENT_DEFINED && detail == 0);
    happened++;
}

/* More events than are kept come while a call waits: once it is said how many are lost, and then come the others. */
static void floods(int gaps)
{
    virConnectPtr connect;
    int gap;
    CHECK(virEventRegisterDefaultImpl() == 0 && (connect = virConnectOpen(uri)));
    virConnSetErrorFunc(connect, &told, count_told);
    CHECK(virConnectSecretEventRegisterAny(connect, NULL, VIR_SECRET_EVENT_ID_LIFECYCLE, VIR_SECRET_EVENT_CALLBACK(count_event), NULL, NULL) == 0);
    for (gap = 1; gap <= gaps; gap++) {
        happened = 0;
        CHECK(virConnectNumOfSecrets(connect) == 0);
        while (happened < 16384) CHECK(virEventRunDefaultImpl() == 0);
        CHECK(happened == 16384 && told == gap);
    }
    CHECK(virConnectSecretEventDeregisterAny(connect, 0) == 0 && virConnectClose(connect) == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    uri = argv[1];
    virSetErrorFunc(NULL, quiet);
    if (!strcmp(argv[2], "threads")) threads(atoi(argv[3]));
    else if (!strcmp(argv[2], "cycles")) cycles(atoi(argv[3]));
    else if (!strcmp(argv[2], "events")) run_events(atoi(argv[3]));
    else if (!strcmp(argv[2], "dead")) dead(atoi(argv[3]));
    else if (!strcmp(argv[2], "closing")) closing(atoi(argv[3]));
    else if (!strcmp(argv[2], "calls")) calls(atoi(argv[3]));
    else if (!strcmp(argv[2], "ends")) ends(atoi(argv[3]));
    else if (!strcmp(argv[2], "beyond")) beyond(atoi(argv[3]));
    else if (!strcmp(argv[2], "floods")) floods(atoi(argv[3]));
    else return 2;
    virResetLastError();
    printf("ok %s\n", argv[2]);
    return 0;
}
