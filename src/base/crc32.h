/*
 * CRC-32 as zlib and Ethernet compute it (CRC-32/ISO-HDLC: polynomial 0x04C11DB7, bits reflected,
 * all ones before and xored after). Pure. Thread: any.
 */
#ifndef MILL_BASE_CRC32_H
#define MILL_BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of some bytes that follow those of checksum `crc`; 0 for the first ones. */
uint32_t mill__crc32(uint32_t crc, const void *bytes, size_t len);

#endif
