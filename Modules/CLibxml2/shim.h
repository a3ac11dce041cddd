#pragma once

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>

#if LIBXML_VERSION < 20900
#error "virt-fsck needs libxml2 2.9 or later (Debian: libxml2-dev)"
#endif

/// `xmlFree` is a variable that holds a function; Swift can't call it safely under strict concurrency.
static inline void shim_xmlFree(void *_Nullable memory) { xmlFree(memory); }
