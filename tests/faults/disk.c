/* A disk that fails on order: preloaded before a program's C library.
 *
 * Calls that write or flush a file named *seawall.db or *seawall.db-wal are
 * counted in a page shared with the test (FAULTY_DISK names its file). The
 * N-th one fails, hangs, or ends the process, as the page says; `sticky` lets
 * every later one fail too, as a disk does that is gone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITES = 1, SYNCS = 2 };
enum { FAIL = 1, HANG = 2, KILL = 3, TEAR = 4, FAIL_AFTER = 5 };

struct page {
    volatile int32_t which, countdown, mode, error, sticky, seen, hanging;
};

static struct page *page;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULTY_DISK");
    int file = name ? open(name, O_RDWR) : -1;
    if (file < 0)
        return;
    void *shared = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    page = shared == MAP_FAILED ? NULL : shared;
    close(file);
}

static int concerns(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    return name && (!strcmp(name, "/seawall.db") || !strcmp(name, "/seawall.db-wal"));
}

/* Return the mode if this call is the one; 0 if it goes through. */
static int struck(int kind, int file) {
    if (!page || !(page->which & kind) || !concerns(file))
        return 0;
    page->seen++;
    if (page->countdown > 0 && --page->countdown == 0)
        return page->mode;
    return page->countdown == 0 && page->sticky ? FAIL : 0;
}

static void suffer(int mode) {
    if (mode == KILL)
        kill(getpid(), SIGKILL);
    if (mode == HANG) {
        page->hanging = 1;
        while (page->hanging)
            usleep(1000);
    }
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    int mode = struck(WRITES, file);
    if (mode == TEAR) {
        REAL(pwrite64)(file, bytes, count / 2, at);
        kill(getpid(), SIGKILL);
    }
    suffer(mode);
    if (mode == FAIL) {
        errno = page->error;
        return -1;
    }
    ssize_t done = REAL(pwrite64)(file, bytes, count, at);
    if (mode == FAIL_AFTER) {
        errno = page->error;
        return -1;
    }
    return done;
}

static int flush(int mode, int (*really)(int), int file) {
    suffer(mode);
    if (mode == FAIL) {
        errno = page->error;
        return -1;
    }
    int done = really(file);
    if (mode == FAIL_AFTER) {
        errno = page->error;
        return -1;
    }
    return done;
}

int fsync(int file) { return flush(struck(SYNCS, file), REAL(fsync), file); }
int fdatasync(int file) { return flush(struck(SYNCS, file), REAL(fdatasync), file); }
