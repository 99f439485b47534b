/* Loaded before everything else (LD_PRELOAD): a system in trouble, as long as a file is there.
 *
 *   TROUBLE_THREADS=FILE  while FILE is there, no thread can be started
 *   TROUBLE_CLOCK=FILE    while FILE is there, the wall's clock shows the second since 1970 that is in it
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *there(const char *variable)
{
    const char *path = getenv(variable);
    return path && access(path, F_OK) == 0 ? path : NULL;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
    return there("TROUBLE_THREADS") ? EAGAIN : create(thread, attributes, start, argument);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int (*get)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = get(clock, time);
    const char *path = clock == CLOCK_REALTIME ? there("TROUBLE_CLOCK") : NULL;
    FILE *file = path ? fopen(path, "r") : NULL;
    long long second;
    if (file) {
        if (fscanf(file, "%lld", &second) == 1)
            time->tv_sec = second;
        fclose(file);
    }
    return result;
}
