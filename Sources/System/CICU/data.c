// ICU's data without any data.
//
// Foundation brings the locales, calendars and collations of the whole world, 34 MB of them, as one symbol of its copy of ICU.
// A server of ciphertext needs none. This defines the symbol first, as a valid table of contents with no entries, so that a
// statically linked program leaves the other out: ICU finds nothing, and says so to who asks. The name carries ICU's version, 76
// for Swift 6.3; with another this symbol is idle and the program large, which ops/release notices.
#include <stdint.h>

struct apus_icu_data {
    // As in ICU's udata.h and ucmndata.h: DataHeader, then the table of contents.
    uint16_t header_size;
    uint8_t magic[2];
    uint16_t info_size, info_reserved;
    uint8_t is_big_endian, charset_family, size_of_char, reserved;
    uint8_t format[4], format_version[4], data_version[4];
    uint8_t copyright[8];
    uint32_t entries;
};

const struct apus_icu_data icudt76_dat __attribute__((visibility("default"), aligned(16))) = {
    .header_size = 32, .magic = {0xda, 0x27}, .info_size = 20, .size_of_char = 2,
    .format = {'C', 'm', 'n', 'D'}, .format_version = {1}, .data_version = {3},
};
