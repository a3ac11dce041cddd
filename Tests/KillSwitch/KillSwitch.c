// Preloaded into virt-fsck (LD_PRELOAD), this counts the calls by which a program changes something outside of itself,
// and kills the program with SIGKILL exactly before one of them. Unlike an injection of strace(1), which counts for each
// thread, it counts for the process. The programs that virt-fsck starts get an environment without LD_PRELOAD.
//
//   KILL_SWITCH_LOG    a file to which each call that counts is appended, before it is done
//   KILL_SWITCH_MATCH  only calls whose line in the log contains this count
//   KILL_SWITCH_AT     the number of the call before which the program is killed, from 1 on
//   KILL_SWITCH_DELAY  microseconds: the call is done, and the program is killed so long after its begin
//   KILL_SWITCH_SIGNAL the signal's number, where it is another than SIGKILL: SIGSTOP holds the program up, before the call
//
// A line of the log: the call, and the path or what the descriptor is open on.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long count;
static pid_t program;

__attribute__((constructor)) static void begin(void) { program = getpid(); }

static void die(void) {
    const char *signal = getenv("KILL_SWITCH_SIGNAL");
    syscall(SYS_kill, program, signal == NULL ? SIGKILL : atoi(signal));
}

static void *die_later(void *delay) {
    usleep((useconds_t)(long)delay);
    die();
    return NULL;
}

static void counted(const char *call, const char *subject) {
    // A child that is about to become another program.
    if (getpid() != program) return;
    int error = errno;
    char line[4200];
    int length = snprintf(line, sizeof line, "%s %s\n", call, subject ? subject : "");
    if (length >= (int)sizeof line) length = sizeof line - 1;
    const char *match = getenv("KILL_SWITCH_MATCH");
    if (match == NULL || strstr(line, match) != NULL) {
        long number = atomic_fetch_add(&count, 1) + 1;
        const char *log = getenv("KILL_SWITCH_LOG");
        if (log != NULL) {
            int file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
            if (file >= 0) {
                syscall(SYS_write, file, line, length);
                syscall(SYS_close, file);
            }
        }
        const char *at = getenv("KILL_SWITCH_AT");
        if (at != NULL && atol(at) == number) {
            const char *delay = getenv("KILL_SWITCH_DELAY");
            pthread_t thread;
            if (delay == NULL || pthread_create(&thread, NULL, die_later, (void *)atol(delay)) != 0) die();
        }
    }
    errno = error;
}

static void counted_descriptor(const char *call, int descriptor) {
    // Progress and the report change nothing.
    if (descriptor == STDOUT_FILENO || descriptor == STDERR_FILENO) return;
    int error = errno;
    char link[64], target[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    errno = error;
    // Threads wake each other by event descriptors.
    if (strncmp(target, "anon_inode:", 11) != 0) counted(call, target);
}

// The function that this one stands before.
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WITH_DESCRIPTOR(type, name, declaration, arguments)                                                            \
    type name declaration {                                                                                            \
        counted_descriptor(#name, descriptor);                                                                         \
        return NEXT(name) arguments;                                                                                   \
    }
#define WITH_PATH(name, declaration, arguments)                                                                        \
    int name declaration {                                                                                             \
        counted(#name, path);                                                                                          \
        return NEXT(name) arguments;                                                                                   \
    }

WITH_DESCRIPTOR(ssize_t, write, (int descriptor, const void *bytes, size_t size), (descriptor, bytes, size))
WITH_DESCRIPTOR(ssize_t, writev, (int descriptor, const struct iovec *parts, int parts_count),
                (descriptor, parts, parts_count))
WITH_DESCRIPTOR(ssize_t, pwrite, (int descriptor, const void *bytes, size_t size, off_t offset),
                (descriptor, bytes, size, offset))
WITH_DESCRIPTOR(ssize_t, pwrite64, (int descriptor, const void *bytes, size_t size, off64_t offset),
                (descriptor, bytes, size, offset))
WITH_DESCRIPTOR(ssize_t, pwritev, (int descriptor, const struct iovec *parts, int parts_count, off_t offset),
                (descriptor, parts, parts_count, offset))
WITH_DESCRIPTOR(ssize_t, pwritev64, (int descriptor, const struct iovec *parts, int parts_count, off64_t offset),
                (descriptor, parts, parts_count, offset))
WITH_DESCRIPTOR(ssize_t, send, (int descriptor, const void *bytes, size_t size, int flags),
                (descriptor, bytes, size, flags))
WITH_DESCRIPTOR(ssize_t, sendmsg, (int descriptor, const struct msghdr *message, int flags),
                (descriptor, message, flags))
WITH_DESCRIPTOR(int, fsync, (int descriptor), (descriptor))
WITH_DESCRIPTOR(int, fdatasync, (int descriptor), (descriptor))
WITH_DESCRIPTOR(int, syncfs, (int descriptor), (descriptor))
WITH_DESCRIPTOR(int, ftruncate, (int descriptor, off_t size), (descriptor, size))
WITH_DESCRIPTOR(int, ftruncate64, (int descriptor, off64_t size), (descriptor, size))
WITH_DESCRIPTOR(int, fchmod, (int descriptor, mode_t mode), (descriptor, mode))
WITH_DESCRIPTOR(int, fchown, (int descriptor, uid_t owner, gid_t group), (descriptor, owner, group))

WITH_PATH(mkdir, (const char *path, mode_t mode), (path, mode))
WITH_PATH(rmdir, (const char *path), (path))
WITH_PATH(unlink, (const char *path), (path))
WITH_PATH(remove, (const char *path), (path))
WITH_PATH(chmod, (const char *path, mode_t mode), (path, mode))
WITH_PATH(chown, (const char *path, uid_t owner, gid_t group), (path, owner, group))
WITH_PATH(lchown, (const char *path, uid_t owner, gid_t group), (path, owner, group))
WITH_PATH(mknod, (const char *path, mode_t mode, dev_t device), (path, mode, device))
WITH_PATH(umount2, (const char *path, int flags), (path, flags))
WITH_PATH(rename, (const char *old, const char *path), (old, path))
WITH_PATH(mount,
          (const char *source, const char *path, const char *type, unsigned long flags, const void *data),
          (source, path, type, flags, data))

int kill(pid_t process, int signal) {
    char text[64];
    snprintf(text, sizeof text, "%d with %d", process, signal);
    // 0 only asks whether it is there.
    if (signal != 0) counted("kill", text);
    return NEXT(kill)(process, signal);
}

int ioctl(int descriptor, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    char call[64];
    snprintf(call, sizeof call, "ioctl %#lx", request);
    counted_descriptor(call, descriptor);
    return NEXT(ioctl)(descriptor, request, argument);
}

#define OPENS(name)                                                                                                    \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list list;                                                                                                  \
        va_start(list, flags);                                                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;                                        \
        va_end(list);                                                                                                  \
        if (flags & O_CREAT) counted(#name, path);                                                                     \
        return NEXT(name)(path, flags, mode);                                                                          \
    }
OPENS(open)
OPENS(open64)
