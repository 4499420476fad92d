/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel's headers of the machine that compiles this may be too old for; ../stress uses it, too. The names are
 * not the kernel's, so that they don't clash with newer headers.
 */
#ifndef LIFETIME_UAPI_H
#define LIFETIME_UAPI_H

#include <linux/vfio.h>
#include <stdint.h>

/* include/uapi/linux/vfio.h */
struct bind_iommufd { uint32_t argsz, flags; int32_t iommufd; uint32_t devid; };
struct attach_ioas { uint32_t argsz, flags, ioas; };
#define BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)
#define ATTACH_IOAS _IO(VFIO_TYPE, VFIO_BASE + 19)
#define FEATURE_LOW_POWER_ENTRY 3
#define FEATURE_LOW_POWER_EXIT 5
#define FEATURE_DMA_BUF 11
struct dma_buf_request { uint32_t argsz, flags, region, open_flags, reserved, ranges; uint64_t offset, length; };

/* The same, as the series has it */
#define FEATURE_MMAP_COOKIE 14
enum { ATTRIBUTE_DEFAULT, ATTRIBUTE_DEVICE, ATTRIBUTE_WC, ATTRIBUTE_CACHEABLE, ATTRIBUTES };
struct cookie { uint32_t argsz, flags, region, attribute; uint64_t offset, size; };
#define CAPABILITY_MMAP_ATTRIBUTES 6
struct attributes_capability { struct vfio_info_cap_header header; uint32_t attributes, reserved; };

/* include/uapi/linux/iommufd.h */
struct ioas_alloc { uint32_t size, flags, ioas; };
struct ioas_map_file { uint32_t size, flags, ioas; int32_t fd; uint64_t start, length, iova; };
struct ioas_unmap { uint32_t size, ioas; uint64_t iova, length; };
#define IOAS_ALLOC _IO(';', 0x81)
#define IOAS_UNMAP _IO(';', 0x86)
#define IOAS_MAP_FILE _IO(';', 0x8f)
#define IOAS_MAP_FIXED_IOVA 1
#define IOAS_MAP_WRITEABLE 2
#define IOAS_MAP_READABLE 4

#endif
