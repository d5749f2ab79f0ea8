/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What newer kernels have and the C files of the DMA sanitizer use. The
 * Makefile has it included before anything else.
 */
#ifndef __IOMMU_DEBUG_PAGEALLOC_COMPAT_H
#define __IOMMU_DEBUG_PAGEALLOC_COMPAT_H

#include <linux/mm.h>

#include "../../../mm/slab.h"

/* Memory of devices is mapped by dma_map_resource(), which is not recorded. */
#define DMA_ATTR_MMIO 0UL

/* Newer kernels look whether it is one. */
static inline struct slab *iommu_debug_page_slab(struct page *page)
{
	struct folio *folio = page_folio(page);

	return folio_test_slab(folio) ? folio_slab(folio) : NULL;
}

#undef page_slab
#define page_slab iommu_debug_page_slab

#endif /* __IOMMU_DEBUG_PAGEALLOC_COMPAT_H */
