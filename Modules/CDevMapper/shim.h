#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <libdevmapper.h>

#if !defined(DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG)
#error "virt-fsck needs libdevmapper 1.02.100 or later (Debian: libdevmapper-dev)"
#endif

/// Where libdevmapper's first error since the last call of shim_dm_clear_message is kept: the later ones only follow from it.
/// Used by one Swift file only, under its lock. (A static variable outside a function would not be emitted.)
static inline char *shim_dm_message_buffer(void) {
    static char buffer[512];
    return buffer;
}
static inline const char *shim_dm_message(void) { return shim_dm_message_buffer(); }
static inline void shim_dm_clear_message(void) { shim_dm_message_buffer()[0] = '\0'; }

/// Levels as in syslog(3), with flags above the lowest three bits; 3 is an error.
__attribute__((format(printf, 5, 6))) static inline void shim_dm_log(
    int level, const char *file, int line, int dm_errno, const char *format, ...) {
    (void)file, (void)line, (void)dm_errno;
    if ((level & 7) > 3 || shim_dm_message_buffer()[0] != '\0') return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(shim_dm_message_buffer(), 512, format, arguments);
    va_end(arguments);
}

/// Keeps libdevmapper off standard error. Its callback is variadic: Swift can't write it.
static inline void shim_dm_keep_messages(void) { dm_log_with_errno_init(shim_dm_log); }
