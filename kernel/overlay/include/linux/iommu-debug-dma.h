/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hooks of the DMA sanitizer where mappings have an owner: the DMA API, the
 * slab allocator, the driver core. They do something with
 * iommu.debug_pagealloc=origin only.
 */
#ifndef __LINUX_IOMMU_DEBUG_DMA_H
#define __LINUX_IOMMU_DEBUG_DMA_H

#include <linux/jump_label.h>
#include <linux/types.h>

struct device;
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

#ifdef CONFIG_IOMMU_DEBUG_PAGEALLOC
DECLARE_STATIC_KEY_FALSE(iommu_debug_origin);

/*
 * How many live mappings reach into a page of the direct map, pages hashed; and
 * how many there are that are too large to be counted that way.
 */
#define IOMMU_DEBUG_FILTER_PAGES 0x20000
extern const u32 *iommu_debug_filter;
extern u32 iommu_debug_huge;

void __iommu_debug_dma_map(struct device *dev, phys_addr_t phys, size_t size,
			   int dir, dma_addr_t addr, unsigned long attrs,
			   enum iommu_debug_kind kind);
void __iommu_debug_dma_unmap(struct device *dev, dma_addr_t addr, size_t size,
			     unsigned long attrs, enum iommu_debug_kind kind);
void __iommu_debug_dma_alloc(struct device *dev, void *virt, size_t size,
			     dma_addr_t addr, unsigned long attrs);
void __iommu_debug_dma_map_sg(struct device *dev, struct scatterlist *sgl,
			      int nents, int dir, unsigned long attrs);
void __iommu_debug_dma_unmap_sg(struct device *dev, struct scatterlist *sgl,
				int nents, unsigned long attrs);
void __iommu_debug_check_object(struct kmem_cache *cache, const void *object,
				bool is_free);
void __iommu_debug_driver_unbound(struct device *dev);

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

/* Before the mapping goes: afterwards, its address may be another one's. */
static inline void iommu_debug_dma_unmap(struct device *dev, dma_addr_t addr,
					 size_t size, unsigned long attrs,
					 enum iommu_debug_kind kind)
{
	if (static_branch_unlikely(&iommu_debug_origin))
		__iommu_debug_dma_unmap(dev, addr, size, attrs, kind);
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
					    unsigned long attrs)
{
	if (static_branch_unlikely(&iommu_debug_origin))
		__iommu_debug_dma_unmap_sg(dev, sgl, nents, attrs);
}

/* An object of @size bytes is handed out or comes back. */
static __always_inline void iommu_debug_check_object(struct kmem_cache *cache,
						     const void *object,
						     size_t size, bool is_free)
{
	if (static_branch_unlikely(&iommu_debug_origin)) {
		unsigned long first = (unsigned long)object;

		if (unlikely(((first ^ (first + size - 1)) >> PAGE_SHIFT) |
			     READ_ONCE(iommu_debug_huge) |
			     iommu_debug_filter[(first >> PAGE_SHIFT) %
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

static inline void iommu_debug_dma_unmap(struct device *dev, dma_addr_t addr,
					 size_t size, unsigned long attrs,
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
					    unsigned long attrs)
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

#endif /* CONFIG_IOMMU_DEBUG_PAGEALLOC */

#endif /* __LINUX_IOMMU_DEBUG_DMA_H */
