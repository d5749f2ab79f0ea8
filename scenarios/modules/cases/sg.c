// SPDX-License-Identifier: GPL-2.0-only
/* A scatterlist of four pages, unmapped as if it had three. */
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>

#include "cases.h"

#define NENTS 4

static void free_pages_of(struct scatterlist *sgl)
{
	int i;

	for (i = 0; i < NENTS; i++)
		if (sg_page(&sgl[i]))
			__free_page(sg_page(&sgl[i]));
}

int case_sg(struct device *dev, bool bug)
{
	struct scatterlist sgl[NENTS];
	struct page *page;
	dma_addr_t last;
	int i, ret = -ENOMEM;

	sg_init_table(sgl, NENTS);
	for (i = 0; i < NENTS; i++) {
		page = alloc_page(GFP_KERNEL);
		if (!page)
			goto out_free;
		sg_set_page(&sgl[i], page, PAGE_SIZE, 0);
	}

	/* Keep neighbours apart: merged into one, no segment could be forgotten. */
	dma_set_max_seg_size(dev, PAGE_SIZE);
	ret = -EIO;
	if (dma_map_sg(dev, sgl, NENTS, DMA_FROM_DEVICE) != NENTS)
		goto out_free;
	last = sg_dma_address(&sgl[NENTS - 1]);

	dma_unmap_sg(dev, sgl, bug ? NENTS - 1 : NENTS, DMA_FROM_DEVICE);
	free_pages_of(sgl);

	/* The IOVA went back with the rest of the list; only the entry is left. */
	if (bug)
		iommu_unmap(iommu_get_domain_for_dev(dev), last, PAGE_SIZE);
	return 0;

out_free:
	free_pages_of(sgl);
	return ret;
}
