/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hooks of the DMA sanitizer where mappings have an owner: the DMA API, the
 * slab allocator, the driver core. They do something with
 * iommu.debug_pagealloc=origin only.
 */
#ifndef __LINUX_IOMMU_DEBUG_DMA_H
#define __LINUX_IOMMU_DEBUG_DMA_H

#include <linux/instruction_pointer.h>
#include <linux/jump_label.h>
#include <linux/stacktrace.h>
#include <linux/types.h>

struct device;
struct iommu_domain;
struct iommu_iotlb_gather;
struct kmem_cache;
struct scatterlist;

/* By which part of the DMA API something was mapped. */
enum iommu_debug_kind {
	IOMMU_DEBUG_SINGLE,
	IOMMU_DEBUG_SG,
	IOMMU_DEBUG_COHERENT,
	IOMMU_DEBUG_PAGES,
	IOMMU_DEBUG_LINK,
};

/* How an IOMMU names a device. */
enum iommu_debug_device_id {
	/* Address of its struct device */
	IOMMU_DEBUG_BY_ADDRESS,
	/* PCI segment << 16 | bus << 8 | devfn */
	IOMMU_DEBUG_BY_REQUESTER,
	/* Number from the firmware: iommu_fwspec::ids */
	IOMMU_DEBUG_BY_ENDPOINT,
	/* Address of the struct iommu_domain that it is behind */
	IOMMU_DEBUG_BY_DOMAIN,
};

/* What a device did at an address that an IOMMU refused it. */
enum iommu_debug_access {
	IOMMU_DEBUG_READ,
	IOMMU_DEBUG_WRITE,
	/* The IOMMU does not tell. */
	IOMMU_DEBUG_ACCESS_UNKNOWN,
};

#ifdef CONFIG_IOMMU_DEBUG_PAGEALLOC
DECLARE_STATIC_KEY_FALSE(iommu_debug_origin);
DECLARE_STATIC_KEY_FALSE(iommu_debug_stale);

/*
 * How many live mappings reach into 4K of the direct map, whatever the size of
 * pages, hashed; and how many there are that are too large to be counted so.
 */
#define IOMMU_DEBUG_FILTER_SHIFT 12
#define IOMMU_DEBUG_FILTER_PAGES 0x20000
extern const u32 *iommu_debug_filter;
extern u32 iommu_debug_huge;

/* Frames that can be kept of who maps, and that are. */
#define IOMMU_DEBUG_MAX_DEPTH 16
extern unsigned int iommu_debug_depth;

void __iommu_debug_dma_map(struct device *dev, phys_addr_t phys, size_t size,
			   int dir, dma_addr_t addr, unsigned long attrs,
			   enum iommu_debug_kind kind);
void iommu_debug_dma_map_from(struct device *dev, phys_addr_t phys, size_t size,
			      int dir, dma_addr_t addr, unsigned long attrs,
			      const unsigned long *entries, unsigned int count);
void __iommu_debug_dma_unmap(struct device *dev, dma_addr_t addr, size_t size,
			     int dir, unsigned long attrs,
			     enum iommu_debug_kind kind, unsigned long caller);
void __iommu_debug_dma_alloc(struct device *dev, void *virt, size_t size,
			     dma_addr_t addr, unsigned long attrs);
void __iommu_debug_dma_map_sg(struct device *dev, struct scatterlist *sgl,
			      int nents, int dir, unsigned long attrs);
void __iommu_debug_dma_unmap_sg(struct device *dev, struct scatterlist *sgl,
				int nents, int dir, unsigned long attrs,
				unsigned long caller);
void __iommu_debug_check_object(struct kmem_cache *cache, const void *object,
				bool is_free);
void __iommu_debug_driver_unbound(struct device *dev);
void __iommu_debug_fault(enum iommu_debug_device_id by, unsigned long id,
			 u64 iova, size_t bytes,
			 enum iommu_debug_access access);
u64 iommu_debug_now(void);
void __iommu_debug_flush_end(struct iommu_domain *domain, u64 begun,
			     dma_addr_t first, dma_addr_t last);
void __iommu_debug_synced(struct iommu_domain *domain,
			  const struct iommu_iotlb_gather *gather);

/* Whether each map and unmap has to be told, even if it does nothing. */
static inline bool iommu_debug_origin_enabled(void)
{
	return static_branch_unlikely(&iommu_debug_origin);
}

static inline void iommu_debug_dma_map(struct device *dev, phys_addr_t phys,
				       size_t size, int dir, dma_addr_t addr,
				       unsigned long attrs,
				       enum iommu_debug_kind kind)
{
	if (static_branch_unlikely(&iommu_debug_origin))
		__iommu_debug_dma_map(dev, phys, size, dir, addr, attrs, kind);
}

/*
 * The same for what is mapped most often, called by a function that is there for
 * this only: each frame that is not walked saves some hundred instructions.
 */
static __always_inline void
iommu_debug_dma_map_here(struct device *dev, phys_addr_t phys, size_t size,
			 int dir, dma_addr_t addr, unsigned long attrs)
{
	unsigned long entries[IOMMU_DEBUG_MAX_DEPTH] __uninitialized;
	unsigned int count = stack_trace_save(entries, iommu_debug_depth, 1);

	iommu_debug_dma_map_from(dev, phys, size, dir, addr, attrs, entries,
				 count);
}

/* Before the mapping goes: afterwards, its address may be another one's. */
static inline void iommu_debug_dma_unmap(struct device *dev, dma_addr_t addr,
					 size_t size, int dir,
					 unsigned long attrs,
					 enum iommu_debug_kind kind)
{
	if (static_branch_unlikely(&iommu_debug_origin))
		__iommu_debug_dma_unmap(dev, addr, size, dir, attrs, kind,
					_RET_IP_);
}

