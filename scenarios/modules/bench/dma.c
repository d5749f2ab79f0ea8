// SPDX-License-Identifier: GPL-2.0-only
/* The DMA API as drivers use it: dma_map_page() and dma_unmap_page() of one buffer. */
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "bench.h"

static int measure(struct device *dev, struct page *page, size_t size, struct series *map,
		   struct series *unmap)
{
	unsigned int i = 0;
	dma_addr_t dma;
	u64 t0, t1, t2, t3;

	while (!series_enough(map, 3, 256)) {
		t0 = now();
		dma = dma_map_page(dev, page, 0, size, DMA_BIDIRECTIONAL);
		t1 = now();
		if (dma_mapping_error(dev, dma))
			return -ENOMEM;
		t2 = now();
		dma_unmap_page(dev, dma, size, DMA_BIDIRECTIONAL);
		t3 = now();
		if (i++ >= WARM_UP) {
			series_add(map, t1 - t0);
			series_add(unmap, t3 - t2);
		}
		cond_resched();
	}
	return 0;
}

int bench_dma(struct device *dev, const char *arg)
{
	size_t size = memparse(arg, NULL);
	struct series map, unmap;
	struct page *page;
	int ret;

	if (!size || get_order(size) > MAX_PAGE_ORDER)
		return -EINVAL;
	page = alloc_pages(GFP_KERNEL, get_order(size));
	if (!page)
		return -ENOMEM;
	ret = series_init_two(&map, &unmap);
	if (ret)
		goto out_page;

	ret = measure(dev, page, size, &map, &unmap);
	if (!ret) {
		report("dma_map", arg, &map);
		report("dma_unmap", arg, &unmap);
	}
	series_free_two(&map, &unmap);
out_page:
	__free_pages(page, get_order(size));
	return ret;
}

/* What taking the time itself adds to every figure. */
int bench_clock(struct device *dev, const char *arg)
{
	struct series s;
	u64 t0, t1;
	int ret = series_init(&s);

	if (ret)
		return ret;
	while (!series_enough(&s, 3, 256)) {
		t0 = now();
		t1 = now();
		series_add(&s, t1 - t0);
	}
	report("clock", arg, &s);
	series_free(&s);
	return 0;
}
