// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is unmapped, but which the IOMMU may still have cached: by a user of the
 * IOMMU API who invalidates later, and by the DMA API in its lazy mode.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "cases.h"

#define IOVA	SZ_1M
/* The lazy mode invalidates after 10 ms. */
#define LAZY_MS	100

/* With @bug, a page is freed before iommu_iotlb_sync(). */
int case_iotlb_fast(struct device *dev, bool bug)
{
	struct iommu_iotlb_gather gather;
	struct iommu_domain *domain;
	struct page *page;
	int ret = -ENOMEM;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	page = alloc_page(GFP_KERNEL);
	if (!page)
		goto out_domain;

	ret = iommu_map(domain, IOVA, page_to_phys(page), PAGE_SIZE,
			IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (ret)
		goto out_free;

	iommu_iotlb_gather_init(&gather);
	if (iommu_unmap_fast(domain, IOVA, PAGE_SIZE, &gather) != PAGE_SIZE)
		ret = -EDOM;
	if (bug && !ret) {
		__free_page(page);
		page = NULL;
	}
	iommu_iotlb_sync(domain, &gather);

out_free:
	if (page)
		__free_page(page);
out_domain:
	iommu_domain_free(domain);
	return ret;
}

/*
 * With @bug, a page and an object are freed at once after the unmap: with interrupts off,
 * so that the timer which invalidates has to wait.
 */
int case_iotlb_lazy(struct device *dev, bool bug)
{
	struct page *page = alloc_page(GFP_KERNEL);
	void *object = kmalloc(512, GFP_KERNEL);
	dma_addr_t page_dma, object_dma;
	unsigned long flags;
	int ret = -ENOMEM;

	if (!page || !object)
		goto out_free;
	ret = map_page(dev, page, &page_dma);
	if (ret)
		goto out_free;
	object_dma = dma_map_single(dev, object, 512, DMA_FROM_DEVICE);
	ret = dma_mapping_error(dev, object_dma);
	if (ret) {
		unmap_page(dev, page_dma);
		goto out_free;
	}

	local_irq_save(flags);
	dma_unmap_single(dev, object_dma, 512, DMA_FROM_DEVICE);
	unmap_page(dev, page_dma);
	if (bug) {
		kfree(object);
		__free_page(page);
	}
	local_irq_restore(flags);
	if (bug)
		return 0;
	msleep(LAZY_MS);

out_free:
	kfree(object);
	if (page)
		__free_page(page);
	return ret;
}
