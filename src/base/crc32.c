/* CRC-32, a byte at a time. */
#include "base/crc32.h"

/*
 * What a byte does to the checksum. A CRC is linear: the entry of a byte is the xor of the entries
 * of its bits, so that these eight are the whole table.
 */
#define BIT(byte, bit, entry) (((byte) >> (bit)&1) ? UINT32_C(entry) : 0)
#define ENTRY(byte)                                                                                \
  (BIT(byte, 0, 0x77073096) ^ BIT(byte, 1, 0xEE0E612C) ^ BIT(byte, 2, 0x076DC419) ^                \
   BIT(byte, 3, 0x0EDB8832) ^ BIT(byte, 4, 0x1DB71064) ^ BIT(byte, 5, 0x3B6E20C8) ^                \
   BIT(byte, 6, 0x76DC4190) ^ BIT(byte, 7, 0xEDB88320))
#define ENTRIES_4(byte) ENTRY(byte), ENTRY((byte) + 1), ENTRY((byte) + 2), ENTRY((byte) + 3)
#define ENTRIES_16(byte)                                                                           \
  ENTRIES_4(byte), ENTRIES_4((byte) + 4), ENTRIES_4((byte) + 8), ENTRIES_4((byte) + 12)
#define ENTRIES_64(byte)                                                                           \
  ENTRIES_16(byte), ENTRIES_16((byte) + 16), ENTRIES_16((byte) + 32), ENTRIES_16((byte) + 48)

static const uint32_t entries[256] = {ENTRIES_64(0), ENTRIES_64(64), ENTRIES_64(128),
                                      ENTRIES_64(192)};

uint32_t mill__crc32(uint32_t crc, const void *bytes, size_t len) {
  const unsigned char *p = bytes;
  crc = ~crc;
  for (size_t i = 0; i < len; i++)
    crc = entries[(crc ^ p[i]) & 0xFF] ^ crc >> 8;
  return ~crc;
}
