// SPDX-License-Identifier: GPL-2.0-only
/* Eight pages allocated as one, of which the device has only an inner one. */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "cases.h"

#define ORDER 3
#define INNER 5

int case_order3(struct device *dev, bool bug)
{
	struct page *page;
	dma_addr_t dma;
	int ret;

	page = alloc_pages(GFP_KERNEL, ORDER);
	if (!page)
		return -ENOMEM;

	ret = map_page(dev, page + INNER, &dma);
	if (ret) {
		__free_pages(page, ORDER);
		return ret;
	}

	if (bug) {
		__free_pages(page, ORDER);
		unmap_page(dev, dma);
	} else {
		unmap_page(dev, dma);
		__free_pages(page, ORDER);
	}
	return 0;
}
