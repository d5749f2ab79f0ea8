// SPDX-License-Identifier: GPL-2.0-only
/* What several of the cases need: a mapped page, and the same pages once more. */
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/preempt.h>

#include "cases.h"

int map_page(struct device *dev, struct page *page, dma_addr_t *dma)
{
	*dma = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	return dma_mapping_error(dev, *dma);
}

void unmap_page(struct device *dev, dma_addr_t dma)
{
	dma_unmap_page(dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
}

struct page *get_pages_in(unsigned long first, unsigned long last, gfp_t gfp,
			  unsigned int order)
{
	unsigned long tries = totalram_pages() / 2 >> order;
	struct page *page, *next, *found = NULL;
	LIST_HEAD(others);

	while (!found && tries--) {
		page = alloc_pages(gfp | __GFP_NORETRY | __GFP_NOWARN, order);
		if (!page)
			break;
		if (page_to_pfn(page) >= first && page_to_pfn(page) <= last)
			found = page;
		else
			list_add(&page->lru, &others);
	}

	list_for_each_entry_safe(page, next, &others, lru) {
		list_del(&page->lru);
		__free_pages(page, order);
	}
	return found;
}

struct page *free_and_get_again(struct page *page, unsigned int order)
{
	unsigned long pfn = page_to_pfn(page);

	migrate_disable();
	__free_pages(page, order);
	page = get_pages_in(pfn, pfn, GFP_KERNEL, order);
	migrate_enable();
	return page;
}
