#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#if LIBVIR_VERSION_NUMBER < 7000000
#error "virt-fsck needs libvirt 7.0 or later (Debian: libvirt-dev)"
#endif
