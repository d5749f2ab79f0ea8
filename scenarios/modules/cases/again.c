// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same page misused more than once. What counts as a new bug is whether the page
 * was unmapped in between ("again": two bugs) or not ("reuse": still the first one).
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "cases.h"

int case_again(struct device *dev, bool bug)
{
	struct page *page;
	dma_addr_t dma;
	int i, ret;

	page = alloc_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;

	for (i = 0; i < 2; i++) {
		ret = map_page(dev, page, &dma);
		if (ret) {
			__free_page(page);
			return ret;
		}

		if (!bug)
			unmap_page(dev, dma);
		page = free_and_get_again(page, 0);
		if (bug)
			unmap_page(dev, dma);
		if (!page)
			return -EAGAIN;
	}

	__free_page(page);
	return 0;
}

int case_reuse(struct device *dev, bool bug)
{
	struct page *page;
	dma_addr_t dma;
	int ret;

	page = alloc_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;

	ret = map_page(dev, page, &dma);
	if (ret) {
		__free_page(page);
		return ret;
	}

	if (!bug)
		unmap_page(dev, dma);
	page = free_and_get_again(page, 0);
	if (page)
		page = free_and_get_again(page, 0);
	if (bug)
		unmap_page(dev, dma);
	if (!page)
		return -EAGAIN;

	__free_page(page);
	return 0;
}
