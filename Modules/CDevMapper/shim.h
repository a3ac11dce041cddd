#pragma once

#include <stdint.h>
#include <sys/types.h>
#include <libdevmapper.h>

#if !defined(DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG)
#error "virt-fsck needs libdevmapper 1.02.100 or later (Debian: libdevmapper-dev)"
#endif
