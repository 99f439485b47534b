/* Loads a libvirt secret daemon through libvirt's own client library: the same program for every daemon.
 *
 * usage: load URI answers                     waits until a call is answered
 *        load URI count                       prints the number of secrets
 *        load URI fill SECRETS                defines secrets, each with a value of 32 bytes
 *        load URI OPERATION SECRETS CONNECTIONS SECONDS
 *
 * Each connection is a thread with one call at a time, about a random secret of those that `fill` made. Once all are open
 * it prints "ready" and waits for a line, so that the caller can read the daemon's CPU time first. In the end it prints
 *
 *     RESULT <calls a second> <calls> <p50 in µs> <p99 in µs> <failed calls> <own CPU time a call in µs>
 *
 * A call ends when the library has returned its result. Handles for a call are made before the clock runs.
 */
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { UUID_ROOM = 48, XML_ROOM = 512, VALUE_BYTES = 32 };
/* The numbers of the secrets of `define-undefine`: the first, and how many each connection has. */
enum { OTHERS_FROM = 10000000, OTHERS_EACH = 1000 };

struct connection {
    pthread_t thread;
    int number;
    unsigned seed;
    virConnectPtr daemon;
    virSecretPtr *handles;
    int handles_count;
    double *latencies; /* in seconds */
    long calls, room, failed;
};

typedef int operation(struct connection *connection, long turn);

static const char *uri;
static int secrets;
static operation *measured;
static pthread_barrier_t begin;
static atomic_int ended;

static void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, virGetLastErrorMessage());
    exit(1);
}

