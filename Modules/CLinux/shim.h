#pragma once

// What Swift's Glibc module doesn't import: Linux's own headers, macros and functions behind _GNU_SOURCE.

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/nbd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/// makedev(3), a macro.
static inline unsigned long shim_makedev(unsigned int major, unsigned int minor) { return makedev(major, minor); }
static inline unsigned int shim_major(unsigned long device) { return major(device); }
static inline unsigned int shim_minor(unsigned long device) { return minor(device); }

/// syncfs(2): declared only behind _GNU_SOURCE.
int syncfs(int fd);

/// fcntl(2) with F_OFD_SETLK (37) and F_OFD_GETLK (36), declared only behind _GNU_SOURCE (asm-generic/fcntl.h), for one byte.
static inline int shim_lock_byte(int fd, short type, long byte) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(fd, 37, &lock);
}

/// Whether a write lock on one byte would meet somebody else's lock: 1, 0, or -1 with errno.
static inline int shim_is_byte_locked(int fd, long byte) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    if (fcntl(fd, 36, &lock) != 0) return -1;
    return lock.l_type != F_UNLCK;
}

/// Whether somebody has a file open for writing: 1, 0, or -1 with errno. fcntl(2): then F_SETLEASE (1024) with F_RDLCK fails with
/// EAGAIN. The lease is given back at once; whoever opens the file in between is let in after a signal (F_SETSIG, 10) that is
/// ignored by default.
static inline int shim_is_written(int fd) {
    if (fcntl(fd, 10, SIGURG) != 0) return -1;
    if (fcntl(fd, 1024, F_RDLCK) != 0) return errno == EAGAIN ? 1 : -1;
    fcntl(fd, 1024, F_UNLCK);
    return 0;
}

/// O_TMPFILE of open(2), declared only behind _GNU_SOURCE.
static inline int shim_O_TMPFILE(void) { return __O_TMPFILE; }

/// Whether a file or folder is append-only (FS_IOC_GETFLAGS of linux/fs.h, ioctl_iflags(2)): 1, 0, or -1 with errno.
static inline int shim_is_append_only(int fd) {
    int flags = 0;
    return ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0 ? -1 : (flags & FS_APPEND_FL) != 0;
}

/// BLKFLSBUF of linux/fs.h, a macro that Swift can't import.
static inline unsigned long shim_BLKFLSBUF(void) { return BLKFLSBUF; }

/// BLKROSET of linux/fs.h, a macro that Swift can't import: lets the kernel refuse writes to a block device, or no longer.
static inline int shim_set_read_only(int fd, int value) { return ioctl(fd, BLKROSET, &value); }

/// BLKPG_DEL_PARTITION of linux/blkpg.h: makes the kernel forget a partition of the device. ioctl(2)'s result.
static inline int shim_delete_partition(int fd, int number) {
    struct blkpg_partition partition = {.pno = number};
    struct blkpg_ioctl_arg argument = {.op = BLKPG_DEL_PARTITION, .datalen = sizeof partition, .data = &partition};
    return ioctl(fd, BLKPG, &argument);
}

/// NBD_CLEAR_QUE of linux/nbd.h, a macro that Swift can't import.
static inline unsigned long shim_NBD_CLEAR_QUE(void) { return NBD_CLEAR_QUE; }

/// pidfd_open(2) and pidfd_send_signal(2), which older C libraries don't wrap.
static inline int shim_pidfd_open(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
static inline int shim_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, (void *)0, 0);
}

/// syscall(2): declared only behind _DEFAULT_SOURCE.
long syscall(long number, ...);
