// SPDX-License-Identifier: GPL-2.0-only
/* Correct work that looks like a bug from a distance. */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>
#if IS_ENABLED(CONFIG_PAGE_POOL)
#include <net/page_pool/helpers.h>
#endif

#include "cases.h"

#define BYTES 512

/* One page mapped twice, and each mapping unmapped once, in the order in which they came. */
int case_shared(struct device *dev, bool bug)
{
	struct page *page = alloc_page(GFP_KERNEL);
	dma_addr_t read, write;
	int ret;

	if (!page)
		return -ENOMEM;
	read = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_TO_DEVICE);
	ret = dma_mapping_error(dev, read);
	if (ret)
		goto free;
	write = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_TO_DEVICE);
	ret = dma_mapping_error(dev, write);
	dma_unmap_page(dev, read, PAGE_SIZE, DMA_TO_DEVICE);
	if (!ret)
		dma_unmap_page(dev, write, PAGE_SIZE, DMA_TO_DEVICE);
free:
	__free_page(page);
	return ret;
}

/*
 * A driver that does the CPU's side by itself: mapped without, unmapped with and the
 * other way round. What the attribute leaves out is no part of the mapping.
 */
int case_skip_sync(struct device *dev, bool bug)
{
	unsigned long attrs[] = { 0, DMA_ATTR_SKIP_CPU_SYNC };
	char *object = kmalloc(BYTES, GFP_KERNEL);
	dma_addr_t dma;
	int i, ret = 0;

	if (!object)
		return -ENOMEM;
	for (i = 0; !ret && i < 4; i++) {
		dma = dma_map_single_attrs(dev, object, BYTES, DMA_FROM_DEVICE, attrs[i & 1]);
		ret = dma_mapping_error(dev, dma);
		if (ret)
			break;
		dma_sync_single_for_cpu(dev, dma, BYTES, DMA_FROM_DEVICE);
		dma_unmap_single_attrs(dev, dma, BYTES, DMA_FROM_DEVICE, attrs[i >> 1]);
	}
	kfree(object);
	return ret;
}

/* A page that stays mapped while the CPU and the device take turns with it. */
int case_turns(struct device *dev, bool bug)
{
	struct page *page = alloc_page(GFP_KERNEL);
	dma_addr_t dma;
	int i, ret;

	if (!page)
		return -ENOMEM;
	dma = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	ret = dma_mapping_error(dev, dma);
	if (ret)
		goto free;
	for (i = 0; i < 100; i++) {
		dma_sync_single_range_for_cpu(dev, dma, 256, BYTES, DMA_BIDIRECTIONAL);
		memset(page_address(page) + 256, i, BYTES);
		dma_sync_single_range_for_device(dev, dma, 256, BYTES, DMA_BIDIRECTIONAL);
	}
	dma_unmap_page(dev, dma, PAGE_SIZE, DMA_BIDIRECTIONAL);
free:
	__free_page(page);
	return ret;
}

/* Registers of a device: there is no memory behind them that could be freed. */
int case_mmio(struct device *dev, bool bug)
{
	phys_addr_t regs = pci_resource_start(to_pci_dev(dev), 0);
	dma_addr_t dma;
	int ret;

	dma = dma_map_resource(dev, regs, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
	ret = dma_mapping_error(dev, dma);
	if (!ret)
		dma_unmap_resource(dev, dma, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
	return ret;
}

#if IS_ENABLED(CONFIG_PAGE_POOL)
/* Pages that go from hand to hand without being unmapped, until the pool goes. */
int case_page_pool(struct device *dev, bool bug)
{
	struct page_pool_params params = {
		.flags = PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV,
		.pool_size = 16,
		.nid = NUMA_NO_NODE,
		.dev = dev,
		.dma_dir = DMA_FROM_DEVICE,
		.max_len = PAGE_SIZE,
	};
	struct page_pool *pool = page_pool_create(&params);
	struct page *pages[8];
	int round, i, ret = 0;

	if (IS_ERR(pool))
		return PTR_ERR(pool);
	for (round = 0; round < 10; round++) {
		for (i = 0; i < ARRAY_SIZE(pages); i++) {
			pages[i] = page_pool_dev_alloc_pages(pool);
			if (!pages[i])
				ret = -ENOMEM;
		}
		for (i = 0; i < ARRAY_SIZE(pages); i++)
			if (pages[i])
				page_pool_put_full_page(pool, pages[i], false);
	}
	page_pool_destroy(pool);
	return ret;
}
#else
int case_page_pool(struct device *dev, bool bug)
{
	return -EOPNOTSUPP;
}
#endif