static inline void iommu_debug_dma_alloc(struct device *dev, void *virt,
					 size_t size, dma_addr_t addr,
					 unsigned long attrs)
{
	if (static_branch_unlikely(&iommu_debug_origin))
		__iommu_debug_dma_alloc(dev, virt, size, addr, attrs);
}

static inline void iommu_debug_dma_map_sg(struct device *dev,
					  struct scatterlist *sgl, int nents,
					  int dir, unsigned long attrs)
{
	if (static_branch_unlikely(&iommu_debug_origin))
		__iommu_debug_dma_map_sg(dev, sgl, nents, dir, attrs);
}

static inline void iommu_debug_dma_unmap_sg(struct device *dev,
					    struct scatterlist *sgl, int nents,
					    int dir, unsigned long attrs)
{
	if (static_branch_unlikely(&iommu_debug_origin))
		__iommu_debug_dma_unmap_sg(dev, sgl, nents, dir, attrs,
					   _RET_IP_);
}

/* An object of @size bytes is handed out or comes back. */
static __always_inline void iommu_debug_check_object(struct kmem_cache *cache,
						     const void *object,
						     size_t size, bool is_free)
{
	if (static_branch_unlikely(&iommu_debug_origin)) {
		unsigned long last = (unsigned long)object + size - 1;
		unsigned long first = (unsigned long)object;

		if (unlikely(((first ^ last) >> IOMMU_DEBUG_FILTER_SHIFT) |
			     READ_ONCE(iommu_debug_huge) |
			     iommu_debug_filter[(first >> IOMMU_DEBUG_FILTER_SHIFT) %
						IOMMU_DEBUG_FILTER_PAGES]))
			__iommu_debug_check_object(cache, object, is_free);
	}
}

/* The driver of @dev leaves it, or failed to probe it, and will unmap no more. */
static inline void iommu_debug_driver_unbound(struct device *dev)
{
	if (static_branch_unlikely(&iommu_debug_origin))
		__iommu_debug_driver_unbound(dev);
}

/*
 * An IOMMU has refused an access by the device that it calls @id, to one of
 * @bytes bytes at @iova.
 */
static inline void iommu_debug_fault(enum iommu_debug_device_id by,
				     unsigned long id, u64 iova, size_t bytes,
				     enum iommu_debug_access access)
{
	if (static_branch_unlikely(&iommu_debug_origin))
		__iommu_debug_fault(by, id, iova, bytes, access);
}

/*
 * The IOTLB is about to be invalidated: what is unmapped now will be gone when
 * iommu_debug_flush_end() is called with the result.
 */
static inline u64 iommu_debug_flush_begin(void)
{
	return static_branch_unlikely(&iommu_debug_stale) ? iommu_debug_now() : 0;
}

/* What was at @first to @last is invalidated. */
static inline void iommu_debug_flush_end(struct iommu_domain *domain, u64 begun,
					 dma_addr_t first, dma_addr_t last)
{
	if (static_branch_unlikely(&iommu_debug_stale))
		__iommu_debug_flush_end(domain, begun, first, last);
}

/* What @gather has unmapped is invalidated; if it is NULL, all of the domain. */
static inline void iommu_debug_synced(struct iommu_domain *domain,
				      const struct iommu_iotlb_gather *gather)
{
	if (static_branch_unlikely(&iommu_debug_stale))
		__iommu_debug_synced(domain, gather);
}

#else /* CONFIG_IOMMU_DEBUG_PAGEALLOC */

static inline bool iommu_debug_origin_enabled(void)
{
	return false;
}

static inline void iommu_debug_dma_map(struct device *dev, phys_addr_t phys,
				       size_t size, int dir, dma_addr_t addr,
				       unsigned long attrs,
				       enum iommu_debug_kind kind)
{
}

static inline void
iommu_debug_dma_map_here(struct device *dev, phys_addr_t phys, size_t size,
			 int dir, dma_addr_t addr, unsigned long attrs)
{
}

static inline void iommu_debug_dma_unmap(struct device *dev, dma_addr_t addr,
					 size_t size, int dir,
					 unsigned long attrs,
					 enum iommu_debug_kind kind)
{
}

static inline void iommu_debug_dma_alloc(struct device *dev, void *virt,
					 size_t size, dma_addr_t addr,
					 unsigned long attrs)
{
}

static inline void iommu_debug_dma_map_sg(struct device *dev,
					  struct scatterlist *sgl, int nents,
					  int dir, unsigned long attrs)
{
}

static inline void iommu_debug_dma_unmap_sg(struct device *dev,
					    struct scatterlist *sgl, int nents,
					    int dir, unsigned long attrs)
{
}

static __always_inline void iommu_debug_check_object(struct kmem_cache *cache,
						     const void *object,
						     size_t size, bool is_free)
{
}

static inline void iommu_debug_driver_unbound(struct device *dev)
{
}

static inline void iommu_debug_fault(enum iommu_debug_device_id by,
				     unsigned long id, u64 iova, size_t bytes,
				     enum iommu_debug_access access)
{
}

static inline u64 iommu_debug_flush_begin(void)
{
	return 0;
}

static inline void iommu_debug_flush_end(struct iommu_domain *domain, u64 begun,
					 dma_addr_t first, dma_addr_t last)
{
}

static inline void iommu_debug_synced(struct iommu_domain *domain,
				      const struct iommu_iotlb_gather *gather)
{
}

#endif /* CONFIG_IOMMU_DEBUG_PAGEALLOC */

#endif /* __LINUX_IOMMU_DEBUG_DMA_H */
