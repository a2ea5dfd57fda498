/* A failing disk below a process: loaded by LD_PRELOAD, steered through a small mapped file.
 *
 * Only regular files and folders under IRONWORKS_FAULTS_UNDER are touched. IRONWORKS_FAULTS names the
 * steering (struct control); IRONWORKS_FAULTS_TRACE, where set, the file that gets every change and every
 * sync, from which a loss of power can be played: see powercut.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <limits.h>

enum { NO_SPACE = 1, EIO_WRITE = 2, EIO_SYNC = 4, SHORT = 8, EIO_READ = 16, END = 32 };
enum { T_WRITE = 1, T_TRUNCATE, T_SYNC, T_CREATE, T_RENAME, T_UNLINK, T_MKDIR, T_RMDIR };
enum { FDS = 65536, PAGE = 4096 };

struct control { uint32_t mode, one_in, hits, random; };
struct record { uint32_t kind, path, other, data; uint64_t at; };

static struct control *control;
static char *names[FDS];
static char under[PATH_MAX];
static size_t under_length;
static int trace = -1;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name, type) static type real; if (!real) real = (type)dlsym(RTLD_NEXT, name)
typedef int (*open_t)(const char *, int, ...);
typedef int (*openat_t)(int, const char *, int, ...);
typedef int (*int_t)(int);
typedef int (*path_t)(const char *);
typedef int (*paths_t)(const char *, const char *);
typedef ssize_t (*write_t)(int, const void *, size_t);
typedef ssize_t (*pwrite_t)(int, const void *, size_t, off_t);
typedef ssize_t (*read_t)(int, void *, size_t);
typedef ssize_t (*pread_t)(int, void *, size_t, off_t);
typedef int (*truncate_t)(int, off_t);
typedef int (*mkdir_t)(const char *, mode_t);
typedef int (*fallocate_t)(int, int, off_t, off_t);

static int raw_open(const char *path, int flags, mode_t mode) { REAL("open", open_t); return real(path, flags, mode); }
static ssize_t raw_write(int fd, const void *data, size_t n) { REAL("write", write_t); return real(fd, data, n); }

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("IRONWORKS_FAULTS"), *where = getenv("IRONWORKS_FAULTS_UNDER");
    if (!file || !where) return;
    under_length = strlen(where);
    if (under_length >= sizeof under) { under_length = 0; return; }
    strcpy(under, where);
    int fd = raw_open(file, O_RDWR, 0);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) control = map;
    const char *traced = getenv("IRONWORKS_FAULTS_TRACE");
    if (traced && *traced) trace = raw_open(traced, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int ours(const char *path, char *full) {
    if (!control || !path) return 0;
    if (path[0] == '/') {
        if (strlen(path) >= PATH_MAX) return 0;
        strcpy(full, path);
    } else {
        if (!getcwd(full, PATH_MAX) || strlen(full) + strlen(path) + 2 > PATH_MAX) return 0;
        strcat(full, "/");
        strcat(full, path);
    }
    return strncmp(full, under, under_length) == 0 && (full[under_length] == '/' || !full[under_length]);
}

static const char *name_of(int fd) { return control && fd >= 0 && fd < FDS ? names[fd] : NULL; }

static int struck(uint32_t mode) {
    if (!(control->mode & mode)) return 0;
    uint32_t one_in = mode == NO_SPACE ? 1 : control->one_in;
    uint32_t x = __sync_add_and_fetch(&control->random, 0x9E3779B9u);
    x ^= x >> 16; x *= 0x85EBCA6Bu; x ^= x >> 13; x *= 0xC2B2AE35u; x ^= x >> 16;
    if (one_in > 1 && x % one_in) return 0;
    __sync_add_and_fetch(&control->hits, 1);
    return 1;
}

static void tell(uint32_t kind, const char *path, const char *other, const void *data, size_t n, uint64_t at) {
    if (trace < 0) return;
    struct record head = {kind, (uint32_t)strlen(path), other ? (uint32_t)strlen(other) : 0, (uint32_t)n, at};
    struct iovec parts[4] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)other, head.other}, {(void *)data, n}};
    static ssize_t (*gather)(int, const struct iovec *, int);
    if (!gather) gather = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    gather(trace, parts, 4);
}

static int opened(int fd, const char *path, int flags, int was_there) {
    char full[PATH_MAX];
    if (fd < 0 || fd >= FDS) return fd;
    free(names[fd]);
    names[fd] = NULL;
    if (!ours(path, full)) return fd;
    names[fd] = strdup(full);
    pthread_mutex_lock(&guard);
    if ((flags & O_CREAT) && !was_there) tell(T_CREATE, full, NULL, NULL, 0, 0);
    else if (flags & O_TRUNC) tell(T_TRUNCATE, full, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&guard);
    return fd;
}

static int there(const char *path) { struct stat found; return stat(path, &found) == 0; }

static int refuses(const char *path, int flags, int was_there) {
    char full[PATH_MAX];
    return (flags & O_CREAT) && !was_there && ours(path, full) && struck(NO_SPACE);
}

#define MODE mode_t mode = 0; if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) {
    MODE; int was = there(path);
    if (refuses(path, flags, was)) { errno = ENOSPC; return -1; }
    return opened(raw_open(path, flags, mode), path, flags, was);
}
int open64(const char *path, int flags, ...) {
    MODE; REAL("open64", open_t); int was = there(path);
    if (refuses(path, flags, was)) { errno = ENOSPC; return -1; }
    return opened(real(path, flags, mode), path, flags, was);
}
static int at(const char *name, int dir, const char *path, int flags, mode_t mode) {
    openat_t real = (openat_t)dlsym(RTLD_NEXT, name);
    if (dir != AT_FDCWD && path[0] != '/') return real(dir, path, flags, mode);
    int was = there(path);
    if (refuses(path, flags, was)) { errno = ENOSPC; return -1; }
    return opened(real(dir, path, flags, mode), path, flags, was);
}
int openat(int dir, const char *path, int flags, ...) { MODE; return at("openat", dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE; return at("openat64", dir, path, flags, mode); }
int close(int fd) {
    REAL("close", int_t);
    if (control && fd >= 0 && fd < FDS && names[fd]) { free(names[fd]); names[fd] = NULL; }
    return real(fd);
}

static ssize_t put(int fd, const void *data, size_t n, off_t where, int placed) {
    const char *name = name_of(fd);
    REAL("pwrite", pwrite_t);
    if (!name) return placed ? real(fd, data, n, where) : raw_write(fd, data, n);
    if (struck(NO_SPACE)) { errno = ENOSPC; return -1; }
    if (struck(EIO_WRITE)) { errno = EIO; return -1; }
    int ends = struck(END);
    if (n > 1 && struck(SHORT)) n = 1 + (control->random >> 8) % (n - 1);
    pthread_mutex_lock(&guard);
    if (!placed) where = (fcntl(fd, F_GETFL) & O_APPEND) ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    if (ends) { /* as a kill within the call does: the kernel stops between pages */
        off_t end = (where + (off_t)((control->random >> 8) % (n + 1))) / PAGE * PAGE;
        n = end > where ? (size_t)(end - where) : 0;
    }
    ssize_t done = placed ? real(fd, data, n, where) : raw_write(fd, data, n);
    if (ends) kill(getpid(), SIGKILL);
    if (done > 0) tell(T_WRITE, name, NULL, data, (size_t)done, (uint64_t)where);
    pthread_mutex_unlock(&guard);
    return done;
}
ssize_t write(int fd, const void *data, size_t n) { return put(fd, data, n, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t where) { return put(fd, data, n, where, 1); }
ssize_t pwrite64(int fd, const void *data, size_t n, off_t where) { return put(fd, data, n, where, 1); }

ssize_t read(int fd, void *data, size_t n) {
    REAL("read", read_t);
    if (name_of(fd) && struck(EIO_READ)) { errno = EIO; return -1; }
    return real(fd, data, n);
}
ssize_t pread(int fd, void *data, size_t n, off_t where) {
    REAL("pread", pread_t);
    if (name_of(fd) && struck(EIO_READ)) { errno = EIO; return -1; }
    return real(fd, data, n, where);
}
ssize_t pread64(int fd, void *data, size_t n, off_t where) { return pread(fd, data, n, where); }

static int sync_with(const char *symbol, int fd) {
    int_t real = (int_t)dlsym(RTLD_NEXT, symbol);
    const char *name = name_of(fd);
    if (!name) return real(fd);
    if (struck(EIO_SYNC)) { errno = EIO; return -1; }
    int done = trace < 0 ? real(fd) : 0; /* where power is only played to fail, no disk needs to turn */
    pthread_mutex_lock(&guard);
    if (done == 0) tell(T_SYNC, name, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&guard);
    return done;
}
int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }

