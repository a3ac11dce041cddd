#pragma once

#include <blkid/blkid.h>

#if !defined(BLKID_SUBLKS_BADCSUM)
#error "virt-fsck needs libblkid 2.36 or later (Debian: libblkid-dev)"
#endif
