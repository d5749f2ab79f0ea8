/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Misuses of the DMA and IOMMU interfaces, one function each.
 *
 * With @bug unset the function does the same work correctly. All of them leave nothing
 * mapped behind, so that many can run in one boot. They return 0 when the misuse took
 * place as intended, or an error, which makes the module fail to load.
 */
#ifndef CASES_H
#define CASES_H

#include <linux/device.h>
#include <linux/mm_types.h>
#include <linux/types.h>

int case_order3(struct device *dev, bool bug);
int case_twice(struct device *dev, bool bug);
int case_sg(struct device *dev, bool bug);
int case_vmalloc(struct device *dev, bool bug);
int case_cpu(struct device *dev, bool bug);
int case_domain(struct device *dev, bool bug);
int case_gone(struct device *dev, bool bug);
int case_huge(struct device *dev, bool bug);
int case_huge_pages(struct device *dev, bool bug);
int case_again(struct device *dev, bool bug);
int case_reuse(struct device *dev, bool bug);
int case_failed_map(struct device *dev, bool bug);

/* Map a whole page for the device to write; an error code comes back as such. */
int map_page(struct device *dev, struct page *page, dma_addr_t *dma);
void unmap_page(struct device *dev, dma_addr_t dma);

/*
 * Free the page and get the same one from the allocator again, on one CPU because the
 * last page freed is kept per CPU. NULL if it did not come back.
 */
struct page *free_and_get_again(struct page *page);

#endif