static int cut(int fd, off_t size) {
    REAL("ftruncate", truncate_t);
    const char *name = name_of(fd);
    if (!name) return real(fd, size);
    pthread_mutex_lock(&guard);
    int done = real(fd, size);
    if (done == 0) tell(T_TRUNCATE, name, NULL, NULL, 0, (uint64_t)size);
    pthread_mutex_unlock(&guard);
    return done;
}
int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off_t size) { return cut(fd, size); }

static int reserve(int fd, off_t from, off_t n) {
    const char *name = name_of(fd);
    if (name && struck(NO_SPACE)) return ENOSPC;
    struct stat found;
    if (fstat(fd, &found) == 0 && found.st_size < from + n) return cut(fd, from + n) == 0 ? 0 : errno;
    return 0;
}
int posix_fallocate(int fd, off_t from, off_t n) {
    static int (*real)(int, off_t, off_t);
    if (!real) real = (int (*)(int, off_t, off_t))dlsym(RTLD_NEXT, "posix_fallocate");
    return name_of(fd) ? reserve(fd, from, n) : real(fd, from, n);
}
int posix_fallocate64(int fd, off_t from, off_t n) { return posix_fallocate(fd, from, n); }
int fallocate(int fd, int mode, off_t from, off_t n) {
    REAL("fallocate", fallocate_t);
    if (!name_of(fd)) return real(fd, mode, from, n);
    errno = EOPNOTSUPP; /* as many file systems answer: then it is written */
    return -1;
}
int fallocate64(int fd, int mode, off_t from, off_t n) { return fallocate(fd, mode, from, n); }

