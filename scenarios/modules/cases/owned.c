// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of all kinds that the DMA API makes, and drivers that leave some behind.
 */
#include <linux/dma-mapping.h>
#include <linux/dmapool.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/vmalloc.h>

#include "cases.h"

/* A page that is freed with several mappings, two of which cover it. */
int case_owned_page(struct device *dev, bool bug)
{
	struct page *page = alloc_page(GFP_KERNEL);
	dma_addr_t read, write;
	int ret;

	if (!page)
		return -ENOMEM;
	read = dma_map_page(dev, page, 0, 1000, DMA_TO_DEVICE);
	ret = dma_mapping_error(dev, read);
	if (ret)
		goto free;
	write = dma_map_page(dev, page, 2048, 2048, DMA_FROM_DEVICE);
	ret = dma_mapping_error(dev, write);
	if (ret)
		goto unmap;
	if (bug)
		__free_page(page);
	dma_unmap_page(dev, write, 2048, DMA_FROM_DEVICE);
unmap:
	dma_unmap_page(dev, read, 1000, DMA_TO_DEVICE);
	if (bug && !ret)
		return 0;
free:
	__free_page(page);
	return ret;
}

/* The same bug with three pages, which are no neighbours: those would be one report. */
int case_repeated_page(struct device *dev, bool bug)
{
	struct page *pages = alloc_pages(GFP_KERNEL, 3);
	dma_addr_t dma[3];
	int mapped, i, ret = 0;

	if (!pages)
		return -ENOMEM;
	split_page(pages, 3);
	for (mapped = 0; mapped < ARRAY_SIZE(dma); mapped++) {
		ret = map_page(dev, pages + 2 * mapped, &dma[mapped]);
		if (ret)
			break;
	}
	for (i = 0; bug && i < 8; i++)
		__free_page(pages + i);
	for (i = 0; i < mapped; i++)
		unmap_page(dev, dma[i]);
	for (i = 0; !bug && i < 8; i++)
		__free_page(pages + i);
	return ret;
}

static int map_list(struct device *dev, struct sg_table *table, bool bug)
{
	struct scatterlist *sg;
	int i, ret;

	for_each_sgtable_sg(table, sg, i) {
		struct page *page = alloc_pages(GFP_KERNEL, 1);

		if (!page)
			return -ENOMEM;
		/* Not from the beginning, so that entries cannot be merged. */
		sg_set_page(sg, page, 256, PAGE_SIZE + 512);
	}
	ret = dma_map_sgtable(dev, table, DMA_BIDIRECTIONAL, 0);
	if (ret)
		return ret;
	/* One of those in the middle. */
	sg = sg_next(table->sgl);
	if (bug) {
		__free_pages(sg_page(sg), 1);
		sg_assign_page(sg, NULL);
	}
	dma_unmap_sgtable(dev, table, DMA_BIDIRECTIONAL, 0);
	return 0;
}

/* A scatterlist, of which one entry is freed too early. */
int case_owned_sg(struct device *dev, bool bug)
{
	struct scatterlist *sg;
	struct sg_table table;
	int i, ret;

	ret = sg_alloc_table(&table, 4, GFP_KERNEL);
	if (ret)
		return ret;
	ret = map_list(dev, &table, bug);
	for_each_sgtable_sg(&table, sg, i)
		if (sg_page(sg))
			__free_pages(sg_page(sg), 1);
	sg_free_table(&table);
	return ret;
}

/* Everything that the DMA API allocates by itself, and frees: never a bug. */
int case_owned_buffers(struct device *dev, bool bug)
{
	dma_addr_t coherent, large, pages, element;
	void *memory, *more, *piece;
	struct dma_pool *pool;
	struct page *page;
	struct sg_table *list;

	memory = dma_alloc_coherent(dev, 3000, &coherent, GFP_KERNEL);
	if (memory)
		dma_free_coherent(dev, 3000, memory, coherent);
	more = dma_alloc_coherent(dev, 1 << 20, &large, GFP_KERNEL);
	if (more)
		dma_free_coherent(dev, 1 << 20, more, large);
	page = dma_alloc_pages(dev, 2 * PAGE_SIZE, &pages, DMA_FROM_DEVICE, GFP_KERNEL);
	if (page)
		dma_free_pages(dev, 2 * PAGE_SIZE, page, pages, DMA_FROM_DEVICE);
	list = dma_alloc_noncontiguous(dev, 1 << 20, DMA_TO_DEVICE, GFP_KERNEL, 0);
	if (list)
		dma_free_noncontiguous(dev, 1 << 20, list, DMA_TO_DEVICE);
	pool = dma_pool_create("cases", dev, 96, 32, 0);
	piece = pool ? dma_pool_alloc(pool, GFP_KERNEL, &element) : NULL;
	if (piece)
		dma_pool_free(pool, piece, element);
	dma_pool_destroy(pool);
	return memory && more && page && list && piece ? 0 : -ENOMEM;
}

/* A driver unbinds and leaves two mappings, which its memory outlives. */
int case_unbound(struct pci_dev *pdev, bool bug)
{
	struct device *dev = &pdev->dev;
	struct page *page = alloc_page(GFP_KERNEL);
	dma_addr_t first, second;
	int ret;

	if (!page)
		return -ENOMEM;
	ret = map_page(dev, page, &first);
	if (ret)
		goto free;
	second = dma_map_page(dev, page, 512, 1000, DMA_TO_DEVICE);
	ret = dma_mapping_error(dev, second);
	if (ret) {
		unmap_page(dev, first);
		goto free;
	}
	if (!bug) {
		dma_unmap_page(dev, second, 1000, DMA_TO_DEVICE);
		unmap_page(dev, first);
	}
	device_release_driver(dev);
	if (bug) {
		dma_unmap_page(dev, second, 1000, DMA_TO_DEVICE);
		unmap_page(dev, first);
	}
free:
	__free_page(page);
	return ret;
}