static void print_no_errors(void *unused, virErrorPtr error)
{
    (void)unused;
    (void)error;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* CPU time of all threads so far, in seconds. */
static double cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static virConnectPtr opened(void)
{
    virConnectPtr daemon = virConnectOpen(uri);
    if (!daemon)
        fail(uri);
    return daemon;
}

static void *room(void *before, size_t bytes)
{
    void *after = realloc(before, bytes);
    if (!after)
        fail("no memory");
    return after;
}

static virSecretPtr define(virConnectPtr daemon, int number)
{
    char xml[XML_ROOM];
    snprintf(xml, sizeof xml,
             "<secret ephemeral='no' private='no'>"
             "<uuid>10ad0000-0000-4000-8000-%012x</uuid>"
             "<description>load secret %d</description>"
             "<usage type='ceph'><name>client.load.%d secret</name></usage>"
             "</secret>",
             number, number, number);
    return virSecretDefineXML(daemon, xml, 0);
}

static int any_secret(struct connection *connection)
{
    return rand_r(&connection->seed) % secrets;
}

static virSecretPtr any_handle(struct connection *connection)
{
    return connection->handles[rand_r(&connection->seed) % connection->handles_count];
}

/* The operations: 0 or more for success, less for a failure. */

static int get_value(struct connection *connection, long turn)
{
    size_t bytes;
    unsigned char *value = virSecretGetValue(any_handle(connection), &bytes, 0);
    (void)turn;
    free(value);
    return value && bytes == VALUE_BYTES ? 0 : -1;
}

static int set_value(struct connection *connection, long turn)
{
    unsigned char value[VALUE_BYTES] = "0123456789abcdef0123456789abcde";
    value[0] = turn;
    return virSecretSetValue(any_handle(connection), value, sizeof value, 0);
}

static int lookup_usage(struct connection *connection, long turn)
{
    char usage[UUID_ROOM];
    (void)turn;
    snprintf(usage, sizeof usage, "client.load.%d secret", any_secret(connection));
    virSecretPtr secret = virSecretLookupByUsage(connection->daemon, VIR_SECRET_USAGE_TYPE_CEPH, usage);
    return secret ? virSecretFree(secret) : -1;
}

static int redefine(struct connection *connection, long turn)
{
    (void)turn;
    virSecretPtr secret = define(connection->daemon, any_secret(connection));
    return secret ? virSecretFree(secret) : -1;
}

/* Two calls, counted as one. */
static int define_undefine(struct connection *connection, long turn)
{
    int number = OTHERS_FROM + connection->number * OTHERS_EACH + turn % OTHERS_EACH;
    virSecretPtr secret = define(connection->daemon, number);
    int result = secret ? virSecretUndefine(secret) : -1;
    if (secret)
        virSecretFree(secret);
    return result;
}

static int list_all(struct connection *connection, long turn)
{
    virSecretPtr *list;
    int count = virConnectListAllSecrets(connection->daemon, &list, 0);
    (void)turn;
    for (int n = 0; n < count; n++)
        virSecretFree(list[n]);
    if (count >= 0)
        free(list);
    return count >= secrets ? 0 : -1;
}

static int num(struct connection *connection, long turn)
{
    (void)turn;
    return virConnectNumOfSecrets(connection->daemon) >= secrets ? 0 : -1;
}

static int connect_close(struct connection *connection, long turn)
{
    virConnectPtr daemon = virConnectOpen(uri);
    (void)connection;
    (void)turn;
    return daemon ? virConnectClose(daemon) : -1;
}

static const struct {
    const char *name;
    operation *call;
} OPERATIONS[] = {
    {"get-value", get_value},
    {"set-value", set_value},
    {"lookup-usage", lookup_usage},
    {"redefine", redefine},
    {"define-undefine", define_undefine},
    {"list-all", list_all},
    {"num", num},
    {"connect", connect_close},
};

static operation *named(const char *name)
{
    for (size_t n = 0; n < sizeof OPERATIONS / sizeof *OPERATIONS; n++)
        if (!strcmp(OPERATIONS[n].name, name))
            return OPERATIONS[n].call;
    return NULL;
}

static void note(struct connection *connection, double latency)
{
    if (connection->calls == connection->room) {
        connection->room = connection->room ? connection->room * 2 : 65536;
        connection->latencies = room(connection->latencies, connection->room * sizeof latency);
    }
    connection->latencies[connection->calls++] = latency;
}

static void *run(void *argument)
{
    struct connection *connection = argument;
    pthread_barrier_wait(&begin);
    for (long turn = 1; !ended; turn++) {
        double from = now();
        int result = measured(connection, turn);
        double latency = now() - from;
        if (result < 0)
            connection->failed++;
        else
            note(connection, latency);
    }
    return NULL;
}

static void prepare(struct connection *connection, int number)
{
    connection->number = number;
    connection->seed = 12345 + number;
    connection->daemon = opened();
    if (measured == get_value || measured == set_value) {
        connection->handles_count = virConnectListAllSecrets(connection->daemon, &connection->handles, 0);
        if (connection->handles_count < secrets)
            fail("not all secrets are there");
    }
    if (pthread_create(&connection->thread, NULL, run, connection))
        fail("no thread");
}

static int shorter(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static void report(struct connection *connections, int count, double seconds, double cpu_seconds)
{
    long calls = 0, failed = 0;
    double *all = NULL;
    for (int n = 0; n < count; n++) {
        struct connection *connection = &connections[n];
        failed += connection->failed;
        if (!connection->calls)
            continue;
        all = room(all, (calls + connection->calls) * sizeof *all);
        memcpy(all + calls, connection->latencies, connection->calls * sizeof *all);
        calls += connection->calls;
    }
    if (calls)
        qsort(all, calls, sizeof *all, shorter);
    printf("RESULT %f %ld %f %f %ld %f\n", calls / seconds, calls, calls ? all[calls / 2] * 1e6 : 0,
           calls ? all[calls * 99 / 100] * 1e6 : 0, failed, calls ? cpu_seconds * 1e6 / calls : 0);
}

static void measure(int count, double seconds)
{
    struct connection *connections = calloc(count, sizeof *connections);
    if (!connections || pthread_barrier_init(&begin, NULL, count + 1))
        fail("no memory");
    for (int n = 0; n < count; n++)
        prepare(&connections[n], n);
    puts("ready");
    if (getchar() == EOF)
        exit(1);
    pthread_barrier_wait(&begin);
    double from = now(), cpu_from = cpu();
    usleep((useconds_t)(seconds * 1e6));
    ended = 1;
    for (int n = 0; n < count; n++)
        pthread_join(connections[n].thread, NULL);
    report(connections, count, now() - from, cpu() - cpu_from);
    exit(0); /* The open connections are closed outside the measurement. */
}

static void answers(void)
{
    virConnectPtr daemon;
    puts("ready");
    while (!(daemon = virConnectOpen(uri)))
        usleep(1000);
    if (virConnectNumOfSecrets(daemon) < 0)
        fail("count");
}

static void fill(void)
{
    const unsigned char value[] = "0123456789abcdef0123456789abcdef";
    virConnectPtr daemon = opened();
    for (int n = 0; n < secrets; n++) {
        virSecretPtr secret = define(daemon, n);
        if (!secret || virSecretSetValue(secret, value, VALUE_BYTES, 0) < 0)
            fail("fill");
        virSecretFree(secret);
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    virInitialize();
    virSetErrorFunc(NULL, print_no_errors);
    if (argc < 3) {
        fputs("usage: load URI answers|count|fill SECRETS|OPERATION SECRETS CONNECTIONS SECONDS\n", stderr);
        return 2;
    }
    uri = argv[1];
    secrets = argc > 3 ? atoi(argv[3]) : 0;
    measured = named(argv[2]);
    if (!strcmp(argv[2], "answers"))
        answers();
    else if (!strcmp(argv[2], "count"))
        printf("%d\n", virConnectNumOfSecrets(opened()));
    else if (!strcmp(argv[2], "fill"))
        fill();
    else if (measured && argc > 5 && secrets > 0 && atoi(argv[4]) > 0)
        measure(atoi(argv[4]), atof(argv[5]));
    else
        return 2;
    return 0;
}
