// SPDX-License-Identifier: GPL-2.0-only
/* A scatterlist of four pages, unmapped as if it had three. */
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>

#include "cases.h"

#define NENTS 4
#define ORDER 3

/* Every other page: neighbours could become one entry, which goes as a whole. */
static struct page *page_of(struct page *pages, int i)
{
	return pages + 2 * i;
}

static void free_pages_one_by_one(struct page *pages)
{
	int i;

	for (i = 0; i < 1 << ORDER; i++)
		__free_page(pages + i);
}

int case_sg(struct device *dev, bool bug)
{
	struct scatterlist sgl[NENTS];
	struct page *pages;
	dma_addr_t last;
	int i, ret = 0;

	pages = alloc_pages(GFP_KERNEL, ORDER);
	if (!pages)
		return -ENOMEM;
	split_page(pages, ORDER);

	sg_init_table(sgl, NENTS);
	for (i = 0; i < NENTS; i++)
		sg_set_page(&sgl[i], page_of(pages, i), PAGE_SIZE, 0);

	/* Keep addresses apart: merged into one, no segment could be forgotten. */
	dma_set_max_seg_size(dev, PAGE_SIZE);
	if (dma_map_sg(dev, sgl, NENTS, DMA_FROM_DEVICE) != NENTS) {
		ret = -EIO;
		goto out_free;
	}
	last = sg_dma_address(&sgl[NENTS - 1]);

	dma_unmap_sg(dev, sgl, bug ? NENTS - 1 : NENTS, DMA_FROM_DEVICE);
out_free:
	free_pages_one_by_one(pages);

	/* The IOVA went back with the rest of the list; only the entry is left. */
	if (bug && !ret)
		iommu_unmap(iommu_get_domain_for_dev(dev), last, PAGE_SIZE);
	return ret;
}
