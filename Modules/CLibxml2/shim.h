#pragma once

#include <stddef.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <libxml/tree.h>
#include <libxml/xpath.h>
#include <libxml/xmlsave.h>
#include <libxml/xpathInternals.h>

#if LIBXML_VERSION < 20900
#error "virt-fsck needs libxml2 2.9 or later (Debian: libxml2-dev)"
#endif

/// `xmlFree` is a variable that holds a function; Swift can't call it safely under strict concurrency.
static inline void shim_xmlFree(void *_Nullable memory) { xmlFree(memory); }

static inline void shim_discard(void *_Nullable context, const char *_Nonnull format, ...) {
    (void)context;
    (void)format;
}

/// Swift can't make a variadic function. Some errors (an unknown function in an XPath expression) only go to this one, whose
/// default prints to standard error; the setting is per thread.
static inline void shim_silence(void) { xmlSetGenericErrorFunc(NULL, shim_discard); }
