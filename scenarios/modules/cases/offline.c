// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page is freed while it is mapped, and the block of memory that it is in goes
 * offline and comes back. The page stays mapped all the while. Then it is unmapped, and
 * from there on its use is no bug. Needs memory that can go offline: movablecore=.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "cases.h"

/*
 * Firmware has a hole in the last block of a guest's 1G, and blocks with holes stay
 * online.
 */
#define LAST_WHOLE	(PHYS_PFN(SZ_1G - SZ_128M) - 1)

static int set_block(struct page *page, const char *state)
{
	char line[80];

	snprintf(line, sizeof(line), "echo %s >/sys/devices/system/memory/memory%lu/state",
		 state, (unsigned long)page_to_phys(page) / memory_block_size_bytes());
	return shell(line);
}

int case_offline(struct device *dev, bool bug)
{
	struct page *page, *again;
	dma_addr_t dma;
	int ret;

	page = get_pages_in(0, LAST_WHOLE, GFP_HIGHUSER_MOVABLE, 0);
	if (!page)
		return -EAGAIN;
	ret = map_page(dev, page, &dma);
	if (ret) {
		__free_page(page);
		return ret;
	}

	if (!bug)
		unmap_page(dev, dma);
	__free_page(page);

	ret = set_block(page, "offline");
	if (!ret)
		ret = set_block(page, "online_movable");
	if (bug)
		unmap_page(dev, dma);
	if (ret)
		return ret;

	again = get_pages_in(page_to_pfn(page), page_to_pfn(page), GFP_HIGHUSER_MOVABLE, 0);
	if (!again)
		return -EAGAIN;
	/* Otherwise not freed, see over_unmap.c. Its block then stays online. */
	if (!bug)
		__free_page(again);
	return 0;
}
