// SPDX-License-Identifier: GPL-2.0-only
/* A page mapped twice, and unmapped once before it is freed. */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "cases.h"

int case_twice(struct device *dev, bool bug)
{
	dma_addr_t first, second;
	struct page *page;
	int ret;

	page = alloc_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;

	ret = map_page(dev, page, &first);
	if (ret)
		goto out_free;
	ret = map_page(dev, page, &second);
	if (ret)
		goto out_unmap;

	unmap_page(dev, first);
	if (bug) {
		__free_page(page);
		unmap_page(dev, second);
	} else {
		unmap_page(dev, second);
		__free_page(page);
	}
	return 0;

out_unmap:
	unmap_page(dev, first);
out_free:
	__free_page(page);
	return ret;
}
