// SPDX-License-Identifier: GPL-2.0-only
/* A vmalloc()ed buffer that is given back while one of its pages is mapped. */
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "cases.h"

#define PAGES 3

int case_vmalloc(struct device *dev, bool bug)
{
	dma_addr_t dma;
	void *buf;
	int ret;

	buf = vmalloc(PAGES * PAGE_SIZE);
	if (!buf)
		return -ENOMEM;

	ret = map_page(dev, vmalloc_to_page(buf + PAGE_SIZE), &dma);
	if (ret) {
		vfree(buf);
		return ret;
	}

	if (bug) {
		vfree(buf);
		unmap_page(dev, dma);
	} else {
		unmap_page(dev, dma);
		vfree(buf);
	}
	return 0;
}
