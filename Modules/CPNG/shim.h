#pragma once

#include <png.h>

#if PNG_LIBPNG_VER < 10600
#error "virt-fsck needs libpng 1.6 or later (Debian: libpng-dev)"
#endif

/// `PNG_FORMAT_RGB` and `PNG_IMAGE_VERSION` are macros of macros, which Swift doesn't import.
static inline png_image shim_png_image(png_uint_32 width, png_uint_32 height) {
    png_image image = {0};
    image.version = PNG_IMAGE_VERSION;
    image.width = width;
    image.height = height;
    image.format = PNG_FORMAT_RGB;
    return image;
}
