/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hooks of the DMA sanitizer in the page allocator.
 */
#ifndef __LINUX_IOMMU_DEBUG_PAGEALLOC_H
#define __LINUX_IOMMU_DEBUG_PAGEALLOC_H

#include <linux/jump_label.h>

struct page;

#ifdef CONFIG_IOMMU_DEBUG_PAGEALLOC
DECLARE_STATIC_KEY_FALSE(iommu_debug_initialized);

void __iommu_debug_check_unmapped(const struct page *page, int numpages);
void __iommu_debug_check_freed(const struct page *page, int numpages);

/* Pages are handed out: no IOMMU may map them. */
static inline void iommu_debug_check_unmapped(const struct page *page,
					      int numpages)
{
	if (static_branch_unlikely(&iommu_debug_initialized))
		__iommu_debug_check_unmapped(page, numpages);
}

/* Pages come back: no IOMMU may map them any more. */
static inline void iommu_debug_check_freed(const struct page *page,
					   int numpages)
{
	if (static_branch_unlikely(&iommu_debug_initialized))
		__iommu_debug_check_freed(page, numpages);
}

#else /* CONFIG_IOMMU_DEBUG_PAGEALLOC */

static inline void iommu_debug_check_unmapped(const struct page *page,
					      int numpages)
{
}

static inline void iommu_debug_check_freed(const struct page *page,
					   int numpages)
{
}

#endif /* CONFIG_IOMMU_DEBUG_PAGEALLOC */

#endif /* __LINUX_IOMMU_DEBUG_PAGEALLOC_H */