int rename(const char *from, const char *to) {
    REAL("rename", paths_t);
    char a[PATH_MAX], b[PATH_MAX];
    int mine = ours(from, a) && ours(to, b);
    pthread_mutex_lock(&guard);
    int done = real(from, to);
    if (done == 0 && mine) tell(T_RENAME, a, b, NULL, 0, 0);
    pthread_mutex_unlock(&guard);
    return done;
}
int renameat(int x, const char *from, int y, const char *to) {
    static int (*real)(int, const char *, int, const char *);
    if (!real) real = (int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");
    return x == AT_FDCWD && y == AT_FDCWD ? rename(from, to) : real(x, from, y, to);
}

static int path_call(const char *symbol, uint32_t kind, const char *path) {
    path_t real = (path_t)dlsym(RTLD_NEXT, symbol);
    char full[PATH_MAX];
    int mine = ours(path, full);
    pthread_mutex_lock(&guard);
    int done = real(path);
    if (done == 0 && mine) tell(kind, full, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&guard);
    return done;
}
int unlink(const char *path) { return path_call("unlink", T_UNLINK, path); }
int rmdir(const char *path) { return path_call("rmdir", T_RMDIR, path); }
int unlinkat(int dir, const char *path, int flags) {
    static int (*real)(int, const char *, int);
    if (!real) real = (int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat");
    if (dir == AT_FDCWD || path[0] == '/') return flags & AT_REMOVEDIR ? rmdir(path) : unlink(path);
    return real(dir, path, flags);
}
int mkdir(const char *path, mode_t mode) {
    REAL("mkdir", mkdir_t);
    char full[PATH_MAX];
    int mine = ours(path, full);
    if (mine && !there(path) && struck(NO_SPACE)) { errno = ENOSPC; return -1; }
    pthread_mutex_lock(&guard);
    int done = real(path, mode);
    if (done == 0 && mine) tell(T_MKDIR, full, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&guard);
    return done;
}
