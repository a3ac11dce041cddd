#pragma once

#include <stddef.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#if LIBVIR_VERSION_NUMBER < 7000000
#error "virt-fsck needs libvirt 7.0 or later (Debian: libvirt-dev)"
#endif

/// `VIR_DOMAIN_EVENT_CALLBACK` is a casting macro, which Swift can't import.
static inline int shim_virConnectDomainEventRegisterLifecycle(virConnectPtr connection,
                                                              virConnectDomainEventCallback callback, void *opaque,
                                                              virFreeCallback freeOpaque) {
    return virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                            VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, freeOpaque);
}

static inline int shim_virConnectDomainEventRegisterReboot(virConnectPtr connection,
                                                           virConnectDomainEventGenericCallback callback, void *opaque,
                                                           virFreeCallback freeOpaque) {
    return virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_REBOOT,
                                            VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, freeOpaque);
}
