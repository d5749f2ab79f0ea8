// SPDX-License-Identifier: GPL-2.0-only
/* What several of the cases need: a mapped page, and the same page once more. */
#include <linux/dma-mapping.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/preempt.h>

#include "cases.h"

/* How many pages to ask for until the freed one comes back. */
#define TRIES 1024

int map_page(struct device *dev, struct page *page, dma_addr_t *dma)
{
	*dma = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	return dma_mapping_error(dev, *dma);
}

void unmap_page(struct device *dev, dma_addr_t dma)
{
	dma_unmap_page(dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
}

static struct page *get_pfn(unsigned long pfn)
{
	struct page *page, *next, *found = NULL;
	LIST_HEAD(others);
	int i;

	for (i = 0; i < TRIES && !found; i++) {
		page = alloc_page(GFP_KERNEL);
		if (!page)
			break;
		if (page_to_pfn(page) == pfn)
			found = page;
		else
			list_add(&page->lru, &others);
	}

	list_for_each_entry_safe(page, next, &others, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	return found;
}

struct page *free_and_get_again(struct page *page)
{
	unsigned long pfn = page_to_pfn(page);

	migrate_disable();
	__free_page(page);
	page = get_pfn(pfn);
	migrate_enable();
	return page;
}
