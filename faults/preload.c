/* Stands between a program and its files: fails calls by number, records what is written, moves the clock.
 *
 * LD_PRELOAD loads it into the donjond under test; it is never shipped. It sees only files below FAULTS_DIR. The test program
 * controls it through the file FAULTS_CONTROL, which this library maps:
 *
 *   u64 calls      counted so far (written here)
 *   u64 fail_at    the number of the call that fails, from 1; 0 for no call
 *   u64 error      the errno of the failure
 *   u64 stays      not 0: every later call of these kinds fails too, until fail_at is 0 again
 *   u64 kinds      the kinds of calls that are counted, as bits: see KIND_ below
 *   u64 halve      not 0: the failing write first writes one half, and fails the next time
 *   u64 failed     calls that failed (written here)
 *   u64 logged     bytes of the write log (written here)
 *   i64 clock      seconds by which the wall clock is ahead of the machine's
 *
 * FAULTS_LOG, if set, is the write log: a record for each call that changed a file or made it durable, in the order of the
 * calls. Numbers have the machine's byte order:
 *
 *   u32 what (RECORD_)  u32 bytes of the path  u64 offset  u64 bytes of the data  path  data
 *
 * It does not see system calls made without libc, nor memory mapped files.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { KIND_READ = 1, KIND_WRITE = 2, KIND_SYNC = 4, KIND_OPEN = 8, KIND_NAME = 16, KIND_MAP = 32 };
enum { RECORD_WRITE = 1, RECORD_SYNC = 2, RECORD_LENGTH = 3, RECORD_CREATE = 4, RECORD_UNLINK = 5, RECORD_RENAME = 6, RECORD_APPEND = 7 };
enum { FDS = 65536, UNKNOWN = 0, INSIDE = 1, OUTSIDE = 2 };

struct control {
    _Atomic uint64_t calls, fail_at, error, stays, kinds, halve, failed, logged;
    _Atomic int64_t clock;
};

static struct control nothing;
static struct control *control = &nothing;
static char directory[PATH_MAX];
static size_t directory_bytes;
static int log_fd = -1;
static _Atomic unsigned char known[FDS];
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* Opens a file without any of the functions below. */
static int plain_open(const char *path, int flags, mode_t mode) {
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

__attribute__((constructor)) static void begin(void) {
    const char *named = getenv("FAULTS_DIR");
    if (named && realpath(named, directory)) directory_bytes = strlen(directory);
    named = getenv("FAULTS_CONTROL");
    if (named) {
        int fd = plain_open(named, O_RDWR | O_CLOEXEC, 0);
        void *page = fd < 0 ? MAP_FAILED
                            : (void *)syscall(SYS_mmap, 0, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page != MAP_FAILED) control = page;
        if (fd >= 0) syscall(SYS_close, fd);
    }
    named = getenv("FAULTS_LOG");
    if (named) log_fd = plain_open(named, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    /* Children of donjond are not under test. */
    unsetenv("LD_PRELOAD");
}

static int below(const char *path) {
    return directory_bytes && strncmp(path, directory, directory_bytes) == 0 &&
           (path[directory_bytes] == '/' || path[directory_bytes] == 0);
}

/* The path of an open file, without asking libc to open anything. */
static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, path, PATH_MAX - 1);
    if (bytes < 0) return 0;
    path[bytes] = 0;
    return below(path);
}

/* Whether an open file is below FAULTS_DIR. */
static int is_inside(int fd) {
    if (!directory_bytes || fd < 0) return 0;
    if (fd < FDS && known[fd] != UNKNOWN) return known[fd] == INSIDE;
    char path[PATH_MAX];
    int saved = errno, inside = path_of(fd, path);
    errno = saved;
    if (fd < FDS) known[fd] = inside ? INSIDE : OUTSIDE;
    return inside;
}

/* The path as the program names it, made absolute. The last part may be missing; it is not followed. */
static int resolve(int at, const char *path, char *absolute) {
    if (path[0] == '/') {
        if (strlen(path) >= PATH_MAX) return 0;
        strcpy(absolute, path);
    } else {
        char base[PATH_MAX];
        if (at == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else if (!path_of(at, base) && base[0] != '/') {
            return 0;
        }
        if (snprintf(absolute, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
    }
    char folder[PATH_MAX], real[PATH_MAX];
    strcpy(folder, absolute);
    char *slash = strrchr(folder, '/');
    char last[NAME_MAX + 2];
    if (!slash || strlen(slash) >= sizeof last) return 0;
    strcpy(last, slash);
    *slash = 0;
    if (!realpath(folder[0] ? folder : "/", real)) return 0;
    if (snprintf(absolute, PATH_MAX, "%s%s", real, last) >= PATH_MAX) return 0;
    return below(absolute);
}

/* Counts a call of this kind. Returns the errno with which it must fail, or 0. */
static int verdict(unsigned kind) {
    if (!(atomic_load(&control->kinds) & kind)) return 0;
    uint64_t number = atomic_fetch_add(&control->calls, 1) + 1;
    uint64_t fail_at = atomic_load(&control->fail_at);
    if (!fail_at || number < fail_at) return 0;
    if (number > fail_at && !atomic_load(&control->stays)) return 0;
    atomic_fetch_add(&control->failed, 1);
    return (int)atomic_load(&control->error);
}

static void all_of(const void *bytes, size_t count) {
    const char *at = bytes;
    while (count) {
        ssize_t done = syscall(SYS_write, log_fd, at, count);
        if (done <= 0) abort(); /* An incomplete write log would prove nothing. */
        at += done;
        count -= (size_t)done;
    }
}

/* Appends a record. The caller has locked `order`. */
static void record(uint32_t what, const char *path, uint64_t offset, const void *data, uint64_t bytes) {
    if (log_fd < 0) return;
    uint32_t path_bytes = (uint32_t)strlen(path);
    all_of(&what, sizeof what);
    all_of(&path_bytes, sizeof path_bytes);
    all_of(&offset, sizeof offset);
    all_of(&bytes, sizeof bytes);
    all_of(path, path_bytes);
    all_of(data, bytes);
    atomic_fetch_add(&control->logged, 24 + path_bytes + bytes);
}

static void record_fd(uint32_t what, int fd, uint64_t offset, const void *data, uint64_t bytes) {
    char path[PATH_MAX];
    int saved = errno;
    if (log_fd >= 0 && path_of(fd, path) && !strstr(path, " (deleted)"))
        record(what, path + directory_bytes, offset, data, bytes);
    errno = saved;
}

static ssize_t write_at(int fd, const void *data, size_t bytes, off64_t offset, int positioned) {
    int error = is_inside(fd) ? verdict(KIND_WRITE) : 0;
    if (error) {
        if (!atomic_load(&control->halve) || bytes < 2) { errno = error; return -1; }
        bytes /= 2;
    }
    if (!is_inside(fd) || log_fd < 0)
        return positioned ? syscall(SYS_pwrite64, fd, data, bytes, offset) : syscall(SYS_write, fd, data, bytes);
    pthread_mutex_lock(&order);
    int appends = !positioned && fcntl(fd, F_GETFL) & O_APPEND;
    if (!positioned) offset = lseek64(fd, 0, appends ? SEEK_END : SEEK_CUR);
    ssize_t done = positioned ? syscall(SYS_pwrite64, fd, data, bytes, offset) : syscall(SYS_write, fd, data, bytes);
    if (done > 0) record_fd(appends ? RECORD_APPEND : RECORD_WRITE, fd, (uint64_t)offset, data, (uint64_t)done);
    pthread_mutex_unlock(&order);
    return done;
}

ssize_t write(int fd, const void *data, size_t bytes) { return write_at(fd, data, bytes, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return write_at(fd, data, bytes, offset, 1); }
ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) { return write_at(fd, data, bytes, offset, 1); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!is_inside(fd)) return syscall(SYS_writev, fd, parts, count);
    ssize_t all = 0;
    for (int i = 0; i < count; i++) {
        ssize_t done = write(fd, parts[i].iov_base, parts[i].iov_len);
        if (done < 0) return all ? all : -1;
        all += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return all;
}

static int read_fails(int fd) {
    int error = is_inside(fd) ? verdict(KIND_READ) : 0;
    if (error) errno = error;
    return error;
}

ssize_t read(int fd, void *into, size_t bytes) { return read_fails(fd) ? -1 : syscall(SYS_read, fd, into, bytes); }
ssize_t pread(int fd, void *into, size_t bytes, off_t offset) {
    return read_fails(fd) ? -1 : syscall(SYS_pread64, fd, into, bytes, offset);
}
ssize_t pread64(int fd, void *into, size_t bytes, off64_t offset) {
    return read_fails(fd) ? -1 : syscall(SYS_pread64, fd, into, bytes, offset);
}

static int sync_by(long call, int fd) {
    int inside = is_inside(fd), error = inside ? verdict(KIND_SYNC) : 0;
    if (error) { errno = error; return -1; }
    if (!inside || log_fd < 0) return (int)syscall(call, fd);
    pthread_mutex_lock(&order);
    int done = (int)syscall(call, fd);
    if (!done) record_fd(RECORD_SYNC, fd, 0, NULL, 0);
    pthread_mutex_unlock(&order);
    return done;
}

int fsync(int fd) { return sync_by(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_by(SYS_fdatasync, fd); }

static int set_length(int fd, off64_t length) {
    int inside = is_inside(fd), error = inside ? verdict(KIND_WRITE) : 0;
    if (error) { errno = error; return -1; }
    if (!inside || log_fd < 0) return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&order);
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (!done) record_fd(RECORD_LENGTH, fd, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&order);
    return done;
}

int ftruncate(int fd, off_t length) { return set_length(fd, length); }
int ftruncate64(int fd, off64_t length) { return set_length(fd, length); }

int close(int fd) {
    if (fd >= 0 && fd < FDS) known[fd] = UNKNOWN;
    return (int)syscall(SYS_close, fd);
}

static int open_by(int at, const char *path, int flags, mode_t mode) {
    char absolute[PATH_MAX];
    int saved = errno, inside = directory_bytes && resolve(at, path, absolute);
    errno = saved;
    int error = inside ? verdict(KIND_OPEN) : 0;
    if (error) { errno = error; return -1; }
    if (!inside || log_fd < 0 || !(flags & (O_CREAT | O_TRUNC))) {
        int fd = (int)syscall(SYS_openat, at, path, flags, mode);
        if (fd >= 0 && fd < FDS) known[fd] = UNKNOWN;
        return fd;
    }
    pthread_mutex_lock(&order);
    struct stat64 before;
    int was = fstatat64(at, path, &before, 0) == 0;
    errno = saved;
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0) {
        if (fd < FDS) known[fd] = UNKNOWN;
        if (!was && (flags & O_CREAT)) record(RECORD_CREATE, absolute + directory_bytes, 0, NULL, 0);
        else if ((flags & O_TRUNC) && before.st_size) record(RECORD_LENGTH, absolute + directory_bytes, 0, NULL, 0);
    }
    pthread_mutex_unlock(&order);
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) { MODE(flags) return open_by(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_by(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_by(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_by(at, path, flags, mode); }

static int unlink_by(int at, const char *path, int flags) {
    char absolute[PATH_MAX];
    int saved = errno, inside = directory_bytes && resolve(at, path, absolute);
    errno = saved;
    int error = inside ? verdict(KIND_NAME) : 0;
    if (error) { errno = error; return -1; }
    pthread_mutex_lock(&order);
    int done = (int)syscall(SYS_unlinkat, at, path, flags);
    if (!done && inside) record(RECORD_UNLINK, absolute + directory_bytes, 0, NULL, 0);
    pthread_mutex_unlock(&order);
    return done;
}

int unlink(const char *path) { return unlink_by(AT_FDCWD, path, 0); }
int unlinkat(int at, const char *path, int flags) { return unlink_by(at, path, flags); }

static int rename_by(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char old[PATH_MAX], new[PATH_MAX];
    int saved = errno, inside = directory_bytes && resolve(from_at, from, old) && resolve(to_at, to, new);
    errno = saved;
    int error = inside ? verdict(KIND_NAME) : 0;
    if (error) { errno = error; return -1; }
    pthread_mutex_lock(&order);
    int done = (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    if (!done && inside)
        record(RECORD_RENAME, old + directory_bytes, 0, new + directory_bytes, strlen(new + directory_bytes));
    pthread_mutex_unlock(&order);
    return done;
}

int rename(const char *from, const char *to) { return rename_by(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_at, const char *from, int to_at, const char *to) { return rename_by(from_at, from, to_at, to, 0); }
int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    return rename_by(from_at, from, to_at, to, flags);
}

static void *map(void *at, size_t bytes, int access, int flags, int fd, off64_t offset) {
    int error = fd >= 0 && !(flags & MAP_ANONYMOUS) && is_inside(fd) ? verdict(KIND_MAP) : 0;
    if (error) { errno = error; return MAP_FAILED; }
    return (void *)syscall(SYS_mmap, at, bytes, access, flags, fd, offset);
}

void *mmap(void *at, size_t bytes, int access, int flags, int fd, off_t offset) {
    return map(at, bytes, access, flags, fd, offset);
}
void *mmap64(void *at, size_t bytes, int access, int flags, int fd, off64_t offset) {
    return map(at, bytes, access, flags, fd, offset);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(clock_gettime);
    int done = real(clock, time);
    if (!done && clock == CLOCK_REALTIME) time->tv_sec += atomic_load(&control->clock);
    return done;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    REAL(gettimeofday);
    int done = real(time, zone);
    if (!done) time->tv_sec += atomic_load(&control->clock);
    return done;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}
